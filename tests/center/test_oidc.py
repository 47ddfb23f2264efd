"""Logging in by an OpenID Connect provider, tried at a small one that also cheats."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import update

from center.access.oidc import Provider
from center.db import tables
from center.db.engine import Database
from center.settings import Settings, SettingsError
from tests.center.asking import Api, asking

BACK = "http://localhost:8480"


class Idp(ThreadingHTTPServer):
    """A provider. `claims` go over those of its ID tokens; `key` signs them."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.issuer = f"http://127.0.0.1:{self.server_address[1]}"
        self.named_key = self.key = Ed25519PrivateKey.generate()
        self.claims: dict[str, Any] = {}
        self.asked: dict[str, str] = {}

    def token(self, now: int) -> str:
        claims = {
            "iss": self.issuer,
            "aud": "posdiag",
            "sub": "user-7",
            "iat": now,
            "exp": now + 300,
            "nonce": self.asked["nonce"],
            "preferred_username": "Ann Lee",
            "roles": ["agent", "emperor"],
        }
        whole = {name: value for name, value in (claims | self.claims).items() if value is not None}
        return jwt.encode(whole, self.key, "EdDSA", {"kid": "k1"})


class _Answer(BaseHTTPRequestHandler):
    server: Idp

    def do_GET(self) -> None:
        idp = self.server
        if self.path.startswith("/.well-known/"):
            ends = {"authorization_endpoint": "/authorize", "token_endpoint": "/token", "jwks_uri": "/keys"}
            self._say({"issuer": idp.issuer} | {name: idp.issuer + path for name, path in ends.items()})
        else:
            x = base64.urlsafe_b64encode(idp.named_key.public_key().public_bytes_raw()).rstrip(b"=").decode()
            self._say({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "k1", "alg": "EdDSA", "x": x}]})

    def do_POST(self) -> None:
        idp = self.server
        told = {
            name: values[0]
            for name, values in parse_qs(self.rfile.read(int(self.headers["content-length"])).decode()).items()
        }
        digest = hashlib.sha256(told["code_verifier"].encode()).digest()
        proof = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if told["code"] != "the-code" or proof != idp.asked["code_challenge"]:
            self._say({"error": "invalid_grant"}, 400)
            return

        self._say({"access_token": "a", "token_type": "Bearer", "id_token": idp.token(int(time.time()))})

    def _say(self, values: dict[str, Any], status: int = 200) -> None:
        body = json.dumps(values).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def idp() -> Iterator[Idp]:
    server = Idp()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def api(database: Database, idp: Idp, tmp_path: Path) -> Iterator[Api]:
    secret = tmp_path / "secret"
    secret.write_text("oidc-secret\n")
    settings = Settings(
        oidc_issuer=idp.issuer, oidc_client_id="posdiag", oidc_client_secret_file=str(secret), public_url=BACK
    )
    with asking(database, settings, provider=Provider(settings)) as running:
        yield running


def _begin(api: Api, idp: Idp, **asked: str) -> str:
    """Go to the provider; the state that it must give back."""
    answer = api.client.get("/api/v1/oidc/login", params=asked)
    assert answer.status_code == 303
    there = urlsplit(answer.headers["location"])
    idp.asked = {name: values[0] for name, values in parse_qs(there.query).items()}
    assert idp.asked["redirect_uri"] == f"{BACK}/api/v1/oidc/callback"
    assert idp.asked["code_challenge_method"] == "S256"
    return idp.asked["state"]


def _come_back(api: Api, state: str, code: str = "the-code") -> Any:
    return api.client.get("/api/v1/oidc/callback", params={"code": code, "state": state})


def test_who_the_provider_vouches_for_gets_an_account_and_a_session(api: Api, idp: Idp, database: Database) -> None:
    for roles, shown in ((["agent", "emperor"], ["agent"]), (["lead"], ["lead"])):
        idp.claims = {"roles": roles}
        answer = _come_back(api, _begin(api, idp))
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        me = api.client.get("/api/v1/me").json()
        assert (me["name"], me["roles"]) == ("ann-lee", shown)
    with database.begin() as connection:
        connection.execute(update(tables.accounts).values(disabled=True))
    assert api.client.get("/api/v1/me").status_code == 401
    assert _come_back(api, _begin(api, idp)).status_code == 403


def test_the_way_goes_on_to_where_they_wanted_to_go(api: Api, idp: Idp) -> None:
    idp.claims = {"roles": ["agent"]}
    onward = "/console/queue?severity=major&q=a b".replace(" ", "%20")
    answer = _come_back(api, _begin(api, idp, next=onward))
    assert (answer.status_code, answer.headers["location"]) == (303, onward)


@pytest.mark.parametrize(
    "onward",
    [
        *(
            "https://evil.example.org/",
            "//evil.example.org/",
            "/\\evil.example.org",
            "\\\\evil.example.org",
            "evil",
            "",
        ),
        *("javascript:alert(1)", "/\t/evil.example.org", "/ok\r\nset-cookie: a=b"),
    ],
)
def test_nobody_is_led_to_another_place(api: Api, onward: str) -> None:
    answer = api.client.get("/api/v1/oidc/login", params={"next": onward})
    assert (answer.status_code, answer.json()) == (422, {"error": "next: not a path of this center"})
    assert "set-cookie" not in answer.headers


CHEATS: list[dict[str, Any]] = [
    {"roles": ["emperor"]},
    {"roles": None},
    {"nonce": "another"},
    {"aud": "somebody"},
    {"iss": "http://other.example"},
    {"exp": 1},
    {"sub": None},
]


def test_nobody_is_let_in_by_a_token_that_is_not_right(api: Api, idp: Idp) -> None:
    for claims in CHEATS:
        idp.claims = claims
        answer = _come_back(api, _begin(api, idp))
        assert (answer.status_code, list(answer.json())) == (403, ["error"]), claims
    idp.claims = {}
    idp.key = Ed25519PrivateKey.generate()
    assert _come_back(api, _begin(api, idp)).status_code == 403
    idp.key = idp.named_key
    assert _come_back(api, _begin(api, idp), "another-code").status_code == 403
    _begin(api, idp)
    assert _come_back(api, "another-state").status_code == 403
    state = _begin(api, idp)
    api.client.cookies.clear()
    assert _come_back(api, state).status_code == 403
    assert api.client.get("/api/v1/me").status_code == 401


def test_without_a_provider_there_is_nothing_to_go_to(database: Database) -> None:
    with asking(database) as api:
        assert api.client.get("/api/v1/oidc/login").status_code == 404


def test_half_a_setting_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="oidc_client_id"):
        Provider(Settings(oidc_issuer="http://h", public_url=BACK))
    with pytest.raises(SettingsError, match="nowhere"):
        Provider(Settings(oidc_issuer="http://h", oidc_client_secret_file=str(tmp_path / "nowhere")))
