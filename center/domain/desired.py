"""Settings wished of each terminal: what is sent, what became of it, and where something else is in force now.

One row of `desired_configs` is one version. Versions are made by campaigns only, also for a single terminal, so that
none goes out without a reason and a second person. Topic `config` is retained: a terminal that is away gets it later.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, and_, bindparam, func, select, tuple_, update

from agent import wire
from center.access.scope import Scope
from center.db import feed
from center.db.engine import Database, among
from center.db.tables import desired_configs, events, terminals
from center.domain import posts
from center.domain.commands import EARLY_S
from center.domain.commands_key import Signer
from center.domain.desired_settings import Settings, diff, state_of
from center.domain.follow import Follower
from center.domain.refusal import Refusal

Key = tuple[str, str]
_SLICE: Final = 400
_MOST_SHOWN: Final = 200


def sealed(signer: Signer, issuer: str, key: Key, version: int, settings: Settings, now_ms: int) -> dict[str, Any]:
    """The row of `outbox` that carries signed settings. Raises Refusal when they do not fit into a message."""
    estate, terminal = key
    body = wire.SettingsBody(
        iss=issuer[:64],
        aud=f"{estate}/{terminal}",
        nbf=now_ms // 1000 - EARLY_S,
        version=version,
        settings=settings,
    )
    payload = signer.sign(wire.to_json_whole(body))
    if len(payload) > wire.MAX_PACKET_BYTES - 512:
        raise Refusal("invalid", "the settings of one terminal do not fit into one message")
    topic = wire.Topics(estate, terminal).of("config")
    return posts.mqtt(f"config/{estate}/{terminal}/{version}", topic, payload, now_ms, retain=True)


def newest(connection: Connection, keys: Sequence[Key]) -> dict[Key, Mapping[str, Any]]:
    """The present version of each of these terminals."""
    found: dict[Key, Mapping[str, Any]] = {}
    table = desired_configs.c
    for start in range(0, len(keys), _SLICE):
        some = among((table.estate, table.terminal), keys[start : start + _SLICE])
        query = select(desired_configs).where(some, table.state != "replaced").order_by(table.version)
        found.update(((row["estate"], row["terminal"]), dict(row)) for row in connection.execute(query).mappings())
    return found


def replace(connection: Connection, keys: Iterable[Key], now_ms: int) -> None:
    """Versions before a new one are history. Called before the new ones are inserted."""
    mine = and_(
        desired_configs.c.estate == bindparam("b_estate"),
        desired_configs.c.terminal == bindparam("b_terminal"),
        desired_configs.c.state != "replaced",
    )
    rows = [{"b_estate": estate, "b_terminal": terminal} for estate, terminal in keys]
    if rows:
        connection.execute(update(desired_configs).where(mine).values(state="replaced", updated_ms=now_ms), rows)


class DesiredEngine:
    """Follows what terminals report of their settings."""

    name: Final = "desired"

    def __init__(self, database: Database) -> None:
        self._database = database
        self._feed = Follower(database, self.name)

    def step(self, now_ms: int) -> bool:
        with self._feed.trying(now_ms):
            return self._step(now_ms)

    def _step(self, now_ms: int) -> bool:
        with self._database.read() as connection:
            some = self._feed.page(connection)
            touched = {
                (change.estate, change.terminal)
                for change in some.changes
                if change.kind == "terminal" and change.key == "config" and change.estate and change.terminal
            }
            touched |= _applied_events(connection, [int(key) for key in some.keys("event")])
            moved = self._moved(connection, sorted(touched))
        if not some.changes:
            return False
        with self._database.begin() as connection:
            _store(connection, moved, now_ms)
            some.save(connection, now_ms)
            told = [("desired", row["b_estate"], row["b_terminal"], str(row["b_version"])) for row in moved]
            feed.append(connection, told, now_ms)
        return some.more

    def _moved(self, connection: Connection, keys: Sequence[Key]) -> list[dict[str, Any]]:
        """Versions whose state changes."""
        moved = []
        reports = _reports(connection, keys)
        for key, row in newest(connection, keys).items():
            reported, version = reports.get(key), int(row["version"])
            passed = row["state"] in {"sent", "tried"} and _has_passed(connection, key, version)
            state, error, digest = state_of(version, row["state"], row["hash"], reported, passed)
            if (state, error) != (row["state"], row["error"]):
                names = {"b_estate": key[0], "b_terminal": key[1], "b_version": version, "b_was": row["state"]}
                moved.append({**names, "b_state": state, "b_error": error, "b_hash": digest})
        return moved


def _store(connection: Connection, moved: Sequence[Mapping[str, Any]], now_ms: int) -> None:
    if not moved:
        return
    mine = and_(
        *(desired_configs.c[name] == bindparam(f"b_{name}") for name in ("estate", "terminal", "version")),
        desired_configs.c.state == bindparam("b_was"),
    )
    values: dict[str, Any] = {name: bindparam(f"b_{name}") for name in ("state", "error", "hash")}
    connection.execute(update(desired_configs).where(mine).values(**values, updated_ms=now_ms), moved)


def _applied_events(connection: Connection, ids: Sequence[int]) -> set[Key]:
    found: set[Key] = set()
    for start in range(0, len(ids), _SLICE):
        some = and_(events.c.id.in_(ids[start : start + _SLICE]), events.c.event == "config.applied")
        rows = connection.execute(select(events.c.estate, events.c.terminal).where(some))
        found.update((row.estate, row.terminal) for row in rows)
    return found


def _has_passed(connection: Connection, key: Key, version: int) -> bool:
    """Whether the terminal's log says that this version has passed its trial."""
    query = select(events.c.data).where(
        events.c.estate == key[0], events.c.terminal == key[1], events.c.event == "config.applied"
    )
    rows = connection.execute(query.order_by(events.c.id.desc()).limit(_MOST_SHOWN)).scalars()
    return any(str((data or {}).get("version")) == str(version) for data in rows)


def _reports(connection: Connection, keys: Sequence[Key]) -> dict[Key, Mapping[str, Any]]:
    found: dict[Key, Mapping[str, Any]] = {}
    table = terminals.c
    for start in range(0, len(keys), _SLICE):
        some = among((table.estate, table.terminal), keys[start : start + _SLICE])
        query = select(table.estate, table.terminal, table.config_reported).where(some)
        found.update(((row.estate, row.terminal), row.config_reported) for row in connection.execute(query))
    return found


# --- what people look at


def history(connection: Connection, scope: Scope, estate: str, terminal: str) -> list[dict[str, Any]]:
    """All versions of one terminal, newest first, each with who wished it, why, and what it changed."""
    table = desired_configs.c
    query = select(desired_configs).where(
        table.estate == estate, table.terminal == terminal, scope.where(desired_configs)
    )
    rows = connection.execute(query.order_by(table.version.desc()).limit(_MOST_SHOWN)).mappings().all()
    before = [row["body"] for row in rows[1:]] + [{}]
    return [{**row, "changed": diff(old, row["body"])} for row, old in zip(rows, before, strict=False)]


def drift(connection: Connection, scope: Scope, after: Key | None = None, limit: int = 100) -> list[dict[str, Any]]:
    """Terminals where something else is in force than what was applied, by (estate, terminal) after `after`.

    Who changed it there is not known to the center; who wished what it had is in the row.
    """
    table = desired_configs.c
    query = select(desired_configs, terminals.c.config_reported.label("reported")).join(
        terminals, and_(terminals.c.estate == table.estate, terminals.c.terminal == table.terminal)
    )
    query = query.where(table.state == "drifted", scope.where(desired_configs))
    if after is not None:
        query = query.where(tuple_(table.estate, table.terminal) > after)
    rows = connection.execute(query.order_by(table.estate, table.terminal).limit(limit)).mappings()
    return [dict(row) for row in rows]


def by_state(connection: Connection, scope: Scope) -> dict[str, int]:
    """How many terminals' present settings stand how."""
    table = desired_configs.c
    query = select(table.state, func.count()).where(table.state != "replaced", scope.where(desired_configs))
    return {str(state): int(n) for state, n in connection.execute(query.group_by(table.state))}
