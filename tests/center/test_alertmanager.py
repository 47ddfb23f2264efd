"""Incidents as alerts: what Alertmanager's API takes, again and again, and never a word to those who did not ask."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import select, update

from center.access.roles import Role
from center.db.engine import Database
from center.db.tables import incidents, outbox, webhooks
from center.notify.alertmanager import EVERY_MS, FRESH_MS, RESOLVED_MS, Alerts, alert
from center.notify.delivery import Delivery
from tests.center.asking import asking
from tests.center.fleet_rows import NOW, put
from tests.center.test_notify import Receiver, _post, serving

MINUTE = 60_000


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with serving(Receiver()) as server:
        yield server


def incident(database: Database, name: str, **more: Any) -> None:
    row = {"estate": "e", "scope": "operator", "scope_key": "46001", "family": "reach", "severity": "critical"}
    row |= {"state": "open", "title": "x", "opened_ms": NOW - MINUTE, "last_ms": NOW, "terminals_n": 40, "impact": 3.0}
    put(database, incidents, **{**row, "id": name, **more})


def _hook(database: Database, receiver: Receiver, events: list[str], estates: list[str] | None = None) -> None:
    row = {"id": "hook-1", "url": receiver.url, "secret": "s", "state": "active", "created_ms": NOW}
    chosen = {"events": events, "estates": estates}
    put(database, webhooks, **row, filter=chosen, format="alertmanager")


def pushed(receiver: Receiver) -> list[list[dict[str, Any]]]:
    found = [json.loads(body) for _, body in receiver.got]
    for alerts in found:
        for each in alerts:
            _fits(each)
    return found


def _fits(each: dict[str, Any]) -> None:
    """PostableAlert of Alertmanager's API v2, and its rules for labels."""
    assert set(each) <= {"labels", "annotations", "startsAt", "endsAt", "generatorURL"}
    assert each["labels"]["alertname"]
    for pairs in (each["labels"], each["annotations"]):
        for name, value in pairs.items():
            assert re.fullmatch("[a-zA-Z_][a-zA-Z0-9_]*", name)
            assert isinstance(value, str)
            assert value, "an empty label is none"
    start, end = (datetime.fromisoformat(each[name]) for name in ("startsAt", "endsAt"))
    assert start.tzinfo is not None
    assert start <= end


def test_what_is_open_is_sent_until_it_ends_and_its_end_for_a_while(database: Database, receiver: Receiver) -> None:
    _hook(database, receiver, ["incident.*"])
    incident(database, "inc-1")
    alerts = Alerts(database, "https://pos.example.org/")
    for at_ms in (NOW, NOW + EVERY_MS - 1, NOW + EVERY_MS):
        alerts.step(at_ms)
    first, second = pushed(receiver)
    assert first == [
        {
            "labels": {
                "alertname": "reach",
                "incident": "inc-1",
                "severity": "critical",
                "estate": "e",
                "scope": "operator",
                "scope_key": "46001",
                "source": "posdiag",
            },
            "annotations": {
                "summary": "Operator 46001: terminals are out of reach or have trouble with the network",
                "summary_zh": "运营商 46001：多台终端失联或网络异常",
                "terminals": "40",
                "cannot_sell": "0",
            },
            "startsAt": "2026-09-21T14:12:20.000Z",
            "endsAt": "2026-09-21T14:15:20.000Z",
            "generatorURL": "https://pos.example.org/console/incident/inc-1",
        }
    ]
    assert FRESH_MS > 2 * EVERY_MS, "one push that is lost ends no alert"
    assert second[0]["labels"] == first[0]["labels"]
    assert second[0]["endsAt"] > first[0]["endsAt"]
    with database.begin() as connection:
        over = {"state": "resolved", "resolved_ms": NOW + MINUTE}
        connection.execute(update(incidents).values(over))
    alerts.step(NOW + MINUTE + 1000)
    alerts.step(NOW + MINUTE + RESOLVED_MS)
    alerts.step(NOW + 2 * MINUTE + RESOLVED_MS)
    ended = pushed(receiver)[2:]
    assert [each[0]["endsAt"] for each in ended] == ["2026-09-21T14:14:20.000Z"] * 2
    assert ended[0][0]["labels"] == first[0]["labels"]


def test_only_what_was_asked_for_goes_out(database: Database, receiver: Receiver) -> None:
    terminal = {"scope": "terminal", "scope_key": "t1", "family": "", "fault": "printer/paper_out"}
    incident(database, "inc-group")
    incident(database, "inc-part", parent_id="inc-group")
    incident(database, "inc-hushed", suppression_id="sup-1")
    incident(database, "inc-one", **terminal)
    incident(database, "inc-elsewhere", estate="f")
    incident(database, "inc-center", estate="", scope="center", scope_key="lag:cursor", family="", severity="major")

    def told(**choice: Any) -> list[tuple[str, str]]:
        with database.begin() as connection:
            connection.execute(webhooks.delete())
        receiver.got.clear()
        _hook(database, receiver, **choice)
        Alerts(database).step(NOW)
        return [(each["labels"]["incident"], each["labels"]["alertname"]) for each in (pushed(receiver) or [[]])[0]]

    assert told(events=["incident.*"]) == [("inc-elsewhere", "reach"), ("inc-group", "reach")]
    assert told(events=["incident.*"], estates=["e"]) == [("inc-group", "reach")]
    assert told(events=["case.*"]) == [("inc-one", "printer/paper_out")]
    assert told(events=["center.*"]) == [("inc-center", "lag:cursor")]
    assert len(told(events=["*"])) == 4
    assert told(events=["audit.*"]) == []


def _hooks(database: Database) -> list[Any]:
    with database.read() as connection:
        return list(connection.execute(select(webhooks)).all())


def test_what_goes_wrong_stands_with_the_webhook_until_it_is_well(database: Database, receiver: Receiver) -> None:
    _hook(database, receiver, ["*"])
    incident(database, "inc-1")
    alerts = Alerts(database)
    receiver.status = 400
    alerts.step(NOW)
    assert [(each.state, each.error) for each in _hooks(database)] == [("active", "answered 400")]
    receiver.status = 200
    alerts.step(NOW + EVERY_MS)
    assert [(each.state, each.error) for each in _hooks(database)] == [("active", "")]


def test_it_gets_no_messages_and_others_get_no_alerts(database: Database, receiver: Receiver) -> None:
    _hook(database, receiver, ["*"])
    _post(database, "case:1")
    Delivery(database).step(NOW)
    with database.begin() as connection:
        assert {row.kind for row in connection.execute(select(outbox.c.kind))} == {"notify"}
        connection.execute(update(webhooks).values(format="posdiag"))
    incident(database, "inc-1")
    Alerts(database).step(NOW)
    assert receiver.got == []


def test_it_is_set_up_and_tried_by_the_api(database: Database, receiver: Receiver) -> None:
    role: Role = "admin"
    with asking(database) as api:
        asks = api.asks(role)
        body = {"url": receiver.url, "events": ["incident.*"], "format": "alertmanager"}
        made = asks("POST", "webhooks", json=body)
        assert made.status_code == 201
        assert asks("POST", "webhooks", json={**body, "format": "karma"}).status_code == 422
        assert asks.get("webhooks")["items"][0]["format"] == "alertmanager"
        assert asks("POST", f"webhooks/{made.json()['id']}/try").json() == {"problem": ""}
    ((trial,),) = pushed(receiver)
    assert trial["labels"]["alertname"] == "trial"


def test_without_a_public_address_there_is_no_link() -> None:
    row = {
        "id": "i",
        "estate": "",
        "scope": "center",
        "scope_key": "disk",
        "family": "",
        "fault": None,
        "state": "open",
    }
    row |= {"severity": "critical", "terminals_n": 0, "cannot_sell_n": 0, "ack_by": "ann", "owner": None}
    told = alert({**row, "opened_ms": NOW, "resolved_ms": None}, "", NOW)
    _fits(told)
    assert "generatorURL" not in told
    assert told["annotations"]["acknowledged_by"] == "ann"
