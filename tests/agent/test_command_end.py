"""How a command's life is told: every field in each result, one event at its end, and an end by its deadline."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
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


def desk_of(task: Task, put: Callable[[dict[str, Any]], None]) -> Desk:
    """Takes the command `identify` and nothing else."""
    books = Books()
    return Desk(
        topics=Topics(TOPICS.estate, TOPICS.terminal),
        protocol5=False,
        wall=lambda: float(NOW),
        put_result=lambda _cmd, body: put(body),
        memory=books,
        audit=books,
        config=CommandsConfig(),
        tasks={"identify": task},
        take_settings=lambda _payload: None,
    )


def incoming(**more: Any) -> Incoming:
    body = {"iss": "c", "aud": "demo/till-1", "jti": "command-1", "nbf": NOW - 5, "exp": NOW + 60, "cmd": "identify"}
    return Incoming("command", json.dumps({**body, **more}).encode(), retain=False)


def life(run: Callable[[Mapping[str, Any], Job], Any], deadline_s: float = 60.0, **more: Any) -> list[dict[str, Any]]:
    """The results of one command until its end."""
    told: list[dict[str, Any]] = []
    commands = Commands(desk_of(Task(run=run, deadline_s=deadline_s), told.append))
    commands.start()
    try:
        commands.incoming(incoming(**more))
        wait_until(lambda: told and told[-1]["state"] in ENDS, 20)
        assert wait_until(lambda: commands._places._value == 4)
    finally:
        commands.stop()
        commands.join(20)
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
    assert over.wait(20)
    assert len(told) == 3, "what came later is told to nobody"


def test_progress_that_waits_for_a_slow_disk_does_not_come_after_the_end() -> None:
    told: list[str] = []
    writing, written = threading.Event(), threading.Event()

    def put(body: dict[str, Any]) -> None:
        if body["output"]:
            writing.set()
            written.wait(20)
        told.append(body["state"])

    def run(_args: Mapping[str, Any], job: Job) -> None:
        job.tell({"sent": 1})

    commands = Commands(desk_of(Task(run=run, deadline_s=1.5), put))
    commands.start()
    try:
        commands.incoming(incoming())
        assert writing.wait(20)
        deadline = time.monotonic() + 1.8
        wait_until(lambda: time.monotonic() > deadline)
        written.set()
        wait_until(lambda: told and told[-1] == "failed")
        assert told == ["accepted", "running", "running", "failed"]
    finally:
        commands.stop()
        commands.join(20)


@pytest.mark.parametrize(("name", "before"), [("command-", ["accepted"]), ("task-", ["accepted", "running"])])
def test_without_a_thread_it_has_failed(no_threads: list[str], name: str, before: list[str]) -> None:
    no_threads.append(name)
    told = life(lambda _args, _job: None)
    assert [each["state"] for each in told] == [*before, "failed"]
    assert told[-1]["error"] == "can't start new thread"


def test_commands_that_run_survive_the_thread_that_took_them() -> None:
    """It hung and was replaced: what runs goes on, and what waited in line is taken by the other."""
    told: list[dict[str, Any]] = []
    stoppings: list[bool] = []
    hung, release, finish = threading.Event(), threading.Event(), threading.Event()

    def run(_args: Mapping[str, Any], job: Job) -> str:
        finish.wait(20)
        stoppings.append(job.stopping.is_set())
        return "done"

    def hang(_payload: bytes) -> None:
        hung.set()
        release.wait(20)

    desk = replace(desk_of(Task(run=run), told.append), take_settings=hang)
    first = Commands(desk)
    first.start()
    first.incoming(incoming())
    wait_until(lambda: [each["state"] for each in told] == ["accepted", "running"], 20)
    first.incoming(Incoming("config", b"", retain=True))
    assert hung.wait(20)
    first.incoming(incoming(jti="command-2"))
    second = first.successor()
    second.start()
    try:
        wait_until(lambda: "command-2" in {each["id"] for each in told}, 20)
        finish.set()
        wait_until(lambda: [each["state"] for each in told].count("succeeded") == 2)
        assert stoppings == [False, False]
        release.set()
        first.join(20)
        assert not first.is_alive()
    finally:
        release.set()
        second.stop()
        second.join(20)
    assert first._stopping.is_set(), "the end of the daemon stops what either has begun"


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
