"""python-escpos 3.1 against the simulated printer: what it asked, what it was answered, what it concluded."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from simulator.terminal import Terminal
from tests.peers.peer import Client
from tests.peers.tap import Tap
from tests.wait import wait_until

pytestmark = pytest.mark.peers

ONLINE, PAPER = b"\x10\x04\x01", b"\x10\x04\x04"
PLENTY, NEAR_END, NONE = 2, 1, 0


@pytest.fixture
def tap(pos_terminal: Terminal) -> Iterator[Tap]:
    with Tap(pos_terminal.path("printer")) as tap:
        yield tap


@pytest.fixture
def client(tap: Tap) -> Iterator[Client]:
    with Client("escpos_client.py", tap.path) as client:
        yield client


def test_status_in_every_state_that_it_can_tell(pos_terminal: Terminal, tap: Tap, client: Client) -> None:
    states: list[tuple[dict[str, str], bool, bytes, int, bytes]] = [
        ({}, True, b"\x12", PLENTY, b"\x12"),
        ({"printer.paper": "near_end"}, True, b"\x12", NEAR_END, b"\x1e"),
        ({"printer.paper": "out"}, False, b"\x1a", NONE, b"\x7e"),
        ({"printer.paper": "ok", "printer.cover": "open"}, False, b"\x1a", NONE, b"\x7e"),  # the sensors lie
        ({"printer.cover": "closed", "printer.cutter": "error"}, False, b"\x1a", PLENTY, b"\x12"),
        ({"printer.cutter": "ok", "printer.head": "hot"}, False, b"\x1a", PLENTY, b"\x12"),
        ({"printer.head": "ok", "printer.mechanism": "dead"}, False, b"\x1a", PLENTY, b"\x12"),
        ({"printer.mechanism": "ok"}, True, b"\x12", PLENTY, b"\x12"),
        ({"printer.model": "zjiang", "printer.paper": "near_end"}, True, b"\x12", PLENTY, b"\x12"),  # no such sensor
        ({"printer.paper": "out"}, False, b"\x1a", NONE, b"\x72"),
    ]
    for keys, online, online_byte, paper, paper_byte in states:
        pos_terminal.set(keys)
        assert client.ask("online") is online, keys
        assert tap.take() == (ONLINE, online_byte), keys
        assert client.ask("paper") == paper, keys
        assert tap.take() == (PAPER, paper_byte), keys
    assert pos_terminal.violations() == {}
    assert pos_terminal.printed() == b""


def test_a_printer_without_power_is_offline_and_says_nothing(pos_terminal: Terminal, tap: Tap, client: Client) -> None:
    pos_terminal.set({"power.mains": "off"})
    assert client.ask("online") is False
    assert tap.take() == (ONLINE, b"")
    pos_terminal.set({"power.mains": "on"})
    assert client.ask("online") is True
    assert tap.take() == (ONLINE, b"\x12")
    assert pos_terminal.violations() == {}


def test_what_it_prints_is_what_it_sent(pos_terminal: Terminal, tap: Tap, client: Client) -> None:
    content = "https://example.test/r/1"
    client.ask("text", "Total 12.50\n")
    client.ask("qr", content)
    client.ask("cut", "FULL")
    assert client.ask("online") is True
    data = content.encode()
    expected = (
        b"\x1bt\x00Total 12.50\n"
        b"\x1d(k\x04\x00\x31A2\x00"  # model 2
        b"\x1d(k\x03\x00\x31C\x04"  # dots of a module
        b"\x1d(k\x03\x00\x31E0"  # error correction L
        b"\x1d(k"
        + (len(data) + 3).to_bytes(2, "little")
        + b"\x31P0"
        + data
        + b"\x1d(k\x03\x00\x31Q0"
        + b"\x1bd\x06\x1dV\x00"
    )
    asked, answered = tap.take()
    assert asked == expected + ONLINE
    assert answered == b"\x12"
    wait_until(lambda: len(pos_terminal.printed()) >= len(expected))
    assert pos_terminal.printed() == expected
    assert pos_terminal.violations() == {}


def test_a_slip_waits_for_paper_and_comes_out_once(pos_terminal: Terminal, tap: Tap, client: Client) -> None:
    pos_terminal.set({"printer.paper": "out"})
    client.ask("text", "waits\n")
    assert client.ask("paper") == NONE
    assert pos_terminal.printed() == b""
    pos_terminal.set({"printer.paper": "ok"})
    assert client.ask("paper") == PLENTY
    wait_until(lambda: pos_terminal.printed().endswith(b"waits\n"))
    client.ask("cut", "PART")
    assert client.ask("online") is True
    wait_until(lambda: pos_terminal.printed().endswith(b"waits\n\x1bd\x06\x1dV\x01"))
    assert pos_terminal.printed().count(b"waits") == 1
    assert tap.answered == b"\x7e\x12\x12"
    assert pos_terminal.violations() == {}


def test_asking_again_before_the_answer_is_counted_against_the_host(pos_terminal: Terminal, client: Client) -> None:
    # Two questions at once through the library's raw channel: the count of violations does count.
    client.ask("raw", (ONLINE + PAPER).hex())
    wait_until(lambda: pos_terminal.violations() == {"printer": {"query_before_reply": 1}})
