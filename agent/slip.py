"""The help slip: what is wrong, what to do now, whom to call, and a QR code with the whole signed report.

One content, on paper and on a text screen, in the terminal's language. Pure: a status as in status.json in.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, cast

from agent.causes import Answer
from agent.guidance import Guidance, Language, guidance, verdict_sentence
from agent.vocabulary import VOCABULARY
from agent.wire import epoch

MODULE_DOTS: Final = 4
"""The longest code and its margin take 93 modules, 372 dots, even in a printer that does not choose the alphanumeric
mode by itself; the narrowest paper has 384."""
_PART_BYTES: Final = 120  # an eighth of a second at 9600 baud, after which a sale may have its printer
_OTHERS: Final = 3

Style = Literal["plain", "bold", "centre", "head", "big", "rule", "gap", "code"]

_WORDS: Final[dict[Language, dict[str, str]]] = {
    "en": {
        "head": "TERMINAL HELP SLIP",
        "do": "What to do now",
        "never": "Please note",
        "also": "Also: ",
        "terminal": "Terminal ",
        "unset": " (clock not set)",
        "support": "Support: ",
        "no_support": "Call only the support number in your contract.",
        "case": "Your case number",
        "code": "Support can scan this code, or a photo of it. It holds the whole report and needs no network.",
        "no_code": "The report code could not be made.",
        "page": "Follow your case on your phone",
        "not_printed": "This slip could not be printed. Show this screen instead.",
    },
    "zh": {
        "head": "终端求助单",
        "do": "现在请这样做",
        "never": "请注意",
        "also": "另外：",
        "terminal": "终端 ",
        "unset": "（时钟未校准）",
        "support": "客服：",
        "no_support": "请只拨打合同上的客服电话。",
        "case": "您的工单号",
        "code": "请让客服扫描此码，或拍照发给客服。完整报告都在码里，断网也能用。",
        "no_code": "未能生成报告码。",
        "page": "手机扫码查看工单进度",
        "not_printed": "求助单无法打印，请改用本屏幕。",
    },
}


@dataclass(frozen=True, slots=True)
class Block:
    """One paragraph and how it looks; `hang` is what stands before its first line, the others are indented by it."""

    style: Style
    text: str = ""
    hang: str = ""


def guide(status: Mapping[str, Any]) -> Guidance | None:
    """What to tell about the verdict's cause; None when nothing is wrong or an older version named it."""
    cause = status["verdict"]["cause"]
    return guidance(cause, _language(status)) if cause in VOCABULARY else None


def blocks(status: Mapping[str, Any], code: str, *, printed: bool = True) -> list[Block]:
    """The slip's content. `code` is the help code, "" when none could be made."""
    words = _WORDS[_language(status)]
    when = datetime.fromtimestamp(epoch(status["at"])).astimezone().strftime("%Y-%m-%d %H:%M")
    out = [
        Block("head", words["head"]),
        Block("centre", f"{words['terminal']}{status['estate']}/{status['terminal']}"),
        Block("centre", when + (words["unset"] if status["clock"] == "unset" else "")),
        Block("rule"),
    ]
    if not printed:
        out.insert(0, Block("bold", words["not_printed"]))
    out += _advice(status, words)
    support = f"{words['support']}{status['support']}" if status["support"] else words["no_support"]
    out += [Block("rule"), Block("bold", support)]
    number = status["case"].get("local", "")
    if number:
        out += [Block("gap"), Block("centre", words["case"]), Block("big", number)]
    if code:
        out += [Block("gap"), Block("code", code), Block("gap"), Block("plain", words["code"])]
    else:
        out.append(Block("plain", words["no_code"]))
    page = status["case"].get("link", "")
    if page:
        out += [Block("gap"), Block("code", page), Block("gap"), Block("centre", words["page"])]
    keys = [fault["fault"] for fault in status["faults"] if fault["cause"] is None]
    if keys:
        out += [Block("gap"), Block("centre", " ".join(keys[: _OTHERS + 1]))]
    return out


def _advice(status: Mapping[str, Any], words: Mapping[str, str]) -> Iterator[Block]:
    verdict, language = status["verdict"], _language(status)
    can_sell = Answer(can_sell=verdict["can_sell"], cause=None, act=verdict["act"], since=None)
    told = guide(status)
    if told is None:
        yield Block("bold", verdict_sentence(can_sell, language))
        return
    yield Block("big", told.title)
    yield Block("gap")
    yield Block("bold", told.stop_using if told.stop_now else verdict_sentence(can_sell, language))
    yield Block("plain", told.meaning)
    yield Block("gap")
    yield Block("bold", words["do"])
    for number, step in enumerate(told.steps, 1):
        yield Block("plain", step.text, f"{number}. ")
    for line in (told.stop_using if not told.stop_now else "", told.sell_on):
        if line:
            yield Block("plain", line)
    if told.never:
        yield Block("gap")
        yield Block("bold", words["never"])
    for line in told.never:
        yield Block("plain", line, "- ")
    others = [
        guidance(fault["fault"], language).title
        for fault in status["faults"]
        if fault["cause"] is None and fault["fault"] != verdict["cause"] and fault["fault"] in VOCABULARY
    ]
    if others:
        yield Block("gap")
    for line in others[:_OTHERS]:
        yield Block("plain", line, words["also"])


def _language(status: Mapping[str, Any]) -> Language:
    return cast("Language", status["language"]) if status["language"] in _WORDS else "en"


# --- on a text screen ------------------------------------------------------------------------------------------------


def as_text(content: list[Block], columns: int = 48, *, colour: bool = False) -> str:
    """The slip for a text screen, the code drawn in half blocks; with `colour` black on white whatever the theme."""
    lines: list[str] = []
    for block in content:
        if block.style == "code":
            lines += drawn(block.text, colour=colour)
        elif block.style == "rule":
            lines.append("-" * columns)
        else:
            for line in _wrapped(block, columns):
                free = columns - width(line) if block.style in ("centre", "head", "big") else 0
                lines.append(" " * (free // 2) + line)
    return "\n".join(lines)


def drawn(code: str, *, colour: bool = False) -> list[str]:
    """A QR code as lines of half blocks, with a margin.

    Without `colour` the light modules are drawn, because a screen's ground is dark; readers take the inverse, too.
    """
    import segno  # noqa: PLC0415 - only a screen needs it; the printer draws for itself

    matrix = [list(row) for row in segno.make_qr(code, error="l", boost_error=False).matrix_iter(border=2)]
    if len(matrix) % 2:
        matrix.append([0] * len(matrix[0]))
    shapes = " ▄▀█" if colour else "█▀▄ "
    lines = [
        "".join(shapes[2 * upper + lower] for upper, lower in zip(above, below, strict=True))
        for above, below in zip(matrix[::2], matrix[1::2], strict=True)
    ]
    return [f"\x1b[30;107m{line}\x1b[0m" for line in lines] if colour else lines


# --- on paper --------------------------------------------------------------------------------------------------------


def as_parts(content: list[Block], columns: int) -> list[bytes]:
    """The slip for a receipt printer, in pieces that each end between two commands."""
    from drivers.codecs.escpos_print import Slip  # noqa: PLC0415 - the screen does without

    plain = all(block.text.isascii() for block in content)
    slip = Slip(columns, "cp437" if plain else "gb18030")
    ends = []
    for block in content:
        _print(slip, block, columns)
        ends.append(len(bytes(slip)))
    whole = slip.feed(2).cut()
    parts, start = [], 0
    for end, after in zip(ends, [*ends[1:], len(whole)], strict=True):
        if after - start > _PART_BYTES and end > start:
            parts.append(whole[start:end])
            start = end
    return [*parts, whole[start:]]


def _print(slip: Any, block: Block, columns: int) -> None:
    match block.style:
        case "code":
            slip.qr(block.text, module_dots=MODULE_DOTS)
        case "gap":
            slip.feed(1)
        case "rule":
            slip.text("-" * columns)
        case style:
            for line in _wrapped(block, columns // 2 if style == "big" else columns):
                centre = style in ("centre", "head", "big")
                slip.text(line, bold=style in ("bold", "head"), big=style == "big", centre=centre)


# --- lines -----------------------------------------------------------------------------------------------------------

# A word, or a wide character with the closing marks that may not begin a line, or a space.
_PIECES: Final = re.compile(r"[!-~]+[，。、：；？！）》”’]*|[^ -~][，。、：；？！）》”’]*| +")


def width(text: str) -> int:
    """Columns on paper: what is not ASCII takes two in the double-byte sets."""
    return sum(1 if char.isascii() else 2 for char in text)


def _wrapped(block: Block, columns: int) -> list[str]:
    room = columns - width(block.hang)
    lines = [""]
    for piece in _PIECES.findall(block.text):
        if width(lines[-1] + piece.rstrip()) > room and lines[-1]:
            lines[-1] = lines[-1].rstrip()
            lines.append("")
        rest = piece.lstrip(" ") if not lines[-1] else piece
        while width(rest) > room:
            cut = next(n for n in range(len(rest), 0, -1) if width(rest[:n]) <= room)
            lines[-1:] = [rest[:cut], ""]
            rest = rest[cut:]
        lines[-1] += rest
    indent = " " * width(block.hang)
    return [(indent if number else block.hang) + line.rstrip() for number, line in enumerate(lines)]
