from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent import marks
from agent.clock import ManualClock
from agent.store import COMMANDS_AFTER_LOSS_S, COMMANDS_KEPT_S, FILE, Store, StoreBusy, StoreUnwritable

LIMIT = 4 * 1024 * 1024


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def store(tmp_path: Path, clock: ManualClock) -> Iterator[Store]:
    with_file = Store(tmp_path, LIMIT, clock)
    yield with_file
    with_file.close()


def test_what_is_kept_survives(tmp_path: Path, store: Store, clock: ManualClock) -> None:
    store.keep("kv", {"iccid": "8986", "gone": "x"})
    store.keep("kv", {"gone": None})
    store.keep("fault", {"printer/paper_out": '{"count":1}'})
    assert [store.bump("boot"), store.bump("boot"), store.bump("conn")] == [1, 2, 1]
    store.close()
    again = Store(tmp_path, LIMIT, clock)
    assert again.kept("kv") == {"iccid": "8986", "boot": "2", "conn": "1"}
    assert again.kept("fault") == {"printer/paper_out": '{"count":1}'}
    assert again.bump("conn") == 2
    assert again.moved_aside is None
    again.close()


def test_the_file_is_for_this_user_only(store: Store) -> None:
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600


def test_a_second_daemon_is_refused(tmp_path: Path, store: Store, clock: ManualClock) -> None:
    store.keep("kv", {"a": "1"})
    with pytest.raises(StoreBusy, match="in use"):
        Store(tmp_path, LIMIT, clock)


@pytest.mark.parametrize(
    "content",
    [b"not a database at all, but long enough to have a header" * 40, b"SQLite format 3\0" + b"\xff" * 8192],
    ids=["text", "broken header"],
)
def test_a_corrupt_file_is_moved_aside(tmp_path: Path, clock: ManualClock, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    store = Store(tmp_path, LIMIT, clock)
    assert store.moved_aside is not None
    assert (tmp_path / store.moved_aside[0]).read_bytes() == content
    store.keep("kv", {"a": "1"})
    assert store.problems() == []
    store.close()
    assert Store(tmp_path, LIMIT, clock).kept("kv")["a"] == "1"


def test_pages_overwritten_inside_are_noticed(tmp_path: Path, clock: ManualClock) -> None:
    store = Store(tmp_path, LIMIT, clock)
    store.keep("kv", {f"key{n}": "x" * 200 for n in range(400)})
    store.close()
    content = bytearray((tmp_path / FILE).read_bytes())
    content[8192:40960] = os.urandom(32768)
    (tmp_path / FILE).write_bytes(content)
    store = Store(tmp_path, LIMIT, clock)
    assert store.moved_aside is not None
    store.close()


ROW = "INSERT INTO outbox VALUES (NULL, 'telemetry', 1, 1, '', zeroblob(100000), 0)"


@pytest.mark.parametrize("verb", ["read", "write"])
def test_pages_overwritten_while_it_is_open_are_noticed_when_they_are_needed(
    tmp_path: Path, clock: ManualClock, verb: str
) -> None:
    store = Store(tmp_path, LIMIT, clock)
    store.keep("kv", {"a": "1"})
    for _ in range(20):
        store.write(lambda db: db.execute(ROW), durable=False)
    store.close()
    store = Store(tmp_path, LIMIT, clock)
    with (tmp_path / FILE).open("r+b") as file:
        file.seek(8192)
        file.write(os.urandom(1_500_000))
    if verb == "read":
        assert store.read(lambda db: db.execute("SELECT max(hex(payload)) FROM outbox").fetchone(), "none") == "none"
    else:
        assert store.write(lambda db: db.execute("UPDATE outbox SET seq = seq + 1").rowcount, durable=True) == 0
    assert store.moved_aside is not None
    assert store.problems() == []
    store.close()
    assert Store(tmp_path, LIMIT, clock).kept("kv")["a"] == "1"


def test_somebody_elses_database_is_not_written_to(tmp_path: Path, clock: ManualClock) -> None:
    foreign = sqlite3.connect(tmp_path / FILE)
    foreign.execute("CREATE TABLE sales (amount)")
    foreign.commit()
    foreign.close()
    store = Store(tmp_path, LIMIT, clock)
    assert store.moved_aside is not None
    store.close()
    kept = sqlite3.connect(tmp_path / store.moved_aside[0])
    assert kept.execute("SELECT name FROM sqlite_schema").fetchall() == [("sales",)]
    kept.close()


def test_counters_go_on_after_the_loss_of_the_file_alone(tmp_path: Path, clock: ManualClock) -> None:
    store = Store(tmp_path, LIMIT, clock)
    assert [store.bump("boot"), store.bump("conn"), store.bump("conn")] == [1, 1, 2]
    store.close()
    (tmp_path / FILE).write_bytes(b"garbage " * 1000)
    clock.wall_s = 0.0  # 1970: the time is no help
    store = Store(tmp_path, LIMIT, clock)
    assert store.moved_aside is not None
    assert [store.bump("boot"), store.bump("conn")] == [2, 3]
    store.close()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"kv.conn":"x"}', b'{"kv.conn":7}   ', b"\xff" * 600])
def test_marks_that_cannot_be_read_are_none(tmp_path: Path, clock: ManualClock, content: bytes) -> None:
    (tmp_path / marks.FILE).write_bytes(content)
    store = Store(tmp_path, LIMIT, clock)
    assert store.bump("conn") == (8 if b"7" in content else 1)
    store.close()


def test_counters_never_come_twice_after_a_loss(tmp_path: Path, clock: ManualClock) -> None:
    store = Store(tmp_path, LIMIT, clock)
    before = [store.bump("boot") for _ in range(5)][-1]
    store.close()
    (tmp_path / FILE).write_bytes(b"garbage " * 1000)
    (tmp_path / marks.FILE).write_bytes(b"garbage")
    store = Store(tmp_path, LIMIT, clock)
    first = store.bump("boot")
    assert first > before + 1_000_000
    assert store.bump("boot") == first + 1
    store.close()


def test_only_two_corpses_are_kept(tmp_path: Path, clock: ManualClock) -> None:
    for _ in range(4):
        clock.advance(60)
        (tmp_path / FILE).write_bytes(b"garbage " * 1000)
        Store(tmp_path, LIMIT, clock).close()
    assert len(list(tmp_path.glob(f"{FILE}.corrupt-*"))) == 2


def test_a_directory_that_is_not_there_yet_is_only_a_problem(tmp_path: Path, clock: ManualClock) -> None:
    obstacle = tmp_path / "state"
    obstacle.write_text("a file where the directory should be")
    store = Store(obstacle, LIMIT, clock)
    assert len(store.problems()) == 1
    assert str(obstacle) in store.problems()[0]
    store.keep("kv", {"a": "1"})
    assert store.get("a") == "1", "memory remembers"
    assert store.bump("boot") > 1_000_000, "a counter that cannot be read must not start again at 1"
    with pytest.raises(StoreUnwritable):
        store.write(lambda _: None, durable=True)

    obstacle.unlink()
    assert store.recover() is False, "not tried again before its time"
    clock.advance(6)
    assert store.recover() is True
    assert store.problems() == []
    store.close()
    again = Store(obstacle, LIMIT, clock)
    assert again.get("a") == "1", "what memory remembered went to the disk"
    again.close()


def test_a_failed_transaction_leaves_nothing(store: Store) -> None:
    store.keep("kv", {"a": "1"}, now=False)

    def broken(db: sqlite3.Connection) -> None:
        db.execute("INSERT INTO kept VALUES ('kv', 'half', 'x')")
        raise KeyError

    with pytest.raises(KeyError):
        store.write(broken, durable=True)
    query = "SELECT key FROM kept WHERE space = 'kv'"
    assert store.read(lambda db: db.execute(query).fetchall(), []) == []
    store.recover()
    assert store.read(lambda db: db.execute(query).fetchall(), []) == [("a",)]


def test_commands_are_remembered_until_they_are_long_expired(tmp_path: Path, store: Store, clock: ManualClock) -> None:
    assert store.note_command("abc", clock.wall() + 300, "accepted") is True
    assert store.note_command("abc", clock.wall() + 300, "running") is False
    store.close()
    store = Store(tmp_path, LIMIT, clock)
    assert store.commands() == {"abc": "running"}
    assert store.note_command("abc", clock.wall() + 300, "running") is False
    clock.advance(2 * 3600)
    store.note_command("def", clock.wall() + 300, "accepted")
    assert store.commands() == {"def": "accepted"}
    store.close()


def test_only_what_is_durable_pays_for_it(store: Store) -> None:
    def level(db: sqlite3.Connection) -> int:
        return int(db.execute("PRAGMA synchronous").fetchone()[0])

    full, normal = 2, 1
    assert [store.write(level, durable=durable) for durable in (True, False, True)] == [full, normal, full]
    assert store.read(lambda db: db.execute("PRAGMA journal_mode").fetchone()[0], "") == "wal"


def test_what_was_forgotten_is_below_the_floor_also_after_a_restart_and_a_loss(
    tmp_path: Path, clock: ManualClock
) -> None:
    clock.wall_s = 2e9
    store = Store(tmp_path, 10**7, clock)
    assert store.command_floor() == float("-inf")
    store.note_command("first", 2e9 + 60, "accepted")
    clock.wall_s += 60 + COMMANDS_KEPT_S + 1
    store.note_command("second", clock.wall_s + 60, "accepted")
    assert store.command_floor() == 2e9 + 60
    store.close()
    clock.wall_s = 2e9  # whoever sets the clock back does not make the first one new again
    store = Store(tmp_path, 10**7, clock)
    assert store.command_floor() == 2e9 + 60
    store.close()
    (tmp_path / "posdiag.db").write_bytes(b"not a database" * 1000)
    store = Store(tmp_path, 10**7, clock)
    assert store.command_floor() == 2e9 + COMMANDS_AFTER_LOSS_S
    store.close()
