"""The desk's dealings with the merchant of a case: an answer that came by telephone, and the link to the page."""

from __future__ import annotations

from collections.abc import Callable

from center.db.engine import Database
from center.domain import closing, contacts
from center.domain.cases_book import Act, Book, Case, CaseError, carry_out, new_token
from center.domain.cases_policy import Policy


class MerchantLine:
    """For any thread. Acts as those of center/domain/cases.py, which return and raise the same."""

    def __init__(self, database: Database, policy: Policy, now_ms: Callable[[], int]) -> None:
        self._database = database
        self._policy = policy
        self._now_ms = now_ms

    def answered(self, act: Act, case_id: str, *, works: bool, with_whom: str, said: str = "") -> Case:
        """`with_whom` said by telephone whether it works; counts as if it were said on the merchant's page."""
        if not with_whom.strip():
            raise CaseError("say who answered")

        def do(book: Book, case: Case, key: str) -> Case:
            _require_merchant(case)
            contacts.spoke(book, case, with_whom)
            return closing.answered(book, case, works=works, by=act.by, said=said, key=key, with_whom=with_whom)

        return self._do(act, case_id, do)

    def withdraw_link(self, act: Act, case_id: str, reason: str) -> Case:
        """The page is no more, for whoever has its address."""
        if not reason.strip():
            raise CaseError("say a reason")

        def do(book: Book, case: Case, key: str) -> Case:
            if case["merchant_token"] is None:
                raise CaseError("the link is withdrawn already", "conflict")
            return book.step(case, "link_withdrawn", act.by, reason, key=key, merchant_token=None)

        return self._do(act, case_id, do)

    def new_link(self, act: Act, case_id: str) -> Case:
        """A page again, at another address."""

        def do(book: Book, case: Case, key: str) -> Case:
            _require_merchant(case)
            if case["merchant_token"] is not None:
                raise CaseError("withdraw the link that there is first", "conflict")
            return book.step(case, "link_made", act.by, key=key, merchant_token=new_token())

        return self._do(act, case_id, do)

    def _do(self, act: Act, case_id: str, do: Callable[[Book, Case, str], Case]) -> Case:
        return carry_out(self._database, self._policy, self._now_ms(), act, case_id, do)


def _require_merchant(case: Case) -> None:
    if case["terminal"] is None and case["site"] is None:
        raise CaseError("this case is of no single merchant")
