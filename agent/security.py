"""What is known of parts, passwords and visits: who a device was, whether an exchange was announced, what is guessable.

Pure; the caller brings the wall clock and keeps the states.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from drivers.reading import Identity

# --- work orders -----------------------------------------------------------------------------------------------------

MAX_ORDER_S: Final = 7 * 86_400  # a visit that did not take place within a week is announced anew
UPDATE_S: Final = 86_400.0  # how long after a report of an update a device may come up with another firmware


@dataclass(slots=True)
class WorkOrder:
    """A visit that was announced, until a wall-clock time; `by` is center or terminal, "" while there is none."""

    until: float = 0.0
    by: str = ""

    def open(self, until: float, by: Literal["center", "terminal"], wall: float) -> None:
        """Announce a visit. Raises ValueError for a time that is over or more than a week off."""
        if not wall < until <= wall + MAX_ORDER_S:
            raise ValueError("a work order ends in the future, and within seven days")
        self.until, self.by = until, by

    def close(self) -> None:
        """The visit is over, or was called off."""
        self.until, self.by = 0.0, ""

    def is_open(self, wall: float) -> bool:
        """Whether a visit is announced now. A clock that was set far back opens none."""
        return wall < self.until <= wall + MAX_ORDER_S


# --- parts -----------------------------------------------------------------------------------------------------------

_FACTS: Final = ("serial", "model", "firmware")
_SWAPPED: Final = "swapped"  # stands beside the facts, so that a restart does not turn an old exchange into a new one
_MOST_QUESTIONS: Final = 5


@dataclass(frozen=True, slots=True)
class Judgement:
    """What came of what a device said of itself: it is to be asked `again`, or there is `news` for the log.

    `changed` is fact to (was, is), serials as fingerprints; with news and nothing changed the old part is back.
    `announced`: it was meant, and is taken over.
    """

    again: bool = False
    news: bool = False
    changed: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    announced: bool = False


class Parts:
    """Who each device was when it was first met, or at the last announced visit.

    What a device does not tell is no difference. What is new about it counts when it has told so twice in a row,
    because some lines have no checksum.
    """

    def __init__(self, terminal: str, remembered: Mapping[str, Any] | None = None) -> None:
        self._terminal = terminal
        self._known: dict[str, dict[str, str]] = {}
        for key, facts in (remembered or {}).items():
            if isinstance(facts, dict):
                self._known[key] = {str(name): str(value) for name, value in facts.items()}
        self._told: dict[str, dict[str, str]] = {}
        self._asked: dict[str, int] = {}
        self.swaps: dict[str, Mapping[str, tuple[str, str]]] = {}
        """By device, since it has said who it is: fact to (was, is), {} for no difference; serials as fingerprints."""

    def judge(self, device: str, family: str, identity: Identity, *, expected: bool, updated: bool) -> Judgement:
        """Take what a device says of itself.

        `expected`: a visit is announced, so what changes now is meant; what had changed before it is not. `updated`:
        an update was reported, so another firmware is.
        """
        key = f"{device}.{family}"
        facts = {
            "serial": self._fingerprint(identity.serial) if identity.serial else "",
            "model": identity.model,
            "firmware": identity.firmware,
        }
        known = self._known.setdefault(key, {})
        told, self._told[device] = self._told.get(device), facts
        news = any(facts[name] and facts[name] != known.get(name) for name in _FACTS)
        if news and told != facts:
            self._asked[device] = self._asked.get(device, 0) + 1
            return Judgement(
                again=self._asked[device] <= _MOST_QUESTIONS
            )  # one that never says the same twice is not believed
        self._asked.pop(device, None)
        changed = _differences(known, facts)
        swapped_before = _SWAPPED in known
        meant = set(changed) if expected and not swapped_before else {"firmware"} & set(changed) if updated else set()
        known |= {name: facts[name] for name in meant}
        found = {name: pair for name, pair in changed.items() if name not in meant}
        for name in _FACTS:
            if not known.get(name) and facts[name]:
                known[name] = facts[name]
        known.pop(_SWAPPED, None)
        if found:
            known[_SWAPPED] = "yes"
        self.swaps[device] = found
        news = bool(found) != swapped_before or bool(meant)
        return Judgement(news=news, changed=found or changed, announced=not found and bool(meant))

    def accept(self) -> list[str]:
        """Somebody has inspected the terminal: the parts that are in it now are the right ones. Returns which."""
        swapped = [device for device, changed in self.swaps.items() if changed]
        for device in swapped:
            for key, known in self._known.items():
                if key.rpartition(".")[0] == device and known.pop(_SWAPPED, ""):
                    known |= {name: now for name, (_, now) in self.swaps[device].items()}
            self.swaps[device] = {}
        return swapped

    def state(self) -> dict[str, Any]:
        """What the next start needs, as plain JSON."""
        return {key: dict(facts) for key, facts in self._known.items()}

    def _fingerprint(self, serial: str) -> str:
        return hashlib.sha256(f"{self._terminal}\n{serial}".encode()).hexdigest()[:8]


def _differences(known: Mapping[str, str], facts: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    return {
        name: (known[name], facts[name])
        for name in _FACTS
        if known.get(name) and facts[name] and known[name] != facts[name]
    }


# --- updates ---------------------------------------------------------------------------------------------------------

OUTCOMES: Final[Mapping[str, str]] = {
    "progress": "running",
    "complete": "done",
    "complete_dev_not_restored": "failed",
    "failed_dev_ok": "failed",
    "failed_dev_unrecoverable": "failed",
    "failed_dev_needs_firmware": "failed",
    "failed_dev_unknown": "failed",
}
"""UnifiedPOS results of UpdateFirmware, without their prefix, and what they come to.

A device that is updated but could not be brought back to its settings counts as failed: somebody must look.
"""

_NUMBERS: Final = {
    2200: "complete",
    2201: "failed_dev_ok",
    2202: "failed_dev_unrecoverable",
    2203: "failed_dev_needs_firmware",
    2204: "failed_dev_unknown",
    2205: "complete_dev_not_restored",
}
_PROGRESS: Final = range(2100, 2200)  # 2100 and the percentage


def outcome(told: object) -> str | None:
    """The name in `OUTCOMES` of what an updater told: with or without prefix, or the number. None for neither."""
    if isinstance(told, str):
        name = told.lower()
        for prefix in ("jpos_", "upos_", "opos_", "sue_", "uf_"):
            name = name.removeprefix(prefix)
        return name if name in OUTCOMES else None
    if isinstance(told, int) and not isinstance(told, bool):
        return "progress" if told in _PROGRESS else _NUMBERS.get(told)
    return None


# --- passwords -------------------------------------------------------------------------------------------------------

_COMMON: Final = """
    admin admin123 administrator changeme default demo guest letmein mosquitto mqtt pass password password1 passw0rd pos
    posdiag public qwerty root secret system terminal test toor user welcome
    000000 111111 123123 123456 1234567 12345678 123456789 1234567890 654321 666666 888888 88888888
    """.split()  # noqa: SIM905 - one can read it
_SHORTEST: Final = 8


def weakness(password: str, names: tuple[str, ...]) -> str:
    """Why a password is easy to guess: empty, common, name (one of `names`), short; "" when it is not."""
    plain = password.strip().lower()
    if not plain:
        return "empty"
    if plain in _COMMON:
        return "common"
    if any(plain in {name.lower(), name.lower()[::-1]} for name in names if name):
        return "name"
    return "short" if len(plain) < _SHORTEST else ""
