"""What every simulated device is: a strict state machine behind a line. It owns its bytes and knows no port."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar


class Illegal(ValueError):
    """An unknown key or value; the text names the legal ones."""


@dataclass(frozen=True, slots=True)
class Key:
    """One thing about a device that can be set while it runs: one of `values`, or what `check` lets pass.

    `check` returns the canonical text of a legal value and raises ValueError for others.
    """

    default: str
    values: tuple[str, ...] = ()
    check: Callable[[str], str] | None = None
    legal: str = ""

    @property
    def told(self) -> str:
        """What is legal, for people."""
        return f"one of {', '.join(self.values)}" if self.values else self.legal or "any text"

    def canonical(self, name: str, value: str) -> str:
        """The value as it is kept. Raises Illegal naming the legal ones."""
        if self.values:
            if value not in self.values:
                raise Illegal(f"{name} cannot be {value!r}; it is {self.told}")
            return value
        if self.check is not None:
            try:
                return self.check(value)
            except ValueError:
                raise Illegal(f"{name} cannot be {value!r}; it is {self.told}") from None
        return value


def integer(low: int, high: int) -> Callable[[str], str]:
    """A check for whole numbers within limits."""

    def check(text: str) -> str:
        number = int(text)
        if not low <= number <= high:
            raise ValueError(text)
        return str(number)

    return check


class Device(ABC):
    """A device. All calls come from one thread. `send` hands bytes to the line; `now` is seconds, monotonic.

    Strict: whatever the manual does not allow of a host (a broken frame, a command sent before the last reply was
    read, a command that wipes keys) is counted in `violations` under a short reason.
    """

    family: ClassVar[str]
    unit: ClassVar[str]
    baud: ClassVar[int]
    keys: ClassVar[Mapping[str, Key]]
    """Settable keys without the unit in front, such as `paper`; their contract is the simulator's surface."""

    def __init__(self, send: Callable[[bytes], None], now: Callable[[], float]) -> None:
        self.send = send
        self.now = now
        self.state: dict[str, str] = {name: key.default for name, key in self.keys.items()}
        self.violations: dict[str, int] = {}
        self.output = bytearray()
        """What it printed, for devices that print: the raw bytes that a host sent to be printed, at most 1 MiB."""

    def set(self, name: str, value: str) -> None:
        """Change one key; the device then does what hardware would, such as reporting the change. Raises Illegal."""
        key = self.keys.get(name)
        if key is None:
            raise Illegal(f"{self.unit}.{name} is not a key; there are {', '.join(sorted(self.keys))}")
        value = key.canonical(f"{self.unit}.{name}", value)
        before, self.state[name] = self.state[name], value
        if before != value:
            self.changed(name, before)

    def changed(self, name: str, before: str) -> None:
        """A key was set to another value. Default: nothing goes out."""
        del name, before

    @abstractmethod
    def receive(self, data: bytes) -> None:
        """Bytes from the host. Never raises; anything may arrive, in any split."""

    def tick(self) -> float | None:
        """Do what is due; seconds until the next thing is (None for nothing planned)."""
        return None

    def power_on(self) -> None:  # noqa: B027 - a device without volatile settings has nothing to do
        """The device starts: volatile settings return to their power-on values."""

    def violation(self, reason: str) -> None:
        """Count one breach of the protocol by the host."""
        self.violations[reason] = self.violations.get(reason, 0) + 1


class FramedDevice(Device):
    """A device that hears frames, and forgets one whose next byte is late by more than `FRAME_GAP_S`."""

    FRAME_GAP_S: ClassVar[float]

    def __init__(self, send: Callable[[bytes], None], now: Callable[[], float]) -> None:
        super().__init__(send, now)
        self.power_on()

    def power_on(self) -> None:
        self._frame = bytearray()
        self._last_byte_at = 0.0

    def tick(self) -> float | None:
        """Forget a frame that stopped in the middle."""
        if not self._frame:
            return None
        left = self._last_byte_at + self.FRAME_GAP_S - self.now()
        if left > 0:
            return left
        self.violation("frame_cut")
        self._frame.clear()
        return None
