"""What becomes of commands: from what terminals answer, and from what they do not answer in time.

The state is computed from all answers that there are, so answers may come twice, late or in any order. What a
terminal says of its own command always stands over what the center took for granted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, and_, bindparam, exists, func, literal, or_, select, update

from center.db import feed
from center.db.engine import Database
from center.db.tables import commands, outbox, results
from center.domain import posts
from center.domain.commands_order import ALL
from center.domain.follow import Follower

OPEN: Final = ("queued", "sent", "accepted", "running")
FINAL: Final = frozenset({"succeeded", "failed", "rejected", "expired", "interrupted"})
GRACE_MS: Final = 60_000
"""An answer may be that long under way after a command's end."""
LONGEST_MS: Final = 1_200_000
"""What was accepted may take that long after a command's end: the longest is a bundle on a slow line."""
UNHEARD: Final = "no answer came"
UNENDED: Final = "it was accepted, and nothing was heard of its end"
UNAPPROVED: Final = "no second person approved it in time"
_MOST: Final = 500


def told(answers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """State, output and error of a command by its terminal's answers, in the order of boot and seq. Pure.

    Of several last words the first stands; {} for no answers.
    """
    state, output, error = "", None, ""
    for answer in answers:
        state, error = answer["state"], answer["error"]
        output = answer["output"] if answer["output"] is not None else output
        if state in FINAL:
            break
    return {"state": state, "output": output, "error": error} if state else {}


def told_by_all(counts: Mapping[str, int]) -> dict[str, Any]:
    """The end of a command to a whole estate: how many terminals ended it how. Pure."""
    state = "succeeded" if counts.get("succeeded") else "expired"
    return {"state": state, "output": {"terminals": dict(counts)}, "error": "" if counts else UNHEARD}


class CommandEngine:
    """Follows results; marks what was sent, and ends what nobody answers."""

    name: Final = "commands"

    def __init__(self, database: Database) -> None:
        self._database = database
        self._feed = Follower(database, self.name)

    def step(self, now_ms: int) -> bool:
        with self._feed.trying(now_ms):
            more = self._answers(now_ms)
        return any((more, self._sent(now_ms), self._overdue(now_ms)))

    def _answers(self, now_ms: int) -> bool:
        with self._database.read() as connection:
            some = self._feed.page(connection)
            found = _answered(connection, sorted(some.keys("result")))
        if not some.changes:
            return False
        with self._database.begin() as connection:
            _store(connection, found, now_ms)
            some.save(connection, now_ms)
            _tell(connection, found, now_ms)
        return some.more

    def _sent(self, now_ms: int) -> bool:
        """The broker has it."""
        post = and_(outbox.c.key == literal("command/") + commands.c.id, outbox.c.state == posts.DONE)
        query = select(commands.c.id, commands.c.estate, commands.c.terminal)
        query = query.where(commands.c.state == "queued", exists().where(post)).limit(_MOST)
        return self._end(query, {"state": "sent"}, "queued", now_ms)

    def _overdue(self, now_ms: int) -> bool:
        late = commands.c.exp_ms
        which = (
            ("waiting_approval", late < now_ms, UNAPPROVED),
            ("queued", late < now_ms - GRACE_MS, UNHEARD),
            ("sent", and_(commands.c.terminal != ALL, late < now_ms - GRACE_MS), UNHEARD),
            ("accepted", late < now_ms - LONGEST_MS, UNENDED),
            ("running", late < now_ms - LONGEST_MS, UNENDED),
        )
        more = False
        for state, overdue, why in which:
            query = select(commands.c.id, commands.c.estate, commands.c.terminal)
            query = query.where(commands.c.state == state, overdue).order_by(commands.c.exp_ms).limit(_MOST)
            more |= self._end(query, {"state": "expired", "error": why}, state, now_ms)
        return more | self._end_broadcasts(now_ms)

    def _end(self, query: Any, changed: Mapping[str, Any], was: str, now_ms: int) -> bool:
        with self._database.read() as connection:
            rows = [{**row, **changed} for row in connection.execute(query).mappings()]
        if not rows:
            return False
        ids = [row["id"] for row in rows]
        with self._database.begin() as connection:
            still = and_(commands.c.id.in_(ids), commands.c.state == was)
            connection.execute(update(commands).where(still).values(updated_ms=now_ms, **changed))
            _tell(connection, rows, now_ms)
        return len(rows) == _MOST

    def _end_broadcasts(self, now_ms: int) -> bool:
        """What went to a whole estate ends when the last that began may have ended."""
        query = select(commands.c.id, commands.c.estate, commands.c.terminal).where(
            commands.c.state == "sent", commands.c.terminal == ALL, commands.c.exp_ms < now_ms - LONGEST_MS
        )
        with self._database.read() as connection:
            rows = connection.execute(query.limit(10)).all()
            found = [
                {"id": row.id, "estate": row.estate, "terminal": row.terminal}
                | told_by_all(broadcast_states(connection, row.id, row.estate))
                for row in rows
            ]
        if found:
            with self._database.begin() as connection:
                _store(connection, found, now_ms)
                _tell(connection, found, now_ms)
        return len(rows) == 10


def broadcast_states(connection: Connection, command_id: str, estate: str) -> dict[str, int]:
    """How many terminals of the estate told which state last, of a command to all."""
    mine = (results.c.command_id == command_id) & (results.c.estate == estate)
    last = func.row_number().over(
        partition_by=results.c.terminal, order_by=(results.c.boot.desc(), results.c.seq.desc())
    )
    each = select(results.c.state, last.label("n")).where(mine).subquery()
    rows = connection.execute(select(each.c.state, func.count()).where(each.c.n == 1).group_by(each.c.state))
    return {str(state): int(n) for state, n in rows}


def _answered(connection: Connection, ids: Sequence[str]) -> list[dict[str, Any]]:
    """Commands with the states that their own terminals' answers give them."""
    rows: list[Any] = []
    for start in range(0, len(ids), _MOST):
        own = and_(
            commands.c.id == results.c.command_id,
            commands.c.estate == results.c.estate,
            commands.c.terminal == results.c.terminal,
        )
        query = select(
            commands.c.id, commands.c.estate, commands.c.terminal, results.c.state, results.c.output, results.c.error
        )
        some = commands.c.id.in_(ids[start : start + _MOST])
        order = (commands.c.id, results.c.boot, results.c.seq)
        rows += connection.execute(query.join_from(commands, results, own).where(some).order_by(*order)).all()
    grouped: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for row in rows:
        answer = {"state": row.state, "output": row.output, "error": row.error}
        grouped.setdefault((row.id, row.estate, row.terminal), []).append(answer)
    return [
        {"id": command_id, "estate": estate, "terminal": terminal} | told(answers)
        for (command_id, estate, terminal), answers in grouped.items()
    ]


def _store(connection: Connection, found: Sequence[Mapping[str, Any]], now_ms: int) -> None:
    if not found:
        return
    values: dict[str, Any] = {name: bindparam(f"b_{name}") for name in ("state", "output", "error")}
    changed = or_(
        commands.c.state != bindparam("b_state"),
        commands.c.error != bindparam("b_error"),
        commands.c.state == "running",
    )
    statement = update(commands).where(commands.c.id == bindparam("b_id"), changed)
    rows = [{f"b_{name}": row[name] for name in ("id", "state", "output", "error")} for row in found]
    connection.execute(statement.values(**values, updated_ms=now_ms), rows)


def _tell(connection: Connection, found: Iterable[Mapping[str, Any]], now_ms: int) -> None:
    feed.append(connection, [("command", row["estate"], row["terminal"], row["id"]) for row in found], now_ms)
