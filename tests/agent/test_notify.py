from __future__ import annotations

import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.notify import Notifier
from tests.agent.test_network import Deaf
from tests.system.stage import Process
from tests.wait import wait_until


class Systemd:
    """Listens as systemd does."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self._socket.setblocking(False)
        self.heard: list[str] = []

    def hear(self) -> list[str]:
        while True:
            try:
                self.heard.append(self._socket.recv(4096).decode())
            except BlockingIOError:
                return self.heard

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Systemd]:
    address = str(tmp_path / "notify") if request.param == "path" else f"@{tmp_path.name}-{time.monotonic_ns()}"
    listening = Systemd(address)
    yield listening
    listening.close()


def test_what_is_said(systemd: Systemd) -> None:
    environ = {"NOTIFY_SOCKET": systemd.address, "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "42", "HOME": "/"}
    notifier = Notifier(environ, pid=42)
    assert environ == {"HOME": "/"}, "a child that inherits it could speak for us"
    assert notifier.watchdog_s == 15
    notifier.ready()
    notifier.status("fine")
    notifier.status("fine")
    notifier.status("not so fine")
    notifier.alive()
    notifier.stopping()
    assert systemd.hear() == ["READY=1", "STATUS=fine", "STATUS=not so fine", "WATCHDOG=1", "STOPPING=1"]


@pytest.mark.parametrize(
    "environ",
    [{"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "soon"}, {}],
)
def test_a_watchdog_that_is_not_ours_is_left_alone(systemd: Systemd, environ: dict[str, str]) -> None:
    notifier = Notifier({**environ, "NOTIFY_SOCKET": systemd.address}, pid=42)
    assert notifier.watchdog_s is None
    notifier.alive()
    assert systemd.hear() == []


@pytest.mark.parametrize("address", ["", "/nowhere/at/all", "relative", "vsock:2:1"])
def test_nobody_who_listens_is_no_error(address: str) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "1000000"}, pid=1)
    notifier.ready()
    notifier.alive()


def test_somebody_who_does_not_read_does_not_hold_us_up(systemd: Systemd) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": systemd.address, "WATCHDOG_USEC": "1000000"}, pid=1)
    began = time.monotonic()
    for _ in range(2000):
        notifier.alive()
    assert time.monotonic() - began < 2


def test_the_daemon_is_ready_alive_and_ends_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    systemd = Systemd(f"@posdiag-{time.monotonic_ns()}")
    monkeypatch.setenv("NOTIFY_SOCKET", systemd.address)
    monkeypatch.setenv("WATCHDOG_USEC", "1000000")
    config = tmp_path / "agent.toml"
    broker = Deaf()  # nothing answers: neither the broker nor the device
    config.write_text(f"""
[terminal]
id = "till-1"
estate = "demo"
[mqtt]
url = "mqtt://127.0.0.1:{broker.port}"
[[device]]
name = "printer"
family = "escpos"
port = "{tmp_path}/absent"
[paths]
run_dir = "{tmp_path}/run"
state_dir = "{tmp_path}/state"
""")
    try:
        with Process(tmp_path / "log", "run", "--config", str(config)) as daemon:
            wait_until(lambda: systemd.hear().count("WATCHDOG=1") >= 4, 20)
            status, took_s = daemon.terminate()
            assert (status, took_s < 2) == (0, True), f"{status} after {took_s:.1f} s\n{daemon.said()}"
    finally:
        systemd.close()
        broker.close()
    heard = systemd.heard
    assert heard.index("READY=1") < heard.index("WATCHDOG=1")
    assert any(line.startswith("STATUS=can sell: ") and "no broker" in line for line in heard)
    assert signal.SIGTERM.name.lower() not in daemon.said(), "a stop is no error"
