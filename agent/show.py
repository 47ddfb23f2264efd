"""Tables for people. Width-aware, because half of the texts are Chinese."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence


def width(text: str) -> int:
    """Columns on a terminal: wide and full-width characters take two."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text if not unicodedata.combining(c))


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Columns as wide as their widest cell, a line under the head; "" for no rows."""
    cells = [[str(cell) for cell in row] for row in rows]
    if not cells:
        return ""
    columns = [max(width(row[n]) for row in [list(head), *cells]) for n in range(len(head))]

    def line(row: Sequence[str]) -> str:
        padded = (cell + " " * (size - width(cell)) for cell, size in zip(row, columns, strict=True))
        return "  ".join(padded).rstrip()

    return "\n".join([line(list(head)), "  ".join("-" * size for size in columns), *map(line, cells)])


def age(seconds: float) -> str:
    """How long ago, in the largest unit that says enough."""
    for limit, size, unit in ((90, 1, "s"), (5400, 60, "min"), (129_600, 3600, "h")):
        if seconds < limit:
            return f"{max(0, round(seconds / size))} {unit}"
    return f"{round(seconds / 86_400)} d"
