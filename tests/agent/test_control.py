"""Asking the daemon: an answer, a refusal, and nobody there are three things, each said in one line."""

from __future__ import annotations

import socket
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
        assert ask(tmp_path, {"cmd": "hello"}, 5) == {"you": "hello"}
        with pytest.raises(ControlError, match=r"^not now$") as refused:
            ask(tmp_path, {"cmd": "no"}, 5)
        assert not isinstance(refused.value, NoDaemon)
    finally:
        server.close()
        server.join(5)


def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(NoDaemon, match=f"^no daemon runs with {tmp_path}$"):
        ask(tmp_path, {"cmd": "hello"}, 5)
    with socket.socket(socket.AF_UNIX) as left_over:
        left_over.bind(str(tmp_path / "control.sock"))
        with pytest.raises(NoDaemon, match=r"^no daemon runs with"):
            ask(tmp_path, {"cmd": "hello"}, 5)


def test_a_port_is_named_once(capsys: pytest.CaptureFixture[str]) -> None:
    why = ("/dev/ttyS9 does not exist", "no permission to open /dev/ttyS9", "a sale began")
    _print([], [Skipped("/dev/ttyS9", each) for each in why])
    assert capsys.readouterr().out.splitlines() == [
        "/dev/ttyS9: does not exist",
        "/dev/ttyS9: no permission to open /dev/ttyS9",
        "/dev/ttyS9: a sale began",
    ]
