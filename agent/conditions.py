"""Which readings raise which faults: the probes' conditions, and all conditions of one terminal together.

What holds for thresholds and delays is said in `agent.device_conditions`.
"""

from __future__ import annotations

from collections.abc import Iterable

from agent.condition import Condition, Test, above, among, below
from agent.config import Config, NetworkConfig, PowerConfig, SystemConfig
from agent.device_conditions import device_conditions
from agent.security import OUTCOMES
from agent.trend_conditions import trend_conditions


def power(config: PowerConfig) -> Iterable[Condition]:
    """Mains, battery and supply from sysfs (`power`) and from a UPS (`nut`)."""
    for at in ("power", "nut"):
        # A plug that is pulled bounces, and a UPS switches back and forth: 5 s of mains are mains.
        yield Condition(
            fault="power/mains_lost",
            source=at,
            reading="mains",
            raises=among("off"),
            off_delay_s=5,
            evidence=("battery_percent", "battery_status", "runtime_s", "ups_status"),
        )
        # Two readings in a row, because a load step makes a gauge dip once.
        yield Condition(
            fault="power/battery_low",
            source=at,
            reading="battery_percent",
            raises=below(config.low_percent),
            clears=above(config.low_percent + 5),
            polls=2,
            evidence=("mains", "battery_status"),
        )
        yield Condition(
            fault="power/battery_critical",
            source=at,
            reading="battery_percent",
            raises=below(config.critical_percent),
            clears=above(config.critical_percent + 3),
            polls=2,
            evidence=("mains", "battery_status"),
        )
        yield Condition(
            fault="power/battery_worn",
            source=at,
            reading="battery_health_percent",
            raises=below(config.worn_percent),
            clears=above(config.worn_percent + 5),
            polls=2,
            evidence=("cycle_count",),
        )
        yield Condition(
            fault="power/overheat",
            source=at,
            reading="temperature_c",
            raises=above(config.max_temperature_c),
            clears=below(config.max_temperature_c - 5),
            polls=2,
            evidence=("battery_status",),
        )
    yield Condition(
        fault="power/battery_low", source="nut", reading="ups_battery", raises=among("low"), evidence=("ups_status",)
    )
    yield Condition(
        fault="power/battery_critical",
        source="nut",
        reading="ups_shutdown",
        raises=among("yes"),
        evidence=("ups_status", "runtime_s"),
    )
    yield Condition(
        fault="power/battery_worn", source="nut", reading="ups_replace", raises=among("yes"), evidence=("ups_status",)
    )
    # The words of the kernel's power supply class.
    words = {
        "power/battery_worn": ("Dead", "Unspecified failure"),
        "power/overheat": ("Overheat", "Hot"),
        "power/charger_fault": ("Over voltage", "Over current", "Watchdog timer expire", "Safety timer expire"),
    }
    for key, values in words.items():
        yield Condition(fault=key, source="power", reading="battery_health", raises=among(*values), polls=2)
    # A busy terminal may draw more than its adapter gives; five minutes of that is a weak adapter or a dead charger.
    yield Condition(
        fault="power/charger_fault",
        source="power",
        reading="charger",
        raises=among("not_charging"),
        on_delay_s=300,
        evidence=("battery_percent", "battery_status"),
    )
    yield Condition(fault="power/undervoltage", source="power", reading="supply", raises=among("low"), off_delay_s=10)
    if config.min_voltage_mv:
        yield Condition(
            fault="power/undervoltage",
            source="power",
            reading="voltage_mv",
            raises=below(config.min_voltage_mv),
            clears=above(config.min_voltage_mv * 1.02),
            polls=2,
            evidence=("mains", "battery_percent"),
        )
    # The boot probe says "yes" for an hour after such a boot, so that nobody misses it and nobody has to clear it.
    yield Condition(
        fault="power/unclean_shutdown",
        source="boots",
        reading="unclean_recently",
        stale_s=0,
        raises=among("yes"),
        evidence=("boot_reason", "boot"),
    )


_RUNGS = {  # reading of the ladder: fault, what says why
    "link": ("network/link_down", ("interface",)),
    "address": ("network/no_address", ("interface",)),
    "gateway": ("network/gateway_unreachable", ("gateway_why",)),
    "dns": ("network/dns_failed", ("dns_why", "loss_percent")),
    "acquirer": ("network/acquirer_unreachable", ("acquirer_why", "acquirer_ms")),
    "tls": ("network/tls_failed", ("tls_why",)),
}


def network(config: NetworkConfig) -> Iterable[Condition]:
    """The ladder. A failed ladder is walked again within seconds, so two failures in a row come soon."""
    for rung, (key, why) in _RUNGS.items():
        bad = among("down", "none", "failed")
        # A modem that changes its cell redials within seconds, and an address takes a few after the link is there; a
        # name or a connection may be lost once.
        delay = 5.0 if rung in {"link", "address"} else 0.0
        yield Condition(fault=key, source="network", reading=rung, raises=bad, polls=2, on_delay_s=delay, evidence=why)
    yield Condition(
        fault="network/captive_portal",
        source="network",
        reading="portal",
        raises=among("yes"),
        polls=2,
        evidence=("portal_why",),
    )
    # Reconnects with jitter take up to a minute without anything being wrong with the network.
    yield Condition(
        fault="network/broker_unreachable",
        source="network",
        reading="broker",
        raises=among("failed"),
        on_delay_s=30,
        stale_s=0,
        evidence=("broker_why",),
    )
    # Somebody who stands in front of the aerial slows a few questions.
    yield Condition(
        fault="network/slow",
        source="network",
        reading="latency_ms",
        raises=above(config.slow_ms),
        clears=below(config.slow_ms * 0.8),
        on_delay_s=20,
        evidence=("loss_percent", "dns_ms", "acquirer_ms"),
    )
    yield Condition(
        fault="network/lossy",
        source="network",
        reading="loss_percent",
        raises=above(config.lossy_percent),
        clears=below(config.lossy_percent / 2),
        evidence=("latency_ms",),
    )
    # Four times down and up in five minutes is a contact or a radio edge, not somebody who plugs a cable.
    yield Condition(
        fault="network/flapping",
        source="network",
        reading="changes",
        raises=above(7),
        clears=below(3),
        evidence=("interface",),
    )


def system(config: SystemConfig) -> Iterable[Condition]:
    """The terminal's own computer."""
    # Below 5 % or 32 MiB logs and databases begin to fail; an update needs more and says so itself.
    yield Condition(
        fault="system/disk_full",
        source="system",
        reading="disk_free_percent",
        raises=below(5),
        clears=above(8),
        evidence=("disk_free_bytes",),
    )
    yield Condition(
        fault="system/disk_full",
        source="system",
        reading="disk_free_bytes",
        raises=below(32 << 20),
        clears=above(64 << 20),
        evidence=("disk_free_percent",),
    )
    yield Condition(fault="system/disk_readonly", source="system", reading="disk", raises=among("readonly"))
    # A program that starts takes memory and processor for seconds; after a minute the till feels it.
    yield Condition(
        fault="system/memory_low",
        source="system",
        reading="memory_available_percent",
        raises=below(8),
        clears=above(12),
        on_delay_s=60,
        evidence=("memory_available_bytes",),
    )
    yield Condition(
        fault="system/cpu_overload",
        source="system",
        reading="cpu_percent",
        raises=above(90),
        clears=below(75),
        on_delay_s=60,
        off_delay_s=30,
    )
    yield Condition(
        fault="system/overheat",
        source="system",
        reading="temperature_c",
        raises=above(config.max_temperature_c),
        clears=below(config.max_temperature_c - 5),
        polls=2,
    )
    limit = config.max_clock_offset_s
    yield Condition(
        fault="system/clock_wrong",
        source="system",
        reading="clock_offset_s",
        raises=lambda offset: not isinstance(offset, str) and abs(offset) > limit,
        clears=lambda offset: not isinstance(offset, str) and abs(offset) < limit / 2,
        evidence=("clock_source",),
    )
    # Its supervisor restarts a crashed application within seconds; the second look comes a poll later.
    yield Condition(
        fault="system/payment_app_down", source="system", reading="payment_app", raises=among("down"), polls=2
    )
    # A screen that sleeps between two customers wakes at a touch; one that is dark for 5 min in business is said.
    yield Condition(fault="system/screen_off", source="system", reading="screen", raises=among("off"), on_delay_s=300)
    yield Condition(
        fault="system/reboot_loop",
        source="boots",
        reading="unclean_boots",
        raises=above(2),
        clears=below(1),
        evidence=("boot_reason", "boot"),
        stale_s=0,
    )


# --- security: what the security probe, the network ladder and the updater say; all told only when it changes ---------


def security(config: Config) -> Iterable[Condition]:
    """Parts, place, case, passwords, certificates and updates. What stands between two words stands on."""
    # A case that is closed again stays a fault until it was inspected; the probe says `closed` from then on.
    yield Condition(
        fault="security/case_opened",
        source="security",
        reading="case",
        raises=among("open", "opened"),
        clears=among("closed"),
        stale_s=0,
    )
    for device in config.device:
        yield Condition(
            fault="security/device_swapped",
            source="security",
            device=device.name,
            reading=f"{device.name}.part",
            raises=among("other"),
            clears=among("same"),
            evidence=(f"{device.name}.changed",),
            stale_s=0,
        )
    # The probe has watched for hours before it says so.
    yield Condition(
        fault="security/relocated",
        source="security",
        reading="place",
        raises=among("elsewhere"),
        clears=among("home"),
        evidence=("place_score", "place_parts"),
        stale_s=0,
    )
    yield Condition(
        fault="security/default_password",
        source="security",
        reading="password",
        raises=among("weak"),
        evidence=("password_why",),
        stale_s=0,
    )
    # Two minutes, so that a wrong clock is known for what it is before a certificate seems to end by it.
    for source, reading, evidence in (
        ("security", "certificate", ("certificate_days", "certificate_of")),
        ("network", "tls_certificate", ("tls_certificate_days",)),
    ):
        yield Condition(
            fault="security/certificate_expiring",
            source=source,
            reading=reading,
            raises=among("expiring"),
            clears=among("ok"),
            on_delay_s=120,
            evidence=evidence,
            stale_s=0,
        )
    yield Condition(
        fault="firmware/update_failed",
        source="firmware",
        reading="update",
        raises=among(*(name for name, what in OUTCOMES.items() if what == "failed")),
        clears=among(*(name for name, what in OUTCOMES.items() if what == "done")),
        evidence=("update_device",),
        stale_s=0,
    )


def agent() -> Iterable[Condition]:
    """The agent's own state, told by it under the source `agent` only when it changes, hence never stale."""
    rows: tuple[tuple[str, str, Test, Test | None], ...] = (
        ("agent/probe_failed", "probes", among("failing"), None),
        ("agent/store_nearly_full", "store_percent", above(80), below(70)),
        ("agent/store_reset", "store", among("reset"), None),
        ("agent/budget_exceeded", "budget", among("exceeded"), None),
        ("agent/config_rejected", "config", among("rejected"), None),
    )
    for key, reading, raises, clears in rows:
        yield Condition(
            fault=key,
            source="agent",
            reading=reading,
            raises=raises,
            clears=clears,
            evidence=(f"{reading}_why",),
            stale_s=0,
        )


def conditions(config: Config, units: dict[str, str]) -> tuple[Condition, ...]:
    """All conditions of one terminal. `units` maps the name of each device to its fault unit."""
    net_s = max(60.0, 3 * config.ladder_s)
    return (
        *(c for device in config.device for c in device_conditions(units[device.name], device)),
        *(c.stale_after(max(60.0, 3 * config.power.poll_s)) for c in power(config.power)),
        *(c.stale_after(net_s) for c in network(config.network)),
        *(c.stale_after(max(60.0, 3 * config.system.poll_s)) for c in system(config.system)),
        *security(config),
        *agent(),
        *trend_conditions(units),
    )
