"""What the domain tells, by the API: for whom it is, and that what is foreign is not there."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import update

from agent import report_code
from agent.vocabulary import VOCABULARY
from center.access import audit
from center.access.limits import Rate
from center.access.scope import Scope
from center.api.guard import MOST_BYTES
from center.db import tables
from center.db.engine import Database
from center.domain.cases_attachments import LARGEST, WARNING
from tests.agent import statuses
from tests.center.asking import Api, asking
from tests.center.fleet_rows import NOW, fill, member, put, put_checked, readiness, terminal
from tests.wait import wait_until

FOREIGN = Scope(estates=("f",))
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def api(database: Database) -> Iterator[Api]:
    fill(database, 8)
    with asking(database, rate=Rate(1e6, 1e6)) as running:
        yield running


def _audited(api: Api, what: str) -> list[tuple[str, Any]]:
    with api.database.read() as connection:
        assert audit.verify(connection).broken_id is None
        return [(row.target, row.detail) for row in audit.every(connection) if row.what == what]


def _change(api: Api, table: Any, name: str, **values: Any) -> None:
    with api.database.begin() as connection:
        connection.execute(update(table).where(table.c.id == name).values(**values))


# --- incidents --------------------------------------------------------------------------------------------------------


def test_an_operator_gets_numbers_and_cells(api: Api) -> None:
    with api.database.begin() as connection:
        connection.execute(update(tables.terminals).values(cell="460-00-1"))
    _change(api, tables.incidents, "inc-00000005", scope="operator", scope_key="46000", family="reach", terminals_n=3)
    path = "incidents/inc-00000005/operator-text"
    told = api.asks("agent").get(path)
    assert told["subject"].startswith("Trouble report inc-00000005: Operator 46000: terminals are out of reach")
    assert "Terminals affected now: 3" in told["text"]
    assert "460-00-1: 1, first 2026-09-21 14:13:20 UTC" in told["text"]
    assert "故障通报" in api.asks("agent").get(path, language="zh")["subject"]
    assert api.asks("viewer")("GET", path).status_code == 403
    assert api.asks("agent", FOREIGN)("GET", path).status_code == 404


def test_an_operators_text_shows_no_cell_outside_of_the_scope(api: Api) -> None:
    path, there = "incidents/inc-00000005/operator-text", Scope(sites=("s000001",))  # where terminal 5 stands
    assert api.asks("agent", there)("GET", path).status_code == 200
    put(api.database, tables.incident_members, **(member(1) | {"incident_id": "inc-00000005"}))
    refused = api.asks("agent", there)("GET", path)
    assert (refused.status_code, refused.json()["error"]) == (403, "this incident reaches further than what is yours")
    assert api.asks("agent")("GET", path).status_code == 200


# --- reports ----------------------------------------------------------------------------------------------------------

REPORTS = (
    *("times", "first_time_fix", "repeats", "false_alarms", "deflection", "promises", "deadlines", "arrivals", "tags"),
    *("top", "satisfaction"),
)


def test_a_report_counts_its_period_and_scope(api: Api) -> None:
    api.clock_ms = NOW + 60_000
    hour = 3_600_000
    solved = {"state": "closed", "outcome": "confirmed", "visits": 1, "reopened": 0, "solved_ms": NOW + hour}
    _change(api, tables.cases, "case-00000005", **solved, detected_ms=NOW, closed_ms=NOW + 30_000)
    asks = api.asks("viewer")
    assert asks.get("reports/first_time_fix")["result"] == {"n": 1, "of": 1, "share": 1.0}
    assert asks.get("reports/times")["result"]["repair"] == {"n": 1, "median_ms": hour, "p90_ms": hour}
    top = asks.get("reports/top", by="model")
    assert (top["by"], top["result"]) == ("model", [{"group": "", "fault": "printer/paper_out", "cases": 2}])
    assert top["until"] == "2026-09-21T14:14:20.000Z"
    assert sum(asks.get("reports/arrivals")["result"]) == 2
    assert sum(asks.get("reports/arrivals", until="2026-09-01T00:00:00Z")["result"]) == 0
    assert asks.get("reports/promises")["result"]["first"] == {"n": 0, "of": 0, "share": None}
    assert sum(api.asks("viewer", FOREIGN).get("reports/arrivals")["result"]) == 0
    for name in REPORTS:
        assert asks.get(f"reports/{name}")["report"] == name
    wait_until(lambda: ("GET /api/v1/reports/tags", None) in _audited(api, "read"))


@pytest.mark.parametrize(
    ("path", "wrong"),
    [
        ("profit", "name"),
        ("times?by=model", "by"),
        ("times?since=2026-09-21T15:00:00Z", "since"),
        ("times?since=2020-01-01T00:00:00Z", "since"),
    ],
)
def test_a_report_that_cannot_be_made_is_refused(api: Api, path: str, wrong: str) -> None:
    answer = api.asks("viewer")("GET", f"reports/{path}")
    assert (answer.status_code, answer.json()["error"].partition(":")[0]) == (422, wrong)


# --- cases ------------------------------------------------------------------------------------------------------------


def test_the_merchants_link_is_for_those_who_work_on_cases_and_audited(api: Api) -> None:
    asks = api.asks()
    case = asks("POST", "cases", json={"estate": "e", "terminal": "t000001", "kind": "question"}).json()["number"]
    link = asks.get(f"cases/{case}/merchant-link")["link"]
    assert link.startswith("/m/")
    assert len(link) == len("/m/") + 22
    assert api.asks("viewer")("GET", f"cases/{case}/merchant-link").status_code == 403
    assert api.asks("lead", FOREIGN)("GET", f"cases/{case}/merchant-link").status_code == 404
    read = [row for row in asks.get("audit")["items"] if row["what"] == "case.merchant_link"]
    assert len(read) == 1


def test_the_record_is_a_page_that_brings_its_style_and_runs_nothing(api: Api) -> None:
    asks = api.asks("lead")
    assert asks("POST", "cases/1005/note", json={"text": "<b>she</b> was angry"}).status_code == 200
    answer = asks("GET", "cases/1005/record")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'; style-src 'unsafe-inline'" in answer.headers["content-security-policy"]
    assert "&lt;b&gt;she&lt;/b&gt; was angry" in answer.text
    assert "was angry" not in asks("GET", "cases/1005/record", params={"internal": "false"}).text
    assert "工单记录" in asks("GET", "cases/1005/record", params={"language": "zh"}).text
    assert api.asks("lead", FOREIGN)("GET", "cases/1005/record").status_code == 404


KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
SLIP = report_code.encode(statuses.status(statuses.fault("modem/sim_absent", sim="absent")), KEY.sign)  # of demo/till-1


def test_a_scanned_slip_opens_a_case_once(api: Api) -> None:
    told = KEY.public_key().public_bytes_raw().hex()
    row = {"estate": "demo", "terminal": "till-1", "inventory": {"agent": {"report_key": told}}}
    put(api.database, tables.terminals, **(terminal(1) | row))
    asks, body = api.asks("agent"), {"code": SLIP, "said": "nothing works"}
    opened = asks("POST", "cases/scan", json=body)
    assert (opened.status_code, opened.json()["channel"]) == (201, "slip")
    assert (opened.json()["terminal"], opened.json()["fault"]) == ("till-1", "modem/sim_absent")
    assert asks("POST", "cases/scan", json=body).status_code == 200
    assert _audited(api, "case.scan") == [(opened.json()["id"], {"new": True}), (opened.json()["id"], {"new": False})]
    assert api.asks("viewer")("POST", "cases/scan", json=body).status_code == 403
    assert api.asks("agent", FOREIGN)("POST", "cases/scan", json=body).status_code == 404


def test_a_slip_that_somebody_else_signed_is_refused_and_written_down(api: Api) -> None:
    row = {"estate": "demo", "terminal": "till-1", "inventory": {"agent": {"report_key": "ab" * 32}}}
    put(api.database, tables.terminals, **(terminal(1) | row))
    answer = api.asks("agent")("POST", "cases/scan", json={"code": SLIP})
    assert (answer.status_code, "signature is wrong" in answer.json()["error"]) == (422, True)
    assert "signature is wrong" in _audited(api, "case.scan")[0][1]["refused"]


def test_a_file_is_attached_listed_and_fetched(api: Api) -> None:
    asks = api.asks("agent")
    path, picture = "cases/1005/attachments", PNG + bytes(MOST_BYTES)  # larger than other requests may be
    kind = {"content-type": "image/png"}
    made = asks("POST", path, params={"file": "slip 1.png"}, content=picture, headers=kind)
    assert made.status_code == 201, made.text
    item = made.json()
    assert (item["sha256"], item["warning"]) == (hashlib.sha256(picture).hexdigest(), WARNING)
    assert asks.get(path)["items"] == [item]
    body = asks("GET", f"{path}/{item['id']}")
    assert (body.content, body.headers["content-type"]) == (picture, "image/png")
    assert body.headers["content-disposition"] == "attachment; filename*=utf-8''slip%201.png"
    assert _audited(api, "case.attach") == [("case-00000005", None)]
    for status, more in (
        (422, {"params": {"file": "a.png"}, "content": b"<html>"}),
        (422, {"content": PNG}),
        (413, {"params": {"file": "a.png"}, "content": PNG + bytes(LARGEST)}),
    ):
        assert asks("POST", path, headers=kind, **more).status_code == status
    given: dict[str, Any] = {"params": {"file": "a.png"}, "content": PNG, "headers": kind}
    assert api.asks("viewer")("POST", path, **given).status_code == 403
    other = api.asks("agent", FOREIGN)
    assert other("POST", path, **given).status_code == 404
    assert other("GET", f"{path}/{item['id']}").status_code == 404


# --- knowledge --------------------------------------------------------------------------------------------------------

GUIDE = {"fault": "printer/paper_out", "language": "en", "title": "A zebra roll", "body": "End first.", "model": "M1"}


def test_a_guide_is_in_force_once_somebody_else_approved_it(api: Api) -> None:
    lead, admin = api.asks("lead"), api.asks("admin")
    shipped = lead.get("knowledge/faults/printer/paper_out", model="M1")
    assert (shipped["guide"]["version"], bool(shipped["runbook"]["look"])) == (0, True)
    draft = lead("POST", "knowledge/guides", json=GUIDE)
    assert (draft.status_code, draft.json()["state"]) == (201, "draft"), draft.text
    path = f"knowledge/guides/{draft.json()['id']}/approve"
    assert lead.ids("knowledge/guides", state="draft") == [draft.json()["id"]]
    assert lead.get("knowledge/search", words="zebra")["items"] == []
    assert lead("POST", path).status_code == 403  # its author
    assert api.asks("agent")("POST", path).status_code == 403
    assert api.asks("agent")("POST", "knowledge/guides", json=GUIDE).status_code == 403
    assert api.asks("admin", FOREIGN)("POST", path).status_code == 403  # it would be in force for all
    assert admin("POST", path).json()["state"] == "approved"
    assert admin("POST", path).status_code == 409
    found = lead.get("knowledge/faults/printer/paper_out", model="M1")["guide"]
    assert (found["title"], found["version"]) == ("A zebra roll", 1)
    assert [each["title"] for each in lead.get("knowledge/search", words="zebra")["items"]] == ["A zebra roll"]
    everything = {each["fault"] for each in lead.get("knowledge/search", words="/", limit=1000)["items"]}
    assert everything >= set(VOCABULARY)
    assert len(lead.get("knowledge/search", words="/", limit=3)["items"]) == 3
    assert [_audited(api, f"guide.{what}")[0][1]["version"] for what in ("propose", "approve")] == [1, 1]
    assert lead("GET", "knowledge/faults/printer/on_strike").status_code == 404
    assert "纸" in lead.get("knowledge/faults/printer/paper_out", language="zh")["guide"]["title"]


def test_cases_like_it_and_what_helped_are_of_the_scope(api: Api) -> None:
    like = {"signature": "printer/paper_out|TM-T20", "firmware": "1.04", "model": "TM-T20"}
    _change(api, tables.cases, "case-00000000", **like)
    _change(api, tables.cases, "case-00000005", **like, state="closed", outcome="confirmed", closed_ms=NOW)
    tried = {"id": "remedy-1", "case_id": "case-00000005", "remedy": "refilled", "worked": "yes", "at_ms": NOW}
    put(api.database, tables.remedies, **like, **tried)
    asks = api.asks("viewer")
    (similar,) = asks.get("cases/1000/similar")["items"]
    assert (similar["id"], similar["alike"], similar["closed_at"]) == ("case-00000005", 3, "2026-09-21T14:13:20.000Z")
    (helped,) = asks.get("cases/1000/remedies")["items"]
    assert (helped["remedy"], helped["worked"], helped["basis"]) == ("refilled", 1, "firmware")
    assert asks.get("knowledge/faults/printer/paper_out")["remedies"][0]["basis"] == "fault"
    elsewhere = api.asks("viewer", Scope(sites=("s000000",)))  # where terminal 0 stands, and 5 does not
    assert elsewhere.get("cases/1000/similar")["items"] == []
    assert elsewhere.get("cases/1000/remedies")["items"] == []
    assert elsewhere.get("knowledge/faults/printer/paper_out")["remedies"] == []
    for what in ("similar", "remedies"):
        assert api.asks("viewer", FOREIGN)("GET", f"cases/1000/{what}").status_code == 404


def test_the_tries_behind_a_remedy_are_as_many_as_its_figures_say(api: Api) -> None:
    """Tried twice in one case, once in another, of another model, not settled yet, and in a case that is deleted."""
    same = {"signature": "printer/paper_out|TM-T20", "model": "TM-T20", "firmware": "1.04", "remedy": "refilled"}
    other = same | {"signature": "printer/paper_out|TM-T88", "model": "TM-T88"}
    tries = (
        same | {"case_id": "case-00000000", "worked": "no"},
        same | {"case_id": "case-00000000", "worked": "yes"},
        same | {"case_id": "case-00000005", "worked": "yes"},
        same | {"case_id": "case-00000005", "worked": "unknown"},
        same | {"case_id": None, "worked": "yes", "firmware": "1.05"},
        same | {"case_id": "case-00000005", "worked": "yes", "remedy": "cleaned"},
        other | {"case_id": "case-00000005", "worked": "yes"},
    )
    for number, row in enumerate(tries):
        put(api.database, tables.remedies, id=f"remedy-{number}", at_ms=NOW + number, **row)
    _change(api, tables.cases, "case-00000000", signature=same["signature"], firmware="1.04")
    here = api.asks("viewer", Scope(sites=("s000000",)))  # where terminal 0 stands, and 5 does not
    for asks in (api.asks("viewer"), here):
        about = {"model": "TM-T20", "firmware": "1.04"}
        found = asks.get("cases/1000/remedies")["items"]
        for more in ({}, {"model": "TM-T20"}, about):
            found += asks.get("knowledge/faults/printer/paper_out", **more)["remedies"]
        assert {each["basis"] for each in found} == {"firmware", "signature", "fault"}
        for each in found:
            named = {name: each[name] for name in ("basis", "signature", "firmware", "remedy")}
            settled = [row["worked"] for row in asks.get("knowledge/tries", **named)["items"]]
            assert (settled.count("yes"), settled.count("no")) == (each["worked"], each["failed"])
            assert len(settled) == each["worked"] + each["failed"]
            assert len(asks.get("knowledge/tries", **named, settled=False)["items"]) == each["unknown"]
    every = {"basis": "fault", "signature": "printer/paper_out|", "remedy": "refilled"}
    first = api.asks("viewer").get("knowledge/tries", **every, limit=2)
    rest = api.asks("viewer").get("knowledge/tries", **every, cursor=first["next"])
    assert [row["number"] for row in first["items"] + rest["items"]] == [1005, None, 1005, 1000, 1000]
    of_all = api.asks("viewer").get("knowledge/tries", basis="fault", signature=every["signature"])["items"]
    assert [row["remedy"] for row in of_all].count("cleaned") == 1
    assert len(of_all) == 6
    assert here.get("knowledge/tries", **every)["items"][0]["case"] == "case-00000000"
    assert api.asks("viewer")("GET", "knowledge/tries", params=every | {"basis": "luck"}).status_code == 422


# --- settings, readiness, overview ------------------------------------------------------------------------------------


def test_settings_that_drifted_and_their_history(api: Api) -> None:
    wish = {"estate": "e", "issued_by": "ann", "reason": "fewer wake-ups", "at_ms": NOW, "updated_ms": NOW}
    for number in (1, 2, 3):
        old = {"version": 1, "state": "replaced", "body": {"power": {"poll_ms": 500}}}
        new = {"version": 2, "state": "drifted", "body": {"power": {"poll_ms": 900}}}
        for row in (old, new):
            put(api.database, tables.desired_configs, **wish, **row, terminal=f"t00000{number}")
    asks = api.asks("viewer")
    first = asks.get("settings/drift", limit=2)
    second = asks.get("settings/drift", limit=2, cursor=first["next"])
    shown = first["items"] + second["items"]
    assert [each["terminal"] for each in shown] == ["t000001", "t000002", "t000003"]
    assert second["next"] is None
    assert (shown[0]["body"], shown[0]["at"]) == ({"power": {"poll_ms": 900}}, "2026-09-21T14:13:20.000Z")
    assert asks.get("settings/states") == {"drifted": 3}
    history = asks.get("terminals/e/t000001/settings")["items"]
    assert [each["changed"] for each in history] == [{"power.poll_ms": [500, 900]}, {"power.poll_ms": [None, 500]}]
    other = api.asks("viewer", FOREIGN)
    assert (other.get("settings/drift")["items"], other.get("settings/states")) == ([], {})
    assert other("GET", "terminals/e/t000001/settings").status_code == 404


def test_the_stores_of_a_readiness_campaign_by_pages_and_as_csv(api: Api) -> None:
    put(api.database, tables.sites, estate="e", site="s000000", name="=Bakery", address="Main St 1", updated_ms=NOW)
    campaign = {"id": "cam-ready", "name": "Holiday", "kind": "readiness", "audience": {}, "waves": []}
    put(api.database, tables.campaigns, **campaign, state="done", created_by="max", created_ms=NOW, updated_ms=NOW)
    data = readiness(70, "printer/paper_near_end")
    put_checked(api.database, "cam-ready", dict.fromkeys(range(4), ("succeeded", data)))
    target = tables.campaign_targets.c
    with api.database.begin() as connection:
        for site, of in (("s000000", ("t000000", "t000001", "t000002")), ("s000001", ("t000003",))):
            mine = target.campaign_id == "cam-ready", target.terminal.in_(of)
            connection.execute(tables.campaign_targets.update().where(*mine).values(site=site))
    asks, path = api.asks("viewer"), "campaigns/cam-ready"
    first = asks.get(f"{path}/stores", limit=3)
    second = asks.get(f"{path}/stores", limit=3, cursor=first["next"])
    assert [each["terminal"] for each in first["items"] + second["items"]] == [f"t00000{n}" for n in range(4)]
    assert (second["next"], second["items"][0]["data"]) == (None, data)
    table = asks("GET", f"{path}/export")
    assert table.headers["content-type"].startswith("text/csv")
    lines = list(csv.DictReader(io.StringIO(table.text)))
    assert [(line["store"], line["terminal"], line["what"]) for line in lines][:2] == [
        ("'=Bakery", "t000000", "printer/paper_near_end"),
        ("'=Bakery", "t000001", "printer/paper_near_end"),
    ]
    assert len(lines) == 4
    part = api.asks("viewer", Scope(sites=("s000001",)))
    assert [each["terminal"] for each in part.get(f"{path}/stores")["items"]] == ["t000003"]
    for what in ("stores", "export"):
        assert api.asks("viewer", FOREIGN)("GET", f"{path}/{what}").status_code == 404
        assert asks("GET", f"campaigns/cam-00000000/{what}").status_code == 404  # which is of another kind


def test_shares_and_the_map_are_of_the_scope(api: Api) -> None:
    put(api.database, tables.sites, estate="e", site="s000000", name="Bakery", lat=30.2, lon=120.1, updated_ms=NOW)
    asks, other = api.asks("viewer"), api.asks("viewer", FOREIGN)
    (estate,) = asks.get("overview/shares", by="estate")["items"]
    assert estate == {"key": "e", "terminals": 8, "offline": 1, "cannot_sell": 2, "share": 0.25, "unknown": 0}
    assert {each["key"] for each in asks.get("overview/shares")["items"]} == {"north", "south", "west", "east"}
    (site,) = asks.get("overview/map")["items"]
    assert (site["name"], site["lat"], site["terminals"], site["troubled"]) == ("Bakery", 30.2, 3, 1)
    assert other.get("overview/shares", by="estate")["items"] == other.get("overview/map")["items"] == []
    assert asks("GET", "overview/shares", params={"by": "color"}).status_code == 422


def test_all_of_it_is_described_and_needs_a_proof(api: Api) -> None:
    paths = api.client.get("/api/v1/openapi.json").json()["paths"]
    for path in (
        "incidents/{name}/operator-text",
        "reports/{name}",
        "cases/scan",
        "cases/{name}/record",
        "cases/{name}/merchant-link",
        "cases/{name}/attachments/{file}",
        "knowledge/faults/{unit}/{kind}",
        "knowledge/guides/{name}/approve",
        "settings/drift",
        "terminals/{estate}/{terminal}/settings",
        "campaigns/{name}/export",
        "overview/map",
    ):
        (operation,) = paths[f"/api/v1/{path}"].values()
        assert operation["description"]
        assert operation["security"]
