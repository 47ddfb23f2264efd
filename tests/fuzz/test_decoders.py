"""Every decoder under more than a million bytes: only the documented error, always progress, bounded memory.

The bytes are golden frames, damaged, cut and joined at random places, with noise between. What is a decoder is found in
the package, so that a new one cannot be forgotten.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from dataclasses import is_dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import drivers.codecs
from drivers.codecs import at, ccid_serial, creator, escpos, evdev, smartpin, szzt, vivotech2
from drivers.codecs.malformed import Malformed
from firmware_notes import load_golden
from tests.fuzz.mutator import Mutator

BYTES_EACH = 130_000
MOST_HELD = 8192
"""What any decoder may hold back: the largest says 4 KiB, and half a message beside it."""


def asked(kind: escpos.Kind | None) -> Callable[[], escpos.Demux]:
    def make() -> escpos.Demux:
        demux = escpos.Demux()
        demux.expect(kind)
        return demux

    return make


DECODERS: dict[str, tuple[str, Callable[[], Any]]] = {
    "escpos": ("escpos", asked(None)),
    "escpos, status asked": ("escpos", asked(escpos.Kind.STATUS)),
    "escpos, model asked": ("escpos", asked(escpos.Kind.BYTE)),
    "escpos, text asked": ("escpos", asked(escpos.Kind.BLOCK)),
    "escpos, full status asked": ("escpos", asked(escpos.Kind.FULL_STATUS)),
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
EACH = pytest.mark.parametrize("name", DECODERS)


def corpus(family: str) -> list[bytes]:
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


@EACH
def test_mutated_golden_frames(name: str):
    family, make = DECODERS[name]
    frames = corpus(family)
    mutator = Mutator(frames, seed=2026)
    decoder = make()
    messages = 0
    for piece in mutator.pieces(BYTES_EACH):
        decoder.feed(piece)
        assert held(decoder) <= MOST_HELD
        messages += drain(decoder, MOST_HELD)
        if isinstance(decoder, escpos.Demux):
            decoder.expect(make().awaited)
    assert messages > 100, "nothing that is right was in it, so nothing was tried"


@EACH
def test_a_flood_without_asking_is_bounded_and_ends(name: str):
    family, make = DECODERS[name]
    decoder = make()
    for filler in (
        b"\x00",
        b"\xff",
        b"\x02",
        b"\x03\x06",
        b"\xf2\x00\x00",
        b"ViVOtech2\x00",
        b"\x5f0",
        b'+X: "',
        b"\x50",
    ):
        decoder.feed(filler * (100_000 // len(filler)))
        assert held(decoder) <= MOST_HELD
        drain(decoder, MOST_HELD)
    found = 0
    for frame in corpus(family) * 2:  # and it is still alive
        decoder.feed(frame)
        found += drain(decoder, MOST_HELD)
        if isinstance(decoder, escpos.Demux):
            decoder.expect(make().awaited)
    assert found


@settings(max_examples=40, deadline=None)
@given(st.lists(st.binary(max_size=80), max_size=12))
@EACH
def test_any_bytes_in_any_pieces(name: str, pieces: list[bytes]):
    _, make = DECODERS[name]
    decoder = make()
    for piece in pieces:
        decoder.feed(piece)
        drain(decoder, MOST_HELD)


def test_every_decoder_of_the_package_is_here():
    found = set()
    for info in pkgutil.iter_modules(drivers.codecs.__path__):
        module = importlib.import_module(f"drivers.codecs.{info.name}")
        found |= {
            each
            for _, each in inspect.getmembers(module, inspect.isclass)
            if each.__module__ == module.__name__ and hasattr(each, "feed") and hasattr(each, "next")
        }
    assert found == {type(make()) for _, make in DECODERS.values()}


def test_it_is_more_than_a_million_bytes():
    assert BYTES_EACH * len(DECODERS) > 1_000_000
