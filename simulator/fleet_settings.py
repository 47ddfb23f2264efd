"""A fleet's terminal and the settings that the center wishes for: taken, or refused as a whole with the reason."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from agent import wire
from simulator.fleet_faults import Sign

REJECTED: Final = "agent/config_rejected"
FROM_AFAR: Final[Mapping[str, frozenset[str]]] = {
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
"""What an agent lets be set from afar, table to keys. Values are not looked at here: a fleet has no configuration."""
_LONGEST_WHY: Final = 120


@dataclass(slots=True)
class Settings:
    """One terminal's. `version` 0 is its file alone; `refused` is the version that `why` is about, key to reason."""

    version: int = 0
    refused: int = 0
    why: dict[str, str] = field(default_factory=dict)

    def take(self, body: wire.SettingsBody) -> bool | None:
        """True for new ones that are in force now; False for what is to be told again; None for what is older."""
        if body.version < max(self.version, self.refused):
            return None
        if body.version in {self.version, self.refused}:
            return False
        self.why = {
            f"{table}.{key}": "is not set from afar"
            for table, keys in body.settings.items()
            for key in keys
            if key not in FROM_AFAR.get(table, ())
        }
        if self.why:
            self.refused = body.version
            return False
        self.version, self.refused = body.version, 0
        return True

    def withdraw(self) -> None:
        """Nothing is wished any more; what is in force stays."""
        self.why = {}

    def named(self) -> str:
        """The version as it is told."""
        return str(self.version) if self.version else "file"

    def hash(self, terminal: str) -> str:
        """Of all settings in force."""
        return hashlib.sha256(f"{terminal}-{self.named()}".encode()).hexdigest()[:16]

    def message(self, terminal: str, header: Mapping[str, Any]) -> wire.ConfigReportedMessage:
        """Topic `config/reported`."""
        return wire.ConfigReportedMessage(
            **header,
            version=self.named(),
            hash=self.hash(terminal),
            rejected=dict(self.why),
            refused=str(self.refused) if self.why else "",
        )

    def sign(self) -> Sign:
        """What the agent reads of its configuration while something is refused, and then."""
        why = "; ".join(f"{key}: {text}" for key, text in self.why.items())[:_LONGEST_WHY]
        return Sign("agent", {"config": "rejected", "config_why": why}, {"config": "ok", "config_why": "none"})
