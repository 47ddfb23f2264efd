"""Slips on paper: text and layout, and QR codes compared with what another QR library draws."""

from __future__ import annotations

import hashlib
import random

import pytest

from simulator import qr
from simulator.render import Blank, Cut, Line, Picture, as_text, read_slip

ESC, GS, FS = b"\x1b", b"\x1d", b"\x1c"

POSDIAG_1L = """\
111111100101101111111
100000101101001000001
101110101100101011101
101110100101001011101
101110101000101011101
100000101001101000001
111111101010101111111
000000001111100000000
110100110110001110110
000101010110001100111
111110101100110001001
110011000001000011011
101001101110101111001
000000001001000101011
111111101100010110010
100000100111110000001
101110100101001000001
101110101001000111011
101110100010100110101
100000101110011010000
111111101011100001010"""
"""The text posdiag, version 1, level L, mask 7, as the Python package qrcode 8 draws it."""


def lines(data: bytes, columns: int = 48) -> list[str]:
    return as_text(read_slip(data, columns), columns).split("\n")


def test_text_wraps_at_the_paper_s_width():
    assert lines(b"0123456789ab\n", 10) == ["0123456789", "ab"]
    assert lines(b"no line feed at the end") == ["no line feed at the end"]


def test_chinese_characters_take_two_cells():
    text = "纸已用完".encode("gb18030")
    assert lines(FS + b"&" + text + FS + b".ok\n", 10) == ["纸已用完ok"]
    assert lines(FS + b"&" + text + b"\n", 6) == ["纸已用", "完"]
    assert lines(FS + b"&" + "㐀".encode("gb18030") + b"\n") == ["㐀"]
    assert lines(text + b"\n") != ["纸已用完"]


def test_code_pages():
    assert lines("10 £ é".encode("cp437") + b"\n" + ESC + b"t\x10" + "10 € é".encode("cp1252") + b"\n") == [
        "10 £ é",
        "10 € é",
    ]


def test_alignment_sizes_and_tabs():
    assert lines(ESC + b"a\x01mid\n" + ESC + b"a\x02end\n" + ESC + b"a\x00x\ty\n", 20) == [
        " " * 8 + "mid",
        " " * 17 + "end",
        "x       y",
    ]
    big = read_slip(GS + b"!\x11BIG" + GS + b"!\x00s\n")[0]
    assert isinstance(big, Line)
    assert [(run.text, run.column, run.cells, run.style.wide, run.style.tall) for run in big.runs] == [
        ("BIG", 0, 6, 2, 2),
        ("s", 6, 1, 1, 1),
    ]
    assert lines(GS + b"!\x10" + b"abcdef\n", 10) == ["abcde", "f"]


def test_styles_and_reset():
    slip = read_slip(ESC + b"E\x01b" + ESC + b"-\x01u" + GS + b"B\x01i" + ESC + b"@n\n")
    assert isinstance(slip[0], Line)
    assert isinstance(slip[1], Line)
    looks = [(run.text, run.style.bold, run.style.underline, run.style.inverse) for run in slip[0].runs]
    assert looks == [("b", True, False, False), ("u", True, True, False), ("i", True, True, True)]
    assert not slip[1].runs[0].style.bold


def test_feeds_and_cuts():
    slip = read_slip(b"a\n\n" + ESC + b"d\x03" + ESC + b"J\x0a" + GS + b"VB\x00" + GS + b"V\x00")
    assert slip[1:] == [Blank(30), Blank(90), Blank(10), Cut(full=False), Cut(full=True)]


def test_a_raster_picture():
    slip = read_slip(GS + b"v0\x00\x01\x00\x02\x00\xf0\x0f")
    assert slip == [Picture(("11110000", "00001111"))]


def test_a_qr_code_and_a_bar_code_say_what_they_hold():
    code = GS + b"(k\x03\x001C\x05" + GS + b"(k\x03\x001E\x31" + GS + b"(k\x0a\x001P0posdiag" + GS + b"(k\x03\x001Q0"
    picture = read_slip(code)[0]
    assert isinstance(picture, Picture)
    assert picture.told == "posdiag"
    assert picture.scale == 5
    assert picture.rows == qr.encode(b"posdiag", "M")
    assert lines(GS + b"k\x02123456789012\x00" + GS + b"kI\x04{B42") == ["[123456789012]", "[{B42]"]


def test_the_qr_code_is_the_one_that_others_draw():
    assert qr.encode(b"posdiag", "L") == tuple(POSDIAG_1L.split("\n"))


@pytest.mark.parametrize(
    ("data", "level", "size", "digest"),
    [
        (
            b"https://example.test/m/0123456789abcdef",
            "M",
            29,
            "9374c211f305035f79eafd190dbeb7bd07a193c3b5ac2ba6675447c7ba2e7418",
        ),
        (b"x" * 100, "H", 57, "5fae2a3692bd1b1893ae7556fceefd1e41f159715c432f20559ed9de77dc550f"),
        (b"y" * 100, "Q", 49, "704a3322420be3f9434fa089b7d919a469ee45f23b3220f5ce1d55998f886984"),
        (b"z" * 180, "L", 49, "192cd09fedcb3dd7f30de8093a81252361a5a1918f53fdfd5c2eba557e658c34"),
    ],
)
def test_large_qr_codes_are_the_ones_that_others_draw(data, level, size, digest):
    rows = qr.encode(data, level)
    assert {len(row) for row in rows} == {len(rows)} == {size}
    assert hashlib.sha256("\n".join(rows).encode()).hexdigest() == digest


def test_what_does_not_fit_is_not_drawn():
    assert qr.encode(b"x" * 644, "L")
    assert qr.encode(b"x" * 645, "L") == ()
    assert qr.encode(b"X" * 938, "L")
    assert qr.encode(b"X" * 939, "L") == ()


def test_anything_may_have_been_printed():
    rng = random.Random(19)
    starts = [
        b"",
        b"\x1d(k\x04\x001P0",
        b"\x1d(k\x03\x001Q0",
        b"\x1dv0\x00\x00\x00",
        b"\x1b!",
        b"\x1c&",
        b"\x1b3\x00",
        b"\x1dk\x49",
    ]
    for _ in range(300):
        data = b"".join(rng.choice(starts) + rng.randbytes(rng.randrange(12)) for _ in range(6))
        as_text(read_slip(data))
