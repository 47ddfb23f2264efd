"""A support desk to look at: broker, a small fleet, the center as a process, and pages of a real browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Browser, BrowserContext, Error, Page
from playwright.sync_api import TimeoutError as NotInTimeError

from simulator.fleet import Fleet, Options
from tests.mqtt.broker import Rumqttd, free_port
from tests.system.stage import Process
from tests.wait import wait_until

PASSWORD = "quiet-harbour-47-lanterns"
PATIENCE_S = 30
"""Of the browser."""
_HARMLESS = re.compile(r"favicon|net::ERR_ABORTED")


class Desk:
    """What a test is given. `api` is logged in as the administrator; terminals are (estate, name)."""

    def __init__(
        self, fleet: Fleet, browser: Browser, address: str, api: httpx.Client, csrf: str, key_file: Path
    ) -> None:
        self.fleet = fleet
        self.key_file = key_file
        """Where the center looks for the key that signs commands; not there until a test makes it."""
        self.address = address
        self.port = 0
        """Where the broker is."""
        self.api = api
        self.csrf = csrf
        self.terminals = [(place.estate, place.terminal) for place in fleet.places]
        self._browser = browser
        self._open: list[BrowserContext] = []
        self.errors: list[str] = []
        """What pages complained of to the browser."""

    def fault(self, terminal: str, key: str, state: str = "raised") -> None:
        """Let a terminal of the fleet have a fault, or be rid of it (`cleared`); the center knows it then."""
        self.fleet.control.set({f"terminal.{terminal}.{key}": state})
        estate = next(estate for estate, name in self.terminals if name == terminal)

        def known() -> bool:
            stand = {each["fault"] for each in self.get(f"/terminals/{estate}/{terminal}")["faults"]}
            return (key in stand) == (state == "raised")

        wait_until(known, every_s=0.1)

    def post(self, path: str, body: Any = None, method: str = "POST") -> Any:
        """JSON of a request that must succeed."""
        answer = self.api.request(method, f"/api/v1{path}", json=body, headers={"x-csrf-token": self.csrf})
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    def get(self, path: str, **params: Any) -> Any:
        answer = self.api.get(f"/api/v1{path}", params=params)
        assert answer.is_success, answer.text
        return answer.json()

    def incident(self, terminal: str, key: str) -> dict[str, Any]:
        """The open incident of one fault of one terminal, as soon as there is one and the terminal is in it."""

        def found() -> dict[str, Any] | None:
            rows = [row for row in self.get("/queue", limit=200)["items"] if row["terminals_n"]]
            return next((row for row in rows if row["fault"] == key and row["scope_key"] == terminal), None)

        return wait_until(found)

    def page(
        self,
        path: str,
        language: str = "en",
        width: int = 1440,
        *,
        theme: str = "light",
        cookies: httpx.Cookies | None = None,
        scripts: bool = True,
    ) -> Page:
        """A page of the console in a browser of its own, once its heading is there."""
        self.post("/me", {"language": language}, "PUT")
        context = self._browser.new_context(
            viewport={"width": width, "height": 900},
            java_script_enabled=scripts,
            color_scheme=theme,
            base_url=self.address,
        )
        self._open.append(context)
        held = self.api.cookies if cookies is None else cookies
        context.add_cookies([{"name": name, "value": value, "url": self.address} for name, value in held.items()])
        context.add_cookies([{"name": "posdiag_theme", "value": theme, "url": f"{self.address}/console"}])
        page = context.new_page()
        page.set_default_timeout(1000 * PATIENCE_S)
        page.on("pageerror", lambda error: self.errors.append(f"{path}: {error}"))
        page.on("console", lambda told: self._told(path, told.type, told.text))
        page.goto(path)
        page.wait_for_selector("h1")
        return page

    def close_pages(self) -> None:
        """And forget what they complained of."""
        for context in self._open:
            with suppress(Error):  # the browser may have closed it
                context.close()
        self._open.clear()
        self.errors.clear()

    def _told(self, path: str, kind: str, text: str) -> None:
        if kind == "error" and not _HARMLESS.search(text):
            self.errors.append(f"{path}: {text}")


def choose(page: Page, words: str) -> None:
    """Choose from the menu More. A change that comes meanwhile draws the page anew, which closes the menu."""

    def chosen() -> bool:
        page.get_by_role("button", name="More").click()
        with suppress(NotInTimeError):
            page.get_by_text(words).click(timeout=3000)
            return True
        return False

    wait_until(chosen, 60)


@contextmanager
def desk(folder: Path, browser: Browser, terminals: int = 12, settings: str = "") -> Iterator[Desk]:
    """A desk over a fleet that is well. `settings` are lines of the center's file."""
    broker = Rumqttd(folder)
    broker.start()
    port = free_port()
    url = f"mqtt://127.0.0.1:{broker.port}"
    words = ("--mqtt", url, "--db", f"sqlite:///{folder}/center.db", "--http", f"127.0.0.1:{port}", "--alone")
    config, key_file = folder / "center.toml", folder / "command.jwk"
    config.write_text(f"command_key_file = {str(key_file)!r}\n{settings}")
    try:
        own = {"POSDIAG_CENTER_DIR": str(folder)}  # what it keeps beside its database is of no other test's center
        with Process(folder / "center.log", "center", "run", "--config", str(config), *words, env=own) as center:
            password = wait_until(lambda: re.search(r"one-time password (\S+)", center.said()), 60)[1]
            wait_until(lambda: "listening at" in center.said(), 60)
            address = f"http://127.0.0.1:{port}"
            fleet = Fleet(Options(url=url, terminals=terminals, sites=4, rate=1, faults_per_hour=0, fail_share=0))
            fleet.start()
            try:
                with httpx.Client(base_url=address, timeout=20) as api:
                    csrf = _log_in(api, password)
                    made = Desk(fleet, browser, address, api, csrf, key_file)
                    made.port = broker.port
                    wait_until(lambda: len(made.get("/terminals", limit=200)["items"]) == terminals, 60)
                    yield made
                    made.close_pages()
            finally:
                fleet.close()
            assert center.terminate(60)[0] == 0, center.said()
    finally:
        broker.kill()


def _log_in(api: httpx.Client, password: str) -> str:
    first = api.post("/api/v1/session", json={"name": "admin", "password": password})
    assert first.is_success, first.text
    change = {"old": password, "new": PASSWORD}
    assert api.post("/api/v1/me/password", json=change, headers={"x-csrf-token": first.json()["csrf"]}).is_success
    again = api.post("/api/v1/session", json={"name": "admin", "password": PASSWORD})
    assert again.is_success, again.text
    return str(again.json()["csrf"])
