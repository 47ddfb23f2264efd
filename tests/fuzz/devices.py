"""What reads bytes of devices: decoders, modem lines, texts inside frames, and who a device says it is."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable
from dataclasses import is_dataclass
from functools import partial
from pathlib import Path
from typing import Any

import firmware_notes
from agent import cards, wire
from agent.probes import firmware
from agent.security import Parts
from drivers.codecs import (
    at,
    at_quectel,
    at_replies,
    at_simcom,
    ccid_serial,
    creator,
    escpos,
    evdev,
    smartpin,
    szzt,
    vivotech2,
)
from drivers.codecs.malformed import Malformed
from drivers.reading import Identity
from firmware_notes import load_golden

Parser = Callable[..., Any]
Take = Callable[[bytes], int]

MOST_HELD = 8192
"""What any decoder may hold back: the largest says 4 KiB, and half a message beside it."""


def _asked(kind: escpos.Kind | None) -> Callable[[], escpos.Demux]:
    def make() -> escpos.Demux:
        demux = escpos.Demux()
        demux.expect(kind)
        return demux

    return make


DECODERS: dict[str, tuple[str, Callable[[], Any]]] = {
    "escpos": ("escpos", _asked(None)),
    "escpos, status asked": ("escpos", _asked(escpos.Kind.STATUS)),
    "escpos, model asked": ("escpos", _asked(escpos.Kind.BYTE)),
    "escpos, text asked": ("escpos", _asked(escpos.Kind.BLOCK)),
    "escpos, full status asked": ("escpos", _asked(escpos.Kind.FULL_STATUS)),
    "at": ("at", lambda: at.AtDecoder("AT+CPIN?")),
    "quectel": ("quectel", at.AtDecoder),
    "simcom": ("simcom", at.AtDecoder),
    "crt571": ("crt571", creator.Decoder),
    "neo": ("neo", vivotech2.Decoder),
    "neo, low byte first": ("neo", lambda: vivotech2.Decoder("lsb")),
    "gempc": ("gempc", ccid_serial.Decoder),
    "zt588": ("zt588", szzt.Decoder),
    "smartpin": ("smartpin", smartpin.Decoder),
    "evdev": ("evdev", evdev.Decoder),
}


def golden(family: str) -> list[bytes]:
    """The golden frames of a family."""
    return [frame.data for frame in load_golden(family)]


def held(decoder: Any) -> int:
    """Bytes that a decoder keeps in its attributes."""
    kept = vars(decoder).values()
    assert all(value is None or isinstance(value, int | str | bytes | bytearray | escpos.Kind) for value in kept)
    return sum(len(value) for value in kept if isinstance(value, bytearray))


def drain(decoder: Any, limit: int) -> int:
    """How many messages came out. Each step but the last takes bytes out of the decoder."""
    messages = 0
    for _ in range(limit + 1):
        before = held(decoder)
        try:
            message = decoder.next()
        except Malformed:
            assert held(decoder) < before, "an error that consumed nothing"
            continue
        if message is None:
            return messages
        assert held(decoder) < before, "a message out of nothing"
        assert is_dataclass(message)
        messages += 1
    raise AssertionError("more steps than bytes")


def decoding(make: Callable[[], Any]) -> Take:
    decoder = make()

    def take(piece: bytes) -> int:
        decoder.feed(piece)
        assert held(decoder) <= MOST_HELD
        messages = drain(decoder, MOST_HELD)
        if isinstance(decoder, escpos.Demux):
            decoder.expect(make().awaited)
        return messages

    return take


def _line_parsers() -> dict[str, Parser]:
    found: dict[str, Parser] = {}
    for module in (at_replies, at_quectel, at_simcom):
        for name, parser in inspect.getmembers(module, inspect.isfunction):
            if name.startswith("parse_") and parser.__module__ == module.__name__:
                found[f"{module.__name__.rpartition('.')[2]}.{name}"] = parser
    return found


LINE_PARSERS = _line_parsers()
MODEM_FRAMES = [data for family in ("at", "quectel", "simcom") for data in golden(family)]


def reads(parser: Parser, lines: list[str]) -> bool:
    """Whether a modem's parser makes anything of these lines."""
    parameters = inspect.signature(parser).parameters
    try:
        if "prefix" in parameters:
            told = parser(lines, "+CEREG")
        else:
            told = parser(lines) if "lines" in parameters else [parser(line) for line in lines]
    except ValueError:
        return False
    return any(each is not None for each in told) if isinstance(told, list) else told is not None


def modem_lines(piece: bytes) -> int:
    lines = piece.decode("latin-1").splitlines()
    return sum(reads(parser, lines) for parser in LINE_PARSERS.values())


INSIDE: dict[str, tuple[str, Parser]] = {
    "zt588 identity": ("zt588", szzt.decode_identity),
    "smartpin text": ("smartpin", smartpin.decode_text),
    "smartpin keys": ("smartpin", smartpin.decode_keys),
    "smartpin removals": ("smartpin", smartpin.decode_removals),
    "evdev identity": ("evdev", evdev.decode_ids),
}
"""Texts and tables inside frames: whose, and what reads them; all of them raise Malformed."""


def inner(family: str) -> list[bytes]:
    """The insides of a family's golden frames, cut as the families cut them."""
    cuts = ((0, 0), (3, 3), (4, 3))
    found = (data[cut : len(data) - tail] for data in golden(family) for cut, tail in cuts)
    return [each for each in found if each]


def within(parser: Parser, piece: bytes) -> int:
    try:
        parser(piece)
    except Malformed:
        return 0
    return 1


IDENTITIES = [
    b"EPSON|TM-T88V|X2N0001|2.04",
    b"Quectel|EC25|866758040000000|EC25EUXGAR08A05M1G",
    b"CREATOR|CRT-571|CRT-571(V20)|1.13.9",
    "EPSON|TM-T88V|X2N0001|².04".encode("latin-1"),
    b"ID TECH|IDPB-602400M|123T456789|ID TECH SmartPIN L100 Firmware V1.00",
]


def identities() -> Take:
    """Who a device says it is: cleaned, compared with who it was, and judged by the firmware notes."""
    parts = Parts("t1")

    def take(piece: bytes) -> int:
        texts = [each[:128] for each in piece.decode("latin-1").split("|")][:4]
        texts += [""] * (4 - len(texts))
        identity = cards.clean_identity(
            Identity(manufacturer=texts[0], model=texts[1], serial=texts[2], firmware=texts[3])
        )
        good = 0
        for family in ("escpos", "quectel", "crt571", "smartpin"):
            parts.judge(family, family, identity, expected=False, updated=False)
            entry = wire.DeviceEntry(
                name=family, unit="printer", family=family, port="", model=identity.model, firmware=identity.firmware
            )
            verdict, _ = firmware.judge(entry, firmware.load_models())
            assert verdict.value in {None, "ok", "outdated", "known_bad", "unknown_combination"}
            good += verdict.value in {"ok", "outdated", "known_bad"}
        return good

    return take


NOTES = [path.read_bytes()[:1500] for path in Path(firmware_notes.__file__).parent.glob("*/*.toml")]


def notes(piece: bytes) -> int:
    """What somebody wrote of a device's frames and firmware."""
    text = piece.decode("utf-8", "replace")
    good = 0
    for read in (firmware_notes.parse_golden, partial(firmware_notes.parse_models, family="escpos")):
        with contextlib.suppress(ValueError):
            good += len(read(text))
    return good
