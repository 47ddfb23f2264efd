"""An SZZT ZT588 PIN pad: framed questions, and a bare byte for each key pressed, again and again while it is held.

Source: what a public kiosk driver (smartkiosk/smartware, zt588.rb and szzt_connection.rb) expects of one: frame,
identity fields, settings byte, key matrix and error bytes. The repeat rate of a held key and the status character are
ours.
"""

from __future__ import annotations

from functools import reduce
from operator import xor
from typing import ClassVar, Final

from simulator.device import FramedDevice, Key
from simulator.devices.texts import text_key

_STX, _ETX = 0x02, 0x03
FIRST_REPEAT_S: Final = 0.5
REPEAT_S: Final = 0.1
_GOOD: Final = b"0"
_LOW_BATTERY, _NO_MASTER_KEY, _NOT_AUTHORISED, _GENERAL = 0xE0, 0xE1, 0xEC, 0xEF

MATRIX: Final[dict[str, int]] = {
    "1": 0x31,
    "2": 0x32,
    "3": 0x33,
    "cancel": 0x1B,
    "4": 0x34,
    "5": 0x35,
    "6": 0x36,
    "clear": 0x08,
    "7": 0x37,
    "8": 0x38,
    "9": 0x39,
    "blank": 0x07,
    "point": 0x2E,
    "0": 0x30,
    "00": 0x23,
    "enter": 0x0D,
    **{letter: ord(letter) for letter in "ACEGBDFH"},
}
"""What is printed on each key -> the byte it sends, row by row."""
TYPED_S: Final = 0.05
_MASK: Final = 0xFF


class Zt588(FramedDevice):
    """`keys` missing: the pad says that it has no master key. `battery` low: every answer is error E0.

    `typed` all: somebody presses each key once, of which the `dead` one sends nothing; pin: four keys of a PIN, each as
    the mask. It is none again when that is done.
    """

    family: ClassVar[str] = "zt588"
    unit: ClassVar[str] = "keypad"
    baud: ClassVar[int] = 9600
    FRAME_GAP_S: ClassVar[float] = 0.3
    keys: ClassVar = {
        "held": Key("none", ("none", *MATRIX)),
        "dead": Key("none", ("none", *MATRIX)),
        "typed": Key("none", ("none", "all", "pin")),
        "battery": Key("ok", ("ok", "low")),
        "keys": Key("loaded", ("loaded", "missing")),
        "firmware": text_key("2.1", 3),
        "serial": text_key("0007", 4),
    }

    def power_on(self) -> None:
        super().power_on()
        self._input_on = True  # as after the payment application has started
        self._sound_on = False
        self._typing: list[int] = []
        self._type_at = self.now()
        self._press_at: float | None = None if self.state["held"] == "none" else self.now()

    def changed(self, name: str, before: str) -> None:
        del before
        if name == "typed":
            self._typing = {
                "all": [code for label, code in MATRIX.items() if label != self.state["dead"]],
                "pin": [_MASK] * 4,
            }.get(self.state["typed"], [])
            self._type_at = self.now()
        if name == "held":
            self._press_at = None if self.state["held"] == "none" else self.now() + FIRST_REPEAT_S
            if self._press_at is not None:
                self._press()

    def _press(self) -> None:
        if self.state["held"] != self.state["dead"]:
            self._send_key(MATRIX[self.state["held"]])

    def _send_key(self, code: int) -> None:
        if self._input_on:
            self.send(bytes((code,)))

    def tick(self) -> float | None:
        """Repeat a held key; forget a frame that stopped in the middle."""
        now = self.now()
        due = [super().tick()]
        if self._press_at is not None:
            if now >= self._press_at:
                self._press()
                self._press_at = now + REPEAT_S
            due.append(self._press_at - now)
        while self._typing and now >= self._type_at:
            self._send_key(self._typing.pop(0))
            self._type_at += TYPED_S
            if not self._typing:
                self.state["typed"] = "none"
        if self._typing:
            due.append(self._type_at - now)
        return min((each for each in due if each is not None), default=None)

    def receive(self, data: bytes) -> None:
        self.tick()
        self._last_byte_at = self.now()
        answered = False
        for byte in data:
            if not self._frame and byte != _STX:
                self.violation("stray_byte")
                continue
            self._frame.append(byte)
            if not self._finished():
                continue
            frame = bytes(self._frame)
            self._frame.clear()
            if answered:
                self.violation("command_before_reply")
            answered = self._framed(frame)

    def _finished(self) -> bool:
        if len(self._frame) < 4:
            return False
        digits = bytes(self._frame[1:4])
        return not digits.isdigit() or len(self._frame) == int(digits) + 7

    def _framed(self, frame: bytes) -> bool:
        covered, told = frame[1:-2], frame[-2:]
        if len(frame) < 8 or covered[-1] != _ETX or told.upper() != b"%02X" % reduce(xor, covered):
            self.violation("bad_frame")
            return False
        self._answer(frame[4:-3])
        return True

    def _reply(self, text: bytes) -> None:
        covered = b"%03d" % len(text) + text + bytes((_ETX,))
        self.send(bytes((_STX,)) + covered + b"%02X" % reduce(xor, covered))

    def _refuse(self, code: int) -> None:
        self._reply(bytes((code,)))

    def _answer(self, text: bytes) -> None:
        if self.state["battery"] == "low":
            self._refuse(_LOW_BATTERY)
        elif text == b"3":
            self._reply(_GOOD + self._identity())
        elif text[:1] == b"5":
            self._control(text[1:])
        elif text[:1] in (b"1", b"2"):
            self.violation("key_loading")
            self._refuse(_NOT_AUTHORISED)
        elif text[:1] in (b"6", b"7", b":"):
            self.violation("pin_command")
            self._refuse(_NO_MASTER_KEY if self.state["keys"] == "missing" else _NOT_AUTHORISED)
        elif text[:1] in (b"3", b"4"):
            self.violation("stored_setting_changed")
            self._refuse(_NOT_AUTHORISED)
        else:
            self.violation("unknown_command")
            self._refuse(_GENERAL)

    def _control(self, text: bytes) -> None:
        """Parameter and value; the value is one character, or that character's two hex digits."""
        value = text[1:]
        if len(value) == 2:
            try:
                value = bytes.fromhex(value.decode("ascii"))
            except ValueError:
                value = b""
        if text[:1] != b"0":
            self.violation("stored_setting_changed")
            self._reply(_GOOD)
        elif value == b"1":
            self.violation("keys_wiped")
            self.state["keys"] = "missing"
            self._reply(_GOOD)
        elif value == b"0":
            self.violation("restarted")
            self._reply(_GOOD)
            self.power_on()
        else:
            self._input_on = {b"2": False, b"3": True}.get(value, self._input_on)
            self._sound_on = {b"4": False, b"5": True}.get(value, self._sound_on)
            self._reply(_GOOD)

    def _identity(self) -> bytes:
        switches = (self.state["keys"] == "missing") | self._input_on << 1 | self._sound_on << 2
        # switches, reserved, 30 s for a PIN, mask, shortest, longest, 9600 baud, hex digits, 0.1 s beep, reserved
        settings = bytes((switches, 0, 30, _MASK, 1, 16, 0x33, 0x37, 10, 0))
        return b"".join(
            (
                b"POSDIAG-SIM".ljust(50),
                bytes(MATRIX.values()).hex().upper().encode("ascii"),
                settings.hex().upper().encode("ascii"),
                b"00000000",
                b"ZT588S",
                b"1.0",
                self.state["firmware"].encode("ascii").ljust(3),
                b"2646",
                self.state["serial"].encode("ascii").rjust(4, b"0"),
            )
        )
