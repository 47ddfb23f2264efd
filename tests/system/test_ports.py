"""Ports that are missing, denied or somebody else's, and the sale that nothing may disturb."""

from __future__ import annotations

import fcntl
import os
import select
import threading
import time
import tty
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Self

import pytest

from tests.mqtt.broker import Rumqttd
from tests.system.stage import Agent, Sim, ask_socket, raised
from tests.wait import wait_until

UNITS = ("printer", "reader", "modem", "keypad")


@pytest.fixture
def sim(broker: Rumqttd, folder: Path) -> Iterator[Sim]:
    with Sim(folder, broker.port) as running:
        yield running


def test_a_port_that_is_not_there_yet(sim: Sim) -> None:
    sim.set(printer_cable="out")
    with Agent(sim.config) as agent:
        status = agent.until(lambda status: "printer/port_lost" in raised(status) and status["connected"])
        assert "does not exist" in "\n".join(status["problems"])
        assert status["readings"]["printer"]["paper"] == {"error": "port_lost"}
        sim.set(printer_cable="in")
        status = agent.until(lambda status: not status["faults"])
        assert status["readings"]["printer"]["paper"] == "ok"


def test_a_port_that_somebody_else_holds(sim: Sim) -> None:
    sim.set(printer_owner="payment_app")
    with Agent(sim.config) as agent:
        status = agent.until(lambda status: "printer/port_busy" in raised(status))
        assert "payment_app" in "\n".join(status["problems"])
        assert status["readings"]["printer"]["paper"] == {"error": "port_busy"}
        assert status["verdict"]["can_sell"] == "yes"
        assert sim.get("printer.violations") == 0
        sim.set(printer_owner="none")
        agent.until(lambda status: not status["faults"] and status["readings"]["printer"]["paper"] == "ok")


def test_a_port_that_we_may_not_open(sim: Sim) -> None:
    """Permissions bind even root once it has given up the right to overrule them."""
    right = "-dac_override,-dac_read_search"
    humble = ("setpriv", f"--bounding-set={right}", f"--inh-caps={right}") if os.geteuid() == 0 else ()
    port = Path(os.path.realpath(sim.folder / "printer"))
    port.chmod(0)
    with Agent(sim.config, before=humble) as agent:
        status = agent.until(lambda s: {"printer", "reader"} <= s["readings"].keys() and "printer/port_lost" in str(s))
        assert "no permission to open" in "\n".join(status["problems"])
        assert status["readings"]["printer"]["port"] == "denied"
        assert status["readings"]["reader"]["port"] == "ok"
        port.chmod(0o600)
        agent.until(lambda status: not status["faults"])


class Tap:
    """Stands between the daemon and a simulated device and notes when the daemon wrote."""

    def __init__(self, port: Path, path: Path) -> None:
        self.written: list[tuple[float, bytes]] = []
        self._device = os.open(port, os.O_RDWR | os.O_NOCTTY)
        tty.setraw(self._device)
        self._host, end = os.openpty()
        tty.setraw(end)
        path.symlink_to(os.ttyname(end))
        os.close(end)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()
        os.close(self._device)
        os.close(self._host)

    def since(self, moment: float) -> list[bytes]:
        return [data for at, data in list(self.written) if at > moment]

    def _run(self) -> None:
        while not self._ending.is_set():
            ready, _, _ = select.select([self._host, self._device], [], [], 0.05)
            if self._device in ready:
                os.write(self._host, os.read(self._device, 4096))
            if self._host in ready:
                try:
                    data = os.read(self._host, 4096)
                except OSError:  # nobody has it open
                    self._ending.wait(0.01)
                    continue
                self.written.append((time.monotonic(), data))
                os.write(self._device, data)


@contextmanager
def tapped(sim: Sim) -> Iterator[tuple[Agent, dict[str, Tap]]]:
    """An agent whose four lines are listened to."""
    with ExitStack() as stack:
        taps = {}
        text = sim.config.read_text()
        for unit in UNITS:
            path = sim.folder / f"tap-{unit}"
            taps[unit] = stack.enter_context(Tap(sim.folder / unit, path))
            text = text.replace(f'"{sim.folder / unit}"', f'"{path}"')
        agent = stack.enter_context(Agent(sim.write_config(change=lambda _: text)))
        agent.until_healthy()
        yield agent, taps


def pass_time(until: float) -> float:
    """Wait for a moment. The longest time between two turns of this process meanwhile, which a busy machine makes."""
    turns = [time.monotonic()]

    def over() -> bool:
        turns.append(time.monotonic())
        return turns[-1] > until

    wait_until(over, until - turns[0] + 30)
    return max(later - earlier for earlier, later in pairwise(turns))


def noticed(began: float, late_s: float) -> float:
    """When every worker has noticed a sale: the contract's 0.2 s, and what a busy machine adds on both sides."""
    return began + 0.2 + 2 * late_s


@contextmanager
def sale(agent: Agent) -> Iterator[float]:
    """What the payment application does for the time of a sale; the moment when it began."""
    handle = os.open(agent.run_dir / "busy.lock", os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield time.monotonic()
    finally:
        os.close(handle)


def test_no_byte_goes_to_a_device_during_a_sale(sim: Sim) -> None:
    with tapped(sim) as (agent, taps):
        for unit, tap in taps.items():
            assert len(tap.written) > 1, unit
        with sale(agent) as began:
            quiet_from = noticed(began, pass_time(began + 3.2))
            for unit, tap in taps.items():
                assert tap.since(quiet_from) == [], unit
            # What is asked for meanwhile is refused, and costs no byte either.
            answer = ask_socket(agent.run_dir / "control.sock", {"cmd": "identify", "args": {}})
            assert {unit: said["error"] for unit, said in answer["ok"].items()} == dict.fromkeys(UNITS, "sale")
            assert not any(tap.since(quiet_from) for tap in taps.values())
            assert agent.status()["faults"] == []
        ended = time.monotonic()
        for tap in taps.values():
            wait_until(lambda tap=tap: tap.since(ended))
        assert agent.status()["faults"] == []


def test_the_simulated_till_holds_the_same_lock(sim: Sim) -> None:
    with tapped(sim) as (agent, taps):
        sim.set(system_sale="yes")
        began = time.monotonic()
        quiet_from = noticed(began, pass_time(began + 1.7))
        assert not any(tap.since(quiet_from) for tap in taps.values())
        sim.set(system_sale="no")
        agent.until_healthy()


def test_an_exchange_in_progress_gives_way(sim: Sim) -> None:
    """Every line is mute, so that each device is being waited for when the sale begins."""
    with tapped(sim) as (agent, taps):
        sim.apply({f"{unit}.line": "mute" for unit in UNITS})
        answered: list[tuple[float, dict]] = []

        def ask() -> None:
            said = ask_socket(agent.run_dir / "control.sock", {"cmd": "identify", "args": {}})
            answered.append((time.monotonic(), said))

        asked = time.monotonic()
        asking = threading.Thread(target=ask)
        asking.start()
        wait_until(lambda: any(tap.since(asked) for tap in taps.values()))
        with sale(agent) as began:
            asking.join(30)
            moment, said = answered[0]
            assert said["ok"]["printer"]["error"] == "sale"
            quiet_from = noticed(began, pass_time(time.monotonic() + 2))
            for unit, tap in taps.items():
                assert tap.since(quiet_from) == [], unit
            assert moment < quiet_from + 1, "a wait for a dead line must end with the sale's beginning"
        sim.apply({f"{unit}.line": "clean" for unit in UNITS})
        agent.until(lambda status: not status["faults"], 30)
