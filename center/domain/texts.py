"""What people are told, in zh and en.

What a fault means and what to do are the terminal's own texts, data files of the package `agent`, so that the merchant
reads the same on the page as on the terminal.
"""

from __future__ import annotations

import tomllib
from datetime import UTC, datetime
from functools import lru_cache
from importlib.resources import files
from typing import Any, Final

from agent.vocabulary import VOCABULARY
from center.domain.grouping import OFFLINE
from center.domain.hours import HoursError, zone
from center.ingest import cards

LANGUAGES: Final = ("en", "zh")


def language_of(told: str | None) -> str:
    """One of the languages that there are: `zh` for zh-CN and the like, else en."""
    return "zh" if (told or "").lower().startswith("zh") else "en"


@lru_cache(maxsize=32)
def _unit(unit: str) -> dict[str, Any]:
    return tomllib.loads((files("agent") / "guidance" / f"{unit}.toml").read_text("utf-8"))


_OFFLINE: Final[dict[str, dict[str, Any]]] = {
    "en": {
        "title": "The terminal cannot be reached",
        "meaning": "It is switched off, has no power, or has no network.",
        "steps": [
            "Look whether the screen or a lamp is on; if not, check the plug and the socket.",
            "Look whether the network cable is in, or the mobile signal is shown.",
            "Switch it on, or restart it once when no customer is waiting.",
        ],
        "never": ["Do not restart it again and again."],
        "stop_using": "",
        "sell_on": "Take cash or use another terminal.",
    },
    "zh": {
        "title": "终端失去联系",
        "meaning": "本机可能已关机、断电或没有网络。",
        "steps": [
            "看屏幕或指示灯是否亮着，不亮就检查插头和插座。",
            "看网线是否插好，或是否有手机信号。",
            "开机，或在没有顾客时重启一次。",
        ],
        "never": ["不要反复重启。"],
        "stop_using": "",
        "sell_on": "可收现金，或改用另一台机器。",
    },
}


def guidance(fault: str | None, language: str) -> dict[str, Any] | None:
    """What the terminal says about a fault: `title`, `meaning`, `steps`, `never`, `stop_using`, `sell_on`, `stop_now`.

    None for a fault that this version does not know.
    """
    if fault == OFFLINE:
        return {**_OFFLINE[language_of(language)], "stop_now": False}
    if fault not in VOCABULARY:
        return None
    kind = VOCABULARY[fault]
    table = _unit(kind.unit)[kind.kind]
    spoken = language_of(language)
    told = {name: table.get(name, {}).get(spoken, "") for name in ("title", "meaning", "stop_using", "sell_on")}
    steps = [step[spoken] for step in table["steps"]]
    never = list(table.get("never", {}).get(spoken, ()))
    return {**told, "steps": steps, "never": never, "stop_now": table.get("stop_now", False)}


def fault_title(fault: str, language: str) -> str:
    """A fault in plain words; its key where this version does not know it."""
    told = guidance(fault, language)
    return fault if told is None else str(told["title"])


# --- progress --------------------------------------------------------------------------------------------------------

_PROGRESS: Final = {
    "new": {"en": "We know of it and will look at it.", "zh": "我们已经知道此问题，即将处理。"},
    "acknowledged": {"en": "We are looking at it.", "zh": "客服正在处理。"},
    "assigned": {"en": "Somebody is working on it.", "zh": "已有专人负责处理。"},
    "dispatched": {"en": "A technician has been sent.", "zh": "已安排维修人员上门。"},
    "reopened": {"en": "It is back, and we are looking at it again.", "zh": "问题再次出现，我们正在重新处理。"},
    "watching": {"en": "It works again; we watch whether it lasts.", "zh": "已恢复正常，我们正在观察是否稳定。"},
    "asking": {"en": "Does it work again? Please tell us.", "zh": "问题解决了吗？请告诉我们。"},
    "closed": {"en": "Closed.", "zh": "已结案。"},
}
_PAUSED: Final = {
    "merchant": {"en": "We wait for your answer.", "zh": "等待您的答复。"},
    "part": {"en": "We wait for a spare part.", "zh": "正在等待配件。"},
    "operator": {"en": "We wait for the network operator.", "zh": "正在等待运营商处理。"},
}
PAUSES: Final = tuple(_PAUSED)
"""Reasons that stop the clocks."""
_MESSAGES: Final = {
    "opened": {
        "en": "Case {number} is open: {title}. {channel}",
        "zh": "工单{number}已受理：{title}。{channel}",
    },
    "eta": {
        "en": "Case {number}: expected to be solved by {eta}. {channel}",
        "zh": "工单{number}预计{eta}前解决。{channel}",
    },
    "visit": {
        "en": "Case {number}: a technician comes {eta}. Ask for the visit code. {channel}",
        "zh": "工单{number}：维修人员将于{eta}上门，请核对上门码。{channel}",
    },
    "ask": {
        "en": "Case {number}: does it work again? Answer: {link}",
        "zh": "工单{number}：问题解决了吗？请回复：{link}",
    },
    "ask_number": {
        "en": "Case {number}: does it work again?",
        "zh": "工单{number}：问题解决了吗？",
    },
    "closed": {
        "en": "Case {number} is closed. Not solved? {channel}",
        "zh": "工单{number}已结案，如未解决请联系：{channel}",
    },
}
_SEPTETS: Final = set(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
"""The letters of one septet of GSM 03.38; a message with any other is sent in UCS-2."""
_TWO_SEPTETS: Final = set("\f^{}\\[~]|€")
"""Those of its extension table."""


class TooLong(ValueError):
    """The text does not fit into one short message."""


def progress(state: str, pause: str | None, language: str) -> str:
    """How far a case is, in one sentence for the merchant."""
    spoken = language_of(language)
    return _PAUSED[pause][spoken] if pause in _PAUSED and state != "closed" else _PROGRESS[state][spoken]


def local_time(at_ms: int, timezone: str) -> str:
    """Such as 2026-09-21 16:13, on the wall clock of the time zone; in UTC, and saying so, for a zone nobody knows."""
    try:
        at = zone(timezone)
    except HoursError:
        return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M} UTC"
    return f"{datetime.fromtimestamp(at_ms / 1000, at):%Y-%m-%d %H:%M}"


def sms_parts(text: str) -> int:
    """How many SMS a text of any length takes: 160 septets or 70 units of UCS-2, of several parts 153 or 67 each.

    A letter of two septets or units is never cut in two (GSM 03.38, 23.040).
    """
    if set(text) <= _SEPTETS | _TWO_SEPTETS:
        sizes, alone, each = [2 if letter in _TWO_SEPTETS else 1 for letter in text], 160, 153
    else:
        sizes, alone, each = [2 if ord(letter) > 0xFFFF else 1 for letter in text], 70, 67
    if sum(sizes) <= alone:
        return 1 if text else 0
    parts, used = 1, 0
    for size in sizes:
        if used + size > each:
            parts, used = parts + 1, 0
        used += size
    return parts


def short_message(name: str, language: str, **facts: str) -> str:
    """One SMS of `_MESSAGES`. Raises TooLong, and KeyError for a fact that is missing.

    No card number leaves, whatever the facts hold.
    """
    text = cards.redact(_MESSAGES[name][language_of(language)].format(**facts).strip())
    most = 160 if set(text) <= _SEPTETS else 70
    if len(text) > most:
        raise TooLong(f"a short message of {len(text)} characters; {most} are the most in its alphabet")
    return text
