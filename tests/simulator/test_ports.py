"""Ports, cables, power, and the other process, through real pseudo terminals."""

from __future__ import annotations

import fcntl
import os
import select
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from simulator.device import Illegal
from simulator.terminal import Terminal
from tests.simulator.fakes import REGISTRY
from tests.simulator.hosts import Host
from tests.wait import wait_until

Make = Callable[..., Terminal]


@pytest.fixture
def make(pos_terminal_factory: Make) -> Make:
    return partial(pos_terminal_factory, registry=REGISTRY)


def holders(path: Path) -> list[int]:
    """Processes other than this one that have the port open."""
    device = os.path.realpath(path)
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                if any(str(handle.readlink()) == device for handle in (entry / "fd").iterdir()):
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def test_a_host_and_a_device_talk(make: Make) -> None:
    pos = make()
    with Host(pos.path("printer")) as host:
        assert host.ask(b"?", 3) == b"ok\n"
        pos.set(printer_paper="out")
        assert host.read(5) == b"!out\n"
        host.write(b"slip")
        wait_until(lambda: pos.printed() == b"slip")
    assert Path(str(pos.get()["printer.output"])).read_bytes() == b"slip"


def test_a_long_reply_takes_its_time(make: Make) -> None:
    pos = make()
    with Host(pos.path("printer")) as host:
        begin = time.monotonic()
        assert len(host.ask(b"?" * 160, 480)) == 480
        assert time.monotonic() - begin >= 0.45  # 480 bytes at 9600 baud
    quick = make(pace=False)
    with Host(quick.path("printer")) as host:
        begin = time.monotonic()
        assert len(host.ask(b"?" * 640, 1920)) == 1920
        assert time.monotonic() - begin < 1.9  # 2 s at 9600 baud


def test_a_host_at_the_wrong_speed_hears_garbage(make: Make) -> None:
    pos = make()
    with Host(pos.path("reader"), baud=9600) as host:
        assert host.ask(b"?", 8, limit_s=0.5) != b"absent\n"
    with Host(pos.path("reader"), baud=19200) as host:
        assert host.ask(b"?", 7) == b"absent\n"


def test_a_pulled_cable_hangs_up_and_a_new_one_works(make: Make) -> None:
    pos = make()
    path = pos.path("printer")
    with Host(path) as host:
        pos.set({"printer.cable": "out"})
        assert select.select([host.handle], [], [], 20)[0]
        assert os.read(host.handle, 10) == b""
        with pytest.raises(OSError, match="Input/output"):
            host.write(b"?")
        assert not os.path.lexists(path)
    pos.set({"printer.cable": "in"})
    with Host(path) as host:
        assert host.ask(b"?", 3) == b"ok\n"


def test_what_a_host_left_unread_does_not_meet_the_next_one(make: Make) -> None:
    pos = make(pace=False)
    with Host(pos.path("printer")) as host:
        assert host.ask(b"?", 3) == b"ok\n"
        host.write(b"?")
        assert select.select([host.handle], [], [], 20)[0]
    pos.set(printer_paper="out")  # nobody has the port open: lost as on a wire
    pos.get()
    with Host(pos.path("printer")) as host:
        assert host.ask(b"#", 2) == b"0\n"


def test_no_power_is_silence_and_power_is_a_fresh_start(make: Make) -> None:
    pos = make()
    with Host(pos.path("printer")) as host:
        assert host.ask(b"#", 2) == b"0\n"
        pos.set({"printer.power": "off"})
        assert host.ask(b"#", 2, limit_s=0.3) == b""
        pos.set({"printer.power": "on"})
        assert host.ask(b"#", 2) == b"1\n"


def test_without_mains_the_printer_alone_is_silent_until_the_battery_is_empty(make: Make) -> None:
    pos = make()
    pos.set({"power.mains": "off"})
    with Host(pos.path("printer")) as printer, Host(pos.path("keypad")) as keypad:
        assert printer.ask(b"?", 3, limit_s=0.3) == b""
        assert keypad.ask(b"?", 5) == b"none\n"
        pos.set({"power.battery_percent": 0})
        assert keypad.ask(b"?", 5, limit_s=0.3) == b""
        pos.set({"power.mains": "on"})
        assert keypad.ask(b"#", 2) == b"1\n"
        assert printer.ask(b"?", 3) == b"ok\n"


@pytest.mark.parametrize("fault", ["mute", "garbled", "slow", "late"])
def test_a_line_fault_reaches_the_host(make: Make, fault: str) -> None:
    pos = make()
    pos.set({"reader.line": fault})
    with Host(pos.path("reader"), 19200) as host:
        assert host.ask(b"?", 7, limit_s=0.4) != b"absent\n"


def test_an_echo_reaches_the_host(make: Make) -> None:
    pos = make()
    pos.set({"printer.line": "echo"})
    with Host(pos.path("printer")) as host:
        assert host.ask(b"?", 4) == b"?ok\n"


def test_another_process_holds_a_port_and_lets_go(make: Make) -> None:
    pos = make()
    path = pos.path("modem")
    assert holders(path) == []
    pos.set({"modem.owner": "payment_app"})
    (pid,) = holders(path)
    assert Path(f"/proc/{pid}/comm").read_text().strip() == "payment_app"
    with Host(path, 115200) as host:

        def locked() -> bool:
            try:
                fcntl.flock(host.handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                return True
            fcntl.flock(host.handle, fcntl.LOCK_UN)
            return False

        wait_until(locked)
        pos.set({"modem.owner": "none"})
        assert holders(path) == []
        assert not locked()


def test_the_holder_follows_the_cable(make: Make) -> None:
    pos = make()
    pos.set({"modem.owner": "payment_app"})
    pos.set({"modem.cable": "out"})
    pos.set({"modem.cable": "in"})
    assert len(holders(pos.path("modem"))) == 1


def test_the_simulator_itself_holds_no_port(make: Make) -> None:
    pos = make()
    device = os.path.realpath(pos.path("printer"))
    ours = []
    for handle in Path("/proc/self/fd").iterdir():
        try:
            ours.append(str(handle.readlink()))
        except OSError:
            continue
    assert device not in ours


def test_input_events_come_through_a_fifo(make: Make) -> None:
    pos = make(families={"keypad": "evdev"})
    handle = os.open(pos.path("keypad"), os.O_RDONLY | os.O_NONBLOCK)
    try:
        pos.set(keypad_held="enter")
        assert select.select([handle], [], [], 20)[0]
        pos.set({"keypad.cable": "out"})
        wait_until(lambda: select.select([handle], [], [], 0)[0] and os.read(handle, 4096) == b"")
    finally:
        os.close(handle)
    assert not pos.path("keypad").exists()
    with pytest.raises(Illegal, match=r"keypad\.line cannot be 'noisy'; it is one of clean, late, mute"):
        pos.set(keypad_line="noisy")


def test_a_device_that_repeats_keeps_its_own_time(make: Make) -> None:
    pos = make()
    with Host(pos.path("keypad")) as host:
        pos.set(keypad_held="enter")
        assert host.read(13).count(b"k") >= 6
        pos.set(keypad_held="none")
        heard = bytearray()
        wait_until(lambda: heard.extend(host.read(1, limit_s=1.0)) or heard.endswith(b"!none\n"))
        assert host.read(1, limit_s=0.3) == b""


def test_breaches_of_the_protocol_are_counted(make: Make) -> None:
    pos = make()
    assert pos.violations() == {}
    with Host(pos.path("printer")) as host:
        host.write(b"\xff\xff")
        wait_until(lambda: pos.violations() == {"printer": {"an FF": 2}})
    assert pos.get()["printer.violations"] == 2
    assert pos.get()["printer.violations_detail"] == "an FF (2)"
