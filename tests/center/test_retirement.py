"""A terminal that is taken out of the fleet: what ends with it, what stays readable, and its return."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from agent import cli
from center.access import audit
from center.access.limits import Rate
from center.access.scope import Scope
from center.api import models
from center.db import tables
from center.db.engine import Database
from center.db.places import set_places
from center.db.tables import case_steps, cases, faults, incidents, outages, outbox, retired, terminals
from center.domain.grouping import OFFLINE
from center.domain.incidents import Incidents
from center.domain.retirement import LOOK_MS, Returns
from tests.center import said
from tests.center.asking import Api, asking
from tests.center.fleet_rows import NOW, case, event, fault, put, terminal
from tests.center.test_ingest import Ingest

OLD, NEW = "t000001", "t000002"
PATH = f"terminals/e/{OLD}"
WHY = {"reason": "water in the housing"}


@pytest.fixture
def api(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    """Three terminals of which the second is gone, with a fault and a case."""
    monkeypatch.setenv("POSDIAG_CENTER_DIR", str(tmp_path / "state"))
    inventory = {"devices": [{"name": "printer", "model": "TM-T20", "serial": "TMT2000042"}], "metrics": {"a.b": ""}}
    for number in range(3):
        put(database, tables.terminals, **terminal(number) | {"site": "s1", "inventory": inventory, "clock_ms": NOW})
    with database.begin() as connection:
        gone = {"status": "offline", "can_sell": None}
        connection.execute(update(terminals).where(terminals.c.terminal == OLD).values(gone))
        place = {"estate": "e", "terminal": OLD, "site": "s1", "region": "south", "host": "h1", "tags": ["vip"]}
        spare = {"estate": "e", "terminal": NEW, "tags": ["spare", "new"]}
        set_places(connection, [place, spare], NOW)
        connection.execute(
            insert(outages).values(
                estate="e", terminal=OLD, from_ms=NOW, kind="lost", verdict="unknown", basis="unknown", review_ms=NOW
            )
        )
    put(database, tables.faults, **fault(1))
    put(database, tables.events, **event(1, 1))
    put(database, tables.cases, **case(1) | {"state": "acknowledged", "kind": "fault"})
    with asking(database, rate=Rate(1e6, 1e6)) as running:
        yield running


def _go_by_pages(api: Api) -> None:
    """However many are gone: each is on one page, and those that went last are first."""
    asks = api.asks("lead")
    with api.database.begin() as connection:
        like = dict(connection.execute(select(retired).where(retired.c.terminal == OLD)).mappings().one())
        for number in range(5):  # all in one moment
            connection.execute(insert(retired).values(like | {"terminal": f"gone{number}", "retired_ms": NOW - 5}))
    found: list[str] = []
    cursor = None
    while cursor is not None or not found:
        page = asks.get("retired", site="s1", limit=2, **({"cursor": cursor} if cursor else {}))
        found += [each["terminal"] for each in page["items"]]
        cursor = page["next"]
    assert found == [OLD, *(f"gone{number}" for number in reversed(range(5)))]
    with api.database.begin() as connection:
        connection.execute(retired.delete().where(retired.c.terminal != OLD))


def _rows(api: Api, table: Any, *names: str) -> list[tuple[Any, ...]]:
    with api.database.read() as connection:
        return [tuple(row) for row in connection.execute(select(*(table.c[name] for name in names)))]


def test_what_stands_because_of_it_ends_and_says_why(api: Api) -> None:
    engine = Incidents(api.database)
    engine.step(api.clock_ms)
    engine.step(api.clock_ms + 60_000)
    assert sorted(_rows(api, incidents, "state", "fault")) == [("open", "printer/paper_out"), ("open", OFFLINE)]
    done = api.asks("lead")("POST", f"{PATH}/retire", json=WHY | {"successor": NEW})
    assert done.status_code == 200, done.text
    models.RetiredItem.model_validate(done.json())
    assert (done.json()["serials"], done.json()["by"]) == (["printer TMT2000042"], "token lead")
    assert _rows(api, faults, "state") == [("cleared",)]
    assert _rows(api, outages, "until_ms", "review_ms") == [(api.clock_ms, None)]
    assert _rows(api, cases, "state", "outcome") == [("closed", "retired")]
    ((why, by),) = [row[1:] for row in _rows(api, case_steps, "kind", "text", "by") if row[0] == "closed"]
    assert (why, by) == (f"the terminal was retired: water in the housing; its successor is {NEW}", "token lead")
    engine.step(api.clock_ms + 61_000)
    engine.step(api.clock_ms + 600_000)
    assert {state for (state,) in _rows(api, incidents, "state")} == {"resolved"}
    with api.database.read() as connection:
        assert ("terminal.retire", f"e/{OLD}") in [(row.what, row.target) for row in audit.every(connection)]


def test_it_counts_nowhere_and_is_read_as_it_was(api: Api) -> None:
    asks = api.asks("lead")
    before = asks.get("overview")["terminals"]
    readable = [PATH, *(f"{PATH}/{each}" for each in ("timeline", "readings", "history", "settings", "metrics"))]
    shown = {path: asks.get(path) for path in readable}
    engine = Incidents(api.database)
    engine.step(api.clock_ms)
    assert asks("POST", f"{PATH}/retire", json=WHY | {"successor": NEW}).status_code == 200
    assert asks.get("overview")["terminals"] == before - 1
    assert [each["terminal"] for each in asks.get("terminals")["items"]] == ["t000000", NEW]
    engine.step(api.clock_ms + 1000)
    assert engine._book is not None
    assert engine._book.fleet.population("e").total == before - 1
    for path in readable:
        now = asks.get(path)
        assert "items" not in now or len(now["items"]) == len(shown[path]["items"]), path
    told = asks.get(PATH)
    for shown_as in (told, shown[PATH], asks.get(f"terminals/e/{NEW}")):
        models.TerminalDetail.model_validate(shown_as)
    models.Page[models.RetiredItem].model_validate(asks.get("retired"))
    assert (told["site"], told["model"], told["status"], told["faults"]) == ("s1", "TM-T20", "offline", [])
    assert (told["retired"]["successor"], told["retired"]["returned_at"]) == (NEW, None)
    assert [each["terminal"] for each in asks.get(f"terminals/e/{NEW}")["predecessors"]] == [OLD]
    assert asks.get(f"terminals/e/{NEW}")["retired"] is None
    for query in ({"site": "s1"}, {"successor": NEW}, {"estate": "e"}):
        assert [each["terminal"] for each in asks.get("retired", **query)["items"]] == [OLD]
    assert asks.get("retired", site="s2")["items"] == []
    _go_by_pages(api)
    for scope, there in ((Scope(regions=("south",)), 1), (Scope(sites=("s1",)), 1), (Scope(regions=("north",)), 0)):
        mine = api.asks("lead", scope)
        assert len(mine.get("events", terminal=OLD)["items"]) == there
        assert len(mine.get("retired")["items"]) == there
        assert mine("GET", PATH).status_code == (200 if there else 404)


def test_its_successor_takes_its_place_and_leaves_the_stock(api: Api) -> None:
    assert api.asks("lead")("POST", f"{PATH}/retire", json=WHY | {"successor": NEW}).status_code == 200
    told = api.asks("lead").get(f"terminals/e/{NEW}")
    assert (told["site"], told["region"], told["host"], told["tags"]) == ("s1", "south", "h1", ["new", "vip"])


def test_what_the_broker_keeps_of_it_is_cleared(api: Api) -> None:
    assert api.asks("lead")("POST", f"{PATH}/retire", json=WHY).status_code == 200
    posts = [payload for kind, payload in _rows(api, outbox, "kind", "payload") if kind == "mqtt"]
    base = f"pos/1/e/{OLD}"
    kinds = ("state", "inventory", "health", "faults", "config/reported", "fault/printer/paper_out")
    assert {post["topic"] for post in posts} == {f"{base}/{kind}" for kind in kinds}
    assert {(base64.b64decode(post["payload"]), post["retain"], post["until_ms"]) for post in posts} == {
        (b"", True, None)
    }


@pytest.mark.parametrize(
    ("path", "body", "status", "says"),
    [
        ("terminals/e/t000000", WHY, 409, "in contact"),
        ("terminals/e/nobody", WHY, 404, "no such terminal"),
        (PATH, {"reason": " "}, 422, "say why"),
        (PATH, WHY | {"successor": OLD}, 422, "successor"),
        (PATH, WHY | {"successor": "nobody"}, 422, "successor"),
    ],
)
def test_what_cannot_be_retired_is_refused(api: Api, path: str, body: Any, status: int, says: str) -> None:
    with api.database.begin() as connection:
        here = terminals.c.terminal == "t000000"
        connection.execute(update(terminals).where(here).values(status="online", last_contact_ms=api.clock_ms))
    answer = api.asks("lead")("POST", f"{path}/retire", json=body)
    assert (answer.status_code, says in answer.json()["error"]) == (status, True), answer.text
    assert len(_rows(api, terminals, "terminal")) == 3
    assert _rows(api, retired, "terminal") == []


def test_only_who_says_where_terminals_stand_may_retire_one(api: Api) -> None:
    for role in ("viewer", "agent", "technician", "compliance"):
        assert api.asks(role)("POST", f"{PATH}/retire", json=WHY).status_code == 403
    assert api.asks("lead", Scope(regions=("north",)))("POST", f"{PATH}/retire", json=WHY).status_code == 404
    beyond = api.asks("lead", Scope(sites=("s1",)))("POST", f"{PATH}/retire", json=WHY | {"successor": NEW})
    assert beyond.status_code == 422, "nor name a successor that they cannot see"


def test_what_the_broker_still_says_does_not_bring_it_back_but_a_word_of_its_own_does(api: Api) -> None:
    assert api.asks("lead")("POST", f"{PATH}/retire", json=WHY).status_code == 200
    engine, ingest = Returns(api.database), Ingest(api.database)
    ingest.now_ms = api.clock_ms + 1000
    base = f"pos/1/e/{OLD}"
    try:
        ingest(("state", said.state()), ("inventory", said.inventory()), base=base, retained=True)
        ingest(("state", said.will(conn=2)), base=base)
        assert len(_rows(api, terminals, "terminal")) == 3
        engine.step(ingest.now_ms)
        assert len(_rows(api, terminals, "terminal")) == 2
        assert api.asks("lead").get(PATH)["retired"]["returned_at"] is None

        ingest(("telemetry", said.telemetry(1)), base=base)
        engine.step(ingest.now_ms + LOOK_MS)
    finally:
        ingest.writer.close()
    told = api.asks("lead").get(PATH)
    assert told["retired"]["returned_at"] is not None
    assert (told["site"], told["region"]) == ("s1", "south"), "where it stood before"
    assert api.asks("lead").get("retired")["items"] == []
    notices = [payload["event"] for kind, payload in _rows(api, outbox, "kind", "payload") if kind == "notify"]
    assert "terminal.returned" in notices
    with api.database.read() as connection:
        assert ("posdiag", "terminal.return") in [(row.who, row.what) for row in audit.every(connection)]
    engine.step(ingest.now_ms + 10 * LOOK_MS)
    assert len(_rows(api, terminals, "terminal")) == 3


def test_the_command_line_retires_one(
    api: Api, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("POSDIAG_CENTER_TOKEN", api.token("lead", account_id="acc-1"))
    words = ["center", "terminals", "--url", f"http://127.0.0.1:{api.port}"]
    for wrong in (["retire"], ["retire", f"e/{OLD}"], ["retire", OLD, "--reason", "x"], ["--reason", "x"]):
        assert cli.main([*words, *wrong]) == 2
        assert capsys.readouterr().err.count("\n") == 1
    assert cli.main([*words, "retire", "e/nobody", "--reason", "scrapped"]) == 2
    assert "there is no such terminal" in capsys.readouterr().err
    assert cli.main([*words, "retire", f"e/{OLD}", "--reason", "scrapped", "--successor", NEW]) == 0
    assert capsys.readouterr().out == f"e/{OLD} is out of the fleet; {NEW} stands for it\n"
    assert _rows(api, retired, "terminal", "reason", "successor") == [(OLD, "scrapped", NEW)]


def test_the_incidents_page_says_who_was_retired(api: Api) -> None:
    engine = Incidents(api.database)
    engine.step(api.clock_ms)
    engine.step(api.clock_ms + 60_000)
    api.clock_ms += 120_000
    assert api.asks("lead")("POST", f"{PATH}/retire", json=WHY).status_code == 200
    engine.step(api.clock_ms + 1)
    ((name,),) = _rows(api, incidents, "id")[:1]
    steps = api.asks("lead").get(f"incidents/{name}/sheet")["steps"]
    (told,) = [step for step in steps if step["kind"] == "retired"]
    assert (told["by"], told["text"]) == ("token lead", f"{OLD}: water in the housing")
