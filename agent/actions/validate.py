"""The short-lived child that says who signed a message and what is in it, so that the daemon holds neither code for it.

Standard input: one line of JSON, {"kind": "command", "settings" or "visit", "keys_file": path, "config_file": path},
then the message's bytes, of which the daemon gives no more than a packet holds. An empty `keys_file` is a closed test
network's: then the message is plain JSON.
Standard output: {"ok": {…}, "kid": …}, or {"reason": word, "error": one line}; with "id" and "kid" once the signature
is known to be good. Settings have "rejected", key to why, beside "ok".
"""

from __future__ import annotations

import contextlib
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agent.actions.confine import confine
from agent.signed import NotSigned, verified

_CPU_S = 10
_ID = re.compile(r"[a-z0-9_-]{8,64}")


def judge(kind: str, payload: bytes, keys_file: str, config_file: str = "") -> dict[str, Any]:
    """The answer to one request."""
    kid = ""
    if keys_file:
        try:
            kid, payload = verified(payload, Path(keys_file))
        except NotSigned as error:
            return {"reason": error.reason, "error": str(error)}
    from agent import wire  # noqa: PLC0415 - what nobody has signed is not worth the time

    kinds = {"command": wire.CommandBody, "settings": wire.SettingsBody, "visit": wire.VisitBody}
    try:
        message: Any = wire.decode(kinds[kind], payload)
    except wire.WireError as error:
        return {
            "reason": "malformed",
            "error": str(error),
            "id": _id_of(wire.loads, payload) if kid else "",
            "kid": kid,
        }
    answer = {"ok": wire.to_json_whole(message), "kid": kid}
    if isinstance(message, wire.SettingsBody):
        from agent.desired import problems  # noqa: PLC0415 - commands do without

        answer["rejected"] = problems(Path(config_file), message.settings)
    return answer


def _id_of(loads: Callable[[bytes], Any], payload: bytes) -> str:
    with contextlib.suppress(ValueError, TypeError, KeyError):
        name = loads(payload)["jti"]
        if isinstance(name, str) and _ID.fullmatch(name):
            return name
    return ""


def main() -> int:
    """One request from standard input."""
    confine(_CPU_S)
    asked = json.loads(sys.stdin.buffer.readline())
    payload = sys.stdin.buffer.read()
    print(json.dumps(judge(asked["kind"], payload, asked["keys_file"], asked["config_file"])))
    return 0


if __name__ == "__main__":
    sys.exit(main())
