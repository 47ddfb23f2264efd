"""The Debian package on a Debian with its own systemd: what is in it, that it runs confined, and how it comes and goes."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.debian.sbom import compatible, everything, licence, third_party
from tests.peers.machine import REPOSITORY, Background, Machine
from tests.peers.peer import run
from tests.wait import wait_until

pytestmark = [pytest.mark.peers, pytest.mark.timeout(600)]  # the first test waits for the package to be built

PYTHON = "/usr/lib/posdiag/bin/python3"
SITE = "usr/lib/posdiag/lib/python3.11/site-packages"
UNITS = ("posdiag.service", "posdiag-owner.service")
SIMULATOR = """
import argparse, sys
sys.path.insert(0, "/srv/code")
from simulator.cli import add_commands
parser = argparse.ArgumentParser()
add_commands(parser.add_subparsers())
args = parser.parse_args()
sys.exit(args.run(args))
"""
PAYMENT = """
import fcntl, sys
kept = open(sys.argv[1])
print("open", flush=True)
for line in sys.stdin:
    fcntl.flock(kept, int(line))
    print("done", flush=True)
"""


@pytest.fixture(scope="module")
def package() -> Path:
    """The package of this tree, packed fast instead of small."""
    done = subprocess.run(
        ["sh", str(REPOSITORY / "deploy/debian/build")],
        env={**os.environ, "PYTHON": sys.executable, "OUT": "build/package", "DPKG_DEB_COMPRESSOR_LEVEL": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return REPOSITORY / done.stdout.splitlines()[-1].partition(":")[0]


@pytest.fixture(scope="module")
def contents(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("contents")
    assert run("dpkg-deb", "-x", package, folder, limit_s=180).returncode == 0
    return folder


def test_it_carries_the_daemon_and_its_dependencies_and_nothing_of_the_builder(contents: Path) -> None:
    site = contents / SITE
    assert (site / "agent/app.py").exists()
    for absent in ("center", "simulator", "pip", "setuptools", "fastapi", "bin"):
        assert not (site / absent).exists(), absent
    sources = [path for path in site.rglob("*.py") if "__pycache__" not in path.parts]
    kinds = ("", ".opt-2")
    compiled = [path.parent / f"__pycache__/{path.stem}.cpython-311{kind}.pyc" for path in sources for kind in kinds]
    assert [path for path in compiled if not path.exists()] == []
    assert {path.read_bytes()[4:8] for path in compiled} == {b"\1\0\0\0"}, "a hash that is not checked (PEP 552)"
    here = os.fsencode(REPOSITORY)
    assert [path for path in contents.rglob("*") if path.is_file() and here in path.read_bytes()] == []


def test_all_that_ships_is_listed_with_a_licence_that_allows_it(contents: Path) -> None:
    document = contents / "usr/share/doc/posdiag"
    bom = json.loads((document / "sbom.cdx.json").read_bytes())
    shipped = {
        tuple(re.findall(r"^(?:Name|Version): (.+)$", path.read_text(), re.MULTILINE)[:2])
        for path in contents.glob(f"{SITE}/*.dist-info/METADATA")
    }
    assert shipped
    listed = {(each["name"], each["version"]) for inside, each in everything(bom) if not inside}
    assert {tuple(sorted(each)) for each in listed} == {tuple(sorted(each)) for each in shipped}
    assert ("cryptography", "openssl") in {(inside, each["name"]) for inside, each in everything(bom)}
    assert [(each["name"], licence(each)) for _, each in everything(bom) if not compatible(licence(each))] == []
    page = (document / "THIRD_PARTY.md").read_text()
    assert page == third_party(bom), "something else ships: look at its licence, then `make licences`"


@pytest.mark.parametrize("terms", ["unknown", "GPL-3.0-only", "MIT AND AGPL-3.0-only", "LicenseRef-Proprietary"])
def test_a_licence_that_does_not_allow_it_is_noticed(terms: str) -> None:
    assert not compatible(terms)


@pytest.fixture(scope="module")
def machine(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A Debian on which the package was just installed; the tests below follow each other on it."""
    with Machine(tmp_path_factory.mktemp("machine")) as machine:
        shutil.copy(package, machine.root / "root/posdiag.deb")
        shutil.copytree(REPOSITORY / "simulator", machine.root / "srv/code/simulator")
        (machine.root / "srv/sim.py").write_text(SIMULATOR)
        (machine.root / "srv/payment.py").write_text(PAYMENT)
        said = machine.good("dpkg", "--force-unsafe-io", "--install", "/root/posdiag.deb", limit_s=180)
        (machine.root / "root/posdiag.deb").unlink()
        assert "posdiag starts once /etc/posdiag/agent.toml is there" in said
        # Its serial lines are pseudo-terminals here, which no terminal has; and nobody waits ten seconds for a test.
        change = machine.root / "etc/systemd/system/posdiag.service.d/test.conf"
        change.parent.mkdir()
        change.write_text("[Service]\nDeviceAllow=char-pts rw\nRestartSec=100ms\n")
        machine.good("systemctl", "daemon-reload")
        yield machine


def test_without_a_configuration_it_waits_and_the_example_says_what_is_missing(machine: Machine) -> None:
    assert machine.good("posdiag", "--version").startswith("posdiag ")
    assert machine.unit("posdiag.service", "UnitFileState") == "enabled"
    assert machine.unit("posdiag.service", "ConditionResult") == "no"
    example = "/usr/share/doc/posdiag/examples/agent.toml"
    done = machine.run("posdiag", "config", "check", example)
    assert done.returncode == 2
    assert done.stderr.splitlines()[0].startswith(f"posdiag: {example}: terminal.id = ''")
    changed = (machine.root / example[1:]).read_text().replace('""', '"till-3"', 1).replace('""', '"north"', 1)
    (machine.root / "root/agent.toml").write_text(changed)
    assert "good; 0 devices" in machine.good("posdiag", "config", "check", "/root/agent.toml")


@pytest.mark.parametrize("unit", UNITS)
def test_its_units_are_right_and_confined(machine: Machine, unit: str) -> None:
    done = machine.run("systemd-analyze", "verify", unit)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    said = machine.run(
        "systemd-analyze", "security", "--offline=true", "--no-pager", f"/lib/systemd/system/{unit}"
    ).stdout
    exposure = re.search(r"Overall exposure level for \S+: ([\d.]+)", said)
    assert exposure is not None, said
    assert float(exposure[1]) <= 2.0, said


@pytest.fixture(scope="module")
def terminal(machine: Machine) -> Iterator[Background]:
    """The simulator in the machine, and the daemon started by systemd with what it describes."""
    machine.good("install", "-d", "-o", "posdiag", "/srv/sim")
    simulate = ("runuser", "-u", "posdiag", "--", PYTHON, "/srv/sim.py", "sim", "run", "--dir", "/srv/sim/t", "--json")
    with Background(machine, *simulate) as simulator:
        assert json.loads(simulator.first)["terminal"] == "sim-t"
        text = (machine.root / "srv/sim/t/agent.toml").read_text()
        own = [line for line in text.splitlines() if not line.startswith(("run_dir", "state_dir"))]
        (machine.root / "etc/posdiag/agent.toml").write_text("\n".join(own) + "\n")
        machine.good("systemctl", "start", "posdiag.service")
        yield simulator


def change(machine: Machine, *pairs: str) -> None:
    machine.good("runuser", "-u", "posdiag", "--", PYTHON, "/srv/sim.py", "sim", "set", "/srv/sim/t", *pairs)


def faults(machine: Machine) -> set[str]:
    return {each["fault"] for each in machine.status().get("faults", ())}


def lean(machine: Machine) -> bool:
    """Whether the daemon holds no docstrings: it was started so, or by itself so after it had checked its settings."""
    words = machine.good("cat", f"/proc/{machine.unit('posdiag.service', 'MainPID')}/cmdline").split("\0")
    options = words[1 : next(at for at, word in enumerate(words) if not word.startswith("-") and at)]
    return sum(option.count("O") for option in options) == 2


def pass_by(seconds: float) -> None:
    end = time.monotonic() + seconds
    wait_until(lambda: time.monotonic() > end, seconds + 30)


def test_confined_it_reaches_everything_that_it_needs(machine: Machine, terminal: Background) -> None:
    def heard() -> bool:
        readings = machine.status().get("readings", {})
        ports = [readings.get(name, {}).get("port") for name in ("printer", "reader", "modem", "keypad")]
        host = [readings.get(*path[:1], {}).get(path[1]) for path in (("network", "gateway"), ("system", "disk"))]
        return ports == ["ok"] * 4 and host == ["ok", "ok"]

    wait_until(heard, 90, 0.2)
    assert machine.unit("posdiag.service", "ActiveState") == "active"
    wait_until(lambda: machine.unit("posdiag.service", "StatusText").startswith("can sell: "), every_s=0.2)
    assert lean(machine)
    change(machine, "printer.paper=out")
    wait_until(lambda: "printer/paper_out" in faults(machine), every_s=0.1)
    change(machine, "printer.paper=ok")
    wait_until(lambda: "printer/paper_out" not in faults(machine), every_s=0.1)
    log = machine.good("journalctl", "-u", "posdiag", "-o", "cat", "--no-pager")
    assert "Traceback" not in log
    assert "Permission denied" not in log


def test_it_may_renew_its_certificate_and_change_no_program(machine: Machine, terminal: Background) -> None:
    inside = ("nsenter", "-m", "-t", machine.unit("posdiag.service", "MainPID"), "--")
    machine.good(*inside, "runuser", "-u", "posdiag", "--", "touch", "/etc/posdiag/tls/terminal.pem.next")
    for path in ("/usr/lib/posdiag/bin/posdiag", "/etc/passwd", "/etc/systemd/system/new"):
        assert "Read-only file system" in machine.run(*inside, "touch", path).stderr, f"even root may not write {path}"


def test_another_users_application_is_seen_selling_and_holding_a_port(machine: Machine, terminal: Background) -> None:
    machine.good("useradd", "--system", "--groups", "posdiag,tty", "payment")
    application = ("runuser", "-u", "payment", "--", "/usr/bin/python3", "/srv/payment.py", "/run/posdiag/busy.lock")
    with Background(machine, *application) as payment:
        assert payment.first == "open\n"
        for _ in range(2):  # it keeps the file open from sale to sale
            assert payment.ask("2") == "done"  # LOCK_EX
            pass_by(3)  # who listens for what the printer says by itself does so for a second
            change(machine, "printer.paper=out")
            pass_by(2.5)
            assert "printer/paper_out" not in faults(machine), "nothing is asked during a sale"
            assert payment.ask("8") == "done"  # LOCK_UN
            wait_until(lambda: "printer/paper_out" in faults(machine), every_s=0.1)
            change(machine, "printer.paper=ok")
            wait_until(lambda: "printer/paper_out" not in faults(machine), every_s=0.1)
    port = str((machine.root / "srv/sim/t/printer").readlink())
    machine.good("chmod", "666", port)
    with Background(machine, *application[:-1], port) as payment:
        assert payment.first == "open\n"
        wait_until(lambda: "printer/port_busy" in faults(machine), every_s=0.1)
    wait_until(lambda: "printer/port_busy" not in faults(machine), every_s=0.1)


def test_it_may_restart_the_terminal_and_nobody_else_may(machine: Machine) -> None:
    def can(user: str, what: str) -> str:
        confined = [
            word for each in (f"User={user}", "PrivateUsers=yes", "NoNewPrivileges=yes") for word in ("-p", each)
        ]
        manager = ("org.freedesktop.login1", "/org/freedesktop/login1", "org.freedesktop.login1.Manager")
        return machine.good(
            "systemd-run", "--wait", "--pipe", "-q", *confined, "busctl", "call", *manager, what
        ).strip()

    assert can("posdiag", "CanReboot") == 's "yes"'
    assert can("posdiag", "CanPowerOff") != 's "yes"'
    assert can("nobody", "CanReboot") != 's "yes"'


def test_killed_it_is_started_again(machine: Machine, terminal: Background) -> None:
    before = machine.unit("posdiag.service", "MainPID")
    machine.good("systemctl", "kill", "-s", "KILL", "posdiag.service")
    wait_until(
        lambda: (
            machine.unit("posdiag.service", "MainPID") not in {before, "0"}
            and machine.unit("posdiag.service", "ActiveState") == "active"
        ),
        every_s=0.1,
    )
    assert lean(machine), "also where its settings were checked before"


def test_an_upgrade_keeps_settings_history_and_what_the_administrator_chose(
    machine: Machine, terminal: Background, package: Path, tmp_path: Path
) -> None:
    parts = tmp_path / "next"
    assert run("dpkg-deb", "-R", package, parts, limit_s=180).returncode == 0
    control = parts / "DEBIAN/control"
    control.write_text(re.sub(r"^Version: .*$", "Version: 99.0", control.read_text(), flags=re.MULTILINE))
    assert run("dpkg-deb", "-Znone", "-b", parts, machine.root / "root/next.deb", limit_s=180).returncode == 0

    configuration = (machine.root / "etc/posdiag/agent.toml").read_bytes()
    key = (machine.root / "var/lib/posdiag/report.key").read_bytes()
    machine.good("systemctl", "stop", "posdiag.service")
    waiting = events(machine)
    assert waiting > 5, "told to nobody yet"
    machine.good("systemctl", "start", "posdiag.service")
    before = machine.unit("posdiag.service", "MainPID")
    machine.good("dpkg", "--force-unsafe-io", "--install", "/root/next.deb", limit_s=180)
    assert machine.good("dpkg-query", "-W", "-f", "${Version}", "posdiag") == "99.0"
    assert machine.unit("posdiag.service", "ActiveState") == "active"
    assert machine.unit("posdiag.service", "MainPID") != before
    assert (machine.root / "etc/posdiag/agent.toml").read_bytes() == configuration
    assert (machine.root / "var/lib/posdiag/report.key").read_bytes() == key

    machine.good("systemctl", "disable", "--now", "posdiag.service")
    assert events(machine) > waiting
    machine.good("dpkg", "--force-unsafe-io", "--install", "/root/next.deb", limit_s=180)
    (machine.root / "root/next.deb").unlink()
    assert machine.unit("posdiag.service", "UnitFileState") == "disabled"
    machine.good("systemctl", "enable", "posdiag.service")
    machine.good("systemctl", "start", "posdiag.service")


def events(machine: Machine) -> int:
    """How many events wait in the store of the daemon, which must not run."""
    query = "import sqlite3; print(*sqlite3.connect('file:/var/lib/posdiag/posdiag.db?mode=ro', uri=True).execute(\"QUERY\").fetchone())"
    return int(machine.good(PYTHON, "-c", query.replace("QUERY", "SELECT count(*) FROM outbox WHERE class = 'event'")))


def test_removed_it_is_gone_and_purged_its_state_too(machine: Machine) -> None:
    machine.good("systemctl", "start", "posdiag.service")
    machine.good("dpkg", "--remove", "posdiag")
    assert machine.unit("posdiag.service", "ActiveState") == "inactive"
    for kept in ("etc/posdiag/agent.toml", "var/lib/posdiag/posdiag.db"):
        assert (machine.root / kept).exists()
    assert not (machine.root / "usr/lib/posdiag").exists()
    machine.good("dpkg", "--purge", "posdiag")
    left = machine.good("find", "/", "-xdev", "-path", "/srv", "-prune", "-o", "-path", "/proc", "-prune", "-o", "-path",
                        "/var/lib/dpkg/info", "-prune", "-o", "-name", "*posdiag*", "-print")  # fmt: skip
    assert left.split() == ["/etc/systemd/system/posdiag.service.d"], "which the administrator made"
    assert machine.run("id", "posdiag").returncode == 0, "the user stays"


def test_the_pins_are_what_the_project_asks_for() -> None:
    wanted = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["dependencies"]
    names = {re.split(r"[<>=!~ \[]", each)[0].lower() for each in wanted}
    pinned = set(
        re.findall(r"^([a-z0-9-]+)==", (REPOSITORY / "deploy/debian/requirements.txt").read_text(), re.MULTILINE)
    )
    assert names <= pinned, "make lock"
