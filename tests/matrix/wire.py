"""A driver and a simulated device on one line in virtual time: the same bytes as over a port, thousands of polls."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from drivers import catalog
from drivers.driver import Driver
from drivers.errors import DriverError
from drivers.exchange import Channel
from drivers.reading import Reading
from simulator.devices import DEVICES
from simulator.line import Line
from tests.drivers.scripted import ManualClock

POLL_S = 1.0


class Wire:
    """A `Link` to a simulated device behind a simulated line. Time passes only while somebody waits.

    `flips` is how many of a million bytes lose a bit beside what the line itself does: with few of them long answers
    get through, so that a damaged one has a chance to pass for whole.
    """

    def __init__(self, family: str, seed: int, flips: int = 0) -> None:
        kind = DEVICES[family]
        self._flips = flips
        self._random = random.Random(f"flips:{seed}")
        self.clock = ManualClock()
        self.line = Line(kind.baud, f"matrix:{seed}")
        self.device = kind(lambda data: self.line.from_device(data, self.clock.now, kind.baud), self.clock)
        self.bytes = 0

    def write(self, data: bytes) -> None:
        self.bytes += len(data)
        heard = self.line.from_host(self._damage(data), self.clock.now, self.device.baud)
        if heard:
            self.device.receive(heard)

    def read(self, timeout_s: float) -> bytes:
        end = self.clock.now + timeout_s
        while True:
            pause = self.device.tick()
            data = self._damage(self.line.due(self.clock.now))
            self.bytes += len(data)
            if data or self.clock.now >= end:
                return data
            moments = [end]
            if pause is not None:
                moments.append(self.clock.now + max(pause, 0.001))
            if (due := self.line.next_due()) is not None:
                moments.append(due)
            self.clock.now = max(self.clock.now, min(moments))

    def _damage(self, data: bytes) -> bytes:
        if not self._flips:
            return data
        chance, bits = self._random.randrange, self._random.getrandbits
        return bytes(byte ^ (1 << bits(3)) if chance(1_000_000) < self._flips else byte for byte in data)

    def drain(self) -> bytes:
        return self.read(0.0)

    def wake(self) -> None:
        pass

    def close(self) -> None:
        pass


@dataclass(frozen=True, slots=True)
class Seen:
    """What one question or one push gave, and the states that the device was in meanwhile."""

    readings: dict[str, Reading]
    states: list[dict[str, str]]
    error: DriverError | None = None
    took_s: float = 0.0


@dataclass(slots=True)
class Watch:
    """Polls one device as a port's worker does: a check each second, an ear for pushes in between."""

    family: str
    seed: int
    flips: int = 0
    wire: Wire = field(init=False)
    driver: Driver = field(init=False)

    def __post_init__(self) -> None:
        self.wire = Wire(self.family, self.seed, self.flips)
        self.driver = catalog.family(self.family).driver(Channel(self.wire, clock=self.wire.clock))

    def polls(self, count: int) -> Iterator[Seen]:
        """Everything that is seen in that many polls."""
        for _ in range(count):
            yield self.check()
            yield from self._listen()

    def check(self) -> Seen:
        """One check of health, as the worker asks for it."""
        began, before = self.wire.clock.now, dict(self.wire.device.state)
        try:
            readings, error = self.driver.check_health(), None
        except DriverError as failed:
            readings, error = {}, failed
        after = dict(self.wire.device.state)
        return Seen(readings, [before, after], error, self.wire.clock.now - began)

    def _listen(self) -> Iterator[Seen]:
        end = self.wire.clock.now + POLL_S
        while self.wire.clock.now < end and not self.driver.wants_check:
            before = dict(self.wire.device.state)
            data = self.wire.read(end - self.wire.clock.now)
            if data:
                yield Seen(self.driver.receive(data), [before, dict(self.wire.device.state)])
