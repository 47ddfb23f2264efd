"""The simulated printer against the manuals' tables."""

from __future__ import annotations

import random

import pytest

from simulator.device import Illegal
from simulator.devices.printer import BUFFER_BYTES, Printer
from tests.simulator.bench import Bench, golden

GOLDEN = golden("escpos")
QUERIES = [b"\x10\x04\x01", b"\x10\x04\x02", b"\x10\x04\x03", b"\x10\x04\x04"]
GS_A_ALL = b"\x1d\x61\x0f"

# What each condition looks like: DLE EOT 1 to 4, then the ASB packet.
LOOKS = [
    ({}, "12121212", "10000000"),
    ({"paper": "near_end"}, "1212121e", "10000300"),
    ({"paper": "out"}, "1a32127e", "18000f00"),
    ({"cover": "open"}, "1a16127e", "38000f00"),
    ({"cutter": "error"}, "1a521a12", "18080000"),
    ({"mechanism": "error"}, "1a521612", "18040000"),
    ({"mechanism": "dead"}, "1a523212", "18200000"),
    ({"head": "hot"}, "1a525212", "18400000"),
    ({"paper": "out", "cover": "open"}, "1a16127e", "38000f00"),
    ({"paper": "out", "cutter": "error"}, "1a721a7e", "18080f00"),
]


@pytest.fixture
def bench() -> Bench:
    return Bench(Printer)


def status(bench: Bench) -> str:
    return b"".join(bench.ask(query) for query in QUERIES).hex()


@pytest.mark.parametrize(("state", "queried", "packet"), LOOKS)
def test_a_condition_looks_as_in_the_manual(bench: Bench, state, queried, packet):
    assert bench.ask(GS_A_ALL).hex() == "10000000"
    reported = bench.set(**state)
    assert status(bench) == queried
    if state:
        assert reported[-4:].hex() == packet
        assert len(reported) % 4 == 0
    assert bench.device.violations == {}


@pytest.mark.parametrize(
    ("name", "state"),
    [
        ("ready", {}),
        ("near end", {"paper": "near_end"}),
        ("paper out", {"paper": "out"}),
        ("paper out without near-end sensor", {"model": "zjiang", "paper": "out"}),
        ("cover open, sensors lie", {"cover": "open"}),
        ("cutter error", {"cutter": "error"}),
        ("mechanical error", {"mechanism": "error"}),
        ("head hot", {"head": "hot"}),
        ("unrecoverable", {"mechanism": "dead"}),
        ("cutter error and paper out", {"cutter": "error", "paper": "out"}),
    ],
)
def test_golden_states(bench: Bench, name, state):
    bench.ask(GS_A_ALL)
    reported = bench.set(**state)
    assert [bench.ask(query) for query in QUERIES] == [GOLDEN[f"{name}, status {n}"] for n in (1, 2, 3, 4)]
    if state:
        assert reported[-4:] == GOLDEN[f"{name}, packet"]


def test_golden_questions_are_known(bench: Bench):
    questions = [frame for name, frame in GOLDEN.items() if name.startswith(("ask ", "report ", "feed ", "QR "))]
    assert len(questions) > 15
    bench.set(model="custom")
    for question in questions:
        bench.ask(question)
    assert bench.device.violations == {}


def test_the_other_makers_deviate(bench: Bench):
    bench.set(model="zjiang", paper="near_end")
    assert status(bench) == "12121212"
    bench.set(paper="out")
    assert status(bench) == "1a321272"
    bench.set(model="snbc", paper="ok", mechanism="error")
    assert status(bench) == "1a521212"
    bench.set(mechanism="ok")
    assert bench.ask(GS_A_ALL).hex() == "1000000f"
    bench.set(model="custom", cover="open", head="hot")
    assert bench.ask(b"\x10\x04\x14").hex() == "100f05020100"


def test_cover_opened_while_printing_looks_like_heat_on_some(bench: Bench):
    bench.ask(b"a line\n")
    bench.set(cover="open")
    assert status(bench)[:6] == "1a5652"
    bench.set(cover="closed")
    assert status(bench) == "12121212"
    bench.set(model="citizen")
    bench.ask(b"a line\n")
    bench.set(cover="open")
    assert status(bench)[:6] == "1a1612"


def test_one_packet_for_each_change_of_an_enabled_item_only(bench: Bench):
    assert bench.set(paper="near_end") == b""
    assert bench.ask(b"\x1d\x61\x08").hex() == "10000300"
    assert bench.set(paper="out").hex() == "18000f00"
    assert bench.set(head="hot") == b""
    bench.set(head="ok", paper="ok")
    assert bench.ask(b"\x1b\x40") == b""
    assert bench.set(paper="out") == b""
    bench.set(paper="ok")
    bench.ask(GS_A_ALL)
    bench.device.power_on()
    assert bench.set(paper="out") == b""


def test_a_query_inside_image_data_is_answered_and_stays_data(bench: Bench):
    image = b"\x1dv0\x00\x02\x00\x03\x00" + b"\xff\x10\x04\x04\x1d\x72"
    assert bench.ask(image + b"x\n", split=True) == b"\x12"
    assert bytes(bench.device.output) == image + b"x\n"
    assert bench.device.violations == {}


def test_data_waits_while_offline_and_real_time_questions_do_not(bench: Bench):
    bench.set(paper="out")
    assert bench.ask(b"held\n\x1dI\x01\x1dr\x01") == b""
    assert bench.ask(b"\x10\x04\x04") == b"\x7e"
    assert bench.device.output == b""
    assert bench.set(paper="ok") == b"\x20\x00"
    assert bench.device.output == b"held\n"


def test_a_full_buffer_says_xoff_once_and_xon_when_it_drains(bench: Bench):
    bench.set(paper="out")
    assert bench.ask(b"x" * (BUFFER_BYTES - 100)) == b"\x13"
    assert bench.ask(b"x" * 200) == b""
    assert bench.device.violations == {"buffer_overrun": 100}
    assert bench.set(paper="ok") == b"\x11"
    assert len(bench.device.output) == BUFFER_BYTES


def test_with_the_busy_switch_xoff_comes_when_offline():
    class Busy(Printer):
        busy_when_offline = True

    bench = Bench(Busy)
    assert bench.set(cover="open") == b"\x13"
    assert bench.set(cover="closed") == b"\x11"


def test_identity(bench: Bench):
    bench.set(firmware="9.99")
    assert bench.ask(b"\x1dI\x41") == b"_9.99\x00"
    assert bench.ask(b"\x1dI\x43") == b"_SIM-T88\x00"
    assert bench.ask(b"\x1dI\x44") == b"_SIMP000001\x00"
    assert bench.ask(b"\x1dI\x45") == b"_CHINA GB18030\x00"
    assert bench.ask(b"\x1dI1") == bench.ask(b"\x1dI\x01") == b"\x20"
    bench.set(model="bixolon")
    assert bench.ask(b"\x1dI\x44") == b""
    bench.set(model="zjiang")
    assert bench.ask(b"\x1dI\x41") == b""


def test_counters_follow_what_was_printed(bench: Bench):
    def counter(number: int) -> int:
        reply = bench.ask(b"\x1dg2\x00" + number.to_bytes(2, "little"))
        assert reply[:1] == b"_"
        assert reply[-1:] == b"\x00"
        return int(reply[1:-1])

    lines, cuts = counter(148), counter(178)
    bench.ask(b"one\ntwo\n\x1bd\x03\x1dV\x00\x1dVB\x1e" + b"w" * 49 + b"\n")
    assert counter(148) - lines == 2 + 3 + 1 + 2
    assert counter(178) - cuts == 2
    bench.clock += 7200
    assert counter(198) == 2160 + int(bench.clock // 3600)
    assert bench.ask(b"\x1dg2\x00\x63\x00") == b""


def test_recovery_ends_a_cutter_error_only_when_the_printer_is_well(bench: Bench):
    bench.set(cutter="error", mechanism="error")
    bench.ask(b"held\n")
    assert bench.ask(b"\x10\x05\x02") == b""
    assert status(bench) == "1a521e12"
    bench.set(mechanism="ok")
    bench.ask(b"\x10\x05\x02")
    assert bench.device.state["cutter"] == "ok"
    assert status(bench) == "12121212"
    assert bench.device.output == b""
    bench.set(head="hot")
    bench.ask(b"\x10\x05\x02")
    assert status(bench) == "1a525212"


def test_recovery_without_clearing_resumes_what_was_held(bench: Bench):
    bench.set(cutter="error")
    bench.ask(b"held\n")
    bench.ask(b"\x10\x05\x01")
    assert bench.device.output == b"held\n"


def test_near_end_stops_printing_when_selected_as_a_stop(bench: Bench):
    bench.ask(b"\x1bc4\x03")
    bench.set(paper="near_end")
    assert status(bench) == "1a32121e"


def test_breaches_are_counted(bench: Bench):
    bench.ask(b"\x10\x04\x01\x10\x04\x02")
    bench.ask(GS_A_ALL + b"\x1dI\x01")
    bench.ask(b"\x1b\x99")
    bench.ask(b"\x10\x04\x30")
    bench.ask(b"\x1dg0\x00\x14\x00")
    bench.ask(b"\x10\x14\x01\x00\x01")
    assert bench.device.violations == {
        "query_before_reply": 1,
        "question_during_asb": 1,
        "unknown_command": 1,
        "unknown_query": 1,
        "stored_setting_changed": 1,
        "drawer_pulse": 1,
    }


def test_keys_are_strict(bench: Bench):
    with pytest.raises(Illegal, match="near_end"):
        bench.device.set("paper", "empty")
    with pytest.raises(Illegal, match="cutter"):
        bench.device.set("toner", "low")
    with pytest.raises(Illegal):
        bench.device.set("firmware", "")


def test_anything_may_arrive(bench: Bench):
    rng = random.Random(7)
    heads = [b"\x10\x04", b"\x1d(", b"\x1dv0", b"\x1b*", b"\x10\x14", b"\x1dk", b"\x10", b"\x1b", b"\x1d"]
    for _ in range(400):
        bench.device.receive(rng.choice(heads) + rng.randbytes(rng.randrange(40)))
    bench.device.power_on()
    bench.heard()
    assert status(bench) == "12121212"
