"""What people do by the API reaches the domain, and stands in the audit."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select, update

from center.access import accounts, audit
from center.access.limits import Rate
from center.access.scope import Scope
from center.db import tables
from center.db.engine import Database
from center.settings import Settings
from tests.center.actions import new_key
from tests.center.asking import Api, Asker, asking
from tests.center.fleet_rows import fill


@pytest.fixture
def api(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    monkeypatch.setenv("POSDIAG_CENTER_DIR", str(tmp_path / "state"))
    fill(database, 8)
    with asking(database, rate=Rate(1e6, 1e6)) as running:
        yield running


def _done(api: Api) -> list[tuple[str, str]]:
    with api.database.read() as connection:
        assert audit.verify(connection).broken_id is None
        return [(row.what, row.target) for row in audit.every(connection) if row.what != "read"]


def test_a_case_from_its_opening_over_a_visit_to_its_repair(api: Api) -> None:
    asks = api.asks("lead")
    new = {"estate": "e", "terminal": "t000001", "kind": "question", "title": "How?", "said": "How does it work?"}
    opened = asks("POST", "cases", json=new)
    assert opened.status_code == 201, opened.text
    case = opened.json()
    for verb, body, state in (
        ("acknowledge", None, "acknowledged"),
        ("assign", {"owner": "bob", "external": True}, "assigned"),
        ("note", {"text": "card 4111 1111 1111 1111 seen"}, "assigned"),
        ("eta", {"eta": "2026-09-21T18:00:00Z"}, "assigned"),
        (
            "dispatch",
            {"technician": "Li Wei", "from": "2026-09-21T16:00:00Z", "until": "2026-09-21T18:00:00Z"},
            "dispatched",
        ),
        ("answer", {"text": "like this"}, "asking"),
    ):
        answer = asks("POST", f"cases/{case['number']}/{verb}", json=body)
        assert answer.status_code == 200, answer.text
        assert answer.json()["state"] == state
        assert ("case." + verb, case["id"]) in _done(api)
    shown = asks.get(f"cases/{case['id']}")
    assert shown["eta"] == "2026-09-21T18:00:00.000Z"
    assert [step["kind"] for step in shown["steps"]][:3] == ["opened", "acknowledged", "assigned"]
    assert "4111 1111" not in json.dumps(shown)
    again = asks("POST", f"cases/{case['id']}/acknowledge")
    assert again.status_code == 409
    assert again.json()["error"].startswith("the case is asking")


@pytest.mark.parametrize(
    ("name", "has_account", "called"),
    [
        ("till-watch", True, "token till-watch of ann"),
        ("till-watch", False, "token till-watch"),
        ("", True, "token of ann"),
        ("", False, "a token with the role agent"),
    ],
)
def test_what_a_token_takes_on_names_no_id_but_in_the_audit(
    api: Api, name: str, has_account: bool, called: str
) -> None:
    with api.database.begin() as connection:
        account = accounts.create(connection, "ann", ["agent"], api.clock_ms) if has_account else None
    asks = Asker(api.client, api.token("agent", name=name, account_id=account))
    case = asks("POST", "cases/1005/acknowledge").json()
    taken = asks("POST", "incidents/inc-00000000/acknowledge").json()
    assert (case["owner"], taken["owner"], taken["ack_by"]) == (called, called, called)
    assert asks.get("cases/1005")["steps"][-1]["by"] == called
    assert [each["id"] for each in asks.get("queue", owner="me")["items"]] == ["inc-00000000"]
    with api.database.read() as connection:
        token = connection.execute(select(tables.tokens.c.id)).scalar_one()
        who = connection.execute(select(tables.audit.c.who)).scalars().all()
    assert set(who) == {f"token {name or token}"}


def test_an_incident_is_taken_on_given_away_and_let_go(api: Api) -> None:
    asks = api.asks("agent")
    path = "incidents/inc-00000005"
    taken = asks("POST", f"{path}/acknowledge").json()
    assert (taken["state"], taken["owner"], taken["ack_by"]) == ("acknowledged", "token agent", "token agent")
    assert asks("POST", f"{path}/acknowledge").status_code == 409
    refused = asks("POST", f"{path}/assign", json={"owner": "bob"})
    assert (refused.status_code, "there is no account that may" in refused.json()["error"]) == (422, True)
    bob = {"owner": "bob", "external": True}
    assert asks("POST", f"{path}/assign", json=bob).json()["owner"] == "bob"
    with api.database.begin() as connection:
        accounts.create(connection, "carl", ["agent"], api.clock_ms)
    assert asks("POST", f"{path}/assign", json={"owner": "carl"}).json()["owner"] == "carl"
    assert asks("POST", f"{path}/release").json()["state"] == "open"
    assert api.asks("agent", Scope(regions=("north",)))("POST", f"{path}/acknowledge").status_code == 404
    assert [what for what, target in _done(api) if target == "inc-00000005"] == [
        "incident.acknowledge",
        "incident.assign",
        "incident.assign",
        "incident.release",
    ]


def test_a_command_without_a_key_is_refused_in_one_line(api: Api) -> None:
    wish = {"estate": "e", "terminal": "t000001", "cmd": "check", "reason": "nothing prints"}
    answer = api.asks("agent")("POST", "commands", json=wish)
    assert (answer.status_code, "command_key_file" in answer.json()["error"]) == (503, True)
    for wrong in ({"cmd": "format"}, {"args": {"level": "deep"}}, {"reason": ""}, {"terminal": "t999999"}):
        assert api.asks("lead")("POST", "commands", json=wish | wrong).status_code in {404, 422}


def test_a_reboot_waits_for_a_second_person(database: Database, tmp_path: Path) -> None:
    fill(database, 8)
    private, _public = new_key(tmp_path)
    wish = {"estate": "e", "terminal": "t000001", "cmd": "reboot", "reason": "nothing else helps"}
    with asking(database, Settings(command_key_file=str(private))) as api:
        assert api.asks("lead")("POST", "commands", json=wish).status_code == 403
        command = api.asks("campaign_manager")("POST", "commands", json=wish).json()
        assert command["state"] == "waiting_approval"
        same = api.asks("admin")
        mine = same("POST", "commands", json=wish).json()
        assert same("POST", f"commands/{mine['id']}/approve").status_code == 403
        declined = api.asks("lead")("POST", f"commands/{command['id']}/decline", json={"reason": "not in trade hours"})
        assert (declined.status_code, declined.json()["state"]) == (200, "rejected")


def test_a_campaign_is_drawn_up_and_cancelled(api: Api) -> None:
    asks = api.asks("campaign_manager")
    plan = {"name": "Readiness", "kind": "check", "audience": {"estates": ["e"]}, "reason": "busy days", "args": {}}
    made = asks("POST", "campaigns", json=plan)
    assert made.status_code == 201, made.text
    name = made.json()["id"]
    assert asks("POST", f"campaigns/{name}/start").json()["state"] == "running"
    assert asks("POST", f"campaigns/{name}/pause", json={"reason": "too loud"}).json()["state"] == "paused"
    assert asks("POST", f"campaigns/{name}/cancel", json={"reason": "enough"}).json()["state"] == "cancelled"
    assert asks("POST", f"campaigns/{name}/start").status_code == 409
    assert api.asks("agent")("POST", "campaigns", json=plan).status_code == 403


def test_sites_and_places_come_as_csv_or_json_whole_or_not_at_all(api: Api) -> None:
    asks = api.asks("lead")
    table = "estate,site,name,timezone,contacts,tags\n"
    table += 'e,s1,Café Süd,Asia/Shanghai,"[{""phone"": ""155""}]","[""mall"", ""试点""]"\ne,s2,Two,UTC,,\n'
    csv = {"content-type": "text/csv"}
    assert asks("POST", "sites/import", content=table.encode(), headers=csv).json() == {"taken": 2}
    first = asks.get("sites/e/s1")
    assert (first["name"], first["contacts"][0]["phone"]) == ("Café Süd", "155")
    places = [{"estate": "e", "terminal": "t000001", "site": "s1", "region": "south", "tags": ["pilot"]}]
    assert asks("POST", "places/import", json=places).json() == {"taken": 1}
    assert asks.get("terminals/t000001")["region"] == "south"
    assert asks.get("terminals/t000001")["tags"] == ["mall", "pilot", "试点"]
    assert (asks.get("sites/e/s1")["tags"], asks.get("sites/e/s2")["tags"]) == (["mall", "试点"], None)
    assert asks.ids("terminals", site="s1") == ["e.t000001"]
    assert [each["site"] for each in asks.get("sites", terminal="t000001")["items"]] == ["s1"]
    for wrong in (
        b"estate,site\ne,s3\ne\n",
        b"estate,site,zip\ne,s3,1\n",
        b'estate,site,tags\ne,s3,"[""a,b""]"\n',
        b"estate,site,tags\ne,s3,pilot\n",
        b"estate,site,timezone\ne,s3,Mars/Base\n",
        b"estate,site\ne,s3\nE!,s4\n",
        b"\xff",
    ):
        answer = asks("POST", "sites/import", content=wrong, headers=csv)
        assert (answer.status_code, list(answer.json())) == (422, ["error"]), wrong
    assert asks("GET", "sites/e/s3").status_code == 404


def test_a_disputed_period_is_held_sealed_proved_and_fetched(api: Api) -> None:
    asks = api.asks("compliance")
    dispute = {"estate": "e", "terminal": "t000001", "reason": "the bank asks", "what": "hold"}
    dispute |= {"from": "2026-09-20T00:00:00Z", "until": "2026-09-21T14:00:00Z", "hold_until": "2026-12-01T00:00:00Z"}
    held = asks("POST", "evidence", json=dispute).json()["id"]
    sealed = asks("POST", "evidence", json=dispute | {"what": "seal", "hold_until": None})
    assert sealed.status_code == 201, sealed.text
    name = sealed.json()["id"]
    assert sorted(asks.ids("evidence")) == sorted([held, name])
    assert asks.get(f"evidence/{name}/verify")["problems"] == []
    assert asks("GET", f"evidence/{name}/pack").content.startswith(b"PK")
    assert asks("GET", f"evidence/{held}/pack").status_code == 409
    assert asks("POST", f"evidence/{held}/release", json={"reason": "settled"}).status_code == 204
    assert api.asks("agent")("GET", "evidence").status_code == 403
    assert api.asks("compliance", Scope(estates=("f",)))("GET", f"evidence/{name}/pack").status_code == 404
    assert ("evidence.fetch", name) in _done(api)


def test_the_overview_and_a_terminals_week_are_of_the_scope(api: Api) -> None:
    assert api.asks("viewer").get("overview")["terminals"] == 8
    assert api.asks("viewer", Scope(regions=("north",))).get("overview")["terminals"] == 2
    week = api.asks("viewer").get("terminals/e/t000005/timeline")["items"]
    assert all(each["from_at"].endswith("Z") for each in week)
    assert api.asks("viewer", Scope(estates=("f",)))("GET", "terminals/e/t000005/timeline").status_code == 404


def test_suppressions_are_begun_shown_and_ended(api: Api) -> None:
    asks = api.asks("lead")
    window = {"kind": "maintenance", "estate": "e", "scope": "site", "scope_key": "s1", "reason": "the host is renewed"}
    window |= {"from": "2026-09-21T00:00:00Z", "until": "2026-09-23T00:00:00Z"}
    name = asks("POST", "suppressions", json=window).json()["id"]
    (shown,) = asks.get("suppressions")["items"]
    assert (shown["id"], shown["until_at"]) == (name, "2026-09-23T00:00:00.000Z")
    assert asks("DELETE", f"suppressions/{name}").status_code == 204
    assert asks.get("suppressions")["items"] == []
    assert asks("DELETE", f"suppressions/{name}").status_code == 404


def test_channels_and_webhooks_keep_their_secrets(api: Api) -> None:
    asks = api.asks("admin")
    hook = asks("POST", "webhooks", json={"url": "https://h.example/s3cr3t", "events": ["case.*"]}).json()
    assert hook["secret"]
    shown = asks("GET", "webhooks").text
    assert hook["secret"] not in shown
    assert "s3cr3t" not in shown
    assert asks("POST", "webhooks", json={"url": "file:///etc/passwd", "events": ["*"]}).status_code == 422
    assert asks("DELETE", f"webhooks/{hook['id']}").status_code == 204
    assert asks("DELETE", f"webhooks/{hook['id']}").status_code == 404


def test_the_audit_is_listed_exported_and_proved(database: Database) -> None:
    with asking(database) as api:
        api.asks("viewer").get("terminals")
    with asking(database, Settings()) as api:
        asks = api.asks("compliance")
        rows = asks.get("audit")["items"]
        assert ("read", "GET /api/v1/terminals") in [(row["what"], row["target"]) for row in rows]
        head = asks.get("audit/verify")
        assert (head["broken_id"], head["seen"]) == (None, None)
        assert asks.get("audit/verify", seen=rows[0]["hash"])["seen"]
        lines = asks("GET", "audit/export").text.splitlines()
        assert json.loads(lines[0])["prev"] == "0" * 64
        with database.begin() as connection:
            first = connection.execute(select(tables.audit.c.id).limit(1)).scalar()
            connection.execute(update(tables.audit).where(tables.audit.c.id == first).values(who="somebody else"))
        assert asks.get("audit/verify")["broken_id"] == first
