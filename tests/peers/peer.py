"""Starting somebody else's programs. A program that is not installed fails the test that needs it."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

HERE = Path(__file__).parent
PYTHON = HERE.parents[1] / ".venv-peers/bin/python"
_PLACES = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def program(name: str) -> str:
    """Where it is. Fails the test when it is not."""
    found = shutil.which(name, path=_PLACES)
    assert found is not None, f"{name} is not installed; tests/peers/install.sh installs it"
    return found


def environment(**more: str) -> dict[str, str]:
    """English texts, and nothing of our own environment's Python."""
    return {"PATH": _PLACES, "HOME": "/nonexistent", "LC_ALL": "C.UTF-8", **more}


def run(
    *command: str | Path, limit_s: float = 60, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run to its end; the caller judges the exit code. Raises TimeoutExpired."""
    return subprocess.run(
        [program(str(command[0])), *map(str, command[1:])],
        env=environment(**(env or {})),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=limit_s,
        check=False,
    )


class Client:
    """A client library in a process of its own: one JSON array (verb and arguments) a line in, one answer a line out."""

    def __init__(self, script: str, *arguments: str) -> None:
        assert PYTHON.exists(), f"{PYTHON} is not there; tests/peers/install.sh makes it"
        self._process = subprocess.Popen(
            [str(PYTHON), str(HERE / script), *arguments],
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._process.stderr.close()

    def ask(self, verb: str, *arguments: Any, limit_s: float = 45) -> Any:
        """What the library answered. Raises AssertionError when it raised something or said nothing in time."""
        os.write(self._process.stdin.fileno(), json.dumps([verb, *arguments]).encode() + b"\n")
        end = time.monotonic() + limit_s
        line = b""
        while not line.endswith(b"\n"):
            ready, _, _ = select.select([self._process.stdout], [], [], max(0.0, end - time.monotonic()))
            assert ready, f"no answer to {verb} in {limit_s} s"
            more = os.read(self._process.stdout.fileno(), 65_536)
            assert more, f"the client ended: {self._process.stderr.read().decode()[-2000:]}"
            line += more
        answer = json.loads(line)
        assert "error" not in answer, f"{verb}: {answer['error']}"
        return answer["is"]
