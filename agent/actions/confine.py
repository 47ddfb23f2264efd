"""What a child takes from itself before it looks at anything from outside."""

from __future__ import annotations

import contextlib
import os
import resource

_MEMORY_BYTES = 512 * 1024 * 1024
_FILES = 32


def confine(cpu_s: int) -> None:
    """No children, no files written, no core dump, and bounds for memory, open files and processor time."""
    for limit, most in (
        (resource.RLIMIT_CPU, cpu_s),
        (resource.RLIMIT_AS, _MEMORY_BYTES),
        (resource.RLIMIT_NOFILE, _FILES),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
    ):
        with contextlib.suppress(ValueError):  # it is lower already
            resource.setrlimit(limit, (most, most))
    os.nice(5)
