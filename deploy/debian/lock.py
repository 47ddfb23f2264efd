"""Writes deploy/debian/requirements.txt: the daemon's dependencies, each at one version with the hashes of its wheels.

For the Python of Debian 12 on the processors that terminals have. `make lock` runs it; what changed is reviewed and
committed, so that a package is never built of anything that nobody looked at.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
PYTHON = "3.11"
MACHINES = ("x86_64", "aarch64")
TAGS = ("manylinux_2_34", "manylinux_2_28", "manylinux_2_17", "manylinux2014")  # what glibc 2.36 of Debian 12 runs


def resolve(wanted: list[str], machine: str) -> dict[str, tuple[str, str]]:
    """Version and SHA-256 of each distribution that pip would install there."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        platforms = [word for tag in TAGS for word in ("--platform", f"{tag}_{machine}")]
        subprocess.run(
            [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--dry-run",
             "--ignore-installed", "--only-binary", ":all:", "--implementation", "cp", "--python-version", PYTHON,
             *platforms, "--target", folder, "--report", str(report), *wanted],
            check=True,
        )  # fmt: skip
        found = json.loads(report.read_bytes())["install"]
    return {
        item["metadata"]["name"].lower().replace("_", "-"): (
            item["metadata"]["version"],
            item["download_info"]["archive_info"]["hashes"]["sha256"],
        )
        for item in found
    }


def main() -> None:
    """Write the file. Fails when the processors would get different versions."""
    wanted: list[str] = tomllib.loads((HERE.parents[1] / "pyproject.toml").read_text())["project"]["dependencies"]
    per_machine = [resolve(wanted, machine) for machine in MACHINES]
    lines = ["# Written by deploy/debian/lock.py. The whole of what the Debian package carries beside posdiag itself."]
    for name in sorted(set().union(*per_machine)):
        versions = {found[name][0] for found in per_machine if name in found}
        if len(versions) != 1:
            sys.exit(f"{name}: {', '.join(sorted(versions))} for {', '.join(MACHINES)}")
        hashes = sorted({found[name][1] for found in per_machine if name in found})
        lines.append(" \\\n".join([f"{name}=={versions.pop()}", *(f"    --hash=sha256:{each}" for each in hashes)]))
    (HERE / "requirements.txt").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
