"""The short-lived child that validates one command, so that the daemon never holds pydantic.

Reads the payload on standard input and writes one JSON object: {"ok": {…}} or {"error": "one line"}.
"""

from __future__ import annotations

import json
import resource
import sys

from agent import wire

_CPU_S = 10
_MEMORY_BYTES = 512 * 1024 * 1024


def main() -> int:
    """Validate standard input as a command."""
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_S, _CPU_S))
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    payload = sys.stdin.buffer.read(wire.MAX_PACKET_BYTES + 1)
    try:
        command = wire.decode(wire.CommandBody, payload)
    except wire.WireError as error:
        print(json.dumps({"error": str(error)}))
    else:
        print(json.dumps({"ok": wire.to_json_whole(command)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
