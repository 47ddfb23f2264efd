"""A device on a bench: a clock that only the test moves, and everything the device sent."""

from __future__ import annotations

import tomllib
from pathlib import Path

import firmware_notes
from simulator.device import Device


class Bench:
    """Wires a device to a list. `ask` sends bytes and returns what came back at once."""

    def __init__(self, kind: type[Device]) -> None:
        self.clock = 1000.0
        self._sent = bytearray()
        self.device = kind(self._sent.extend, lambda: self.clock)

    def ask(self, data: bytes, *, split: bool = False) -> bytes:
        """Send whole, or byte by byte; then let everything that is due happen."""
        if split:
            for index in range(len(data)):
                self.device.receive(data[index : index + 1])
        else:
            self.device.receive(data)
        self.device.tick()
        return self.heard()

    def heard(self) -> bytes:
        """What the device sent since the last look."""
        data = bytes(self._sent)
        self._sent.clear()
        return data

    def wait(self, seconds: float) -> bytes:
        """Move the clock in the steps that the device asks for; what it sent meanwhile."""
        end = self.clock + seconds
        for _ in range(100_000):
            pause = self.device.tick()
            if pause is None or self.clock + pause > end:
                break
            self.clock += max(pause, 0.001)
        self.clock = end
        self.device.tick()
        return self.heard()

    def set(self, **state: str) -> bytes:
        """Set keys in the order given; what the device reported by itself."""
        for name, value in state.items():
            self.device.set(name, value)
        return self.heard()


def golden(family: str) -> dict[str, bytes]:
    """The family's golden frames by name: what driver and device both are held to."""
    path = Path(firmware_notes.__file__).parent / family / "golden.toml"
    frames = tomllib.loads(path.read_text(encoding="utf-8"))["frame"]
    return {frame["name"]: bytes.fromhex(frame["hex"]) for frame in frames}
