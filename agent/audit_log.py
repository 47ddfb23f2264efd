"""What was decided about commands, in a chain of hashes: a line cannot be changed, left out or added unseen.

`audit.jsonl` in the state directory holds one JSON object a line; `hash` is SHA-256 over the line's other members as
compact JSON with sorted keys, `prev` among them. When a file is full it becomes `audit.1.jsonl`, and the first line of
the next has its last line's hash as `prev`. The head (number and hash of the last line) goes out in `health`, so that
whoever cuts off the end, or writes the whole chain anew, contradicts what the center has.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from agent.wire import timestamp
from drivers.redact import redact_text

NAME: Final = "audit"
FILE_BYTES: Final = 256 * 1024  # a thousand decisions
FILES_KEPT: Final = 4
GENESIS: Final = "0" * 64
_TEXT: Final = 200


def digest(record: dict[str, Any]) -> str:
    """The hash that belongs to a line, over everything in it but the hash itself."""
    body = {key: value for key, value in record.items() if key != "hash"}
    text = json.dumps(body, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def files(state_dir: Path) -> list[Path]:
    """The chain's files that are there, oldest first."""
    older = [state_dir / f"{NAME}.{n}.jsonl" for n in range(FILES_KEPT - 1, 0, -1)]
    return [path for path in (*older, state_dir / f"{NAME}.jsonl") if path.exists()]


@dataclass(slots=True)
class Verdict:
    """What walking the chain found: numbers of the first and the last line, the last hash, and what is wrong."""

    first: int = 0
    last: int = 0
    head: str = GENESIS
    lines: int = 0
    problems: list[str] = field(default_factory=list)


def verify(state_dir: Path, told: str = "") -> Verdict:
    """Walk all lines from the oldest that is kept. `told` is a head N:HASH that the center was told of.

    Raises OSError when a file cannot be read, ValueError for a `told` that is none.
    """
    found = Verdict()
    number, _, head = told.partition(":")
    if told and not (number.isdecimal() and re.fullmatch(r"[0-9a-f]{64}", head)):
        raise ValueError("a head is N:HASH, as health tells it")
    for path in files(state_dir):
        *lines, rest = path.read_bytes().split(b"\n")
        for at, line in enumerate(lines, 1):
            _step(found, line, f"{path.name}:{at}")
            if told and found.last == int(number) and found.head == head:
                told = ""
        if rest:
            found.problems.append(f"{path.name}: the last line is torn")
    if told and int(number) >= found.first:
        found.problems.append(f"line {number} is not what the center was told")
    return found


def _step(found: Verdict, line: bytes, where: str) -> None:
    record = _record(line)
    if record is None:
        found.problems.append(f"{where}: not a line of the audit")
        return
    if found.lines == 0:
        found.first = record["n"]
    elif record["n"] != found.last + 1:
        found.problems.append(f"{where}: number {record['n']} follows {found.last}")
    if record["prev"] != found.head and (found.lines or record["n"] == 1):
        found.problems.append(f"{where}: does not follow the line before it")
    if digest(record) != record["hash"]:
        found.problems.append(f"{where}: was changed")
    found.last, found.head, found.lines = record["n"], record["hash"], found.lines + 1


def _record(line: bytes) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
        if isinstance(record, dict) and isinstance(record["n"], int) and len(record["hash"] + record["prev"]) == 128:
            return record
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    return None


class AuditLog:
    """Appends to the chain. Thread-safe. `problem` is why the disk does not take lines, "" while it does."""

    def __init__(self, state_dir: Path, wall: Callable[[], float], known: tuple[int, str] = (0, GENESIS)) -> None:
        """`known` is the head that was remembered elsewhere: a file that ends before it has lost lines."""
        self.problem = ""
        self._path = state_dir / f"{NAME}.jsonl"
        self._wall = wall
        self._lock = threading.Lock()
        self._n, self._head = 0, GENESIS
        self._open(known)

    @property
    def head(self) -> dict[str, Any]:
        """Number and hash of the last line."""
        with self._lock:
            return {"n": self._n, "head": self._head}

    def add(self, decision: str, *, why: str = "", **facts: str | int) -> bool:
        """One decision; on disk at return. Whether the disk took it."""
        with self._lock:
            return self._append({"decision": decision, "why": redact_text(why)[:_TEXT], **facts})

    def _open(self, known: tuple[int, str]) -> None:
        """Go on after the last whole line; what a power cut tore off is cut away, and the cut is told."""
        torn = 0
        try:
            for path in files(self._path.parent):
                content = path.read_bytes()
                whole = content.rfind(b"\n") + 1
                torn = len(content) - whole
                for record in _records(content[:whole]):
                    self._n, self._head = record["n"], record["hash"]
                if torn and path == self._path:
                    os.truncate(path, whole)
        except OSError as error:
            self.problem = f"{self._path}: {(error.strerror or str(error)).lower()}"
            self._n, self._head = max((self._n, self._head), known)
            return
        if torn:
            self._append({"decision": "audit.torn", "why": f"a power cut left {torn} bytes of a line"})
        if known[0] > self._n:
            lost = known[0] - self._n
            self._n = known[0]  # numbers never come twice
            self._append({"decision": "audit.lost", "why": f"{lost} lines that had been written are gone"})

    def _append(self, facts: dict[str, Any]) -> bool:
        record = {"n": self._n + 1, "at": timestamp(self._wall()), **facts, "prev": self._head}
        record["hash"] = digest(record)
        line = json.dumps(record, ensure_ascii=True, separators=(",", ":")).encode("ascii") + b"\n"
        try:
            self._rotate(len(line))
            new = not self._path.exists()
            handle = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                _write(handle, line)
            finally:
                os.close(handle)
            if new:
                sync_folder(self._path.parent)
        except OSError as error:
            self.problem = f"{self._path}: {(error.strerror or str(error)).lower()}"
            return False
        self.problem = ""
        self._n, self._head = record["n"], record["hash"]
        return True

    def _rotate(self, more: int) -> None:
        folder = self._path.parent
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self._path.exists() or self._path.stat().st_size + more <= FILE_BYTES:
            return
        for n in range(FILES_KEPT - 1, 0, -1):
            younger = folder / (f"{NAME}.{n - 1}.jsonl" if n > 1 else f"{NAME}.jsonl")
            if younger.exists():
                younger.replace(folder / f"{NAME}.{n}.jsonl")


def _records(content: bytes) -> Iterator[dict[str, Any]]:
    for line in content.split(b"\n"):
        record = _record(line) if line else None
        if record is not None:
            yield record


def _write(handle: int, line: bytes) -> None:
    """The whole line or none of it. Raises OSError."""
    before = os.fstat(handle).st_size
    try:
        left = line
        while left:
            left = left[os.write(handle, left) :]
        os.fsync(handle)
    except OSError:
        os.ftruncate(handle, before)
        raise


def sync_folder(folder: Path) -> None:
    """A name survives a power cut only once its folder is on disk."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
