"""Small devices, so that the terminal around them can be tested by itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

from simulator.device import Device, Key, integer


class Fake(Device):
    """Answers `?` with its first key's value and a line feed, `#` with how often it was powered on; prints the rest."""

    family = "fake"
    unit = "printer"
    baud = 9600
    keys: ClassVar[Mapping[str, Key]] = {"paper": Key("ok", values=("ok", "near_end", "out"))}
    starts = 0

    def receive(self, data: bytes) -> None:
        for byte in data:
            if byte == 0x3F:
                self.send(next(iter(self.state.values())).encode() + b"\n")
            elif byte == 0x23:
                self.send(b"%d\n" % self.starts)
            elif byte == 0xFF:
                self.violation("an FF")
            else:
                self.output.append(byte)

    def changed(self, name: str, before: str) -> None:
        self.send(b"!" + self.state[name].encode() + b"\n")

    def power_on(self) -> None:
        self.starts += 1


class FakeReader(Fake):
    unit = "reader"
    baud = 19200
    keys: ClassVar[Mapping[str, Key]] = {
        "card": Key("absent", values=("absent", "present")),
        "reads": Key("0/0", check=lambda text: text, legal="good/failed"),
    }


class FakeKeypad(Fake):
    unit = "keypad"
    keys: ClassVar[Mapping[str, Key]] = {"held": Key("none", values=("none", "enter"))}

    def tick(self) -> float | None:
        if self.state["held"] == "none":
            return None
        self.send(b"k")
        return 0.05


class FakeEvents(FakeKeypad):
    family = "evdev"


class FakeModem(Fake):
    unit = "modem"
    baud = 115200
    keys: ClassVar[Mapping[str, Key]] = {
        "sim": Key("ready", values=("ready", "absent")),
        "registration": Key("home", values=("home", "roaming", "searching", "denied")),
        "data": Key("up", values=("up", "down")),
        "signal_dbm": Key("-85", check=integer(-140, -44), legal="-140 to -44"),
    }
    world_time: Callable[[], float] = staticmethod(lambda: 0.0)

    def receive(self, data: bytes) -> None:
        if data == b"T":
            self.send(b"%d\n" % self.world_time())
        else:
            super().receive(data)


REGISTRY: dict[str, type[Device]] = {
    "escpos": Fake,
    "crt571": FakeReader,
    "quectel": FakeModem,
    "zt588": FakeKeypad,
    "evdev": FakeEvents,
}
