from __future__ import annotations

import os
import threading
import tty
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from agent.app import App
from agent.commands import Commands, Desk, Refusal, validate
from agent.config import CommandsConfig, DeviceConfig
from agent.config_file import load_trusted
from agent.delivery import Delivery
from agent.probes.port import PortWorker
from agent.probes.runner import ProbeRunner
from agent.supervise import Post, Supervisor
from agent.uplink import Incoming
from agent.wire import Topics
from drivers.reading import Identity, Reading, Value, known
from tests.wait import wait_until

DIES = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")


@dataclass
class Thread:
    """What a post watches, moved by hand."""

    lives: bool = True
    turned_at: float = 0.0
    renewed: list[float] = field(default_factory=list)
    heals: bool = True
    now: float = 0.0

    def is_alive(self) -> bool:
        return self.lives

    def renew(self) -> None:
        self.renewed.append(self.now)
        if self.heals:
            self.lives, self.turned_at = True, self.now

    def post(self, *, renewable: bool = True) -> Post:
        return Post("it", lambda: self, lambda: self.turned_at, lambda: 30.0, self.renew if renewable else None)


def watch(supervisor: Supervisor, thread: Thread, until: float) -> None:
    while thread.now < until:
        thread.now += 1
        if thread.lives and thread.heals:
            thread.turned_at = thread.now
        supervisor.look(thread.now)


def test_nothing_happens_to_what_goes_round() -> None:
    thread = Thread()
    supervisor = Supervisor(lambda: False, [thread.post()])
    watch(supervisor, thread, 1000)
    assert (thread.renewed, supervisor.failing(1000), supervisor.answers(1000)) == ([], [], True)


def test_a_thread_that_ended_is_started_at_once_and_said_for_a_minute() -> None:
    thread = Thread()
    supervisor = Supervisor(lambda: False, [thread.post()])
    thread.lives = False
    watch(supervisor, thread, 2)
    assert thread.renewed == [1]
    assert supervisor.answers(2)
    watch(supervisor, thread, 60)
    assert supervisor.failing(60) == ["it: its thread has ended"]
    watch(supervisor, thread, 62)
    assert supervisor.failing(62) == []


def test_what_dies_again_and_again_is_started_ever_more_seldom() -> None:
    thread = Thread(lives=False, heals=False)
    supervisor = Supervisor(lambda: False, [thread.post()])
    watch(supervisor, thread, 2000)
    gaps = [b - a for a, b in zip(thread.renewed, thread.renewed[1:], strict=False)]
    assert gaps[:4] == pytest.approx([6, 11, 21, 41], abs=1)
    assert gaps[-1] == pytest.approx(301, abs=1)
    assert supervisor.failing(2000), "it stays a fault while it lasts"
    assert supervisor.answers(2000), "a port that nobody can serve is no reason to end everything else"


def test_an_old_failure_is_forgotten() -> None:
    thread = Thread(lives=False)
    post = thread.post()
    supervisor = Supervisor(lambda: False, [post])
    watch(supervisor, thread, 700)
    assert post.failures == 0


def test_what_hangs_is_given_up_and_three_of_them_end_the_process() -> None:
    thread = Thread(heals=False)
    supervisor = Supervisor(lambda: False, [thread.post()])
    watch(supervisor, thread, 30)
    assert thread.renewed == []
    watch(supervisor, thread, 31)
    assert thread.renewed == [31]
    assert "hung for 31 s" in supervisor.failing(31)[0]
    assert supervisor.hung == 1
    watch(supervisor, thread, 200)
    assert supervisor.hung >= 3
    assert not supervisor.answers(200)


def test_whoever_waits_for_a_sale_does_not_hang() -> None:
    thread = Thread(heals=False)
    supervisor = Supervisor(lambda: True, [thread.post()])
    watch(supervisor, thread, 100)
    assert thread.renewed == []
    thread.lives = False
    watch(supervisor, thread, 101)
    assert thread.renewed == [101], "one that ended does not wait"


def test_what_cannot_be_renewed_lets_the_watchdog_bite() -> None:
    thread = Thread(heals=False)
    supervisor = Supervisor(lambda: False, [thread.post(renewable=False)])
    watch(supervisor, thread, 40)
    assert not supervisor.answers(40)
    assert supervisor.failing(40)
    thread.turned_at = 41
    assert supervisor.answers(41)


def test_a_child_that_overran_is_said_for_a_minute() -> None:
    supervisor = Supervisor(lambda: False)
    supervisor.overran("commands", 0, 10)
    assert supervisor.failing(10) == []
    supervisor.overran("commands", 1, 20)
    supervisor.overran("commands", 1, 30)
    assert supervisor.failing(79) == ["commands: a child overran its time and was ended"]
    assert supervisor.failing(81) == []


def _break() -> float:
    raise OverflowError("too large")


def test_a_part_of_the_main_thread_that_fails_is_said_for_a_minute_and_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    supervisor = Supervisor(lambda: False)
    assert supervisor.tried("sum", lambda: 3.0, 1, 1.0) == 3.0
    assert supervisor.failing(1) == []
    assert [supervisor.tried("sum", _break, now, 1.0) for now in (2, 3, 4)] == [1.0] * 3
    assert supervisor.failing(63) == ["sum: OverflowError: too large"]
    assert supervisor.failing(64) == []
    assert [record.getMessage() for record in caplog.records] == ["sum failed"]


# --- the real threads


@dataclass
class Heard:
    """A sink whose first call can be made to hang or to kill its thread."""

    hang: threading.Event | None = None
    die: bool = False
    readings: list[Mapping[str, Reading]] = field(default_factory=list)

    def observe(self, _source: str, readings: Mapping[str, Reading]) -> None:
        hang, self.hang = self.hang, None
        if hang is not None:
            hang.wait(30)
            return
        if self.die:
            self.die = False
            raise SystemExit  # ends a thread without a word
        self.readings.append(readings)

    def identified(self, device: str, identity: Identity) -> None:
        pass

    def counted(self, device: str, statistics: Mapping[str, Value]) -> None:
        pass


@pytest.fixture
def line(tmp_path: Path) -> Iterator[str]:
    """A port at whose far end nobody answers."""
    far, near = os.openpty()
    tty.setraw(near)
    yield os.ttyname(near)
    os.close(far)
    os.close(near)


def device(port: str) -> DeviceConfig:
    return DeviceConfig(name="printer", family="escpos", port=port, poll_s=0.2)


@pytest.mark.timeout(180)
def test_a_worker_that_hangs_loses_its_port_to_another(line: str) -> None:
    release = threading.Event()
    sink = Heard(hang=release)
    first = PortWorker(device(line), sink)
    first.start()
    wait_until(lambda: sink.hang is None)
    second = first.successor()
    second.start()
    try:
        wait_until(lambda: len(sink.readings) > 2)
        assert all(reading["port"] == known("ok") for reading in sink.readings), "the port was free for it"
        before = len(sink.readings)
        release.set()
        first.join(20)
        assert not first.is_alive()
        wait_until(lambda: len(sink.readings) > before + 2)
        assert all(reading["port"] == known("ok") for reading in sink.readings), "the old one closed its own line only"
    finally:
        release.set()
        second.stop()
        second.join(20)


@DIES
def test_a_worker_that_died_has_a_successor_that_knows_what_it_knew(line: str) -> None:
    sink = Heard(die=True)
    first = PortWorker(device(line), sink)
    first.recalled["tamper"] = known("yes")
    first.start()
    first.join(20)
    second = first.successor()
    second.start()
    try:
        wait_until(lambda: sink.readings)
        assert second.recalled["tamper"] == known("yes")
    finally:
        second.stop()
        second.join(20)


def test_a_worker_says_when_it_last_went_round_and_is_given_time(line: str) -> None:
    worker = PortWorker(device(line), Heard())
    began = worker.turned_at
    worker.start()
    try:
        wait_until(lambda: worker.turned_at > began + 0.5)
    finally:
        worker.stop()
        worker.join(20)
    assert worker.patience_s >= 30
    assert PortWorker(DeviceConfig(name="x", family="escpos", port=line, poll_s=60), Heard()).patience_s >= 600


class Once:
    """A probe whose first run does what it is told to."""

    name, interval_s = "subject", 0.05

    def __init__(self, first: object) -> None:
        self.first = first

    def run(self) -> Mapping[str, Reading]:
        first, self.first = self.first, None
        if isinstance(first, threading.Event):
            first.wait(30)
            return {"it": known("late")}
        if first is not None:
            raise SystemExit
        return {"it": known("ok")}


@DIES
@pytest.mark.parametrize("how", ["hangs", "dies"])
def test_a_runner_has_a_successor_and_is_heard_no_more(how: str) -> None:
    heard: list[Mapping[str, Reading]] = []
    release = threading.Event()
    probe = Once(release if how == "hangs" else "dies")
    first = ProbeRunner("host", [probe], lambda _name, readings: heard.append(readings))
    first.start()
    wait_until(lambda: probe.first is None)
    second = first.successor()
    second.start()
    try:
        wait_until(lambda: heard)
        release.set()
        first.join(20)
        assert second.name == first.name
        assert all(readings == {"it": known("ok")} for readings in heard)
    finally:
        release.set()
        second.stop()
        second.join(20)


def test_a_child_that_takes_too_long_is_ended_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.commands._VALIDATE_S", 0.001)
    with pytest.raises(Refusal) as refusal:
        validate(b"{}", "")
    assert refusal.value.reason == "overran"


class Nothing:
    """Remembers no command and writes no decision down."""

    def knows(self, _id: str) -> bool:
        return False

    def take(self, _id: str, _expires: int) -> bool:
        return False

    def end(self, _id: str, _expires: int) -> None:
        pass

    def floor(self) -> float:
        return 0.0

    def rate(self) -> tuple[list[float], list[float]]:
        return [], []

    def keep_rate(self, _every: list[float], _disruptive: list[float]) -> None:
        pass

    def add(self, _decision: str, *, why: str = "", **_facts: str | int) -> bool:
        return False


def test_the_successor_of_the_command_thread_keeps_the_counts() -> None:
    desk = Desk(
        topics=Topics("demo", "till-1"),
        protocol5=True,
        wall=lambda: 0.0,
        put_result=lambda _id, _body: None,
        memory=Nothing(),
        audit=Nothing(),
        config=CommandsConfig(),
        tasks={},
        take_settings=lambda _payload: None,
    )
    first = Commands(desk)
    first.refused["flood"] = 3
    first.start()
    second = first.successor()
    first.join(20)
    second.start()
    second.stop()
    second.join(20)
    assert second.refused == {"flood": 3}
    assert second.busy_since == float("inf")


# --- in the daemon


@pytest.fixture
def app(tmp_path: Path, line: str) -> Iterator[App]:
    file = tmp_path / "agent.toml"
    file.write_text(f"""
[terminal]
id = "till-1"
estate = "demo"
[mqtt]
url = "mqtt://127.0.0.1:9"
[[device]]
name = "printer"
family = "escpos"
port = "{line}"
[paths]
run_dir = "{tmp_path}/run"
state_dir = "{tmp_path}/state"
""")
    delivery = Delivery(load_trusted(file))
    delivery.start()
    daemon = App(delivery, file)
    daemon.start()
    yield daemon
    daemon.stop("test_over")
    for thread in (*daemon.workers, *daemon.runners, daemon.commands):
        thread.join(20)


def die() -> None:
    raise SystemExit


@DIES
@pytest.mark.parametrize("which", ["port-printer", "probe-host", "commands", "uplink"])
def test_the_daemon_notices_a_dead_thread_says_so_and_has_another(
    app: App, which: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def holder() -> object:
        threads = {thread.name: thread for thread in (*app.workers, *app.runners, app.commands)}
        return threads.get(which, app.uplink._thread)

    before = holder()
    monkeypatch.setattr(app.workers[0], "_turn", die) if which == "port-printer" else None
    monkeypatch.setattr(app.runners[0], "_run_one", lambda _entry: die()) if which == "probe-host" else None
    if which == "probe-host":
        app.runners[0].again("power")
    if which == "commands":
        monkeypatch.setattr(app.commands, "_accept", lambda _message: die())
        app.commands.incoming(Incoming("command", b"", retain=False))
    if which == "uplink":
        monkeypatch.setattr(app.uplink, "_connection", die)
        app.uplink.hurry()
    wait_until(lambda: not before.is_alive(), 20)  # type: ignore[attr-defined]
    monkeypatch.undo()
    app._look()
    fault = app.core.faults()["agent/probe_failed"]
    assert f"{which}: its thread has ended" in str(fault.evidence["probes_why"])
    assert holder() is not before
    wait_until(lambda: holder().is_alive())  # type: ignore[attr-defined]
    if which == "port-printer":
        assert app.deeds._workers["printer"] is app.watchman._workers["printer"] is app.workers[0]


def test_a_look_that_fails_is_a_fault_and_the_daemon_goes_on(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []
    monkeypatch.setattr(app.outbox, "tick", _break)
    monkeypatch.setattr(app.core, "tick", _break)
    monkeypatch.setattr(app.office, "look", lambda *, connected: looked.append(f"office {connected}"))
    main = threading.Thread(target=app.run)
    main.start()
    try:
        fault = wait_until(lambda: app.core.faults().get("agent/probe_failed"))
        assert "outbox: OverflowError: too large" in str(fault.evidence["probes_why"])
        assert looked, "what comes after it is done all the same"
        assert main.is_alive()
    finally:
        app.ask_to_stop()
        main.join(20)
    assert not main.is_alive()


def test_the_daemon_gives_a_hung_port_to_another_worker(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()
    first = app.workers[0]
    hung = threading.Event()

    def hang() -> None:
        hung.set()
        release.wait(30)

    monkeypatch.setattr(first, "_turn", hang)
    assert hung.wait(10)
    monkeypatch.setattr(first, "turned_at", first.turned_at - first.patience_s)
    app._look()
    try:
        assert app.workers[0] is not first
        assert "port-printer: it has hung" in str(app.core.faults()["agent/probe_failed"].evidence["probes_why"])
        assert app.supervisor.answers(app.clock.monotonic())
    finally:
        release.set()
        first.join(20)
    assert not first.is_alive()
