"""How a verb ends: its exit code, and one line on standard error when it could not run."""

from __future__ import annotations

import sys
from typing import Final

DONE: Final = 0
FAILED: Final = 1
UNABLE: Final = 2


def unable(reason: object) -> int:
    """Say why it could not run, and return 2."""
    print(f"posdiag: {reason}", file=sys.stderr)
    return UNABLE


def why(error: OSError) -> str:
    """What the system said, in small letters."""
    return (error.strerror or str(error)).lower()
