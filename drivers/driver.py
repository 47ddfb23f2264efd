"""What every driver is: which question, which decoder, which meaning."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from drivers.codecs.malformed import Malformed
from drivers.errors import Unsupported
from drivers.exchange import Channel, Decoder
from drivers.reading import Identity, Level, Reading, Readings, ReadingSpec, Value


class Driver(ABC):
    """One device behind one `Channel`. Not thread-safe: one worker thread owns one port.

    Every verb that asks raises `DriverError` when the device as a whole gave nothing; a single fact that could not be
    had is an UNKNOWN reading inside the answer instead.
    """

    family: ClassVar[str]
    """The word in the configuration, such as `escpos`."""
    unit: ClassVar[str]
    """Its fault unit: printer, reader, keypad, modem."""
    READINGS: ClassVar[Mapping[str, ReadingSpec]]
    """Everything that this family can know, by reading name without the device's name in front."""
    pushes: ClassVar[bool] = False
    """Whether it reports changes unasked, so that the worker listens between polls."""
    RECALLS: ClassVar[frozenset[str]] = frozenset()
    """The readings that the device may tell only once, and that `recall` therefore takes over."""
    wants_check: bool = False
    """Set by `receive` when what came calls for a poll at once: it told of a change that needs confirming."""

    def __init__(self, channel: Channel, options: Mapping[str, Value] | None = None) -> None:
        self.channel = channel
        self.options: Mapping[str, Value] = options or {}
        self.tell: Callable[[Readings], None] = lambda _readings: None
        """Called with readings that changed by what came unasked in the middle of a question."""
        self.progress: Callable[[int, int, float], None] = lambda _done, _of, _left_s: None
        """Called each second of an INTERACTIVE check that waits for a person: steps done, steps, seconds left."""

    @abstractmethod
    def identify(self) -> Identity:
        """Ask who it is. Read only."""

    @abstractmethod
    def check_health(self, level: Level = Level.INTERNAL) -> dict[str, Reading]:
        """Ask how it is: reading name to reading, all names in `READINGS`. INTERNAL only reads and is the poll."""

    def statistics(self) -> dict[str, Value]:
        """Counters under their UnifiedPOS names. Raises `Unsupported` where the family has none."""
        raise Unsupported(f"{self.family} keeps no statistics")

    def recover(self) -> dict[str, Reading]:
        """The device's own recovery (tier 2), then its health. Raises `Unsupported` where it has none."""
        raise Unsupported(f"{self.family} has no recovery of its own")

    def receive(self, data: bytes) -> dict[str, Reading]:
        """Bytes that came between questions: the readings that changed by them, {} for none. Never raises."""
        del data
        return {}

    def recall(self, readings: Readings) -> None:
        """Take what was last known of the device, for those of `RECALLS`. Called before the first poll."""
        del readings

    def specific(self) -> dict[str, Value]:
        """The family's own finer facts from the last answer, for `evidence.specific`; never card data."""
        return {}


def overhear(ears: Decoder[Any], data: bytes) -> None:
    """Take in what came unasked, for what the decoder itself makes of it. Never raises."""
    ears.feed(data)
    while True:
        try:
            if ears.next() is None:
                return
        except Malformed:
            continue
