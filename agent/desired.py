"""Settings that the support center wishes: which may be set from afar, what is in force, and the way back.

They lie over the local file's and are kept in `desired.json` in the state directory. New ones are on trial first:
unless the broker is reached with them within `commands.trial_s` of running, and a few starts, those before come back.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from agent.audit_log import sync_folder
from agent.config import Config
from agent.config_file import ConfigError, build, check_values, read_values

FILE: Final = "desired.json"
_STARTS: Final = 3
REMOTE: Final[Mapping[str, frozenset[str]]] = {
    "mqtt": frozenset({"url", "link"}),
    "terminal": frozenset({"language"}),
    "network": frozenset({"poll_s", "slow_ms", "lossy_percent"}),
    "power": frozenset(
        {"poll_s", "low_percent", "critical_percent", "worn_percent", "min_voltage_mv", "max_temperature_c"}
    ),
    "system": frozenset({"poll_s", "screen", "max_temperature_c", "max_clock_offset_s"}),
    "store": frozenset({"event_hours", "telemetry_hours"}),
    "telemetry": frozenset({"batch_s", "heartbeat_s", "health_s", "number_s"}),
    "budget": frozenset({"daily_bytes"}),
    "trends": frozenset({"head_life_km", "head_new_at_lines", "cutter_life_cuts", "cutter_new_at_cuts"}),
    "security": frozenset({"certificate_days", "mobile"}),
    "support": frozenset({"channel", "pages"}),
}
"""Table to keys. Who this is, its devices and ports, its keys and where it writes are decided at the terminal alone."""

Settings = dict[str, dict[str, Any]]


@dataclass(slots=True)
class Wish:
    """One version of settings; version 0 is the local file alone."""

    version: int = 0
    settings: Settings = field(default_factory=dict)


@dataclass(slots=True)
class Desired:
    """What stands in the file. `before` is what comes back while a trial goes on, None otherwise."""

    now: Wish = field(default_factory=Wish)
    before: Wish | None = None
    starts: int = 0
    refused: int = 0
    """The version that was last refused or rolled back, and why; it is not tried again."""
    why: dict[str, str] = field(default_factory=dict)

    @property
    def on_trial(self) -> bool:
        return self.before is not None

    def begin(self, wish: Wish) -> None:
        """Put new settings on trial; those before a trial that goes on stay the way back."""
        if self.before is None:
            self.before = self.now
        self.now, self.starts = wish, 0
        self.refused, self.why = 0, {}

    def keep(self) -> None:
        """The trial is passed."""
        self.before, self.starts = None, 0

    def refuse(self, version: int, why: Mapping[str, str]) -> None:
        """This version is not taken."""
        self.refused, self.why = version, dict(why)

    def roll_back(self, why: str) -> None:
        """The settings before the trial are in force again."""
        if self.before is not None:
            self.refuse(self.now.version, {"*": why})
            self.now = self.before
            self.keep()


def read(state_dir: Path) -> Desired:
    """What was kept; nothing for a file that is not there or not whole."""
    try:
        kept = json.loads((state_dir / FILE).read_bytes())
        before = kept["before"]
        return Desired(
            now=_wish(kept["now"]),
            before=None if before is None else _wish(before),
            starts=int(kept["starts"]),
            refused=int(kept["refused"]),
            why={str(key): str(text) for key, text in kept["why"].items()},
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Desired()


def _wish(kept: Mapping[str, Any]) -> Wish:
    return Wish(int(kept["version"]), {str(table): dict(keys) for table, keys in kept["settings"].items()})


def write(state_dir: Path, desired: Desired) -> None:
    """Replace the file in one piece, on disk at return. Raises OSError."""
    part = state_dir / f"{FILE}.part"
    state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(json.dumps(asdict(desired)).encode())
        file.flush()
        os.fsync(handle)
    part.replace(state_dir / FILE)
    sync_folder(state_dir)


def overlay(values: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    """The local file's values with the settings over them; only what may be set from afar is taken."""
    merged = dict(values)
    for table, keys in settings.items():
        wanted = {key: value for key, value in keys.items() if key in REMOTE.get(table, ())}
        merged[table] = {**values.get(table, {}), **wanted}
    return merged


def start(config_file: Path) -> Config:
    """The configuration of this start: the checked local file and what is desired. Raises ConfigError.

    Each start counts while a trial goes on, so that settings with which the daemon dies come to an end, too.
    """
    values = read_values(config_file)
    local = build(values)
    state_dir = Path(local.paths.state_dir)
    desired = read(state_dir)
    if desired.on_trial:
        desired.starts += 1
        if desired.starts > _STARTS:
            desired.roll_back("the agent did not run with it")
        try:
            write(state_dir, desired)
        except OSError:
            return local  # what cannot be counted is not tried
    try:
        # Looked at once more: an older version may have taken what this one knows to be wrong.
        return check_values(overlay(values, desired.now.settings), "settings") if desired.now.settings else local
    except (ConfigError, TypeError, ValueError, AttributeError) as error:  # or the local file has changed under it
        why = (error.reasons if isinstance(error, ConfigError) else {}) or {"*": "it does not fit the local file"}
        with contextlib.suppress(OSError):
            write(state_dir, Desired(refused=desired.now.version, why=why))
        return local


def problems(config_file: Path, settings: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Key to what is wrong with it; {} when all may be applied."""
    found = {
        f"{table}.{key}": "is not set from afar"
        for table, keys in settings.items()
        for key in keys
        if key not in REMOTE.get(table, ())
    }
    if found:
        return found
    values = read_values(config_file)
    try:
        merged = check_values(overlay(values, {table: dict(keys) for table, keys in settings.items()}), "settings")
    except ConfigError as error:
        return error.reasons
    local = build(values).mqtt
    if local.url.startswith("mqtts:") and not merged.mqtt.url.startswith("mqtts:"):
        return {"mqtt.url": "TLS is not switched off from afar"}
    if merged.mqtt.url != local.url and merged.mqtt.url.startswith("mqtts:") and not local.ca_file:
        return {"mqtt.url": "another broker takes an mqtt.ca_file at the terminal, since anyone can have a certificate"}
    return {}
