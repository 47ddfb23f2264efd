"""The simulator's keys and values, spelled a second time from the contract; and which family has which of a unit's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from simulator.device import Illegal
from simulator.devices import DEVICES
from simulator.line import FAULTS
from simulator.terminal import DEFAULT_FAMILIES, Terminal

# Lists of words are complete lists of legal values; other rows are examples of legal and illegal ones.
WORDS = {
    "printer.paper": "ok near_end out",
    "printer.cover": "closed open",
    "printer.cutter": "ok error",
    "printer.head": "ok hot",
    "printer.mechanism": "ok error dead",
    "reader.card": "absent present left jammed",
    "reader.shutter": "ok error",
    "reader.sensor": "ok error",
    "reader.self_test": "ok failed",
    "keypad.battery": "ok low",
    "keypad.keys": "loaded missing",
    "modem.sim": "ready absent pin puk failure",
    "modem.registration": "home roaming searching denied",
    "modem.data": "up down",
    "power.mains": "on off",
    "network.bearer": "modem ethernet",
    "network.link": "up down",
    "network.address": "up down",
    "network.gateway": "up down",
    "network.dns": "up down",
    "network.acquirer": "up down",
    "network.tls": "ok expired wrong_host",
    "network.portal": "no yes",
    "system.payment_app": "up down",
    **{f"{unit}.cable": "in out" for unit in DEFAULT_FAMILIES},
    **{f"{unit}.power": "on off" for unit in DEFAULT_FAMILIES},
    **{f"{unit}.line": "clean noisy slow garbled echo late mute" for unit in DEFAULT_FAMILIES},
    **{f"{unit}.owner": "none payment_app" for unit in DEFAULT_FAMILIES},
}
OTHERS = {
    "printer.firmware": ("1.0", None),
    "printer.model": ("epson", "no such model"),
    "reader.reads": ("90/10", "many"),
    "keypad.held": ("5", "no such key"),
    "modem.iccid": ("89860000000000000003", "12"),
    "modem.signal_dbm": ("-140", "-141"),
    "modem.cell": ("1A2B3C", "far"),
    "modem.temperature_c": ("85", "hot"),
    "power.battery_percent": ("100", "101"),
    "power.battery_health": ("worn", "tired"),
    "power.voltage_mv": ("7200", "much"),
    "power.temperature_c": ("61", "nan"),
    "network.latency_ms": ("800", "-1"),
    "network.loss_percent": ("100", "101"),
    "system.clock_offset_s": ("-86400", "later"),
}
READ_ONLY = {f"{unit}.violations" for unit in DEFAULT_FAMILIES}
OF_OTHER_FAMILIES = {"smartpin": {"keypad.tamper": "no yes"}}


@pytest.fixture(scope="module")
def terminals(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Terminal]]:
    with ExitStack() as stack:
        folder = tmp_path_factory.mktemp("keys")
        made = {"": stack.enter_context(Terminal(folder / "default"))}
        for family in OF_OTHER_FAMILIES:
            unit = DEVICES[family].unit
            made[family] = stack.enter_context(Terminal(folder / family, families={unit: family}))
        yield made


def test_the_default_devices_and_the_line_faults_are_those_of_the_contract():
    assert DEFAULT_FAMILIES["reader"] == "crt571"
    assert DEFAULT_FAMILIES["keypad"] == "zt588"
    assert set(DEFAULT_FAMILIES) == {"printer", "reader", "modem", "keypad"}
    assert set(FAULTS) == set(WORDS["printer.line"].split())


@pytest.mark.parametrize("key", WORDS)
def test_a_key_takes_each_of_its_words_and_no_other(terminals: dict[str, Terminal], key: str):
    _takes_each(terminals[""], key, WORDS[key].split())


@pytest.mark.parametrize(
    ("family", "key"), [(family, key) for family, keys in OF_OTHER_FAMILIES.items() for key in keys]
)
def test_a_key_that_only_another_family_has(terminals: dict[str, Terminal], family: str, key: str):
    _takes_each(terminals[family], key, OF_OTHER_FAMILIES[family][key].split())
    with pytest.raises(Illegal, match=f"{key} is not a key"):
        terminals[""].set({key: OF_OTHER_FAMILIES[family][key].split()[0]})


def _takes_each(terminal: Terminal, key: str, words: list[str]) -> None:
    before = terminal.get()[key]
    assert before == words[0]
    for word in (*words, words[0]):
        terminal.set({key: word})
        assert terminal.get()[key] == word
    with pytest.raises(Illegal) as refused:
        terminal.set({key: "no-such-word"})
    assert set(words) <= set(str(refused.value).replace(",", " ").split())


@pytest.mark.parametrize("key", OTHERS)
def test_a_key_with_a_free_value(terminals: dict[str, Terminal], key: str):
    legal, illegal = OTHERS[key]
    terminal = terminals[""]
    before = terminal.get()[key]
    terminal.set({key: legal})
    assert str(terminal.get()[key]) == legal
    if illegal is not None:
        with pytest.raises(Illegal, match=key):
            terminal.set({key: illegal})
        assert str(terminal.get()[key]) == legal
    terminal.set({key: before})


def test_every_key_is_shown_and_what_is_read_only_is_refused(terminals: dict[str, Terminal]):
    shown = terminals[""].get()
    assert WORDS.keys() | OTHERS.keys() | READ_ONLY <= shown.keys()
    for key in READ_ONLY:
        assert shown[key] == 0
        with pytest.raises(Illegal):
            terminals[""].set({key: 1})


def test_an_unknown_key_names_the_legal_ones(terminals: dict[str, Terminal]):
    with pytest.raises(Illegal, match=r"printer\.papr is not a key .*printer\.paper"):
        terminals[""].set({"printer.papr": "ok"})


def test_every_unit_of_the_contract_has_a_device_of_every_family():
    assert {kind.unit for kind in DEVICES.values()} == set(DEFAULT_FAMILIES)
    for unit, family in DEFAULT_FAMILIES.items():
        assert DEVICES[family].unit == unit
