"""A slip as it looks on thermal paper: what `render` read -> a PNG with one pixel a printer dot.

Needs Pillow and a font of the simulator's extra, both loaded only here.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from PIL import Image, ImageDraw, ImageFont

from simulator.render import CELL_DOTS, Cut, Item, Line, Picture, Run

_GLYPH_DOTS: Final = 24
_MARGIN: Final = 24
_PAPER: Final = 250
_INK: Final = 30
_MONO_FACE: Final = 1  # of the font file's two faces
_INSTALLED: Final = "/usr/share/fonts/truetype/wqy/wqy-microhei.ttc"


def as_png(items: list[Item], path: Path, columns: int = 48) -> None:
    """Write the slip. Raises OSError, and ModuleNotFoundError without the font."""
    dots = columns * CELL_DOTS
    pieces = [(item, _height(item)) for item in items]
    image = Image.new("L", (dots + 2 * _MARGIN, sum(height for _, height in pieces) + 2 * _MARGIN), _PAPER)
    top = _MARGIN
    for item, height in pieces:
        if isinstance(item, Line):
            _draw_line(image, item, top, dots)
        elif isinstance(item, Picture):
            _paste(image, _picture(item), item.align, top, dots)
        elif isinstance(item, Cut):
            _draw_cut(image, top, full=item.full)
        top += height
    image.save(path, "PNG")


def _height(item: Item) -> int:
    if isinstance(item, Line):
        return max(item.pitch, max(run.style.tall for run in item.runs) * _GLYPH_DOTS)
    if isinstance(item, Picture):
        return len(item.rows) * item.scale or 66
    return 24 if isinstance(item, Cut) else item.dots


def _start(align: str, width: int, dots: int) -> int:
    return _MARGIN + {"centre": (dots - width) // 2, "right": dots - width}.get(align, 0)


def _paste(image: Image.Image, mask: Image.Image, align: str, top: int, dots: int) -> None:
    image.paste(_INK, (_start(align, mask.width, dots), top), mask)


def _draw_line(image: Image.Image, line: Line, top: int, dots: int) -> None:
    tallest = max(run.style.tall for run in line.runs)
    left = _start(line.align, line.cells * CELL_DOTS, dots)
    for run in line.runs:
        at = (left + run.column * CELL_DOTS, top + (tallest - run.style.tall) * _GLYPH_DOTS)
        image.paste(_INK, at, _run(run))


def _run(run: Run) -> Image.Image:
    """The run's dots, as a printer makes them: from a fixed font, enlarged by whole factors."""
    style = run.style
    mask = Image.new("1", (run.cells * CELL_DOTS // style.wide, _GLYPH_DOTS))
    draw = ImageDraw.Draw(mask)
    draw.fontmode = "1"
    for char, left, width in _cells(run):
        for shift in range(1 + style.bold):
            draw.text((left + shift + width // 2, 20), char, fill=1, font=_font(wide=width > CELL_DOTS), anchor="ms")
    if style.underline:
        draw.line((0, 23, mask.width, 23), fill=1)
    if style.inverse:
        mask = mask.point(lambda dot: not dot)
    return mask.resize((mask.width * style.wide, mask.height * style.tall), Image.Resampling.NEAREST)


def _cells(run: Run) -> Iterator[tuple[str, int, int]]:
    """Each character with where its cell begins and how wide it is, in dots before enlarging."""
    single = run.cells // run.style.wide - len(run.text)  # so many characters take two cells
    left = 0
    for char in run.text:
        width = 2 * CELL_DOTS if single and not char.isascii() else CELL_DOTS
        yield char, left, width
        left += width


@cache
def _font(*, wide: bool) -> Any:
    """Half-width characters of this face are 0.6 of the size wide, so that size 20 fills a cell of 12 dots."""
    return ImageFont.truetype(_font_file(), 23 if wide else 20, index=_MONO_FACE)


def _font_file() -> str:
    if Path(_INSTALLED).exists():
        return _INSTALLED
    return str(files("paperang_p2_fonts_cjk") / "fonts" / "wqy-microhei.ttc")


def _picture(picture: Picture) -> Image.Image:
    """The dots; a bar code, which `render` does not draw, is a frame with what it says."""
    if not picture.rows:
        frame = Image.new("1", (240, 60))
        draw = ImageDraw.Draw(frame)
        draw.rectangle((0, 0, 239, 59), outline=1)
        draw.text((8, 18), picture.told, fill=1, font=_font(wide=False))
        return frame
    mask = Image.new("1", (len(picture.rows[0]), len(picture.rows)))
    mask.putdata([int(dot) for row in picture.rows for dot in row])
    return mask.resize((mask.width * picture.scale, mask.height * picture.scale), Image.Resampling.NEAREST)


def _draw_cut(image: Image.Image, top: int, *, full: bool) -> None:
    draw = ImageDraw.Draw(image)
    for left in range(0, image.width, 1 if full else 18):
        draw.line((left, top + 12, left + 10, top + 12), fill=140)
