"""Sets of numbers kept as runs, so that a year of messages without a hole costs one pair. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush

Span = tuple[int, int]
"""First and last, both included."""


class Spans:
    """A set of whole numbers. Memory grows with the number of runs, not of numbers."""

    def __init__(self, runs: Iterable[Sequence[int]] = ()) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        for first, last in runs:
            self._firsts.append(first)
            self._lasts.append(last)

    def add(self, number: int) -> bool:
        """Add one number. Returns whether it was new."""
        at = bisect_right(self._firsts, number)
        if at and self._lasts[at - 1] >= number:
            return False
        joins_left = at > 0 and self._lasts[at - 1] == number - 1
        joins_right = at < len(self._firsts) and self._firsts[at] == number + 1
        if joins_left and joins_right:
            self._lasts[at - 1] = self._lasts.pop(at)
            del self._firsts[at]
        elif joins_left:
            self._lasts[at - 1] = number
        elif joins_right:
            self._firsts[at] = number
        else:
            self._firsts.insert(at, number)
            self._lasts.insert(at, number)
        return True

    def runs(self) -> list[Span]:
        """The runs, ascending."""
        return list(zip(self._firsts, self._lasts, strict=True))

    def count(self) -> int:
        """How many numbers there are."""
        return sum(self._lasts) - sum(self._firsts) + len(self._firsts)

    def first(self) -> int:
        """The lowest number. Raises IndexError when there is none."""
        return self._firsts[0]

    def last(self) -> int:
        """The highest number. Raises IndexError when there is none."""
        return self._lasts[-1]

    def holes(self, first: int, last: int) -> Iterator[Span]:
        """The runs from `first` to `last` that are not in the set."""
        for low, high in zip(self._firsts, self._lasts, strict=True):
            if low > last:
                break
            if low > first:
                yield first, low - 1
            first = max(first, high + 1)
        if first <= last:
            yield first, last


@dataclass(slots=True)
class Receipt:
    """What a terminal says it dropped: `n` of the numbers from `first` to `last`; which of them it does not say."""

    first: int
    last: int
    n: int
    why: str


def unaccounted(holes: Iterable[Span], receipts: Iterable[Receipt]) -> tuple[list[Span], dict[str, int]]:
    """The holes that no receipt can explain, and how many numbers each reason explains.

    A receipt explains at most `n` numbers of its range. Each number is given to the receipt that ends soonest, which
    explains as many as can be explained.
    """
    waiting = sorted(receipts, key=lambda receipt: receipt.first, reverse=True)
    usable: list[tuple[int, int, Receipt, int]] = []  # last, tie-break, receipt, how many it can still explain
    missing: list[Span] = []
    explained: dict[str, int] = {}
    ticket = 0
    for first, last in holes:
        at = first
        while at <= last:
            while waiting and waiting[-1].first <= at:
                receipt = waiting.pop()
                ticket += 1
                heappush(usable, (receipt.last, ticket, receipt, receipt.n))
            while usable and (usable[0][0] < at or usable[0][3] <= 0):
                heappop(usable)
            until = min(last, waiting[-1].first - 1) if waiting else last
            if not usable:
                _append(missing, at, until)
                at = until + 1
                continue
            ends, order, receipt, left = usable[0]
            taken = min(until, ends, at + left - 1) - at + 1
            usable[0] = (ends, order, receipt, left - taken)  # its place in the heap does not depend on the rest
            explained[receipt.why] = explained.get(receipt.why, 0) + taken
            at += taken
    return missing, explained


def _append(spans: list[Span], first: int, last: int) -> None:
    if spans and spans[-1][1] == first - 1:
        spans[-1] = (spans[-1][0], last)
    else:
        spans.append((first, last))
