"""Asking the running daemon over `{run_dir}/control.sock`: one JSON line there, one back."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agent.wire import loads

_MAX_LINE = 64 * 1024
_PLACES = 4
_ASK_S = 2.0  # a client that does not come to the point must not hold one of the few places for long
_TELL_S = 10.0  # nor one that asks and does not listen


class ControlError(Exception):
    """No daemon answered, or it refused; one line for people."""


class NoDaemon(ControlError):
    """None answered."""


def ask(run_dir: Path, request: dict[str, Any], timeout_s: float) -> Any:
    """Send one request and return the answer's `ok`. Raises NoDaemon, or ControlError for a refusal."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
        link.settimeout(timeout_s)
        try:
            link.connect(str(run_dir / "control.sock"))
            link.sendall(json.dumps(request).encode() + b"\n")
            data = bytearray()
            while not data.endswith(b"\n"):
                more = link.recv(65536)
                if not more:
                    break
                data += more
            if not data:
                raise NoDaemon("the daemon ended before it answered")
            answer = json.loads(data)
        except (FileNotFoundError, ConnectionRefusedError) as error:
            raise NoDaemon(f"no daemon runs with {run_dir}") from error
        except PermissionError as error:
            raise NoDaemon(
                f"no permission to ask the daemon of {run_dir}: be root, or in the group of its user"
            ) from error
        except (OSError, ValueError) as error:
            raise NoDaemon(f"the daemon did not answer: {error}") from error
    if "ok" not in answer:
        raise ControlError(str(answer.get("error", "the daemon refused")))
    return answer["ok"]


class ControlServer(threading.Thread):
    """Answers a few requests at a time, each in a thread of its own, so that a check delays nobody else's.

    Who may ask is decided by the socket file's mode (owner and group).
    """

    def __init__(self, path: Path, handle: Callable[[dict[str, Any]], Any]) -> None:
        super().__init__(name="control", daemon=True)
        self._path = path
        self._handle = handle
        self._places = threading.BoundedSemaphore(_PLACES)
        self._server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        path.unlink(missing_ok=True)
        self._server.bind(str(path))
        path.chmod(0o660)
        self._server.listen(4)

    def run(self) -> None:
        while True:
            self._places.acquire()  # whoever comes after waits to be accepted
            try:
                link, _ = self._server.accept()
            except OSError:
                return
            try:
                threading.Thread(target=self._serve, args=(link,), name="control-link", daemon=True).start()
            except RuntimeError:  # the service has as many threads as it may have
                self._serve(link)

    def _serve(self, link: socket.socket) -> None:
        try:
            with link, contextlib.suppress(OSError):
                self._talk(link)
        finally:
            self._places.release()

    def _talk(self, link: socket.socket) -> None:
        until = time.monotonic() + _ASK_S
        data = bytearray()
        while not data.endswith(b"\n") and len(data) < _MAX_LINE and (left := until - time.monotonic()) > 0:
            link.settimeout(left)
            more = link.recv(4096)
            if not more:
                return
            data += more
        answer = json.dumps(self._answer(bytes(data)), ensure_ascii=False)
        link.settimeout(_TELL_S)
        link.sendall(answer.encode("utf-8", "replace") + b"\n")  # half of a surrogate pair is no text

    def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            request = loads(line)
        except ValueError:
            return {"error": "not a line of JSON"}
        if not isinstance(request, dict):
            return {"error": "not a JSON object"}
        try:
            return {"ok": self._handle(request)}
        except Exception as error:  # noqa: BLE001 - the answer carries it; the daemon goes on
            return {"error": str(error) or type(error).__name__}

    def close(self) -> None:
        """End the thread and remove the socket."""
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._path.unlink(missing_ok=True)
