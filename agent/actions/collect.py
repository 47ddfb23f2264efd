"""The short-lived child that makes the diagnostics bundle and uploads it.

Standard input: one JSON object: "config_file", "facts" (name to JSON value), "at", "url", "hosts", "ca_file",
"within_s". Standard output: a line {"sent": n, "total": n} after each part, at the end {"ok": {"size", "sha256",
"breaks"}} or {"error": one line}.
"""

from __future__ import annotations

import hashlib
import json
import ssl
import sys
import time
from pathlib import Path
from typing import Any

from agent.actions.confine import confine
from agent.bundle import members, pack
from agent.upload import Refused, Upload
from agent.upload_address import check_url

_CPU_S = 60


def collect(asked: dict[str, Any]) -> dict[str, Any]:
    """Make it, send it, and say what was sent. Raises Refused, ValueError, OSError."""
    url = check_url(asked["url"], asked["hosts"])
    data = pack(members(Path(asked["config_file"]), asked["facts"]), asked["at"])
    end = time.monotonic() + float(asked["within_s"])
    try:
        upload = Upload(url, asked["ca_file"], data, end, lambda sent, total: _say({"sent": sent, "total": total}))
    except (OSError, ssl.SSLError) as error:
        raise Refused(f"commands.upload_ca_file cannot be used: {error}") from error
    upload.run()
    return {"size": len(data), "sha256": hashlib.sha256(data).hexdigest(), "breaks": upload.breaks}


def _say(message: object) -> None:
    print(json.dumps(message), flush=True)


def main() -> int:
    """One request from standard input."""
    confine(_CPU_S)
    try:
        _say({"ok": collect(json.load(sys.stdin))})
    except (Refused, ValueError, OSError) as error:
        _say({"error": str(error)})
    return 0


if __name__ == "__main__":
    sys.exit(main())
