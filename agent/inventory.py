"""What this terminal is made of: devices, who they say they are, and the metrics with their units."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from agent import VERSION, wire
from drivers.reading import Identity


@dataclass(slots=True)
class DeviceInfo:
    """What is known of one configured device."""

    name: str
    unit: str
    family: str
    port: str
    sharing: str
    readings: Mapping[str, str]
    identity: Identity | None = None


@dataclass(slots=True)
class Inventory:
    """Not thread-safe. `report_key` is the public key that help codes are signed with."""

    devices: dict[str, DeviceInfo]
    language: str
    boot: int
    commands: tuple[str, ...] = ()
    metrics: dict[str, str] = field(default_factory=dict)
    report_key: str = ""
    dictionary: str = ""
    _told: str = ""

    def learn(self, source: str, readings: Iterable[str]) -> dict[str, str]:
        """Metrics of a source and their units, new or not."""
        device = self.devices.get(source)
        units = device.readings if device is not None else {}
        found = {f"{source}.{name}": units.get(name) or _unit(name) for name in readings}
        self.metrics |= found
        return found

    def message(self, header: Mapping[str, Any], *, always: bool) -> bytes | None:
        """The inventory message, or None when nothing but the boot changed since the last."""
        devices = tuple(entry(device) for device in self.devices.values())
        agent = {"version": VERSION, "boot": str(self.boot), "report_key": self.report_key}
        known = [[wire.to_json(d) for d in devices], self.metrics, {**agent, "boot": ""}, self.commands]
        solid = json.dumps(known, sort_keys=True)
        digest = hashlib.sha256(solid.encode()).hexdigest()[:16]
        if digest == self._told and not always:
            return None
        self._told = digest
        return wire.encode(
            wire.InventoryMessage(
                **header,
                hash=digest,
                agent=agent,
                devices=devices,
                metrics=self.metrics,
                commands=self.commands,
                language=self.language,
                dictionary=self.dictionary,
            )
        )

    def entries(self) -> dict[str, wire.DeviceEntry]:
        """The rows of devices that have said who they are."""
        return {name: entry(device) for name, device in self.devices.items() if device.identity is not None}


_SUFFIXES = ("dbm", "db", "percent", "mv", "ms", "bytes", "kib", "c", "s")


def _unit(name: str) -> str:
    """Units stand at the end of names; "" for a number without one and for words."""
    last = name.rpartition("_")[2] if "_" in name else ""
    return last if last in _SUFFIXES else ""


def entry(device: DeviceInfo) -> wire.DeviceEntry:
    """The row of a device, with what it has said of itself."""
    identity = device.identity or Identity()
    return wire.DeviceEntry(
        name=device.name,
        unit=device.unit,
        family=device.family,
        manufacturer=identity.manufacturer,
        model=identity.model,
        serial=identity.serial,
        firmware=identity.firmware,
        port=device.port,
        sharing=device.sharing,
        readings=device.readings,
    )
