"""Words to drivers: what is built in, what other packages bring, and what is imported for it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import firmware_notes
from drivers import catalog
from drivers.catalog import UnknownFamily, WrongOption
from drivers.errors import LinkLost
from drivers.evdev_link import EvdevLink
from drivers.link import SerialLink
from drivers.reading import Value
from drivers.recorder import Recorder
from tests.drivers.far_end import FarEnd


@pytest.mark.parametrize("word", catalog.BUILT_IN)
def test_every_word_has_a_whole_family(word: str):
    family = catalog.family(word)
    assert family.word == word
    assert family.driver.family == word
    assert family.unit in {"printer", "reader", "keypad", "modem"}
    assert family.driver.READINGS
    assert family.baud > 0 or family.link == "input"
    assert family.baud not in family.other_bauds
    assert len(set(family.other_bauds)) == len(family.other_bauds)


@pytest.mark.parametrize("word", catalog.BUILT_IN)
def test_every_word_has_notes_golden_frames_and_models(word: str):
    assert word in firmware_notes.families()
    frames = firmware_notes.load_golden(word)
    assert {frame.direction for frame in frames} <= {"to_device", "from_device"}
    assert all(frame.data and frame.means and frame.source for frame in frames)
    assert len({frame.name for frame in frames}) == len(frames)
    assert (Path(firmware_notes.__file__).parent / word / "models.toml").is_file()


def test_models_are_found_by_the_text_that_a_device_tells():
    [model] = [model for model in firmware_notes.load_models() if model.fits("zt588s")]
    assert (model.family, model.latest) == ("zt588", "2.1")
    assert [bad.firmware for bad in model.known_bad] == ["2.0"]
    assert not model.fits("another")
    with pytest.raises(KeyError):
        firmware_notes.load_golden("none")


def test_words_and_families_are_the_same():
    assert [family.word for family in catalog.families()] == list(catalog.words())
    assert {"escpos", "at", "quectel", "simcom", "crt571", "neo", "gempc", "zt588", "smartpin", "evdev"} <= set(
        catalog.words()
    )


def test_a_word_loads_its_driver_and_no_other():
    program = (
        "import json, sys; from drivers import catalog; catalog.family('zt588');"
        "print(json.dumps([name for name in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stdout))
    assert "drivers.zt588" in loaded
    others = {"drivers.escpos", "drivers.modem", "drivers.crt571", "drivers.neo", "drivers.gempc", "drivers.evdev"}
    assert not loaded & (others | {"drivers.evdev_link", "importlib.metadata", "difflib"})


def test_an_unknown_word_names_the_nearest():
    with pytest.raises(UnknownFamily) as failure:
        catalog.family("zt855")
    assert failure.value.nearest == ("zt588",)
    assert "zt588" in str(failure.value)
    with pytest.raises(KeyError, match="escpos"):
        catalog.family("something else")


def test_another_package_brings_a_family_and_replaces_none(tmp_path: Path):
    package = tmp_path / "acme"
    package.mkdir()
    (package / "__init__.py").write_text(
        "from dataclasses import replace\nfrom drivers import zt588\n"
        "FAMILY = replace(zt588.FAMILY, word='acme')\nOTHER = replace(zt588.FAMILY, baud=300)\nWRONG = 7\n"
    )
    info = tmp_path / "acme-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1\n")
    (info / "entry_points.txt").write_text(
        "[posdiag.drivers]\nacme = acme:FAMILY\nzt588 = acme:OTHER\nwrong = acme:WRONG\ngone = acme.gone:FAMILY\n"
    )
    program = (
        "from drivers import catalog\n"
        "assert catalog.family('acme').word == 'acme'\n"
        "assert catalog.family('zt588').baud == 9600\n"
        "assert catalog.words()[-3:] == ('acme', 'gone', 'wrong'), catalog.words()\n"
        "for word in ('wrong', 'gone'):\n"
        "    try: catalog.family(word)\n"
        "    except catalog.BrokenFamily as error: print(error)\n"
        "assert [family.word for family in catalog.families()] == [*catalog.BUILT_IN, 'acme']\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": f"{tmp_path}:{Path(catalog.__file__).parents[1]}"},
    )
    assert "is not the Family 'wrong'" in done.stdout
    assert "family 'gone' of acme.gone:FAMILY cannot be loaded: ModuleNotFoundError" in done.stdout


def test_a_serial_family_gets_a_serial_line():
    with FarEnd() as far:
        driver = catalog.open_driver("zt588", far.port)
        assert isinstance(driver.channel.link, SerialLink)
        assert driver.unit == "keypad"
        driver.channel.link.close()


def test_a_recorder_goes_around_a_line_but_never_around_a_keypads():
    with FarEnd() as far:
        for word, recorded in (("escpos", True), ("zt588", False), ("smartpin", False)):
            driver = catalog.open_driver(word, far.port, wrap=Recorder)
            assert isinstance(driver.channel.link, Recorder) == recorded
            driver.channel.link.close()


def test_an_input_family_gets_an_input_device(tmp_path: Path):
    with pytest.raises(LinkLost):
        catalog.open_driver("evdev", str(tmp_path / "none"))
    with FarEnd() as far:
        driver = catalog.open_driver("evdev", far.port)
        assert isinstance(driver.channel.link, EvdevLink)
        driver.channel.link.close()


def test_an_option_that_a_family_does_not_have_is_named():
    with FarEnd() as far:
        with pytest.raises(WrongOption, match="perhaps removal_log"):
            catalog.open_driver("smartpin", far.port, {"removal_logs": "leave"})
        with pytest.raises(WrongOption, match='keys = \'dukp\': is none of "any", "dukpt", "session"; perhaps "dukpt"'):
            catalog.open_driver("smartpin", far.port, {"keys": "dukp"})
        # The port was given back: it can be opened again.
        catalog.open_driver("smartpin", far.port, {"keys": "dukpt"}).channel.link.close()


# One value or more that it cannot have, and the end of what is said, for each option of each family.
WRONG_VALUES = [
    ("escpos", "profile", "foo", '"zjiang", "custom"'),
    ("escpos", "profile", "epsonn", 'perhaps "epson"'),
    ("escpos", "asb", "no", "neither true nor false (without quotes)"),
    ("escpos", "columns", 100, "24 to 64; the nearest is 64"),
    ("escpos", "columns", "wide", "no whole number from 24 to 64"),
    ("escpos", "columns", True, "no whole number from 24 to 64"),
    ("crt571", "address", "x", "no whole number from 0 to 15"),
    ("crt571", "address", 16, "the nearest is 15"),
    ("crt571", "address", 1.0, "no whole number from 0 to 15"),
    ("neo", "crc_order", "big", 'none of "msb", "lsb"'),
    ("neo", "crc_order", 1, 'none of "msb", "lsb"'),
    ("evdev", "keys", "1, 2, entr", '"entr", which is no key; perhaps "enter"'),
    ("evdev", "keys", " , ", 'such as "1, 2, enter"'),
    ("evdev", "keys", 5, 'such as "1, 2, enter"'),
    ("smartpin", "keys", "foo", '"any", "dukpt", "session"'),
    ("smartpin", "removal_log", "collects", 'perhaps "collect"'),
    *((word, "cid", float("inf"), "no whole number from 1 to 24") for word in ("at", "quectel", "simcom")),
    *((word, "cid", 0, "the nearest is 1") for word in ("at", "quectel", "simcom")),
]


def test_every_option_of_every_family_has_a_wrong_value_here():
    said = {(word, option) for word, option, _, _ in WRONG_VALUES}
    assert said == {(family.word, option) for family in catalog.families() for option in family.options}


@pytest.mark.parametrize(("word", "option", "value", "says"), WRONG_VALUES)
def test_a_value_that_an_option_cannot_have_is_named_with_the_nearest(word: str, option: str, value: Value, says: str):
    [(name, why)] = catalog.wrong_options(catalog.family(word), {option: value})
    assert name == option
    assert why.startswith("is ")
    assert why.endswith(says)


@pytest.mark.parametrize(
    ("word", "options"),
    [
        ("escpos", {"profile": "snbc", "asb": False, "columns": 64}),
        ("crt571", {"address": 15}),
        ("neo", {"crc_order": "lsb"}),
        ("smartpin", {"keys": "session", "removal_log": "leave"}),
        ("evdev", {"keys": "1, 2,enter, key 59"}),
        ("quectel", {"cid": 24}),
    ],
)
def test_values_that_options_can_have_are_taken(word: str, options: dict[str, Value]):
    assert list(catalog.wrong_options(catalog.family(word), options)) == []
