"""Who may see and do what, and what is written down about it."""

from __future__ import annotations

import pytest
from sqlalchemy import func, insert, select, update

from center.access import accounts, audit, credentials, passwords
from center.access.audit import Entry
from center.access.limits import Lockout, Rate
from center.access.recorder import Recorder
from center.access.roles import MAY, ROLES, Who
from center.access.scope import EVERYTHING, Scope
from center.db import tables
from center.db.engine import Database
from tests.center import fleet_rows

NOW = 1_790_000_000_000


def _fill(database: Database) -> None:
    rows = [("e", "t1", "north", "s1"), ("e", "t2", "north", "s2"), ("e", "t3", "south", "s3"), ("f", "t1", None, None)]
    with database.begin() as connection:
        for estate, terminal, region, site in rows:
            place = {"estate": estate, "terminal": terminal, "region": region, "site": site, "created_ms": NOW}
            connection.execute(insert(tables.terminals).values(place))
            told = {"state": "raised", "severity": "major", "first_ms": NOW, "last_ms": NOW, "received_ms": NOW}
            fault = {"estate": estate, "terminal": terminal, "fault": "printer/paper_out", **told}
            connection.execute(insert(tables.faults).values(fault))
            change = {"kind": "fault", "estate": estate, "terminal": terminal, "key": "printer/paper_out", "at_ms": NOW}
            connection.execute(insert(tables.changes).values(change))
        incident = {"id": "inc-1", "estate": "e", "scope": "site", "scope_key": "s1", "severity": "major"}
        incident |= {"state": "open", "title": "x", "opened_ms": NOW, "last_ms": NOW}
        connection.execute(insert(tables.incidents).values(incident))
        member = {"incident_id": "inc-1", "estate": "e", "terminal": "t1", "fault": "printer/paper_out"}
        connection.execute(insert(tables.incident_members).values(**member, joined_ms=NOW))
        change = {"kind": "incident", "estate": "e", "terminal": None, "key": "inc-1", "at_ms": NOW}
        connection.execute(insert(tables.changes).values(change))


@pytest.mark.parametrize(
    ("scope", "seen"),
    [
        (Scope(), {"e/t1", "e/t2", "e/t3", "f/t1"}),
        (Scope(estates=("f",)), {"f/t1"}),
        (Scope(estates=()), set()),
        (Scope(regions=("north",)), {"e/t1", "e/t2"}),
        (Scope(sites=("s3",)), {"e/t3"}),
        (Scope(regions=("north",), sites=("s3",)), set()),
        (Scope(estates=("f",), regions=("north",)), set()),
    ],
)
def test_what_is_foreign_is_not_found(database: Database, scope: Scope, seen: set[str]) -> None:
    _fill(database)
    with database.read() as connection:
        for table, many in ((tables.terminals, False), (tables.faults, False), (tables.faults, True)):
            rows = connection.execute(select(table.c.estate, table.c.terminal).where(scope.where(table, many=many)))
            assert {f"{row.estate}/{row.terminal}" for row in rows} == seen
        found = connection.execute(select(tables.incidents.c.id).where(scope.where(tables.incidents))).all()
        assert bool(found) == ("e/t1" in seen)
        told = connection.execute(
            select(func.count(tables.changes.c.id)).where(scope.where(tables.changes))
        ).scalar_one()
        assert told == len(seen) + ("e/t1" in seen)


@pytest.mark.parametrize("many", [False, True])
def test_what_is_gone_counts_where_it_stood_and_what_has_no_terminal_by_its_site(
    database: Database, many: bool
) -> None:
    _fill(database)
    north, south = {"site": "s1", "region": "north"}, {"site": "s3", "region": "south"}
    gone = {"row": {}, "retired_ms": NOW, "by": "x", "reason": "x"}
    away = [("t8", north, None), ("t9", south, None), ("t3", north, NOW)]  # the last has come back, in the south
    told = [("e", "t1", "s3"), ("e", "t3", "s1"), ("e", "t8", None), ("e", "t9", None), ("f", "t8", None)]
    told += [("e", None, "s1"), ("e", None, "s3"), ("e", None, None), ("e", "strange", "s1"), ("f", None, "s1")]
    with database.begin() as connection:
        for terminal, place, back_ms in away:
            row = {"estate": "e", "terminal": terminal, "returned_ms": back_ms, **gone, **place}
            connection.execute(insert(tables.retired).values(row))
        for place in (north, south):
            connection.execute(insert(tables.sites).values(estate="e", updated_ms=NOW, **place))
        for number, (estate, terminal, site) in enumerate(told):
            row = fleet_rows.case(number) | {"estate": estate, "terminal": terminal, "site": site}
            connection.execute(insert(tables.cases).values(row))
    inside = Scope(regions=("north",)).where(tables.cases, many=many)
    with database.read() as connection:
        found = connection.execute(select(tables.cases.c.terminal, tables.cases.c.site).where(inside)).all()
    assert sorted(map(str, found)) == sorted(map(str, [("t1", "s3"), ("t8", None), (None, "s1")]))


def test_a_table_that_no_rule_tells_of_is_closed(database: Database) -> None:
    with database.begin() as connection:
        connection.execute(insert(tables.quarantine).values(topic="t", why="w", head=b"", size=0, at_ms=NOW))
        inside = Scope(estates=("e",)).where(tables.quarantine)
        assert connection.execute(select(tables.quarantine.c.id).where(inside)).all() == []


def test_a_scope_reads_back_and_refuses_what_it_does_not_know() -> None:
    scope = Scope.of({"estates": ["b", "a", "a"], "regions": None})
    assert Scope.of(scope.to_json()) == scope == Scope(estates=("a", "b"))
    assert (EVERYTHING.contains(scope), scope.contains(EVERYTHING), scope.contains(Scope(("a",)))) == (
        True,
        False,
        True,
    )
    for wrong in ({"estate": ["a"]}, {"estates": "a"}, {"sites": [1]}):
        with pytest.raises(ValueError, match="scope"):
            Scope.of(wrong)


def test_roles_hold_what_their_duty_asks_for_and_no_more() -> None:
    assert set(MAY) == set(ROLES)
    assert {role for role in ROLES if "command.3" in MAY[role]} == {"campaign_manager", "admin"}
    assert {role for role in ROLES if "audit.read" in MAY[role]} == {"compliance", "admin"}
    assert {role for role in ROLES if "admin" in MAY[role]} == {"admin"}
    assert MAY["viewer"] == {"read"}
    assert not Who("nobody", frozenset()).may("read")


def test_the_first_start_makes_one_administrator_once(database: Database) -> None:
    password = accounts.first_administrator(database, NOW)
    assert password is not None
    assert accounts.first_administrator(database, NOW) is None
    row = accounts.let_in(database, "admin", password)
    assert (row.roles, row.must_change) == (["admin"], True)
    assert password not in row.password_hash
    assert accounts.let_in(database, "admin", password + "x") is None
    assert accounts.let_in(database, "nobody", password) is None


def test_the_last_administrator_stays(database: Database) -> None:
    accounts.first_administrator(database, NOW)
    with database.begin() as connection:
        admin = connection.execute(select(tables.accounts.c.id)).scalar_one()
        accounts.create(connection, "ann", ["viewer"], NOW)
    for wrong in ({"disabled": True}, {"roles": ["viewer"]}):
        with pytest.raises(accounts.AccountError, match="administrator"), database.begin() as connection:
            accounts.change(connection, admin, wrong)
    with pytest.raises(accounts.AccountError, match="ann"), database.begin() as connection:
        accounts.create(connection, "ann", ["viewer"], NOW)


@pytest.mark.parametrize("wrong", ["short", "a" * 40, "my-name-is-alice", "x" * 300])
def test_bad_passwords_are_refused(wrong: str) -> None:
    with pytest.raises(passwords.BadPassword):
        passwords.hashed(wrong, "alice")


def test_a_token_ends_by_time_by_hand_and_with_its_account(database: Database) -> None:
    with database.begin() as connection:
        owner = accounts.create(connection, "ann", ["admin"], NOW)
        accounts.create(connection, "bob", ["admin"], NOW)
        scope = Scope(estates=("e",))
        _, plain = credentials.issue_token(connection, "viewer", NOW, scope=scope)
        _, brief = credentials.issue_token(connection, "viewer", NOW, expires_ms=NOW + 10)
        token, revoked = credentials.issue_token(connection, "viewer", NOW)
        _, owned = credentials.issue_token(connection, "viewer", NOW, account_id=owner)
        stored = connection.execute(select(tables.tokens.c.hash)).scalars().all()
        assert plain not in stored
        who = credentials.by_token(connection, plain, NOW)
        assert who is not None
        assert (who.roles, who.scope) == ({"viewer"}, scope)
        assert credentials.by_token(connection, brief, NOW + 9) is not None
        assert credentials.by_token(connection, brief, NOW + 10) is None
        assert credentials.revoke_token(connection, token, NOW)
        assert credentials.by_token(connection, revoked, NOW) is None
        assert credentials.by_token(connection, plain[:-1], NOW) is None
        assert credentials.by_token(connection, owned, NOW) is not None
        accounts.change(connection, owner, {"disabled": True})
        assert credentials.by_token(connection, owned, NOW) is None


def test_a_session_ends_by_time_idleness_and_password(database: Database) -> None:
    with database.begin() as connection:
        account = accounts.create(connection, "ann", ["viewer"], NOW, password="correct horse battery")
        secret, csrf = credentials.open_session(connection, account, NOW)
        found = credentials.by_session(connection, secret, NOW + 1)
        assert found is not None
        assert (found[0].name, found[0].csrf) == ("ann", csrf)
        assert credentials.by_session(connection, secret, NOW + credentials.IDLE_MS + 1) is None
        assert credentials.by_session(connection, secret + "x", NOW) is None
        accounts.set_password(connection, account, "ann", "another fine one 7")
        assert credentials.by_session(connection, secret, NOW + 1) is None


def _audited(database: Database, *whats: str) -> str:
    with database.begin() as connection:
        audit.append(connection, [Entry(NOW, "ann", what, "t", {"n": 1.5, "odd": "\ud800\x00ü"}) for what in whats])
        return audit.verify(connection).head


@pytest.mark.parametrize("spoil", ["change", "remove", "insert", "cut"])
def test_the_chain_shows_what_was_done_to_it(database: Database, spoil: str) -> None:
    head = _audited(database, "a", "b", "c", "d")
    table = tables.audit
    with database.begin() as connection:
        sound = audit.verify(connection, head)
        assert (sound.rows, sound.broken_id, sound.seen) == (4, None, True)
        ids = connection.execute(select(table.c.id).order_by(table.c.id)).scalars().all()
        if spoil == "change":
            connection.execute(update(table).where(table.c.id == ids[1]).values(who="bob"))
        elif spoil == "remove":
            connection.execute(table.delete().where(table.c.id == ids[1]))
        elif spoil == "insert":
            row = connection.execute(select(table).where(table.c.id == ids[3])).mappings().one()
            connection.execute(insert(table).values({**row, "id": ids[3] + 1}))
        else:
            connection.execute(table.delete().where(table.c.id == ids[3]))
        found = audit.verify(connection, head)
    if spoil == "cut":
        assert (found.broken_id, found.seen) == (None, False)
    else:
        assert found.broken_id is not None


def test_reading_is_recorded_in_order_and_before_the_end(database: Database) -> None:
    recorder = Recorder(database)
    for number in range(50):
        recorder.note(Entry(NOW + number, "ann", "read", str(number)))
    recorder.stop()
    with database.read() as connection:
        assert [row.target for row in audit.every(connection)] == [str(number) for number in range(50)]
        assert audit.verify(connection).broken_id is None


def test_a_bucket_fills_again() -> None:
    rate = Rate(per_s=2, burst=3)
    assert [rate.take("a", 0) for _ in range(3)] == [0, 0, 0]
    assert rate.take("a", 0) == pytest.approx(0.5)
    assert rate.take("b", 0) == 0
    assert rate.take("a", 500) == 0


def test_a_name_is_locked_after_failures_and_free_after_a_while() -> None:
    lock = Lockout(most=3, during_ms=1000)
    for at in (0, 10, 20):
        assert lock.wait_s("ann", at) == 0
        lock.failed("ann", at)
    assert lock.wait_s("ann", 20) == pytest.approx(0.98)
    assert lock.wait_s("ann", 1001) == 0
    lock.passed("ann")
    assert lock.wait_s("ann", 30) == 0
