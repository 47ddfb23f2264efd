"""Exit codes of the command line: 0 healthy or done, 1 faults found or failed, 2 could not run, with one clear line."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulator.terminal import Terminal

VERBS = ("run", "check", "status", "discover", "config", "sim", "center", "demo")


def posdiag(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "agent.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    with Terminal(tmp_path_factory.mktemp("cli") / "pos", seed=1) as made:
        yield made


@pytest.fixture
def config(terminal: Terminal) -> Path:
    return terminal.folder / "agent.toml"


def test_every_verb_of_the_contract_is_there():
    done = posdiag("--help")
    assert done.returncode == 0
    for verb in VERBS:
        assert f"    {verb} " in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("no-such-verb",),
        ("run",),
        ("run", "--config", "{none}"),
        ("run", "--config", "{bad}"),
        ("check", "--config", "{none}"),
        ("check", "--config", "{bad}"),
        ("check", "--config", "{good}", "--device", "no-such-device"),
        ("check", "--config", "{good}", "--level", "deep"),
        ("status", "--config", "{none}"),
        ("status", "--config", "{good}"),
        ("config", "check", "{none}"),
        ("config", "check", "{bad}"),
        ("config", "show", "{bad}"),
        ("sim", "get", "{none}"),
        ("sim", "set", "{none}", "printer.paper=out"),
        ("sim", "set", "{dir}", "printer.papr=out"),
        ("sim", "set", "{dir}", "printer.paper=gone"),
        ("sim", "play", "{dir}", "{none}"),
        ("sim", "run", "--dir", "{other}", "--family", "printer=abacus"),
        ("sim", "run", "--dir", "{dir}"),
        ("center",),
    ],
    ids=" ".join,
)
def test_what_cannot_run_is_2_with_a_clear_word(
    terminal: Terminal, config: Path, tmp_path: Path, arguments: tuple[str, ...]
):
    bad = tmp_path / "bad.toml"
    bad.write_text(config.read_text().replace("estate", "estat"), encoding="utf-8")
    places = {
        "none": tmp_path / "none",
        "bad": bad,
        "good": config,
        "dir": terminal.folder,
        "other": tmp_path / "other",
    }
    done = posdiag(*(each.format(**places) for each in arguments))
    assert done.returncode == 2, done.stdout + done.stderr
    said = done.stderr.strip() or done.stdout.strip()
    assert said
    assert "Traceback" not in done.stderr
    if "{bad}" in arguments:
        assert "bad.toml" in said
        assert "estat" in said
        assert "estate" in said, "the nearest legal key"
        assert said.count("\n") == 0


def test_healthy_is_0_and_a_fault_is_1(terminal: Terminal, config: Path):
    done = posdiag("check", "--config", config, "--device", "printer", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    json.loads(done.stdout)
    terminal.set({"printer.paper": "out"})
    try:
        done = posdiag("check", "--config", config, "--device", "printer", "--json")
        assert done.returncode == 1
        assert "printer/paper_out" in done.stdout
        json.loads(done.stdout)
        people = posdiag("check", "--config", config, "--device", "printer")
        assert people.returncode == 1
        assert people.stdout
        assert not people.stdout.startswith("{")
    finally:
        terminal.set({"printer.paper": "ok"})


def test_what_is_done_is_0(terminal: Terminal, config: Path, tmp_path: Path):
    assert posdiag("config", "check", config).returncode == 0
    shown = posdiag("config", "show", config)
    assert shown.returncode == 0
    assert json.loads(shown.stdout)["terminal"]["id"] == terminal.terminal_id
    schema = posdiag("config", "schema")
    assert schema.returncode == 0
    assert "properties" in json.loads(schema.stdout)
    assert posdiag("sim", "set", terminal.folder, "printer.paper=near_end").returncode == 0
    got = posdiag("sim", "get", terminal.folder, "--json")
    assert got.returncode == 0
    flat = json.loads(got.stdout)
    assert flat["printer.paper"] == "near_end"
    assert all(isinstance(value, str | int | float) for value in flat.values())
    assert posdiag("sim", "set", terminal.folder, "printer.paper=ok").returncode == 0


def test_a_scenario_says_by_its_exit_code_what_held(terminal: Terminal, tmp_path: Path):
    for value, code in (("out", 0), ("ok", 1)):
        scenario = tmp_path / f"{value}.toml"
        scenario.write_text(
            '[[step]]\nset = { "printer.paper" = "out" }\n'
            f'expect = {{ "printer.paper" = "{value}", within_s = 0.3 }}\n',
            encoding="utf-8",
        )
        done = posdiag("sim", "play", terminal.folder, scenario)
        assert done.returncode == code, done.stdout + done.stderr
    terminal.set({"printer.paper": "ok"})
