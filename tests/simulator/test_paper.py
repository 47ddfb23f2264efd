"""A slip as a picture: where ink falls."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from simulator.paper import as_png
from simulator.render import read_slip

MARGIN = 24
ESC, GS, FS = b"\x1b", b"\x1d", b"\x1c"


@pytest.fixture
def box(tmp_path: Path):
    """The frame of the ink in dots from the paper's edge, and how much there is."""

    def draw(data: bytes, columns: int = 20) -> tuple[int, int, int, int, int]:
        path = tmp_path / "slip.png"
        as_png(read_slip(data, columns), path, columns)
        with Image.open(path) as image:
            mask = image.point(lambda grey: 255 if grey < 100 else 0)
            frame = mask.getbbox()
            assert frame
            left, top, right, bottom = (edge - MARGIN for edge in frame)
            return left, top, right, bottom, mask.histogram()[255]

    return draw


def test_a_character_fills_its_cell_and_no_more(box):
    left, top, right, bottom, _ = box(b"M\n")
    assert 0 <= left < right <= 12
    assert 0 <= top < bottom <= 24
    left, top, right, bottom, _ = box(FS + b"&" + "国".encode("gb18030") + b"\n")
    assert 0 <= left <= 3
    assert 20 <= right <= 24
    assert bottom <= 24


def test_every_character_of_a_mixed_line_has_its_own_place(box):
    text = FS + b"&" + "中".encode("gb18030") + b"1" + "国".encode("gb18030") + b"\n"
    _, _, right, _, ink = box(text)
    assert 56 <= right <= 60
    assert ink > 200


def test_big_is_twice_and_bold_is_more(box):
    *_, plain = box(b"M\n")
    left, _, right, bottom, big = box(GS + b"!\x11M\n")
    assert 4 * plain == big
    assert (right - left) > 12
    assert bottom > 24
    *_, bold = box(ESC + b"E\x01M\n")
    assert plain < bold < 2 * plain


def test_alignment(box):
    assert box(ESC + b"a\x02M\n")[0] >= 19 * 12
    middle = box(ESC + b"a\x01MM\n")
    assert abs(middle[0] + middle[2] - 240) <= 4


def test_dots_of_a_picture_fall_where_they_should(box):
    assert box(GS + b"v0\x00\x01\x00\x02\x00\xf0\x0f") == (0, 0, 8, 2, 8)
