"""A stage for system tests: broker, simulated terminal and daemon as processes, as a user starts them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import tomllib
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

from tests.wait import wait_until

_COMMAND = ("-P", "-m", "agent.launch")
POSDIAG = (sys.executable, *_COMMAND)


def posdiag(
    *words: str, timeout_s: float = 60, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run one verb to its end."""
    return subprocess.run(
        [*POSDIAG, *words],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
        env={**os.environ, **(env or {})},
    )


class Process:
    """One process with its output in a file. The end of the `with` kills what the test left running."""

    def __init__(
        self,
        log: Path,
        *words: str,
        before: tuple[str, ...] = (),
        python: tuple[str, ...] = (),
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.log = log
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                [*before, sys.executable, *python, *_COMMAND, *words],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, **(env or {}), "PYTHONUNBUFFERED": "1"},
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self.kill()

    def alive(self) -> bool:
        return self._process.poll() is None

    def said(self) -> str:
        return self.log.read_text("utf-8", errors="replace")

    def wait(self, limit_s: float) -> int:
        """Its exit status."""
        return self._process.wait(limit_s)

    def terminate(self, limit_s: float = 20) -> tuple[int, float]:
        """SIGTERM; the exit status and how long it took."""
        started = time.monotonic()
        self._process.send_signal(signal.SIGTERM)
        status = self._process.wait(limit_s)
        return status, time.monotonic() - started

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


class Sim(Process):
    """`posdiag sim run`; keys are read and set over its control socket, as `sim set` and `sim get` do."""

    def __init__(self, folder: Path, mqtt_port: int, *more: str) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        url = f"mqtt://127.0.0.1:{mqtt_port}"
        seed = str(zlib.crc32(bytes(folder)))  # makes the terminal's id, and several share a broker
        super().__init__(
            folder / "sim.log", "sim", "run", "--dir", str(folder), "--mqtt", url, "--seed", seed, "--json", *more
        )
        self.about = wait_until(self._described, 40)
        for busy in ("stat", "meminfo"):  # the load of the machine that runs the tests is no fault of the terminal
            (folder / "proc" / busy).unlink(missing_ok=True)

    def _described(self) -> dict[str, Any] | None:
        assert self.alive(), self.said()
        line, newline, _ = self.said().partition("\n")
        return json.loads(line) if newline else None

    def __exit__(self, *_: object) -> None:
        if self.alive():
            status, _took = self.terminate()
            assert status == 0, self.said()

    @property
    def config(self) -> Path:
        return self.folder / "agent.toml"

    @property
    def run_dir(self) -> Path:
        return self.folder / "run"

    def set(self, **values: object) -> None:
        """`printer_paper="out"` sets printer.paper."""
        self.apply({name.replace("_", ".", 1): value for name, value in values.items()})

    def apply(self, values: Mapping[str, object]) -> None:
        self._ask({"do": "set", "values": {name: str(value) for name, value in values.items()}})

    def get(self, key: str) -> Any:
        return self._ask({"do": "get"})["values"][key]

    def _ask(self, request: object) -> dict[str, Any]:
        answer: dict[str, Any] = ask_socket(self.folder / "control.sock", request)
        assert "error" not in answer, answer
        return answer

    def write_config(self, name: str = "other.toml", *, add: str = "", change: Callable[[str], str] = str) -> Path:
        """Another configuration beside agent.toml: its text changed, with tables added."""
        path = self.folder / name
        path.write_text(change(self.config.read_text("utf-8")) + "\n" + add, "utf-8")
        tomllib.loads(path.read_text("utf-8"))
        return path


def ask_socket(path: Path, request: object) -> Any:
    """One JSON line to a unix socket, one back. The path may be longer than an address may be."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
            link.settimeout(30)
            link.connect(f"/proc/self/fd/{folder}/{path.name}")
            link.sendall(json.dumps(request).encode() + b"\n")
            with link.makefile("rb") as answers:
                return json.loads(answers.readline())
    finally:
        os.close(folder)


class Agent(Process):
    """`posdiag run`. The end of the `with` is SIGTERM, and it must be a clean stop."""

    def __init__(self, config: Path, *, before: tuple[str, ...] = (), python: tuple[str, ...] = ()) -> None:
        """`before` is a command that runs it, `python` are options of the interpreter."""
        values = tomllib.loads(config.read_text("utf-8"))
        self.config = config
        self.run_dir = Path(values["paths"]["run_dir"])
        self.base = f"pos/1/{values['terminal']['estate']}/{values['terminal']['id']}"
        self._status_before = self._written()
        super().__init__(config.with_suffix(".log"), "run", "--config", str(config), before=before, python=python)

    def __exit__(self, *_: object) -> None:
        if self.alive():
            status, took_s = self.terminate()  # that it takes less than two seconds is for test_lifecycle to see
            assert status == 0, f"{status} after {took_s:.1f} s\n{self.said()[-2000:]}"
        assert "Traceback" not in self.said(), self.said()[-4000:]

    def status(self) -> dict[str, Any]:
        """status.json as it stands; empty before the first of this daemon."""
        if self._written() == self._status_before:
            return {}
        with contextlib.suppress(FileNotFoundError):
            status: dict[str, Any] = json.loads((self.run_dir / "status.json").read_bytes())
            return status
        return {}

    def _written(self) -> tuple[int, int]:
        """Tells one status.json from the next: an earlier daemon may have left one."""
        try:
            found = (self.run_dir / "status.json").stat()
        except FileNotFoundError:
            return 0, 0
        return found.st_ino, found.st_mtime_ns

    def faults(self) -> dict[str, dict[str, Any]]:
        """Raised faults of status.json by key."""
        return raised(self.status())

    def until(self, wanted: Callable[[dict[str, Any]], Any], limit_s: float = 40) -> dict[str, Any]:
        """Wait until status.json is as wanted, and return it."""

        def look() -> dict[str, Any] | None:
            assert self.alive(), self.said()[-4000:]
            status = self.status()
            return status if status and wanted(status) else None

        try:
            return wait_until(look, limit_s)
        except AssertionError as error:
            raise AssertionError(f"not so after {limit_s} s: {json.dumps(brief(self.status()), indent=1)}") from error

    def until_healthy(self, limit_s: float = 45) -> dict[str, Any]:
        """Everything has answered and nothing is raised."""
        return self.until(lambda s: s["verdict"]["can_sell"] == "yes" and not s["faults"] and s["connected"], limit_s)


def raised(status: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Raised faults of one status.json by key; inside `until`, where another look would see another moment."""
    return {fault["fault"]: fault for fault in status.get("faults", ())}


def brief(status: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a status that explains a failed expectation."""
    return {
        "verdict": status.get("verdict"),
        "faults": {fault["fault"]: fault["cause"] for fault in status.get("faults", ())},
        "connected": status.get("connected"),
        "problems": status.get("problems"),
        "readings": status.get("readings"),
    }
