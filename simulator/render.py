"""Shows a slip: printed bytes -> lines, codes and pictures -> plain text; `simulator.paper` draws them.

It reads the printing subset that receipts use: text in a code page or GB18030, bold, underline, inverse, sizes,
alignment, tabs, line feeds, raster pictures, QR codes, bar codes and cuts. Column images (ESC *) leave blank paper.
"""

from __future__ import annotations

import codecs
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import ClassVar, Final

from simulator import qr
from simulator.devices.printer_stream import CommandCutter

CELL_DOTS: Final = 12
LINE_DOTS: Final = 30
_CODE_PAGES: Final = {
    0: "cp437",
    2: "cp850",
    3: "cp860",
    4: "cp863",
    5: "cp865",
    16: "cp1252",
    17: "cp866",
    18: "cp852",
    19: "cp858",
}
_QR_LEVELS: Final = {48: "L", 49: "M", 50: "Q", 51: "H"}


@dataclass(frozen=True, slots=True)
class Style:
    """How characters look; wide and tall are factors from 1 to 8."""

    bold: bool = False
    underline: bool = False
    inverse: bool = False
    wide: int = 1
    tall: int = 1


@dataclass(frozen=True, slots=True)
class Run:
    """Characters of one style. `column` counts single cells from the start of the line."""

    text: str
    column: int
    cells: int
    style: Style


@dataclass(slots=True)
class Line:
    """One printed line. `align` is left, centre or right."""

    runs: list[Run] = field(default_factory=list)
    align: str = "left"
    pitch: int = LINE_DOTS

    @property
    def cells(self) -> int:
        return self.runs[-1].column + self.runs[-1].cells if self.runs else 0

    @property
    def text(self) -> str:
        shown = ""
        for run in self.runs:
            shown += " " * (run.column - _cells(shown)) + run.text
        return shown


@dataclass(frozen=True, slots=True)
class Picture:
    """Dots: each row is a string of 0 and 1. `told` is what a code says, empty for a plain picture."""

    rows: tuple[str, ...]
    align: str = "left"
    told: str = ""
    scale: int = 1


@dataclass(frozen=True, slots=True)
class Blank:
    """Paper fed without print."""

    dots: int


@dataclass(frozen=True, slots=True)
class Cut:
    """The knife; `full` leaves nothing to tear."""

    full: bool


Item = Line | Picture | Blank | Cut


def _cells(text: str) -> int:
    """Cells that the text takes: two for East Asian wide characters."""
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


class _Reader:
    """Executes the commands of a slip one by one; `items` is what is on the paper."""

    def __init__(self, columns: int) -> None:
        self.columns = columns
        self.items: list[Item] = []
        self._reset()

    def _reset(self) -> None:
        self._line = Line()
        self._style = Style()
        self._align = "left"
        self._pitch = LINE_DOTS
        self._page = "cp437"
        self._chinese: codecs.IncrementalDecoder | None = None
        self._qr_data = b""
        self._qr_dots = 3
        self._qr_level = "L"

    # Text

    def _character(self, code: int) -> None:
        if code == 0x0A:
            self._end_line(self._pitch)
        elif code == 0x09:
            self._put(" " * (8 - self._line.cells % 8))
        elif code < 0x20:
            return
        elif self._chinese is not None:
            self._put(self._chinese.decode(bytes((code,))))
        else:
            self._put(bytes((code,)).decode(self._page, "replace"))

    def _put(self, text: str) -> None:
        for char in text:
            cells = _cells(char) * self._style.wide
            if self._line.cells + cells > self.columns:
                self._end_line(self._pitch)
            runs, column = self._line.runs, self._line.cells
            if runs and runs[-1].style == self._style:
                runs[-1] = replace(runs[-1], text=runs[-1].text + char, cells=runs[-1].cells + cells)
            else:
                runs.append(Run(char, column, cells, self._style))

    def _end_line(self, pitch: int) -> None:
        self._line.align, self._line.pitch = self._align, pitch
        if self._line.runs:
            self.items.append(self._line)
        elif pitch:
            self.items.append(Blank(pitch))
        self._line = Line()

    # Commands

    def execute(self, command: bytes) -> None:
        if len(command) == 1:
            self._character(command[0])
            return
        action = self._ACTIONS.get(command[:2])
        if action is not None:
            action(self, command[2:])

    def finish(self) -> None:
        if self._line.runs:
            self._end_line(self._pitch)

    def _initialise(self, _data: bytes) -> None:
        self.finish()
        self._reset()

    def _mode(self, data: bytes) -> None:
        bits = data[0]
        self._style = replace(
            self._style,
            bold=bool(bits & 0x08),
            underline=bool(bits & 0x80),
            tall=2 if bits & 0x10 else 1,
            wide=2 if bits & 0x20 else 1,
        )

    def _chinese_mode(self, data: bytes) -> None:
        bits = data[0]
        wide, tall = 2 if bits & 0x04 else 1, 2 if bits & 0x08 else 1
        self._style = replace(self._style, underline=bool(bits & 0x80), wide=wide, tall=tall)

    def _size(self, data: bytes) -> None:
        self._style = replace(self._style, wide=(data[0] >> 4 & 7) + 1, tall=(data[0] & 7) + 1)

    def _bold(self, data: bytes) -> None:
        self._style = replace(self._style, bold=bool(data[0] & 1))

    def _underline(self, data: bytes) -> None:
        self._style = replace(self._style, underline=data[0] in (1, 2, 49, 50))

    def _inverse(self, data: bytes) -> None:
        self._style = replace(self._style, inverse=bool(data[0] & 1))

    def _set_align(self, data: bytes) -> None:
        self._align = {1: "centre", 49: "centre", 2: "right", 50: "right"}.get(data[0], "left")

    def _code_page(self, data: bytes) -> None:
        self._page = _CODE_PAGES.get(data[0], "cp437")

    def _chinese_on(self, _data: bytes) -> None:
        self._chinese = codecs.getincrementaldecoder("gb18030")("replace")

    def _chinese_off(self, _data: bytes) -> None:
        self._chinese = None

    def _default_pitch(self, _data: bytes) -> None:
        self._pitch = LINE_DOTS

    def _set_pitch(self, data: bytes) -> None:
        self._pitch = data[0]

    def _feed_lines(self, data: bytes) -> None:
        self._feed(data[0] * self._pitch)

    def _feed_dots(self, data: bytes) -> None:
        self._feed(data[0])

    def _feed(self, dots: int) -> None:
        """A line that waits in the print buffer is printed by the first pitch of the feed."""
        if self._line.runs:
            self._end_line(self._pitch)
            dots -= self._pitch
        if dots > 0:
            self.items.append(Blank(dots))

    def _cut(self, data: bytes) -> None:
        self.finish()
        self.items.append(Cut(full=bool(data) and data[0] in b"\x000Aag"))

    def _old_full_cut(self, _data: bytes) -> None:
        self._cut(b"\x00")

    def _old_partial_cut(self, _data: bytes) -> None:
        self._cut(b"\x01")

    def _raster(self, data: bytes) -> None:
        self.finish()
        width = data[2] + 256 * data[3]
        rows = (data[at : at + width] for at in range(6, len(data), width or 1))
        dots = tuple("".join(f"{byte:08b}" for byte in row) for row in rows)
        self.items.append(Picture(dots, self._align))

    def _bar_code(self, data: bytes) -> None:
        self.finish()
        told = (data[2:] if data[0] > 6 else data[1:-1]).decode("ascii", "replace")
        self.items.append(Picture((), self._align, told))

    def _block(self, data: bytes) -> None:
        """GS ( k with cn 31: the four functions that a QR code takes."""
        if data[:1] != b"k" or data[3:4] != b"1":
            return
        function, value = data[4], data[5:]
        if function == 0x43 and value:
            self._qr_dots = max(1, min(16, value[0]))
        elif function == 0x45 and value:
            self._qr_level = _QR_LEVELS.get(value[0], "L")
        elif function == 0x50:
            self._qr_data = value[1:]
        elif function == 0x51 and self._qr_data:
            self.finish()
            told = self._qr_data.decode("utf-8", "replace")
            self.items.append(Picture(qr.encode(self._qr_data, self._qr_level), self._align, told, self._qr_dots))

    _ACTIONS: ClassVar[dict[bytes, Callable[[_Reader, bytes], None]]] = {
        b"\x1b@": _initialise,
        b"\x1b!": _mode,
        b"\x1c!": _chinese_mode,
        b"\x1d!": _size,
        b"\x1bE": _bold,
        b"\x1bG": _bold,
        b"\x1b-": _underline,
        b"\x1dB": _inverse,
        b"\x1ba": _set_align,
        b"\x1bt": _code_page,
        b"\x1c&": _chinese_on,
        b"\x1c.": _chinese_off,
        b"\x1b2": _default_pitch,
        b"\x1b3": _set_pitch,
        b"\x1bd": _feed_lines,
        b"\x1bJ": _feed_dots,
        b"\x1dV": _cut,
        b"\x1bi": _old_full_cut,
        b"\x1bm": _old_partial_cut,
        b"\x1dv": _raster,
        b"\x1dk": _bar_code,
        b"\x1d(": _block,
    }


def read_slip(data: bytes, columns: int = 48) -> list[Item]:
    """What the bytes put on paper that is `columns` cells wide, from top to bottom."""
    reader, cutter = _Reader(columns), CommandCutter()
    for byte in data:
        whole = cutter.feed(byte)
        if whole is not None and whole[1]:
            reader.execute(whole[0])
    reader.finish()
    return reader.items


def as_text(items: list[Item], columns: int = 48) -> str:
    """The slip as lines of plain text; codes are shown by what they say."""
    lines: list[str] = []
    for item in items:
        if isinstance(item, Line):
            free = columns - item.cells
            indent = {"centre": free // 2, "right": free}.get(item.align, 0)
            lines.append(" " * max(0, indent) + item.text)
        elif isinstance(item, Cut):
            lines.append(("=" if item.full else "-") * columns)
        elif isinstance(item, Picture):
            lines.append(f"[{item.told or 'picture'}]")
        else:
            lines += [""] * (item.dots // LINE_DOTS)
    return "\n".join(lines)
