"""How many card reads fail, from the counters that the payment application tells. Counts only, never a card.

A dirty head fails with many cards, one bad card fails many times: so it takes several different attempts to judge.
"""

from __future__ import annotations

from collections import deque

from drivers.reading import Cause, Reading, known, unknown

_ENOUGH_READS = 20  # below that one bad card is a quarter of all
_ENOUGH_ATTEMPTS = 5


class ReadCounters:
    """One reader's counters. Totals only grow; totals that shrink are of an application that was restarted."""

    def __init__(self) -> None:
        self._marks: deque[tuple[int, int, int]] = deque([(0, 0, 0)], maxlen=16)

    def report(self, good: int, failed: int, attempts: int | None = None) -> dict[str, Reading]:
        """Take totals of reads and of different attempts (customers; None counts each read as one).

        Returns read_failure_percent, reads and read_attempts over the latest stretch that is long enough, or UNKNOWN.
        """
        now = (good, failed, good + failed if attempts is None else attempts)
        if any(new < old for new, old in zip(now, self._marks[-1], strict=True)):
            self._marks = deque([(0, 0, 0)], maxlen=16)
        answer: dict[str, Reading] = {
            name: unknown(Cause.NOT_ASKED) for name in ("read_failure_percent", "reads", "read_attempts")
        }
        for mark in reversed(self._marks):
            more_good, more_failed, more_attempts = (a - b for a, b in zip(now, mark, strict=True))
            reads = more_good + more_failed
            if reads >= _ENOUGH_READS and more_attempts >= _ENOUGH_ATTEMPTS:
                answer = {
                    "read_failure_percent": known(round(100 * more_failed / reads, 1)),
                    "reads": known(reads),
                    "read_attempts": known(more_attempts),
                }
                break
        if now != self._marks[-1]:
            self._marks.append(now)
        return answer
