"""The demo's support center: its settings, its first password, and what it is told of the shop, by its own API."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from simulator import broker, demo_shop
from simulator.demo_parts import DemoError, Part, Parts
from simulator.terminal import ESTATE

USER: Final = "admin"
_PORT: Final = 8080
_ANSWER_S: Final = 10
_ONCE: Final = re.compile(r"one-time password ([a-z0-9-]+)", re.IGNORECASE)
_NEEDED: Final = ("uvicorn", "sqlalchemy", "mqtt5", "argon2")


class DemoCenter:
    """A center of its own in `folder`. Use `start`, `settle`, then the facts."""

    def __init__(self, parts: Parts, folder: Path, language: str) -> None:
        """Raises DemoError when its packages are missing."""
        missing = [name for name in _NEEDED if find_spec(name) is None]
        if missing:
            raise DemoError(f"{missing[0]} is missing: pip install 'posdiag[center]'; or use --without-center")
        self._parts = parts
        self._folder = folder
        self._language = language
        self._part: Part | None = None
        folder.mkdir(mode=0o700, exist_ok=True)
        self._port = broker.free_port(_PORT)
        self.keys_file = folder / "command" / "keys.json"
        """Public keys, for the agents: whose commands they may follow."""

    @property
    def config(self) -> Path:
        """Its settings, for the commands that take them."""
        return self._folder / "center.toml"

    @property
    def address(self) -> str:
        """Where people look."""
        return f"http://{broker.HOST}:{self._port}/"

    def start(self, url: str) -> None:
        """Begin; others can start meanwhile."""
        if not self.keys_file.exists():
            self._posdiag("pki", "command-key", str(self._folder))
        key = max((self._folder / "command").glob("*.jwk"), key=lambda path: path.stat().st_mtime)
        rules = self._folder / "policy.toml"
        rules.write_text(_toml(demo_shop.policy(self._language)), "utf-8")
        settings = {
            "db": f"sqlite:///{self._folder / 'center.db'}",
            "mqtt": url,
            "mqtt_without_tls": True,
            "http": f"{broker.HOST}:{self._port}",
            "public_url": self.address.rstrip("/"),
            "name": "demo",
            "estates": [ESTATE],
            "alone": True,
            "command_key_file": str(key),
            "policy_file": str(rules),
        }
        self.config.write_text("".join(f"{name} = {_value(value)}\n" for name, value in settings.items()), "utf-8")
        env = {"POSDIAG_CENTER_DIR": str(self._folder)}
        self._part = self._parts.start("center", "center", "run", "--config", str(self.config), env=env)

    def settle(self) -> None:
        """Wait until it answers, tell it of the shop, and until it knows all terminals. Raises DemoError."""
        assert self._part is not None  # noqa: S101 - started above
        self._part.wait(lambda: self._ask("GET", "livez") is not None)
        made = json.loads(
            self._posdiag("center", "token", "--role", "admin", "--name", "demo", "--days", "0.01", "--json")
        )
        token = made["token"]
        for path, rows in (("sites", demo_shop.sites(self._language)), ("places", demo_shop.places())):
            if self._ask("POST", f"api/v1/{path}/import", token, rows) is None:
                raise DemoError(f"the center did not take its {path}; its log is in {self._part.log}")
        self._speak(token)
        self._part.wait(lambda: self._known(token) == len(demo_shop.TILLS))
        self._ask("DELETE", f"api/v1/tokens/{made['id']}", token)

    def password(self) -> tuple[str, bool]:
        """The one-time password of the first start in this folder, and whether this was it."""
        assert self._part is not None  # noqa: S101 - as above
        kept = self._folder / "one-time-password"
        found = _ONCE.search(self._part.said())
        if found:
            kept.touch(0o600)
            kept.write_text(found[1], "ascii")
        return (kept.read_text("ascii") if kept.exists() else ""), found is not None

    def _speak(self, token: str) -> None:
        """At its first start the administrator reads what the shop speaks."""
        if not self.password()[1]:
            return
        found = (self._ask("GET", "api/v1/accounts", token) or {}).get("items", ())
        for each in found:
            if each["name"] == USER:
                self._ask("PATCH", f"api/v1/accounts/{each['id']}", token, {"language": self._language})

    def _known(self, token: str) -> int:
        """How many terminals the center has heard of."""
        body = self._ask("GET", f"api/v1/terminals?estate={ESTATE}&status=online", token)
        return len((body or {}).get("items", ()))

    def _posdiag(self, *words: str) -> str:
        env = {"POSDIAG_CENTER_DIR": str(self._folder)}
        done = self._parts.run(*words, env=env)
        if done.returncode:
            raise DemoError(f"{' '.join(words[:2])}: {done.stderr.strip()}")
        return done.stdout

    def _ask(self, method: str, path: str, token: str = "", body: object = None) -> dict[str, Any] | None:
        """The answer's body, {} for one that is not JSON; None for a refusal or no answer."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        if body is not None:
            headers["Content-Type"] = "application/json"
        link = http.client.HTTPConnection(broker.HOST, self._port, timeout=_ANSWER_S)
        with contextlib.closing(link), contextlib.suppress(OSError, http.client.HTTPException):
            link.request(method, f"/{path}", None if body is None else json.dumps(body), headers)
            answer = link.getresponse()
            told = answer.read()
            if answer.status < 300:
                return dict(json.loads(told)) if "json" in answer.headers.get("content-type", "") else {}
        return None


def _toml(tables: Mapping[str, Mapping[str, object]]) -> str:
    lines = []
    for name, table in tables.items():
        lines += [f"[[{name}]]" if name == "service_points" else f"[{name}]"]
        lines += [f"{key} = {_value(value)}" for key, value in table.items()]
    return "\n".join(lines) + "\n"


def _value(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)  # JSON's texts, numbers, truth values and lists are TOML's too
