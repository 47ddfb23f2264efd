"""The last lines of the daemon's log, for the bundle."""

from __future__ import annotations

import logging
from collections import deque
from typing import Final

_LINES: Final = 200
_LINE: Final = 400


class LogTail(logging.Handler):
    """Keeps the last lines that the daemon logged, for the bundle; they have passed the card filter."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: deque[str] = deque(maxlen=_LINES)
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record)[:_LINE])


def log_tail() -> list[str]:
    """The lines that this process's `LogTail` holds."""
    return [line for h in logging.getLogger().handlers if isinstance(h, LogTail) for line in list(h.lines)]
