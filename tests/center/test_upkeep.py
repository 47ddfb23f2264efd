from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import event, func, insert, select, text
from sqlalchemy.exc import DataError

from center.db import feed
from center.db.aside import PATIENCE
from center.db.engine import Database, upsert
from center.db.tables import (
    changes,
    events,
    evidence,
    gaps,
    heartbeat,
    metrics_day,
    metrics_hour,
    quarantine,
    telemetry,
)
from center.ingest import partitions
from center.ingest.retention import DAY_MS
from center.ingest.upkeep import CLEAN_MS, Upkeep, UpkeepThread
from center.settings import Settings
from tests.center import said
from tests.center.test_ingest import Ingest
from tests.wait import wait_until

LATER = feed.SETTLED_MS + 1000
HOUR_MS = 3_600_000


@pytest.fixture
def ingest(database: Database) -> Iterator[Ingest]:
    ingest = Ingest(database)
    yield ingest
    ingest.writer.close()


@pytest.fixture
def upkeep(database: Database) -> Upkeep:
    return Upkeep(database, Settings())


def _missing(ingest: Ingest) -> list[tuple[int, str, int, int]]:
    with ingest.database.read() as connection:
        rows = connection.execute(
            select(gaps.c.boot, gaps.c["class"], gaps.c.first, gaps.c.last)
            .where(gaps.c.closed_ms.is_(None))
            .order_by(gaps.c.boot, gaps.c["class"], gaps.c.first)
        )
        return [tuple(row) for row in rows]


def _step(ingest: Ingest, upkeep: Upkeep) -> None:
    ingest.now_ms += LATER
    assert upkeep.step(ingest.now_ms)


def test_holes_are_found_and_closed_when_they_are_filled(ingest: Ingest, upkeep: Upkeep) -> None:
    ingest(*(("event", said.event(seq)) for seq in (3, 4, 7, 10)))
    _step(ingest, upkeep)
    assert _missing(ingest) == [(1, "event", 5, 6), (1, "event", 8, 9)]  # 1 and 2 were said before it was known
    ingest(*(("event", said.event(seq, late=True)) for seq in (6, 8, 9, 12)))
    _step(ingest, upkeep)
    assert _missing(ingest) == [(1, "event", 5, 5), (1, "event", 11, 11)]
    ingest(("event", said.event(5)), ("event", said.event(11)), ("event", said.event(2)))
    _step(ingest, upkeep)
    assert _missing(ingest) == []


def test_a_later_boot_counts_from_one(ingest: Ingest, upkeep: Upkeep) -> None:
    ingest(("event", said.event(30, boot=1)))
    _step(ingest, upkeep)
    ingest(("event", said.event(3, boot=2)), ("event", said.event(1, boot=2)))
    _step(ingest, upkeep)
    assert _missing(ingest) == [(2, "event", 2, 2)]


def test_boots_of_one_window_follow_each_other(ingest: Ingest, upkeep: Upkeep) -> None:
    ingest(*(("event", said.event(seq, boot=boot)) for boot, seq in ((1, 30), (2, 3))))
    _step(ingest, upkeep)
    assert _missing(ingest) == [(2, "event", 1, 2)]


def test_a_whole_fleet_that_boots_is_no_more_work_than_one_terminal(ingest: Ingest, upkeep: Upkeep) -> None:
    counts = []
    for boot, terminals in ((1, 40), (2, 1), (3, 40)):
        for number in range(terminals):
            ingest(*(("event", said.event(seq, boot=boot)) for seq in (1, 2)), base=f"pos/1/e/t{number}")
        told: list[str] = []
        event.listen(ingest.database.engine, "before_cursor_execute", lambda *it, told=told: told.append(it[2]))
        _step(ingest, upkeep)
        counts.append(len(told))
    assert _missing(ingest) == []
    assert counts[2] < counts[1] + 10


def test_classes_and_terminals_do_not_mix(ingest: Ingest, upkeep: Upkeep) -> None:
    ingest(
        ("event", said.event(1)),
        ("telemetry", said.telemetry(2)),
        ("result/cmd-00000001", said.result(3, "cmd-00000001")),
    )
    ingest(("event", said.event(4)), ("telemetry", said.telemetry(3)), base="pos/1/e/other")
    _step(ingest, upkeep)
    assert _missing(ingest) == []


def test_newest_first_leaves_no_gap_behind(ingest: Ingest, upkeep: Upkeep) -> None:
    ingest(("telemetry", said.telemetry(40)))
    _step(ingest, upkeep)
    for seqs in (range(30, 40), range(20, 30), range(10, 20)):
        ingest(*(("telemetry", said.telemetry(seq, late=True)) for seq in reversed(seqs)))
        _step(ingest, upkeep)
        assert _missing(ingest) == []


def test_a_receipt_explains_what_it_names_and_no_more(ingest: Ingest, upkeep: Upkeep) -> None:
    ingest(*(("telemetry", said.telemetry(seq)) for seq in (1, 10)))
    _step(ingest, upkeep)
    assert _missing(ingest) == [(1, "telemetry", 2, 9)]
    told = {"class": "telemetry", "boot": 1, "first": 2, "last": 9, "n": 5, "why": "full"}
    ingest(("event", said.event(1, "store.gap", told)))
    _step(ingest, upkeep)
    assert _missing(ingest) == [(1, "telemetry", 7, 9)]
    ingest(*(("telemetry", said.telemetry(seq)) for seq in (4, 5, 6)))
    _step(ingest, upkeep)
    assert _missing(ingest) == []


def test_a_receipt_may_come_first(ingest: Ingest, upkeep: Upkeep) -> None:
    told = {"class": "telemetry", "boot": 1, "first": 2, "last": 4, "n": 3, "why": "full"}
    ingest(("event", said.event(1, "store.gap", told)))
    ingest(("telemetry", said.telemetry(1)), ("telemetry", said.telemetry(5)))
    _step(ingest, upkeep)
    assert _missing(ingest) == []


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"class": "x"},
        {"class": ["event"], "boot": 1, "first": 2, "last": 2, "n": 1},
        {"class": "event", "boot": "1", "first": 1, "last": 9, "n": 9},
    ],
)
def test_a_receipt_that_names_nothing_explains_nothing(ingest: Ingest, upkeep: Upkeep, data: dict[str, object]) -> None:
    ingest(("event", said.event(1, "store.gap", data)), ("event", said.event(3)))
    _step(ingest, upkeep)
    assert _missing(ingest) == [(1, "event", 2, 2)]


def test_a_lost_store_explains_what_was_numbered_before(ingest: Ingest, upkeep: Upkeep) -> None:
    ingest(*(("telemetry", said.telemetry(seq)) for seq in (1, 5)), ("event", said.event(1)), ("event", said.event(4)))
    _step(ingest, upkeep)
    assert len(_missing(ingest)) == 2
    ingest(("event", said.event(6, "store.reset")))
    _step(ingest, upkeep)
    assert _missing(ingest) == []
    ingest(("event", said.event(8)))
    _step(ingest, upkeep)
    assert _missing(ingest) == [(1, "event", 7, 7)]


def test_what_is_not_settled_waits(ingest: Ingest, upkeep: Upkeep) -> None:
    ingest(("event", said.event(1)), ("event", said.event(3)))
    assert upkeep.step(ingest.now_ms + feed.SETTLED_MS - 1)
    assert _missing(ingest) == []
    assert upkeep.step(ingest.now_ms + feed.SETTLED_MS + 1)
    assert _missing(ingest) == [(1, "event", 2, 2)]


def test_numbers_by_hour_and_by_day(ingest: Ingest, upkeep: Upkeep) -> None:
    midnight = said.AT_MS - said.AT_MS % DAY_MS
    for seq, at_ms, value in ((1, 0, 10), (2, 600_000, 4), (3, HOUR_MS, 7.5), (5, HOUR_MS - 1, 30)):
        ingest(("telemetry", said.telemetry(seq, (0, {"modem.rsrp_dbm": value}), at_ms=midnight + at_ms)))
        _step(ingest, upkeep)
    ingest(("telemetry", said.telemetry(4, (0, {"modem.rsrp_dbm": 1}), late=True, at_ms=midnight + 1000)))
    _step(ingest, upkeep)
    _step(ingest, upkeep)
    names = ("bucket_ms", "n", "min", "max", "sum", "last", "last_ms")
    assert ingest.rows(metrics_hour, *names) == [
        (midnight, 4, 1, 30, 45, 30, midnight + HOUR_MS - 1),
        (midnight + HOUR_MS, 1, 7.5, 7.5, 7.5, 7.5, midnight + HOUR_MS),
    ]
    assert ingest.rows(metrics_day, *names) == [(midnight, 5, 1, 30, 52.5, 7.5, midnight + HOUR_MS)]


def test_words_and_failures_are_no_numbers(ingest: Ingest, upkeep: Upkeep) -> None:
    values = {"a": True, "b": None, "c": "out", "d": {"error": "no_reply"}, "e": 1e301, "f": 0, "g" * 201: 1}
    ingest(("telemetry", said.telemetry(1, (0, values))))
    _step(ingest, upkeep)
    assert ingest.rows(metrics_hour, "metric", "n") == [("f", 1)]


def test_many_windows_in_one_step(ingest: Ingest, upkeep: Upkeep, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("center.ingest.upkeep.WINDOW_ROWS", 10)
    for part in range(5):
        ingest(*(("telemetry", said.telemetry(1 + part * 15 + number, (0, {"x": 1}))) for number in range(15)))
    _step(ingest, upkeep)
    assert [row[0] for row in ingest.rows(metrics_day, "n")] == [75]
    assert _missing(ingest) == []


def test_a_step_that_is_killed_is_done_once(ingest: Ingest, upkeep: Upkeep, monkeypatch: pytest.MonkeyPatch) -> None:
    ingest(("telemetry", said.telemetry(1, (0, {"x": 1}))))
    with monkeypatch.context() as patch:
        patch.setattr("center.ingest.upkeep.feed.save_cursor", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            _step(ingest, upkeep)
    assert ingest.rows(metrics_day, "n") == []
    _step(ingest, upkeep)
    assert ingest.rows(metrics_day, "n") == [(1,)]


def _stored(ingest: Ingest, *rows: tuple[int, Any]) -> None:
    """Telemetry as a version stored it that did not look at its numbers."""
    head = {"estate": "e", "terminal": "t", "boot": 1, "at_ms": said.AT_MS, "late": False, "received_ms": ingest.now_ms}
    with ingest.database.begin() as connection:
        connection.execute(insert(telemetry), [head | {"seq": seq, "samples": samples} for seq, samples in rows])


def test_what_cannot_be_summed_up_is_put_aside_and_the_rest_goes_on(ingest: Ingest, upkeep: Upkeep) -> None:
    good = [[0, {"x": 1}]]
    _stored(ingest, (1, good), (2, [[10**30, {"x": 1}]]), (3, good), (4, {"no": "samples"}), (6, good))
    for _try in range(PATIENCE):
        with pytest.raises((OverflowError, ValueError, DataError)):
            _step(ingest, upkeep)
    assert ingest.rows(metrics_day, "n") == []
    _step(ingest, upkeep)
    assert ingest.rows(metrics_day, "n") == [(3,)]
    assert sorted((topic, bytes(head)) for topic, head in ingest.rows(quarantine, "topic", "head")) == [
        ("aside/pos/1/e/t/telemetry", b"boot 1, seq 2"),
        ("aside/pos/1/e/t/telemetry", b"boot 1, seq 4"),
    ]
    _stored(ingest, (7, good))
    _step(ingest, upkeep)
    assert ingest.rows(metrics_day, "n") == [(4,)]
    assert (1, "telemetry", 5, 5) in _missing(ingest)


def test_the_thread_outlives_what_fails_and_tells_it(ingest: Ingest) -> None:
    _stored(ingest, (1, [[10**30, {"x": 1}]]))
    thread = UpkeepThread(ingest.database, Settings(), lambda: ingest.now_ms + LATER)
    try:
        told = wait_until(lambda: dict(ingest.rows(heartbeat, "name", "data")).get("engine-upkeep"))
        assert "OverflowError" in told["problem"] or "out of range" in told["problem"]
    finally:
        thread.stop()


def test_one_process_holds_the_lease(ingest: Ingest, upkeep: Upkeep) -> None:
    other = {"name": "upkeep", "at_ms": ingest.now_ms, "data": {"host": "elsewhere", "pid": 1}}
    with ingest.database.begin() as connection:
        upsert(connection, heartbeat, [other])
    assert not upkeep.step(ingest.now_ms + 1000)
    assert upkeep.step(ingest.now_ms + 120_000)


def test_what_is_too_old_goes_and_what_is_held_stays(ingest: Ingest, upkeep: Upkeep) -> None:
    ingest(("telemetry", said.telemetry(1)), ("event", said.event(1)), ("event", b"{"))
    ingest(("telemetry", said.telemetry(1)), base="pos/1/e/held")
    hold = {
        "id": "ev-1",
        "estate": "e",
        "terminal": "held",
        "from_ms": said.AT_MS - 1000,
        "until_ms": said.AT_MS + 1000,
    }
    rest = {"sha256": "", "path": "", "made_by": "", "at_ms": 0, "hold_until_ms": said.AT_MS + 500 * DAY_MS}
    with ingest.database.begin() as connection:
        upsert(connection, evidence, [hold | rest])
        assert feed.head(connection) > 0
    ingest.now_ms += 31 * DAY_MS
    _step(ingest, upkeep)
    assert ingest.rows(telemetry, "terminal") == [("held",)]
    assert ingest.rows(events, "seq") == [(1,)]
    assert ingest.rows(quarantine, "why") == ingest.rows(changes, "kind") == []
    ingest.now_ms += CLEAN_MS + 480 * DAY_MS
    _step(ingest, upkeep)
    assert ingest.rows(telemetry, "terminal") == ingest.rows(events, "seq") == []


@pytest.mark.peers
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_days_are_partitions_of_postgresql(ingest: Ingest, upkeep: Upkeep) -> None:
    far = said.AT_MS - 400 * DAY_MS
    ingest(("telemetry", said.telemetry(1)), ("telemetry", said.telemetry(2, at_ms=far)))
    _step(ingest, upkeep)
    today = said.AT_MS // DAY_MS
    with ingest.database.read() as connection:
        assert partitions.existing(connection) == set(range(today - 1, today + 4))
        rest = connection.execute(text("SELECT count(*) FROM telemetry_rest")).scalar()
        assert (rest, connection.execute(select(func.count()).select_from(telemetry)).scalar()) == (1, 2)
    ingest(("telemetry", said.telemetry(1)))  # again, now with its partition
    assert len(ingest.rows(telemetry, "seq")) == 2
    ingest.now_ms += 40 * DAY_MS
    _step(ingest, upkeep)
    with ingest.database.read() as connection:
        assert min(partitions.existing(connection)) == today + 39
    assert ingest.rows(telemetry, "seq") == []
