"""The help slip on paper and on the screen: it fits, it says what to do, and its code can be read from a picture."""

from __future__ import annotations

from pathlib import Path

import pytest
import zxingcpp
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from PIL import Image

from agent import report_code, slip
from agent.guidance import guidance
from agent.vocabulary import VOCABULARY
from center.scan import decode, verify
from simulator.devices.printer_stream import CommandCutter
from simulator.paper import as_png
from simulator.render import CELL_DOTS, Cut, Line, Picture, read_slip
from tests.agent.statuses import fault, status

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key().public_bytes_raw()
WIDTHS = (32, 42, 48)
LANGUAGES = ("en", "zh")
WIDEST = 400  # lines that are too long for the paper are not broken on this


def made(language: str, key: str = "modem/sim_absent", *others: str, **more: str) -> tuple[list[slip.Block], str]:
    values = status(*[fault(k, why="x" * 20) for k in (key, *others)], language=language, **more)
    code = report_code.encode(values, KEY.sign)
    return slip.blocks(values, code), code


def texts(language: str, key: str, *others: str) -> list[slip.Block]:
    """The slip without its code, which takes long to make and to draw."""
    content = slip.blocks(status(*[fault(k) for k in (key, *others)], language=language), "A")
    return [block for block in content if block.style != "code"]


def printed(content: list[slip.Block], columns: int) -> list[Line]:
    return [item for item in read_slip(b"".join(slip.as_parts(content, columns)), WIDEST) if isinstance(item, Line)]


def seen(image: Image.Image) -> list[str]:
    return [found.text for found in zxingcpp.read_barcodes(image)]


LINK = "https://pos.example.org/m/3q2pXv0Zb8aQf1Yk6hT9sL"


@pytest.mark.parametrize(
    ("language", "says"), [("en", "Follow your case on your phone"), ("zh", "手机扫码查看工单进度")]
)
@pytest.mark.parametrize("columns", WIDTHS)
def test_the_merchants_page_is_a_second_code_with_one_line_under_it(tmp_path, columns, language, says):
    values = status(fault("reader/card_jam"), language=language, case={"local": "482-719-365", "link": LINK})
    code = report_code.encode(values, KEY.sign)
    content = slip.blocks(values, code)
    parts = slip.as_parts(content, columns)
    assert all(len(part) < 160 or code.encode() in part for part in parts)
    items = read_slip(b"".join(parts), columns)
    first, second = (place for place, item in enumerate(items) if isinstance(item, Picture))
    assert (items[first].told, items[second].told) == (code, LINK)
    [under] = [item.text.strip() for item in items[second:] if isinstance(item, Line) and says in item.text]
    assert under == says
    assert (len(items[second].rows) + 8) * items[second].scale <= 32 * CELL_DOTS
    as_png(items, tmp_path / "slip.png", columns)
    with Image.open(tmp_path / "slip.png") as image:
        assert sorted(seen(image)) == sorted([code, LINK])
    assert says in slip.as_text(content)


@pytest.mark.parametrize("case", [{}, {"local": "482-719-365"}, {"case": "C-1", "channel": "Call 100"}])
def test_without_a_link_there_is_one_code_alone(case):
    content = slip.blocks(status(fault("reader/card_jam"), case=case), "A")
    assert [block.text for block in content if block.style == "code"] == ["A"]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("columns", WIDTHS)
def test_every_fault_s_slip_fits_the_paper(columns, language):
    for key in VOCABULARY:
        content = texts(language, key, "printer/paper_out")
        for line in printed(content, columns):
            assert line.cells <= columns, line.text
        whole = "".join(line.text.strip() for line in printed(content, columns)).replace(" ", "")
        told = guidance(key, language)
        for text in (told.title, *(step.text for step in told.steps), *told.never, "400-820-8820", "482-719-365", key):
            assert text.replace(" ", "") in whole


def test_chinese_punctuation_never_begins_a_line():
    for key in VOCABULARY:
        for columns in WIDTHS:
            for line in printed(texts("zh", key), columns):
                assert line.text.strip()[:1] not in set("，。、：；？！）”")


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("columns", WIDTHS)
def test_the_code_is_read_from_a_picture_of_the_paper(tmp_path, columns, language):
    content, code = made(language, "modem/sim_absent", "printer/cover_open", "reader/card_left")
    items = read_slip(b"".join(slip.as_parts(content, columns)), columns)
    assert isinstance(items[-1], Cut)
    [picture] = [item for item in items if isinstance(item, Picture)]
    assert (len(picture.rows) + 8) * picture.scale <= 32 * CELL_DOTS  # with its margin, even on the narrowest paper
    path: Path = tmp_path / "slip.png"
    as_png(items, path, columns)
    with Image.open(path) as image:
        assert image.width == columns * CELL_DOTS + 48
        assert seen(image) == [code]
    report = decode(code)
    assert verify(report, PUBLIC) == "verified"
    assert report.fields["verdict"]["cause"] == "modem/sim_absent"


def test_the_longest_code_fits_the_narrowest_paper_in_either_mode():
    whole = b"".join(slip.as_parts([slip.Block("code", "A" * report_code.MOST_CHARS)], 32))
    bytewise = b"".join(slip.as_parts([slip.Block("code", "a" * report_code.MOST_CHARS)], 32))
    for data in (whole, bytewise):
        [picture] = [item for item in read_slip(data, 32) if isinstance(item, Picture)]
        assert (len(picture.rows) + 8) * picture.scale <= 32 * CELL_DOTS


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_sale_that_begins_between_two_pieces_finds_no_half_command(language):
    content, code = made(language)
    parts = slip.as_parts(content, 48)
    assert len(parts) > 5
    cutter = CommandCutter()
    for part in parts:
        assert len(part) < 160 or code.encode() in part
        ends = [cutter.feed(byte) for byte in part]
        assert ends[-1] is not None


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_screen_says_the_same_as_the_paper(language):
    content = texts(language, "printer/paper_out")
    screen = slip.as_text(content, 48)
    paper = "\n".join(line.text for line in printed(content, 48))
    assert "".join(screen.split()) == "".join(paper.split())


@pytest.mark.parametrize("colour", [False, True])
def test_the_code_is_read_from_the_screen(colour):
    _, code = made("zh")
    lines = slip.drawn(code, colour=colour)
    if colour:
        assert all(line.startswith("\x1b[30;107m") and line.endswith("\x1b[0m") for line in lines)
        lines = [line.removeprefix("\x1b[30;107m").removesuffix("\x1b[0m") for line in lines]
    assert {len(line) for line in lines} == {len(lines[0])}
    ink, ground = (0, 255) if colour else (255, 0)
    image = Image.new("L", (len(lines[0]), 2 * len(lines)), ground)
    for row, line in enumerate(lines):
        for column, char in enumerate(line):
            for half, inked in enumerate((char in "▀█", char in "▄█")):
                if inked:
                    image.putpixel((column, 2 * row + half), ink)
    assert seen(image.resize((image.width * 5, image.height * 5), Image.Resampling.NEAREST)) == [code]


def test_a_terminal_that_must_not_be_used_says_so_first():
    content, _ = made("en", "reader/tamper")
    bold = [block.text for block in content if block.style == "bold"]
    assert bold[0] == guidance("reader/tamper", "en").stop_using


def test_other_roots_are_named_and_symptoms_are_not():
    values = status(
        fault("modem/sim_absent"), fault("network/link_down", "modem/sim_absent"), fault("printer/paper_out")
    )
    texts = [block.text for block in slip.blocks(values, "")]
    assert guidance("printer/paper_out", "en").title in texts
    assert guidance("network/link_down", "en").title not in texts


@pytest.mark.parametrize(("language", "says"), [("en", "This terminal can take payments."), ("zh", "本机可以收款。")])
def test_a_healthy_terminal(language, says):
    content = slip.blocks(status(language=language), "")
    assert slip.Block("bold", says) in content
    assert not [block for block in content if block.style in ("code", "big")]


def test_without_a_support_channel_nobody_is_sent_to_a_stranger():
    content, _ = made("en", support="")
    assert slip.Block("bold", "Call only the support number in your contract.") in content


def test_a_clock_that_was_never_set_is_no_time():
    values = status(fault("printer/paper_out"), clock="unset")
    assert any("clock not set" in block.text for block in slip.blocks(values, ""))


def test_a_fault_of_an_older_version_leaves_what_is_known():
    values = status(fault("printer/paper_out"))
    values["faults"][0]["fault"] = values["verdict"]["cause"] = "printer/ribbon_worn"
    assert any("printer/ribbon_worn" in block.text for block in slip.blocks(values, ""))
