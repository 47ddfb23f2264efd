"""Wrong role, foreign scope, forged, replayed, oversized and malformed: refused, written down, and nothing broken."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select

from center.access import accounts, audit
from center.access.credentials import IDLE_MS
from center.access.limits import Rate
from center.access.scope import Scope
from center.api.guard import MOST_BYTES
from center.db import tables
from center.db.engine import Database
from center.settings import Settings
from tests.center.asking import Api, Asker, asking
from tests.center.fleet_rows import NOW, case, fill, put

PASSWORD = "correct horse battery"


@pytest.fixture
def api(database: Database) -> Iterator[Api]:
    fill(database, 8)
    with asking(database, Settings(hosts=("pos.example.org",)), rate=Rate(1e6, 1e6)) as running:
        yield running


def _account(api: Api, name: str = "ann", role: Any = "agent", **more: Any) -> str:
    with api.database.begin() as connection:
        return accounts.create(connection, name, [role], NOW, password=PASSWORD, **more)


def _log_in(api: Api, name: str = "ann", password: str = PASSWORD) -> httpx.Response:
    return api.client.post("/api/v1/session", json={"name": name, "password": password})


# --- who ----------------------------------------------------------------------------------------------------------------


def test_nobody_gets_anything_without_a_good_proof(api: Api) -> None:
    paths = api.client.get("/api/v1/openapi.json").json()["paths"]
    open_to_all = {"/metrics", "/healthz", "/livez", "/api/v1/session", "/api/v1/oidc/login", "/api/v1/oidc/callback"}
    assert paths["/api/v1/terminals"]["get"]["security"] == [{"HTTPBearer": []}, {"APIKeyCookie": []}]
    checked = 0
    for path, verbs in paths.items():
        for verb in set(verbs) & {"get", "post", "put", "patch", "delete"}:
            if path not in open_to_all or verb == "delete":
                plain = path.replace("{", "").replace("}", "")
                answer = api.client.request(verb, plain)
                assert answer.status_code == 401, (verb, path, answer.text)
                checked += 1
                api.clock_ms += 60_000
    assert checked > 50


def test_forged_tokens_are_refused(api: Api) -> None:
    good = api.token("viewer")
    forged = ("", "Bearer", "Bearer x", "Basic YTpi", "Bearer pdt_ü")
    for text in (*forged, f"Bearer {good[:-1]}", f"Bearer {good}x", good):
        answer = api.client.get("/api/v1/terminals", headers={"authorization": text.encode("utf-8")})
        assert answer.status_code in {400, 401}
    api.asks("viewer").get("terminals")


def test_guessing_tokens_is_slowed_down(api: Api) -> None:
    answers = [api.client.get("/api/v1/me", headers={"authorization": f"Bearer {n}"}).status_code for n in range(40)]
    assert answers[0] == 401
    assert answers[-1] == 429
    assert api.asks("viewer").get("me")["roles"] == ["viewer"]


WRONG_ROLES: list[tuple[Any, str, str, Any]] = [
    ("viewer", "POST", "cases", {"estate": "e", "terminal": "t000001", "kind": "question", "title": "x"}),
    ("viewer", "POST", "cases/case-00000000/note", {"text": "x"}),
    ("viewer", "POST", "commands", {"estate": "e", "terminal": "t000001", "cmd": "check", "reason": "just so"}),
    ("agent", "POST", "cases/case-00000000/assign", {"owner": "bob"}),
    ("agent", "POST", "tokens", {"role": "admin"}),
    ("agent", "GET", "audit", None),
    ("lead", "GET", "accounts", None),
    ("lead", "GET", "audit/export", None),
    ("compliance", "POST", "cases/case-00000000/note", {"text": "x"}),
    ("campaign_manager", "POST", "places/import", []),
    ("technician", "POST", "webhooks", {"url": "http://h/", "events": ["*"]}),
]


def test_a_wrong_role_is_refused(api: Api) -> None:
    for role, method, path, body in WRONG_ROLES:
        answer = api.asks(role)(method, path, json=body)
        assert answer.status_code == 403, (role, path)
        assert "permission" in answer.json()["error"]


def test_refusals_are_in_the_audit_with_what_was_needed(database: Database) -> None:
    fill(database, 8)
    with asking(database) as api:
        api.asks("viewer")("POST", "tokens", json={"role": "admin"})
        api.client.get("/api/v1/terminals", headers={"authorization": "Bearer forged"})
        api.asks("viewer").get("faults", unit="printer")
    rows = _rows(database)
    assert ("token viewer", "refused", "POST /api/v1/tokens", {"needed": "admin"}) in rows
    assert ("nobody", "refused", "GET /api/v1/terminals", {"from": "127.0.0.1"}) in rows
    assert ("token viewer", "read", "GET /api/v1/faults?unit=printer", None) in rows
    assert "forged" not in json.dumps(rows)


def _rows(database: Database) -> list[tuple[Any, ...]]:
    with database.read() as connection:
        assert audit.verify(connection).broken_id is None
        return [(row.who, row.what, row.target, row.detail) for row in audit.every(connection)]


def test_nothing_outside_of_the_scope_can_be_touched(api: Api) -> None:
    put(api.database, tables.cases, **case(900, "f"))
    asks = api.asks("admin", Scope(estates=("e",)))
    before = _count(api, tables.case_steps)
    attempts = [
        ("cases/case-00000900/note", {"text": "x"}),
        ("cases/1900/acknowledge", None),
        ("cases", {"estate": "f", "terminal": "t000001", "kind": "question", "title": "x", "said": "y"}),
        ("commands", {"estate": "f", "terminal": "t000001", "cmd": "check", "reason": "just so"}),
        ("places/import", [{"estate": "f", "terminal": "t000001", "site": "s"}]),
        ("suppressions", _window(estate="f", scope="estate", scope_key="f")),
        ("suppressions", _window(estate=None, scope="all", scope_key="")),
        ("suppressions", _window(estate="e", scope="estate", scope_key="f")),
    ]
    for path, body in attempts:
        assert asks("POST", path, json=body).status_code in {403, 404}, path
    assert _count(api, tables.case_steps) == before
    assert _count(api, tables.places) == _count(api, tables.suppressions) == 0
    assert asks("POST", "suppressions", json=_window(estate="e", scope="estate", scope_key="e")).status_code == 201


def _window(**more: Any) -> dict[str, Any]:
    times = {"from": "2026-09-21T00:00:00Z", "until": "2026-09-23T00:00:00Z"}
    return {"kind": "maintenance", "reason": "the host is renewed", **times, **more}


def _count(api: Api, table: Any) -> int:
    with api.database.read() as connection:
        return int(connection.execute(select(func.count()).select_from(table)).scalar_one())


# --- people -------------------------------------------------------------------------------------------------------------


def test_who_is_bound_to_a_part_of_the_fleet_cannot_step_out_of_it(api: Api) -> None:
    bound = api.asks("admin", Scope(estates=("e",)))
    account = _account(api, "root", "admin")
    for method, path, body in (
        ("POST", "tokens", {"role": "admin"}),
        ("POST", "accounts", {"name": "eve", "roles": ["admin"]}),
        ("POST", f"accounts/{account}/password", None),
        ("PATCH", f"accounts/{account}", {"disabled": True}),
        ("GET", "audit", None),
        ("POST", "channels", {"name": "x", "url": "json://h", "events": ["*"]}),
    ):
        assert bound(method, path, json=body).status_code == 403, path


def test_the_first_password_is_for_one_time(api: Api) -> None:
    password = accounts.first_administrator(api.database, NOW)
    assert password is not None
    me = _log_in(api, "admin", password).json()
    assert me["must_change"]
    refused = api.client.get("/api/v1/terminals")
    assert (refused.status_code, "password" in refused.json()["error"]) == (403, True)
    word = {"x-csrf-token": me["csrf"]}
    for wrong in (
        {"old": "no", "new": PASSWORD},
        {"old": password, "new": "short"},
        {"old": password, "new": password},
    ):
        assert api.client.post("/api/v1/me/password", json=wrong, headers=word).status_code in {403, 422}
    new = {"old": password, "new": PASSWORD}
    assert api.client.post("/api/v1/me/password", json=new, headers=word).status_code == 204
    assert api.client.get("/api/v1/me").status_code == 401
    assert not _log_in(api, "admin", PASSWORD).json()["must_change"]
    assert api.client.get("/api/v1/terminals").status_code == 200


def test_a_cookie_alone_changes_nothing(api: Api) -> None:
    _account(api)
    login = _log_in(api)
    cookie = login.headers["set-cookie"]
    assert all(word in cookie for word in ("HttpOnly", "SameSite=lax"))
    note = "/api/v1/cases/case-00000000/note"
    for headers in ({}, {"x-csrf-token": "x"}, {"x-csrf-token": "ü".encode()}):
        assert api.client.post(note, json={"text": "x"}, headers=headers).status_code == 403
    word = {"x-csrf-token": login.json()["csrf"]}
    assert api.client.post(note, json={"text": "x"}, headers=word).status_code == 200
    assert api.client.delete("/api/v1/session", headers=word).status_code == 204
    api.client.cookies.set("posdiag_session", cookie.split("=", 1)[1].split(";")[0])
    assert api.client.get("/api/v1/me").status_code == 401


def test_a_session_that_is_idle_or_whose_account_is_disabled_ends(api: Api) -> None:
    account = _account(api)
    _account(api, "boss", "admin")
    _log_in(api)
    assert api.client.get("/api/v1/me").status_code == 200
    admin = api.asks("admin")
    assert admin("PATCH", f"accounts/{account}", json={"disabled": True}).status_code == 204
    assert api.client.get("/api/v1/me").status_code == 401
    assert _log_in(api).status_code == 401
    admin("PATCH", f"accounts/{account}", json={"disabled": False, "language": "zh"})
    assert _log_in(api).status_code == 200
    assert api.client.get("/api/v1/me").json()["language"] == "zh"
    api.clock_ms += IDLE_MS + 1
    assert api.client.get("/api/v1/me").status_code == 401


def test_a_name_is_locked_after_five_failures_even_for_the_right_password(api: Api) -> None:
    _account(api)
    assert [_log_in(api, "ann", "wrong").status_code for _ in range(5)] == [401] * 5
    locked = _log_in(api)
    assert (locked.status_code, int(locked.headers["retry-after"]) > 600) == (429, True)
    api.clock_ms += 16 * 60_000
    assert _log_in(api).status_code == 200
    rows = _rows(api.database)
    assert rows.count(("nobody", "login.failed", "ann", {"from": "127.0.0.1"})) == 5
    assert "wrong" not in json.dumps(rows)


def test_accounts_and_tokens_are_made_once_and_shown_once(api: Api) -> None:
    admin = api.asks("admin")
    made = admin("POST", "accounts", json={"name": "zoe", "roles": ["viewer"], "scope": {"estates": ["e"]}}).json()
    assert _log_in(api, "zoe", made["password"]).json()["scope"]["estates"] == ["e"]
    assert admin("POST", "accounts", json={"name": "zoe", "roles": ["viewer"]}).status_code == 422
    token = admin("POST", "tokens", json={"role": "viewer", "expires": "2026-09-22T00:00:00Z"}).json()
    stranger = Asker(api.client, token["token"])
    assert stranger("GET", "terminals").status_code == 200
    assert admin("DELETE", f"tokens/{token['id']}").status_code == 204
    assert stranger("GET", "terminals").status_code == 401
    shown = admin("GET", "accounts").text + admin("GET", "tokens").text
    assert not any(secret in shown for secret in ("argon2", made["password"], token["token"], "hash"))


def test_a_session_and_a_token_of_one_account_are_one_person(api: Api) -> None:
    _account(api, role="admin")
    word = {"x-csrf-token": _log_in(api).json()["csrf"]}
    guide = {"fault": "printer/paper_out", "language": "en", "title": "A new roll", "body": "Thermal side up."}
    draft = api.client.post("/api/v1/knowledge/guides", json=guide, headers=word).json()["id"]
    made = api.client.post("/api/v1/tokens", json={"role": "admin", "name": "script"}, headers=word).json()
    api.client.cookies.clear()
    for token in (made["token"], api.token("admin")):
        answer = Asker(api.client, token)("POST", f"knowledge/guides/{draft}/approve")
        assert (answer.status_code, "second person" in answer.json()["error"]) == (403, True)
    assert api.asks("lead")("POST", f"knowledge/guides/{draft}/approve").status_code == 200


# --- what comes ---------------------------------------------------------------------------------------------------------


def test_a_foreign_host_name_is_refused(api: Api) -> None:
    for host in ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "", "pos.example.org.x"]:
        assert api.client.get("/healthz", headers={"host": host}).status_code == 400


def test_our_names_and_addresses_are_taken(api: Api) -> None:
    for host in ["localhost", "LOCALHOST:8480", "127.0.0.1", "[::1]:8480", "[::1]", "pos.example.org:443"]:
        assert api.client.get("/healthz", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("announced", [True, False])
def test_too_large_a_body_is_refused(api: Api, announced: bool) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(2 * MOST_BYTES // 65536):
            yield b" " * 65536

    body: Any = b" " * (MOST_BYTES + 1) if announced else chunks()
    try:
        answer = api.asks("admin")("POST", "tokens", content=body, headers={"content-type": "application/json"})
    except httpx.WriteError:
        return  # refused while we were still sending
    assert answer.status_code == 413
    assert list(answer.json()) == ["error"]


MALFORMED = [
    b"",
    b"{",
    b"[" * 100_000,
    b'{"role": "king"}',
    b'{"role": "viewer", "scope": {"estate": ["e"]}}',
    b'{"role": "viewer", "more": 1}',
    b'{"role": "viewer", "name": "' + b"x" * 1000 + b'"}',
    b"\xff\xfe",
    b'{"role": "viewer", "expires": "2020-01-01T00:00:00Z"}',
]


def test_malformed_bodies_are_refused_in_one_line(api: Api) -> None:
    asks = api.asks("admin")
    for body in MALFORMED:
        answer = asks("POST", "tokens", content=body, headers={"content-type": "application/json"})
        assert answer.status_code in {400, 422}, body[:50]
        assert list(answer.json()) == ["error"]
        assert "\n" not in answer.json()["error"]
        assert "Traceback" not in answer.text


def test_requests_have_a_pace(database: Database) -> None:
    with asking(database, rate=Rate(1, 3)) as api:
        answers = [api.client.get("/healthz").status_code for _ in range(5)]
        assert answers == [200, 200, 200, 429, 429]
        api.clock_ms += 1000
        assert api.client.get("/healthz").status_code == 200


def test_every_answer_forbids_what_no_page_of_ours_needs(api: Api) -> None:
    for answer in (api.client.get("/healthz"), api.client.get("/nowhere"), api.client.get("/api/v1/terminals")):
        headers = answer.headers
        assert "default-src 'self'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"


def test_lines_that_are_no_http_are_answered_and_the_next_one_is_served(api: Api) -> None:
    with socket.create_connection(("127.0.0.1", api.port), timeout=30) as raw:
        raw.sendall(b"\x16\x03\x01nonsense\r\n\r\n")
        assert b"400" in raw.recv(1000)
    assert api.client.get("/healthz").status_code == 200


def test_the_same_step_sent_twice_is_one_step(api: Api) -> None:
    asks = api.asks("agent")
    for _ in range(3):
        answer = asks("POST", "cases/1000/note", json={"text": "came by"}, headers={"idempotency-key": "n1"})
        assert answer.status_code == 200
    steps = asks.get("cases/1000")["steps"]
    assert [step["text"] for step in steps] == ["came by"]
    stale = asks("POST", "cases/1000/note", json={"text": "again"}, params={"seen": "2026-09-21T00:00:00Z"})
    assert stale.status_code == 409


def test_the_public_name_is_one_of_ours(database: Database) -> None:
    with asking(database, Settings(public_url="https://merchants.example.org:8443/pos")) as running:
        for host, status in (("merchants.example.org:8443", 200), ("evil.example.org", 400)):
            assert running.client.get("/api/v1/openapi.json", headers={"host": host}).status_code == status
