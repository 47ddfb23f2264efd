from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.clock import ManualClock
from agent.config import StoreConfig
from agent.outbox import Outbox
from agent.sender import LIVE_ROOM, RETRY_S, WINDOW, Message, Retained, Sender
from agent.session import TIMINGS, Backoff, Traffic
from agent.store import Store
from agent.wire import DELIVERY


class Wire:
    """Where a sender's messages go: a list, until it is cut."""

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.cut = False

    def publish(self, message: Message) -> int | None:
        if self.cut:
            return None
        self.sent.append(message)
        return len(self.sent)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def outbox(tmp_path: Path, clock: ManualClock) -> Iterator[Outbox]:
    store = Store(tmp_path, 4 * 1024 * 1024, clock)
    yield Outbox(store, clock, 1, StoreConfig())
    store.close()


def sender(outbox: Outbox, clock: ManualClock, wire: Wire, **limits: int) -> Sender:
    return Sender(outbox, Retained(clock), clock, wire.publish, drain_per_s=50, may_deflate=True, **limits)


def test_a_window_is_never_exceeded_and_the_backlog_leaves_room(outbox: Outbox, clock: ManualClock) -> None:
    wire = Wire()
    for _ in range(100):
        outbox.put("event", {})
    sending = sender(outbox, clock, wire)
    for _ in range(100):
        sending.pump()
        clock.advance(1)
    assert sending.in_flight == WINDOW - LIVE_ROOM
    for _ in range(10):
        outbox.put("event", {})
        sending.pump()
    assert sending.in_flight == WINDOW
    for mid in range(1, 6):
        sending.acknowledged(mid, 0)
    sending.pump()
    assert sending.in_flight == WINDOW


def test_the_brokers_smaller_window_counts(outbox: Outbox, clock: ManualClock) -> None:
    wire = Wire()
    for _ in range(9):
        outbox.put("event", {})
    sending = sender(outbox, clock, wire, window=1)
    for mid in range(1, 10):
        sending.pump()
        assert sending.in_flight == 1
        sending.acknowledged(mid, 0)
        clock.advance(1)
    assert len(wire.sent) == 9


def test_only_success_settles(outbox: Outbox, clock: ManualClock) -> None:
    wire = Wire()
    sending = sender(outbox, clock, wire)
    for _ in range(3):
        outbox.put("event", {})
    sending.pump()
    sending.acknowledged(1, 0x00)
    sending.acknowledged(2, 0x10)  # no matching subscribers: taken all the same
    sending.acknowledged(3, 0x97)  # quota exceeded
    sending.acknowledged(77, 0x00)  # never sent
    sending.pump()
    assert [row.seq for row in outbox.after(0, 9)] == [3]
    assert sending.refused == 1
    clock.advance(RETRY_S + 1)
    sending.pump()
    sending.acknowledged(4, 0)
    sending.pump()
    assert outbox.after(0, 9) == []


def test_what_will_always_be_refused_is_dropped_with_a_receipt(outbox: Outbox, clock: ManualClock) -> None:
    wire = Wire()
    sending = sender(outbox, clock, wire)
    outbox.put("result", {}, suffix="result/x")
    sending.pump()
    sending.acknowledged(1, 0x99)
    assert b'"why":"refused"' in outbox.after(0, 9)[0].payload
    outbox.settle(outbox.after(0, 9)[:1])
    small = sender(outbox, clock, wire, max_bytes=1000)
    outbox.put("event", {"data": "x" * 2000})
    small.pump()
    assert b'"why":"too_large"' in outbox.after(0, 9)[0].payload


def test_rows_acknowledged_leave_the_disk_in_groups(outbox: Outbox, clock: ManualClock) -> None:
    wire = Wire()
    sending = sender(outbox, clock, wire)
    for _ in range(3):
        outbox.put("event", {})
    sending.pump()
    sending.acknowledged(1, 0)
    sending.pump()
    assert len(outbox.after(0, 9)) == 3
    clock.advance(1.1)
    assert sending.due_at() <= clock.monotonic()
    sending.pump()
    assert [row.seq for row in outbox.after(0, 9)] == [2, 3]
    sending.acknowledged(2, 0)
    sending.close()
    assert [row.seq for row in outbox.after(0, 9)] == [3]


def test_a_sender_with_nothing_to_do_sleeps(outbox: Outbox, clock: ManualClock) -> None:
    sending = sender(outbox, clock, Wire())
    sending.pump()
    assert sending.due_at() == float("inf")
    assert sending.waited_s() == 0


def test_a_value_keeps_its_remaining_life(clock: ManualClock) -> None:
    retained = Retained(clock)
    retained.set("fault/printer/paper_out", b"{}", "fault.cleared")
    retained.set("fault/modem/no_data", b"{}", "fault")
    assert [message.expiry_s for message in retained.take(9)] == [86_400, None]
    clock.advance(80_000)
    retained.mark()
    assert [message.expiry_s for message in retained.take(9)] == [6_400, None]
    clock.advance(10_000)
    retained.mark()
    assert [message.suffix for message in retained.take(9)] == ["fault/modem/no_data"]


def test_only_the_latest_value_exists(clock: ManualClock) -> None:
    retained = Retained(clock)
    for n in range(5):
        retained.set("health", b"%d" % n, "health")
    assert [message.payload for message in retained.take(9)] == [b"4"]
    assert retained.take(9) == []


def test_a_value_to_be_cleared_is_cleared_until_the_broker_has_it(clock: ManualClock) -> None:
    retained = Retained(clock)
    retained.set("health", b"", "health")
    assert retained.take(9)[0].payload == b""
    retained.mark()
    message = retained.take(9)[0]
    retained.delivered(message)
    retained.mark()
    assert retained.take(9) == []


@pytest.mark.parametrize(
    ("link", "bounds"),
    [
        ("wired", [(1, 2), (1, 4), (1, 8), (1, 16), (1, 32), (1, 64), (1, 120), (1, 120)]),
        ("metered", [(5, 10), (5, 20), (5, 40), (5, 80), (5, 160), (5, 320), (5, 640), (5, 900), (5, 900)]),
    ],
)
def test_reconnects_follow_the_contract(link: str, bounds: list[tuple[float, float]]) -> None:
    asked: list[tuple[float, float]] = []
    timing = TIMINGS[link]
    backoff = Backoff(timing, lambda low, high: asked.append((low, high)) or high)
    for _ in bounds:
        backoff.next_s()
        backoff.connected_for(299)
    assert asked == bounds
    assert backoff.next_s(refused=True) == timing.cap_s
    assert asked[-1][0] >= timing.cap_s / 2
    backoff.connected_for(300)
    backoff.next_s()
    assert asked[-1] == bounds[0]


def test_the_times_of_the_contract() -> None:
    wired, metered = TIMINGS["wired"], TIMINGS["metered"]
    assert (wired.keep_alive_s, wired.session_expiry_s, wired.will_delay_s, wired.drain_per_s) == (60, 3600, 30, 50)
    assert (metered.session_expiry_s, metered.will_delay_s, metered.drain_per_s) == (86_400, 120, 2)
    assert 300 <= metered.keep_alive_s <= 900
    assert DELIVERY["live"].qos == 0


def test_no_connection_no_bytes() -> None:
    traffic = Traffic()
    assert traffic.totals() == (0, 0)
    traffic.close()
    assert traffic.totals() == (0, 0)
