"""Which terminals a campaign is for: lists of names by field, all of which must fit. Nothing outside of the scope.

`{"estates": ["acme"], "models": ["T1"], "can_sell": ["yes", "degraded"], "faults": ["modem/weak_signal"]}`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Select, and_, exists, select
from sqlalchemy.sql import ColumnElement

from center.access.scope import Scope
from center.db.tables import faults, sites, terminals
from center.domain import tags
from center.domain.refusal import Refusal

_COLUMNS: Final = {
    "estates": terminals.c.estate,
    "terminals": terminals.c.terminal,
    "sites": terminals.c.site,
    "regions": terminals.c.region,
    "operators": terminals.c.operator,
    "cells": terminals.c.cell,
    "hosts": terminals.c.host,
    "power_districts": terminals.c.power_district,
    "models": terminals.c.model,
    "firmwares": terminals.c.firmware,
    "languages": terminals.c.language,
    "status": terminals.c.status,
    "can_sell": terminals.c.can_sell,
}
_FIELDS: Final = (*_COLUMNS, "trades", "tags", "faults")
_MOST: Final = 10_000  # names in one list, so that a store's own list of terminals fits


def check(audience: Mapping[str, Any]) -> dict[str, list[str]]:
    """The audience, each list sorted and without repeats. Raises Refusal; an empty one would be everybody."""
    found: dict[str, list[str]] = {}
    for name, values in audience.items():
        if name not in _FIELDS:
            raise Refusal("invalid", f"an audience is by {', '.join(_FIELDS)}, not {str(name)[:40]!r}")
        if not isinstance(values, list) or not values or not all(isinstance(each, str) for each in values):
            raise Refusal("invalid", f"{name} of an audience is a list of names")
        found[name] = sorted(set(values))
        if len(found[name]) > _MOST:
            raise Refusal("invalid", f"{name} of an audience holds {_MOST} names at most")
    if not found:
        raise Refusal("invalid", "an audience names at least its estates")
    return found


def members(scope: Scope, audience: Mapping[str, list[str]]) -> Select[tuple[str, str]]:
    """The query for (estate, terminal) of all of it inside of the scope."""
    conditions: list[ColumnElement[bool]] = [scope.where(terminals)]
    conditions += [_COLUMNS[name].in_(values) for name, values in audience.items() if name in _COLUMNS]
    if "trades" in audience:
        same = and_(sites.c.estate == terminals.c.estate, sites.c.site == terminals.c.site)
        conditions.append(exists().where(same, sites.c.trade.in_(audience["trades"])))
    if "tags" in audience:
        conditions.append(tags.of_terminals(audience["tags"]))
    if "faults" in audience:
        same = and_(faults.c.estate == terminals.c.estate, faults.c.terminal == terminals.c.terminal)
        raised = and_(faults.c.state != "cleared", faults.c.fault.in_(audience["faults"]))
        conditions.append(exists().where(same, raised))
    return select(terminals.c.estate, terminals.c.terminal).where(*conditions)
