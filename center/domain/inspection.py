"""What an inspection of a terminal starts from: its devices as they said who they are, and what happened to them.

A merchant has to keep a list of the devices that take cards and look at them for tampering now and then (PCI DSS v4.0,
requirement 9.5.1); this is the center's part of that list.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, or_, select

from center.access.scope import Scope
from center.db.tables import cases, events, sites
from center.domain.heard import heard

MOST: Final = 200
_KINDS: Final = (
    *("device.swapped", "case.opened", "inspection", "work_order.opened", "work_order.closed", "firmware.update"),
)
_RAISED: Final = ("fault.raised", "fault.cleared")
_SECURITY: Final = (
    *("security/case_opened", "security/device_swapped", "security/relocated", "reader/tamper", "keypad/tamper"),
    *("keypad/keys_missing", "reader/card_jam"),
)
"""Faults that an inspection looks for."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """`terminal` and `site` are rows, the latter {} where none is known. `devices` are of the inventory.

    `history` is the newest first: `at_ms`, `event`, `data`; `cases` likewise. `cut` says that there is more of either.
    """

    terminal: Mapping[str, Any]
    site: Mapping[str, Any]
    devices: tuple[Mapping[str, Any], ...]
    history: tuple[Mapping[str, Any], ...]
    cases: tuple[Mapping[str, Any], ...]
    cut: bool


def sheet(connection: Connection, scope: Scope, estate: str, terminal: str) -> Sheet:
    """The sheet of one terminal. Raises Refusal for one that is not in scope."""
    row = heard(connection, scope, estate, terminal)
    at_site = (sites.c.estate == estate, sites.c.site == row["site"])
    site = connection.execute(select(sites).where(*at_site)).mappings().first()
    named = events.c.data["fault"].as_string().in_(_SECURITY)
    telling = or_(events.c.event.in_(_KINDS), events.c.event.in_(_RAISED) & named)
    about = (events.c.estate == estate, events.c.terminal == terminal, telling)
    columns = (events.c.at_ms, events.c.event, events.c.data)
    newest = select(*columns).where(*about).order_by(events.c.at_ms.desc(), events.c.id.desc()).limit(MOST + 1)
    history = [dict(each) for each in connection.execute(newest).mappings()]
    of_terminal = (cases.c.estate == estate, cases.c.terminal == terminal, scope.where(cases))
    last = select(cases).where(*of_terminal).order_by(cases.c.id.desc()).limit(MOST + 1)
    told = [dict(each) for each in connection.execute(last).mappings()]
    devices = (row["inventory"] or {}).get("devices") or ()
    return Sheet(
        dict(row),
        dict(site or {}),
        tuple(each for each in devices if isinstance(each, Mapping)),
        tuple(history[:MOST]),
        tuple(told[:MOST]),
        cut=len(history) > MOST or len(told) > MOST,
    )
