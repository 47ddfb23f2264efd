"""Rules of casework that an operator may set, by a TOML file over defaults.

When a fault becomes a case, deadlines and calendars, how long to watch and to wait for the merchant, where help is.
"""

from __future__ import annotations

import math
import tomllib
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from agent.vocabulary import Severity
from center.domain import hours

MINUTE_MS: Final = 60_000
HOUR_MS: Final = 60 * MINUTE_MS
DAY_MS: Final = 24 * HOUR_MS
CLOCKS: Final = ("first_response", "update", "solve")
"""The clocks of a case: until somebody answers, until the merchant hears news, until it works again."""
SEVERITIES: Final[tuple[Severity, ...]] = ("critical", "major", "minor", "warning")
DEADLINE_CLASSES: Final = (*SEVERITIES, "complaint", "question", "inspection")
ROUTINE: Final = frozenset(
    {
        *("printer/paper_out", "printer/paper_near_end", "printer/cover_open", "printer/head_hot"),
        *("reader/card_left", "power/mains_lost", "power/battery_low", "system/payment_app_down"),
    }
)
"""Faults that come with daily use: when one comes back the next day, that is a new case."""


class PolicyError(Exception):
    """What is wrong with the file, in one line that names it."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """Minutes of the calendar for each clock; None for a clock that is not run."""

    first_response_min: float | None = None
    update_min: float | None = None
    solve_min: float | None = None
    calendar: str = "site"
    """`site` (its trading hours), `office` (the support center's) or `always`."""


@dataclass(frozen=True, slots=True)
class ServicePoint:
    """Where a merchant can bring or fetch a terminal."""

    name: str
    region: str = ""
    address: str = ""
    phone: str = ""
    lat: float | None = None
    lon: float | None = None


_TARGETS: Final[Mapping[str, float]] = {
    "first_response": 95,
    "update": 90,
    "solve": 90,
    "promise": 90,
    "first_time_fix": 80,
    "no_return": 95,
    "true_alarm": 95,
}
_OFFICE: Final[Mapping[str, Any]] = {day: [["09:00", "18:00"]] for day in ("mon", "tue", "wed", "thu", "fri")}
_DEADLINES: Final = {
    "critical": Deadline(15, 60, 240, "always"),
    "major": Deadline(30, 120, 480),
    "minor": Deadline(240, 1440, 2880),
    "warning": Deadline(None, None, None),
    "complaint": Deadline(480, 1440, 2400, "office"),
    "question": Deadline(240, None, 1440, "office"),
    "inspection": Deadline(None, None, None),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """All rules. Times are seconds, minutes, hours or days as the names say; 0 in `open_s` opens no case."""

    open_s: Mapping[str, int] = field(
        default_factory=lambda: {"critical": 60, "major": 300, "minor": 3600, "warning": 0, "merchant": 1800}
    )
    """By severity; `merchant` is the least time for what the merchant can mend with the guidance at hand."""
    watch_s: Mapping[str, int] = field(
        default_factory=lambda: {"critical": 3600, "major": 1800, "minor": 1800, "warning": 600}
    )
    ask_h: int = 72
    reopen_days: int = 7
    reopen_routine_min: int = 60
    deadlines: Mapping[str, Deadline] = field(default_factory=lambda: dict(_DEADLINES))
    office_hours: Mapping[str, Any] = field(default_factory=lambda: dict(_OFFICE))
    office_timezone: str = "UTC"
    survey_percent: int = 100
    """Of so many cases the merchant is asked to rate the help: chosen by the case, so that no reload asks again."""
    targets: Mapping[str, float] = field(default_factory=lambda: dict(_TARGETS))
    """By indicator of center/domain/monthly.py the percentage that has to be good; 0 in the file for no target."""
    channel: Mapping[str, str] = field(default_factory=dict)
    """The verified way to reach support, by language; none is made up where none is set."""
    service_points: tuple[ServicePoint, ...] = ()
    public_url: str = ""
    """Where merchants reach the center, from its settings; without it nobody is sent to a page."""

    def merchant_page(self, token: str | None) -> str:
        """The address of a merchant's page; "" where there is none."""
        return f"{self.public_url.rstrip('/')}/m/{token}" if self.public_url and token else ""

    def notice_page(self, token: str) -> str:
        """The address where one site reads a message to many; "" where there is none."""
        return f"{self.public_url.rstrip('/')}/n/{token}" if self.public_url else ""

    def open_after_ms(self, severity: str, act: str) -> int | None:
        """For how long a fault stands before it is a case; None for never."""
        wait_s = self.open_s.get(severity, 0)
        if wait_s == 0:
            return None
        return 1000 * (max(wait_s, self.open_s["merchant"]) if act == "merchant" else wait_s)

    def reopen_ms(self, fault: str | None) -> int:
        """For how long after closing the same fault is the same case."""
        return self.reopen_routine_min * MINUTE_MS if fault in ROUTINE else self.reopen_days * DAY_MS

    def surveys(self, case_id: str) -> bool:
        """Whether the merchant of this case is asked to rate the help."""
        return zlib.crc32(case_id.encode()) % 100 < self.survey_percent

    def channel_in(self, language: str) -> str:
        """The support channel to show, "" where none is configured."""
        return self.channel.get(language) or self.channel.get("en") or next(iter(self.channel.values()), "")

    def nearest(self, region: str | None, lat: float | None, lon: float | None) -> ServicePoint | None:
        """The service point to send a merchant to: the nearest one by the map, else one of the region."""
        placed = [point for point in self.service_points if point.lat is not None and point.lon is not None]
        if lat is not None and lon is not None and placed:
            return min(placed, key=lambda point: _distance(lat, lon, point.lat or 0, point.lon or 0))
        return next((point for point in self.service_points if region and point.region == region), None)


def load(path: str, public_url: str = "") -> Policy:
    """The rules of a file; the defaults for no file (""). Raises PolicyError."""
    return replace(_load(path), public_url=public_url)


def _load(path: str) -> Policy:
    if not path:
        return Policy()
    try:
        values = tomllib.loads(Path(path).read_text("utf-8"))
    except OSError as error:
        raise PolicyError(f"{path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PolicyError(f"{path}: {error}") from error
    try:
        return parse(values)
    except (ValueError, TypeError) as error:
        raise PolicyError(f"{path}: {error}") from error


def parse(values: Mapping[str, Any]) -> Policy:
    """Rules of a table over the defaults. Raises ValueError or TypeError that names the key."""
    base = Policy()
    readers: Mapping[str, Callable[[Any], Any]] = {
        "open_s": lambda told: {**base.open_s, **_whole("open_s", told, base.open_s)},
        "watch_s": lambda told: {**base.watch_s, **_whole("watch_s", told, base.watch_s)},
        "ask_h": lambda told: _number("ask_h", told),
        "reopen_days": lambda told: _number("reopen_days", told),
        "reopen_routine_min": lambda told: _number("reopen_routine_min", told),
        "survey_percent": lambda told: _percent("survey_percent", told),
        "deadlines": _deadlines,
        "office_hours": _table("office_hours"),
        "office_timezone": str,
        "targets": _targets,
        "channel": lambda told: {str(language): str(text) for language, text in _table("channel")(told).items()},
        "service_points": lambda told: tuple(ServicePoint(**point) for point in told),
    }
    strange = sorted(set(values) - set(readers))
    if strange:
        raise ValueError(f"no rule is called {strange[0]!r}; there are {', '.join(readers)}")
    policy = replace(base, **{name: readers[name](value) for name, value in values.items()})
    hours.check(policy.office_hours, policy.office_timezone)
    return policy


def deadlines_of(policy: Policy, kind: str, severity: str, contract: Mapping[str, Any] | None) -> Deadline:
    """The deadlines of a case: by its severity if it is of a fault, else by its kind; a site's contract wins."""
    name = severity if kind == "fault" else kind
    told = ((contract or {}).get("deadlines") or {}).get(name)
    return replace(policy.deadlines[name], **_deadline(name, told)) if told else policy.deadlines[name]


def _deadlines(told: Any) -> dict[str, Deadline]:
    found = dict(_DEADLINES)
    for name, table in _table("deadlines")(told).items():
        if name not in found:
            raise ValueError(f"deadlines has no {name!r}; there are {', '.join(DEADLINE_CLASSES)}")
        found[name] = replace(found[name], **_deadline(name, table))
    return found


def _targets(told: Any) -> dict[str, float]:
    found = dict(_TARGETS)
    for name, value in _table("targets")(told).items():
        if name not in found:
            raise ValueError(f"targets has no {name!r}; there are {', '.join(_TARGETS)}")
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 100:
            raise ValueError(f"targets.{name} is a percentage below 100, for something can always go wrong; 0 for none")
        found[name] = value
    return {name: value for name, value in found.items() if value}


def _deadline(name: str, table: Any) -> dict[str, Any]:
    """Fields of a Deadline; 0 minutes stand for a clock that is not run."""
    fields: dict[str, Any] = {}
    for key, value in _table(f"deadlines.{name}")(table).items():
        if key == "calendar" and value in {"site", "office", "always"}:
            fields[key] = value
        elif key in {f"{clock}_min" for clock in CLOCKS}:
            fields[key] = _number(f"deadlines.{name}.{key}", value) or None
        else:
            raise ValueError(f"deadlines.{name}.{key} is none of first_response_min, update_min, solve_min, calendar")
    return fields


def _table(name: str) -> Callable[[Any], Mapping[str, Any]]:
    def read(told: Any) -> Mapping[str, Any]:
        if not isinstance(told, Mapping):
            raise TypeError(f"{name} is a table")
        return told

    return read


def _whole(name: str, told: Any, known: Mapping[str, int]) -> dict[str, int]:
    table = _table(name)(told)
    strange = sorted(set(table) - set(known))
    if strange:
        raise ValueError(f"{name} has no {strange[0]!r}; there are {', '.join(known)}")
    return {key: _number(f"{name}.{key}", value) for key, value in table.items()}


def _number(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{name} is a whole number, 0 or more")
    return value


def _percent(name: str, value: Any) -> int:
    number = _number(name, value)
    if number > 100:
        raise ValueError(f"{name} is 100 at most")
    return number


def _distance(lat: float, lon: float, other_lat: float, other_lon: float) -> float:
    """Good enough to tell which is nearest: the square of a flat distance in degrees of latitude."""
    across = (lon - other_lon + 180) % 360 - 180
    return float((lat - other_lat) ** 2 + (across * math.cos(math.radians(lat))) ** 2)
