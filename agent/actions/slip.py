"""The short-lived child that makes a help code and a slip, so that the daemon never loads what that takes.

Reads one JSON object on standard input: {"status": as in status.json, "state_dir": path, "columns": width of the paper,
or 0 for no slip}. Writes one: {"key": public key in hex, "code": help code, "parts": [pieces of the slip, base64]}.
A key that cannot be had leaves `key` empty and the code unsigned.
"""

from __future__ import annotations

import base64
import json
import resource
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agent import report_code, slip
from agent.report_key import signer

_CPU_S = 10
_MEMORY_BYTES = 512 * 1024 * 1024


def make(status: Mapping[str, Any], state_dir: Path, columns: int) -> tuple[str, str, list[bytes]]:
    """The public key, the help code and the pieces of the slip."""
    try:
        sign, key = signer(state_dir)
    except OSError:  # the disk may be what is wrong
        sign, key = None, ""
    code = report_code.encode(status, sign)
    parts = slip.as_parts(slip.blocks(status, code), columns) if columns else []
    return key, code, parts


def main() -> int:
    """One request from standard input."""
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_S, _CPU_S))
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    request = json.load(sys.stdin)
    key, code, parts = make(request["status"], Path(request["state_dir"]), request["columns"])
    print(json.dumps({"key": key, "code": code, "parts": [base64.b64encode(part).decode() for part in parts]}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
