"""Serial links over real pseudo terminals, and who holds them, with real other processes."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Self

import pytest

from drivers import link as link_module
from drivers import owner
from drivers.errors import LinkLost, PortBusy
from drivers.link import LineSettings, SerialLink
from drivers.owner import who_holds
from tests.drivers.far_end import FarEnd
from tests.wait import wait_until

_HOLD = "import sys; line = open(sys.argv[1], 'rb+', buffering=0); print('ready', flush=True); sys.stdin.read()"
_LOCK = (
    "import fcntl, sys; line = open(sys.argv[1], 'rb+', buffering=0); fcntl.flock(line, fcntl.LOCK_EX);"
    " print('ready', flush=True); sys.stdin.read()"
)


class Other:
    """Another process that has the port open until the end of the block."""

    def __init__(self, program: str, port: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", program, port], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"
        self.pid = self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate("")


@pytest.fixture
def far():
    with FarEnd(lambda data: data.upper()) as end:
        yield end


@pytest.fixture
def line(far: FarEnd):
    opened = SerialLink(far.port, LineSettings())
    yield opened
    opened.close()


def test_what_is_written_arrives_and_what_answers_is_read(far: FarEnd, line: SerialLink):
    line.write(b"hello")
    assert line.read(5) == b"HELLO"
    assert bytes(far.heard) == b"hello"


def test_every_byte_value_passes_both_ways(far: FarEnd, line: SerialLink):
    everything = bytes(range(256))
    line.write(everything)
    wait_until(lambda: bytes(far.heard) == everything)
    seen = b""
    while len(seen) < 256:
        seen += line.read(5)
    assert seen == everything.upper()


def test_read_returns_as_soon_as_something_is_there(far: FarEnd, line: SerialLink):
    start = time.monotonic()
    line.write(b"x")
    assert line.read(30) == b"X"
    assert time.monotonic() - start < 20


def test_silence_is_empty_after_the_timeout(line: SerialLink):
    start = time.monotonic()
    assert line.read(0.1) == b""
    assert 0.09 < time.monotonic() - start < 20
    assert line.drain() == b""


def test_drain_takes_what_waits(far: FarEnd, line: SerialLink):
    far.send(b"x" * 1000)
    seen = bytearray()
    assert wait_until(lambda: seen.extend(line.drain()) or len(seen) == 1000)


def test_wake_ends_a_blocked_read_from_another_thread(line: SerialLink):
    answers: list[bytes] = []
    reader = threading.Thread(target=lambda: answers.append(line.read(30)))
    start = time.monotonic()
    reader.start()
    line.wake()
    reader.join(40)
    assert answers == [b""]
    assert time.monotonic() - start < 20
    assert line.read(0) == b"", "one wake ends one read"


def test_hang_up_is_a_lost_link(far: FarEnd, line: SerialLink):
    far.hang_up()
    with pytest.raises(LinkLost):
        line.read(5)
    with pytest.raises(LinkLost):
        line.write(b"x")


def test_a_closed_link_is_lost_and_closes_twice(line: SerialLink):
    line.close()
    line.close()
    line.wake()
    for act in (lambda: line.read(0), line.drain, lambda: line.write(b"x")):
        with pytest.raises(LinkLost):
            act()


def test_an_absent_port_is_lost(tmp_path: Path):
    with pytest.raises(LinkLost, match="does not exist"):
        SerialLink(str(tmp_path / "none"), LineSettings())


def test_a_file_is_no_port(tmp_path: Path):
    path = tmp_path / "file"
    path.write_bytes(b"")
    with pytest.raises(LinkLost, match="is no serial port"):
        SerialLink(str(path), LineSettings())


def test_a_link_to_the_port_opens_the_port(far: FarEnd, tmp_path: Path):
    alias = tmp_path / "printer"
    alias.symlink_to(far.port)
    opened = SerialLink(str(alias), LineSettings())
    opened.write(b"a")
    assert opened.read(5) == b"A"
    opened.close()


def test_a_port_that_another_process_has_open_is_busy_and_named(far: FarEnd):
    assert who_holds(far.port) is None, "our own process does not count"
    with Other(_HOLD, far.port) as other:
        assert f"(pid {other.pid})" in (who_holds(far.port) or "")
        with pytest.raises(PortBusy) as busy:
            SerialLink(far.port, LineSettings())
        assert f"(pid {other.pid})" in busy.value.owner
    assert who_holds(far.port) is None
    SerialLink(far.port, LineSettings()).close()


def test_a_lock_counts_where_the_process_cannot_be_seen(far: FarEnd, monkeypatch: pytest.MonkeyPatch):
    # As with a process of another user, whose open files /proc does not show.
    monkeypatch.setattr(link_module, "who_holds", lambda _port: None)
    with Other(_LOCK, far.port), pytest.raises(PortBusy, match="locked"):
        SerialLink(far.port, LineSettings())
    SerialLink(far.port, LineSettings()).close()


def test_two_agents_never_talk_at_once(far: FarEnd, line: SerialLink):
    with pytest.raises(PortBusy):
        SerialLink(far.port, LineSettings())


def test_opening_does_not_lock_others_out_of_the_tty(far: FarEnd, line: SerialLink):
    with Other(_HOLD, far.port):  # with TIOCEXCL set, its open would fail unless it is root
        pass
    exclusive = subprocess.run(
        [sys.executable, "-c", "import fcntl,struct,sys\nfd=open(sys.argv[1]);print(struct.unpack('i',fcntl.ioctl(fd,0x80045440,bytes(4)))[0])", far.port],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert exclusive.stdout.strip() == "0"


def test_a_uucp_lock_of_a_living_process_counts(far: FarEnd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(owner, "_LOCK_DIRS", (str(tmp_path),))
    lock = tmp_path / f"LCK..{Path(far.port).name}"
    with FarEnd() as unrelated, Other(_HOLD, unrelated.port) as other:
        lock.write_text(f"{other.pid:10d}\n")
        assert f"(pid {other.pid})" in (who_holds(far.port) or "")
        with pytest.raises(PortBusy):
            SerialLink(far.port, LineSettings())
    assert who_holds(far.port) is None, "its process has ended"


@pytest.mark.parametrize(
    "text", [b"", b"not a pid\n", b"\xff\xfe", str(os.getpid()).encode()], ids=["empty", "words", "bytes", "ours"]
)
def test_a_uucp_lock_that_says_nothing_is_passed_over(
    far: FarEnd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: bytes
):
    monkeypatch.setattr(owner, "_LOCK_DIRS", (str(tmp_path),))
    (tmp_path / f"LCK..{Path(far.port).name}").write_bytes(text)
    assert who_holds(far.port) is None


def test_nobody_holds_what_does_not_exist(tmp_path: Path):
    assert who_holds(str(tmp_path / "none")) is None


def test_a_child_of_ours_that_is_being_born_holds_nothing() -> None:
    """Between fork and exec it has what we have, and would look like somebody who took our port."""
    program = (
        "import os, drivers.owner as owner\n"
        "read, write = os.pipe()\n"
        "child = os.fork()\n"
        "if not child:\n    os.read(read, 1)\n    os._exit(0)\n"
        "print(owner._is_being_born(str(child), os.getpid()), owner._is_being_born(str(os.getpid()), os.getppid()))\n"
        "os.write(write, b'.')\n"
        "os.waitpid(child, 0)\n"
    )
    command = [sys.executable, "-P", "-c", program]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20)
    assert said.stdout.split() == ["True", "False"]


@pytest.mark.parametrize("baud", [10**12, -1])
def test_a_speed_that_no_port_can_have_is_a_driver_error(baud: int):
    with FarEnd() as far, pytest.raises(LinkLost, match="cannot be opened"):
        SerialLink(far.port, LineSettings(baud=baud))
