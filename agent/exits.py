"""How a verb ends: its exit code, and one line on stderr when it could not run."""

from __future__ import annotations

import sys
from typing import Final

EXIT_OK: Final = 0
EXIT_FAULTS: Final = 1
EXIT_CANNOT: Final = 2


def fail(why: object) -> int:
    """Say why it could not run, on stderr, and return 2."""
    from drivers.redact import redact_text  # noqa: PLC0415 - most verbs do not fail

    if isinstance(why, OSError) and why.filename:
        why = f"{why.filename}: {(why.strerror or str(why)).lower()}"
    print(f"posdiag: {redact_text(str(why))}", file=sys.stderr)  # which is often kept in a journal
    return EXIT_CANNOT
