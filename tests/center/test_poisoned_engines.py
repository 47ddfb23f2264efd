"""One thing that cannot be dealt with is put aside and told; what comes after it, and all others, go on."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select, update

from center.db import feed
from center.db.aside import PATIENCE
from center.db.engine import Database
from center.db.tables import cases, commands, quarantine
from center.domain import campaigns_readiness, check_output, follow
from tests.center.desk_world import ESTATE, HOUR, MINUTE, World
from tests.center.test_cases import opened

NOW = 1_790_000_000_000
ODD: list[Any] = [
    *("text", 5, True, None, [1], [{"faults": []}], {}, {"too_large": 9000}),
    *({"faults": told} for told in (7, "printer/x", {"fault": "x"}, [["x"]], [{"fault": ["x"]}], [{}], None)),
    *({"readiness": told} for told in (7, [], {}, {"score": "9"}, {"score": 10**400}, {"score": 5, "todo": [1]})),
    *({"readiness": {"score": 5, "ready": True} | told} for told in ({"todo": 5}, {"unchecked": 5}, {"todo": [{}]})),
]


@pytest.mark.parametrize("output", ODD, ids=repr)
def test_an_output_that_does_not_tell_says_nothing(output: Any) -> None:
    assert check_output.faults(output) in {None, frozenset()} - ({frozenset()} if output != {"faults": []} else set())
    assert campaigns_readiness.judge(output, {}, None, 7)["score"] is None


def test_odd_parts_of_what_is_told_are_left_out() -> None:
    told = {"score": 250, "ready": "yes", "todo": [{"fault": "a/b", "title": 5}], "unchecked": [["x"]]}
    found = check_output.readiness({"readiness": told | {"forecast": {"paper_days_left": "soon", "x_days_left": 3}}})
    assert found is not None
    assert (found.score, found.ready, found.forecast) == (100.0, False, {"x_days_left": 3.0})
    assert found.todo == (("a/b", "", "support"),)


@pytest.mark.parametrize("output", ODD, ids=repr)
def test_casework_goes_on_by_what_the_probes_say(world: World, output: Any) -> None:
    case_id = opened(world)
    world.now_ms += MINUTE
    row = {"id": "cmd-1", "estate": ESTATE, "terminal": "t1", "cmd": "check", "tier": 0, "state": "succeeded"}
    row |= {"issued_by": "ann", "case_id": case_id, "output": output}
    with world.database.begin() as connection:
        connection.execute(commands.insert().values(created_ms=world.now_ms, updated_ms=world.now_ms, **row))
        feed.append(connection, [("command", ESTATE, "t1", "cmd-1")], world.now_ms)
    world.run()
    assert world.case(id=case_id)["state"] == "new"
    assert "command" in world.steps(case_id)
    world.now_ms += MINUTE
    world.fault(state="cleared")
    world.run()
    assert world.case(id=case_id)["state"] == "watching"


def test_clocks_of_all_others_go_on(world: World) -> None:
    case_id = opened(world)
    world.terminal("t2")
    world.fault(terminal="t2")
    world.later(6 * MINUTE)
    with world.database.begin() as connection:
        broken = update(cases).where(cases.c.id == case_id)
        connection.execute(broken.values(data={"clocks": {"solve": "soon"}}, next_ms=world.now_ms))
    world.later(24 * HOUR)
    assert "clock" in world.steps(world.case(terminal="t2")["id"])
    asides = {(row["topic"], bytes(row["head"])) for row in world.rows(quarantine)}
    assert asides == {(f"aside/cases/time/{case_id}", b"new")}


@pytest.fixture
def world(database: Database) -> World:
    made = World(database)
    made.terminal()
    return made


class Engine:
    """Takes the keys of the feed; some are poison to it."""

    def __init__(self, database: Database, poison: set[str]) -> None:
        self.taken: list[str] = []
        self._database = database
        self._poison = poison
        self._feed = follow.Follower(database, "engine", 100)

    def step(self) -> bool:
        with self._feed.trying(NOW), self._database.begin() as connection:
            page = self._feed.page(connection)
            if page.keys("fault") & self._poison:
                raise TypeError("it is\npoison")
            page.save(connection, NOW)
        self.taken += [change.key for change in page.changes]
        return page.more

    def steps(self, most: int) -> int:
        """Step until nothing more is to do; how often it failed."""
        failed = 0
        for _ in range(most):
            try:
                if not self.step():
                    break
            except TypeError:
                failed += 1
        return failed


def _feed(database: Database, keys: range) -> None:
    with database.begin() as connection:
        feed.append(connection, [("fault", "e", "t", str(key)) for key in keys], NOW)


def test_a_poisonous_change_is_found_by_halves(database: Database) -> None:
    _feed(database, range(300))
    engine = Engine(database, {"150", "151", "299"})
    engine.steps(200)
    assert engine.taken == [str(key) for key in range(300) if key not in {150, 151, 299}]
    with database.read() as connection:
        aside = select(quarantine.c.topic, quarantine.c.why, quarantine.c.head).order_by(quarantine.c.id)
        rows = connection.execute(aside).all()
    assert [(row.topic, row.why, bytes(row.head)) for row in rows] == [
        ("aside/engine/fault/e/t", "TypeError: it is", key) for key in (b"150", b"151", b"299")
    ]
    _feed(database, range(300, 700))
    assert engine.steps(4) == 0  # and takes full pages again
    assert engine.taken[-1] == "699"


def test_what_fails_once_is_tried_again_and_nothing_put_aside(database: Database) -> None:
    _feed(database, range(3))
    engine = Engine(database, {"1"})
    for _ in range(PATIENCE - 1):
        with pytest.raises(TypeError):
            engine.step()
    engine._poison.clear()
    engine.step()
    assert engine.taken == ["0", "1", "2"]


def test_an_engine_that_fails_at_everything_does_not_put_everything_aside(database: Database) -> None:
    _feed(database, range(300))
    engine = Engine(database, {str(key) for key in range(300)})
    engine.steps(200)
    with database.read() as connection:
        assert len(connection.execute(select(quarantine.c.id)).all()) == follow.MOST_ASIDE
    assert engine.taken == []


def test_what_failed_after_the_page_was_saved_puts_nothing_aside(database: Database) -> None:
    follower = follow.Follower(database, "engine")

    def fail_later() -> None:
        with follower.trying(NOW):
            with database.begin() as connection:
                follower.page(connection).save(connection, NOW)
            raise TypeError

    for number in range(2 * PATIENCE):
        _feed(database, range(number, number + 1))
        with pytest.raises(TypeError):
            fail_later()
    with database.read() as connection:
        assert connection.execute(select(quarantine.c.id)).all() == []
