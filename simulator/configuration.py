"""The configuration that an agent of this terminal can be started with, spelled by hand from its documentation."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from simulator.certificates import HOST
from simulator.network import PORTAL_HOST
from simulator.world import UNDERVOLTAGE_MV

if TYPE_CHECKING:
    from simulator.terminal import Terminal

_KEYS: Final = {"evdev": "1, 2, 3, 4, 5, 6, 7, 8, 9, 0, enter, esc, backspace, key 52, key 59, key 60, key 61"}
"""What a key test asks for, in the agent's words, where the device itself cannot tell which keys it has."""


def write(terminal: Terminal) -> None:
    """Write DIR/agent.toml."""
    (terminal.folder / "agent.toml").write_text(text(terminal), encoding="utf-8")


def text(terminal: Terminal) -> str:
    """The whole file."""
    where = terminal.describe()
    run = where["run"]
    acquirer_port, portal_port = (where[name].rpartition(":")[2] for name in ("acquirer", "portal_check"))
    tables: list[tuple[str, dict[str, object]]] = [
        ("[terminal]", {"id": terminal.terminal_id, "estate": where["estate"]}),
        ("[mqtt]", {"url": terminal.mqtt, "without_tls": True, "commands": True}),
    ]
    for unit, family in terminal.families.items():
        device = {
            "name": unit,
            "family": family,
            "port": where[unit],
            "baud": terminal.baud(unit),
            "powered_by": terminal.feed(unit),
        }
        if family in _KEYS:
            device["options.keys"] = _KEYS[family]
        tables.append(("[[device]]", device))
    tables += [
        (
            "[network]",
            {
                "bearer": "modem" if "modem" in terminal.families else "ethernet",
                "gateway": where["gateway"],
                "dns": [where["dns"]],
                "acquirer": f"{HOST}:{acquirer_port}",
                "acquirer_ca": where["acquirer_ca"],
                "portal_check": f"http://{PORTAL_HOST}:{portal_port}/generate_204",
                "ntp": where["ntp"],
                "poll_s": 2.0,
            },
        ),
        ("[power]", {"min_voltage_mv": UNDERVOLTAGE_MV}),
        ("[system]", {"payment_app": f"pidfile:{run}/payment_app.pid", "poll_s": 5.0}),
        ("[paths]", {"run_dir": run, "state_dir": where["state"], "sys": where["sys"], "proc": where["proc"]}),
    ]
    named = {head.strip("[]"): values for head, values in tables if not head.startswith("[[")}
    for name, values in terminal.config.items():
        if name not in named:
            named[name] = {}
            tables.append((f"[{name}]", named[name]))
        named[name].update(values)
    return "\n".join(_table(head, values) for head, values in tables)


def _table(head: str, values: dict[str, object]) -> str:
    # JSON's texts, numbers, truth values and arrays of texts are TOML's too.
    rows = (f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in values.items())
    return "\n".join((head, *rows, ""))
