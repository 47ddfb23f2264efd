"""pcscd with libccidtwin against the simulated GemPC Twin, seen through pcsc_scan: empty, card in, card out."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from simulator.terminal import Terminal
from tests.peers.peer import environment, program, run
from tests.peers.tap import Tap
from tests.wait import wait_until

pytestmark = pytest.mark.peers

LIBRARY = Path("/usr/lib/pcsc/drivers/serial/libccidtwin.so")
NAME = "POS chip reader"
ATR = bytes.fromhex("3b65000053494d3031")
SLOT_STATUS, POWER_ON = 0x65, 0x62
INSERTED, REMOVED = b"\x50\x03", b"\x50\x02"


@contextmanager
def running(command: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as out:
        process = subprocess.Popen(
            [program(command[0]), *command[1:]],
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def pcscd(device: str, folder: Path) -> Iterator[Path]:
    """The daemon with this one reader; yields its log."""
    assert LIBRARY.exists(), f"{LIBRARY} is not there; tests/peers/install.sh installs libccid"
    readers = folder / "readers"
    readers.mkdir()
    (readers / "twin").write_text(f'FRIENDLYNAME "{NAME}"\nDEVICENAME {device}:GemPCTwin\nLIBPATH {LIBRARY}\n')
    log = folder / "pcscd.log"
    with running(["pcscd", "--foreground", "--config", str(readers)], log) as daemon:
        yield log
        assert daemon.poll() is None, log.read_text(errors="replace")


@pytest.fixture
def twin(pos_terminal_factory) -> Terminal:
    return pos_terminal_factory(families={"reader": "gempc"})


def messages(data: bytes, kind: int) -> list[bytes]:
    """The frames of one kind: 03 06, a CCID message, the exclusive or of all. One that is still coming is none yet."""
    found = []
    at = data.find(b"\x03\x06")
    while at >= 0:
        end = at + 13 + int.from_bytes(data[at + 3 : at + 7], "little")
        if end > len(data):
            break
        if data[at + 2] == kind:
            found.append(data[at:end])
        at = data.find(b"\x03\x06", end)
    return found


def test_a_card_comes_and_goes(twin: Terminal, tmp_path: Path) -> None:
    with Tap(twin.path("reader")) as tap, pcscd(tap.path, tmp_path) as log:
        wait_until(lambda: NAME in run("pcsc_scan", "-r").stdout, every_s=0.2)
        asked, answered = tap.asked, tap.answered
        assert asked.startswith(b"\x03\x06\x6b\x01\x00\x00\x00\x00\x00\x00\x00\x00\x02\x6d")  # asks its firmware
        assert answered.startswith(messages(asked, 0x6B)[0])  # what a host sends comes back first
        assert b"GemTwRC2-SIM-V1.02" in answered

        scan_log = tmp_path / "scan.log"
        with running(["pcsc_scan", "-n"], scan_log):
            seen = scan_log.read_bytes
            wait_until(lambda: b"Card removed" in seen())
            assert b"Card inserted" not in seen()
            # bStatus 02: no card; bError 00; bClockStatus 01
            slot = messages(tap.answered, 0x81)[-1]
            assert slot[9:12] == b"\x02\x00\x01"

            tap.take()
            twin.set({"reader.card": "present"})
            wait_until(lambda: b"Card inserted" in seen())
            wait_until(lambda: f"ATR: {ATR.hex(' ').upper()}".encode() in seen())
            asked, answered = tap.take()
            assert INSERTED in answered
            assert len(messages(asked, POWER_ON)) == 1
            assert [m[12:-1] for m in messages(answered, 0x80)] == [ATR]

            twin.set({"reader.card": "absent"})
            wait_until(lambda: seen().count(b"Card removed") == 2)
            asked, answered = tap.take()
            assert REMOVED in answered
            assert messages(asked, POWER_ON) == []
            assert messages(answered, 0x81)[-1][9:12] == b"\x02\x00\x01"

            twin.set({"reader.card": "left"})  # a reader of this kind cannot tell left from present
            wait_until(lambda: seen().count(b"Card inserted") == 2)
        complaints = [line for line in log.read_text(errors="replace").splitlines() if "error" in line.lower()]
        assert complaints == []
    assert twin.violations() == {}


def test_a_failed_self_test_is_no_reader(twin: Terminal, tmp_path: Path) -> None:
    twin.set({"reader.self_test": "failed", "reader.card": "present"})
    with Tap(twin.path("reader")) as tap, pcscd(tap.path, tmp_path):
        wait_until(lambda: messages(tap.answered, 0x81))
        assert messages(tap.answered, 0x81)[0][9:12] == b"\x41\xfb\x01"  # failed, hardware error; a card without power
        assert b"Card inserted" not in run("pcsc_scan", "-r").stdout.encode()
        assert messages(tap.asked, POWER_ON) == []
    assert twin.violations() == {}
