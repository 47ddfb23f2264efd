"""Who holds a port when its process is hidden: the service with the right to see answers, to whom and about what."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from drivers import owner
from tests.wait import wait_until

ROOT = Path(__file__).parents[2]
NOBODY = (None, True)  # and that is certain


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, port: str) -> Iterator[None]:
    """The service as systemd starts it, with its listener as handle 3; /proc shows us nothing of others."""
    monkeypatch.setattr(owner, "SERVICE", str(tmp_path / "owner.sock"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(owner.SERVICE)
        listener.listen()
        start = f"import os; os.dup2({listener.fileno()}, 3); from drivers.owner_service import main; main()"
        process = subprocess.Popen([sys.executable, "-c", start], cwd=ROOT, pass_fds=(listener.fileno(),))
    monkeypatch.setattr(owner, "scan", lambda _device, _asking: (None, False))
    wait_until(lambda: owner.look(port) == NOBODY)  # its start may take longer than the second of a question
    yield
    assert process.poll() is None, "it must outlive every question"
    process.kill()
    process.wait()


@pytest.fixture
def port() -> Iterator[str]:
    ours, theirs = os.openpty()
    yield os.ttyname(theirs)
    os.close(theirs)
    os.close(ours)


def test_the_holder_is_named_and_the_one_who_asks_does_not_count(service: None, port: str):
    with open(port, "rb") as handle, subprocess.Popen(["sleep", "60"], stdin=handle) as app:  # noqa: PTH123 - a terminal
        holder = f"sleep (pid {app.pid})"
        wait_until(lambda: owner.look(port) == (holder, True))
        wait_until(lambda: owner.who_has_open(port) == holder)
        app.kill()
    wait_until(lambda: owner.look(port) == NOBODY)


@pytest.mark.parametrize("path", ["/etc/passwd", "/dev/../etc/passwd", "", "/proc/self/mem", "a\0b"])
def test_nothing_is_told_of_other_files(service: None, path: str):
    assert owner.look(path) == (None, False)


def test_one_who_says_nothing_and_one_who_leaves_hold_nobody_up(service: None, port: str):
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as silent:
        silent.connect(owner.SERVICE)
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as leaving:
            leaving.connect(owner.SERVICE)
            leaving.send(port.encode())
        wait_until(lambda: owner.look(port) == NOBODY)


def test_without_the_service_nothing_is_certain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, port: str):
    monkeypatch.setattr(owner, "SERVICE", str(tmp_path / "nothing"))
    monkeypatch.setattr(owner, "scan", lambda _device, _asking: (None, False))
    assert owner.look(port) == (None, False)
    assert owner.who_has_open(port) is None
