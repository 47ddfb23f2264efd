"""Takes card data out of bytes and texts: what stood there is told by its kind and length, and no digit stays.

`<pan:16>` a card number, with how many digits stood in the run; `<track1>`, `<track2>` a magnetic stripe's tracks or
their equivalent in a chip; `<emv:5A>` a data object of EMV; `<pin>` a PIN block in clear, or one behind a label.
A PIN block that is enciphered, or combined with a card number that does not stand there, is eight bytes like any others
and cannot be recognised.

Which digits are a card number, `drivers.card_numbers` knows. Sources of shapes: ISO/IEC 7813 (tracks), EMV book 3
annex A (objects), ISO 9564-1 (PIN fields), GB 18030 (wide digits).
"""

from __future__ import annotations

import functools
import re
import unicodedata
from typing import Final

from drivers.card_numbers import IN_PACKED, is_pan, luhn, of_a_scheme

LABEL: Final = re.compile(r"<(?:pan:\d+|track[12]|emv:[0-9A-F]+|pin|long:\d+)>")

# --- texts -----------------------------------------------------------------------------------------------------------

_SPACE: Final = r"[ \-\u00a0\u2009\u2010-\u2015\u3000\uff0d]{0,2}"
_MAYBE: Final = re.compile(
    rf"\d(?:{_SPACE}\d){{12}}|\d{{4}}[./_]\d{{4,6}}[./_]\d|\\x|\bb['\"]|[%;+A-Z]\w?\d{{8}}|[0-9a-fA-F]{{14}}"
    r"|(?:[0-9a-fA-F]{2}[ :-]){6}|(?i:pin.?block)|[\x00-\x08\x0e-\x1f\x80-\x9f]"
)
_TRACK_1: Final = re.compile(r"%[A-Z][0-9 ]{8,19}\^[^?\r\n]{0,90}\??|[A-Z]\d{12,19}\^[^?\r\n]{2,26}\^[^?\r\n]{0,60}\??")
_TRACK_2: Final = re.compile(r"[;+]\d{8,21}[=D][0-9=]{0,90}\??|(?<!\d)\d{12,19}[=D]\d{7,30}\??", re.ASCII)
_RUN: Final = re.compile(rf"\d(?:{_SPACE}\d){{12,}}")
_DOTTED: Final = re.compile(r"(?<!\d)\d{4}([./_])(?:\d{4}\1\d{4}\1\d{1,4}(?:\1\d{1,3})?|\d{6}\1\d{4,5})(?!\d)")
_HEX: Final = re.compile(r"(?<![0-9A-Za-z])(?:0[xX])?(?:[0-9a-fA-F]{2}){7,}(?![0-9A-Za-z])")
_DUMP: Final = re.compile(r"(?<![0-9A-Za-z])[0-9a-fA-F]{2}([ :-])(?:[0-9a-fA-F]{2}\1){5,}[0-9a-fA-F]{2}(?![0-9A-Za-z])")
_REPR: Final = re.compile(
    r"(?:\bb)?(?:'[^'\\]*(?:\\[\s\S][^'\\]*)*(?:'|\\?\Z)|\"[^\"\\]*(?:\\[\s\S][^\"\\]*)*(?:\"|\\?\Z))"
)
_ESCAPES: Final = {"n": "\n", "r": "\r", "t": "\t"}
_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", re.IGNORECASE)
_DECLARED: Final = re.compile(r"(?i:ICCID|CCID|IMEI|CGSN)\W{1,5}(?:8[89]\d{16,18}|\d{15})(?!\d)")
_LETTERED: Final = re.compile(
    r"(?<![0-9A-Za-z])(?:[0-9a-fA-F]{2}[ :-]){0,64}(?:[0-9a-fA-F]{2}(?<!\d\d)[ :-]?)(?:[0-9a-fA-F]{2}[ :-]?)*"
)
_PIN_LABEL: Final = re.compile(r"(?i:pin.?block)\W{0,6}[0-9a-fA-F]{16}(?:[0-9a-fA-F]{16})?(?![0-9a-fA-F])")
_RAW: Final = re.compile(r"[\x00-\x08\x0e-\x1f\x80-\x9f]")


def redact_text(text: str) -> str:
    """The text without card data, in whatever decimal digits of Unicode; also as hex and as Python spells bytes."""
    if not _MAYBE.search(text):
        return text
    for _ in range(_PASSES):
        once = _text_pass(text)
        if _RAW.search(once) and max(once) < "\u0100":  # bytes that somebody took for a text
            once = redact(once.encode("latin-1")).decode("latin-1")
        if once == text:
            break
        text = once
    return text


def _text_pass(text: str) -> str:
    text = _TRACK_1.sub("<track1>", text)
    text = _TRACK_2.sub("<track2>", text)
    text = _PIN_LABEL.sub("<pin>", text)
    text = _REPR.sub(_spelled, text)
    text = _DUMP.sub(_hex, _HEX.sub(_hex, text))
    text = _DOTTED.sub(_run, text)
    kept = [range(*found.span()) for shape in (_UUID, _DECLARED, _LETTERED) for found in shape.finditer(text)]
    return _RUN.sub(
        lambda run: run[0] if any(run.start() in k and run.end() - 1 in k for k in kept) else _run(run), text
    )


def _run(found: re.Match[str]) -> str:
    groups = ["".join(str(unicodedata.decimal(digit)) for digit in group) for group in re.findall(r"\d+", found[0])]
    return f"<pan:{sum(map(len, groups))}>" if is_pan(groups) else found[0]


def _hex(found: re.Match[str]) -> str:
    data = bytes.fromhex(re.sub(r"^0[xX]|[ :-]", "", found[0]))
    if data.hex().isdecimal() and not data.isdigit():
        return found[0]  # packed digits in hex are digits, and those are looked at as such
    return _labels_of(data, found[0])


def _spelled(found: re.Match[str]) -> str:
    if "\\x" not in found[0] and found[0][0] != "b":
        return found[0]
    inside = found[0].lstrip("b")[1:].rstrip("'\"")
    plain = re.sub(
        r"\\(?:x([0-9a-fA-F]{2})|(.))",
        lambda escape: chr(int(escape[1], 16)) if escape[1] else _ESCAPES.get(escape[2], escape[2]),
        inside,
    )
    return _labels_of(plain.encode("latin-1", "replace"), found[0])


def _labels_of(data: bytes, otherwise: str) -> str:
    """Instead of the spelling of bytes, the labels of what stands in them; the spelling itself for nothing."""
    before, after = (LABEL.findall(text.decode("latin-1")) for text in (data, redact(data)))
    return "".join(after) if len(after) > len(before) else otherwise


# --- bytes -----------------------------------------------------------------------------------------------------------

_WIDE: Final = (  # a run of digits as GB 18030 and as UTF-8 write wide ones, and where in a digit its number stands
    (
        re.compile(rb"\xa3[\xb0-\xb9](?:(?:[ -]|\xa1\xa1|\xa3\xad)?\xa3[\xb0-\xb9]){12,}"),
        re.compile(rb"\xa3([\xb0-\xb9])"),
    ),
    (
        re.compile(rb"\xef\xbc[\x90-\x99](?:(?:[ -]|\xe3\x80\x80|\xef\xbc\x8d)?\xef\xbc[\x90-\x99]){12,}"),
        re.compile(rb"\xef\xbc([\x90-\x99])"),
    ),
)
_DECIMAL: Final = rb"[\x00-\x09\x10-\x19\x20-\x29\x30-\x39\x40-\x49\x50-\x59\x60-\x69\x70-\x79\x80-\x89\x90-\x99]"
_PACKED: Final = re.compile(rb"[\x00-\xff]?" + _DECIMAL + rb"{6,}[\x00-\xff]{0,12}")  # the rest of a track may follow
_PLAIN: Final = re.compile(rb"[ -~]*\Z")
_LETTERS: Final = bytes(range(0x20, 0x7F))
_EMV_TAG: Final = re.compile(rb"(\x57|\x5a|\x5f\x20|\x9f\x6b)\x81?([\x02-\x1a])")
_TRACK_VALUE: Final = re.compile(r"\d{8,19}d\d{0,30}f*")
_EMV: Final = {
    b"\x57": ("57", _TRACK_VALUE, re.compile(r"\d{7,19}(?:d\d*f*)?")),
    b"\x9f\x6b": ("9F6B", _TRACK_VALUE, re.compile(r"\d{7,19}(?:d\d*f*)?")),
    b"\x5a": ("5A", re.compile(r"\d{12,19}f{0,8}"), re.compile(r"\d{7,19}f*")),
    b"\x5f\x20": ("5F20", re.compile(r"(?:[2-7][0-9a-f]|[89a-f][0-9a-f]){2,26}"), re.compile(r"(?:[2-7][0-9a-f]){3,}")),
}
"""Tag to its name, to its whole value in hex, and to what of it may stand at a cut end."""
_PIN_TAG: Final = re.compile(rb"\x99\x08[\x00-\xff]{8}")
_PIN_LEAD: Final = re.compile(rb"[\x04-\x09\x0b\x0c\x24-\x2c\x34-\x38\x44-\x4c]")
_PIN_FILL: Final = {"0": "f", "2": "f", "3": "abcdef", "4": "a"}
"""Control nibble of a PIN field to what fills it up to its 16th nibble."""
_PASSES: Final = 4  # what is taken out may bring together what stood around it


def redact(data: bytes) -> bytes:
    """Replace card data in a line's bytes by its kind: ASCII, wide digits, BCD, EMV objects, PIN fields, hex."""
    for _ in range(_PASSES + len(data) // 6):  # a pass takes one card number out of a row of packed digits
        once = _byte_pass(data)
        if once == data:
            break
        data = once
    return data


def _byte_pass(data: bytes) -> bytes:
    data = _emv(data)
    data = _pins(_PIN_TAG.sub(b"<pin>", data))
    data = _text_pass(data.decode("latin-1")).encode("latin-1")
    for run, digit in _WIDE:
        data = run.sub(functools.partial(_wide, digit), data)
    return _packed(data)


def _emv(data: bytes) -> bytes:
    """Tag, length and value go when the value is what the tag says it is, or the beginning of it at the end."""
    at = 0
    while found := _EMV_TAG.search(data, at):
        name, whole, begun = _EMV[found[1]]
        at = found.start() + 1
        value = data[found.end() : found.end() + found[2][0]]
        shape = whole if len(value) == found[2][0] else begun
        # In a text, a letter, a line feed and more letters may look like a tag, a length and a value.
        text = value.hex()
        if shape.fullmatch(text) and (
            len(found[1]) == 2 or not _PLAIN.match(value) or luhn(text.partition("d")[0].rstrip("f"))
        ):
            label = b"<emv:%s>" % name.encode()
            data = data[: found.start()] + label + data[found.end() + len(value) :]
            at = found.start() + len(label)
    return data


def _pins(data: bytes) -> bytes:
    at = 0
    while found := _PIN_LEAD.search(data, at):
        at = found.start() + 1
        field = data[found.start() : found.start() + _pin_bytes(found[0])]
        if len(field) == _pin_bytes(found[0]) and _begins_pin(field):
            data = data[: found.start()] + b"<pin>" + data[found.start() + len(field) :]
    return data


def _pin_bytes(lead: bytes) -> int:
    return 16 if lead[0] >> 4 == 4 else 8


def _begins_pin(field: bytes) -> bool:
    """Whether the bytes are a PIN field of ISO 9564-1 (format 0 before its combination, 2, 3, 4), or begin as one."""
    text = field.hex()
    digits, fill = text[2 : 2 + int(text[1], 16)], text[2 + int(text[1], 16) : 16]
    return (digits or "0").isdecimal() and not fill.strip(_PIN_FILL[text[0]])


def _wide(digit: re.Pattern[bytes], found: re.Match[bytes]) -> bytes:
    digits = "".join(str(each[0] & 0x0F) for each in digit.findall(found[0]))  # 0xB0 and 0x90 are both a zero
    return b"<pan:%d>" % len(digits) if is_pan([digits]) else found[0]


_TRACK_NIBBLES: Final = 64  # a letter can only stand in the last twelve bytes, with 21 digits before it
_PACKED_TRACK: Final = re.compile(r"(?<!\d)0?(\d{13,19})d\d{7,}f?")


def _packed(data: bytes) -> bytes:
    at = 0
    while found := _PACKED.search(data, at):
        at = found.end()
        card = _packed_card(found)
        if card is not None:
            low, high, label = card
            data = data[:low] + label + data[high:]
            at = low + len(label)
    return data


def _packed_card(found: re.Match[bytes]) -> tuple[int, int, bytes] | None:
    """Where in the whole a card number stands in packed digits, at either half of a byte, if that is no text."""
    begin, text = found.start(), found[0].hex()
    track = _PACKED_TRACK.search(text, max(0, len(text) - _TRACK_NIBBLES)) if "d" in text else None
    if track and track[1] in of_a_scheme(track[1], 0):
        low, high = begin + track.start() // 2, begin + (track.end() + 1) // 2
        if not _is_text(found.string, low, begin + track.end() // 2):
            return low, high, b"<track2>"
    for run in re.finditer(r"\d{13,}", text):
        digits = run[0]
        for start in range(len(digits) - 12):
            for part in of_a_scheme(digits, start, IN_PACKED):
                nibble = run.start() + start
                low, high = begin + nibble // 2, begin + (nibble + len(part) + 1) // 2
                if _fits(run, start, part) and not _is_text(found.string, low, high):
                    return low, high, b"<pan:%d>" % len(part)
    return None


def _fits(run: re.Match[str], start: int, part: str) -> bool:
    """Whether digits in the midst of others are placed as a card number is, rather than by chance.

    It begins with a byte, or the run begins or ends with it; one of odd length is padded to whole bytes; one that is
    mostly zeros stands alone, or is a counter.
    """
    before, after = run[0][:start], run[0][start + len(part) :]
    touches = not before or not after
    placed = (run.start() + start) % 2 == 0 or touches
    padded = len(part) % 2 == 0 or touches or before[-1] == "0"
    alone = not before.strip("0") and not after.strip("0")
    if len(part) == 14:  # as seven digits in ASCII often are
        return not before and not after
    return placed and padded and (alone or (touches and len(part) % 2 == 1) or part.count("0") * 2 <= len(part))


def _is_text(whole: bytes, low: int, high: int) -> bool:
    """Whether the bytes belong to a longer text, or are a text of digits, rather than packed digits.

    A text that reaches in from outside by four letters or more is one.
    """
    piece = whole[low:high]
    before = whole[max(0, low - 1) : low].strip(_LETTERS) != whole[max(0, low - 1) : low]
    after = whole[high : high + 1].strip(_LETTERS) != whole[high : high + 1]
    if _PLAIN.match(piece):
        return piece.isdigit() or before or after
    head, tail = len(piece) - len(piece.lstrip(_LETTERS)), len(piece) - len(piece.rstrip(_LETTERS))
    return (before and head > 3) or (after and tail > 3)


# --- streams ---------------------------------------------------------------------------------------------------------

CARRY_BYTES: Final = 256  # twice what a magnetic stripe's longest track has in hex would be 214
_SHOWN_BYTES: Final = 3  # six digits of a card number may be shown
_OPEN: Final = (
    re.compile(rb"\d(?:[ ./_-]{0,2}\d)*[ ./_-]{0,2}\Z"),
    re.compile(rb"%(?:[A-Z](?:[0-9 ]{0,19}(?:\^[^?\r\n]{0,90})?)?)?\Z|[A-Z]\d{12,19}(?:\^[^?\r\n]{0,90})?\Z"),
    re.compile(rb"[;+]\d{0,21}(?:[=D][0-9=]{0,90})?\Z|\d{12,}[=D]\d{0,30}\Z"),
    re.compile(rb"[0-9a-fA-F]{4,}\Z|[0-9a-fA-F]{2}[ :-](?:[0-9a-fA-F]{2}[ :-])*[0-9a-fA-F]{0,2}\Z"),
    re.compile(rb"\xa3(?:[\xb0-\xb9](?:[ -]|\xa1\xa1?|\xa3\xad)?\xa3?)*\Z"),
    re.compile(rb"\xef\Z|\xef\xbc(?:[\x90-\x99](?:[ -]|\xe3\x80?\x80?|\xef\xbc\x8d)?(?:\xef\xbc?)?)*\Z"),
    re.compile(rb"(?:[\x57\x5a]|\x5f\x20?|\x9f\x6b?)\x81?\Z|\x99(?:\x08[\x00-\xff]{0,7})?\Z"),
    re.compile(rb"(?i:pi?|pin.?|pin.?bl?o?c?|pin.?block\W{0,6}[0-9a-f]{0,32})\Z"),
)
_PACKED_OPEN: Final = re.compile(r"\d{12,}d\d{0,20}\Z|\d+\Z")
_PLAIN_END: Final = re.compile(rb"[ -~]*\Z")
_VALUE_BEGUN: Final = re.compile(r"\d*(?:d\d*)?f*")
_INSIDE: Final = re.compile(rb"\A(?:" + _DECIMAL + rb"|[A-Fa-f=^\x0d\xa1\xa3\xad\xb0-\xb9\xbc\xef\xd0-\xd9])*")


class Redactor:
    """Redacts a stream whose chunks may be cut anywhere: what may yet become card data waits for what follows."""

    def __init__(self) -> None:
        self._held = b""
        self._swallowing = False

    def feed(self, data: bytes) -> bytes:
        """The part of everything so far that is safe to keep. What stays open for too long is dropped (`<long:N>`)."""
        data = self._held + data
        if self._swallowing:
            data = _INSIDE.sub(b"", data, count=1)
            self._swallowing = not data
        looked_at = max(0, len(data) - CARRY_BYTES - 1)
        start = looked_at + _open_from(data[looked_at:])
        self._held = data[start:]
        if len(self._held) <= CARRY_BYTES:
            return redact(data[:start])
        self._held, self._swallowing = b"", True
        while start and _INSIDE.fullmatch(data[start - 1 : start]):
            start -= 1
        return redact(data[:start]) + b"<long:%d>" % (len(data) - start)

    @property
    def pending(self) -> bytes:
        """What waits, to be shown: `<held:N>`, or the bytes themselves while six digits at most can be in them."""
        return self._held if len(self._held) <= _SHOWN_BYTES else b"<held:%d>" % len(self._held)


def _open_from(tail: bytes) -> int:
    """Where at the end something begins that may yet become card data; the length for nowhere."""
    starts = [found.start() for shape in _OPEN if (found := shape.search(tail))]
    packed = _PACKED_OPEN.search(tail.hex())
    letters = _PLAIN_END.search(tail)
    if packed is not None and letters is not None and packed.start() // 2 <= letters.start():
        starts.append(packed.start() // 2)  # not in the midst of a text
    for found in _EMV_TAG.finditer(tail, max(0, len(tail) - 32)):
        value = tail[found.end() :]
        if len(value) < found[2][0] and (found[1] == b"\x5f\x20" or _VALUE_BEGUN.fullmatch(value.hex())):
            starts.append(found.start())
    for found in _PIN_LEAD.finditer(tail, max(0, len(tail) - 15)):
        field, before = tail[found.start() :], tail[: found.start()][-1:]
        if len(field) < _pin_bytes(field) and _begins_pin(field) and not (before and _PLAIN.match(before)):
            starts.append(found.start())
    start, safe = min(starts, default=len(tail)), redact(tail)
    while 0 < start < len(tail) and redact(tail[:start]) + redact(tail[start:]) != safe:
        start -= 1  # what is whole must not be cut because its end may begin something else
    return start
