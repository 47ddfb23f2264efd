"""Is a sale going on? The payment application holds an exclusive lock on a file; the kernel lets go if it dies."""

from __future__ import annotations

import os
import time
from pathlib import Path

from drivers.owner import CLOSED, OpenWatch, look

_PART_BYTES = 65536
_FRESH_S = 0.05  # several threads ask within one poll; the contract gives 0.2 s to notice
_SEARCH_S = 2.0  # looking through all processes takes some milliseconds
_LOOK_S = 0.01  # the same thread asks several times within one question


class SaleLock:
    """Watches `{run_dir}/busy.lock` through /proc/locks, and that only while somebody has the file open.

    Taking the lock ourselves, even for a moment, could refuse it to the payment application as a sale begins. Reading
    /proc/locks makes every other taker of any lock wait for some milliseconds, so it is not read for nothing.
    """

    def __init__(self, path: Path, locks: Path = Path("/proc/locks")) -> None:
        """Makes the file, so that the payment application finds it; a file that is there is left as it is."""
        path.touch(mode=0o666, exist_ok=True)
        self._path = path.resolve()
        self._locks = locks
        self._watch = OpenWatch(str(self._path))
        self._open = True
        self._closed = True
        self._asked_at = self._looked_at = self._search_at = float("-inf")
        self._held = False

    def held(self) -> bool:
        """Whether somebody holds the lock now; at most 50 ms old."""
        now = time.monotonic()
        if now - self._looked_at < _LOOK_S:
            return self._held
        self._looked_at = now
        events = self._watch.events()
        if events:
            self._open = True
            self._closed = self._closed or bool(events & CLOSED)
        if not self._open:
            return False
        if now - self._asked_at >= _FRESH_S or events:
            self._asked_at = now
            self._held = self._look()
            if not self._held and self._closed and self._watch.works and now >= self._search_at:
                holder, certain = look(str(self._path))
                self._open = holder is not None or not certain
                self._closed = not certain  # a process that was hidden while it began or ended is not for long
                self._search_at = now + _SEARCH_S
        return self._held

    def _look(self) -> bool:
        try:
            inode = b":%d " % os.stat(self._path).st_ino  # noqa: PTH116 - asked many times a second
            handle = os.open(self._locks, os.O_RDONLY | os.O_CLOEXEC)
            try:
                table = b""
                while more := os.read(handle, _PART_BYTES):
                    table += more
            finally:
                os.close(handle)
        except OSError:
            return False
        return inode in table and any(_is_write_lock(line) for line in table.splitlines() if inode in line)


def _is_write_lock(line: bytes) -> bool:
    # "12: FLOCK  ADVISORY  WRITE 4711 fe:00:131 0 EOF"; a waiting lock has "->" in front of its kind
    words = line.split()
    return len(words) > 5 and words[1] != b"->" and words[3] == b"WRITE"
