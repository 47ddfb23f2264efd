"""How a command's life is told: every field in each result, one event at its end, and an end by its deadline."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from agent.commands import Commands, Desk, Job, Task
from agent.config import CommandsConfig
from agent.uplink import Incoming
from agent.wire import Topics
from tests.agent.test_command_memory import NOW, TOPICS, Books
from tests.wait import wait_until

FIELDS = {"id", "state", "code", "output", "error", "ms"}
ENDS = {"succeeded", "failed", "rejected", "expired"}


def life(run: Callable[[Mapping[str, Any], Job], Any], deadline_s: float = 60.0, **more: Any) -> list[dict[str, Any]]:
    """The results of one command until its end."""
    told: list[dict[str, Any]] = []
    books = Books()
    desk = Desk(
        topics=Topics(TOPICS.estate, TOPICS.terminal),
        protocol5=False,
        wall=lambda: float(NOW),
        put_result=lambda _cmd, body: told.append(body),
        memory=books,
        audit=books,
        config=CommandsConfig(),
        tasks={"identify": Task(run=run, deadline_s=deadline_s)},
        take_settings=lambda _payload: None,
    )
    body = {"iss": "c", "aud": "demo/till-1", "jti": "command-1", "nbf": NOW - 5, "exp": NOW + 60, "cmd": "identify"}
    commands = Commands(desk)
    commands.start()
    try:
        commands.incoming(Incoming("command", json.dumps({**body, **more}).encode(), retain=False))
        wait_until(lambda: told and told[-1]["state"] in ENDS, 20)
        assert wait_until(lambda: commands._places._value == 4)
    finally:
        commands.stop()
        commands.join(5)
    return told


def test_what_overruns_its_deadline_has_failed_and_makes_room() -> None:
    late, over = threading.Event(), threading.Event()

    def hangs(_args: Mapping[str, Any], job: Job) -> str:
        late.wait(20)
        job.tell({"sent": 1})
        over.set()
        return "too late"

    told = life(hangs, deadline_s=0.2)
    assert [each["state"] for each in told] == ["accepted", "running", "failed"]
    assert told[-1]["error"] == "it overran the 0.2 s that it may take"
    assert (told[-1]["code"], told[-1]["ms"] >= 200) == (1, True)
    late.set()
    assert over.wait(5)
    assert len(told) == 3, "what came later is told to nobody"


@pytest.mark.parametrize(
    ("run", "more", "end"),
    [
        (lambda _args, _job: {"model": "A"}, {}, ("succeeded", 0, {"model": "A"}, "")),
        (
            lambda _args, _job: "x" * 5000,
            {},
            ("succeeded", 0, {"too_large": 5002}, "the output of 5002 bytes is more than a result carries"),
        ),
        (lambda _args, _job: {}["none"], {}, ("failed", 1, None, "'none'")),
        (lambda _args, _job: None, {"tier": 1}, ("rejected", 2, None, "identify is of tier 0, the command says 1")),
    ],
    ids=["good", "long", "failed", "rejected"],
)
def test_each_result_has_every_field(run: Callable[..., Any], more: dict[str, Any], end: tuple[Any, ...]) -> None:
    told = life(run, **more)
    assert all(each.keys() == FIELDS for each in told)
    assert all(isinstance(each["ms"], int) and each["ms"] >= 0 for each in told)
    last = told[-1]
    assert (last["state"], last["code"], last["output"], last["error"]) == end
