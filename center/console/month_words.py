"""How a month against its targets is said, on the screen and on paper. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

COLUMNS: Final = ("target_name", "target", "target_share", "target_missed", "target_used", "target_kept")
"""Phrases of `reports` over the columns."""
_TIGHT: Final = 0.75


def figures(each: Mapping[str, Any]) -> list[str]:
    """Of a row of the API: target, share, what missed, and what is used of the budget."""
    target = f"{each['target']:.1%}"
    if each["share"] is None:
        return [target, "–", "–", "–"]
    missed = f"{each['missed']:,} / {each['of']:,} (≤ {each['allowed']:,.1f})"
    return [target, f"{each['share']:.1%}", missed, f"{each['used']:.0%}"]


def verdict(each: Mapping[str, Any]) -> tuple[str, str]:
    """The light of a row, and its phrase of `reports`."""
    if each["kept"] is None:
        return "unknown", "kept_none"
    if not each["kept"]:
        return "failed", "kept_no"
    return ("degraded", "kept_barely") if each["used"] >= _TIGHT else ("ok", "kept_yes")


def months_back(newest: str, count: int) -> list[str]:
    """A month such as 2026-11 and those before it, so many in all."""
    year, month = map(int, newest.split("-"))
    last = 12 * year + month - 1
    return [f"{each // 12:04d}-{each % 12 + 1:02d}" for each in range(last, last - count, -1)]
