"""How `sim set`, `get` and `play` reach a running terminal: JSON lines over the unix socket DIR/control.sock."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from simulator.loop import Loop
from simulator.payment import short_path

NAME: Final = "control.sock"
DEMO: Final = "posdiag-demo"
"""The demo's folder among temporary ones, or how its name begins."""
_LONGEST: Final = 65_536
_ANSWER_S: Final = 15.0
_PROBE_S: Final = 1.0
_MOST_NAMED: Final = 8


class NotRunning(OSError):
    """No simulator runs in that directory."""


class Refused(ValueError):
    """The terminal did not take it; the text names what is legal."""


class ControlServer:
    """Answers one request a line. `verbs` maps the request's `do` to a function from the request to the answer."""

    def __init__(
        self, loop: Loop, folder: Path, verbs: Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]]
    ) -> None:
        self._loop = loop
        self._verbs = verbs
        self._path = folder / NAME
        self._clients: dict[int, tuple[socket.socket, bytearray]] = {}
        self._path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with short_path(self._path) as address:
            self._listener.bind(address)
        self._path.chmod(0o600)
        self._listener.listen(16)
        self._listener.setblocking(False)
        loop.watch(self._listener.fileno(), self._accept)

    def close(self) -> None:
        self._path.unlink(missing_ok=True)
        self._loop.forget(self._listener.fileno())
        self._listener.close()
        for handle in tuple(self._clients):
            self._drop(handle)

    def _accept(self, _events: int) -> None:
        with contextlib.suppress(OSError):
            client, _ = self._listener.accept()
            client.setblocking(False)
            handle = client.fileno()
            self._clients[handle] = (client, bytearray())
            self._loop.watch(handle, lambda _events: self._hear(handle))

    def _drop(self, handle: int) -> None:
        client, _ = self._clients.pop(handle)
        self._loop.forget(handle)
        client.close()

    def _hear(self, handle: int) -> None:
        client, waiting = self._clients[handle]
        try:
            data = client.recv(4096)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        waiting += data
        if not data or len(waiting) > _LONGEST:
            self._drop(handle)
            return
        while b"\n" in waiting:
            line, _, rest = bytes(waiting).partition(b"\n")
            waiting[:] = rest
            with contextlib.suppress(OSError):
                client.send(json.dumps(self._answer(line)).encode() + b"\n")

    def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            request = json.loads(line)
            verb = self._verbs[request["do"]]
        except (ValueError, KeyError, TypeError):
            return {"error": f"not a request; there are {', '.join(sorted(self._verbs))}"}
        return verb(request)


def ask(folder: Path, request: Mapping[str, Any]) -> dict[str, Any]:
    """Send one request to the terminal in `folder` and return its answer. Raises NotRunning or Refused."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(_ANSWER_S)
        try:
            with short_path(folder / NAME) as address:
                client.connect(address)
            client.sendall(json.dumps(request).encode() + b"\n")
            line = client.makefile("rb").readline()
        except OSError as error:
            raise NotRunning(f"no simulator runs in {os.fspath(folder)}{_others(folder)}") from error
    if not line:
        raise NotRunning(f"the simulator in {os.fspath(folder)} ended")
    answer: dict[str, Any] = json.loads(line)
    if "error" in answer:
        raise Refused(answer["error"])
    return answer


def _others(folder: Path) -> str:
    """Where simulators run nearby or in a demo, for a person who mistyped the name or is somewhere else."""
    temporary = Path(tempfile.gettempdir())
    for parent, *patterns in (
        (folder, f"*/{NAME}"),
        (folder.parent, f"*/{NAME}"),
        (temporary, f"{DEMO}*/{NAME}", f"{DEMO}*/*/{NAME}"),
    ):
        sockets = sorted(each for pattern in patterns for each in parent.glob(pattern))
        found = [os.fspath(each.parent) for each in sockets if _listens(each.parent)]
        if found:
            return f"; there are {', '.join(found[:_MOST_NAMED])}"
    return ""


def _listens(folder: Path) -> bool:
    """Whether a simulator has its socket open there; that of a killed one stays, and nobody listens."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe, contextlib.suppress(OSError):
        probe.settimeout(_PROBE_S)
        with short_path(folder / NAME) as address:
            probe.connect(address)
        return True
    return False


def running_in(folder: Path) -> list[Path]:
    """The directories of simulators that run in a folder or just below it."""
    sockets = [folder / NAME, *sorted(folder.glob(f"*/{NAME}"))]
    return [each.parent for each in sockets if _listens(each.parent)]


def is_running(folder: Path) -> bool:
    """Whether somebody answers there."""
    try:
        ask(folder, {"do": "get"})
    except NotRunning:
        return False
    return True
