"""A command runs only when the terminal could write down that it took it, and when it would know it again."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from agent.commands import Commands, Desk, Task
from agent.config import CommandsConfig
from agent.uplink import Incoming
from agent.wire import Topics
from tests.wait import wait_until

TOPICS = Topics("demo", "till-1")
NOW = 1_795_000_000


class Books:
    """Memory and audit whose disk refuses as it is told."""

    def __init__(self, *, takes: bool = True, writes: bool = True, floor: float = 0.0) -> None:
        self._takes, self._writes, self._floor = takes, writes, floor
        self.taken: list[str] = []
        self.ended: list[str] = []

    def knows(self, command_id: str) -> bool:
        return command_id in self.taken

    def take(self, command_id: str, _expires: int, _cmd: str) -> bool:
        if self._takes:
            self.taken.append(command_id)
        return self._takes

    def end(self, command_id: str, _expires: int) -> None:
        self.ended.append(command_id)

    def floor(self) -> float:
        return self._floor

    def rate(self) -> tuple[list[float], list[float]]:
        return [], []

    def keep_rate(self, _every: list[float], _disruptive: list[float]) -> None:
        assert self.taken, "it is counted after it was taken"

    def add(self, _decision: str, *, why: str = "", **_facts: str | int) -> bool:
        return self._writes


def given(books: Books) -> tuple[list[str], dict[str, int], int]:
    """The states told of one good command, the counts of refusals, and how often it ran."""
    told: list[dict[str, Any]] = []
    runs: list[float] = []
    desk = Desk(
        topics=TOPICS,
        protocol5=True,
        wall=lambda: float(NOW),
        put_result=lambda _id, body: told.append(body),
        memory=books,
        audit=books,
        config=CommandsConfig(),
        tasks={"identify": Task(run=lambda _args, _job: runs.append(time.monotonic()) or {})},
        take_settings=lambda _payload: None,
    )
    body = {"iss": "c", "aud": "demo/till-1", "jti": "command-1", "nbf": NOW - 5, "exp": NOW + 60, "cmd": "identify"}
    commands = Commands(desk)
    commands.start()
    try:
        payload, result = json.dumps(body).encode(), TOPICS.result("command-1")
        message = Incoming("command", payload, retain=False, response_topic=result, correlation=b"command-1")
        commands.incoming(message)
        wait_until(lambda: told and told[-1]["state"] in {"rejected", "succeeded"}, 20)
    finally:
        commands.stop()
        commands.join(20)
    return [body["state"] for body in told], commands.refused, len(runs)


def test_a_good_one_runs_once() -> None:
    books = Books()
    assert given(books) == (["accepted", "running", "succeeded"], {}, 1)
    assert books.taken == books.ended == ["command-1"]


@pytest.mark.parametrize(
    ("books", "reason"),
    [
        (Books(takes=False), "unkept"),
        (Books(writes=False), "unkept"),
        (Books(floor=NOW + 60), "forgotten"),  # a clock that was set back since it may have been taken
    ],
)
def test_what_could_run_twice_or_untold_does_not_run(books: Books, reason: str) -> None:
    assert given(books) == (["rejected"], {reason: 1}, 0)
