"""Logging in by an OpenID Connect provider: the code flow of OpenID Connect Core 1.0 §3.1 with PKCE (RFC 7636).

What must be remembered between going there and coming back is in a signed cookie, which this process alone can read.
"""

from __future__ import annotations

import secrets
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import jwt
from authlib.common.errors import AuthlibBaseError  # type: ignore[import-untyped]  # it ships no types
from authlib.integrations.requests_client import OAuth2Session  # type: ignore[import-untyped]  # as above
from itsdangerous import BadSignature, URLSafeTimedSerializer

from center.settings import Settings, SettingsError

CALLBACK: Final = "/api/v1/oidc/callback"
_TIMEOUT_S: Final = 10.0
_AGE_S: Final = 600
_LEEWAY_S: Final = 60
_ALGORITHMS: Final = ["RS256", "PS256", "ES256", "EdDSA"]


class OidcError(Exception):
    """Why nobody was let in, in one line without secrets."""


@dataclass(frozen=True, slots=True)
class Person:
    """Whom the provider vouches for."""

    issuer: str
    subject: str
    name: str
    roles: tuple[str, ...]
    onward: str = "/"
    """Where they wanted to go."""


class Provider:
    """The provider of the settings. For any thread."""

    def __init__(self, settings: Settings) -> None:
        self._issuer = settings.oidc_issuer.rstrip("/")
        self._client_id = settings.oidc_client_id
        self._claim = settings.oidc_roles_claim
        self._back = settings.public_url.rstrip("/") + CALLBACK
        try:
            path = settings.oidc_client_secret_file
            self._secret = Path(path).read_text("utf-8").strip() if path else None
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"{settings.oidc_client_secret_file}: {error}") from error
        if not settings.public_url or not self._client_id:
            raise SettingsError("oidc_issuer needs oidc_client_id and public_url")
        self._signer = URLSafeTimedSerializer(secrets.token_bytes(32), salt="oidc")
        self._lock = threading.Lock()
        self._found: dict[str, Any] = {}

    def begin(self, onward: str = "/") -> tuple[str, str]:
        """Where to send somebody, and the cookie to send along; `onward` is where they want to go. Raises OidcError."""
        verifier, nonce = secrets.token_urlsafe(48), secrets.token_urlsafe(24)
        with self._client() as client:
            address, state = client.create_authorization_url(
                self._discovered()["authorization_endpoint"], code_verifier=verifier, nonce=nonce
            )
        return address, self._signer.dumps({"state": state, "verifier": verifier, "nonce": nonce, "onward": onward})

    def finish(self, code: str, state: str, cookie: str) -> Person:
        """Who came back. Raises OidcError."""
        try:
            kept = self._signer.loads(cookie, max_age=_AGE_S)
        except BadSignature:
            raise OidcError("the login was not begun here, or too long ago") from None
        if not code or not secrets.compare_digest(kept["state"], state):
            raise OidcError("the login was not begun here, or the provider refused it")
        found = self._discovered()
        try:
            with self._client() as client:
                token = client.fetch_token(
                    found["token_endpoint"], code=code, code_verifier=kept["verifier"], timeout=_TIMEOUT_S
                )
        except (OSError, AuthlibBaseError, ValueError) as error:
            raise OidcError(f"the provider gave no token: {type(error).__name__}") from error
        claims = self._claims(str(token.get("id_token", "")), found)
        if not secrets.compare_digest(str(claims.get("nonce", "")), kept["nonce"]):
            raise OidcError("the ID token is of another login")
        roles = claims.get(self._claim)
        name = str(claims.get("preferred_username") or claims.get("email") or claims["sub"])
        return Person(
            self._issuer,
            str(claims["sub"]),
            name,
            tuple(str(role) for role in roles) if isinstance(roles, list) else (),
            kept["onward"],
        )

    def _client(self) -> OAuth2Session:
        return OAuth2Session(
            self._client_id,
            self._secret,
            scope="openid profile email",
            redirect_uri=self._back,
            code_challenge_method="S256",
        )

    def _claims(self, token: str, found: dict[str, Any]) -> dict[str, Any]:
        try:
            kid = jwt.get_unverified_header(token).get("kid")
            key = self._key(found, kid)
            return jwt.decode(
                token,
                key,
                algorithms=_ALGORITHMS,
                audience=self._client_id,
                issuer=found["issuer"],
                leeway=_LEEWAY_S,
                options={"require": ["exp", "iat", "sub", "aud", "iss"]},
            )
        except jwt.PyJWTError as error:
            raise OidcError(f"the ID token is not good: {error}") from error

    def _key(self, found: dict[str, Any], kid: str | None) -> jwt.PyJWK:
        keys = jwt.PyJWKSet.from_dict(self._get(found["jwks_uri"])).keys
        fitting = [key for key in keys if kid is None or key.key_id == kid]
        if not fitting:
            raise OidcError("the ID token is signed with a key that the provider does not name")
        return fitting[0]

    def _discovered(self) -> dict[str, Any]:
        with self._lock:
            if not self._found:
                found = self._get(f"{self._issuer}/.well-known/openid-configuration")
                if str(found.get("issuer", "")).rstrip("/") != self._issuer:
                    raise OidcError("the provider names another issuer than the settings")
                self._found = found
            return self._found

    def _get(self, url: str) -> dict[str, Any]:
        try:
            answer = httpx.get(url, timeout=_TIMEOUT_S).raise_for_status().json()
        except (httpx.HTTPError, ValueError) as error:
            raise OidcError(f"the provider cannot be asked: {type(error).__name__}") from error
        if not isinstance(answer, dict):
            raise OidcError("the provider answers no JSON object")
        return answer
