"""Words to drivers: what is built in, what other packages bring, and what is imported for it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import firmware_notes
from drivers import catalog
from drivers.catalog import UnknownFamily, UnknownOption
from drivers.errors import LinkLost
from drivers.evdev_link import EvdevLink
from drivers.link import SerialLink
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
        "[posdiag.drivers]\nacme = acme:FAMILY\nzt588 = acme:OTHER\nwrong = acme:WRONG\n"
    )
    program = (
        "from drivers import catalog\n"
        "assert catalog.family('acme').word == 'acme'\n"
        "assert catalog.family('zt588').baud == 9600\n"
        "assert catalog.words()[-2:] == ('acme', 'wrong'), catalog.words()\n"
        "try: catalog.family('wrong')\n"
        "except TypeError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": f"{tmp_path}:{Path(catalog.__file__).parents[1]}"},
    )
    assert "is not the Family 'wrong'" in done.stdout


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
        with pytest.raises(UnknownOption, match="perhaps removal_log"):
            catalog.open_driver("smartpin", far.port, {"removal_logs": "leave"})
        with pytest.raises(ValueError, match="it is any, dukpt or session"):
            catalog.open_driver("smartpin", far.port, {"keys": "none"})
        # The port was given back: it can be opened again.
        catalog.open_driver("smartpin", far.port, {"keys": "dukpt"}).channel.link.close()
