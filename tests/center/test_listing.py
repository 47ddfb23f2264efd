"""Tables: a row is one line of any terminal and of a pipe."""

from __future__ import annotations

from typing import Any

import pytest
from rich.cells import cell_len

from center.listing import lines

ITEMS = [
    {"case": "1005", "state": "acknowledged", "what": "Corner shop: the printer has no paper", "who": "ann"},
    {"case": "1006", "state": "new", "what": "街角小店：打印机缺纸，打印机缺纸，打印机缺纸，打印机缺纸", "who": ""},
]
COLUMNS = {name: (lambda it, name=name: it[name]) for name in ("case", "state", "what", "who")}


def test_what_fits_is_aligned() -> None:
    assert lines({name: COLUMNS[name] for name in ("case", "state", "who")}, ITEMS, width=40, drop=("who",)) == [
        "case  state         who",
        "1005  acknowledged  ann",
        "1006  new",
    ]


@pytest.mark.parametrize("width", [100, 50, 36, 20])
def test_no_row_is_wider_than_the_terminal_nor_two_lines(width: int) -> None:
    made = lines(COLUMNS, ITEMS, width=width, drop=("who", "state"), cut="what")
    assert all(cell_len(line) <= max(width, 26) for line in made)
    assert [line[:4] for line in made[:3]] == ["case", "1005", "1006"]
    assert len(made) == (3 if width == 100 else 4)


def test_columns_go_in_their_order_and_the_last_line_says_which() -> None:
    made = lines(COLUMNS, ITEMS, width=50, drop=("who", "state"), cut="what")
    assert made[-1] == "too narrow for: who, state"
    assert made[0].split() == ["case", "what"]
    assert made[2].endswith("…")


def test_a_pipe_gets_everything_in_one_line_each() -> None:
    long: list[dict[str, Any]] = [ITEMS[0] | {"what": "word " * 200 + "end\n\x1b[2J"}]
    made = lines(COLUMNS, long, drop=("who",), cut="what")
    assert len(made) == 2
    assert made[1].split()[-3:] == ["end", "[2J", "ann"]
    assert "\x1b" not in made[1]


def test_a_column_without_a_word_in_it_goes_first() -> None:
    made = lines(COLUMNS, [ITEMS[0] | {"who": ""}], width=58, drop=("state", "who"), cut="what")
    assert not made[0].split()[-1].startswith("who")
    assert not made[-1].startswith("too narrow"), "nothing is missing"
