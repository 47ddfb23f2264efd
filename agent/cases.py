"""Local case numbers: what a merchant can say on the phone when no support center has given a number yet.

A number is nine digits in threes, since digits are said alike everywhere; the last is a check digit that notices every
wrong digit and every swap of neighbours (Damm's quasigroup). It follows from terminal, boot and a counter.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

STORE_KEY: Final = "cases"
"""Under which key of the store they are kept; their counter is `case`."""
AFTERWARDS_S: Final = 900.0
"""A fault that comes back within this is the same case: cover open, paper in, cover closed, and the call goes on."""

_DAMM: Final = (
    "0317598642",
    "7092154863",
    "4206871359",
    "1750983426",
    "6123045978",
    "3674209581",
    "5869720134",
    "8945362017",
    "9438617205",
    "2581436790",
)


def case_number(terminal: str, boot: int, count: int) -> str:
    """The number of a terminal's `count`-th case, such as 482-719-365. `terminal` is estate/terminal."""
    digest = hashlib.sha256(f"{terminal} {boot} {count}".encode()).digest()
    digits = f"{int.from_bytes(digest[:8], 'big') % 10**8:08}"
    digits += str(_check(digits))
    return "-".join((digits[:3], digits[3:6], digits[6:]))


def _check(digits: str) -> int:
    row = 0
    for digit in digits:
        row = int(_DAMM[row][int(digit)])
    return row


class Cases:
    """The open cases of one terminal, one for each root. `kept` is what `keep` was last given, from an earlier run."""

    def __init__(self, terminal: str, boot: int, kept: str, count: Callable[[], int]) -> None:
        self._terminal = terminal
        self._boot = boot
        self._count = count
        self._open = _loaded(kept)

    def update(self, roots: Iterable[str], wall: float) -> str | None:
        """Give new roots their numbers, and forget those long gone. Returns what to keep now, None if nothing new."""
        before = {root: number for root, (number, _) in self._open.items()}
        for root in roots:
            known = self._open.get(root)
            number = known[0] if known else case_number(self._terminal, self._boot, self._count())
            self._open[root] = (number, wall)
        self._open = {root: case for root, case in self._open.items() if abs(wall - case[1]) < AFTERWARDS_S}
        if before == {root: number for root, (number, _) in self._open.items()}:
            return None
        return json.dumps(self._open)

    def number(self, root: str | None) -> str:
        """The number of the case of this root; "" for none."""
        case = self._open.get(root or "")
        return case[0] if case else ""


def _loaded(kept: str) -> dict[str, tuple[str, float]]:
    try:
        values: Mapping[str, Any] = json.loads(kept or "{}")
        return {str(root): (str(number), float(at)) for root, (number, at) in values.items()}
    except (ValueError, TypeError, AttributeError):
        return {}
