"""Misreadings of the makers' tables, planted one at a time: each must turn a test red.

A driver that reads a bit from the wrong place passes every test that was written from the driver. These show that the
golden frames and the second reading of the simulator catch that.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.planted.mutant import STALE

pytestmark = pytest.mark.timeout(200)  # a Python and a test run each, and whatever hypothesis makes of what fails
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Misreading:
    """`old` becomes `new` in the source of `module`; one of `judges` must fail."""

    name: str
    module: str
    old: str
    new: str
    judges: tuple[str, ...]


def of(module: str, *judges: str) -> object:
    """A maker of misreadings of one module, judged by the same test files."""
    files = tuple(f"tests/{judge}.py" for judge in judges)
    return lambda name, old, new: Misreading(name, module, old, new, files)


escpos = of("drivers.codecs.escpos", "codecs/test_escpos")
escpos_line = of("drivers.codecs.escpos", "drivers/test_escpos")
escpos_status = of("drivers.codecs.escpos_status", "codecs/test_escpos_status")
escpos_driver = of("drivers.escpos", "drivers/test_escpos")
at = of("drivers.codecs.at", "codecs/test_at")
at_replies = of("drivers.codecs.at_replies", "drivers/test_modem", "codecs/test_at_replies")
at_quectel = of("drivers.codecs.at_quectel", "drivers/test_modem")
at_simcom = of("drivers.codecs.at_simcom", "drivers/test_modem")
creator = of("drivers.codecs.creator", "codecs/test_creator")
crt571 = of("drivers.crt571", "drivers/test_crt571")
vivotech2 = of("drivers.codecs.vivotech2", "codecs/test_vivotech2")
neo = of("drivers.neo", "drivers/test_neo")
ccid_serial = of("drivers.codecs.ccid_serial", "codecs/test_ccid_serial")
gempc = of("drivers.gempc", "drivers/test_gempc")
szzt = of("drivers.codecs.szzt", "codecs/test_szzt", "drivers/test_zt588")
zt588 = of("drivers.zt588", "drivers/test_zt588")
smartpin = of("drivers.codecs.smartpin", "codecs/test_smartpin", "drivers/test_smartpin")
smartpin_driver = of("drivers.smartpin", "drivers/test_smartpin")
evdev = of("drivers.codecs.evdev", "codecs/test_evdev")

MISREADINGS = [
    # Receipt printer
    escpos_status(
        "near end and paper end swapped in DLE EOT 4",
        '4: {"near_end": 0x0C, "paper_end": 0x60}',
        '4: {"near_end": 0x60, "paper_end": 0x0C}',
    ),
    escpos_status(
        "the cover of DLE EOT 2 at the packet's bit",
        '2: {"cover_open": 0x04, "feeding": 0x08, "paper_stop": 0x20,',
        '2: {"cover_open": 0x20, "feeding": 0x08, "paper_stop": 0x04,',
    ),
    escpos_status("the offline bit inverted", 'if not view["offline"]:\n        return _INC', 'if view["offline"]:\n        return _INC'),
    escpos_status("the packet's paper at the bits of DLE EOT 4", '"near_end": 0x03, "paper_end": 0x0C', '"near_end": 0x0C, "paper_end": 0x60'),
    escpos_status("the packet's cover at the bit of DLE EOT 2", '"offline": 0x08, "cover_open": 0x20', '"offline": 0x08, "cover_open": 0x04'),
    escpos_status("cutter for mechanical in DLE EOT 3", '3: {"mechanical": 0x04, "cutter": 0x08', '3: {"mechanical": 0x08, "cutter": 0x04'),
    escpos_status(
        "what ends by itself for what never ends",
        '"unrecoverable": 0x20, "auto_recoverable": 0x40},\n    4:',
        '"unrecoverable": 0x40, "auto_recoverable": 0x20},\n    4:',
    ),
    escpos_status("the packet's bytes from the end", "for byte, table in zip(data, tables", "for byte, table in zip(data[::-1], tables"),
    escpos_status("paper believed under an open cover", 'return _MASKED if view["offline"] else _INCONSISTENT\n    if view.end', 'return "out" if view["offline"] else _INCONSISTENT\n    if view.end'),
    escpos_status("half a paper sensor taken for a whole one", "return {name: None if 0 < byte & mask < mask else bool(byte & mask)", "return {name: bool(byte & mask)"),
    escpos("a status reply known by its set bits alone", "if byte & 0x93 == 0x12:", "if byte & 0x12 == 0x12:"),
    escpos_line("XON for XOFF", "XON: Final = 0x11\nXOFF: Final = 0x13", "XON: Final = 0x13\nXOFF: Final = 0x11"),
    escpos("a counter's number high byte first", 'number.to_bytes(2, "little")', 'number.to_bytes(2, "big")'),
    escpos_driver("a state believed at its first word", "if same >= (3 if self._line.wary else 2):", "if same >= 1:"),
    # Modem
    at_replies("RSRP one too strong", "return index - 141", "return index - 140"),
    at_replies("RSRQ by its upper edge", "return index / 2 - 20", "return index / 2 - 19.5"),
    at_replies("RSSI in steps of one", "rssi_dbm=2 * rssi - 113", "rssi_dbm=rssi - 113"),
    at_replies("the TD-SCDMA scale without its offset", "rssi_dbm=rssi - 216", "rssi_dbm=rssi - 116"),
    at_replies("denied for roaming", '3: "denied",\n    4: "unknown",\n    5: "roaming"', '3: "roaming",\n    4: "unknown",\n    5: "denied"'),
    at_replies("no card for a broken one", '"10": "absent"', '"10": "failure"'),
    at_replies("PUK for PIN", '"SIM PIN": "pin"', '"SIM PIN": "puk"'),
    at_replies("the clock's zone with the wrong sign", "return local - timedelta(", "return local + timedelta("),
    at_replies("a card's digits not swapped back", "digits[i + 1] + digits[i]", "digits[i] + digits[i + 1]"),
    at_replies("an active context for one that is not", "for cid, state in states if state}", "for cid, state in states if not state}"),
    at("an error in digits for success", '_NUMERIC_RESULTS = {"0": True, "4": False}', '_NUMERIC_RESULTS = {"0": False, "4": True}'),
    at_quectel("RSRP and RSRQ swapped", "rsrp_dbm=_maybe(row[11], -140, -44)", "rsrp_dbm=_maybe(row[12], -140, -3)"),
    at_quectel("the coolest sensor for the hottest", "return max(real, default=None)", "return min(real, default=None)"),
    at_simcom("tenths of a decibel taken whole", "unit = 10 if tenths else 1", "unit = 1 if tenths else 1"),
    # Card readers
    creator("the check byte without the end byte", "return frame + bytes((reduce(xor, frame),))", "return frame + bytes((reduce(xor, frame[:-1]),))"),
    creator("NAK read as ACK", "return Ack() if first in ACK else Nak()", "return Nak() if first in ACK else Ack()"),
    creator("the status one byte early", 'command, frame[7:10], "", frame[10:-2]', 'command, frame[6:9], "", frame[10:-2]'),
    creator("the error code one byte early", "code = frame[7:9]", "code = frame[6:8]"),
    crt571("a card at the gate for one inside", '0x31: "gate", 0x32: "present"', '0x31: "present", 0x32: "gate"'),
    crt571("a full bin for one that is not", '_BIN = {0x30: "ok", 0x31: "full"}', '_BIN = {0x30: "full", 0x31: "ok"}'),
    vivotech2("the host's CRC high byte first", '_crc(frame).to_bytes(2, "little")', '_crc(frame).to_bytes(2, "big")'),
    vivotech2("the reader's CRC low byte first", '"little" if crc_order == "lsb" else "big"', '"big" if crc_order == "lsb" else "little"'),
    vivotech2("the CRC from zero", "crc_hqx(data, 0xFFFF)", "crc_hqx(data, 0)"),
    neo("tampered taken for a failed self-test", "_TAMPER = 0x1D", "_TAMPER = 0x10"),
    ccid_serial("a card taken out for one put in", "present=state == 0x03", "present=state == 0x02"),
    ccid_serial("the message's length high byte first", 'int.from_bytes(kept[3:7], "little") + 1', 'int.from_bytes(kept[3:7], "big") + 1'),
    gempc("the slot's status inverted", '_CARD = ("present", "present", "absent")', '_CARD = ("absent", "absent", "present")'),
    gempc("more time taken for a failure", "_FAILED, _MORE_TIME, _RESERVED = 1, 2, 3", "_FAILED, _MORE_TIME, _RESERVED = 2, 1, 3"),
    # Keypads and PIN pads
    szzt("low battery and missing keys swapped", "LOW_BATTERY = 0xE0\nKEYS_MISSING = frozenset({0xE1, 0xE2})", "LOW_BATTERY = 0xE1\nKEYS_MISSING = frozenset({0xE0, 0xE2})"),
    szzt("the master key's bit inverted", "no_master_key=bool(settings[0] & 0x01)", "no_master_key=not settings[0] & 0x01"),
    szzt("the check without the end byte", 'b"%02X" % reduce(xor, body)', 'b"%02X" % reduce(xor, body[:-1])'),
    zt588("loaded for missing", '"missing" if told.no_master_key else "loaded"', '"loaded" if told.no_master_key else "missing"'),
    smartpin("LRC and sum swapped", "bytes((reduce(xor, body), sum(body) & 0xFF, ETX))", "bytes((sum(body) & 0xFF, reduce(xor, body), ETX))"),
    smartpin("a stopped key for a present one", "ABSENT, PRESENT, STOPPED = 0x00, 0x01, 0xFF", "ABSENT, PRESENT, STOPPED = 0x00, 0xFF, 0x01"),
    smartpin("a key's status from its slot", 'int.from_bytes(block[1:3], "big"), block[3])', 'int.from_bytes(block[1:3], "big"), block[2])'),
    smartpin("an announced removal for an illegal one", "return self.state == 2", "return self.state == 1"),
    smartpin_driver("torn off for untouched", "if self._watch.look(log):", "if not self._watch.look(log):"),
    evdev("a key's release for its press", "UP, DOWN, REPEAT = 0, 1, 2", "UP, DOWN, REPEAT = 1, 0, 2"),
    evdev("the number block upside down", '_KEYPAD = {71: "7", 72: "8", 73: "9"', '_KEYPAD = {71: "1", 72: "2", 73: "3"'),
    # What keeps noise and late answers from being read as states
    of("drivers.confirm", "drivers/test_crt571", "drivers/test_gempc", "drivers/test_neo")(
        "a changed answer believed at once", "if first == self._last:", "if first != b'':"
    ),
    of("drivers.exchange", "drivers/test_exchange")(
        "a late answer taken for the next one", "self._quiet = Deadline(self._quiet_s, self.clock)\n                if bad:", "self._quiet = None\n                if bad:"
    ),
]  # fmt: skip


def _run(module: str, old: str, new: str, judges: tuple[str, ...], scratch: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.planted.mutant", module, old, new, *judges],
        cwd=ROOT,
        env={**os.environ, "HYPOTHESIS_STORAGE_DIRECTORY": str(scratch)},  # what fails here must not be remembered
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )


@pytest.mark.parametrize("planted", MISREADINGS, ids=lambda planted: planted.name)
def test_a_planted_misreading_is_caught(planted: Misreading, tmp_path: Path):
    done = _run(planted.module, planted.old, planted.new, planted.judges, tmp_path)
    assert done.returncode != STALE, done.stdout
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, f"nothing noticed:\n{done.stdout}{done.stderr}"
    assert "1 failed" in done.stdout


def test_a_change_without_meaning_is_not_caught(tmp_path: Path):
    """What fails above fails for the misreading, not for the way in which it is planted."""
    done = _run("drivers.codecs.creator", "_MOST_KEPT = 1024", "_MOST_KEPT = 1025", ("tests/codecs/test_creator.py",), tmp_path)  # fmt: skip
    assert done.returncode == pytest.ExitCode.OK, done.stdout


def test_a_misreading_of_a_text_that_is_not_there_is_told(tmp_path: Path):
    done = _run("drivers.codecs.creator", "no such text", "", ("tests/codecs/test_creator.py",), tmp_path)
    assert done.returncode == STALE


def test_there_are_at_least_twenty_and_no_two_alike():
    assert len(MISREADINGS) >= 20
    assert len({(each.module, each.old, each.new) for each in MISREADINGS}) == len(MISREADINGS)
