from __future__ import annotations

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Select, select

from center.db import feed
from center.db.engine import Database, DatabaseError, among, bulk_insert, insert_ignore, upsert
from center.db.migrate import migrate
from center.db.tables import changes, desired_configs, faults, heartbeat, metadata, sites


def test_the_migrations_lead_to_the_tables(database: Database) -> None:
    with database.begin() as connection:
        context = MigrationContext.configure(
            connection,
            opts={"compare_type": True, "include_object": lambda _object, name, *_: name != "telemetry_rest"},
        )
        assert compare_metadata(context, metadata) == []


def test_a_second_start_finds_nothing_to_do(database: Database) -> None:
    with database.begin() as connection:
        upsert(connection, heartbeat, [{"name": "a", "at_ms": 1, "data": {"x": [1]}}])
    migrate(database)
    with database.read() as connection:
        assert connection.execute(select(heartbeat.c.data)).scalar_one() == {"x": [1]}


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("no url", "'no url' is no URL of a database"),
        ("mysql://h/d", "'mysql://h/d' is no database that is known"),
        ("sqlite://", "no database that is known"),
        ("sqlite:////proc/none/center.db", "/proc/none/center.db"),
    ],
)
def test_a_wrong_url_is_told_in_one_line(url: str, said: str) -> None:
    with pytest.raises(DatabaseError, match=said) as caught:
        Database(url)
    assert "\n" not in str(caught.value)


def test_a_server_that_is_not_there_is_told_in_one_line() -> None:
    database = Database("postgresql://somebody:secret@127.0.0.1:1/none")
    with pytest.raises(DatabaseError, match="refused") as caught:
        migrate(database)
    database.close()
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_inserting_again_adds_nothing(database: Database) -> None:
    rows = [{"name": f"n{number}", "at_ms": 1} for number in range(1200)]
    with database.begin() as connection:
        assert insert_ignore(connection, heartbeat, rows) == 1200
        assert insert_ignore(connection, heartbeat, [*rows, {"name": "one more", "at_ms": 1}]) == 1


def test_an_update_leaves_alone_what_is_newer_and_what_is_kept(database: Database) -> None:
    def fault(version: int, state: str, first_ms: int) -> dict[str, object]:
        names = {"estate": "e", "terminal": "t", "fault": "printer/paper_out", "severity": "major"}
        return {
            **names,
            "state": state,
            "version": f"{version:03}",
            "first_ms": first_ms,
            "last_ms": 9,
            "received_ms": 9,
        }

    with database.begin() as connection:
        assert upsert(connection, faults, [fault(5, "raised", 1)], newer="version") == 1
        assert upsert(connection, faults, [fault(4, "cleared", 2)], newer="version") == 0
        assert upsert(connection, faults, [fault(6, "flapping", 2)], newer="version", keep=["first_ms"]) == 1
        row = connection.execute(select(faults.c.state, faults.c.version, faults.c.first_ms)).one()
    assert tuple(row) == ("flapping", "006", 1)


def test_many_rows_with_json_and_nulls(database: Database) -> None:
    rows = [
        {
            "estate": "e",
            "site": "a",
            "hours": {"mon": ["09:00", "18:00"]},
            "lat": 1.5,
            "name": "甲\t\\N\n",
            "updated_ms": 1,
        },
        {"estate": "e", "site": "b", "hours": None, "lat": None, "name": "", "updated_ms": 2},
    ]
    with database.begin() as connection:
        bulk_insert(connection, sites, rows)
        found = connection.execute(select(sites.c.hours, sites.c.lat, sites.c.name).order_by(sites.c.site)).all()
    assert [tuple(row) for row in found] == [({"mon": ["09:00", "18:00"]}, 1.5, "甲\t\\N\n"), (None, None, "")]


def _sites(*keys: tuple[str, str]) -> Select[tuple[str]]:
    return select(sites.c.name).where(among((sites.c.estate, sites.c.site), keys)).order_by(sites.c.name)


def test_rows_are_found_by_their_whole_key_and_no_part_of_it(database: Database) -> None:
    places = [("e", "a"), ("e", "b"), ("f", "a"), ("f", "b"), ("e", "甲'\"\\")]
    rows = [{"estate": estate, "site": site, "name": f"{estate}/{site}", "updated_ms": 1} for estate, site in places]
    with database.begin() as connection:
        bulk_insert(connection, sites, rows)
        for some in ([], [places[0]], [places[1], places[2]], [places[4], ("e", "none")], places):
            named = sorted("/".join(each) for each in some if each in places)
            assert sorted(connection.execute(_sites(*some)).scalars()) == named


def test_a_number_in_a_key_is_a_number(database: Database) -> None:
    row = {
        "estate": "e",
        "terminal": "t",
        "body": {},
        "state": "applied",
        "issued_by": "x",
        "at_ms": 1,
        "updated_ms": 1,
    }
    key = desired_configs.c.estate, desired_configs.c.terminal, desired_configs.c.version
    with database.begin() as connection:
        bulk_insert(connection, desired_configs, [{**row, "version": number} for number in (1, 2, 1 << 53)])
        wanted = select(key[2]).where(among(key, [("e", "t", 2), ("e", "t", (1 << 53) + 1), ("e", "t", 1 << 53)]))
        assert sorted(connection.execute(wanted).scalars()) == [2, 1 << 53]


def test_a_failed_transaction_leaves_nothing(database: Database) -> None:
    def fail() -> None:
        with database.begin() as connection:
            feed.append(connection, [("fault", "e", "t", "k")], 1)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    with database.read() as connection:
        assert feed.head(connection) == 0


def test_the_feed_is_followed_by_id(database: Database) -> None:
    with database.begin() as connection:
        feed.append(connection, [("fault", "e", "t", f"k{number}") for number in range(5)], 7)
    with database.read() as connection:
        first = feed.after(connection, 0, limit=2)
        rest = feed.after(connection, first[-1].id)
    assert [change.key for change in first + rest] == ["k0", "k1", "k2", "k3", "k4"]
    assert rest[0] == (first[-1].id + 1, "fault", "e", "t", "k2", 7)


def test_an_id_of_the_feed_is_never_given_twice(database: Database) -> None:
    with database.begin() as connection:
        feed.append(connection, [("fault", "e", "t", "a")], 1)
        before = feed.head(connection)
        connection.execute(changes.delete())
    with database.begin() as connection:
        feed.append(connection, [("fault", "e", "t", "b")], 1)
        assert feed.head(connection) > before


def test_a_cursor_is_found_again(database: Database) -> None:
    with database.begin() as connection:
        assert feed.load_cursor(connection, "engine") is None
        feed.save_cursor(connection, "engine", {"id": 4}, 1)
        feed.save_cursor(connection, "engine", {"id": 9}, 2)
    with database.read() as connection:
        assert feed.load_cursor(connection, "engine") == {"id": 9}


def test_what_is_written_is_read_by_another_process(database: Database, database_url: str, tmp_path: Path) -> None:
    other = Database(database_url)
    with database.begin() as connection:
        feed.append(connection, [("fault", "e", "t", "a")], 1)
        with other.read() as seen:
            assert feed.head(seen) == 0
    with other.read() as seen:
        assert feed.head(seen) == 1
    other.close()
