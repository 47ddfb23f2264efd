"""The faults that posdiag can name: severity, who must act, and which faults may explain which. Pure data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

Severity = Literal["critical", "major", "minor", "warning"]
Act = Literal["merchant", "support", "technician", "operator", "none"]
Unit = Literal["power", "printer", "reader", "keypad", "modem", "network", "system", "firmware", "security", "agent"]

UNITS: Final[tuple[Unit, ...]] = get_args(Unit)


@dataclass(frozen=True, slots=True)
class Kind:
    """One fault. `explained_by` lists keys that may be its cause; "unit/*" means any fault of that unit."""

    unit: Unit
    kind: str
    severity: Severity
    act: Act
    explained_by: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """`unit/kind`, as it stands in topics and messages."""
        return f"{self.unit}/{self.kind}"


def _port_kinds(unit: Unit) -> tuple[Kind, ...]:
    return (
        Kind(unit, "port_lost", "major", "merchant", ("power/*",)),
        Kind(unit, "port_busy", "warning", "support"),
        Kind(
            unit,
            "no_reply",
            "major",
            "merchant",
            (f"{unit}/port_lost", f"{unit}/port_busy", "power/*", f"{unit}/bad_reply"),
        ),
        Kind(unit, "bad_reply", "minor", "support"),
    )


_KINDS: Final[tuple[Kind, ...]] = (
    Kind("power", "mains_lost", "major", "merchant"),
    Kind("power", "battery_low", "minor", "merchant", ("power/mains_lost", "power/battery_critical")),
    Kind("power", "battery_critical", "critical", "merchant", ("power/mains_lost",)),
    Kind("power", "battery_worn", "warning", "technician"),
    Kind("power", "undervoltage", "major", "technician"),
    Kind("power", "overheat", "major", "merchant"),
    Kind("power", "charger_fault", "minor", "technician"),
    Kind("power", "unclean_shutdown", "warning", "merchant", ("system/reboot_loop",)),
    *_port_kinds("printer"),
    Kind("printer", "cover_open", "major", "merchant"),
    Kind("printer", "paper_near_end", "warning", "merchant", ("printer/paper_out",)),
    Kind("printer", "paper_out", "major", "merchant"),
    Kind("printer", "cutter_error", "major", "merchant"),
    Kind("printer", "head_hot", "minor", "none"),
    Kind("printer", "mechanical_error", "major", "technician"),
    Kind("printer", "unrecoverable", "critical", "technician"),
    Kind("printer", "head_worn", "warning", "technician"),
    *_port_kinds("reader"),
    Kind("reader", "card_left", "minor", "merchant"),
    Kind("reader", "card_jam", "major", "technician"),
    Kind("reader", "shutter_error", "major", "technician"),
    Kind("reader", "sensor_error", "major", "technician"),
    Kind("reader", "read_errors", "minor", "merchant"),
    Kind("reader", "self_test_failed", "major", "technician"),
    Kind("reader", "tamper", "critical", "support"),
    *_port_kinds("keypad"),
    Kind("keypad", "key_stuck", "major", "merchant"),
    Kind("keypad", "key_dead", "major", "technician"),
    Kind("keypad", "keys_missing", "critical", "support", ("keypad/tamper",)),
    Kind("keypad", "battery_low", "major", "technician"),
    Kind("keypad", "tamper", "critical", "support"),
    *_port_kinds("modem"),
    Kind("modem", "sim_absent", "major", "merchant"),
    Kind("modem", "sim_locked", "major", "support"),
    Kind("modem", "sim_failure", "major", "support"),
    Kind("modem", "sim_swapped", "minor", "support"),
    Kind(
        "modem",
        "no_network",
        "major",
        "operator",
        ("modem/sim_absent", "modem/sim_locked", "modem/sim_failure", "modem/weak_signal"),
    ),
    Kind("modem", "registration_denied", "major", "operator"),
    Kind("modem", "weak_signal", "minor", "merchant"),
    Kind("modem", "roaming", "warning", "none"),
    Kind("modem", "no_data", "major", "operator", ("modem/no_network", "modem/registration_denied")),
    Kind("modem", "overheat", "minor", "merchant"),
    Kind(
        "network",
        "link_down",
        "major",
        "merchant",
        ("modem/no_data", "modem/no_network", "modem/port_lost", "modem/no_reply", "network/flapping"),
    ),
    Kind("network", "no_address", "major", "merchant", ("network/link_down",)),
    Kind("network", "gateway_unreachable", "major", "merchant", ("network/no_address", "network/link_down")),
    Kind(
        "network",
        "dns_failed",
        "major",
        "support",
        ("network/gateway_unreachable", "network/captive_portal", "modem/weak_signal", "network/lossy"),
    ),
    Kind(
        "network",
        "acquirer_unreachable",
        "critical",
        "support",
        ("network/dns_failed", "network/gateway_unreachable", "network/captive_portal", "modem/weak_signal"),
    ),
    Kind(
        "network",
        "tls_failed",
        "critical",
        "support",
        ("system/clock_wrong", "network/captive_portal", "modem/weak_signal"),
    ),
    Kind("network", "captive_portal", "major", "merchant"),
    Kind(
        "network",
        "broker_unreachable",
        "minor",
        "support",
        ("network/dns_failed", "network/gateway_unreachable", "network/no_address", "network/link_down"),
    ),
    Kind("network", "slow", "warning", "none", ("modem/weak_signal",)),
    Kind("network", "lossy", "minor", "merchant", ("modem/weak_signal",)),
    Kind("network", "flapping", "minor", "merchant"),
    Kind("system", "disk_full", "major", "support"),
    Kind("system", "disk_readonly", "critical", "support"),
    Kind("system", "memory_low", "minor", "support"),
    Kind("system", "cpu_overload", "minor", "support"),
    Kind("system", "overheat", "major", "merchant"),
    Kind("system", "clock_wrong", "major", "support"),
    Kind("system", "payment_app_down", "critical", "merchant"),
    Kind("system", "screen_off", "major", "technician"),
    Kind("system", "reboot_loop", "critical", "support"),
    Kind("firmware", "outdated", "warning", "support"),
    Kind("firmware", "known_bad", "minor", "support"),
    Kind("firmware", "update_failed", "major", "support"),
    Kind("firmware", "unknown_combination", "warning", "support"),
    Kind("security", "case_opened", "critical", "support"),
    Kind("security", "relocated", "minor", "support"),
    Kind("security", "device_swapped", "major", "support"),
    Kind("security", "default_password", "warning", "support"),
    Kind("security", "certificate_expiring", "warning", "support", ("system/clock_wrong",)),
    Kind("agent", "probe_failed", "warning", "support"),
    Kind("agent", "store_nearly_full", "minor", "support"),
    Kind("agent", "store_reset", "minor", "support"),
    Kind("agent", "budget_exceeded", "warning", "support"),
    Kind("agent", "config_rejected", "warning", "support"),
)

VOCABULARY: Final[dict[str, Kind]] = {kind.key: kind for kind in _KINDS}
"""Every fault by its key `unit/kind`."""


def act_of(key: str) -> Act:
    """Who must act on this fault; support for one that an older or newer version named."""
    kind = VOCABULARY.get(key)
    return "support" if kind is None else kind.act
