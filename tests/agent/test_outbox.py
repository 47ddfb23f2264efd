from __future__ import annotations

import json
import random
import resource
import shutil
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.clock import ManualClock
from agent.config import StoreConfig
from agent.drain import Drain
from agent.outbox import MAX_PAYLOAD_BYTES, Outbox
from agent.rows import Row
from agent.store import FILE, Store
from agent.wire import EventMessage, decode

LIMIT = 1_048_576


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def store(tmp_path: Path, clock: ManualClock) -> Iterator[Store]:
    with_file = Store(tmp_path, LIMIT, clock)
    yield with_file
    with_file.close()


@pytest.fixture
def outbox(store: Store, clock: ManualClock) -> Outbox:
    return Outbox(store, clock, 1, StoreConfig(max_bytes=LIMIT))


def body(row: Row) -> dict:
    return json.loads(row.payload)


def event(n: int, size: int = 0) -> dict:
    return {"event": "test", "data": {"n": n, "pad": "x" * size}}


def gaps(rows: list[Row]) -> list[dict]:
    return [body(row)["data"] for row in rows if body(row).get("event") == "store.gap"]


def names(rows: list[Row]) -> list[tuple[str, int]]:
    return [(row.cls, row.seq) for row in rows]


def test_a_row_is_a_whole_message_of_the_contract(outbox: Outbox) -> None:
    assert outbox.put("event", event(7)) == 1
    row = outbox.after(0, 10)[0]
    message = decode(EventMessage, row.body(late=False))
    assert (message.boot, message.seq, message.late, message.clock) == (1, 1, False, "synced")
    assert message.at == "2027-01-15T08:00:00.000Z"
    assert message.up_ms == 100_000
    assert message.data["n"] == 7
    assert decode(EventMessage, row.body(late=True)).late is True
    assert row.suffix == "event"


def test_seq_counts_per_class_within_a_boot(tmp_path: Path, store: Store, outbox: Outbox, clock: ManualClock) -> None:
    assert [outbox.put("event", {}), outbox.put("event", {}), outbox.put("result", {}, suffix="result/a1")] == [1, 2, 1]
    outbox.settle(outbox.after(0, 10))
    store.close()
    again = Store(tmp_path, LIMIT, clock)
    same_boot = Outbox(again, clock, 1, StoreConfig())
    assert same_boot.put("event", {}) == 3, "a seq that was sent and settled must not come twice"
    assert same_boot.put("telemetry", {}) == 1
    again.close()
    after_reboot = Store(tmp_path, LIMIT, clock)
    assert Outbox(after_reboot, clock, 2, StoreConfig()).put("event", {}) == 1
    after_reboot.close()


def test_several_messages_and_faults_are_one_transaction(
    tmp_path: Path, store: Store, outbox: Outbox, clock: ManualClock
) -> None:
    woken: list[int] = []
    outbox.wake = lambda: woken.append(1)
    outbox.put_all([("event", event(n), "") for n in range(3)], faults={"printer/paper_out": "{}"})
    assert woken == [1]
    store.close()
    again = Store(tmp_path, LIMIT, clock)
    assert again.kept("fault") == {"printer/paper_out": "{}"}
    assert names(Outbox(again, clock, 1, StoreConfig()).after(0, 9)) == [("event", 1), ("event", 2), ("event", 3)]
    again.close()


def test_what_no_packet_can_carry_is_refused_and_costs_no_seq(outbox: Outbox) -> None:
    with pytest.raises(ValueError, match="more than"):
        outbox.put_all([("event", {}, ""), ("event", event(1, MAX_PAYLOAD_BYTES), "")])
    assert outbox.put("event", {}) == 1


def test_the_drain_goes_events_results_then_newest_telemetry(outbox: Outbox) -> None:
    for _ in range(3):
        outbox.put("telemetry", {})
        outbox.put("result", {}, suffix="result/x")
        outbox.put("event", {})
    drain = Drain(outbox)
    outbox.put("event", {})
    order: list[Row] = []
    while rows := drain.backlog(2):
        order += rows
    assert names(order) == [
        *(("event", n) for n in (1, 2, 3)),
        *(("result", n) for n in (1, 2, 3)),
        *(("telemetry", n) for n in (3, 2, 1)),
    ]
    assert drain.done
    assert all(drain.is_late(row) for row in order)
    live = drain.live(10)
    assert names(live) == [("event", 4)]
    assert not drain.is_late(live[0])
    assert drain.live(10) == []


def test_settled_rows_do_not_come_back(outbox: Outbox) -> None:
    for n in range(5):
        outbox.put("event", event(n))
    outbox.settle(outbox.after(0, 3))
    assert names(outbox.after(0, 10)) == [("event", 4), ("event", 5)]
    assert outbox.depth()["rows"] == {"event": 2}


def on_file(tmp_path: Path, clock: ManualClock) -> list[tuple[str, int]]:
    """What a process would find that came up after this one had died."""
    copy = tmp_path / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir()
    for path in tmp_path.glob(f"{FILE}*"):
        shutil.copy(path, copy)
    with_copy = Store(copy, LIMIT, clock)
    try:
        return names(Outbox(with_copy, clock, 1, StoreConfig()).after(0, 99))
    finally:
        with_copy.close()


def test_delivered_telemetry_leaves_the_file_with_the_next_rows(
    tmp_path: Path, outbox: Outbox, clock: ManualClock
) -> None:
    outbox.put("telemetry", {"samples": []})
    outbox.settle(outbox.after(0, 9))
    assert outbox.after(0, 9) == []
    depth = outbox.depth()
    assert (depth["rows"], depth["bytes"]) == ({}, 0), "it is not waiting, wherever it stands"
    assert on_file(tmp_path, clock) == [("telemetry", 1)], "no transaction of its own"
    outbox.put("telemetry", {"samples": []})
    assert on_file(tmp_path, clock) == [("telemetry", 2)]
    assert outbox.depth()["rows"] == {"telemetry": 1}
    outbox.put("event", event(1))
    outbox.settle(outbox.after(0, 9))
    assert on_file(tmp_path, clock) == [], "a delivered event leaves at once, so that few come twice"


def test_a_clean_stop_leaves_nothing_to_be_sent_twice(tmp_path: Path, outbox: Outbox, clock: ManualClock) -> None:
    outbox.put("telemetry", {"samples": []})
    outbox.settle(outbox.after(0, 9))
    outbox.close()
    assert on_file(tmp_path, clock) == []


def test_what_was_delivered_needs_no_receipt(outbox: Outbox, clock: ManualClock) -> None:
    outbox.put("telemetry", {"samples": []})
    outbox.settle(outbox.after(0, 9))
    clock.advance(100 * 3600)
    outbox.tick()
    assert outbox.after(0, 9) == []
    assert outbox.drops == {}


def test_telemetry_is_thinned_before_it_is_dropped_and_events_stay(store: Store, outbox: Outbox) -> None:
    for n in range(20):
        outbox.put("event", event(n))
    for _ in range(1500):
        outbox.put("telemetry", {"samples": [[0, {"n": "y" * 1000}]]})
        assert outbox.depth()["bytes"] <= LIMIT
    rows = outbox.after(0, 5000)
    assert [row.seq for row in rows if row.cls == "event"][:20] == list(range(1, 21))
    kept = [row.seq for row in rows if row.cls == "telemetry"]
    assert kept[-1] == 1500, "the newest is there"
    old, new = [n for n in kept if n <= 750], [n for n in kept if n > 750]
    assert 0 < len(old) < len(new), "an old time is coarser than a recent one, and is not gone at once"
    receipts = gaps(rows)
    assert {gap["why"] for gap in receipts} <= {"thinned", "full"}
    assert sum(gap["n"] for gap in receipts) == 1500 - len(kept), "each drop has its receipt"
    dropped = set(range(1, 1501)) - set(kept)
    assert min(gap["first"] for gap in receipts) == min(dropped)
    assert max(gap["last"] for gap in receipts) == max(dropped)
    assert store.path.stat().st_size <= LIMIT


def test_new_telemetry_goes_when_events_fill_the_store(outbox: Outbox) -> None:
    for n in range(60):
        outbox.put("event", event(n, 11_000))
    for _ in range(200):
        outbox.put("telemetry", {"samples": [[0, {"n": "y" * 1000}]]})
    rows = outbox.after(0, 1000)
    assert [body(row)["data"]["n"] for row in rows if "pad" in body(row).get("data", {})] == list(range(60))


def test_events_alone_give_up_the_oldest_and_say_so(outbox: Outbox) -> None:
    for n in range(200):
        outbox.put("event", event(n, 10_000))
    rows = outbox.after(0, 1000)
    kept = {body(row)["data"]["n"] for row in rows if "pad" in body(row)["data"]}
    assert max(kept) == 199
    assert min(kept) > 0
    told = [gap for gap in gaps(rows) if gap["class"] == "event"]
    assert sum(gap["n"] for gap in told) >= 200 - len(kept), "a receipt that is dropped lives on in the next"
    assert min(gap["first"] for gap in told) == 1


def test_quotas_in_hours_do_not_believe_the_wall(outbox: Outbox, clock: ManualClock) -> None:
    outbox.put("telemetry", {})
    outbox.put("event", {})
    clock.wall_s += 400 * 86_400
    outbox.tick()
    clock.advance(71 * 3600)
    outbox.tick()
    assert names(outbox.after(0, 9)) == [("telemetry", 1), ("event", 1)]
    clock.advance(2 * 3600)
    outbox.tick()
    rows = outbox.after(0, 9)
    assert names(rows) == [("event", 1), ("event", 2)]
    assert gaps(rows) == [{"class": "telemetry", "boot": 1, "first": 1, "last": 1, "n": 1, "why": "expired"}]
    assert outbox.drops == {"expired": 1}


def test_the_seq_of_a_receipt_does_not_come_twice(
    tmp_path: Path, store: Store, outbox: Outbox, clock: ManualClock
) -> None:
    outbox.put("telemetry", {})
    clock.advance(73 * 3600)
    outbox.tick()
    assert names(outbox.after(0, 9)) == [("event", 1)]
    outbox.settle(outbox.after(0, 9))
    store.close()
    again = Store(tmp_path, LIMIT, clock)
    assert Outbox(again, clock, 1, StoreConfig()).put("event", {}) == 2
    again.close()


def test_a_row_given_up_leaves_a_receipt(outbox: Outbox) -> None:
    outbox.put("result", {"id": "a"}, suffix="result/a")
    outbox.drop(outbox.after(0, 1)[0], "too_large")
    rows = outbox.after(0, 9)
    assert gaps(rows) == [{"class": "result", "boot": 1, "first": 1, "last": 1, "n": 1, "why": "too_large"}]
    assert len(rows) == 1


def test_a_reset_is_told(tmp_path: Path, clock: ManualClock) -> None:
    (tmp_path / FILE).write_bytes(b"garbage " * 1000)
    store = Store(tmp_path, LIMIT, clock)
    first = body(Outbox(store, clock, 9, StoreConfig()).after(0, 1)[0])
    assert first["event"] == "store.reset"
    assert first["data"]["moved_to"].startswith("posdiag.db.corrupt-")
    store.close()


@contextmanager
def full_disk(path: Path) -> Iterator[None]:
    """No file of this process may grow beyond what the store's log has now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    wal = path.with_name(path.name + "-wal")
    resource.setrlimit(resource.RLIMIT_FSIZE, (wal.stat().st_size if wal.exists() else 0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_loses_nothing_and_writing_resumes(
    tmp_path: Path, store: Store, outbox: Outbox, clock: ManualClock
) -> None:
    for n in range(3):
        outbox.put("event", event(n))
    delivered = outbox.after(0, 1)
    with full_disk(store.path):
        for n in range(3, 40):
            assert outbox.put("event", event(n, 500)) == n + 1
            clock.advance(0.1)
        outbox.settle(delivered[:1])
        assert len(outbox.problems()) == 2, outbox.problems()
        assert "memory only" in outbox.problems()[1]
        assert [row.seq for row in outbox.after(0, 100)] == list(range(2, 41)), "memory's rows can be sent"
    clock.advance(6)
    outbox.tick()
    assert outbox.problems() == []
    store.close()
    again = Store(tmp_path, LIMIT, clock)
    reopened = Outbox(again, clock, 1, StoreConfig())
    assert [row.seq for row in reopened.after(0, 100)] == list(range(2, 41))
    assert reopened.put("event", {}) == 41
    again.close()


def test_an_agent_that_died_on_a_full_disk_uses_no_number_twice(
    tmp_path: Path, store: Store, outbox: Outbox, clock: ManualClock
) -> None:
    assert store.bump("conn") == 1
    outbox.put("event", event(1))
    with full_disk(store.path):
        assert [outbox.put("event", event(n, 500)) for n in range(2, 20)] == list(range(2, 20))
        assert [store.bump("conn") for _ in range(3)] == [2, 3, 4]
        assert outbox.problems()
        shutil.copytree(tmp_path, tmp_path / "after_death")
        again = Store(tmp_path / "after_death", LIMIT, clock)
        assert again.bump("conn") == 5
        reopened = Outbox(again, clock, 1, StoreConfig(max_bytes=LIMIT))
        rows = reopened.after(0, 99)
        assert (names(rows), gaps(rows)) == (
            [("event", 1), ("event", 20)],
            [{"class": "event", "boot": 1, "first": 2, "last": 19, "n": 18, "why": "memory"}],
        )
    again.close()  # the receipt was in memory, too
    for _ in range(2):
        again = Store(tmp_path / "after_death", LIMIT, clock)
        rows = Outbox(again, clock, 1, StoreConfig(max_bytes=LIMIT)).after(0, 99)
        assert [(gap["first"], gap["last"], gap["n"]) for gap in gaps(rows)] == [(2, 20, 19)], "told, and told once"
        again.close()


def test_what_waits_in_memory_leaves_no_silent_hole_when_somebody_else_writes_first(
    tmp_path: Path, store: Store, outbox: Outbox, clock: ManualClock
) -> None:
    outbox.put("telemetry", {})
    with full_disk(store.path):
        for n in range(10):
            outbox.put("telemetry", {"pad": "x" * 500})
            outbox.put("event", event(n, 500))
        assert outbox.problems()
    clock.advance(6)
    assert store.bump("conn") == 1  # the disk takes data again, and the agent dies before the rows are written
    assert store.problems() == []
    store.close()
    again = Store(tmp_path, LIMIT, clock)
    rows = Outbox(again, clock, 1, StoreConfig(max_bytes=LIMIT)).after(0, 99)
    told = {(gap["class"], gap["first"], gap["last"], gap["n"]) for gap in gaps(rows)}
    assert {(cls, last) for cls, _, last, _ in told} == {("event", 10), ("telemetry", 11)}, told
    again.close()


def test_memory_is_bounded_and_what_it_drops_has_a_receipt(store: Store, outbox: Outbox, clock: ManualClock) -> None:
    with full_disk(store.path):
        for n in range(100):
            outbox.put("telemetry", {"pad": "x" * 5000})
            outbox.put("event", event(n, 1000))
        assert outbox.depth()["bytes"] < 300_000
        assert sum(row.cls == "event" for row in outbox.after(0, 500)) == 100, "events stay, telemetry goes"
    clock.advance(6)
    outbox.tick()
    rows = outbox.after(0, 500)
    missing = 100 - sum(row.cls == "telemetry" for row in rows)
    assert missing > 0
    assert [(gap["class"], gap["n"], gap["why"]) for gap in gaps(rows)] == [("telemetry", missing, "disk")]


def test_a_store_that_opens_late_keeps_what_was_in_it(tmp_path: Path, clock: ManualClock) -> None:
    state = tmp_path / "state"
    store = Store(state, LIMIT, clock)
    first = Outbox(store, clock, store.bump("boot"), StoreConfig())
    first.put("event", event(1))
    store.close()
    state.rename(tmp_path / "away")
    state.write_text("in the way")
    store = Store(state, LIMIT, clock)
    outbox = Outbox(store, clock, store.bump("boot"), StoreConfig())
    outbox.put("event", event(2))
    state.unlink()
    (tmp_path / "away").rename(state)
    clock.advance(6)
    outbox.tick()
    assert [body(row)["data"]["n"] for row in outbox.after(0, 9)] == [1, 2]
    assert outbox.problems() == []
    store.close()


def test_threads_share_one_count(outbox: Outbox) -> None:
    seqs: list[int] = []

    def work() -> None:
        seqs.extend(outbox.put("event", {}) for _ in range(50))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(seqs) == list(range(1, 201))
    assert [row.seq for row in outbox.after(0, 500)] == list(range(1, 201))


def test_killed_at_any_moment_no_promise_is_broken(tmp_path: Path) -> None:
    chance = random.Random(20)
    put: Counter[tuple[str, int, int]] = Counter()
    settled: set[tuple[str, int, int]] = set()
    for run in range(30):
        boot = 1 + run // 3
        told = killed_writer(tmp_path, boot, chance.randrange(12), chance.uniform(0.0, 0.05))
        for line in told:
            if line[0] == "put":
                put[line[1], boot, int(line[2])] += 1
            elif line[0] == "settle":
                settled.add((line[1], int(line[2]), int(line[3])))
    clock = ManualClock()
    store = Store(tmp_path, 4 * 1024 * 1024, clock)
    assert store.moved_aside is None
    rows = Outbox(store, clock, 99, StoreConfig()).after(0, 1_000_000)
    stored = [(row.cls, row.boot, row.seq) for row in rows]
    store.close()
    assert len(put) > 100, "the writer hardly ran; the test would prove nothing"
    assert max(put.values()) == 1, "a seq was promised twice"
    assert len(stored) == len(set(stored))
    assert set(put) - settled - set(stored) == set(), "an acknowledged row is lost"


def killed_writer(directory: Path, boot: int, after_lines: int, after_s: float) -> list[list[str]]:
    """What it said until it was killed, so long after so many lines, which a slow disk takes longer for."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.agent.writer", str(directory), str(boot)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline() == "ready\n"
        told = [process.stdout.readline().split() for _ in range(after_lines)]
        timer = threading.Timer(after_s, process.kill)
        timer.start()
        told += [line.split() for line in process.stdout if line.endswith("\n")]
        timer.join()
    process.wait()
    return told


@pytest.mark.parametrize("hours", [float("inf"), float("nan"), 1e300])
def test_rows_are_swept_whatever_number_of_hours_was_asked_for(store: Store, clock: ManualClock, hours: float) -> None:
    outbox = Outbox(store, clock, 1, StoreConfig(max_bytes=LIMIT, event_hours=hours, telemetry_hours=hours))
    outbox.put("event", event(1))
    outbox.put("telemetry", event(2))
    clock.advance(86_400)
    outbox.tick()
    assert names(outbox.after(0, 10)) == [("event", 1), ("telemetry", 1)]
    clock.advance(86_400 * 366)
    outbox.tick()
    assert [gap["why"] for gap in gaps(outbox.after(0, 10))] == ["expired", "expired"]
