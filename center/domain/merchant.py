"""The merchant's side of a case, behind a link that nobody can guess: what is wrong, what to do, how far it is.

It knows the token and nothing else, so it shows nothing of other cases, of the terminal's serials, or of colleagues'
notes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, func, select

from center.db.engine import Database, insert_ignore
from center.db.tables import case_steps, cases, sites, surveys, terminals
from center.domain import closing, contacts, tasks
from center.domain.cases_book import OPEN, WORKING, Book, Case, CaseError, NoCase, book_of, number_text
from center.domain.cases_policy import DAY_MS, HOUR_MS, Policy, ServicePoint
from center.domain.freshness import freshness
from center.domain.knowledge import guide_for
from center.domain.refusal import Why
from center.domain.texts import guidance, language_of, progress
from center.ids import new_id
from center.ingest import cards

MERCHANT: Final = "merchant"
MOST_AN_HOUR: Final = 20
"""Steps that one link takes within an hour."""
LONGEST: Final = 2000
SHOWN: Final = 20
SURVEY_DAYS: Final = 30
LINK_DAYS: Final = 90
"""For so long after the end of a case its link is good; then it is none, as one that never was."""
_REFUSALS: Final = {
    "often": {
        "en": "too much within an hour; call support instead",
        "zh": "一小时内提交过多，请改为致电客服",
    },
    "empty": {"en": "write something", "zh": "请先填写内容"},
    "long": {"en": f"at most {LONGEST} letters", "zh": f"最多{LONGEST}个字"},
    "score": {"en": "choose a score, 1 to 5", "zh": "请选择1到5分"},
    "rated": {
        "en": "this case was rated already, or is not closed",
        "zh": "本工单已评价过，或尚未结案",
    },
    "closed": {"en": "the case is closed already", "zh": "本工单已经结案"},
}
"""Why something is not taken, in the merchant's words."""


@dataclass(frozen=True, slots=True)
class Page:
    """What the page shows. Texts are in `language`; "" and () where there is nothing to say, null moments likewise.

    `stop_now`: the terminal must not be used at all. `can_sell` is yes, degraded, no, or unknown where nobody hears the
    terminal; "" once it works again. `waits_for` is merchant, part or operator while it waits. `messages` are (time in
    ms, from_support, text), oldest first; one without text asks for a call. `call_waits`: that call is still to come.
    `eta_was_ms` is the promise before the present one. `visit` is (technician, from, until) in ms. `came`: somebody was
    there, or a part was waited for.
    """

    number: str
    language: str
    site: str
    timezone: str
    state: str
    sentence: str
    meaning: str
    can_sell: str
    stop_now: bool
    stop_using: str
    steps: tuple[str, ...]
    never: tuple[str, ...]
    sell_on: str
    guide: str
    progress: str
    waits_for: str
    eta_ms: int | None
    eta_was_ms: int | None
    visit: tuple[str, int, int] | None
    came: bool
    channel: str
    service_point: ServicePoint | None
    messages: tuple[tuple[int, bool, str], ...]
    may_answer: bool
    may_rate: bool
    may_call: bool
    call_waits: bool


class MerchantDesk:
    """For any thread. Raises NoCase for a token that is none, whatever the reason.

    `language` is the one that the merchant reads just now; the case's where it is None. Why something is refused is
    said in it.
    """

    def __init__(self, database: Database, policy: Policy, now_ms: Callable[[], int]) -> None:
        self._database = database
        self._policy = policy
        self._now_ms = now_ms

    def page(self, token: str, language: str | None = None) -> Page:
        """The page, in the merchant's language unless another one is asked for."""
        with self._database.read() as connection:
            case = _by_token(connection, token, self._now_ms())
            return _page(connection, self._policy, case, language, self._now_ms())

    def answer(
        self, token: str, *, works: bool, said: str = "", key: str | None = None, language: str | None = None
    ) -> Page:
        """Works, or still broken. Raises CaseError."""

        def do(book: Book, case: Case, step: str) -> None:
            if works and case["state"] == "closed":
                raise _refusal("closed", case, language)
            contacts.answered(book, case)
            closing.answered(book, case, works=works, by=MERCHANT, said=said, key=step)

        return self._post(token, key, said, do, language)

    def write(self, token: str, said: str, key: str | None = None, language: str | None = None) -> Page:
        """A message to support, also after closing. Raises CaseError."""

        def do(book: Book, case: Case, step: str) -> None:
            if not said.strip():
                raise _refusal("empty", case, language)
            facts = {"direction": "in"}
            written = book.step(case, "message", MERCHANT, said, key=step, facts=facts)
            subject = f"{number_text(case['number'])}: the merchant wrote"
            book.notify(written, "case.message_in", f"notify:{step}", subject, said)

        return self._post(token, key, said, do, language)

    def call_me(self, token: str, said: str = "", key: str | None = None, language: str | None = None) -> Page:
        """Ask to be called back, soon enough for the case's deadline. Raises CaseError."""

        def do(book: Book, case: Case, step: str) -> None:
            if case["state"] == "closed":
                raise _refusal("closed", case, language)
            written = book.step(case, "message", MERCHANT, said, key=step, facts={"direction": "in", "call_me": True})
            tasks.ask_call(book, written, said)
            subject = f"{number_text(case['number'])}: the merchant asks for a call"
            book.notify(written, "case.message_in", f"notify:{step}", subject, said)

        return self._post(token, key, said, do, language)

    def rate(self, token: str, score: int, said: str = "", key: str | None = None, language: str | None = None) -> Page:
        """The second question of the survey, 1 to 5; once for each case, after its end. Raises CaseError."""

        def do(book: Book, case: Case, step: str) -> None:
            if not 1 <= score <= 5:
                raise _refusal("score", case, language)
            if not _may_rate(book.connection, self._policy, case, book.now_ms):
                raise _refusal("rated", case, language)
            works = "yes" if case["outcome"] == "confirmed" else "unknown"
            row = {"case_id": case["id"], "works": works, "score": score, "text": cards.redact(said)}
            if insert_ignore(book.connection, surveys, [row | {"at_ms": book.now_ms}]):
                book.step(case, "rated", MERCHANT, said, key=step, facts={"score": score})

        return self._post(token, key, said, do, language)

    def _post(
        self, token: str, key: str | None, said: str, do: Callable[[Book, Case, str], Any], language: str | None
    ) -> Page:
        now_ms = self._now_ms()
        with book_of(self._database, self._policy, now_ms) as book:
            case = _by_token(book.connection, token, now_ms, held=True)
            step = f"{case['id']}:merchant:{key}" if key else new_id("merchant", now_ms)
            if not book.has_step(step):
                if len(said) > LONGEST:
                    raise _refusal("long", case, language)
                _limit(book, case, language)
                do(book, case, step)
        return self.page(token, language)


def _refusal(why: str, case: Case, language: str | None) -> CaseError:
    kind: Why = "invalid" if why in {"empty", "long", "score"} else "conflict"
    return CaseError(_REFUSALS[why][language_of(language or case["language"])], kind)


def _by_token(connection: Connection, token: str, now_ms: int, *, held: bool = False) -> Case:
    query = select(cases).where(cases.c.merchant_token == token)
    row = connection.execute(query.with_for_update() if held else query).mappings().first()
    if row is None or (row["closed_ms"] is not None and now_ms - row["closed_ms"] > LINK_DAYS * DAY_MS):
        raise NoCase("there is no such page")
    return dict(row)


def _limit(book: Book, case: Case, language: str | None) -> None:
    where = (
        case_steps.c.case_id == case["id"],
        case_steps.c.by == MERCHANT,
        case_steps.c.at_ms > book.now_ms - HOUR_MS,
    )
    count = book.connection.execute(select(func.count()).select_from(case_steps).where(*where)).scalar_one()
    if count >= MOST_AN_HOUR:
        raise _refusal("often", case, language)


def _page(connection: Connection, policy: Policy, case: Case, language: str | None, now_ms: int) -> Page:
    spoken = language_of(language or case["language"])
    site = _site(connection, case)
    told = guidance(case["fault"], spoken) or {}
    models = {"model": case["model"], "firmware": case["firmware"]}
    guide = guide_for(connection, case["fault"], spoken, "merchant", **models) if case["fault"] else None
    active = case["state"] in WORKING
    steps = _steps(connection, case)
    promises = [row["data"]["eta_ms"] for row in steps if row["kind"] == "eta"]
    sent = (case["data"] or {}).get("dispatch")
    order = sent if case["state"] == "dispatched" else None
    waited = any(row["kind"] == "paused" and row["data"]["reason"] == "part" for row in steps)
    due = sent is not None and sent["from_ms"] <= (case["solved_ms"] or now_ms)
    return Page(
        number=number_text(case["number"]),
        language=spoken,
        site=str(site.get("name") or case["site"] or ""),
        timezone=str(site.get("timezone") or "UTC"),
        state=case["state"],
        sentence=_sentence(case, told),
        meaning=told.get("meaning", "") if active else "",
        can_sell=_can_sell(connection, case, now_ms) if active else "",
        stop_now=bool(told.get("stop_now")) and active,
        stop_using=told.get("stop_using", "") if active else "",
        steps=tuple(told.get("steps", ())) if active else (),
        never=tuple(told.get("never", ())) if active else (),
        sell_on=told.get("sell_on", "") if active else "",
        guide=guide.body if guide is not None and guide.version and active else "",
        progress=progress(case["state"], case["pause_reason"], spoken),
        waits_for=(case["pause_reason"] or "") if active else "",
        eta_ms=case["eta_ms"] if active else None,
        eta_was_ms=promises[-2] if len(promises) > 1 and active else None,
        visit=(order["technician"], order["from_ms"], order["until_ms"]) if order else None,
        came=case["visits"] > 0 or waited or due,
        channel=policy.channel_in(spoken),
        service_point=policy.nearest(site.get("region"), site.get("lat"), site.get("lon")),
        messages=_messages(steps),
        may_answer=case["state"] in OPEN or case["outcome"] in {"unanswered", "confirmed"},
        may_rate=_may_rate(connection, policy, case, now_ms),
        may_call=case["state"] != "closed",
        call_waits=tasks.call_waits(connection, case["id"]),
    )


def _can_sell(connection: Connection, case: Case, now_ms: int) -> str:
    where = (terminals.c.estate == case["estate"], terminals.c.terminal == case["terminal"])
    columns = (terminals.c.can_sell, terminals.c.status, terminals.c.last_contact_ms)
    row = connection.execute(select(*columns).where(*where)).first()
    if row is None or freshness(row.status, row.last_contact_ms, now_ms) != "online":
        return "unknown"
    return row.can_sell or "unknown"


def _sentence(case: Case, told: Mapping[str, Any]) -> str:
    """What is wrong, in one sentence; in the words of whoever opened it where no probe has named it."""
    return str(told.get("title") or case["title"])


def _steps(connection: Connection, case: Case) -> list[dict[str, Any]]:
    where = (case_steps.c.case_id == case["id"], case_steps.c.kind.in_(("eta", "message", "paused")))
    rows = connection.execute(select(case_steps).where(*where).order_by(case_steps.c.id))
    return [dict(row) for row in rows.mappings()]


def _messages(steps: list[dict[str, Any]]) -> tuple[tuple[int, bool, str], ...]:
    said = [row for row in steps if row["kind"] == "message"][-SHOWN:]
    return tuple((row["at_ms"], row["by"] != MERCHANT, row["text"]) for row in said)


def _site(connection: Connection, case: Case) -> Mapping[str, Any]:
    if case["site"] is None:
        return {}
    where = (sites.c.estate == case["estate"], sites.c.site == case["site"])
    row = connection.execute(select(sites).where(*where)).mappings().first()
    return {} if row is None else dict(row)


def _may_rate(connection: Connection, policy: Policy, case: Case, now_ms: int) -> bool:
    if not policy.surveys(case["id"]) or case["state"] != "closed" or case["outcome"] in {"duplicate", "false_alarm"}:
        return False
    if now_ms - case["closed_ms"] > SURVEY_DAYS * 24 * HOUR_MS:
        return False
    return connection.execute(select(surveys.c.case_id).where(surveys.c.case_id == case["id"])).first() is None
