"""The audit as a user runs it: a process that listens to a real broker and ends with an exit status."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

import pytest

from tests.mqtt.agent import TOPICS, Agent
from tests.mqtt.broker import Broker, Observer
from tests.mqtt.conftest import broker, observer  # noqa: F401 - fixtures
from tests.wait import wait_until

NAME = f"{TOPICS.estate}/{TOPICS.terminal}"


class Audit:
    """`posdiag center audit` until `end`."""

    def __init__(self, port: int, *more: str) -> None:
        words = ["center", "audit", "--mqtt", f"mqtt://127.0.0.1:{port}", *more]
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "agent.cli", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def listens(self) -> None:
        assert self.process.stderr is not None
        assert self.process.stderr.readline().startswith("listening to mqtt://")

    def end(self) -> tuple[int, str, str]:
        """SIGTERM; exit status, stdout, and what stderr says after that it listens."""
        self.process.send_signal(signal.SIGTERM)
        out, err = self.process.communicate(timeout=40)
        return self.process.returncode, out, err


def account(out: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(out)["terminals"][NAME]
    return told


def heard(store: Path, cls: str) -> list[list[int]]:
    """Runs of numbers that the audit has saved."""
    saved = json.loads(store.read_text()) if store.exists() else {"accounts": {}}
    streams = saved["accounts"].get(NAME, {}).get("streams", [])
    return next((stream["heard"] for stream in streams if stream["key"][1] == cls), [])


def test_it_proves_and_goes_on_where_it_was_killed(tmp_path: Path, broker: Broker) -> None:  # noqa: F811 - fixture
    store = tmp_path / "audit.json"
    options = ("--json", "--from-start", "--store", str(store))
    with Agent(tmp_path, broker.port) as agent:
        wait_until(lambda: agent.uplink.connected)
        with Audit(broker.port, *options) as audit:
            audit.listens()
            wait_until(lambda: agent.event(0) and heard(store, "event"))
            agent.outbox.put("telemetry", {"samples": [[0, {"a.b": "x" * 500}]]})
            wait_until(lambda: heard(store, "telemetry"))
            audit.process.kill()
        for n in range(5):
            agent.event(n)
        wait_until(lambda: agent.waiting() == 0)
        with Audit(broker.port, *options) as audit:
            audit.listens()
            last = agent.event(9)
            wait_until(lambda: heard(store, "event")[-1][1] == last)
            status, out, err = audit.end()
    assert err == ""
    first = heard(store, "event")[0][0]
    # What was sent before the first subscription is missing, for it says that it listens from the start; no more is.
    assert [s["missing"] for s in account(out)["streams"]] == [[[1, first - 1]] if first > 1 else [], []]
    assert status == (1 if first > 1 else 0)
    assert json.loads(out)["unheard"] == 0, "the broker kept the session"


def test_what_is_missing_is_named_and_the_exit_status_says_so(
    tmp_path: Path,
    broker: Broker,  # noqa: F811 - fixture
    observer: Observer,  # noqa: F811 - fixture
) -> None:
    store = tmp_path / "audit.json"
    with Audit(broker.port, "--store", str(store)) as audit:
        audit.listens()
        for seq, content in ((1, "x"), (2, "x"), (3, "x"), (3, "y"), (7, "x")):
            say(observer, seq, content)
        wait_until(lambda: heard(store, "event") == [[1, 3], [7, 7]])
        status, out, err = audit.end()
    assert (status, err) == (1, "")
    assert "4-6" in out
    assert "boot 1 event 3 came with two different contents" in out
    assert "NOT COMPLETE" in out


def say(speaker: Observer, seq: int, event: str) -> None:
    head = {"v": 1, "boot": 1, "at": "2026-11-21T10:00:00Z", "up_ms": 1, "clock": "synced"}
    speaker.publish(TOPICS.of("event"), json.dumps({**head, "seq": seq, "event": event, "data": {}}).encode())


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--mqtt", "http://x"), "is not mqtt://host:port"),
        (("--mqtt", "mqtt://127.0.0.1:1"), "no broker at"),
        (("--store", "/proc/nowhere/x"), "No such file"),
    ],
)
def test_what_cannot_run_is_one_line(tmp_path: Path, broker: Broker, words: tuple[str, ...], says: str) -> None:  # noqa: F811
    with Audit(broker.port, "--seconds", "1", *words) as audit:
        _, err = audit.process.communicate(timeout=40)
        assert audit.process.returncode == 2
        assert says in err.splitlines()[-1]
        assert "Traceback" not in err


def test_silence_proves_nothing(broker: Broker) -> None:  # noqa: F811 - fixture
    with Audit(broker.port, "--seconds", "0.5") as audit:
        _, err = audit.process.communicate(timeout=40)
        assert audit.process.returncode == 2
        assert err.endswith("posdiag: nothing was heard, so nothing is proven\n")
