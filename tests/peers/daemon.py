"""The real daemon as a process, and mosquitto_sub as somebody else who listens."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tomllib
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from simulator.terminal import Terminal
from tests.peers.peer import environment, program
from tests.wait import wait_until

HERE = Path(__file__).parents[2]


def configuration(terminal: Terminal, **changes: Any) -> dict[str, Any]:
    """The simulated terminal's own configuration with `changes` laid over its tables."""
    settings = tomllib.loads((terminal.folder / "agent.toml").read_text())
    return merged(settings, changes)


def bare(folder: Path, port: int, **changes: Any) -> dict[str, Any]:
    """A terminal without devices, on this machine's trees."""
    settings: dict[str, Any] = {
        "terminal": {"id": "till-1", "estate": "demo"},
        "mqtt": {"url": f"mqtt://127.0.0.1:{port}"},
        "paths": {"run_dir": str(folder / "run"), "state_dir": str(folder / "state")},
    }
    return merged(settings, changes)


def merged(settings: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    for table, values in changes.items():
        settings[table] = values if isinstance(values, list) else {**settings.get(table, {}), **values}
    return settings


def as_toml(settings: Mapping[str, Any]) -> str:
    lines = []
    for table, values in settings.items():
        for row in values if isinstance(values, list) else [values]:
            lines.append(f"[[{table}]]" if isinstance(values, list) else f"[{table}]")
            # JSON's texts, numbers, truth values and arrays of texts are TOML's too
            lines += [f"{name} = {json.dumps(value)}" for name, value in row.items()]
    return "\n".join(lines) + "\n"


class Daemon:
    """`posdiag run`, started behind the words of `wrapper`; in the end it is killed if nobody stopped it."""

    def __init__(self, folder: Path, settings: Mapping[str, Any], wrapper: Sequence[str] = ()) -> None:
        config = folder / "daemon.toml"
        config.write_text(as_toml(settings))
        self.config = config
        self.log = folder / "daemon.log"
        self._run_dir = Path(settings["paths"]["run_dir"])
        command = [*wrapper, sys.executable, "-m", "agent.cli", "run", "--config", str(config)]
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                command,
                cwd=HERE,
                env=environment(TMPDIR=str(folder)),  # umockdev leaves its tree there when it is killed
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def status(self) -> dict[str, Any]:
        """status.json; empty while it is not there."""
        try:
            status: dict[str, Any] = json.loads((self._run_dir / "status.json").read_bytes())
        except FileNotFoundError:
            assert self.process.poll() is None, self.log.read_text()
            return {}
        return status

    def faults(self, unit: str) -> set[str]:
        """The raised faults of one unit, by status.json."""
        return {fault["fault"] for fault in self.status().get("faults", ()) if fault["fault"].startswith(unit + "/")}

    def stop(self) -> None:
        """SIGTERM; nothing but a clean end is good."""
        os.killpg(self.process.pid, signal.SIGTERM)
        assert self.process.wait(30) == 0, self.log.read_text()

    def kill(self) -> None:
        """SIGKILL to the daemon and its wrapper."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


@dataclass(frozen=True)
class Message:
    """One message as mosquitto_sub printed it. `expiry_s` is None where the message carries no limit."""

    topic: str
    body: Any
    retain: bool
    qos: int
    expiry_s: int | None
    content_type: str


class Subscriber:
    """mosquitto_sub on everything below pos/."""

    _FORMAT = "MESSAGE|%r|%q|%E|%C|%t|%x"

    def __init__(self, folder: Path, port: int, version: str = "mqttv5") -> None:
        self._out = folder / f"mosquitto_sub-{id(self)}.txt"
        sub = [program("mosquitto_sub"), "-V", version, "-d", "-p", str(port), "-q", "1", "-t", "pos/#"]
        as_published = ["--retain-as-published"] if version == "mqttv5" else []
        with self._out.open("wb") as out:
            self._process = subprocess.Popen(
                [program("stdbuf"), "-oL", *sub, *as_published, "-F", self._FORMAT],
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )

    def __enter__(self) -> Self:
        wait_until(lambda: b"Subscribed (mid" in self._out.read_bytes())
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()

    def heard(self, suffix: str) -> list[Message]:
        """Messages on topics with this ending, in order."""
        assert self._process.poll() is None, self._out.read_text(errors="replace")
        found = []
        for line in self._out.read_text(errors="replace").split("\n")[:-1]:
            if line.startswith("MESSAGE|"):
                message = _message(line)
                if message.topic.endswith("/" + suffix):
                    found.append(message)
        return found

    def latest(self, metric: str) -> Any:
        """The last value of a metric in the telemetry; None before the first."""
        value = None
        for batch in self.heard("telemetry"):
            for _, sample in batch.body["samples"]:
                value = sample.get(metric, value)
        return value

    def wait_for(self, suffix: str, limit_s: float = 30, **fields: Any) -> Message:
        """The first message on such a topic whose body has these fields."""

        def found() -> Message | None:
            for message in self.heard(suffix):
                if all(message.body.get(name) == value for name, value in fields.items()):
                    return message
            return None

        return wait_until(found, limit_s)


def _message(line: str) -> Message:
    _, retain, qos, expiry, content_type, topic, payload = line.split("|")
    data = bytes.fromhex(payload)
    if content_type.endswith("+deflate"):
        data = zlib.decompress(data)
    return Message(
        topic=topic,
        body=json.loads(data) if data else {},
        retain=retain == "1",
        qos=int(qos),
        expiry_s=int(expiry) if expiry else None,
        content_type=content_type,
    )
