"""NUT's own server and umockdev as the power source of the real daemon."""

from __future__ import annotations

import getpass
import os
import re
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest

from simulator.terminal import Terminal
from tests.mqtt.broker import Mosquitto, free_port
from tests.peers.daemon import Daemon, Subscriber, bare, configuration
from tests.peers.peer import environment, program, run
from tests.wait import wait_until

pytestmark = [pytest.mark.peers, pytest.mark.timeout(240)]

DRIVERS = Path("/lib/nut")
SAMPLES_S = 40  # telemetry is in no hurry: it waits for its batch and for the store
MAINS_BACK_S = 5  # so long the daemon waits until it believes that mains are back


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    broker = Mosquitto(tmp_path)
    broker.start()
    yield broker
    broker.kill()


@pytest.fixture
def subscriber(broker: Mosquitto, tmp_path: Path) -> Iterator[Subscriber]:
    with Subscriber(tmp_path, broker.port) as subscriber:
        yield subscriber


class Ups:
    """dummy-ups and upsd on loopback. The driver reads its file again whenever that changes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self._file = folder / "ups.dev"
        self._told = 1_000_000_000
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        state = self.folder / "state"
        state.mkdir(mode=0o700)
        self.tell("OL", 100)
        (self.folder / "ups.conf").write_text(
            f"[ups]\ndriver = dummy-ups\nport = {self._file}\nmode = dummy-once\npollinterval = 1\n"
        )
        (self.folder / "upsd.conf").write_text(f"LISTEN 127.0.0.1 {self.port}\n")
        (self.folder / "upsd.users").write_text("")
        user = getpass.getuser()
        self._start(DRIVERS / "dummy-ups", "-a", "ups", "-u", user, "-F")
        wait_until(lambda: list(state.glob("dummy-ups-*")))
        self._start(DRIVERS / "upsd", "-u", user, "-F")
        wait_until(self._listens)
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self._processes):
            process.kill()
            process.wait()

    def tell(self, status: str, charge: int, runtime_s: int = 1800) -> None:
        beside = self._file.with_suffix(".new")
        beside.write_text(f"ups.status: {status}\nbattery.charge: {charge}\nbattery.runtime: {runtime_s}\n")
        # The driver compares whole seconds, and tests change their mind faster.
        self._told += 1
        os.utime(beside, (self._told, self._told))
        beside.replace(self._file)

    def upsc(self) -> str:
        """ups.status as NUT's own client reads it."""
        return run("upsc", f"ups@127.0.0.1:{self.port}", "ups.status").stdout.strip()

    def _start(self, tool: Path, *words: str) -> None:
        assert tool.exists(), f"{tool} is not there; tests/peers/install.sh installs nut-server"
        env = environment(NUT_CONFPATH=str(self.folder), NUT_STATEPATH=str(self.folder / "state"))
        with (self.folder / f"{tool.name}.log").open("wb") as log:
            self._processes.append(
                subprocess.Popen([str(tool), *words], env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            )

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


def test_a_ups_runs_down_and_comes_back(
    pos_terminal: Terminal, broker: Mosquitto, subscriber: Subscriber, tmp_path: Path
) -> None:
    folder = tmp_path / "nut"
    folder.mkdir()
    with Ups(folder) as ups:
        settings = configuration(
            pos_terminal,
            mqtt={"url": f"mqtt://127.0.0.1:{broker.port}"},
            power={"nut": f"ups@127.0.0.1:{ups.port}", "poll_s": 0.5},
            telemetry={"batch_s": 0.5},
        )
        with Daemon(tmp_path, settings) as daemon:
            wait_until(lambda: subscriber.latest("nut.mains") == "on", SAMPLES_S)
            assert ups.upsc() == "OL"
            assert subscriber.latest("nut.ups_status") == "OL"
            assert subscriber.latest("nut.battery_percent") == 100
            wait_until(lambda: daemon.faults("power") == set())

            ups.tell("OB DISCHRG", 60, 900)
            raised = subscriber.wait_for("fault/power/mains_lost", state="raised")
            assert raised.body["evidence"]["ups_status"] == "OB DISCHRG"
            assert raised.body["cause"] is None
            assert ups.upsc() == "OB DISCHRG"
            wait_until(lambda: daemon.faults("power") == {"power/mains_lost"})

            ups.tell("OB LB DISCHRG", 5, 60)
            critical = subscriber.wait_for("fault/power/battery_critical", state="raised")
            low = subscriber.wait_for("fault/power/battery_low", state="raised")
            assert critical.body["severity"] == "critical"
            assert low.body["severity"] == "minor"
            explained = {"power/mains_lost", "power/battery_low", "power/battery_critical"}
            wait_until(lambda: daemon.faults("power") == explained)
            causes = {fault["fault"]: fault["cause"] for fault in daemon.status()["faults"]}
            assert causes["power/battery_low"] == causes["power/battery_critical"] == "power/mains_lost"

            ups.tell("OL CHRG", 90)
            subscriber.wait_for("fault/power/battery_critical", state="cleared")
            subscriber.wait_for("fault/power/battery_low", state="cleared")
            subscriber.wait_for("fault/power/mains_lost", MAINS_BACK_S + 30, state="cleared")
            wait_until(lambda: daemon.faults("power") == set())
            daemon.stop()


def test_an_unknown_ups_raises_nothing_about_mains(
    pos_terminal: Terminal, broker: Mosquitto, subscriber: Subscriber, tmp_path: Path
) -> None:
    folder = tmp_path / "nut"
    folder.mkdir()
    with Ups(folder) as ups:
        settings = configuration(
            pos_terminal,
            mqtt={"url": f"mqtt://127.0.0.1:{broker.port}"},
            power={"nut": f"other@127.0.0.1:{ups.port}", "poll_s": 0.5},
            telemetry={"batch_s": 0.5},
        )
        with Daemon(tmp_path, settings) as daemon:
            wait_until(lambda: subscriber.latest("nut.mains") == {"error": "refused"}, SAMPLES_S)
            assert subscriber.latest("nut.reply") == "ok"  # the server answers, and says that it knows no such UPS
            wait_until(lambda: daemon.faults("power") == set())
            daemon.stop()


AC = "devices/platform/charger/power_supply/AC"
BATTERY = "devices/platform/gauge/power_supply/BAT0"
MACHINE = f"""\
P: /{AC}
E: SUBSYSTEM=power_supply
E: POWER_SUPPLY_NAME=AC
A: type=Mains
A: online=1

P: /{BATTERY}
E: SUBSYSTEM=power_supply
E: POWER_SUPPLY_NAME=BAT0
A: type=Battery
A: present=1
A: status=Charging
A: capacity=80
A: voltage_now=7600000
A: energy_full_design=20000000
A: energy_full=19000000
"""


def mock_root(daemon: Daemon) -> Path:
    """Where umockdev keeps the tree that the processes below it see as /sys; found in the daemon's own environment."""

    def found() -> Path | None:
        assert daemon.process.poll() is None, daemon.log.read_text()
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                settings, words = (entry / "environ").read_bytes(), (entry / "cmdline").read_bytes()
            except OSError:  # it ended meanwhile, or is somebody else's
                continue
            ours = str(daemon.config).encode() in words
            match = re.search(rb"UMOCKDEV_DIR=([^\0]+)", settings)
            if ours and match:
                return Path(os.fsdecode(match[1]))
        return None

    return wait_until(found)


def put(attribute: Path, value: str) -> None:
    """Change an attribute in one step: a reader never finds it empty."""
    beside = attribute.with_name(f".{attribute.name}")
    beside.write_text(value + "\n")
    beside.replace(attribute)


def test_the_kernels_power_supplies(broker: Mosquitto, subscriber: Subscriber, tmp_path: Path) -> None:
    machine = tmp_path / "machine.umockdev"
    machine.write_text(MACHINE)
    settings = bare(tmp_path, broker.port, power={"poll_s": 0.5}, telemetry={"batch_s": 0.5})
    wrapper = [program("umockdev-run"), "-d", str(machine), "--"]
    with Daemon(tmp_path, settings, wrapper) as daemon:
        tree = mock_root(daemon) / "sys"

        wait_until(lambda: subscriber.latest("power.mains") == "on", SAMPLES_S)
        assert subscriber.latest("power.battery_percent") == 80
        assert subscriber.latest("power.battery_health_percent") == 95
        assert subscriber.latest("power.voltage_mv") == 7600
        wait_until(lambda: daemon.faults("power") == set())

        put(tree / BATTERY / "status", "Discharging")
        put(tree / AC / "online", "0")
        lost = subscriber.wait_for("fault/power/mains_lost", state="raised")
        assert lost.body["evidence"] == {"mains": "off", "battery_percent": 80, "battery_status": "Discharging"}
        wait_until(lambda: daemon.faults("power") == {"power/mains_lost"})

        put(tree / BATTERY / "capacity", "12")
        low = subscriber.wait_for("fault/power/battery_low", state="raised")
        assert low.body["cause"] == "power/mains_lost"
        put(tree / BATTERY / "capacity", "4")
        subscriber.wait_for("fault/power/battery_critical", state="raised")
        wait_until(lambda: len(daemon.faults("power")) == 3)

        put(tree / BATTERY / "status", "Charging")
        put(tree / AC / "online", "1")
        put(tree / BATTERY / "capacity", "41")
        subscriber.wait_for("fault/power/battery_low", state="cleared")
        subscriber.wait_for("fault/power/battery_critical", state="cleared")
        subscriber.wait_for("fault/power/mains_lost", MAINS_BACK_S + 30, state="cleared")
        wait_until(lambda: daemon.faults("power") == set())

        put(tree / BATTERY / "energy_full", "9000000")
        worn = subscriber.wait_for("fault/power/battery_worn", state="raised")
        assert worn.body["severity"] == "warning"
        put(tree / BATTERY / "present", "0")
        wait_until(lambda: subscriber.latest("power.battery") == "absent", SAMPLES_S)
        assert subscriber.latest("power.battery_percent") == {"error": "unsupported"}
        daemon.stop()
