"""What waits in a fleet's terminals goes out in the contract's order, and what cannot wait leaves a receipt."""

from __future__ import annotations

import json
from typing import Any

from agent.packing import plain
from simulator.fleet_outbox import MOST_ROWS, Message, Outbox


class Bench:
    """An outbox whose time is set by hand."""

    def __init__(self) -> None:
        self.now = 0.0
        self.outbox = Outbox(lambda: self.now, lambda: {"boot": 7, "at": "x", "up_ms": 0, "clock": "rtc"})

    def telemetry(self, number: int) -> None:
        self.outbox.row("telemetry", {"samples": [[0, {"a.b": number}]]})

    def event(self, name: str) -> None:
        self.outbox.row("event", {"event": name, "data": {}})

    def backlog(self) -> list[Any]:
        out = []
        while (message := self.outbox.backlog()) is not None:
            out.append(_told(message))
        return out


def _told(message: Message) -> Any:
    return json.loads(plain(message.payload))


def test_after_an_outage_events_go_first_and_the_newest_telemetry_before_older():
    bench = Bench()
    bench.telemetry(1)
    bench.event("one")
    bench.outbox.row("result", {"id": "job-00001", "state": "accepted"}, "result/job-00001")
    bench.telemetry(2)
    bench.event("two")
    bench.outbox.connected()
    bench.event("new")
    fresh = bench.outbox.fresh()
    assert fresh is not None
    assert (_told(fresh)["event"], "late" in _told(fresh)) == ("new", False)
    told = bench.backlog()
    assert [each.get("event") or each.get("id") or each["seq"] for each in told] == ["one", "two", "job-00001", 2, 1]
    assert all(each["late"] for each in told)


def test_what_was_not_acknowledged_comes_again_and_what_was_does_not():
    bench = Bench()
    bench.event("one")
    bench.event("two")
    bench.outbox.connected()
    first, second = bench.outbox.backlog(), bench.outbox.backlog()
    assert first is not None
    assert second is not None
    bench.outbox.acknowledged(first.row)
    bench.outbox.connected()
    assert [each["event"] for each in bench.backlog()] == ["two"]
    bench.outbox.acknowledged(second.row)
    assert (bench.outbox.waiting, bench.outbox.depth()) == (0, {})


def test_telemetry_that_does_not_fit_is_given_up_with_a_receipt_that_names_it():
    bench = Bench()
    for number in range(MOST_ROWS):
        bench.telemetry(number)
    bench.event("that")
    bench.outbox.connected()
    told = bench.backlog()
    gap = next(each["data"] for each in told if each.get("event") == "store.gap")
    left = [each["seq"] for each in told if "samples" in each]
    assert gap == {"class": "telemetry", "boot": 7, "first": 1, "last": gap["n"], "n": gap["n"], "why": "full"}
    assert sorted(left) == list(range(gap["last"] + 1, MOST_ROWS + 1))
    assert bench.outbox.given_up == gap["n"]


def test_present_values_come_again_with_each_connection_until_they_have_outlived_their_expiry():
    bench = Bench()
    bench.outbox.value("fault/printer/paper_out", b"{}", "fault.cleared")
    bench.outbox.value("faults", b"{}", "faults")
    assert [message.suffix for message in bench.outbox.values(1)] == ["fault/printer/paper_out"]
    assert [message.suffix for message in bench.outbox.values(9)] == ["faults"]
    assert not list(bench.outbox.values(9))
    bench.now = 86_000.0
    bench.outbox.connected()
    assert [message.expiry_s for message in bench.outbox.values(9)] == [400, 30 * 86_400 - 86_000]
    bench.now = 86_400.0
    bench.outbox.connected()
    assert [message.suffix for message in bench.outbox.values(9)] == ["faults"]
