"""The daemon's side of `collect`: gather what it knows, have a child pack and upload it, and tell how far that is."""

from __future__ import annotations

import contextlib
import json
import queue
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from agent.commands import Job
from agent.config import CommandsConfig
from agent.upload_address import check_url

if TYPE_CHECKING:
    import subprocess

DEADLINE_S: Final = 900.0
_TELL_S: Final = 2.0  # each result is a message that somebody pays for


class Collect:
    """`facts` gives name to JSON value. One bundle at a time."""

    def __init__(self, config: CommandsConfig, config_file: Path, facts: Callable[[], dict[str, Any]]) -> None:
        self._config = config
        self._file = config_file
        self._facts = facts
        self._busy = threading.Lock()

    def run(self, args: Mapping[str, Any], job: Job) -> dict[str, Any]:
        """args: `url`, a one-time https:// address of a host in upload_hosts. Raises ValueError, RuntimeError."""
        check_url(args.get("url"), self._config.upload_hosts)
        if not self._busy.acquire(blocking=False):
            raise ValueError("a bundle is on its way already")
        try:
            return self._child(str(args["url"]), job)
        finally:
            self._busy.release()

    def _child(self, url: str, job: Job) -> dict[str, Any]:
        import subprocess  # noqa: PLC0415 - nearly half a MiB that a resting daemon does not hold

        request = {
            "config_file": str(self._file),
            "facts": self._facts(),
            "at": time.time(),
            "url": url,
            "hosts": list(self._config.upload_hosts),
            "ca_file": self._config.upload_ca_file,
            "within_s": job.left_s - 5,
        }
        with subprocess.Popen(
            [sys.executable, "-I", "-m", "agent.actions.collect"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"},
        ) as child:
            try:
                return _follow(child, json.dumps(request).encode(), job)
            finally:
                child.kill()


def _follow(child: subprocess.Popen[bytes], request: bytes, job: Job) -> dict[str, Any]:
    """Pass progress on until the child has said how it ended. Raises RuntimeError."""
    assert child.stdin is not None  # noqa: S101 - both are pipes, see above
    assert child.stdout is not None  # noqa: S101 - as above
    lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    reader = threading.Thread(target=_read, args=(child.stdout, lines), name="collect-reader", daemon=True)
    feeder = threading.Thread(target=_feed, args=(child.stdin, request), name="collect-feeder", daemon=True)
    reader.start()
    feeder.start()
    told_at = float("-inf")
    try:
        while not job.stopping.is_set() and job.left_s > 0:
            try:
                line = lines.get(timeout=1.0)
            except queue.Empty:
                continue
            if not line:
                raise RuntimeError("the bundle could not be made")
            said = json.loads(line)
            if "error" in said:
                raise RuntimeError(said["error"])
            if "ok" in said:
                return dict(said["ok"])
            if time.monotonic() - told_at >= _TELL_S or said["sent"] == said["total"]:
                told_at = time.monotonic()
                job.tell(said)
    finally:
        child.kill()
        feeder.join(5)
        reader.join(5)
    raise RuntimeError("the bundle was not uploaded in time")


def _feed(pipe: Any, request: bytes) -> None:
    """A pipe holds 64 KiB: more goes only as fast as the child reads."""
    with contextlib.suppress(BrokenPipeError), pipe:
        pipe.write(request)


def _read(pipe: Any, lines: queue.SimpleQueue[bytes]) -> None:
    for line in pipe:
        lines.put(line)
    lines.put(b"")
