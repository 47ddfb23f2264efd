"""Asking the daemon: an answer, a refusal, and nobody there are three things, each said in one line."""

from __future__ import annotations

import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from agent.control import ControlError, ControlServer, NoDaemon, ask
from agent.discovery import _print
from drivers.discover import Skipped


def answers(request: dict[str, Any]) -> Any:
    if request["cmd"] == "no":
        raise ValueError("not now")
    return {"you": request["cmd"]}


def test_an_answer_and_a_refusal(tmp_path: Path) -> None:
    server = ControlServer(tmp_path / "control.sock", answers)
    server.start()
    try:
        assert ask(tmp_path, {"cmd": "hello"}, 20) == {"you": "hello"}
        with pytest.raises(ControlError, match=r"^not now$") as refused:
            ask(tmp_path, {"cmd": "no"}, 20)
        assert not isinstance(refused.value, NoDaemon)
    finally:
        server.close()
        server.join(20)


def test_one_that_takes_long_delays_nobody_else(tmp_path: Path) -> None:
    release, begun = threading.Event(), threading.Semaphore(0)

    def handle(request: dict[str, Any]) -> Any:
        if request["cmd"] == "slow":
            begun.release()
            release.wait(20)
        return request["cmd"]

    server = ControlServer(tmp_path / "control.sock", handle)
    server.start()
    said: list[Any] = []
    slow = [threading.Thread(target=lambda: said.append(ask(tmp_path, {"cmd": "slow"}, 20))) for _ in range(3)]
    try:
        for thread in slow:
            thread.start()
            assert begun.acquire(timeout=20)
        assert [ask(tmp_path, {"cmd": "quick"}, 20) for _ in range(9)] == ["quick"] * 9
        assert said == []
    finally:
        release.set()
        for thread in slow:
            thread.join(20)
        server.close()
        server.join(20)
    assert said == ["slow"] * 3


def test_without_another_thread_it_answers_in_its_own(tmp_path: Path, no_threads: list[str]) -> None:
    no_threads.append("control-link")
    server = ControlServer(tmp_path / "control.sock", answers)
    server.start()
    try:
        assert [ask(tmp_path, {"cmd": "hello"}, 20) for _ in range(9)] == [{"you": "hello"}] * 9
    finally:
        server.close()
        server.join(20)


def test_a_daemon_that_ends_meanwhile(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "control.sock"))
        server.listen()

        def end() -> None:
            link, _ = server.accept()
            with link:
                link.recv(4096)

        ends = threading.Thread(target=end)
        ends.start()
        with pytest.raises(NoDaemon, match=r"^the daemon ended before it answered$"):
            ask(tmp_path, {"cmd": "check"}, 20)
        ends.join(20)


def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(NoDaemon, match=f"^no daemon runs with {tmp_path}$"):
        ask(tmp_path, {"cmd": "hello"}, 20)
    with socket.socket(socket.AF_UNIX) as left_over:
        left_over.bind(str(tmp_path / "control.sock"))
        with pytest.raises(NoDaemon, match=r"^no daemon runs with"):
            ask(tmp_path, {"cmd": "hello"}, 20)


def test_a_port_is_named_once(capsys: pytest.CaptureFixture[str]) -> None:
    why = ("/dev/ttyS9 does not exist", "no permission to open /dev/ttyS9", "a sale began")
    _print([], [Skipped("/dev/ttyS9", each) for each in why])
    assert capsys.readouterr().out.splitlines() == [
        "/dev/ttyS9: does not exist",
        "/dev/ttyS9: no permission to open /dev/ttyS9",
        "/dev/ttyS9: a sale began",
    ]
