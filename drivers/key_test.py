"""The interactive test of a keypad: a person presses each key once, and what was never heard is told by its name.

Which keys were pressed, in which order and when is kept by nobody. A key is named only once most of the others were
heard, so that nobody who merely types a number is ever told of, and no idle keypad is called dead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from drivers.deadline import Deadline
from drivers.errors import Unsupported, Yielded
from drivers.exchange import Channel
from drivers.reading import Cause, Reading, ReadingSpec, known, unknown

LIMIT_S = 45.0  # two seconds for each of twenty keys; a worker that says nothing for a minute counts as lost
_REST_S = 10.0  # whoever presses nothing for that long has finished or gone
_TURN_S = 1.0
_MOST_DEAD = 4  # one in so many: a broken row or column of the matrix

DEAD = ReadingSpec(about='the keys never heard in the last key test, by name: "none", or such as "5, 8"')
NOT_TESTED = unknown(Cause.NOT_ASKED)

Progress = Callable[[int, int, float], None]
"""Called each second with the keys heard, the keys there are, and the seconds left."""


class KeyTest:
    """One test. The driver calls `hear` with each key's name; `spoil` when what comes is a PIN being typed."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = tuple(dict.fromkeys(names))
        self._left = set(self._names)
        self._news = True
        self._spoilt = False

    def hear(self, name: str) -> None:
        """A key was pressed."""
        self._news = self._news or name in self._left
        self._left.discard(name)

    def spoil(self) -> None:
        """Somebody types a PIN: the test ends at once and tells nothing."""
        self._spoilt = True

    def run(self, channel: Channel, take: Callable[[bytes], None], progress: Progress) -> Reading:
        """The reading of the dead keys, once every key was heard or nobody presses any more.

        Raises Yielded (a sale, a PIN), Unsupported when most keys were never pressed, LinkLost.
        """
        limit = Deadline(LIMIT_S, channel.clock)
        rest = Deadline(_REST_S, channel.clock)
        while self._left and not limit.expired and not rest.expired:
            progress(len(self._names) - len(self._left), len(self._names), limit.remaining_s())
            self._news = False
            take(channel.wait(Deadline(min(_TURN_S, limit.remaining_s()), channel.clock)))
            if self._spoilt:
                raise Yielded("a PIN is being typed")
            if self._news:
                rest = Deadline(_REST_S, channel.clock)
        if len(self._left) * _MOST_DEAD > len(self._names):
            raise Unsupported("the key test told nothing: too many keys were never pressed")
        return known(", ".join(name for name in self._names if name in self._left) or "none")
