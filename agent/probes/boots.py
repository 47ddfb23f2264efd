"""Which boot this is and why the last one ended, from what was remembered and what the kernel kept.

A boot is known by the kernel's boot_id, never by the date: after a dead clock battery the date jumps. What is
remembered is one small dictionary that the caller stores: `remember()` each `keep_every_s` and at once when `decisive`
changes, `remember(clean=True)` last.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from agent.config import PathsConfig
from agent.probes.tree import entries, text
from drivers.reading import Cause, Reading, known, unknown

Reason = Literal["clean", "power_loss", "crash", "unknown"]

_LOW_PERCENT = 10.0  # a worn battery breaks down under load from about here
_LOOP_S = 1800.0
_KEEP_S, _KEEP_LATER_S = 240.0, 600.0
_RECENT_S = 3600.0
_HISTORY = 10
_PANIC = ("dmesg-", "console-")


@dataclass(frozen=True, slots=True, kw_only=True)
class Boot:
    """`number` counts boots; `new` says whether this is another one than the remembered.

    `unclean` counts unclean ends in a row whose sessions together lasted under half an hour, the latest included.
    """

    number: int
    reason: Reason
    new: bool
    unclean: int


def judge(before: Mapping[str, Any] | None, boot_id: str, panics: frozenset[str]) -> Boot:
    """What the boot is, given what was remembered (None or {} for nothing) and the panic records there are now.

    crash: the kernel kept a record that was not there before. power_loss: it ended without a word, on a battery that
    was nearly empty or absent while the mains were off, or on a supply that had already sagged. An end without a word
    for which neither speaks is unknown.
    """
    if not before:
        return Boot(number=1, reason="unknown", new=True, unclean=0)
    number = int(before.get("number", 0))
    if not boot_id or before.get("boot_id") == boot_id:  # without the kernel's word there is no sign of another boot
        same: Reason = before.get("reason", "unknown")
        return Boot(number=number, reason=same, new=False, unclean=_in_a_row(before.get("history", [])))
    reason: Reason = "unknown"
    percent = before.get("battery_percent")
    if before.get("clean"):
        reason = "clean"
    elif panics - set(before.get("panics", [])):
        reason = "crash"
    elif before.get("supply") == "low" or (
        before.get("mains") == "off" and (percent is None or percent <= _LOW_PERCENT)
    ):
        reason = "power_loss"
    return Boot(number=number + 1, reason=reason, new=True, unclean=_in_a_row(_closed(before, reason)))


def _closed(before: Mapping[str, Any], reason: Reason) -> list[list[Any]]:
    """The history with the session that ended: [seconds it lasted, how it ended]."""
    return [*before.get("history", []), [float(before.get("session_s", 0)), reason]][-_HISTORY:]


def _in_a_row(history: list[list[Any]]) -> int:
    count, total = 0, 0.0
    for lasted, reason in reversed(history):
        total += lasted
        if reason == "clean" or total > _LOOP_S:
            break
        count += 1
    return count


class BootsProbe:
    """Judges once at the start; then only tells, and remembers what the next start will need."""

    name = "boots"
    interval_s = 60.0  # of what it tells only the time since an unclean end changes

    def __init__(
        self, paths: PathsConfig, remembered: Mapping[str, Any] | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        before = remembered or {}
        self._clock = clock
        self._began = clock()
        self._boot_id = text(f"{paths.proc}/sys/kernel/random/boot_id") or ""
        self._panics = _panic_records(f"{paths.sys}/fs/pstore")
        self.boot = judge(before, self._boot_id, self._panics)
        ended = self.boot.new and bool(before)
        self._history = _closed(before, self.boot.reason) if ended else list(before.get("history", []))
        # The agent may be restarted within one boot; the session is the boot's, not the agent's.
        self._earlier_s = 0.0 if self.boot.new else float(before.get("session_s", 0))
        self._power: dict[str, Any] = {}

    def sample_power(self, mains: Reading, battery_percent: Reading, supply: Reading) -> None:
        """The latest power readings; an unknown one is remembered as None, never as the one before."""
        self._power = {"mains": mains.value, "battery_percent": battery_percent.value, "supply": supply.value}

    @property
    def decisive(self) -> tuple[object, ...]:
        """What an end without a word would be judged by, coarse enough to stand for days."""
        percent = self._power.get("battery_percent")
        low = percent is None or percent <= _LOW_PERCENT
        return self._power.get("mains"), self._power.get("supply"), low

    @property
    def keep_every_s(self) -> float:
        """So much of a session's end may be missing when it ends without a word; once it was no loop, more may."""
        return _KEEP_S if self._session_s() < _LOOP_S else _KEEP_LATER_S

    def run(self) -> dict[str, Reading]:
        """Readings boot, boot_reason, unclean_recently yes|no (for an hour), unclean_boots (in a row, in half an hour).

        At the very first start there is nothing to judge by.
        """
        session = self._session_s()
        unclean = bool(self._history) and self._history[-1][1] != "clean"
        return {
            "boot": known(self.boot.number),
            "boot_reason": known(self.boot.reason) if self._history else unknown(Cause.NOT_ASKED),
            "unclean_recently": known("yes" if unclean and session < _RECENT_S else "no"),
            "unclean_boots": known(self.boot.unclean if session < _LOOP_S else 0),
        }

    def remember(self, *, clean: bool = False) -> dict[str, Any]:
        """What the next start needs, as plain JSON. `clean` marks a stop that was meant."""
        return {
            "boot_id": self._boot_id,
            "number": self.boot.number,
            "reason": self.boot.reason,
            "clean": clean,
            "session_s": round(self._session_s(), 1),
            "history": self._history,
            "panics": sorted(self._panics),
            **self._power,
        }

    def _session_s(self) -> float:
        return self._earlier_s + self._clock() - self._began


def _panic_records(folder: str) -> frozenset[str]:
    """Kernel records by name and content size, since a backend uses its few names again."""
    found = ((name, text(f"{folder}/{name}")) for name in entries(folder) if name.startswith(_PANIC))
    return frozenset(f"{name}:{len(content)}:{content[:40]}" for name, content in found if content is not None)
