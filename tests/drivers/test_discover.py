"""Discovery over real pseudo terminals: who is found, what goes out before, and what is left alone."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import termios
import threading
import time
from pathlib import Path

import pytest

from drivers import catalog, discover
from drivers.codecs import smartpin
from drivers.discover import Candidate, Found, Nothing, Skipped, Trying, candidates
from firmware_notes import load_golden
from tests.drivers.far_end import FarEnd

ZT588 = {frame.name: frame.data for frame in load_golden("zt588")}
SMARTPIN = {frame.name: frame.data for frame in load_golden("smartpin")}
_DLE_EOT = re.compile(rb"\x10\x04[\x01-\x04]")
_GS_I = re.compile(rb"\x1dI(.)")
_TEXTS = {b"A": b"1.23", b"B": b"MAKER", b"C": b"TM-X", b"D": b"S123", b"E": b""}


def zt588(data: bytes) -> bytes:
    return ZT588["identity, input on"] if data.endswith(ZT588["who are you"]) else b""


def smart(data: bytes) -> bytes:
    answers = {"784601": "firmware", "784602": "serial", "784620": "model"}
    for body, name in answers.items():
        if data == smartpin.encode(bytes.fromhex(body)):
            return SMARTPIN[name]
    return b""


def printer(*, named: bool):
    def respond(data: bytes) -> bytes:
        answer = b"\x12" * len(_DLE_EOT.findall(data))
        for number in _GS_I.findall(data):
            answer += b"_" + _TEXTS[number] + b"\0" if named and number in _TEXTS else b""
        return answer

    return respond


def modem(maker: str):
    texts = {"+CGMI": maker, "+CGMM": "EC25", "+CGMR": "EC25EFAR06A01M4G", "+CGSN": "490154203237518"}
    line = bytearray()

    def respond(data: bytes) -> bytes:
        answer = b""
        line.extend(data)
        while b"\r" in line:
            command, _, rest = bytes(line).partition(b"\r")
            line[:] = rest
            word = command[command.rfind(b"AT") + 2 :].decode("latin-1")
            info = f"\r\n{texts[word]}\r\n" if word in texts else ""
            known = word in texts or word[:1] in {"E", "V", "+", ""}
            answer += (info + ("\r\nOK\r\n" if known else "\r\nERROR\r\n")).encode()
        return answer

    return respond


def look(far: FarEnd) -> tuple[list[discover.Step], float]:
    start = time.monotonic()
    steps = list(discover.discover([far.port]))
    return steps, time.monotonic() - start


def test_a_pin_pad_with_checked_frames_is_certain():
    with FarEnd(zt588) as far:
        steps, took = look(far)
    found = steps[-1]
    assert isinstance(found, Found)
    assert (found.port, found.family, found.unit, found.baud) == (far.port, "zt588", "keypad", 9600)
    assert found.identity.model == "ZT588"
    assert found.confidence == "certain"
    assert "check" in found.reason
    assert all(isinstance(step, Trying) for step in steps[:-1])
    assert took < 15


def test_looking_for_a_pad_does_not_empty_its_removal_log():
    with FarEnd(smart) as far:
        steps, _ = look(far)
        heard = bytes(far.heard)
    assert isinstance(steps[-1], Found)
    assert (steps[-1].family, steps[-1].confidence) == ("smartpin", "certain")
    assert smartpin.Question.REMOVALS not in heard


def test_a_printer_gets_nothing_that_it_would_print():
    with FarEnd(printer(named=True)) as far:
        steps, took = look(far)
        heard = bytes(far.heard)
    found = steps[-1]
    assert isinstance(found, Found)
    assert (found.family, found.identity.model, found.confidence) == ("escpos", "TM-X", "certain")
    assert took < 10
    rest = _GS_I.sub(b"", _DLE_EOT.sub(b"", heard))
    assert rest == b"", "neither text nor a setting, such as automatic status"


def test_a_printer_without_a_name_is_likely():
    with FarEnd(printer(named=False)) as far:
        steps, _ = look(far)
    assert isinstance(steps[-1], Found)
    assert (steps[-1].family, steps[-1].confidence) == ("escpos", "likely")


def test_every_speed_of_a_printer_is_excluded_before_any_text_goes_out():
    speeds = {(catalog.family("escpos").baud), *catalog.family("escpos").other_bauds}
    order = [(kind.unit, baud) for kind, baud in discover._plan()]
    first_other = next(place for place, (unit, _) in enumerate(order) if unit != "printer")
    assert {baud for _, baud in order[:first_other]} == speeds
    assert all(unit != "printer" for unit, _ in order[first_other:])
    with FarEnd() as far:
        for step in discover.discover([far.port]):
            if isinstance(step, Trying) and step.family != "escpos":
                assert bytes(far.heard) == b"\x10\x04\x01" * len(speeds)
                break


@pytest.mark.parametrize(
    ("maker", "family"), [("Quectel", "quectel"), ("SIMCOM INCORPORATED", "simcom"), ("Huawei", "at")]
)
def test_a_modem_is_found_by_its_maker(maker: str, family: str):
    with FarEnd(modem(maker)) as far:
        steps, took = look(far)
    found = steps[-1]
    assert isinstance(found, Found)
    assert (found.family, found.identity.manufacturer, found.confidence) == (family, maker, "certain")
    assert took < 15


def test_silence_is_nothing_and_ends_in_time(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(discover, "PORT_S", 1.5)
    with FarEnd() as far:
        steps, took = look(far)
    assert steps[-1] == Nothing(far.port, 0)
    assert took < 10


def test_a_port_that_talks_unasked_is_told(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(discover, "PORT_S", 1.0)
    done = threading.Event()
    with FarEnd() as far:

        def babble() -> None:
            while not done.wait(0.02):
                far.send(b"$GPGGA,092204.999,4250.5589,S\r\n")

        talker = threading.Thread(target=babble)
        talker.start()
        steps, _ = look(far)
        done.set()
        talker.join()
    assert isinstance(steps[-1], Nothing)
    assert steps[-1].heard > 0


def test_a_held_port_is_left_alone_and_its_holder_named():
    program = "import sys; line = open(sys.argv[1], 'rb+', buffering=0); print('ready', flush=True); sys.stdin.read()"
    with FarEnd(zt588) as far:
        holder = subprocess.Popen(
            [sys.executable, "-c", program, far.port], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert holder.stdout is not None
        assert holder.stdout.readline() == "ready\n"
        steps, _ = look(far)
        holder.communicate("")
        assert steps == [Skipped(far.port, "held", steps[0].owner)]
        assert f"(pid {holder.pid})" in steps[0].owner
        assert bytes(far.heard) == b""


def test_an_absent_port_is_skipped(tmp_path: Path):
    [*_, last] = discover.discover([str(tmp_path / "none")])
    assert isinstance(last, Skipped)
    assert "does not exist" in last.why


def test_a_port_that_takes_no_bytes_does_not_end_the_search():
    with FarEnd(zt588) as stopped, FarEnd(zt588) as good:
        held = os.open(stopped.port, os.O_RDWR | os.O_NOCTTY)
        termios.tcflow(held, termios.TCOOFF)
        try:
            steps = [step for step in discover.discover([stopped.port, good.port]) if not isinstance(step, Trying)]
        finally:
            termios.tcflow(held, termios.TCOON)
            os.close(held)
    assert steps[0] == Skipped(stopped.port, "no reply to a write: the device takes no bytes")
    assert isinstance(steps[1], Found)


def test_what_is_no_serial_port_is_said_to_be_none(tmp_path: Path):
    (tmp_path / "notes.txt").write_text("x")
    steps = [step for step in discover.discover([f"{tmp_path}/*", str(tmp_path)]) if not isinstance(step, Trying)]
    assert steps == [
        Skipped(f"{tmp_path}/notes.txt", f"{tmp_path}/notes.txt is no serial port"),
        Skipped(str(tmp_path), f"{tmp_path} cannot be opened: Is a directory"),
    ]


def test_a_sale_ends_it():
    with FarEnd(zt588) as far:
        steps = list(discover.discover([far.port], yield_now=lambda: True))
        assert steps == [Skipped(far.port, "a sale began")]
        assert bytes(far.heard) == b""


def test_a_fifo_that_plays_a_keypad_is_a_guess(tmp_path: Path):
    path = tmp_path / "keypad"
    os.mkfifo(path)
    [*_, found] = discover.discover([str(path)])
    assert isinstance(found, Found)
    assert (found.family, found.confidence) == ("evdev", "guess")


def test_candidates_are_ports_with_hardware_by_their_stable_names(tmp_path: Path):
    dev, sys_tree, proc = tmp_path / "dev", tmp_path / "sys", tmp_path / "proc"
    (dev / "serial/by-id").mkdir(parents=True)
    for name in ("ttyS0", "ttyS1", "ttyUSB0", "ttyACM0", "tty1"):
        (dev / name).touch()
    (dev / "serial/by-id/usb-Maker_Printer_1").symlink_to(dev / "ttyUSB0")
    for name, kind in (("ttyS0", "4"), ("ttyS1", "0")):
        (sys_tree / "class/tty" / name).mkdir(parents=True)
        (sys_tree / "class/tty" / name / "type").write_text(f"{kind}\n")
    (proc / "bus/input").mkdir(parents=True)
    (proc / "bus/input/devices").write_text(
        'N: Name="Power Button"\nH: Handlers=kbd event0\nB: EV=3\nB: KEY=10000000000000 0\n\n'
        'N: Name="USB Keypad"\nH: Handlers=sysrq kbd event3 leds\nB: EV=120013\nB: KEY=ffc\n\n'
        'N: Name="Mouse"\nH: Handlers=mouse0 event4\nB: EV=17\nB: KEY=1f0000 0 0 0 0\n\n'
    )
    found = candidates(dev=str(dev), sys=str(sys_tree), proc=str(proc))
    assert found == [
        Candidate(f"{dev}/ttyS0", f"{dev}/ttyS0"),
        Candidate(f"{dev}/serial/by-id/usb-Maker_Printer_1", f"{dev}/ttyUSB0"),
        Candidate(f"{dev}/ttyACM0", f"{dev}/ttyACM0"),
        Candidate(f"{dev}/input/event3", f"{dev}/input/event3", "input"),
    ]
    given = candidates([f"{dev}/ttyS*", f"{dev}/ttyS0", f"{dev}/none"])
    assert [each.port for each in given] == [f"{dev}/ttyS0", f"{dev}/ttyS1", f"{dev}/none"]
