"""The kernel's trees as the agent would read them: `sys` for power, net and screen, `proc` for routes and the boot."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from simulator.world import BATTERY_WORDS, UNDERVOLTAGE_MV, Consequences

Tree = dict[str, str]
"""Path below the root, to content without its final line feed."""

INTERFACES: Final = {"modem": "wwan0", "ethernet": "eth0"}
_MAC: Final = {"wwan0": "02:50:f4:00:00:01", "eth0": "02:00:5e:10:00:01"}
_DESIGN_UAH: Final = 2_600_000
_ADDRESS, _NETWORK, _GATEWAY = "10.64.12.7", "10.64.12.0", "10.64.12.1"
_REAL_PROC: Final = ("loadavg", "stat", "meminfo", "uptime")


def sys_tree(values: Mapping[str, str], now: Consequences, before: Tree) -> Tree:
    """Everything below `sys`. The bearer in use has the carrier; the other interface is there without one.

    `before` is the tree until now, from which the kernel's counters go on.
    """
    return {**_power(values), **_net(values, now, before), **_board(values)}


def proc_tree(values: Mapping[str, str], now: Consequences, boot_id: str) -> Tree:
    """Everything below `proc` that is not the machine's own."""
    interface = INTERFACES[values["network.bearer"]]
    routes = ["Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT"]
    trie = ["Main:", *_leaf("127.0.0.0/8", "127.0.0.1")]
    if now.address:
        routes.append(f"{interface}\t00000000\t{_le_hex(_GATEWAY)}\t0003\t0\t0\t0\t00000000\t0\t0\t0")
        routes.append(f"{interface}\t{_le_hex(_NETWORK)}\t00000000\t0001\t0\t0\t0\t{_le_hex('255.255.255.0')}\t0\t0\t0")
        trie += _leaf(f"{_NETWORK}/24", _ADDRESS)
    return {
        "net/route": "\n".join(routes),
        "net/fib_trie": "\n".join([*trie, "Local:", *trie[1:]]),
        "sys/kernel/random/boot_id": boot_id,
    }


def write_tree(root: Path, tree: Tree, before: Tree) -> None:
    """Bring the files below `root` from `before` to `tree`. A reader sees the old content or the new, never half."""
    for name, content in tree.items():
        if before.get(name) == content:
            continue
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f".{path.name}.new")
        beside.write_text(content + "\n", encoding="ascii")
        beside.replace(path)
    for name in before.keys() - tree.keys():
        (root / name).unlink(missing_ok=True)


def link_real_proc(root: Path) -> None:
    """Load, memory and uptime are this machine's own."""
    root.mkdir(parents=True, exist_ok=True)
    for name in _REAL_PROC:
        path = root / name
        if not path.is_symlink():
            path.symlink_to(os.path.join("/proc", name))  # noqa: PTH118 - a name of the kernel, not ours


def _power(values: Mapping[str, str]) -> Tree:
    mains = values["power.mains"] == "on"
    there = values["power.battery"] == "present"
    percent = int(values["power.battery_percent"])
    word = values["power.battery_health"]
    health, capacity = BATTERY_WORDS[word] if word in BATTERY_WORDS else ("Good", int(word))
    millivolts = int(values["power.voltage_mv"])
    battery = {
        "type": "Battery",
        "present": "1",
        "status": _battery_status(mains, percent, values["power.charger"] == "ok"),
        "health": health,
        "technology": "Li-ion",
        "capacity": str(percent),
        "cycle_count": "212",
        "voltage_now": str(millivolts * 1000),
        "temp": str(round(float(values["power.temperature_c"]) * 10)),
        "charge_full_design": str(_DESIGN_UAH),
        "charge_full": str(_DESIGN_UAH * capacity // 100),
        "charge_now": str(_DESIGN_UAH * capacity // 100 * percent // 100),
    }
    hwmon = {
        "name": "sim_supply",
        "in0_input": str(millivolts),
        "in0_lcrit": str(UNDERVOLTAGE_MV),
        "in0_lcrit_alarm": str(int(millivolts < UNDERVOLTAGE_MV)),
    }
    return {
        "class/power_supply/AC/type": "Mains",
        "class/power_supply/AC/online": str(int(mains)),
        **({f"class/power_supply/BAT0/{name}": text for name, text in battery.items()} if there else {}),
        **{f"class/hwmon/hwmon0/{name}": text for name, text in hwmon.items()},
    }


def _battery_status(mains: bool, percent: int, charger: bool) -> str:
    if not mains:
        return "Discharging"
    if not charger:
        return "Not charging"
    return "Full" if percent == 100 else "Charging"


def _net(values: Mapping[str, str], now: Consequences, before: Tree) -> Tree:
    tree = {}
    for bearer, interface in INTERFACES.items():
        carrier = now.link and values["network.bearer"] == bearer
        folder = f"class/net/{interface}"
        changed = before.get(f"{folder}/carrier", "0") != str(int(carrier))
        tree[f"{folder}/carrier"] = str(int(carrier))
        tree[f"{folder}/carrier_changes"] = str(int(before.get(f"{folder}/carrier_changes", "0")) + changed)
        tree[f"{folder}/operstate"] = "up" if carrier else "down"
        tree[f"{folder}/address"] = _MAC[interface]
        tree[f"{folder}/type"] = "1"
    return tree


def _board(values: Mapping[str, str]) -> Tree:
    screen_on = values["system.screen"] == "on"
    tree = {
        "class/thermal/thermal_zone0/type": "cpu-thermal",
        "class/thermal/thermal_zone0/temp": str(round(float(values["system.temperature_c"]) * 1000)),
        "class/backlight/panel/bl_power": "0" if screen_on else "4",  # 0 unblank, 4 powered down
        "class/backlight/panel/brightness": "180",
        "class/backlight/panel/actual_brightness": "180" if screen_on else "0",
        "class/backlight/panel/max_brightness": "255",
    }
    if values["system.boot"] == "crash":
        tree["fs/pstore/dmesg-sim-1"] = "Panic#1 Part1\n<0>Kernel panic - not syncing: simulated"
    return tree


def _le_hex(address: str) -> str:
    """An IPv4 address as /proc/net/route spells it on little-endian machines."""
    return "".join(f"{int(part):02X}" for part in reversed(address.split(".")))


def _leaf(network: str, host: str) -> list[str]:
    return [f"  +-- {network} 2 0 2", f"     |-- {host}", "        /32 host LOCAL"]
