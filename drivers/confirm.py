"""A changed answer counts only once a second one says the same: one XOR byte lets two flipped bits through."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

Answer = TypeVar("Answer")


class Confirmed(Generic[Answer]):
    """What a device last said twice. An unchanged answer costs one question, a changed one two or three."""

    def __init__(self) -> None:
        self._last: Answer | None = None

    def of(self, ask: Callable[[], Answer]) -> Answer | None:
        """The answer that two of up to three questions agree on, or None when all differ. Raises what `ask` raises."""
        first = ask()
        if first == self._last:
            return first
        second = ask()
        agreed: Answer | None = second
        if second != first:
            third = ask()
            agreed = third if third in (first, second) else None
        self._last = agreed
        return agreed
