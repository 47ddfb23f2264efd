from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.budget import RESERVE_BYTES, SPARING, STEPS, Budget
from agent.clock import ManualClock
from agent.config import StoreConfig, TelemetryConfig
from agent.outbox import Outbox
from agent.packing import DICTIONARY, deflate, inflate, plain
from agent.sender import Message, Retained, Sender
from agent.session import TIMINGS, KeepAlive
from agent.store import Store
from agent.telemetry import Telemetry
from agent.wire import MAX_PACKET_BYTES, WireError
from drivers.reading import known

DAILY = 4 * RESERVE_BYTES
FREE = DAILY - RESERVE_BYTES
MIDNIGHT = 1_795_046_400.0


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(wall=MIDNIGHT)


def budget(clock: ManualClock, kept: str = "", daily: int = DAILY) -> Budget:
    return Budget(daily, kept, clock.wall)


# --- counting


def test_channels_and_what_is_around_them(clock: ManualClock) -> None:
    counted = budget(clock)
    for suffix in ("fault/printer/paper_out", "faults", "result/c1", "config/reported", "telemetry"):
        counted.paid(suffix, 100)
    counted.received(50)
    counted.meter(sent=700, received=80, headers=300, probes=20)
    counted.meter(sent=800, received=90, headers=400, probes=20)
    assert counted.today() == {
        "fault": 200,
        "result": 100,
        "inventory": 100,
        "telemetry": 100,
        "down": 50,
        "headers": 400,
        "probes": 20,
        "overhead": 890 - 550,
        "total": 890 + 400 + 20,
    }


def test_a_restart_goes_on_with_the_day_and_not_with_the_next(clock: ManualClock) -> None:
    before = budget(clock)
    before.meter(sent=FREE)
    assert before.look() == ("normal", "faults")
    after = budget(clock, before.state())
    assert (after.step, after.used()) == ("faults", FREE)
    after.meter(sent=10)  # sums of a process begin at 0
    assert after.used() == FREE + 10
    clock.advance(86_400)
    assert budget(clock, before.state()).used() == 0


@pytest.mark.parametrize("kept", ["", "nonsense", "[]", '["2026-11-19"]', '["2026-11-19", {"sent": "x"}]', "7"])
def test_what_another_version_kept_is_no_stop(clock: ManualClock, kept: str) -> None:
    assert budget(clock, kept).today() == {}


def test_a_clock_that_was_never_set_begins_no_day(clock: ManualClock) -> None:
    counted = budget(clock)
    counted.meter(sent=FREE)
    counted.look()
    clock.wall_s = 1000.0
    assert counted.look() is None
    assert counted.used() == FREE


# --- the ladder


def test_each_step_is_told_once_and_a_new_day_ends_them(clock: ManualClock) -> None:
    counted = budget(clock)
    told = []
    for used in range(0, DAILY + 4096, 4096):
        counted.meter(sent=used)
        change = counted.look()
        if change:
            told.append((change[1], used))
    reserve = FREE + round(0.75 * RESERVE_BYTES)
    assert told == [("batch", FREE // 2), ("thin", FREE * 3 // 4), ("faults", FREE), ("critical", reserve)]
    assert counted.eased == 0
    clock.advance(86_400)
    assert counted.look() == ("critical", "normal")
    assert (counted.eased, counted.exceeded) == (1, False)


def test_without_a_limit_nothing_is_ever_held_back(clock: ManualClock) -> None:
    counted = budget(clock, daily=0)
    counted.meter(sent=10**12)
    assert counted.look() is None
    assert counted.allows("telemetry", b"{}")


def test_a_small_budget_keeps_half_for_faults(clock: ManualClock) -> None:
    counted = budget(clock, daily=10_000)
    counted.meter(sent=5000)
    counted.look()
    assert counted.exceeded


MAJOR, CRITICAL = b'{"severity":"major"}', b'{"severity":"critical"}'
CASES = {
    "telemetry": ("telemetry", b"{}", "thin"),
    "health": ("health", b"{}", "thin"),
    "inventory": ("inventory", b"{}", "thin"),
    "live": ("live", b"{}", "thin"),
    "a result": ("result/c1", b"{}", "faults"),
    "a fault": ("fault/printer/paper_out", MAJOR, "faults"),
    "its event": ("event", MAJOR, "faults"),
    "the digest": ("faults", b"{}", "faults"),
    "a critical fault": ("fault/reader/tamper", CRITICAL, "critical"),
    "its own event": ("event", CRITICAL, "critical"),
    "the step": ("event", b'{"event":"budget.step"}', "critical"),
    "state": ("state", b"{}", "critical"),
}


@pytest.mark.parametrize(("suffix", "payload", "until"), CASES.values(), ids=CASES)
def test_what_passes_at_which_step(clock: ManualClock, suffix: str, payload: bytes, until: str) -> None:
    counted = budget(clock)
    for step in STEPS:
        counted.step = step
        assert counted.allows(suffix, payload) is (STEPS.index(step) <= STEPS.index(until)), step


# --- what the sender makes of it


@pytest.fixture
def outbox(tmp_path: Path, clock: ManualClock) -> Iterator[Outbox]:
    store = Store(tmp_path, 4 << 20, clock)
    yield Outbox(store, clock, 1, StoreConfig())
    store.close()


def test_what_is_held_back_goes_when_a_new_day_begins(outbox: Outbox, clock: ManualClock) -> None:
    sent: list[Message] = []
    counted = budget(clock)
    retained = Retained(clock)

    def publish(message: Message) -> int:
        sent.append(message)
        return len(sent)

    sending = Sender(outbox, retained, clock, publish, drain_per_s=2, may_deflate=True, toll=counted)
    counted.meter(sent=FREE)
    counted.look()
    outbox.put("telemetry", {"samples": []})
    outbox.put("event", {"event": "fault.raised", "data": {"severity": "major"}})
    retained.set("health", b"{}", "health")
    retained.set("fault/printer/paper_out", MAJOR, "fault")
    for _ in range(3):
        sending.pump()
        clock.advance(1)
    assert [message.suffix for message in sent] == ["fault/printer/paper_out", "event"]
    for mid in (1, 2):
        sending.acknowledged(mid, 0)
    clock.advance(86_400)
    counted.look()
    for _ in range(3):
        sending.pump()
        clock.advance(1)
    assert sorted(message.suffix for message in sent[2:]) == ["health", "telemetry"]


def test_held_rows_do_not_slow_the_drain(outbox: Outbox, clock: ManualClock) -> None:
    """Two a second is the rate of what is sent, not of what is passed over."""
    sent: list[Message] = []
    counted = budget(clock)
    counted.step = "critical"
    for n in range(200):
        outbox.put("event", {"event": "test", "data": {"n": n}})
    outbox.put("event", {"event": "fault.raised", "data": {"severity": "critical"}})
    sending = Sender(
        outbox,
        Retained(clock),
        clock,
        lambda m: sent.append(m) or len(sent),
        drain_per_s=2,
        may_deflate=True,
        toll=counted,
    )
    for _ in range(40):
        sending.pump()
        clock.advance(0.1)
    assert len(sent) == 1


def test_a_broker_that_remembers_gets_only_what_it_lacks(clock: ManualClock) -> None:
    retained = Retained(clock)
    for suffix, kind in (("inventory", "inventory"), ("faults", "faults"), ("fault/printer/paper_out", "fault")):
        retained.set(suffix, b"{}" + suffix.encode(), kind)
    for message in retained.take(9):
        retained.delivered(message)
    retained.set("fault/printer/paper_out", b"newer", "fault")
    retained.take(9)
    retained.mark_unheard()
    assert sorted(message.suffix for message in retained.take(9)) == ["fault/printer/paper_out", "faults"]


# --- telemetry on a metered line


def test_numbers_are_told_once_in_a_stretch_and_words_at_once() -> None:
    telemetry = Telemetry(TelemetryConfig(batch_s=840, heartbeat_s=21_600, health_s=1, number_s=3600))
    told = []
    for now in range(0, 10_800, 60):
        paper = "out" if 4000 <= now < 4500 else "ok"
        telemetry.offer("modem", {"rsrp_dbm": known(-90 + now // 60)}, float(now))
        telemetry.offer("printer", {"paper": known(paper)}, float(now))
        batch = telemetry.take(float(now), 0.0, 0)
        for _, values in (batch or {"samples": []})["samples"]:
            told.extend((now, metric) for metric in values)
    numbers = [now for now, metric in told if metric == "modem.rsrp_dbm"]
    words = [now for now, metric in told if metric == "printer.paper"]
    assert numbers == [0, 3600, 7200]
    assert words == [0, 4020, 4500]


def test_sparing_stretches_batches_then_values() -> None:
    config = TelemetryConfig(batch_s=60, heartbeat_s=900, health_s=3600)
    telemetry = Telemetry(config)

    def batches(batch: float, values: float) -> tuple[float, int]:
        telemetry.spare(batch=batch, values=values)
        telemetry.repeat_all()
        telemetry.take(0, 0, 0)
        for now in range(0, 240, 10):
            telemetry.offer("modem", {"rsrp_dbm": known(-90 - now)}, 10_800 + now)
        due = telemetry.due_at()
        assert due is not None
        batch_taken = telemetry.take(0, 0, 0)
        assert batch_taken is not None
        return due - 10_800, len(batch_taken["samples"])

    assert batches(*SPARING["normal"]) == (60, 24)
    assert batches(*SPARING["batch"]) == (240, 24)
    assert batches(*SPARING["thin"]) == (240, 1)


def test_what_the_configuration_leaves_open_is_as_it_suits_the_link() -> None:
    assert TelemetryConfig().on("wired") == TelemetryConfig(batch_s=60, heartbeat_s=900, health_s=3600)
    metered = TelemetryConfig(batch_s=30).on("metered")
    assert metered.batch_s == 30
    assert metered.heartbeat_s > 10_000


# --- the keep-alive


def test_the_keep_alive_grows_while_it_works_and_shrinks_after_a_silent_loss() -> None:
    alive = KeepAlive(TIMINGS["metered"])
    assert alive.now_s == 600
    now = 0.0
    alive.began(now)
    while alive.now_s < 900:
        now += 60
        alive.works(now)
        assert now < 6 * 3600
    alive.lost(now)
    assert alive.now_s == 675
    for _ in range(12 * 60):
        now += 60
        alive.works(now)
    assert alive.now_s == 675, "what failed is not tried again within a day"
    for _ in range(24 * 60):
        now += 60
        alive.works(now)
    assert alive.now_s == 900
    for _ in range(20):
        alive.lost(now)
    assert alive.now_s == 300


def test_the_keep_alive_outlives_a_restart_and_nonsense() -> None:
    alive = KeepAlive(TIMINGS["metered"], "780")
    assert alive.now_s == 780
    assert KeepAlive(TIMINGS["metered"], str(alive)).now_s == 780
    assert KeepAlive(TIMINGS["metered"], "soon").now_s == 600
    assert KeepAlive(TIMINGS["metered"], "7").now_s == 300
    assert KeepAlive(TIMINGS["wired"]).now_s == 60


# --- packing


def test_the_dictionary_makes_a_fault_small_and_the_stream_says_that_it_needs_it() -> None:
    fault = (
        b'{"boot":3,"at":"2026-11-19T00:09:00.000Z","up_ms":640000,"clock":"synced","v":1,"fault":"reader/card_jam",'
        b'"state":"raised","severity":"major","cause":null,"symptoms":[],"first_at":"2026-11-19T00:09:00.000Z",'
        b'"last_at":"2026-11-19T00:09:00.000Z","count":1,"device":"reader","evidence":{"card":"jammed"},'
        b'"advice":"reader.card_jam","act":"support","basis":"measured"}'
    )
    small, kind = deflate(fault, DICTIONARY)
    alone, _ = deflate(fault)
    assert kind == "application/json+deflate"
    assert len(small) < len(fault) / 2.5 < len(alone)
    assert small[1] & 0x20, "FDICT of RFC 1950"
    assert plain(small) == plain(alone) == plain(fault) == fault
    assert plain(b"") == b""


@pytest.mark.parametrize(
    "payload", [b"x", deflate(b'{"a":1}' * 9)[0][:-3], deflate(b" " * (MAX_PACKET_BYTES + 1))[0], b"\x78\xbb\0\0\0\0"]
)
def test_what_cannot_be_unpacked_is_refused(payload: bytes) -> None:
    with pytest.raises(WireError):
        inflate(payload)
