"""What the terminal shows of its case: topic `case`, retained, sent only when it says something else than before."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from sqlalchemy import Connection, case, select

from agent.wire import CaseMessage, Topics, VisitBody, dumps, encode, timestamp, to_json, to_json_whole
from center.db.engine import Database, insert_ignore, upsert
from center.db.tables import case_messages, cases, outbox, terminals
from center.domain import follow, posts
from center.domain.cases_book import OPEN, Case, number_text
from center.domain.cases_policy import DAY_MS, Policy
from center.domain.commands_key import Signer
from center.domain.refusal import Refusal
from center.domain.texts import progress

EXPIRY_MS: Final = 7 * DAY_MS
"""How long the broker keeps it; it is sent again well before."""
_RENEW_MS: Final = 5 * DAY_MS
_AT_ONCE: Final = 200
_LONGEST: Final = 240
_RANK: Final = {"critical": 0, "major": 1, "minor": 2, "warning": 3}


class CaseMessages:
    """One of center/domain/engines.py."""

    name = "case-messages"

    def __init__(
        self, database: Database, policy: Policy, signer: Signer | None = None, issuer: str = "center"
    ) -> None:
        self._database = database
        self._feed = follow.Follower(database, self.name, 500)
        self._policy = policy
        self._signer = signer or Signer("")
        self._issuer = issuer

    def step(self, now_ms: int) -> bool:
        """The terminals of a page of changed cases, and those whose message gets old."""
        with self._database.read() as connection:
            if not follow.page(connection, self.name, 1).changes and not _old(connection, now_ms):
                return False
        with self._feed.trying(now_ms), self._database.begin() as connection:
            page = self._feed.page(connection)
            told = {(each.estate or "", each.terminal) for each in page.changes if each.kind == "case"}
            why = str(page.changes[-1].id) if page.changes else ""
            for estate, terminal in sorted((estate, name) for estate, name in told if name):
                self._tell(connection, estate, terminal, now_ms, why)
            old = _old(connection, now_ms)
            for estate, terminal in old:
                self._tell(connection, estate, terminal, now_ms, "renewed")
            page.save(connection, now_ms)
        return page.more or len(old) == _AT_ONCE

    def _tell(self, connection: Connection, estate: str, terminal: str, now_ms: int, why: str) -> None:
        where = (case_messages.c.estate == estate, case_messages.c.terminal == terminal)
        before = connection.execute(select(case_messages.c.payload).where(*where)).scalar()
        chosen = _foremost(connection, estate, terminal)
        message = None if chosen is None else self._message(connection, chosen, now_ms)
        payload = "" if message is None else dumps(to_json(message)).decode()
        if (payload == (before or "") and why != "renewed") or (not payload and before is None):
            return
        bytes_sent = b""
        if message is not None:
            bytes_sent = encode(replace(message, at=timestamp(now_ms / 1000)))
        row = {
            "estate": estate,
            "terminal": terminal,
            "case_id": None if chosen is None else chosen["id"],
            "payload": payload,
            "at_ms": now_ms,
            "renew_ms": now_ms + _RENEW_MS if payload else None,
        }
        upsert(connection, case_messages, [row])
        topic = Topics(estate, terminal).of("case")
        key = f"case:{estate}/{terminal}:{now_ms}:{why}"
        until_ms = now_ms + EXPIRY_MS if payload else None
        insert_ignore(connection, outbox, [posts.mqtt(key, topic, bytes_sent, now_ms, retain=True, until_ms=until_ms)])

    def _message(self, connection: Connection, chosen: Case, now_ms: int) -> CaseMessage:
        """What there is to say, without the time at which it is said."""
        where = (terminals.c.estate == chosen["estate"], terminals.c.terminal == chosen["terminal"])
        language = connection.execute(select(terminals.c.language).where(*where)).scalar() or chosen["language"]
        said = (chosen["data"] or {}).get("said", "")
        told = f"{progress(chosen['state'], chosen['pause_reason'], language)} {said}".strip()
        visit_ms = chosen["work_order_until_ms"]
        visit_ms = visit_ms if visit_ms is not None and visit_ms > now_ms else None
        return CaseMessage(
            case=number_text(chosen["number"]),
            progress=told[:_LONGEST],
            eta=_time(chosen["eta_ms"]),
            channel=self._policy.channel_in(language),
            link=self._policy.merchant_page(chosen["merchant_token"]),
            work_order_until=_time(visit_ms),
            visit="" if visit_ms is None else self._signed(chosen, visit_ms),
        )

    def _signed(self, chosen: Case, visit_ms: int) -> str:
        """The visit as terminals with command keys believe it; "" for a center that has none. Always the same bytes."""
        body = VisitBody(iss=self._issuer[:64], aud=f"{chosen['estate']}/{chosen['terminal']}", until=visit_ms // 1000)
        try:
            return self._signer.sign(to_json_whole(body)).decode()
        except Refusal:
            return ""


def _time(at_ms: int | None) -> str | None:
    return None if at_ms is None else timestamp(at_ms / 1000)


def _foremost(connection: Connection, estate: str, terminal: str) -> Case | None:
    """The open case that the merchant most wants to hear of; one with a visit wins, for parts may change then."""
    where = (cases.c.estate == estate, cases.c.terminal == terminal, cases.c.state.in_(OPEN))
    visit = cases.c.work_order_until_ms.is_(None)
    query = select(cases).where(*where).order_by(visit, case(_RANK, value=cases.c.severity), cases.c.id)
    row = connection.execute(query.limit(1)).mappings().first()
    return None if row is None else dict(row)


def _old(connection: Connection, now_ms: int) -> list[tuple[str, str]]:
    query = select(case_messages.c.estate, case_messages.c.terminal).where(case_messages.c.renew_ms <= now_ms)
    return [(row.estate, row.terminal) for row in connection.execute(query.limit(_AT_ONCE))]
