"""Composing slips: bytes, widths and what cannot get through."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.codecs.escpos_print import CODE_PAGES, Slip, encode_cut, encode_feed, encode_qr, encode_text, width, wrap
from firmware_notes import load_golden

GOLDEN = {frame.name: frame for frame in load_golden("escpos") if frame.direction == "to_device"}


def test_golden_printing_commands():
    assert bytes(Slip()).startswith(GOLDEN["initialise"].data)
    assert encode_feed(3) == GOLDEN["feed three lines"].data
    assert encode_cut() == GOLDEN["feed and cut partially"].data
    assert encode_cut(full=True) == GOLDEN["feed and cut fully"].data
    assert encode_qr("A") == GOLDEN["QR code A"].data


def test_a_whole_slip():
    slip = Slip(columns=32).text("打印机 OK", bold=True, centre=True).feed(2)
    assert slip.cut() == (
        b"\x1b\x40\x1c\x26"
        b"\x1b\x61\x01\x1b\x45\x01" + "打印机 OK".encode("gb2312") + b"\n\x1b\x61\x00\x1b\x45\x00"
        b"\x1b\x64\x02"
        b"\x1d\x56\x42\x00"
    )


def test_a_code_page_turns_chinese_mode_off():
    assert bytes(Slip(encoding="cp858").text("5 €")) == b"\x1b\x40\x1c\x2e\x1b\x74\x13" + b"5 \xd5\n"


@pytest.mark.parametrize("name", CODE_PAGES)
def test_every_code_page_is_one_byte_for_a_character_and_known_to_python(name: str):
    assert width("A", name) == 1
    assert "\N{SNOWMAN}".encode(name, errors="replace") == b"?"


def test_big_text_has_half_the_columns():
    lines = bytes(Slip(columns=32, encoding="cp437").text("A" * 17, big=True))
    assert b"\x1d\x21\x11" + b"A" * 16 + b"\nA\n\x1d\x21\x00" in lines


def test_chinese_characters_take_two_columns_and_break_anywhere():
    assert wrap("纸张已经用完请更换", 8, "gb18030") == ["纸张已经", "用完请更", "换"]
    assert width("纸A", "gb18030") == 3


def test_words_stay_whole_where_they_fit():
    assert wrap("paper is out now", 9, "cp437") == ["paper is", "out now"]
    assert wrap("unrecoverable", 5, "cp437") == ["unrec", "overa", "ble"]
    assert wrap("a unrecoverable x", 5, "cp437") == ["a", "unrec", "overa", "ble x"]
    assert wrap("", 9, "cp437") == [""]
    assert wrap("  indented", 12, "cp437") == ["  indented"]


@given(st.text(max_size=80), st.integers(min_value=2, max_value=48), st.sampled_from(["gb18030", "cp437", "cp866"]))
def test_no_line_is_wider_than_the_paper_and_no_character_is_lost(text: str, columns: int, encoding: str):
    lines = wrap(text, columns, encoding)
    assert all(width(line, encoding) <= columns for line in lines)
    kept = b"".join(encode_text(line, encoding) for line in lines).replace(b" ", b"")
    assert kept == encode_text(text, encoding).replace(b" ", b"")


@given(st.text(max_size=200), st.sampled_from(["gb18030", *CODE_PAGES]))
def test_no_text_becomes_a_command(text: str, encoding: str):
    code = encode_text(text, encoding)
    assert not any(byte < 0x20 or byte == 0x7F for byte in code)


def test_characters_outside_the_usual_fonts_print_as_a_question_mark():
    assert encode_text("龙\U0001f600", "gb18030") == "龙".encode("gb2312") + b"?"


@pytest.mark.parametrize("data", ["", "A" * 701, "a\x10\x04b"])
def test_qr_data_that_cannot_be_printed_is_refused(data: str):
    with pytest.raises(ValueError):
        encode_qr(data)


def test_qr_lengths_count_bytes_little_endian():
    code = encode_qr("纸" * 100)
    assert b"\x1d\x28\x6b" + (303).to_bytes(2, "little") + b"\x31\x50\x30" in code
    assert b"\x1b\x61\x01" + encode_qr("https://example.org", module_dots=4) in bytes(
        Slip().qr("https://example.org", module_dots=4)
    )


def test_an_unknown_encoding_is_refused():
    with pytest.raises(ValueError, match="gb18030"):
        Slip(encoding="utf-8")
