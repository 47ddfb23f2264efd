"""What the daemon stands on before anything runs: its directory, its store, and what it knew before."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from pathlib import Path
from typing import Any

from agent.clock import Clock
from agent.config import Config, DeviceConfig
from agent.faults import from_text
from agent.inventory import DeviceInfo
from agent.model import Fault
from agent.store import Store, StoreBusy
from drivers import catalog
from drivers.redact import redact_text


class CannotRun(Exception):
    """Why the daemon ends at once, in one line."""


def json_object(text: str) -> dict[str, Any] | None:
    """What a text of the store holds, or None for what is no JSON object."""
    try:
        value = json.loads(text) if text else None
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def hold_run_dir(run_dir: Path) -> int:
    """Hold the run directory. Raises CannotRun when another agent has it, or when it cannot be made."""
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
        handle = os.open(run_dir / "agent.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise CannotRun(f"{run_dir}: {error.strerror}") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        raise CannotRun(f"another agent is running with {run_dir}") from error
    return handle


def open_store(config: Config, clock: Clock) -> Store:
    """Open the store. Raises CannotRun when another agent has it."""
    try:
        return Store(Path(config.paths.state_dir), config.store.max_bytes, clock)
    except StoreBusy as error:
        raise CannotRun(f"another agent is using {config.paths.state_dir}") from error


def boot_number(store: Store, *, new: bool) -> int:
    """The store counts boots, because its counters never repeat, not even after a store was lost."""
    return store.bump("boot") if new or not store.get("boot") else int(store.get("boot"))


def kept_faults(store: Store) -> dict[str, Fault]:
    """The faults that stood when the agent last ran."""
    faults = {}
    for key, text in store.kept("fault").items():
        with contextlib.suppress(ValueError, TypeError, KeyError):  # of an older version: raised anew if it stands
            faults[key] = from_text(text)
    return faults


def device_info(device: DeviceConfig) -> DeviceInfo:
    """The inventory's row of a configured device."""
    family = catalog.family(device.family)
    return DeviceInfo(
        name=device.name,
        unit=family.unit,
        family=device.family,
        port=redact_text(device.port),
        sharing=device.share,
        readings={name: spec.unit for name, spec in family.driver.READINGS.items()},
    )
