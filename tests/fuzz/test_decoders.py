"""Every decoder under more than a million bytes: only the documented error, always progress, bounded memory.

The bytes are golden frames, damaged, cut and joined at random places, with noise between. What is a decoder is found in
the package, so that a new one cannot be forgotten.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import drivers.codecs
from drivers.codecs import escpos
from tests.fuzz.devices import DECODERS, MOST_HELD, drain, golden, held
from tests.fuzz.mutator import Mutator

pytestmark = pytest.mark.timeout(300)
BYTES_EACH = 130_000
EACH = pytest.mark.parametrize("name", DECODERS)


@EACH
def test_mutated_golden_frames(name: str):
    family, make = DECODERS[name]
    frames = golden(family)
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
    for frame in golden(family) * 2:  # and it is still alive
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
