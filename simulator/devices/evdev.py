"""A keypad as Linux shows it: a stream of input events. It has no line, so the core offers it as a FIFO.

Source: the kernel's include/uapi/linux/input.h and input-event-codes.h, Documentation/input/event-codes.rst, and
drivers/input/input.c for autorepeat (250 ms, then every 33 ms, value 2, each followed by a report of value 1).
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable
from typing import ClassVar, Final

from simulator.device import Device, Key

_EVENT: Final = struct.Struct("@llHHi")
_EV_SYN, _EV_KEY = 0, 1
_UP, _DOWN, _AGAIN = 0, 1, 2
FIRST_REPEAT_S: Final = 0.25
REPEAT_S: Final = 0.033
TYPED_S: Final = 0.05
CODES: Final[dict[str, int]] = {
    **{str(digit): digit + 1 for digit in range(1, 10)},
    "0": 11,
    "enter": 28,
    "cancel": 1,
    "clear": 14,
    "point": 52,
    "F1": 59,
    "F2": 60,
    "F3": 61,
}
"""What is printed on each key -> its KEY_ code: cancel is KEY_ESC, clear KEY_BACKSPACE, point KEY_DOT."""


class Evdev(Device):
    """A key held before somebody opens the stream shows only by its autorepeat: a FIFO has no state to ask.

    `typed` all: somebody presses each key once, of which the `dead` one sends nothing. It is none again after that.
    """

    family: ClassVar[str] = "evdev"
    unit: ClassVar[str] = "keypad"
    baud: ClassVar[int] = 0
    keys: ClassVar = {
        "held": Key("none", ("none", *CODES)),
        "dead": Key("none", ("none", *CODES)),
        "typed": Key("none", ("none", "all")),
    }

    def __init__(self, send: Callable[[bytes], None], now: Callable[[], float]) -> None:
        super().__init__(send, now)
        self.world_time: Callable[[], float] = time.time
        self._again_at: float | None = None
        self._typing: list[int] = []
        self._type_at = 0.0

    def power_on(self) -> None:
        self._again_at = None
        self._typing = []
        if self.state["held"] != "none":
            self._hold()

    def changed(self, name: str, before: str) -> None:
        if name == "typed":
            self._typing = list(CODES.values()) if self.state["typed"] == "all" else []
            self._type_at = self.now()
        if name != "held":
            return
        if before != "none":
            self._event(CODES[before], _UP)
        self._again_at = None
        if self.state["held"] != "none":
            self._hold()

    def _hold(self) -> None:
        self._event(CODES[self.state["held"]], _DOWN)
        self._again_at = self.now() + FIRST_REPEAT_S

    def _event(self, code: int, value: int) -> None:
        if code == CODES.get(self.state["dead"]):
            return
        seconds, fraction = divmod(self.world_time(), 1.0)
        at = (int(seconds), int(fraction * 1_000_000))
        report = _EVENT.pack(*at, _EV_SYN, 0, int(value == _AGAIN))
        self.send(_EVENT.pack(*at, _EV_KEY, code, value) + report)

    def tick(self) -> float | None:
        """Autorepeat while a key is held; one key after the other while somebody types."""
        now = self.now()
        due: list[float] = []
        if self._again_at is not None:
            if now >= self._again_at:
                self._event(CODES[self.state["held"]], _AGAIN)
                self._again_at = now + REPEAT_S
            due.append(self._again_at - now)
        while self._typing and now >= self._type_at:
            code = self._typing.pop(0)
            self._event(code, _DOWN)
            self._event(code, _UP)
            self._type_at += TYPED_S
            if not self._typing:
                self.state["typed"] = "none"
        if self._typing:
            due.append(max(0.0, self._type_at - now))
        return min(due, default=None)

    def receive(self, data: bytes) -> None:
        """An input stream is read only; writing to it would set LEDs."""
        if data:
            self.violation("written_to")
