"""Campaigns at work: lists the targets, asks some at a time, hears how it went, and goes on, waits or halts.

Each step is short and committed whole, so neither a hundred thousand targets nor a kill disturb anything else. Signing
is done before a transaction begins; what has changed meanwhile is seen within it, and then nothing is written.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from sqlalchemy import ColumnElement, Connection, and_, bindparam, exists, false, func, or_, select, update

from center.access.scope import Scope
from center.db import feed
from center.db.aside import why
from center.db.engine import Database, among, insert_ignore, is_poison
from center.db.tables import campaign_targets, campaigns, terminals
from center.domain import campaigns_audience, campaigns_plan, campaigns_settle
from center.domain.campaigns_ask import Asked, ask
from center.domain.campaigns_plan import Judgement, Tally
from center.domain.commands import FOUR_EYES_TERMINALS
from center.domain.commands_key import Signer
from center.domain.follow import Follower
from center.domain.refusal import Refusal

log = logging.getLogger("posdiag.center.campaigns")

LISTED: Final = 1000  # targets in one transaction
TRIAL_MS: Final = 1_800_000
"""Settings of which nothing was heard for so long are not waited for: a trial takes an hour at most, five minutes
usually."""
_MANY_GREW: Final = 1.1
Seen = Literal["answered", "failed", "hurt"]


class CampaignEngine:
    """`issuer` is this center's name; `many` needs a second person, as in Campaigns."""

    name: Final = "campaigns"

    def __init__(self, database: Database, signer: Signer, issuer: str, many: int = FOUR_EYES_TERMINALS) -> None:
        self._database = database
        self._feed = Follower(database, self.name)
        self._signer = signer
        self._issuer = issuer
        self._many = many
        self._listing: dict[str, list[tuple[str, str, int]]] = {}
        self._problems: dict[str, str] = {}

    def step(self, now_ms: int) -> bool:
        with self._feed.trying(now_ms):
            more = self._hear(now_ms)
        with self._database.read() as connection:
            query = select(campaigns).where(campaigns.c.state == "running").order_by(campaigns.c.id)
            running = [dict(row) for row in connection.execute(query).mappings()]
        failed: dict[str, Exception] = {}
        for row in running:
            try:
                more |= self._list(row, now_ms) if row["wave"] == 0 else self._go_on(row, now_ms)
            except Exception as error:  # the others go on; the first is raised again, the rest stand in the log
                if not is_poison(error):
                    raise
                failed[row["id"]] = error
        self._tell(failed)
        for first in failed.values():
            raise first
        return more

    def _tell(self, failed: Mapping[str, Exception]) -> None:
        """Which campaigns cannot go on and why, once for each reason; the engine itself tells of one alone."""
        problems = {name: why(error) for name, error in failed.items()}
        for name, problem in problems.items():
            if self._problems.get(name) != problem:
                log.error("campaign %s cannot go on: %s", name, problem, exc_info=failed[name])
        self._problems = problems

    # --- what came back

    def _hear(self, now_ms: int) -> bool:
        with self._database.read() as connection:
            some = self._feed.page(connection)
        if not some.changes:
            return False
        with self._database.begin() as connection:
            touched = campaigns_settle.commands_ended(connection, some.keys("command"), now_ms)
            settings = {
                (change.estate or "", change.terminal or "", int(change.key))
                for change in some.changes
                if change.kind == "desired"
            }
            touched |= campaigns_settle.settings_ended(connection, settings, now_ms)
            here = {
                (c.estate or "", c.terminal or "") for c in some.changes if (c.kind, c.key) == ("terminal", "state")
            }
            campaigns_settle.wake(connection, here, now_ms)
            some.save(connection, now_ms)
            feed.append(connection, [("campaign", None, None, each) for each in sorted(touched)], now_ms)
        return some.more

    # --- who it is for

    def _list(self, row: Mapping[str, Any], now_ms: int) -> bool:
        """List some of the targets; the last of them begin the first wave."""
        left = self._listing.get(row["id"])
        if left is None:
            with self._database.read() as connection:
                left = _placed(connection, row)
            risky = len(left) > self._many and row["approved_by"] is None
            if risky or (len(left) > row["targets_n"] * _MANY_GREW and len(left) > self._many):
                why = f"{len(left)} terminals are like that now, {row['targets_n']} were when it was made"
                self._move(row, "waiting_approval", now_ms, why=why, approved_by=None, targets_n=len(left))
                return False
            self._listing[row["id"]] = left
        some, left = left[:LISTED], left[LISTED:]
        names = ("estate", "terminal", "wave")
        same = {"campaign_id": row["id"], "state": "waiting", "updated_ms": now_ms}
        with self._database.begin() as connection:
            if not _is(connection, row, "running"):
                self._listing.pop(row["id"], None)
                return False
            stand = _sites(connection, [(estate, terminal) for estate, terminal, _ in some])
            rows = [same | dict(zip(names, each, strict=True)) | {"site": stand.get(each[:2], "")} for each in some]
            insert_ignore(connection, campaign_targets, rows)
            if not left:
                values = {
                    "wave": 1,
                    "wave_begun_ms": now_ms,
                    "targets_n": _count(connection, row),
                    "updated_ms": now_ms,
                }
                connection.execute(update(campaigns).where(campaigns.c.id == row["id"]).values(values))
                feed.append(connection, [("campaign", None, None, row["id"])], now_ms)
        if left:
            self._listing[row["id"]] = left
        else:
            self._listing.pop(row["id"], None)
        return True

    # --- one wave after the other

    def _go_on(self, row: Mapping[str, Any], now_ms: int) -> bool:
        if row["kind"] == "config":
            self._give_up_on(row, now_ms)
        more = self._ask(row, now_ms)
        judgement = self._judge(row, now_ms)
        if judgement.what == "halt":  # also in the pause after a wave, which is there to see harm
            return self._move(row, "halted", now_ms, why=judgement.why)
        if row["wave_done_ms"] is not None:
            pause_ms = 1000 * int(row["waves"][row["wave"] - 1]["pause_s"])
            if now_ms < row["wave_done_ms"] + pause_ms:
                return more
            return self._move(row, "running", now_ms, wave=row["wave"] + 1, wave_begun_ms=now_ms, wave_done_ms=None)
        if judgement.what == "next" and row["wave"] < len(row["waves"]):
            done_ms = now_ms if _has_targets(self._database, row) else 0  # an empty wave is no reason to wait
            return self._move(row, "running", now_ms, wave_done_ms=done_ms)
        if judgement.what == "next":
            return self._finish(row, now_ms) or more
        return more

    def _judge(self, row: Mapping[str, Any], now_ms: int) -> Judgement:
        age_s = (now_ms - (row["wave_begun_ms"] or now_ms)) / 1000
        with self._database.read() as connection:
            tally = tally_of(connection, row)
        return campaigns_plan.judge(tally, row["halt_share"], age_s, row["pace"]["patience_s"])

    def _finish(self, row: Mapping[str, Any], now_ms: int) -> bool:
        """The last wave is good enough. Whoever is away has until its patience is over."""
        over = now_ms - (row["wave_begun_ms"] or now_ms) > 1000 * row["pace"]["patience_s"]
        target = campaign_targets.c
        left = and_(target.campaign_id == row["id"], target.state.in_(("waiting", "offline", "sent")))
        with self._database.begin() as connection:
            if not over and connection.execute(select(target.terminal).where(left).limit(1)).first() is not None:
                return False
            given_up = {"state": "unanswered", "error": "it was not there in time", "updated_ms": now_ms}
            connection.execute(update(campaign_targets).where(left).values(given_up))
        return self._move(row, "done", now_ms, ended_ms=now_ms)

    def _move(self, row: Mapping[str, Any], state: str, now_ms: int, **values: Any) -> bool:
        """Unless somebody was quicker. True, since there may be something to do at once."""
        with self._database.begin() as connection:
            if _is(connection, row, "running"):
                changed = {"state": state, "updated_ms": now_ms, **values}
                connection.execute(update(campaigns).where(campaigns.c.id == row["id"]).values(changed))
                feed.append(connection, [("campaign", None, None, row["id"])], now_ms)
        return True

    def _give_up_on(self, row: Mapping[str, Any], now_ms: int) -> None:
        target = campaign_targets.c
        silent = and_(target.campaign_id == row["id"], target.state == "sent", target.updated_ms < now_ms - TRIAL_MS)
        with self._database.read() as connection:
            if connection.execute(select(target.terminal).where(silent).limit(1)).first() is None:
                return
        with self._database.begin() as connection:
            values = {"state": "unanswered", "error": "nothing was heard of the settings", "updated_ms": now_ms}
            connection.execute(update(campaign_targets).where(silent).values(values))

    # --- asking

    def _ask(self, row: Mapping[str, Any], now_ms: int) -> bool:
        with self._database.read() as connection:
            try:
                asked = ask(connection, self._signer, self._issuer, row, now_ms)
            except Refusal as refusal:
                return self._move(row, "halted", now_ms, why=str(refusal)) and False
        if not asked.targets:
            return False
        with self._database.begin() as connection:
            if not _is(connection, row, "running"):
                return False
            self._store(connection, asked, row, now_ms)
        return asked.more

    def _store(self, connection: Connection, asked: Asked, row: Mapping[str, Any], now_ms: int) -> None:
        """Only this engine takes targets from `waiting`, so what was read is still so."""
        mine = and_(
            campaign_targets.c.campaign_id == row["id"],
            campaign_targets.c.estate == bindparam("b_estate"),
            campaign_targets.c.terminal == bindparam("b_terminal"),
        )
        names = ("state", "command_id", "attempts", "asked_ms", "not_before_ms", "error")
        values: dict[str, Any] = {name: bindparam(f"b_{name}") for name in names}
        rows = [{f"b_{name}": value for name, value in target.items()} for target in asked.targets]
        connection.execute(update(campaign_targets).where(mine).values(**values, updated_ms=now_ms), rows)
        feed.append(connection, asked.store(connection, now_ms), now_ms)


def tally_of(connection: Connection, row: Mapping[str, Any]) -> Tally:
    """The present wave; of what has ended, what ended since the campaign was started or resumed."""
    target = campaign_targets.c
    mine = _counted(row)
    counts = {
        str(state): int(n)
        for state, n in connection.execute(select(target.state, func.count()).where(mine).group_by(target.state))
    }
    hurt = select(func.count()).select_from(campaign_targets).where(mine, _hurt())
    return Tally(**counts, hurt=int(connection.execute(hurt).scalar_one()))


def seen_by_gate(row: Mapping[str, Any], what: Seen) -> ColumnElement[bool]:
    """Which targets are behind one figure of `tally_of`; `answered` are those that did it and those that failed."""
    if what == "hurt":
        return and_(_counted(row), _hurt())
    states = ("succeeded", "failed") if what == "answered" else ("failed",)
    return and_(_counted(row), campaign_targets.c.state.in_(states))


def _counted(row: Mapping[str, Any]) -> ColumnElement[bool]:
    """None before it was started."""
    target = campaign_targets.c
    if not row["wave"] or row["started_ms"] is None:
        return false()
    fresh = or_(target.state.in_(("waiting", "offline", "sent")), target.updated_ms >= row["started_ms"])
    return and_(target.campaign_id == row["id"], target.wave == row["wave"], fresh)


def _hurt() -> ColumnElement[bool]:
    """Done well, and cannot sell since."""
    target = campaign_targets.c
    same = (terminals.c.estate == target.estate, terminals.c.terminal == target.terminal)
    since = exists().where(*same, terminals.c.can_sell == "no", terminals.c.since_ms > target.asked_ms)
    return and_(target.state == "succeeded", since.correlate(campaign_targets))


def _placed(connection: Connection, row: Mapping[str, Any]) -> list[tuple[str, str, int]]:
    """Its targets in their waves."""
    if "rollback_of" in row["args"]:
        target = campaign_targets.c
        asked = and_(target.campaign_id == row["args"]["rollback_of"], target.attempts > 0)
        who: Any = select(target.estate, target.terminal).where(asked, Scope.of(row["scope"]).where(campaign_targets))
    else:
        who = campaigns_audience.members(Scope.of(row["scope"]), row["audience"])
    found = [(str(estate), str(terminal)) for estate, terminal in connection.execute(who)]
    return campaigns_plan.assign(found, row["waves"], row["id"])


def _sites(connection: Connection, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], str]:
    at = terminals.c
    query = select(at.estate, at.terminal, at.site).where(among((at.estate, at.terminal), keys), at.site.is_not(None))
    return {(estate, terminal): site for estate, terminal, site in connection.execute(query)}


def _is(connection: Connection, row: Mapping[str, Any], state: str) -> bool:
    query = select(campaigns.c.state).where(campaigns.c.id == row["id"]).with_for_update()
    return bool(connection.execute(query).scalar() == state)


def _count(connection: Connection, row: Mapping[str, Any]) -> int:
    mine: Sequence[Any] = (campaign_targets.c.campaign_id == row["id"],)
    return int(connection.execute(select(func.count()).select_from(campaign_targets).where(*mine)).scalar_one())


def _has_targets(database: Database, row: Mapping[str, Any]) -> bool:
    target = campaign_targets.c
    query = select(target.terminal).where(target.campaign_id == row["id"], target.wave == row["wave"]).limit(1)
    with database.read() as connection:
        return connection.execute(query).first() is not None
