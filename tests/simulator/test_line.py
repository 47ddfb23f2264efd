"""What a line does to bytes, with time given by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.line import GAP_S, LATE_S, Line, resample

MESSAGE = bytes(range(256)) * 4


def line(fault: str, *, baud: int = 9600, seed: str = "1") -> Line:
    made = Line(baud, seed)
    made.fault = fault
    return made


def test_bytes_leave_at_the_line_speed() -> None:
    clean = line("clean")
    clean.from_device(b"x" * 960, now=10.0)
    assert len(clean.due(10.5)) == pytest.approx(480, abs=10)
    assert len(clean.due(11.01)) == pytest.approx(480, abs=10)
    assert clean.next_due() is None


def test_a_second_message_waits_for_the_first() -> None:
    clean = line("clean")
    clean.from_device(b"a" * 96, now=0.0)
    clean.from_device(b"b" * 96, now=0.0)
    assert clean.due(0.11) == b"a" * 96 + b"b" * 8
    assert clean.due(1.0) == b"b" * 88


def test_without_pace_all_arrives_at_once() -> None:
    quick = Line(9600, "1", pace=False)
    quick.from_device(MESSAGE, now=0.0)
    assert quick.due(0.0) == MESSAGE


def test_noise_flips_and_drops_some_bytes_in_both_directions() -> None:
    noisy = line("noisy")
    heard = noisy.from_host(MESSAGE, 0.0)
    noisy.from_device(MESSAGE, 0.0)
    sent = noisy.due(99.0)
    for damaged in (heard, sent):
        assert len(MESSAGE) * 0.9 < len(damaged) < len(MESSAGE)
        assert damaged != MESSAGE[: len(damaged)]


@given(st.lists(st.binary(max_size=40), max_size=8))
def test_the_same_seed_makes_the_same_noise_however_the_bytes_are_split(pieces: list[bytes]) -> None:
    whole, split = line("noisy"), line("noisy")
    whole.from_device(b"".join(pieces), 0.0)
    for piece in pieces:
        split.from_device(piece, 0.0)
    assert whole.due(99.0) == split.due(99.0)


def test_another_seed_makes_other_noise() -> None:
    assert line("noisy", seed="1").from_host(MESSAGE, 0.0) != line("noisy", seed="2").from_host(MESSAGE, 0.0)


def test_a_slow_line_keeps_every_byte_apart() -> None:
    slow = line("slow")
    slow.from_device(b"abc", now=0.0)
    assert [slow.due(GAP_S * (i + 1.5)) for i in range(3)] == [b"a", b"b", b"c"]


def test_a_late_line_delays_and_loses_nothing() -> None:
    late = line("late")
    late.from_device(b"ok", now=0.0)
    assert late.due(LATE_S - 0.01) == b""
    assert late.due(LATE_S + 0.1) == b"ok"


def test_a_mute_line_carries_the_host_only() -> None:
    mute = line("mute")
    assert mute.from_host(b"ask", 0.0) == b"ask"
    mute.from_device(b"answer", 0.0)
    assert mute.next_due() is None


def test_an_echo_comes_before_the_reply() -> None:
    echo = line("echo")
    assert echo.from_host(b"ask", 0.0) == b"ask"
    echo.from_device(b"answer", 0.0)
    assert echo.due(9.0) == b"askanswer"


@pytest.mark.parametrize("data", [b"\x10\x04\x01", b"AT+CSQ\r\n", b"\x16", b"\x12\x7e"])
def test_garbled_replies_are_other_bytes(data: bytes) -> None:
    garbled = line("garbled")
    assert garbled.from_host(data, 0.0) == data
    garbled.from_device(data, 0.0)
    assert garbled.due(9.0) != data


def test_a_host_at_another_speed_garbles_a_clean_line() -> None:
    clean = line("clean")
    assert clean.from_host(b"AT\r", 0.0, 9600) == b"AT\r"
    assert clean.from_host(b"AT\r", 0.0, 19200) not in {b"AT\r", b""}
    clean.from_device(b"OK\r\n", 0.0, 4800)
    assert clean.due(9.0) != b"OK\r\n"


@given(st.binary(min_size=1, max_size=64), st.sampled_from([1200, 9600, 115200]))
def test_the_same_speed_changes_nothing(data: bytes, baud: int) -> None:
    assert resample(data, baud, baud) == data


@given(st.binary(max_size=64), st.sampled_from([1200, 9600, 115200]), st.sampled_from([300, 19200, 57600]))
def test_any_speed_gives_bytes(data: bytes, sent: int, heard: int) -> None:
    assert len(resample(data, sent, heard)) <= len(data) * max(1, heard / sent) * 1.2 + 1


def test_what_is_under_way_is_lost_with_the_cable() -> None:
    clean = line("clean")
    clean.from_device(b"half of it", now=0.0)
    clean.due(0.003)
    clean.clear()
    assert clean.due(9.0) == b""
