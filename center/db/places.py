"""Where terminals stand, as their operator says: what incidents are grouped by. Terminals themselves do not know it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from sqlalchemy import Connection, bindparam, update

from center.db import feed
from center.db.engine import upsert
from center.db.tables import places, terminals

PARTS: Final = ("site", "operator", "cell", "region", "power_district", "host")


def set_places(connection: Connection, rows: Iterable[Mapping[str, Any]], now_ms: int) -> None:
    """Say where terminals stand, known already or not. A row: `estate`, `terminal` and any of `PARTS`, null for none.

    What a row does not name becomes null. No terminal twice. Each appears in the feed as `terminal` with key `place`.
    """
    whole = [
        {"estate": row["estate"], "terminal": row["terminal"], **{part: row.get(part) for part in PARTS}}
        for row in rows
    ]
    if not whole:
        return
    upsert(connection, places, [row | {"updated_ms": now_ms} for row in whole])
    here = (terminals.c.estate == bindparam("of_estate"), terminals.c.terminal == bindparam("of_terminal"))
    connection.execute(
        update(terminals).where(*here).values({part: bindparam(f"its_{part}") for part in PARTS}),
        [
            {"of_estate": row["estate"], "of_terminal": row["terminal"]} | {f"its_{part}": row[part] for part in PARTS}
            for row in whole
        ],
    )
    feed.append(connection, [("terminal", row["estate"], row["terminal"], "place") for row in whole], now_ms)
