"""Where a terminal measures itself to be: its modem's operator and serving cell, as telemetry names them. Pure.

Each is ordered by the batch that told it, so that a late batch never takes back what a newer one said. What is shown of
it is for center/db/places.py to say.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from center.ingest.order import row_order

COLUMNS: Final = (
    *("estate", "terminal", "measured_operator", "operator_version", "measured_cell", "cell_version"),
    "created_ms",
)
OPERATOR: Final = '"modem.operator":'
CELL: Final = '"modem.cell":'
_MOST: Final = 64  # letters; an operator's name has 16 at most, a cell's number 9 digits
# Without an escape, and so without quotes and control characters. A reading that failed is {"error": …}: no match.
_TOLD: Final = re.compile(rf'"modem\.(operator|cell)":"([^"\\\x00-\x1f]{{1,{_MOST}}})"')

Told = dict[tuple[str, str], dict[str, tuple[str, str]]]
"""By estate and terminal: `operator` and `cell`, each with its version and value."""
_NOTHING: Final = ("", None)


def note(told: Told, row: Sequence[Any]) -> None:
    """Take in a row of telemetry that names one of them."""
    estate, terminal, boot, seq, _at_ms, _late, samples = row
    version = row_order(boot, seq)
    for name, value in _TOLD.findall(samples):
        known = told.setdefault((estate, terminal), {})
        if value.strip() and known.get(name, _NOTHING)[0] <= version:  # of one batch the last is the newest
            known[name] = version, value.strip()


def rows(told: Told, now_ms: int) -> list[tuple[Any, ...]]:
    """Rows of `COLUMNS`; a value that was not told is null, and its version ""."""
    found = []
    for where, known in told.items():
        operator_version, operator = known.get("operator", _NOTHING)
        cell_version, cell = known.get("cell", _NOTHING)
        found.append((*where, operator, operator_version, cell, cell_version, now_ms))
    return found
