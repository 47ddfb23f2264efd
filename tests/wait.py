"""The one place where a test waits."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(predicate: Callable[[], T], limit_s: float = 30.0, every_s: float = 0.02) -> T:
    """Poll until the predicate is truthy and return what it said; fail with its last answer after the limit."""
    end = time.monotonic() + limit_s
    while True:
        answer = predicate()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"not so after {limit_s} s; last answer {answer!r}")
        time.sleep(every_s)
