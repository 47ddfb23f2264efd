"""Tables for people. Width-aware, because half of the texts are Chinese."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence

_NARROWEST = 24  # a column must hold a word


def width(text: str) -> int:
    """Columns on a terminal: wide and full-width characters take two."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text if not unicodedata.combining(c))


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Columns as wide as their widest cell, the last wrapped to the screen; "" for no rows."""
    from shutil import get_terminal_size  # noqa: PLC0415 - the daemon, which shows no table, holds no archivers

    cells = [[str(cell) for cell in row] for row in rows]
    if not cells:
        return ""
    columns = [max(width(row[n]) for row in [list(head), *cells]) for n in range(len(head))]
    room = max(_NARROWEST, get_terminal_size((160, 24)).columns - sum(columns[:-1]) - 2 * (len(columns) - 1))
    columns[-1] = min(columns[-1], room)

    def line(row: Sequence[str]) -> str:
        padded = (cell + " " * (size - width(cell)) for cell, size in zip(row, columns, strict=True))
        return "  ".join(padded).rstrip()

    lines = [line(list(head)), "  ".join("-" * size for size in columns)]
    for row in cells:
        first, *rest = wrap(row[-1], columns[-1])
        lines.append(line([*row[:-1], first]))
        lines += [line([*[""] * (len(row) - 1), more]) for more in rest]
    return "\n".join(lines)


def wrap(text: str, columns: int) -> list[str]:
    """Lines of at most so many columns, broken at spaces where there are any; at least one line."""
    lines = [""]
    for word in text.split(" "):
        joined = f"{lines[-1]} {word}" if lines[-1] else word
        if width(joined) <= columns:
            lines[-1] = joined
            continue
        if lines[-1]:
            lines.append("")
        for character in word:
            if width(lines[-1] + character) > columns:
                lines.append("")
            lines[-1] += character
    return lines


def age(seconds: float) -> str:
    """How long ago, in the largest unit that says enough."""
    for limit, size, unit in ((90, 1, "s"), (5400, 60, "min"), (129_600, 3600, "h")):
        if seconds < limit:
            return f"{max(0, round(seconds / size))} {unit}"
    return f"{round(seconds / 86_400)} d"
