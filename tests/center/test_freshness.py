from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from center.db import feed
from center.db.engine import Database, upsert
from center.db.tables import incident_members, incidents, outages, places
from center.domain.freshness import LATE_MS, SILENT_MS, Judgement, Return, Signs, correct, freshness, judge, kind_of
from center.domain.incidents import Incidents
from center.domain.outages import Outages
from center.ingest.batch import Batch
from center.ingest.reader import Reader
from center.ingest.upkeep import Upkeep
from center.ingest.writer import Writer
from center.settings import Settings
from tests.center import said

NOW = said.AT_MS
MINUTE = 60_000


@pytest.mark.parametrize(
    ("status", "contact_ms", "fresh"),
    [
        ("online", NOW, "online"),
        ("online", NOW - LATE_MS, "online"),
        ("online", NOW - LATE_MS - 1, "late"),
        ("maintenance", NOW, "online"),
        ("online", NOW - SILENT_MS - 1, "unknown"),
        ("online", None, "unknown"),
        (None, NOW, "unknown"),
        ("offline", NOW, "offline"),
        ("offline", None, "offline"),
    ],
)
def test_freshness(status: str | None, contact_ms: int | None, fresh: str) -> None:
    assert freshness(status, contact_ms, NOW) == fresh


@pytest.mark.parametrize(
    ("status", "reason", "kind"),
    [("online", "running", None), ("offline", "connection_lost", "lost"), ("offline", "sigterm", "stopped"), (None, None, None)],
)  # fmt: skip
def test_how_it_went(status: str | None, reason: str | None, kind: str | None) -> None:
    assert kind_of(status, reason) == kind


@pytest.mark.parametrize(
    ("signs", "cause"),
    [
        ({}, "unknown"),
        ({"kind": "stopped"}, "stopped"),
        ({"raised": {"power/mains_lost"}}, "no_power"),
        ({"raised": {"power/mains_lost"}, "battery_percent": 9.0, "siblings_there": 3}, "no_power"),
        ({"raised": {"power/battery_critical"}}, "no_power"),
        ({"battery_percent": 9.0}, "unknown"),  # on mains a low battery loads
        ({"siblings_without_mains": 1, "siblings_there": 1}, "no_power"),
        ({"siblings_there": 2}, "terminal"),
        ({"siblings_there": 2, "raised": {"modem/weak_signal"}}, "no_network"),
        ({"siblings_there": 2, "rsrp_dbm": -118.0}, "no_network"),
        ({"siblings_there": 2, "rsrp_dbm": -90.0, "raised": {"printer/paper_out"}}, "terminal"),
        ({"siblings_gone": 2}, "no_network"),
        ({"siblings_gone": 2, "siblings_without_mains": 1}, "no_power"),
        ({"incident": "operator"}, "no_network"),
        ({"incident": "power", "siblings_gone": 1}, "no_power"),
    ],
)
def test_why_it_is_gone_is_inferred_from_its_last_words_and_its_siblings(signs: dict[str, Any], cause: str) -> None:
    raised = frozenset(signs.pop("raised", ()))
    verdict = judge(Signs(raised=raised, **signs))
    assert verdict.cause == cause
    assert verdict.basis == {"stopped": "measured", "unknown": "unknown"}.get(cause, "inferred")
    assert verdict.because


@pytest.mark.parametrize(
    ("before", "back", "after"),
    [
        ("no_network", (1, 2, "power_loss"), ("no_power", "measured")),
        ("terminal", (1, 2, "crash"), ("crashed", "measured")),
        ("no_power", (1, 2, "clean"), ("restarted", "measured")),
        ("no_power", (1, 1, None), ("no_network", "measured")),
        ("no_power", (1, 2, "unknown"), ("no_power", "inferred")),
        ("no_network", (1, 2, "unknown"), ("unknown", "unknown")),
        ("no_power", (1, 2, None), None),
        ("no_power", (None, 2, None), None),
        ("stopped", (1, 1, None), ("stopped", "inferred")),
    ],
)
def test_once_it_is_back_its_boot_tells(before: str, back: tuple[Any, ...], after: tuple[str, str] | None) -> None:
    told = Return(boot_before=back[0], boot_after=back[1], boot_reason=back[2])
    verdict = correct(Judgement(before, "inferred", "as it seemed"), told)  # type: ignore[arg-type]
    assert (verdict and (verdict.cause, verdict.basis)) == after


def test_an_agent_that_was_started_anew_had_its_network() -> None:
    told = Return(boot_before=1, boot_after=1, boot_reason=None, agent_started=True)
    verdict = correct(Judgement("unknown", "unknown", ""), told)
    assert verdict is not None
    assert verdict.cause == "terminal"


# --- from messages to outages -----------------------------------------------------------------------------------------


class Shop:
    """Terminals that send messages, and the engine behind the ingest."""

    def __init__(self, database: Database, *names: str, site: str | None = "s1") -> None:
        self.database = database
        self.now_ms = NOW
        self.reader, self.writer, self.engine = Reader(), Writer(database), Outages(database)
        rows = [{"estate": "e", "terminal": name, "site": site, "updated_ms": 1} for name in names]
        with database.begin() as connection:
            upsert(connection, places, rows)
        for name in names:
            self.hear(name, "state", said.state())
        self.step()

    def hear(self, name: str, topic: str, payload: bytes) -> None:
        batch = Batch()
        batch.add(self.reader, f"pos/1/e/{name}/{topic}", payload, retained=False, now_ms=self.now_ms)
        self.writer.write(batch, lambda: self.now_ms)

    def step(self, after_ms: int = 0) -> None:
        self.now_ms += after_ms
        while self.engine.step(self.now_ms):
            pass

    def outages(self, *names: str) -> list[tuple[Any, ...]]:
        columns = [outages.c[name] for name in names]
        with self.database.read() as connection:
            found = select(*columns).order_by(outages.c.terminal, outages.c.from_ms)
            return [tuple(row) for row in connection.execute(found)]


def test_a_will_begins_an_outage_and_the_next_state_ends_it(database: Database) -> None:
    shop = Shop(database, "a", "b")
    shop.now_ms += MINUTE
    shop.hear("a", "state", said.will())
    lost_ms = shop.now_ms
    shop.step(1000)
    assert shop.outages("terminal", "from_ms", "until_ms", "kind", "verdict") == [
        ("a", lost_ms, None, "lost", "terminal")
    ]
    shop.now_ms += MINUTE
    shop.hear("a", "state", said.state(conn=2))
    shop.step()
    assert shop.outages("until_ms") == [(shop.now_ms,)]
    shop.step(MINUTE)
    assert shop.outages("verdict", "basis") == [("no_network", "measured")]
    with database.read() as connection:
        assert [change.terminal for change in feed.after(connection, 0) if change.kind == "outage"].count("a") >= 2


def test_a_will_that_waited_at_the_broker_is_of_an_outage_that_began_before(database: Database) -> None:
    shop = Shop(database, "a")
    batch = Batch()
    shop.now_ms += 100 * MINUTE
    batch.add(shop.reader, "pos/1/e/old/state", said.will(), retained=True, now_ms=shop.now_ms)
    batch.add(shop.reader, "pos/1/e/a/state", said.will(), retained=True, now_ms=shop.now_ms)
    shop.writer.write(batch, lambda: shop.now_ms)
    incidents_engine = Incidents(database)
    incidents_engine.step(shop.now_ms)
    shop.step()
    assert shop.outages("terminal", "from_ms") == [("a", NOW), ("old", NOW)]
    incidents_engine.step(shop.now_ms)
    onset = {key[1]: signal.onset_ms for key, signal in incidents_engine._book._signals["e"].items()}
    assert onset == {"a": shop.now_ms, "old": NOW}


def test_a_goodbye_is_no_loss(database: Database) -> None:
    shop = Shop(database, "a")
    shop.hear("a", "state", said.state("offline", conn=1, reason="sigterm", up_ms=2000))
    shop.step()
    assert shop.outages("kind", "verdict", "basis", "reason") == [("stopped", "stopped", "measured", "sigterm")]


def test_a_verdict_is_judged_again_when_siblings_go_too(database: Database) -> None:
    shop = Shop(database, "a", "b")
    shop.hear("a", "state", said.will())
    shop.step(1000)
    assert shop.outages("verdict") == [("terminal",)]
    shop.hear("b", "state", said.will())
    shop.step(2 * MINUTE)
    assert shop.outages("terminal", "verdict") == [("a", "no_network"), ("b", "no_network")]


def test_mains_that_a_sibling_misses_are_missing_at_the_site(database: Database) -> None:
    shop = Shop(database, "a", "b")
    shop.hear("b", "fault/power/mains_lost", said.fault("power/mains_lost"))
    shop.hear("a", "state", said.will())
    shop.step(1000)
    ((verdict, basis, evidence),) = shop.outages("verdict", "basis", "evidence")
    assert (verdict, basis) == ("no_power", "inferred")
    assert evidence["siblings_without_mains"] == 1
    assert evidence["because"]


def test_terminals_of_no_known_site_have_no_siblings(database: Database) -> None:
    shop = Shop(database, "a", "b", site=None)
    shop.hear("a", "state", said.will())
    shop.step(1000)
    assert shop.outages("verdict") == [("unknown",)]


def test_the_last_signal_speaks(database: Database) -> None:
    shop = Shop(database, "a", site=None)
    shop.hear("a", "telemetry", said.telemetry(1, (0, {"modem.rsrp_dbm": -121})))
    shop.step(2 * MINUTE)
    Upkeep(database, Settings()).step(shop.now_ms)
    shop.hear("a", "state", said.will())
    shop.step(1000)
    ((verdict, evidence),) = shop.outages("verdict", "evidence")
    assert (verdict, evidence["rsrp_dbm"]) == ("no_network", -121)


def test_a_boot_record_corrects_the_verdict_though_it_comes_later(database: Database) -> None:
    shop = Shop(database, "a", "b")
    shop.hear("a", "state", said.will())
    shop.step(1000)
    shop.hear("a", "state", said.state(conn=2, boot=2))
    shop.step(MINUTE)
    assert shop.outages("verdict", "basis") == [("terminal", "inferred")]
    shop.hear("a", "event", said.event(1, "boot", {"reason": "power_loss"}, boot=2))
    shop.step(1000)
    assert shop.outages("verdict", "basis") == [("no_power", "measured")]


def test_what_another_group_is_part_of_is_evidence(database: Database) -> None:
    shop = Shop(database, "a", site=None)
    shop.hear("a", "state", said.will())
    shop.step(1000)
    group = {"id": "inc-1", "estate": "e", "scope": "operator", "scope_key": "cmcc", "severity": "major", "state": "open",
             "title": "", "opened_ms": NOW, "last_ms": NOW}  # fmt: skip
    member = {"incident_id": "inc-1", "estate": "e", "terminal": "a", "fault": "terminal/offline", "joined_ms": NOW}
    with database.begin() as connection:
        upsert(connection, incidents, [group])
        upsert(connection, incident_members, [member])
    shop.step(2 * MINUTE)
    assert shop.outages("verdict") == [("no_network",)]


def test_who_misses_its_signs_of_life_is_silent_until_it_is_heard_again(database: Database) -> None:
    shop = Shop(database, "a", "b")
    shop.now_ms += SILENT_MS + MINUTE
    shop.hear("b", "telemetry", said.telemetry(1))
    shop.step()
    assert shop.outages("terminal", "kind", "from_ms", "until_ms") == [("a", "silent", NOW, None)]
    shop.now_ms += MINUTE
    shop.hear("a", "telemetry", said.telemetry(1))
    shop.step(MINUTE)
    ((until_ms,),) = shop.outages("until_ms")
    assert until_ms == shop.now_ms - MINUTE


def test_a_center_that_hears_nobody_blames_nobody(database: Database) -> None:
    shop = Shop(database, "a", "b")
    shop.step(SILENT_MS + MINUTE)
    assert shop.outages("terminal") == []


def test_the_broker_may_tell_of_a_silent_one_after_all(database: Database) -> None:
    shop = Shop(database, "a", "b")
    shop.now_ms += SILENT_MS + MINUTE
    shop.hear("b", "telemetry", said.telemetry(1))
    shop.step()
    shop.hear("a", "state", said.will())
    shop.step(1000)
    assert shop.outages("terminal", "kind", "from_ms") == [("a", "lost", NOW)]


def test_an_engine_that_begins_anew_repeats_nothing(database: Database) -> None:
    shop = Shop(database, "a", "b")
    shop.hear("a", "state", said.will())
    shop.step(1000)
    before = shop.outages("terminal", "from_ms", "verdict")
    with database.begin() as connection:
        feed.save_cursor(connection, "cursor-outages", {"id": 0}, NOW)
    shop.engine = Outages(database)
    shop.step(1000)
    assert shop.outages("terminal", "from_ms", "verdict") == before
