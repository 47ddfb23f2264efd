"""Firmware verdicts, and read failures by counters."""

from __future__ import annotations

import pytest

from agent.conditions import conditions
from agent.config import Config, DeviceConfig, MqttConfig, TerminalConfig
from agent.probes.firmware import FirmwareProbe, is_older, judge
from agent.probes.reads import ReadCounters
from agent.rules import Rules
from agent.wire import DeviceEntry
from firmware_notes import KnownBad, Model, load_models

MODELS = (
    Model("escpos", r"^TM-T88", "Maker", "12.10", (KnownBad("12.03", "loses the cutter", "a bulletin"),)),
    Model("escpos", r"clone", "Other", "", ()),
)


def entry(model="TM-T88V", firmware="12.10", family="escpos") -> DeviceEntry:
    return DeviceEntry(name="printer", unit="printer", family=family, model=model, firmware=firmware)


@pytest.mark.parametrize(
    ("device", "verdict"),
    [
        (entry(), "ok"),
        (entry(firmware="12.9"), "outdated"),
        (entry(firmware="12.03"), "known_bad"),
        (entry(firmware="13.0"), "ok"),  # newer than the list
        (entry(model="tm-t88vi"), "ok"),
        (entry(model="My CLONE", firmware="1"), "ok"),
        (entry(model="Nobody's"), "unknown_combination"),
        (entry(model=""), "?unsupported"),
        (entry(firmware=""), "?unsupported"),
        (entry(firmware="beta"), "?inconsistent"),
        (entry(family="zt588"), "?unsupported"),  # a family without a list vouches for nothing and blames nothing
    ],
)
def test_verdicts(device, verdict):
    reading, why = judge(device, MODELS)
    assert (reading.value if reading.value is not None else f"?{reading.unknown}") == verdict
    assert (why == "") == (verdict == "ok")


@pytest.mark.parametrize(
    ("one", "other", "older"),
    [
        ("1.2", "1.10", True),
        ("1.10", "1.2", False),
        ("V2.0", "v2.1", True),
        ("EC25EFAR06A06M4G", "EC25EFAR06A08M4G", True),
        ("1.2", "1.2.1", True),
        ("1.2.1", "1.2", False),
        ("1.2", "1.2b", None),
        ("A1", "B2", None),
        ("", "1", True),
        ("²", "1", None),  # a digit to the eye, and no number
    ],
)
def test_versions_are_compared_number_by_number(one, other, older):
    assert is_older(one, other) is older


def test_the_probe_feeds_the_rules():
    config = Config(
        terminal=TerminalConfig(id="t", estate="e"),
        mqtt=MqttConfig(url="mqtt://127.0.0.1"),
        device=(DeviceConfig(name="till-printer", family="escpos", port="/dev/x"),),
    )
    rules = Rules(conditions(config, {"till-printer": "printer"}))
    devices: dict[str, DeviceEntry] = {}
    probe = FirmwareProbe(lambda: devices, MODELS)
    assert rules.observe("firmware", probe.run(), 0, 1e9) == []  # nobody is identified yet
    devices["till-printer"] = entry(firmware="12.03")
    rules.observe("firmware", probe.run(), 1, 1e9)
    (fault,) = rules.raised().values()
    assert (fault.key, fault.device) == ("firmware/known_bad", "till-printer")
    assert fault.evidence["till-printer.why"] == "loses the cutter"
    devices["till-printer"] = entry()
    rules.observe("firmware", probe.run(), 2, 1e9)
    assert rules.raised() == {}


def test_every_listed_model_can_be_judged():
    for model in load_models():
        for bad in model.known_bad:
            assert bad.firmware
            assert bad.source
        if model.latest:
            assert is_older(model.latest, model.latest) is False


# --- reads ---


def percent(counters: ReadCounters, good: int, failed: int, attempts: int | None = None) -> object:
    reading = counters.report(good, failed, attempts)["read_failure_percent"]
    return reading.value if reading.value is not None else f"?{reading.unknown}"


def test_a_dirty_head_shows_over_many_cards():
    assert percent(ReadCounters(), 30, 20, 40) == 40.0


def test_one_bad_card_is_no_dirty_head():
    assert percent(ReadCounters(), 2, 30, 3) == "?not_asked"


def test_few_reads_say_nothing():
    assert percent(ReadCounters(), 5, 5) == "?not_asked"


def test_the_latest_stretch_counts():
    counters = ReadCounters()
    assert percent(counters, 30, 20) == 40.0
    assert percent(counters, 30, 20) == 40.0  # told again
    assert percent(counters, 100, 20) == 0.0  # cleaned
    assert percent(counters, 105, 35) == 75.0


def test_totals_that_shrink_begin_anew():
    counters = ReadCounters()
    percent(counters, 900, 10)
    assert percent(counters, 3, 0) == "?not_asked"
    assert percent(counters, 23, 20) == 50.0
