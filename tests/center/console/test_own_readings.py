"""What the center says of itself, in words."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from center.console import own_readings
from center.console.words import phrases
from center.domain.incident_texts import _CENTER


def _reading(key: str, value: float | None, unit: str = "", *, wrong: bool = True, text: str = "") -> dict[str, Any]:
    state = "unknown" if value is None else "wrong" if wrong else "right"
    return {"key": key, "value": value, "unit": unit, "state": state, "severity": "major", "text": text}


@pytest.mark.parametrize(
    ("reading", "en", "zh"),
    [
        (
            _reading("lag:ingest-main-1", 300, "s", text="age of the oldest batch"),
            "Age of work not done yet (worker main-1): 5 min",
            "待处理数据的滞后（接收进程 main-1）：5 分钟",
        ),
        (_reading("lag:cases", 3, "s", wrong=False), "Age of work not done yet (cases)", "待处理数据的滞后（工单）"),
        (_reading("outbox", 7, "rows"), "Messages that should have been sent: 7 messages", "滞留未发的消息：7 条"),
        (
            _reading("disk", None, "bytes", text="/var: input/output error"),
            "Free disk space: could not be measured: /var: input/output error",
            "磁盘剩余空间：无法测量：/var: input/output error",
        ),
        (
            _reading("broker:ingest-main-1", 0, text="away from the broker"),
            "Connection to the broker (worker main-1): not connected",
            "与消息服务器的连接（接收进程 main-1）：未连接",
        ),
        (_reading("engine:cases", 0, text="KeyError: x"), "Engine (cases): fails: KeyError: x", "处理引擎（工单）：异常：KeyError: x"),
        (_reading("certificate:ca.pem", 3, "days"), "Certificate is valid for (ca.pem): 3 days", "证书剩余有效期（ca.pem）：3 天"),
    ],
)  # fmt: skip
def test_a_reading_of_the_center_is_told_in_words(reading: dict[str, Any], en: str, zh: str) -> None:
    assert (own_readings.line("en", reading), own_readings.line("zh", reading)) == (en, zh)


def test_each_trouble_of_the_center_has_a_name_and_says_what_to_do() -> None:
    for kind in _CENTER:
        assert f"reading_{kind}" in phrases("now")
        assert own_readings.advice("zh", _reading(kind, 1))


def test_each_engine_has_a_word_of_its_own() -> None:
    names = set()
    for path in Path(str(files("center"))).rglob("*.py"):
        if path.parent.name in {"domain", "notify"}:
            names |= set(re.findall(r'^    name(?:: Final)? = "([a-z-]+)"$', path.read_text("utf-8"), re.MULTILINE))
    assert {"cases", "delivery", "desired"} <= names
    assert {name for name in names if f"who_{name}" not in phrases("now")} == set()
