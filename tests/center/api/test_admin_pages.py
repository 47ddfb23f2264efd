"""What an administrator's page asks of the API, and who is turned away."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from center.access.scope import Scope
from tests.center.asking import Api

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")  # Apprise imports it


@contextmanager
def _receiver(status: int) -> Iterator[tuple[str, list[bytes]]]:
    """Answers every POST with `status`."""
    heard: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/hook", heard
        finally:
            server.shutdown()
            thread.join()


def test_settings_in_force_are_told_without_secrets(api: Api) -> None:
    told = {each["name"]: each for each in api.asks("admin").get("center/settings")["items"]}
    assert told["group"]["value"] == "***"
    assert (told["keep_telemetry_days"]["value"], told["keep_telemetry_days"]["own"]) == (30, False)
    assert told["keep_telemetry_days"]["meaning"].startswith("how long")


def test_without_a_command_key_it_says_how_to_make_one(api: Api) -> None:
    told = api.asks("admin").get("center/command-key")
    assert told["kid"] is None
    assert "posdiag pki command-key" in told["problem"]


@pytest.mark.parametrize(("status", "problem"), [(204, ""), (500, "answered 500")])
def test_a_webhook_is_tried_and_the_try_is_written_down(api: Api, status: int, problem: str) -> None:
    admin = api.asks("admin")
    with _receiver(status) as (url, heard):
        made = admin("POST", "webhooks", json={"url": url, "events": ["*"]}).json()
        answer = admin("POST", f"webhooks/{made['id']}/try")
    assert (answer.status_code, answer.json()) == (200, {"problem": problem})
    assert b'"event":"trial"' in heard[0]
    (note,) = admin.get("notifications")["items"]
    assert (note["state"], note["error"]) == ("failed" if problem else "sent", problem)
    assert admin.get("audit", what="webhook.try")["items"][0]["target"] == made["id"]


def test_a_channel_is_tried_unless_it_is_for_contacts(api: Api) -> None:
    admin = api.asks("admin")
    with _receiver(200) as (url, heard):
        body = {"name": "desk", "url": url.replace("http", "json"), "events": ["*"]}
        answer = admin("POST", "channels", json=body)
        assert answer.status_code == 201, answer.text
        made = answer.json()
        assert admin("POST", f"channels/{made['id']}/try").json() == {"problem": ""}
    assert len(heard) == 1
    assert admin("POST", f"channels/{made['id']}/try").json()["problem"].startswith("not taken by its receiver")
    body = {"name": "shops", "url": "mailto://u:p@example.org?to={to}", "events": ["*"]}
    made = admin("POST", "channels", json=body).json()
    assert admin("POST", f"channels/{made['id']}/try").status_code == 409


def test_a_list_is_looked_through_line_by_line(api: Api) -> None:
    lead = api.asks("lead")
    text = "estate,site,name,lat,timezone\ne,s1,Noodles,31.2,Asia/Shanghai\ne,,Tea,95,UTC\ne,s3,Rice,1,Nowhere/Land\n"
    told = lead("POST", "imports/read", json={"what": "sites", "text": text}).json()
    assert [each["site"] for each in told["rows"]] == ["s1"]
    assert [each["line"] for each in told["problems"]] == [3, 3, 4]
    assert lead("POST", "sites/import", json=told["rows"]).json() == {"taken": 1}
    broken = lead("POST", "imports/read", json={"what": "places", "text": "estate,terminal\nonly-one\n"}).json()
    assert (broken["rows"], broken["problems"][0]["line"]) == ([], None)


def test_only_who_may_is_told(api: Api) -> None:
    lead, bound = api.asks("lead"), api.asks("admin", Scope(estates=("e",)))
    for path in ("center/settings", "center/command-key"):
        assert lead("GET", path).status_code == 403
        assert bound("GET", path).status_code == 403
    assert lead("POST", "channels/x/try").status_code == 403
    assert lead("POST", "webhooks/x/try").status_code == 403
    assert api.asks("viewer")("POST", "imports/read", json={"what": "sites", "text": ""}).status_code == 403
    assert api.asks("admin")("POST", "webhooks/x/try").status_code == 404


def test_the_audit_is_found_by_what_was_done_and_to_what(api: Api) -> None:
    admin = api.asks("admin")
    made = admin("POST", "tokens", json={"role": "viewer"}).json()["id"]
    admin("DELETE", f"tokens/{made}")
    assert [each["what"] for each in admin.get("audit", what="token")["items"]] == ["token.revoke", "token.create"]
    assert [each["what"] for each in admin.get("audit", what="token.create", target=made)["items"]] == ["token.create"]
    assert admin.get("audit", what="token", target="nothing-like-it")["items"] == []


def test_guides_are_found_by_their_fault(api: Api) -> None:
    lead = api.asks("lead")
    body = {"fault": "printer/paper_out", "language": "en", "title": "Paper", "body": "Put it in."}
    assert lead("POST", "knowledge/guides", json=body).status_code == 201
    assert len(lead.get("knowledge/guides", fault="printer/paper_out")["items"]) == 1
    assert lead.get("knowledge/guides", fault="printer/cutter_error")["items"] == []
