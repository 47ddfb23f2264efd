"""A device at its place: the device, its line, its port, its power, and whoever else holds the port."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol, runtime_checkable

from simulator.device import Device, Illegal, Key
from simulator.line import FAULTS, Line
from simulator.loop import Loop, Timer
from simulator.near import unknown_key
from simulator.payment import Child, hold
from simulator.ports import FifoPort, Port, PtyPort

EVENT_FAMILY: Final = "evdev"
_PLACE_KEYS: Final = {
    "cable": Key("in", values=("in", "out")),
    "power": Key("on", values=("on", "off")),
    "line": Key("clean", values=FAULTS),
    "owner": Key("none", values=("none", "payment_app")),
}
_EVENT_LINE: Final = Key("clean", values=("clean", "late", "mute"))  # input events come whole, from the kernel
_SAVE_S: Final = 0.2  # a long slip arrives in hundreds of pieces


@runtime_checkable
class TellsTime(Protocol):
    """A device that knows the world's time, as a modem does from its network."""

    world_time: Callable[[], float]


class Station:
    """One place of the terminal, named after its unit. All calls come from the loop's thread."""

    def __init__(
        self, loop: Loop, folder: Path, kind: type[Device], seed: str, world_time: Callable[[], float], *, pace: bool
    ) -> None:
        self.name = kind.unit
        self.device = kind(self._send, loop.now)
        events = kind.family == EVENT_FAMILY
        if isinstance(self.device, TellsTime) and not events:  # the terminal's own kernel stamps its events
            self.device.world_time = world_time
        self.baud = 0 if events else kind.baud
        self._line = Line(self.baud, f"{seed}:{self.name}", pace=pace)
        path = folder / self.name
        self._port: Port = FifoPort(path) if events else PtyPort(loop, path, kind.baud, self._hear)
        self._keys = {**_PLACE_KEYS, "line": _EVENT_LINE} if events else _PLACE_KEYS
        self._place = {name: key.default for name, key in _PLACE_KEYS.items()}
        self._loop = loop
        self._powered = True  # the terminal has been on for long; a modem, say, needs seconds from power to answers
        self._tick: Timer | None = None
        self._delivery: Timer | None = None
        self._holder: Child | None = None
        self._printed = folder / f"{self.name}.out"
        self._saving: Timer | None = None
        self._saved = (0, b"")
        self._printed.unlink(missing_ok=True)
        self._port.plug()

    @property
    def path(self) -> Path:
        """What a host opens."""
        return self._port.path

    @property
    def printed(self) -> Path:
        """The file that holds the bytes it printed; there once it has printed."""
        return self._printed

    def keys(self) -> dict[str, Key]:
        """Every key of this place, with the unit in front."""
        return {f"{self.name}.{name}": key for name, key in {**self.device.keys, **self._keys}.items()}

    def values(self) -> dict[str, str]:
        return {f"{self.name}.{name}": value for name, value in {**self.device.state, **self._place}.items()}

    def set(self, name: str, value: str) -> None:
        """Change one key, given without the unit; the value has been checked."""
        if name not in self._place:
            self.device.set(name, value)
            self._attend()
            return
        if self._place[name] == value:
            return
        self._place[name] = value
        if name == "line":
            self._line.fault = value
        elif name == "cable":
            self._plug(value == "in")
        elif name == "owner":
            self._change_holder()

    def set_powered(self, powered: bool) -> None:
        """Give or take power. A device that gets power starts from its power-on state."""
        if powered == self._powered:
            return
        self._powered = powered
        self._line.clear()
        if powered:
            self.device.power_on()
        self._attend()

    def close(self) -> None:
        for timer in (self._tick, self._delivery):
            if timer is not None:
                timer.cancel()
        self.save_output()
        self._release()
        self._port.unplug()

    # --- bytes --------------------------------------------------------------------------------------------------------

    def _hear(self, data: bytes) -> None:
        heard = self._line.from_host(data, self._loop.now(), self._port.host_baud())
        if self._powered and heard:
            self.device.receive(heard)
            self._attend()
        self._deliver_later()

    def _send(self, data: bytes) -> None:
        """The device's own sending."""
        if self._powered and self._place["cable"] == "in":
            self._line.from_device(data, self._loop.now(), self._port.host_baud())
            self._deliver_later()

    def _deliver_later(self) -> None:
        due = self._line.next_due()
        if due is not None and self._delivery is None:
            self._delivery = self._loop.after(max(0.0, due - self._loop.now()), self._deliver)

    def _deliver(self) -> None:
        self._delivery = None
        data = self._line.due(self._loop.now())
        if data:
            self._port.write(data)
        self._deliver_later()

    # --- the device's own time ----------------------------------------------------------------------------------------

    def _attend(self) -> None:
        """Let the device do what is due, plan its next time, and keep what it printed."""
        if self._tick is not None:
            self._tick.cancel()
            self._tick = None
        if self._powered:
            delay = self.device.tick()
            if delay is not None:
                self._tick = self._loop.after(max(0.001, delay), self._attend)
        if self._saving is None and self._output_mark() != self._saved:
            self._saving = self._loop.after(_SAVE_S, self.save_output)

    def save_output(self) -> None:
        """Write what it printed to the file, if that is not there yet."""
        if self._saving is not None:
            self._saving.cancel()
            self._saving = None
        if self._output_mark() != self._saved:
            self._printed.write_bytes(self.device.output)
            self._saved = self._output_mark()

    def _output_mark(self) -> tuple[int, bytes]:
        """Tells an output from a later one; once the device keeps only the end of it, the length alone would not."""
        return len(self.device.output), bytes(self.device.output[-256:])

    # --- the cable and the other process ------------------------------------------------------------------------------

    def _plug(self, plugged: bool) -> None:
        self._line.clear()
        if plugged:
            self._port.plug()
        else:
            self._port.unplug()
        self._change_holder()

    def _change_holder(self) -> None:
        self._release()
        if self._place["owner"] == "payment_app" and self._place["cable"] == "in":
            self._holder = hold(self._port.path)

    def _release(self) -> None:
        if self._holder is not None:
            self._holder.end()
            self._holder = None


def checked(keys: dict[str, Key], name: str, value: str | None) -> str:
    """The canonical value for a key of the terminal; None is never legal. Raises Illegal naming the legal ones."""
    key = keys.get(name)
    if key is None:
        raise Illegal(unknown_key(name, keys))
    if value is None:
        raise Illegal(f"{name} needs a value, as key=value; it is {key.told}")
    return key.canonical(name, value)
