"""What is shown of the center's word on a case. Pure.

Nobody signs that word, so whoever runs the broker can put his own in its place. Therefore each part has a form and a
length, and what could lead a merchant astray, a number to call and a page to open, must fit what the terminal's own
settings say.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from agent.config import SupportConfig

_LONGEST: Final = {"case": 32, "progress": 240, "channel": 128}
_ADDRESS: Final = re.compile(r"[a-z][a-z0-9+.-]{1,20}://\S*|\bwww\.\S*", re.IGNORECASE)
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z")
_PAGE: Final = re.compile(r"https?://[!-~]{1,180}")  # as a QR code it still fits the narrowest paper
_HERE: Final = frozenset({"localhost", "127.0.0.1", "::1"})


def shown(case: Mapping[str, Any], support: SupportConfig) -> dict[str, str]:
    """The parts of a case that are kept; {} for what is no case."""
    kept = {key: _line(case.get(key), longest) for key, longest in _LONGEST.items()}
    if not kept["case"]:
        return {}
    if support.channel and kept["channel"] != support.channel:
        kept["channel"] = ""
    kept |= {key: case[key] for key in ("eta", "at") if _is(_TIME, case.get(key))}
    if is_page(case.get("link"), support.pages):
        kept["link"] = case["link"]
    return {key: text for key, text in kept.items() if text}


def is_page(link: object, hosts: tuple[str, ...]) -> bool:
    """Whether it may be printed as a merchant's page: https:// at one of the hosts, or this machine's own in a demo."""
    if not isinstance(link, str) or not _is(_PAGE, link):
        return False
    try:
        parts = urlsplit(link)
        port = parts.port
    except ValueError:
        return False
    if "@" in parts.netloc or "\\" in link:  # of both, readers differ in where the host ends
        return False
    if parts.hostname in _HERE:
        return True
    named = {host if ":" in host else f"{host}:443" for host in hosts}
    return parts.scheme == "https" and f"{parts.hostname}:{port or 443}" in named


def _is(form: re.Pattern[str], text: object) -> bool:
    return isinstance(text, str) and form.fullmatch(text) is not None


def _line(text: object, longest: int) -> str:
    """One line without control characters, marks that turn writing around, and addresses to open."""
    if not isinstance(text, str):
        return ""
    plain = "".join(each if each.isprintable() else " " for each in text[: 8 * longest])
    return " ".join(_ADDRESS.sub("…", plain).split())[:longest]
