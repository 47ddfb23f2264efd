"""Tables for a terminal of any width, and for pipes: a row is one line, and no word is folded."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

Columns = Mapping[str, Callable[[Any], str]]

_GAP: Final = 2
_LEAST: Final = 12
"""No column is cut to less; what is wider then is left to the terminal."""


def show(columns: Columns, items: Sequence[Any], *, drop: Sequence[str] = (), cut: str = "") -> None:
    """Print items as a table with headings; in a terminal no wider than that, otherwise as wide as need be."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for line in lines(columns, items, width=width, drop=drop, cut=cut):
        print(line)


def lines(
    columns: Columns, items: Sequence[Any], *, width: int | None = None, drop: Sequence[str] = (), cut: str = ""
) -> list[str]:
    """The lines of the table. What is too wide loses the columns in `drop`, the first first, and then the end of `cut`.

    A last line tells what was left out, if there was anything in it. Widths are in cells of a terminal, of which
    Chinese takes two a letter.
    """
    from rich.cells import cell_len, set_cell_size  # noqa: PLC0415 - takes a moment, and other verbs need none of it

    table = {name: [name, *(_plain(told(item)) for item in items)] for name, told in columns.items()}
    widths = {name: max(map(cell_len, cells)) for name, cells in table.items()}
    gone: list[str] = []
    for name in sorted(drop, key=lambda name: any(table[name][1:])):  # those without a word in them before the others
        if width is None or _total(widths) <= width:
            break
        if any(table[name][1:]):
            gone.append(name)
        del widths[name]
    if width is not None and cut in widths and _total(widths) > width:
        widths[cut] = max(_LEAST, widths[cut] - (_total(widths) - width))
        table[cut] = [
            cell if cell_len(cell) <= widths[cut] else set_cell_size(cell, widths[cut] - 1).rstrip() + "…"
            for cell in table[cut]
        ]
    rows = zip(*(([set_cell_size(cell, size) for cell in table[name]]) for name, size in widths.items()), strict=True)
    made = [(" " * _GAP).join(row).rstrip() for row in rows]
    return [*made, f"too narrow for: {', '.join(gone)}"] if gone else made


def _total(widths: Mapping[str, int]) -> int:
    return sum(widths.values()) + _GAP * (len(widths) - 1)


def _plain(text: str) -> str:
    """In one line, and without control characters, which could write anywhere on the screen."""
    return "".join(c if c.isprintable() else " " for c in text)
