"""The verbs of `posdiag sim` as processes, the way a user runs them."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from simulator.payment import short_path
from simulator.terminal import Terminal
from tests.simulator.fakes import REGISTRY
from tests.wait import wait_until

_MAIN = (
    "import argparse, sys\n"
    "from simulator.cli import add_commands\n"
    "parser = argparse.ArgumentParser(prog='posdiag')\n"
    "add_commands(parser.add_subparsers())\n"
    "args = parser.parse_args()\n"
    "sys.exit(args.run(args))\n"
)


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-c", _MAIN, "sim", *map(str, arguments)]


def sim(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), capture_output=True, text=True, timeout=30, check=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with Terminal(tmp_path_factory.mktemp("a" * 90) / "pos", registry=REGISTRY) as terminal:
        yield terminal.folder


class Run:
    """A `sim run` process; its first line of JSON is `ready`."""

    def __init__(self, folder: Path, *more: object) -> None:
        self.process = subprocess.Popen(
            command("run", "--dir", folder, "--json", *more), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        self.ready = json.loads(line) if line else {}

    def close(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=50)

    def end(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, str, str]:
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=50)
        return self.process.returncode, out, err


@pytest.fixture
def start() -> Iterator[Callable[..., Run]]:
    """Starts `sim run` processes and ends those that still run."""
    with contextlib.ExitStack() as stack:

        def make(*arguments: object) -> Run:
            run = Run(*arguments)
            stack.callback(run.close)
            return run

        yield make


def test_set_and_get(folder: Path) -> None:
    assert sim("set", folder, "printer.paper=near_end", "modem.signal_dbm=-101").returncode == 0
    got = sim("get", folder, "printer.paper")
    assert (got.returncode, got.stdout) == (0, "near_end\n")
    everything = json.loads(sim("get", folder, "--json").stdout)
    assert everything["printer.paper"] == "near_end"
    assert everything["modem.signal_dbm"] == -101
    assert json.loads(sim("get", folder, "printer.paper", "--json").stdout) == {"printer.paper": "near_end"}
    assert "printer.paper" in sim("get", folder).stdout
    assert sim("set", folder, "printer.paper=ok", "modem.signal_dbm=-85").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("set", "printer.paper=gone"), "one of ok, near_end, out"),
        (("set", "printer.colour=red"), "printer.paper"),
        (("set", "toaster.on=1"), "power.mains"),
        (("set", "printer.violations=0"), "not a key"),
        (("set", "power.battery_percent=101"), "from 0 to 100"),
        (("set", "printer.paper"), "printer.paper needs a value, as key=value; it is one of ok, near_end, out"),
        (("set", "power.voltage_mv"), "it is a whole number from 0 to 60000"),
        (("set", "paper=out"), "paper is not a key of this terminal; did you mean printer.paper"),
        (("set", "paper"), "did you mean printer.paper"),
        (("set", "power.battry=absent"), "did you mean power.battery or "),
        (("get", "paper"), "did you mean printer.paper"),
        (("get", "printer.colour"), "not a key"),
    ],
)
def test_what_is_illegal_is_exit_2_with_the_legal_ones(folder: Path, arguments: tuple[str, str], says: str) -> None:
    done = sim(arguments[0], folder, arguments[1])
    assert done.returncode == 2
    assert says in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_folder_may_come_as_an_option(folder: Path) -> None:
    assert sim("set", "--dir", folder, "printer.paper=near_end").returncode == 0
    assert sim("get", "--dir", folder, "printer.paper").stdout == "near_end\n"
    assert sim("get", "--json", "--dir", folder).stdout.startswith("{")
    assert sim("set", "printer.paper=ok", "--dir", folder).returncode == 0
    assert sim("get", folder, "printer.paper").stdout == "ok\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("set", "printer.paper=out"), "say where the terminal runs"),
        (("set", "{dir}"), "say what to change: key=value"),
        (("get",), "say where the terminal runs"),
        (("get", "{dir}", "printer.paper", "printer.cover"), "'printer.cover' is one word too many"),
        (("get", "{dir}-2"), "; there are {dir}"),
        (("get", "{dir}/.."), "; there are {dir}"),
    ],
)
def test_words_that_lack_or_are_too_many(folder: Path, arguments: tuple[str, ...], says: str) -> None:
    done = sim(*(each.format(dir=folder) for each in arguments))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert says.format(dir=folder) in done.stderr


def test_one_wrong_pair_stops_all(folder: Path) -> None:
    assert sim("set", folder, "power.mains=off", "printer.paper=gone").returncode == 2
    assert sim("get", folder, "power.mains").stdout == "on\n"


def test_a_key_that_is_near_stands_without_a_wall_of_others(folder: Path) -> None:
    assert "power.mains" not in sim("set", folder, "paper=out").stderr
    assert "power.mains" not in sim("get", folder, "paper").stderr


def test_in_a_wrong_folder_the_demos_terminals_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    demo, elsewhere = tmp_path / "posdiag-demo-x1", tmp_path / "wrong" / "folder"
    elsewhere.mkdir(parents=True)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.chdir(elsewhere)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as killed, Terminal(demo / "terminal-2", registry=REGISTRY):
        (demo / "terminal-1").mkdir()
        with short_path(demo / "terminal-1" / "control.sock") as address:
            killed.bind(address)  # and nobody listens
        done = sim("set", "terminal-2", "printer.paper=out")
    assert (done.returncode, done.stderr) == (
        2,
        f"posdiag sim: no simulator runs in terminal-2; there are {demo}/terminal-2\n",
    )


def test_a_slip_before_anything_was_printed(tmp_path: Path) -> None:
    with Terminal(tmp_path, registry=REGISTRY):
        none = sim("slip", tmp_path)
        assert none.returncode == 2
        assert none.stderr == (
            f"posdiag sim: nothing has been printed yet; this prints: posdiag slip --config {tmp_path}/agent.toml\n"
        )
        for columns in ("-4", "0", "256"):
            narrow = sim("slip", tmp_path, "--columns", columns)
            assert (narrow.returncode, narrow.stderr) == (
                2,
                f"posdiag sim: --columns is a number from 1 to 255, not {columns}\n",
            )


def test_nobody_there_is_exit_2(tmp_path: Path) -> None:
    for arguments in (("get", tmp_path), ("set", tmp_path, "a=b"), ("get", tmp_path / "absent")):
        done = sim(*arguments)
        assert done.returncode == 2
        assert "no simulator runs in" in done.stderr


def test_a_scenario_says_what_held(folder: Path, tmp_path: Path) -> None:
    good = tmp_path / "good.toml"
    good.write_text(
        '[[step]]\nset = { "modem.sim" = "absent" }\nexpect = { "network.link_now" = "down" }\n'
        '[[step]]\nat_s = 0.2\nset = { "modem.sim" = "ready" }\nexpect = { "network.link_now" = "up" }\n'
    )
    played = sim("play", folder, good)
    assert played.returncode == 0
    assert "2 of 2 expectations held" in played.stdout
    bad = tmp_path / "bad.toml"
    bad.write_text('[[step]]\nexpect = { "printer.paper" = "out", within_s = 0.1 }\n')
    played = sim("play", folder, bad, "--json")
    assert played.returncode == 1
    step, total = map(json.loads, played.stdout.splitlines())
    assert step["missed"] == ["printer.paper is ok, not out"]
    assert total == {"steps": 1, "expected": 1, "held": 0}
    wrong = tmp_path / "wrong.toml"
    wrong.write_text('[[step]]\nset = { "printer.paper" = "gone" }\n')
    assert sim("play", folder, wrong).returncode == 2
    assert sim("play", folder, tmp_path / "absent.toml").returncode == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_run_until_a_signal_and_leave_nothing(
    start: Callable[..., Run], tmp_path: Path, number: signal.Signals
) -> None:
    folder = tmp_path / "pos"
    run = start(folder, "--seed", 7)
    assert run.ready["terminal"] == "sim-7"
    assert Path(run.ready["config"]).is_file()
    assert {"printer", "reader", "modem", "keypad", "sys", "gateway", "dns", "acquirer"} <= run.ready.keys()
    assert sim("set", folder, "printer.owner=payment_app").returncode == 0
    pid = int((folder / "run/payment_app.pid").read_text())
    assert sim("run", "--dir", folder).returncode == 2
    code, _, errors = run.end(number)
    assert (code, errors) == (0, "")
    assert not Path(f"/proc/{pid}").exists()
    left = [path for path in folder.rglob("*") if path.is_symlink() or path.is_socket()]
    assert {path.parent.name for path in left} <= {"proc"}


def test_a_killed_simulator_takes_its_processes_along(start: Callable[..., Run], tmp_path: Path) -> None:
    folder = tmp_path / "pos"
    run = start(folder)
    pid = int((folder / "run/payment_app.pid").read_text())
    run.end(signal.SIGKILL)
    wait_until(lambda: not Path(f"/proc/{pid}").exists())
    again = start(folder)
    assert Path(again.ready["printer"]).exists()
    assert again.end()[0] == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--family", "reader=abacus"), "crt571"),
        (("--family", "toaster=crt571"), "printer, reader, modem, keypad"),
        (("--family", "reader"), "DEVICE=FAMILY"),
        (("--scenario", "absent.toml"), "absent.toml"),
        (("--mqtt", "nonsense"), "--mqtt is mqtt://HOST:PORT or mqtts://HOST:PORT, not nonsense"),
        (("--mqtt", "mqtt://h:abc"), "abc"),
    ],
)
def test_a_terminal_that_cannot_be_is_exit_2(tmp_path: Path, arguments: tuple[str, str], says: str) -> None:
    done = sim("run", "--dir", tmp_path / "pos", *arguments)
    assert done.returncode == 2
    assert says in done.stderr


def test_a_scenario_plays_in_a_running_terminal(start: Callable[..., Run], tmp_path: Path) -> None:
    scenario = tmp_path / "s.toml"
    scenario.write_text('[[step]]\nset = { "printer.paper" = "out" }\nexpect = { "printer.paper" = "out" }\n')
    run = start(tmp_path / "pos", "--scenario", scenario)
    assert run.process.stdout is not None
    assert json.loads(run.process.stdout.readline())["held"] is True
    assert run.end()[0] == 0
