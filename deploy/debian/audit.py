"""Part of `make lint`: fails when a vulnerability is known of what the Debian package ships (requirements.txt).

What the advisory service gives no answer for is not clean but unaudited, and that is said: a machine without a network
builds on, and nobody takes its silence for a result.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

PINS = Path(__file__).with_name("requirements.txt")
_TIMEOUT_S = "10"


def told(report: dict[str, Any]) -> tuple[list[str], int, int]:
    """One line for each known vulnerability, how many distributions were audited, and how many were not."""
    audited = [each for each in report["dependencies"] if "skip_reason" not in each]
    found = [
        f"{each['name']} {each['version']}: {known['id']}, repaired in {repaired(known)}"
        for each in audited
        for known in each["vulns"]
    ]
    return found, len(audited), len(report["dependencies"]) - len(audited)


def repaired(known: dict[str, Any]) -> str:
    """The versions that do not have it."""
    return ", ".join(known["fix_versions"]) or "no version"


def main() -> int:
    """0 nothing is known or nothing could be learned, 1 something is known."""
    done = subprocess.run(
        [sys.executable, "-m", "pip_audit", "--disable-pip", "--progress-spinner", "off", "--format", "json",
         "--timeout", _TIMEOUT_S, "--requirement", str(PINS)],
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    try:
        found, audited, unaudited = told(json.loads(done.stdout))
    except ValueError:
        print("audit: NOT AUDITED, the advisory service cannot be reached")
        return 0
    for line in found:
        print(f"audit: {line}")
    rest = f"; {unaudited} NOT AUDITED, the advisory service does not know them" if unaudited else ""
    print(f"audit: {audited} shipped distributions audited, {len(found)} vulnerabilities known{rest}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
