"""The faults that posdiag can name: unit, kind, severity, and which faults may explain which. Pure data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

Severity = Literal["critical", "major", "minor", "warning"]
Unit = Literal["power", "printer", "reader", "keypad", "modem", "network", "system", "firmware", "security", "agent"]

UNITS: Final[tuple[Unit, ...]] = get_args(Unit)
DEVICE_UNITS: Final[tuple[Unit, ...]] = ("printer", "reader", "keypad", "modem")


@dataclass(frozen=True, slots=True)
class Kind:
    """One fault. `explained_by` lists keys that may be its cause; "unit/*" means any fault of that unit."""

    unit: Unit
    kind: str
    severity: Severity
    explained_by: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """`unit/kind`, as it stands in topics and messages."""
        return f"{self.unit}/{self.kind}"


def _port_kinds(unit: Unit) -> tuple[Kind, ...]:
    return (
        Kind(unit, "port_lost", "major", ("power/*",)),
        Kind(unit, "port_busy", "warning"),
        Kind(unit, "no_reply", "major", (f"{unit}/port_lost", f"{unit}/port_busy", "power/*", f"{unit}/bad_reply")),
        Kind(unit, "bad_reply", "minor"),
    )


_KINDS: Final[tuple[Kind, ...]] = (
    Kind("power", "mains_lost", "major"),
    Kind("power", "battery_low", "minor", ("power/mains_lost", "power/battery_critical")),
    Kind("power", "battery_critical", "critical", ("power/mains_lost",)),
    Kind("power", "battery_worn", "warning"),
    Kind("power", "undervoltage", "major"),
    Kind("power", "overheat", "major"),
    Kind("power", "charger_fault", "minor"),
    Kind("power", "unclean_shutdown", "warning", ("system/reboot_loop",)),
    *_port_kinds("printer"),
    Kind("printer", "cover_open", "major"),
    Kind("printer", "paper_near_end", "warning", ("printer/paper_out",)),
    Kind("printer", "paper_out", "major"),
    Kind("printer", "cutter_error", "major"),
    Kind("printer", "head_hot", "minor"),
    Kind("printer", "mechanical_error", "major"),
    Kind("printer", "unrecoverable", "critical"),
    Kind("printer", "head_worn", "warning"),
    *_port_kinds("reader"),
    Kind("reader", "card_left", "minor"),
    Kind("reader", "card_jam", "major"),
    Kind("reader", "shutter_error", "major"),
    Kind("reader", "sensor_error", "major"),
    Kind("reader", "read_errors", "minor"),
    Kind("reader", "self_test_failed", "major"),
    Kind("reader", "tamper", "critical"),
    *_port_kinds("keypad"),
    Kind("keypad", "key_stuck", "major"),
    Kind("keypad", "key_dead", "major"),
    Kind("keypad", "keys_missing", "critical", ("keypad/tamper",)),
    Kind("keypad", "battery_low", "major"),
    Kind("keypad", "tamper", "critical"),
    *_port_kinds("modem"),
    Kind("modem", "sim_absent", "major"),
    Kind("modem", "sim_locked", "major"),
    Kind("modem", "sim_failure", "major"),
    Kind("modem", "sim_swapped", "minor"),
    Kind(
        "modem",
        "no_network",
        "major",
        ("modem/sim_absent", "modem/sim_locked", "modem/sim_failure", "modem/weak_signal"),
    ),
    Kind("modem", "registration_denied", "major"),
    Kind("modem", "weak_signal", "minor"),
    Kind("modem", "roaming", "warning"),
    Kind("modem", "no_data", "major", ("modem/no_network", "modem/registration_denied")),
    Kind("modem", "overheat", "minor"),
    Kind(
        "network",
        "link_down",
        "major",
        ("modem/no_data", "modem/no_network", "modem/port_lost", "modem/no_reply", "network/flapping"),
    ),
    Kind("network", "no_address", "major", ("network/link_down",)),
    Kind("network", "gateway_unreachable", "major", ("network/no_address", "network/link_down")),
    Kind(
        "network",
        "dns_failed",
        "major",
        ("network/gateway_unreachable", "network/captive_portal", "modem/weak_signal", "network/lossy"),
    ),
    Kind(
        "network",
        "acquirer_unreachable",
        "critical",
        ("network/dns_failed", "network/gateway_unreachable", "network/captive_portal", "modem/weak_signal"),
    ),
    Kind("network", "tls_failed", "critical", ("system/clock_wrong", "network/captive_portal", "modem/weak_signal")),
    Kind("network", "captive_portal", "major"),
    Kind(
        "network",
        "broker_unreachable",
        "minor",
        ("network/dns_failed", "network/gateway_unreachable", "network/no_address", "network/link_down"),
    ),
    Kind("network", "slow", "warning", ("modem/weak_signal",)),
    Kind("network", "lossy", "minor", ("modem/weak_signal",)),
    Kind("network", "flapping", "minor"),
    Kind("system", "disk_full", "major"),
    Kind("system", "disk_readonly", "critical"),
    Kind("system", "memory_low", "minor"),
    Kind("system", "cpu_overload", "minor"),
    Kind("system", "overheat", "major"),
    Kind("system", "clock_wrong", "major"),
    Kind("system", "payment_app_down", "critical"),
    Kind("system", "screen_off", "major"),
    Kind("system", "reboot_loop", "critical"),
    Kind("firmware", "outdated", "warning"),
    Kind("firmware", "known_bad", "minor"),
    Kind("firmware", "update_failed", "major"),
    Kind("firmware", "unknown_combination", "warning"),
    Kind("security", "case_opened", "critical"),
    Kind("security", "relocated", "minor"),
    Kind("security", "device_swapped", "major"),
    Kind("security", "default_password", "warning"),
    Kind("security", "certificate_expiring", "warning", ("system/clock_wrong",)),
    Kind("agent", "probe_failed", "warning"),
    Kind("agent", "store_nearly_full", "minor"),
    Kind("agent", "store_reset", "minor"),
    Kind("agent", "budget_exceeded", "warning"),
    Kind("agent", "config_rejected", "warning"),
)

VOCABULARY: Final[dict[str, Kind]] = {kind.key: kind for kind in _KINDS}
"""Every fault by its key `unit/kind`."""
