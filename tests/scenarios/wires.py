"""One device of a scenario in virtual time: the simulated device, its line, and the real driver, polled as a port is.

What the driver says comes out as (seconds from the start, readings). Nothing here knows what a reading should be.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from agent.config import DeviceConfig
from agent.probes.port import meaning
from drivers import catalog
from drivers.driver import Driver
from drivers.errors import BadReply, DriverError, LinkLost, PortBusy, Yielded
from drivers.exchange import Channel
from drivers.reading import Identity, Level, Reading, known, unknown
from simulator.devices import DEVICES
from tests.matrix.wire import Wire

START_S = 1000.0  # the wire's clock when the scenario begins
_REOPEN_S = 1.0
_NOISY_POLL_S = 30.0
_QUESTIONS = 2  # who it is; the agent asks again where something is new, and then believes it
_ASKED_S = 1.5  # so long before somebody presses all keys, the key test that asks for it begins

State = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Change:
    """What is set at one moment: the device's own keys and those of its place, and whether power reaches it."""

    at_s: float
    values: Sequence[tuple[str, str]]
    powered: bool


@dataclass(frozen=True, slots=True)
class Seen:
    """What came of one look. `identity` is set when the device said who it is."""

    at_s: float
    readings: Mapping[str, Reading]
    identity: Identity | None = None


class _Unpowered:
    """What stands at the end of the line while the device has no power."""

    def __init__(self, baud: int) -> None:
        self.baud = baud

    def receive(self, data: bytes) -> None:
        pass

    def tick(self) -> None:
        return None


class Place(Wire):
    """A `Link` whose device, cable, line and power change by the agenda while somebody waits."""

    def __init__(self, family: str, seed: int, agenda: Sequence[Change], world_time: Callable[[float], float]) -> None:
        super().__init__(family, seed)
        self._real = self.device
        if hasattr(self._real, "world_time"):
            self._real.world_time = lambda: world_time(self.clock.now - START_S)
        self._agenda = list(agenda)
        self.key_tests = [START_S + each.at_s - _ASKED_S for each in agenda if ("typed", "all") in each.values]
        """When the interactive check is begun, by the wire's clock."""
        self._cut = False
        self.busy = False
        self._due()

    def write(self, data: bytes) -> None:
        self._there()
        super().write(data)

    def read(self, timeout_s: float) -> bytes:
        end = self.clock.now + timeout_s
        while self._agenda and START_S + self._agenda[0].at_s <= end:
            self._there()
            data = super().read(max(0.0, START_S + self._agenda[0].at_s - self.clock.now))
            self._due()
            if data:
                self._there()
                return data
        self._there()
        return super().read(max(0.0, end - self.clock.now))

    def pass_time(self, seconds: float) -> None:
        """Let time pass while nobody listens; what the device says meanwhile waits in the port."""
        end = self.clock.now + seconds
        while self._agenda and START_S + self._agenda[0].at_s <= end:
            self.clock.now = max(self.clock.now, START_S + self._agenda[0].at_s)
            self._due()
        self.clock.now = max(self.clock.now, end)
        if self._cut:
            self.line.clear()

    def open(self) -> None:
        """Raises what opening the port would."""
        self._there()
        self.let_go()
        self.line.clear()

    def let_go(self) -> None:
        """Raises PortBusy when somebody else has opened the port."""
        if self.busy:
            raise PortBusy("the port", "payment_app")

    def _there(self) -> None:
        if self._cut:
            raise LinkLost("the port is gone")

    def _due(self) -> None:
        while self._agenda and START_S + self._agenda[0].at_s <= self.clock.now:
            change = self._agenda.pop(0)
            for name, value in change.values:
                if name == "cable":
                    self._cut = value == "out"
                    self.line.clear()
                elif name == "line":
                    self.line.fault = value
                elif name == "owner":
                    self.busy = value != "none"
                elif name != "power":
                    self._real.set(name, value)
            on = self.device is self._real
            if change.powered != on:
                self.line.clear()
                self.device = self._real if change.powered else _Unpowered(self._real.baud)  # type: ignore[assignment]
                if change.powered:
                    self._real.power_on()


class Worker:
    """Polls one device by the rules of the agent's port workers: poll, listen, reopen, rest when the line is noisy."""

    def __init__(
        self, device: DeviceConfig, place: Place, seed: int, sale: Callable[[float], bool] = lambda _at_s: False
    ) -> None:
        self._device = device
        self._place = place
        self._sale = sale
        self._driver: Driver | None = None
        self._to_identify = _QUESTIONS
        self._next_poll = START_S + random.Random(f"{seed}:{device.name}").uniform(0, device.poll_s)
        self._every_s = device.poll_s

    def run(self, until_s: float) -> Iterator[Seen]:
        """Everything that it sees until then, in time."""
        clock = self._place.clock
        while clock.now < START_S + until_s:
            if self._sale(clock.now - START_S):
                self._place.pass_time(0.1)
                continue
            try:
                yield from self._turn()
            except DriverError as error:
                yield from self._failed(error)

    def _turn(self) -> Iterator[Seen]:
        if self._driver is None:
            self._open()
        driver = self._driver
        assert driver is not None
        self._place.let_go()
        clock = self._place.clock
        if self._place.key_tests and clock.now >= self._place.key_tests[0]:
            del self._place.key_tests[0]
            yield self._good(driver.check_health(Level.INTERACTIVE))
        if clock.now >= self._next_poll:
            self._next_poll = clock.now + self._every_s
            readings = driver.check_health()
            yield self._good(readings)
            if self._to_identify:
                yield from self._identify(driver)
        left = self._next_poll - clock.now
        data = self._place.read(left) if left > 0 else b""
        if data:
            readings = driver.receive(data)
            if readings:
                yield self._good(readings)
            if driver.wants_check:
                self._next_poll = 0.0

    def _open(self) -> None:
        self._place.open()
        channel = Channel(
            self._place, clock=self._place.clock, yield_now=lambda: self._sale(self._place.clock.now - START_S)
        )
        self._driver = catalog.family(self._device.family).driver(channel, self._device.options)
        self._to_identify = _QUESTIONS

    def _identify(self, driver: Driver) -> Iterator[Seen]:
        try:
            identity = driver.identify()
        except (LinkLost, Yielded):
            raise
        except DriverError:
            return
        if "not_asked" not in identity.extra:
            self._to_identify -= 1
            yield Seen(self._now(), {}, identity)

    def _good(self, readings: Mapping[str, Reading]) -> Seen:
        self._every_s = self._device.poll_s
        self._next_poll = min(self._next_poll, self._place.clock.now + self._every_s)
        return Seen(self._now(), {**readings, "port": known("ok"), "reply": known("ok")})

    def _failed(self, error: DriverError) -> Iterator[Seen]:
        if isinstance(error, Yielded):
            return
        if isinstance(error, BadReply):
            self._every_s = max(self._device.poll_s, min(2 * self._every_s, _NOISY_POLL_S))
        port, reply = meaning(error)
        names = catalog.family(self._device.family).driver.READINGS
        yield Seen(self._now(), {**{name: unknown(error.cause) for name in names}, "port": port, "reply": reply})
        if isinstance(error, LinkLost | PortBusy):
            self._driver = None
            self._next_poll = 0.0
            self._place.pass_time(max(_REOPEN_S, min(self._device.poll_s, 5.0)))

    def _now(self) -> float:
        return self._place.clock.now - START_S


def unit_of(family: str) -> str:
    """The unit that a family belongs to."""
    return DEVICES[family].unit
