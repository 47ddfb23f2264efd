"""What a child that looks at things from outside can still do: nothing that lasts, and not for long."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.wait import wait_until

LIMITS = "import json, resource as r; print(json.dumps({n: r.getrlimit(getattr(r, n)) for n in dir(r) if n.startswith('RLIMIT_')}))"


def confined(code: str, cpu_s: int = 5) -> subprocess.CompletedProcess[str]:
    code = f"from agent.actions.confine import confine\nconfine({cpu_s})\n{code}"
    return subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, timeout=50, check=False)


def test_its_limits_cannot_be_raised_again() -> None:
    limits = json.loads(confined(LIMITS).stdout)
    assert [limits[f"RLIMIT_{name}"] for name in ("CPU", "NOFILE", "NPROC", "CORE", "FSIZE")] == [
        [5, 5], [32, 32], [0, 0], [0, 0], [0, 0],
    ]  # fmt: skip
    assert limits["RLIMIT_AS"] == [512 * 1024 * 1024] * 2


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("x = bytes(600 << 20)", "MemoryError"),
        ("x = [open('/dev/null') for _ in range(64)]", "Too many open files"),
        ("open(PATH, 'w', buffering=1).write('x\\n')", "File too large"),
    ],
)
def test_what_is_too_much_ends_it(tmp_path: Path, code: str, said: str) -> None:
    path = tmp_path / "written"
    done = confined(code.replace("PATH", repr(str(path))))
    assert done.returncode != 0
    assert said in done.stderr
    assert not path.exists() or path.stat().st_size == 0


def test_it_starts_no_process() -> None:
    code = "import os, sys\nos.getuid() or os.setuid(65534)\nsys.exit(os.spawnv(os.P_WAIT, '/bin/true', ['true']) + 1)"
    done = confined(code)  # root is not held by this limit, so it gives itself up first
    assert "Resource temporarily unavailable" in done.stderr


def test_a_processor_is_its_own_for_seconds_only() -> None:
    assert confined("while True: pass", cpu_s=1).returncode in {-signal.SIGKILL, -signal.SIGXCPU}


@pytest.mark.parametrize("child", ["validate", "collect"])
def test_each_child_confines_itself_before_it_reads(child: str) -> None:
    """It waits for its first byte here, and has its limits already."""
    command = [sys.executable, "-I", "-m", f"agent.actions.{child}"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            limits = Path(f"/proc/{process.pid}/limits")

            def bounds(name: str) -> str:
                line = next(line for line in limits.read_text().splitlines() if line.startswith(name))
                return line.removeprefix(name).split()[0]

            wait_until(lambda: bounds("Max file size") == "0", 20)
            assert [bounds(name) for name in ("Max processes", "Max core file size")] == ["0", "0"]
            assert bounds("Max cpu time") != "unlimited"
        finally:
            process.kill()
