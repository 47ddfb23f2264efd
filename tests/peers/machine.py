"""A terminal without hardware: Debian with its own systemd in namespaces, to install our package on."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any, Self

from tests.peers.peer import HERE, environment, program, run
from tests.wait import wait_until

REPOSITORY = HERE.parents[1]
DEBIAN = REPOSITORY / ".peers-root/debian.tar"
_CGROUPS = Path("/sys/fs/cgroup")


class Machine:
    """Unpacked and started on entry, gone on exit. Needs root, like everything that makes namespaces."""

    def __init__(self, folder: Path) -> None:
        assert os.geteuid() == 0, "a machine of its own needs root"
        assert DEBIAN.exists(), f"{DEBIAN} is not there; tests/peers/install.sh makes it"
        self.root = folder / "root"
        self._folder = folder

    def __enter__(self) -> Self:
        self.root.mkdir()
        assert run("tar", "-C", self.root, "-xf", DEBIAN, limit_s=180).returncode == 0
        with (self._folder / "boot.log").open("wb") as log:
            self._boot = subprocess.Popen(
                [program("sh"), str(HERE / "boot.sh"), str(self.root)],
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        wait_until(self._systemd_is_first, 60)
        wait_until(lambda: self.run("systemctl", "is-system-running").stdout.strip() == "running", 90, 0.2)
        return self

    def __exit__(self, *_: object) -> None:
        self._boot.kill()
        self._boot.wait()
        wait_until(_no_groups_left)
        shutil.rmtree(self.root)

    def command(self, *words: str) -> list[str]:
        """The words that run a program as root in the machine."""
        enter = [program("nsenter"), "-t", str(self._first()), "-m", "-u", "-i", "-n", "-p", "-r", "-w"]
        places = "PATH=/usr/sbin:/usr/bin:/sbin:/bin"
        return [*enter, program("env"), "-i", places, "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive", *words]

    def run(self, *words: str, limit_s: float = 60) -> subprocess.CompletedProcess[str]:
        """Run a program in the machine to its end; the caller judges the exit code."""
        return subprocess.run(
            self.command(*words),
            env=environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=limit_s,
            check=False,
        )

    def good(self, *words: str, limit_s: float = 60) -> str:
        """What a program printed that must succeed."""
        done = self.run(*words, limit_s=limit_s)
        assert done.returncode == 0, f"{' '.join(words)}: {done.stdout}{done.stderr}"
        return done.stdout

    def unit(self, name: str, what: str) -> str:
        """A property of a unit, such as ActiveState."""
        return self.good("systemctl", "show", "--value", "-p", what, name).strip()

    def status(self) -> dict[str, Any]:
        """What the daemon's status file says; empty while there is none."""
        done = self.run("cat", "/run/posdiag/status.json")
        status: dict[str, Any] = json.loads(done.stdout) if done.returncode == 0 else {}
        return status

    def _first(self) -> int | None:
        children = Path(f"/proc/{self._boot.pid}/task/{self._boot.pid}/children").read_text().split()
        return int(children[0]) if children else None

    def _systemd_is_first(self) -> bool:
        """Before that its first process is still at home in this machine, and its systemd would be asked."""
        with contextlib.suppress(OSError):  # a child that ended meanwhile
            first = self._first()
            return first is not None and Path(f"/proc/{first}/comm").read_text().strip() == "systemd"
        return False


def _no_groups_left() -> bool:
    """Whether the machine's control groups are removed; one with a process that still ends cannot be."""
    for group in sorted(_CGROUPS.glob("*/posdiag-test/**/"), reverse=True):
        with contextlib.suppress(OSError):
            group.rmdir()
    return not any(_CGROUPS.glob("*/posdiag-test"))


class Background:
    """A program in the machine that goes on until it is left; its first line of output was waited for."""

    def __init__(self, machine: Machine, *words: str) -> None:
        self._words = machine.command(*words)

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._words, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        self.first = self._process.stdout.readline()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(30)

    def ask(self, line: str) -> str:
        """One line there, one back."""
        self._process.stdin.write(line + "\n")
        return self._process.stdout.readline().strip()
