from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import delete, func, select, update

from center.access.scope import EVERYTHING, Scope
from center.db import feed
from center.db.engine import Database, bulk_insert, upsert
from center.db.tables import (
    faults,
    heartbeat,
    incident_members,
    incidents,
    outages,
    outbox,
    sites,
    suppressions,
    terminals,
)
from center.domain import incidents as incidents_module
from center.domain import suppression
from center.domain.grouping import OFFLINE, WAIT_MS
from center.domain.incident import side
from center.domain.incident_book import GROUP_HOLD_MS, HOLD_MS, REOPEN_MS
from center.domain.incident_texts import operator_text
from center.domain.incidents import Incidents, SupersededError
from center.domain.refusal import Refusal

START = 1_790_000_000_000
OPERATORS = ("cmcc", "cucc", "ctcc")


class World:
    """A fleet in the tables, to which things happen, and the engine that follows."""

    def __init__(self, database: Database, terminals_n: int = 300) -> None:
        self.database = database
        self.now_ms = START
        self.engine = Incidents(database)
        self.names = [f"t{number:04}" for number in range(terminals_n)]
        rows = [self._terminal(number, name) for number, name in enumerate(self.names)]
        with database.begin() as connection:
            bulk_insert(connection, terminals, rows)
        self.step()

    def _terminal(self, number: int, name: str) -> dict[str, Any]:
        site = number // 2
        operator = OPERATORS[site % 3]
        place = {
            "site": f"s{site}",
            "operator": operator,
            "cell": f"{operator}-{number // 60}",
            "host": f"h{number % 2}",
        }
        return place | {
            "estate": "e", "terminal": name, "power_district": f"d{number // 30}", "model": "T1", "firmware": "1.0",
            "status": "online", "can_sell": "yes", "last_contact_ms": START, "boot": 1, "created_ms": START,
        }  # fmt: skip

    def of(self, **shared: str) -> list[str]:
        """Terminals by what they share."""
        same = [terminals.c[name] == value for name, value in shared.items()]
        with self.database.read() as connection:
            return list(
                connection.execute(select(terminals.c.terminal).where(*same).order_by(terminals.c.terminal)).scalars()
            )

    def fault(self, names: list[str], fault: str, state: str = "raised", cause: str | None = None) -> None:
        told = {"fault": fault, "state": state, "severity": "major", "cause": cause}
        times = {"first_ms": self.now_ms, "last_ms": self.now_ms, "received_ms": self.now_ms}
        with self.database.begin() as connection:
            upsert(connection, faults, [{"estate": "e", "terminal": name} | told | times for name in names])
            feed.append(connection, [("fault", "e", name, fault) for name in names], self.now_ms)

    def gone(self, names: list[str], verdict: str = "unknown") -> None:
        told = {"until_ms": None, "kind": "lost", "verdict": verdict, "basis": "inferred"}
        with self.database.begin() as connection:
            upsert(
                connection,
                outages,
                [{"estate": "e", "terminal": name, "from_ms": self.now_ms} | told for name in names],
            )
            self.state(connection, names, status="offline", can_sell=None)
            feed.append(connection, [("outage", "e", name, str(self.now_ms)) for name in names], self.now_ms)

    def back(self, names: list[str]) -> None:
        with self.database.begin() as connection:
            lasting = outages.c.terminal.in_(names), outages.c.until_ms.is_(None)
            connection.execute(update(outages).where(*lasting).values(until_ms=self.now_ms))
            self.state(connection, names, status="online", can_sell="yes")
            feed.append(connection, [("outage", "e", name, "") for name in names], self.now_ms)

    def state(self, connection: Any, names: list[str], **values: Any) -> None:
        connection.execute(update(terminals).where(terminals.c.terminal.in_(names)).values(values))
        feed.append(connection, [("terminal", "e", name, "state") for name in names], self.now_ms)

    def step(self, after_ms: int = 0) -> None:
        self.now_ms += after_ms
        while self.engine.step(self.now_ms):
            pass

    def rows(self, *names: str, **same: Any) -> list[Any]:
        columns = [incidents.c[name] for name in names]
        where = [incidents.c[name] == value for name, value in same.items()]
        with self.database.read() as connection:
            found = connection.execute(select(*columns).where(*where).order_by(incidents.c.opened_ms, incidents.c.id))
            return [tuple(row) if len(names) > 1 else row[0] for row in found]

    def members(self, **same: Any) -> int:
        joined = incident_members.join(incidents, incidents.c.id == incident_members.c.incident_id)
        where = [incidents.c[name] == value for name, value in same.items()]
        with self.database.read() as connection:
            found = select(func.count()).select_from(joined).where(*where, incident_members.c.left_ms.is_(None))
            return int(connection.execute(found).scalar_one())

    def sent(self) -> list[str]:
        with self.database.read() as connection:
            return [
                row["event"] for row in connection.execute(select(outbox.c.payload).order_by(outbox.c.id)).scalars()
            ]


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


def test_a_root_fault_is_an_incident_of_its_terminal_and_its_symptoms_are_not(world: World) -> None:
    world.fault(["t0007"], "printer/cutter_error")
    world.fault(["t0007"], "printer/no_reply", cause="printer/cutter_error")
    world.step()
    assert world.rows("scope", "scope_key", "fault", "severity", "state", "terminals_n", "title") == [
        ("terminal", "t0007", "printer/cutter_error", "major", "open", 1, world.rows("title")[0])
    ]
    assert world.rows("title")[0] != "printer/cutter_error"
    with world.database.read() as connection:
        linked = select(faults.c.incident_id).where(faults.c.fault == "printer/cutter_error")
        assert connection.execute(linked).scalar() == world.rows("id")[0]


def test_what_others_may_share_waits_for_them(world: World) -> None:
    world.fault(["t0007"], "modem/no_network")
    world.step()
    assert world.rows("id") == []
    world.step(WAIT_MS - 1)
    assert world.rows("id") == []
    world.step(1)
    assert world.rows("scope", "fault") == [("terminal", "modem/no_network")]


def test_an_operators_outage_is_one_incident_with_all_its_terminals(world: World) -> None:
    lost = world.of(operator="cmcc")
    for at in range(10):
        world.gone(lost[at::10])
        world.step(1000)
    world.fault(lost[:30], "modem/no_data")
    world.step(WAIT_MS)
    assert world.rows("scope", "scope_key", "terminals_n", "unknown_n", "cannot_sell_n", "parent_id") == [
        ("operator", "cmcc", 100, 100, 0, None)
    ]
    assert world.members() == 130
    assert world.sent() == ["incident.opened"]
    why = world.rows("why")[0]
    assert why["rule"] == "operator by reach"
    assert why["population"] == 100
    assert why["first"][0][:3] == ["e", lost[0], OFFLINE]


def test_incidents_that_came_first_become_its_children(world: World) -> None:
    lost = world.of(operator="cmcc")
    world.gone(lost[:1])
    world.step(WAIT_MS)
    world.gone(lost[2:4])
    world.step(WAIT_MS)
    world.step()
    assert sorted(world.rows("scope")) == ["site", "terminal"]
    world.gone(lost[4:])
    world.step(1000)
    (operator,) = world.rows("id", scope="operator")
    assert world.rows("scope", parent_id=operator) == [("terminal"), ("site")]
    assert world.rows("terminals_n", scope="operator") == [99]
    assert world.sent().count("incident.opened") == 2
    world.back(lost)
    world.step(GROUP_HOLD_MS)
    world.step(GROUP_HOLD_MS)
    assert set(world.rows("state")) == {"resolved"}
    assert world.members() == 0


def test_it_ends_when_its_terminals_are_back_for_a_while_and_comes_back_as_the_same(world: World) -> None:
    lost = world.of(operator="cmcc")
    world.gone(lost)
    world.step()
    world.back(lost)
    world.step()
    assert world.rows("state", "terminals_n", "peak_n") == [("open", 0, 100)]
    world.step(GROUP_HOLD_MS - 1)
    assert world.rows("state") == ["open"]
    world.step(1)
    assert world.rows("state") == ["resolved"]
    world.step(1000)
    world.gone(lost)
    world.step()
    assert world.rows("state", "terminals_n") == [("open", 100)]
    assert world.sent() == ["incident.opened", "incident.resolved", "incident.opened"]


def test_after_long_it_is_another(world: World) -> None:
    for _ in range(2):
        world.fault(["t0001"], "printer/paper_out")
        world.step()
        world.fault(["t0001"], "printer/paper_out", "cleared")
        world.step()
        world.step(HOLD_MS["terminal"])
        world.step(REOPEN_MS + 1)
    assert world.rows("state") == ["resolved", "resolved"]


def test_a_fault_that_comes_and_goes_is_one_incident_that_does_not_flap(world: World) -> None:
    for state in ("raised", "cleared") * 5:
        world.fault(["t0001"], "printer/paper_out", state)
        world.step(HOLD_MS["terminal"] // 2)
        assert world.rows("state") == ["open"]
    assert len(world.rows("id")) == 1


def test_the_few_that_stay_away_get_incidents_of_their_own(world: World) -> None:
    lost = world.of(operator="cmcc")
    world.gone(lost)
    world.step()
    world.back(lost[2:])
    world.step(1000)
    world.step(GROUP_HOLD_MS)
    world.step(WAIT_MS)
    assert world.rows("scope", "state") == [("operator", "resolved"), ("site", "open")]
    world.back(lost[:2])
    world.step(1000)
    world.step(HOLD_MS["site"])
    assert world.rows("state") == ["resolved", "resolved"]


def test_who_acknowledged_is_not_forgotten(world: World) -> None:
    world.gone(world.of(operator="cmcc")[:50])
    world.step()
    with world.database.begin() as connection:
        connection.execute(update(incidents).values(state="acknowledged", ack_by="li", owner="li"))
    world.gone(world.of(operator="cmcc")[50:])
    world.step(1000)
    assert world.rows("state", "ack_by", "owner", "terminals_n") == [("acknowledged", "li", "li", 100)]


@pytest.mark.parametrize(
    ("scope", "family", "faults", "whose"),
    [
        ("operator", "reach", {(OFFLINE, "unknown")}, "operator"),
        ("host", "host", {("network/acquirer_unreachable", "")}, "host"),
        ("terminal", "", {("network/acquirer_unreachable", "")}, "host"),
        ("terminal", "", {("modem/sim_absent", "")}, "merchant"),
        ("terminal", "", {("modem/no_network", "")}, "operator"),
        ("terminal", "", {(OFFLINE, "no_power")}, "merchant"),
        ("terminal", "", {(OFFLINE, "no_network")}, "unknown"),
        ("terminal", "", {("printer/paper_out", "")}, ""),
        ("site", "reach", {(OFFLINE, "no_network"), ("network/gateway_unreachable", "")}, "merchant"),
        ("site", "reach", {("modem/no_network", ""), ("network/gateway_unreachable", "")}, "unknown"),
        ("estate", "reach", {(OFFLINE, "unknown"), ("network/dns_failed", "")}, "unknown"),
    ],
)
def test_on_whose_side_an_interruption_lies(scope: str, family: str, faults: Any, whose: str) -> None:
    assert side(scope, family, faults) == whose


def test_those_without_power_cannot_sell(world: World) -> None:
    dark = world.of(power_district="d3")
    world.fault(dark[:15], "power/mains_lost")
    world.gone(dark[15:], verdict="no_power")
    world.step()
    assert world.rows("scope", "scope_key", "terminals_n", "cannot_sell_n") == [("power", "d3", 30, 15)]


# --- killed, taken over, and behind -----------------------------------------------------------------------------------


def test_another_process_goes_on_where_the_first_was_killed(world: World) -> None:
    lost = world.of(operator="cmcc")
    world.gone(lost[:60])
    world.fault(["t0150"], "printer/paper_out")
    world.step()
    world.gone(lost[60:])
    world.engine = Incidents(world.database)
    world.step(1000)
    world.engine = Incidents(world.database)
    world.step(WAIT_MS)
    assert sorted(world.rows("scope", "terminals_n")) == [("operator", 100), ("terminal", 1)]
    assert world.members() == 101
    assert world.sent() == ["incident.opened"]


class Killed(Exception):
    pass


WRITES = ("bulk_insert", "_update", "_update_members", "insert_ignore", "title", "_cursor")


@pytest.mark.parametrize("point", [1, 2, 3, 4, 5, 6, 17])
def test_a_kill_between_any_two_statements_doubles_nothing(
    world: World, point: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = world.of(operator="cmcc")
    calls = iter(range(1, 1000))

    def killed_at_the_point(name: str) -> None:
        real = getattr(incidents_module, name)

        def run(*args: Any, **more: Any) -> Any:
            if next(calls) == point:
                raise Killed
            return real(*args, **more)

        monkeypatch.setattr(incidents_module, name, run)

    for name in WRITES:
        killed_at_the_point(name)
    kills = 0
    for at in range(10):
        world.gone(lost[at::10])
        world.fault(lost[at : at + 1], "modem/no_data")
        try:
            world.step(1000)
        except Killed:
            kills += 1
    world.step(WAIT_MS)
    assert kills == 1
    assert world.rows("scope", "terminals_n") == [("operator", 100)]
    assert world.members() == 110
    assert world.sent() == ["incident.opened"]


def test_of_two_processes_only_one_writes(world: World) -> None:
    other = Incidents(world.database)
    other.step(world.now_ms)
    world.fault(["t0001"], "printer/paper_out")
    world.step()
    world.fault(["t0002"], "printer/paper_out")
    other._cursor -= 1
    with pytest.raises(SupersededError):
        other.step(world.now_ms)
    world.step()
    assert len(world.rows("id")) == 2


def test_what_stood_before_the_engine_first_ran_is_found(database: Database) -> None:
    world = World(database)
    with database.begin() as connection:
        connection.execute(delete(heartbeat))
    world.engine = Incidents(database)
    world.fault(["t0001"], "printer/paper_out")
    world.step()
    assert world.rows("scope_key") == ["t0001"]


# --- suppression and hours --------------------------------------------------------------------------------------------


def _suppress(world: World, **more: Any) -> str:
    wanted = {"kind": "maintenance", "estate": "e", "scope": "host", "scope_key": "h0", "from_ms": START, "until_ms": START + 3_600_000,
              "by": "li", "reason": "the host is updated", "now_ms": world.now_ms}  # fmt: skip
    with world.database.begin() as connection:
        return suppression.suppress(connection, **wanted | more)


def test_during_maintenance_it_is_counted_and_nobody_is_told_until_it_ends(world: World) -> None:
    window = _suppress(world)
    world.fault(world.of(host="h0"), "network/acquirer_unreachable")
    world.step()
    assert world.rows("scope", "terminals_n", "suppression_id") == [("host", 150, window)]
    assert world.sent() == []
    world.step(3_600_000)
    assert world.rows("suppression_id") == [None]
    assert world.sent() == ["incident.opened"]


@pytest.mark.parametrize(
    ("wanted", "covered"),
    [
        ({"scope": "terminal", "scope_key": "t0001"}, True),
        ({"scope": "terminal", "scope_key": "t0002"}, False),
        ({"scope": "site", "scope_key": "s0", "fault": "printer/*"}, True),
        ({"scope": "site", "scope_key": "s0", "fault": "reader/*"}, False),
        ({"scope": "all", "scope_key": "", "estate": None}, True),
        ({"scope": "estate", "scope_key": "other", "estate": None}, False),
        ({"scope": "release", "scope_key": "T1|1.0"}, True),
        ({"scope": "site", "scope_key": "s0", "from_ms": START + 1000}, False),
    ],
)
def test_a_suppression_covers_what_it_says(world: World, wanted: dict[str, Any], covered: bool) -> None:
    _suppress(world, **wanted)
    world.fault(["t0001"], "printer/paper_out")
    world.step()
    assert (world.rows("suppression_id")[0] is not None) is covered


def test_a_terminal_in_maintenance_is_suppressed(world: World) -> None:
    with world.database.begin() as connection:
        world.state(connection, ["t0001"], status="maintenance")
    world.fault(["t0001"], "printer/paper_out")
    world.step()
    assert world.rows("suppression_id") == [suppression.AT_TERMINAL]


@pytest.mark.parametrize(
    "wrong",
    [
        {"reason": " "},
        {"until_ms": START},
        {"until_ms": START + 91 * 86_400_000},
        {"scope": "planet"},
        {"kind": "x"},
        {"scope_key": ""},
    ],
)
def test_a_suppression_without_an_end_or_a_reason_is_refused(world: World, wrong: dict[str, Any]) -> None:
    with pytest.raises(Refusal):
        _suppress(world, **wrong)


def test_a_silence_can_be_ended(world: World) -> None:
    silence = _suppress(world, scope="terminal", scope_key="t0001", kind="silence")
    world.fault(["t0001"], "printer/paper_out")
    world.step()
    with world.database.begin() as connection:
        suppression.end(connection, silence, world.now_ms)
    world.step(1)
    assert world.rows("suppression_id") == [None]
    with world.database.read() as connection:
        assert connection.execute(select(suppressions.c.by, suppressions.c.reason)).all() == [
            ("li", "the host is updated")
        ]
    with world.database.begin() as connection, pytest.raises(Refusal):
        suppression.end(connection, silence, world.now_ms)


def test_a_shop_that_is_closed_is_asked_after_in_the_morning(world: World) -> None:
    every_day = {day: [["09:00", "18:00"]] for day in ("mon", "tue", "wed", "thu", "fri", "sat", "sun")}
    with world.database.begin() as connection:
        upsert(
            connection,
            sites,
            [{"estate": "e", "site": "s0", "hours": every_day, "timezone": "Asia/Shanghai", "updated_ms": 1}],
        )
        feed.append(connection, [("site", "e", None, "s0")], world.now_ms)
    morning = START - START % 86_400_000 + 86_400_000 + 3_600_000  # 09:00 in Shanghai
    world.now_ms = morning - 7_200_000
    world.step()
    world.gone(["t0000"])
    world.step(3_600_000)
    assert world.rows("id") == []
    world.step(3_600_000)
    world.step(WAIT_MS)
    assert world.rows("scope_key") == ["t0000"]


def test_impact_weighs_who_can_sell_and_whose_shop_is_open(world: World) -> None:
    closed = {"mon": []}
    with world.database.begin() as connection:
        upsert(connection, sites, [{"estate": "e", "site": "s0", "hours": closed, "timezone": "UTC", "updated_ms": 1}])
        world.state(connection, ["t0000", "t0002"], can_sell="no")
        world.state(connection, ["t0004"], can_sell="degraded")
        feed.append(connection, [("site", "e", None, "s0")], world.now_ms)
    world.fault(["t0000", "t0002", "t0004", "t0006"], "printer/cover_open")
    world.step()
    assert sorted(world.rows("scope_key", "impact", "cannot_sell_n")) == [
        ("t0000", 0.1, 1),
        ("t0002", 1.0, 1),
        ("t0004", 0.3, 0),
        ("t0006", 0.1, 0),
    ]


# --- what is handed to the operator -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("language", "words"),
    [
        (
            "en",
            (
                "Operator cmcc",
                "affected now: 100",
                "at 50 sites",
                "100 of 100",
                "Out of reach × 100",
                "cmcc-0: 20, first 2026-",
            ),
        ),
        ("zh-CN", ("运营商 cmcc", "100 台", "50 家", "终端失联 × 100", "cmcc-0：20 台")),
    ],
)
def test_the_operator_gets_numbers_cells_and_times(world: World, language: str, words: tuple[str, ...]) -> None:
    world.gone(world.of(operator="cmcc"))
    world.step()
    (incident,) = world.rows("id")
    with world.database.read() as connection:
        subject, text = operator_text(connection, EVERYTHING, incident, language)
        with pytest.raises(Refusal):
            operator_text(connection, Scope(estates=("other",)), incident, language)
    assert incident in subject
    assert all(word in subject + text for word in words), subject + text
