"""The arithmetic of campaigns: who is in which wave, when the next one may begin, and when to stop. Pure."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from center.domain.refusal import Refusal

SAMPLE: Final = 10
"""So many answers, and the share of failures means something while a wave is under way. At its end any number does."""
STRAGGLERS: Final = 0.1
"""A wave is not held up by this share of terminals that are away; they are done when they come back."""
SILENT: Final = 0.5
"""More than this share without an answer is as bad as failures."""
DEFAULT_WAVES: Final = ({"count": 5, "pause_s": 900}, {"share": 0.1, "pause_s": 900}, {"share": 1.0, "pause_s": 0})
_MOST_WAVES: Final = 20
_PACE: Final[Mapping[str, tuple[int, int, int]]] = {  # default, least, most
    "parallel": (500, 1, 5000),
    "attempts": (3, 1, 10),
    "patience_s": (86_400, 600, 30 * 86_400),
}

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Tally:
    """How many targets of one wave stand how. `hurt` were done well and cannot sell since."""

    waiting: int = 0
    offline: int = 0
    sent: int = 0
    succeeded: int = 0
    failed: int = 0
    unanswered: int = 0
    skipped: int = 0
    hurt: int = 0

    @property
    def size(self) -> int:
        return self.waiting + self.offline + self.sent + self.settled + self.skipped

    @property
    def settled(self) -> int:
        return self.succeeded + self.failed + self.unanswered

    @property
    def bad_share(self) -> float:
        """Of those that answered."""
        answered = self.succeeded + self.failed
        return (self.failed + self.hurt) / answered if answered else 0.0


@dataclass(frozen=True, slots=True)
class Judgement:
    """`stay`: nothing is decided. `next`: this wave is good enough. `halt`: `why` says what is wrong."""

    what: Literal["stay", "next", "halt"]
    why: str = ""


def judge(wave: Tally, halt_share: float, age_s: float, patience_s: float) -> Judgement:
    """What to do about a wave that began `age_s` ago."""
    ended = not wave.waiting and not wave.sent
    away = wave.offline / wave.size if wave.size else 0.0
    over = age_s > patience_s
    if wave.bad_share > halt_share and (ended or over or wave.succeeded + wave.failed >= SAMPLE):
        return Judgement("halt", _bad(wave, halt_share))
    if not over and not (ended and away <= STRAGGLERS):
        return Judgement("stay")
    asked = wave.settled + wave.offline + wave.sent
    silent = wave.unanswered + wave.offline + wave.sent
    if asked and silent / asked > SILENT:
        return Judgement("halt", f"{silent} of {asked} terminals of this wave did not answer")
    return Judgement("next")


def _bad(wave: Tally, halt_share: float) -> str:
    answered = wave.succeeded + wave.failed
    hurt = f", and {wave.hurt} cannot sell since" if wave.hurt else ""
    return f"{wave.failed} of {answered} failed{hurt}; more than {halt_share:.0%} is too much"


def check_waves(waves: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Waves as they are kept: `count` or `share` of all targets, then `pause_s`. Raises Refusal.

    The last wave takes whoever is left, whatever it says.
    """
    if len(waves) > _MOST_WAVES:
        raise Refusal("invalid", f"a campaign has {_MOST_WAVES} waves at most")
    return [_check_wave(wave) for wave in waves or DEFAULT_WAVES]


def _check_wave(wave: Mapping[str, Any]) -> dict[str, Any]:
    pause_s = wave.get("pause_s", 0)
    if set(wave) - {"count", "share", "pause_s"} or ("count" in wave) == ("share" in wave):
        raise Refusal("invalid", "a wave has count or share, and pause_s")
    if isinstance(pause_s, bool) or not isinstance(pause_s, int) or not 0 <= pause_s <= 30 * 86_400:
        raise Refusal("invalid", "pause_s of a wave is a whole number of seconds, 30 days at most")
    if "count" in wave:
        count = wave["count"]
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise Refusal("invalid", "count of a wave is a whole number above 0")
        return {"count": count, "pause_s": pause_s}
    share = wave["share"]
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share <= 1:
        raise Refusal("invalid", "share of a wave lies above 0 and is 1 at most")
    return {"share": float(share), "pause_s": pause_s}


def check_pace(pace: Mapping[str, Any]) -> dict[str, Any]:
    """`parallel` terminals at a time, `attempts`, `patience_s` with those that are away, `quiet` hours only."""
    strange = sorted(set(pace) - {*_PACE, "quiet"})
    if strange:
        raise Refusal("invalid", f"a pace has {', '.join(_PACE)} and quiet, not {strange[0][:40]!r}")
    quiet = pace.get("quiet", False)
    if not isinstance(quiet, bool):
        raise Refusal("invalid", "quiet is true or false")
    found: dict[str, Any] = {"quiet": quiet}
    for name, (usual, least, most) in _PACE.items():
        value = pace.get(name, usual)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise Refusal("invalid", f"{name} is a whole number from {least} to {most}")
        found[name] = value
    return found


def assign(targets: Iterable[Key], waves: Sequence[Mapping[str, Any]], seed: str) -> list[tuple[str, str, int]]:
    """(estate, terminal, wave from 1) in the order of the waves; who is in which is chance, the same for one seed."""
    mixed = sorted(targets, key=lambda key: hashlib.blake2b(f"{seed} {key[0]}/{key[1]}".encode()).digest())
    ends, end = [], 0
    for wave in waves[:-1]:
        end += int(wave.get("count", 0)) or math.ceil(float(wave.get("share", 0)) * len(mixed))
        ends.append(end)
    placed, wave_n = [], 1
    for place, (estate, terminal) in enumerate(mixed):
        while wave_n <= len(ends) and place >= ends[wave_n - 1]:
            wave_n += 1
        placed.append((estate, terminal, wave_n))
    return placed
