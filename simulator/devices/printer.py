"""A receipt printer: real-time status, automatic status back (ASB), identity, counters, and paper that runs out.

Keys: `cutter` error is a latched error whose cause is gone, as after a jam was cleared: DLE ENQ 1 or 2 ends it when
cover, paper and mechanism are well, and setting the key to ok ends it as switching the printer off and on would.
`mechanism` error lasts until it is set; dead is the unrecoverable error: the status is answered, nothing prints.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import ClassVar, Final

from simulator.device import Device, Key
from simulator.devices.printer_models import (
    FULL_STATUS_BITS,
    MODELS,
    PACKET_BITS,
    PACKET_SWITCHES,
    QUERY_BITS,
    PrinterModel,
    bits,
)
from simulator.devices.printer_stream import MORE, UNKNOWN, CommandCutter, realtime_length
from simulator.devices.texts import text_key

BUFFER_BYTES: Final = 4096
OUTPUT_LIMIT: Final = 1 << 20
LINE_DOTS: Final = 30
_XON, _XOFF = b"\x11", b"\x13"
_NV_WRITES: Final = (b"\x1d\x28\x45", b"\x1d\x28\x4d", b"\x1d\x67\x30", b"\x1d\x67\x31")
_CLEAR_BUFFERS: Final = bytes.fromhex("10140801031401060208")
_PRINTING_LASTS_S: Final = 0.5


class Printer(Device):
    """An ESC/POS printer on RS-232; `output` keeps what it printed."""

    family: ClassVar[str] = "escpos"
    unit: ClassVar[str] = "printer"
    baud: ClassVar[int] = 9600
    keys: ClassVar = {
        "paper": Key("ok", ("ok", "near_end", "out")),
        "cover": Key("closed", ("closed", "open")),
        "cutter": Key("ok", ("ok", "error")),
        "head": Key("ok", ("ok", "hot")),
        "mechanism": Key("ok", ("ok", "error", "dead")),
        "firmware": text_key("2.04", 20),
        "serial": text_key("SIMP000001", 20),
        "model": Key("epson", tuple(MODELS)),
    }
    busy_when_offline: ClassVar[bool] = False
    """The memory switch "BUSY condition": XOFF also when offline, not only when the buffer is full."""

    def __init__(self, send: Callable[[bytes], None], now: Callable[[], float]) -> None:
        super().__init__(send, now)
        self._fed_dots = 0
        self._cuts = 0
        self._heated = 0
        self.power_on()

    # Conditions

    def conditions(self) -> set[str]:
        """What holds now, in the words of the bit tables."""
        model, state = MODELS[self.state["model"]], self.state
        cover = state["cover"] == "open"
        out = state["paper"] == "out"
        found = {
            "cover": cover,
            "end": out or cover,  # with the cover up the roll does not reach the sensors
            "near_end": model.near_end_sensor and (cover or state["paper"] != "ok"),
            "mechanical": state["mechanism"] == "error",
            "unrecoverable": state["mechanism"] == "dead",
            "cutter": state["cutter"] == "error",
            "hot": state["head"] == "hot",
        }
        near_end_stops = bool(self._stop_sensors & 0x03) and model.near_end_sensor and state["paper"] == "near_end"
        found["auto"] = found["hot"] or (cover and self._opened_while_printing)
        found["paper_stop"] = (out or near_end_stops) and not cover
        found["error"] = any(found[name] for name in ("mechanical", "unrecoverable", "cutter", "auto"))
        found["offline"] = cover or found["paper_stop"] or found["error"]
        return {name for name, holds in found.items() if holds}

    def packet(self) -> bytes:
        """The four ASB bytes as they are now."""
        holding = self.conditions()
        first, second, third = (bits(table, holding) for table in PACKET_BITS)
        return bytes((0x10 | first, second, third, MODELS[self.state["model"]].fourth_byte))

    def changed(self, name: str, before: str) -> None:
        if name == "cover":
            recently = self.now() - self._printed_at < _PRINTING_LASTS_S
            self._opened_while_printing = before == "closed" and recently and self._model.cover_stops_print
        self._after_change()

    def power_on(self) -> None:
        self._cutter = CommandCutter()
        self._queue: deque[bytes] = deque()
        self._queued = 0
        self._half_realtime = b""
        self._asb = 0
        self._stop_sensors = 0x0C
        self._selected = True
        self._column = 0
        self._pitch = LINE_DOTS
        self._opened_while_printing = False
        self._printed_at: float = float("-inf")
        self._held_back = False
        self._last_packet = self.packet()

    @property
    def _model(self) -> PrinterModel:
        return MODELS[self.state["model"]]

    def _after_change(self) -> None:
        """Report what changed to a host that asked for it, hold or release its data, and go on printing."""
        packet = self.packet()
        watched = [PACKET_SWITCHES[switch] for switch in PACKET_SWITCHES if self._asb & switch]
        if any((packet[index] ^ self._last_packet[index]) & mask for index, mask in watched):
            self._send_packet()
        self._last_packet = packet
        self._packet_in_chunk = False  # what waits in the buffer was sent long before this packet
        self._work()
        self._flow_control()

    def _send_packet(self) -> None:
        self._packet_in_chunk = True
        self.send(self.packet())

    # Input

    def receive(self, data: bytes) -> None:
        self._queries_in_chunk = 0
        self._packet_in_chunk = False
        for byte in data:
            self._take(byte)
        self._work()
        self._flow_control()

    def _take(self, byte: int) -> None:
        """Real-time commands act at once wherever they stand; inside a data block they are data as well."""
        if not self._half_realtime and byte != 0x10:
            self._store(byte)
            return
        self._half_realtime += bytes((byte,))
        length = realtime_length(self._half_realtime)
        if length == MORE or length > len(self._half_realtime):
            return
        taken, self._half_realtime = self._half_realtime, b""
        if length != UNKNOWN:
            self._realtime(taken)
            if self._cutter.inside:
                for data_byte in taken:
                    self._store(data_byte)
            return
        if not self._cutter.inside:
            self.violation("unknown_command")
        for data_byte in taken[:-1]:
            self._store(data_byte)
        if taken[-1] == 0x10:
            self._half_realtime = taken[-1:]
        else:
            self._store(taken[-1])

    def _store(self, byte: int) -> None:
        if self._queued + len(self._cutter) >= BUFFER_BYTES:
            self._work()
        if self._queued + len(self._cutter) >= BUFFER_BYTES and self._queue:
            self.violation("buffer_overrun")
            return
        whole = self._cutter.feed(byte)
        if whole is None:
            return
        command, known = whole
        if not known:
            self.violation("unknown_command")
            return
        self._queue.append(command)
        self._queued += len(command)

    def _flow_control(self) -> None:
        full = self._queued + len(self._cutter) > BUFFER_BYTES - 128
        busy = full or (self.busy_when_offline and "offline" in self.conditions())
        if busy != self._held_back:
            self._held_back = busy
            self.send(_XOFF if busy else _XON)

    # Real-time commands

    def _realtime(self, command: bytes) -> None:
        kind, number = command[1], command[2]
        if kind == 0x04:
            self._query(number)
        elif kind == 0x05:
            self._recover(number)
        elif command == _CLEAR_BUFFERS:
            self._drop_buffer()
            self.send(b"\x37\x25\x00")
        elif number == 0x07 and command[3] == 1:
            self._send_packet()
        elif number == 0x01:
            self.violation("drawer_pulse")
        elif number == 0x02:
            self.violation("switch_off")

    def _query(self, number: int) -> None:
        self._queries_in_chunk += 1
        if self._queries_in_chunk > 1:
            self.violation("query_before_reply")
        holding = self.conditions()
        if number in QUERY_BITS:
            shown = holding - self._model.hidden if number == 3 else holding
            self.send(bytes((0x12 | bits(QUERY_BITS[number], shown),)))
        elif number == 0x14 and self._model.full_status:
            self.send(b"\x10\x0f" + bytes(bits(table, holding) for table in FULL_STATUS_BITS))
        else:
            self.violation("unknown_query")

    def _recover(self, number: int) -> None:
        if number == 2:
            self._drop_buffer()
        well = not self.conditions() & {"cover", "paper_stop", "mechanical", "unrecoverable"}
        if number in (1, 2) and well and self.state["cutter"] == "error":
            self.state["cutter"] = "ok"
        self._after_change()

    def _drop_buffer(self) -> None:
        self._queue.clear()
        self._queued = 0
        self._cutter.clear()

    # Buffered commands: they wait while the printer is offline

    def _work(self) -> None:
        while self._queue and "offline" not in self.conditions():
            command = self._queue.popleft()
            self._queued -= len(command)
            self._obey(command)

    def _obey(self, command: bytes) -> None:
        if command[:2] == b"\x1b\x3d":
            self._selected = bool(command[2] & 1)
            return
        if not self._selected:
            return
        if any(command.startswith(start) for start in _NV_WRITES):
            self.violation("stored_setting_changed")
        asks = self._QUESTIONS.get(command[:2])
        if asks is not None:
            if self._packet_in_chunk:
                self.violation("question_during_asb")
            asks(self, command)
            return
        if command[:2] == b"\x1d\x61":
            self._asb = command[2]
            if self._asb:
                self._send_packet()
            self._last_packet = self.packet()
            return
        self.output += command
        del self.output[:-OUTPUT_LIMIT]
        self._print(command)

    def _print(self, command: bytes) -> None:
        """Move the paper and count; the picture itself is drawn from `output` when somebody looks."""
        name = command[:2]
        if len(command) == 1:
            self._character(command[0])
        elif name in (b"\x1dV", b"\x1bi", b"\x1bm"):
            self._feed(command[3] if len(command) == 4 else 0)
            self._cuts += 1
        elif name == b"\x1dv":
            rows = command[6] + 256 * command[7]
            self._heated += rows
            self._feed(rows)
        elif name == b"\x1bd":
            self._feed(command[2] * self._pitch)
        elif name == b"\x1bJ":
            self._feed(command[2])
        elif name == b"\x1bp":
            self.violation("drawer_pulse")
        else:
            self._adjust(name, command)

    def _adjust(self, name: bytes, command: bytes) -> None:
        if name == b"\x1b\x40":
            self._asb, self._stop_sensors, self._pitch, self._column = 0, 0x0C, LINE_DOTS, 0
        elif name == b"\x1bc" and command[2] == 0x34:
            self._stop_sensors = command[3]
        elif name == b"\x1b3":
            self._pitch = command[2]
        elif name == b"\x1b2":
            self._pitch = LINE_DOTS

    def _character(self, code: int) -> None:
        if code == 0x0A:
            self._heated += LINE_DOTS if self._column else 0
            self._feed(self._pitch)
        elif code >= 0x20:
            self._column += 1
            self._printed_at = self.now()
            if self._column > self._model.columns:
                self._feed(self._pitch)
                self._column = 1

    def _feed(self, dots: int) -> None:
        self._fed_dots += dots
        self._column = 0
        self._printed_at = self.now()

    # Questions that wait in the buffer

    def _sensor(self, command: bytes) -> None:
        if command[2] in (1, 49):
            self.send(bytes((bits(PACKET_BITS[2], self.conditions()),)))
        elif command[2] in (2, 50):
            self.send(b"\x00")
        else:
            self.violation("unknown_query")

    def _old_sensor(self, command: bytes) -> None:
        self.send(b"\x00" if command[1] == 0x75 else bytes((bits(PACKET_BITS[2], self.conditions()),)))

    def _identity(self, command: bytes) -> None:
        model, number = self._model, command[2]
        single = {1: model.model_id, 2: 0x03, 3: 0x01}.get(number - 48 if 49 <= number <= 51 else number)
        if single is not None:
            self.send(bytes((single,)))
        elif number == 0xFF and model.long_id:
            self.send(model.long_id)
        elif number in model.texts:
            text = {65: self.state["firmware"], 66: "POSDIAG-SIM", 67: model.name, 68: self.state["serial"]}
            self.send(b"\x5f" + text.get(number, "CHINA GB18030").encode("ascii") + b"\x00")
        # any other number gets no answer, as on printers that lack it

    def _counter(self, command: bytes) -> None:
        if command[2] == 0x30 or not self._model.counters:
            return
        hours = int(self.now() // 3600)
        values = {
            148: 120_000 + self._fed_dots // LINE_DOTS,
            149: 118_500 + self._heated // LINE_DOTS,
            178: 4_310 + self._cuts,
            198: 2_160 + hours,
            20: self._fed_dots // LINE_DOTS,
            21: self._heated // LINE_DOTS,
            50: self._cuts,
            70: hours,
        }
        number = command[4] + 256 * command[5]
        if number in values:
            self.send(b"\x5f%d\x00" % values[number])

    _QUESTIONS: ClassVar[dict[bytes, Callable[[Printer, bytes], None]]] = {
        b"\x1dr": _sensor,
        b"\x1bv": _old_sensor,
        b"\x1bu": _old_sensor,
        b"\x1dI": _identity,
        b"\x1dg": _counter,
    }
