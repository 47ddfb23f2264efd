"""A line drawing for each kind of thing that a merchant is asked to do.

Steps are the terminal's own texts, in zh or en; which drawing goes with one follows from the thing that it names.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Final

from markupsafe import Markup

_HERE: Final = Path(__file__).with_name("static")
_NAMED: Final = [
    (picture, re.compile(words, re.IGNORECASE))
    for picture, words in (
        ("stop", "stop using|停用"),
        ("note", "write down|note how|记下最近|记下谁|记下上一笔"),
        ("restart", "restart|off and on|重启|关机再开机"),
        ("cool", r"out of the sun|cool place|\bcool down|air vents|阴凉|凉下来|散热|通风"),
        ("call", "support|technician|客服|维修人员"),
        ("clean", r"\bwipe|cleaning card|擦|清洁"),
        ("sim", r"\bsim\b|flap for it|手机卡盖|换的卡"),
        (
            "network",
            "wi-fi|router|mobile network|to a window|guest network|this network|无线|路由器|窗边|移动网络|网络",
        ),
        ("cable", r"\bcable\b(?! and power)|数据线(?!和电源)|网线|外接线"),
        ("plug", "power plug|adapter|socket|at the plug|the wall|connected|to power"),
        ("plug", "插[座头]|适配器|充电|通电|电源(?!键)|开机和联网"),
        ("close", "close the|合上"),
        ("cover", "cover|if it does not close|纸仓盖|合不上"),
        ("paper", r"\bpaper\b|\broll\b|receipt|纸|小票，看"),
        ("keys", r"stuck key|power key|on the keypad|短按|连按|键盘"),
        ("card", r"\bcard\b|\bslot\b|卡(?!住)"),
        ("time", r"\bwait\b|date and time|let the (sale|print)|等|时间"),
        ("app", "payment list|payment app|programs|交易记录|收款程序|程序"),
    )
]
"""The first that fits: what must not be overlooked comes before what a step names by the way."""
LOOK: Final = "look"
"""The drawing of a step that names no thing of these."""


def picture_of(step: str) -> str:
    """The name of the drawing that goes with a step, in zh or en. Pure."""
    return next((picture for picture, words in _NAMED if words.search(step)), LOOK)


@cache
def drawing(name: str) -> Markup:
    """A drawing, to stand in a page so that it has the colour of the text around it. Raises OSError."""
    return Markup((_HERE / f"{name}.svg").read_text("utf-8").strip())  # noqa: S704 - our own files
