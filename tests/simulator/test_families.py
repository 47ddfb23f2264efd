"""Every family in its terminal: the keys of the surface are there, and all their values can be set."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from simulator.device import Illegal
from simulator.devices import DEVICES
from simulator.terminal import Terminal
from tests.simulator.hosts import Host

UNIT_KEYS = {
    "printer": ("paper", "cover", "cutter", "head", "mechanism", "firmware", "model"),
    "reader": ("card", "shutter", "sensor", "self_test", "reads"),
    "keypad": ("held", "battery", "keys"),
    "modem": ("sim", "iccid", "signal_dbm", "registration", "data", "cell", "temperature_c"),
}
PLACE_KEYS = ("cable", "power", "line", "owner", "violations")
OTHER_KEYS = {
    "power": ("mains", "battery_percent", "battery_health", "voltage_mv", "temperature_c"),
    "network": (
        *("bearer", "link", "address", "gateway", "dns", "acquirer", "tls", "portal"),
        *("latency_ms", "loss_percent"),
    ),
    "system": ("payment_app", "clock_offset_s"),
}


def test_the_default_terminal_has_every_key_of_the_surface(pos_terminal: Terminal) -> None:
    wanted = {f"{unit}.{name}" for table in (UNIT_KEYS, OTHER_KEYS) for unit, names in table.items() for name in names}
    wanted |= {f"{unit}.{name}" for unit in UNIT_KEYS for name in PLACE_KEYS}
    assert wanted <= pos_terminal.get().keys()
    with pytest.raises(Illegal, match=r"keypad\.tamper is not a key"):
        pos_terminal.set({"keypad.tamper": "yes"})  # a PIN pad's; the default keypad has none
    with Host(pos_terminal.path("printer"), pos_terminal.baud("printer")) as host:
        assert len(host.ask(b"\x10\x04\x01", 1)) == 1


@pytest.mark.parametrize("word", DEVICES)
def test_a_family_takes_every_value_of_its_keys(pos_terminal_factory: Callable[..., Terminal], word: str) -> None:
    unit = DEVICES[word].unit
    terminal = pos_terminal_factory(families={unit: word})
    assert terminal.get()[f"{unit}.family"] == word
    for name, key in terminal._stations[unit].keys().items():
        for value in (*key.values, key.default):
            terminal.set({name: value})
            assert str(terminal.get()[name]) == value
    for name in ("cable", "power"):  # and it survives both, twice
        for value in ("off", "on") * 2 if name == "power" else ("out", "in") * 2:
            terminal.set({f"{unit}.{name}": value})
    assert terminal.violations() == {}
