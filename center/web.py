"""The part `web` of the center: the pages and the API, the engines, and what tells others.

The engines run in one process at a time, whichever holds the lease; so do the delivery and the publisher.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Final

import uvicorn
from fastapi import FastAPI

from center.access.accounts import FIRST, first_administrator
from center.access.oidc import Provider
from center.api.app import create_app
from center.api.context import Center, machine_ms
from center.console import app as console
from center.console.plain import add_pages
from center.db.aside import why
from center.db.engine import Database, is_poison
from center.db.feed_watch import FeedWatch
from center.domain import audit_heads, cases_policy
from center.domain.campaigns_engine import CampaignEngine
from center.domain.cases_engine import CaseEngine
from center.domain.cases_messages import CaseMessages
from center.domain.commands_engine import CommandEngine
from center.domain.commands_key import Signer
from center.domain.desired import DesiredEngine
from center.domain.engines import Engine, Engines
from center.domain.incidents import Incidents
from center.domain.outages import Outages
from center.domain.retirement import Returns
from center.domain.selfwatch import SelfWatch
from center.domain.task_reminders import TaskReminders
from center.notify.alertmanager import Alerts
from center.notify.delivery import Delivery
from center.notify.heartbeat import Heartbeat
from center.notify.publisher import Publisher
from center.settings import Settings, SettingsError, listener, state_dir

log = logging.getLogger("posdiag.center.web")

STEP_S: Final = 1.0
"""A step at least so often, for what time alone brings about."""
LEAST_S: Final = 0.1
"""After each step at least: what comes faster is dealt with together."""
REST: Final = 4
"""And so many times the processor time of the step, up to STEP_S: in a storm the engines leave most of a core."""
_LEAVE_S: Final = 3


class Web:
    """Made before anything runs, so that what cannot be is said in one line. Raises SettingsError."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._database = database
        try:
            self._policy = cases_policy.load(settings.policy_file, settings.public_url)
        except cases_policy.PolicyError as error:
            raise SettingsError(str(error)) from error
        self._provider = Provider(settings) if settings.oidc_issuer else None
        self._socket = listen(settings.http)
        self._leads = False

    @property
    def address(self) -> str:
        """Where it listens."""
        host, port = self._socket.getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def close(self) -> None:
        """Let go of the port, if it never ran."""
        self._socket.close()

    async def run(self) -> None:
        """Serve until cancelled."""
        password = await asyncio.to_thread(first_administrator, self._database, machine_ms())
        if password is not None:
            print(
                f"posdiag: first start: log in at {self.address}/ as {FIRST}, one-time password {password}", flush=True
            )
        app = create_app(self._settings, self._database, policy=self._policy, provider=self._provider)
        add_pages(app)
        console.mount(app)
        build_routes(app)
        server = _Server(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                server_header=False,
                date_header=True,
                proxy_headers=False,
                timeout_graceful_shutdown=_LEAVE_S,
                timeout_keep_alive=30,
                limit_concurrency=2000,
                h11_max_incomplete_event_size=64 * 1024,
            )
        )
        center: Center = app.state.center
        publisher = Publisher(self._settings, self._database, center.now_ms, lambda: self._leads)
        publishing = asyncio.create_task(publisher.run())
        with self._threads(center):
            serving = asyncio.create_task(server.serve([self._socket]))
            log.info("listening at %s", self.address)
            try:
                await asyncio.shield(serving)
            except asyncio.CancelledError:
                server.should_exit = True
                while not serving.done():  # whoever cancels us again waits all the same: requests end in order
                    with contextlib.suppress(asyncio.CancelledError):
                        await asyncio.shield(serving)
                raise
            finally:
                publishing.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await publishing

    @contextlib.contextmanager
    def _threads(self, center: Center) -> Iterator[None]:
        """Engines and delivery run inside of this block."""
        engines = Engines(self._database, self._engines())
        alerts = Alerts(self._database, self._settings.public_url)
        delivery, heartbeat = Delivery(self._database), Heartbeat(self._database, self._settings)

        def decide() -> bool:
            self._leads = engines.step(center.now_ms())
            return False

        def tell() -> bool:
            return self._leads and delivery.step(center.now_ms())

        def push() -> bool:
            return self._leads and alerts.step(center.now_ms())

        def live() -> bool:
            return self._leads and heartbeat.step(center.now_ms())

        stopping, grown, quiet = threading.Event(), threading.Event(), threading.Event()
        works = {"engines": decide, "delivery": tell, "alerts": push, "heartbeat": live}
        threads = [
            threading.Thread(
                target=always, args=(work, stopping, grown if work is decide else quiet), name=name, daemon=True
            )
            for name, work in works.items()
        ]
        with self._database.fed.waking(grown.set), contextlib.closing(FeedWatch(self._database)):
            for thread in threads:
                thread.start()
            try:
                yield
            finally:
                for event in (stopping, grown, quiet):
                    event.set()
                for thread in threads:
                    thread.join(_LEAVE_S)

    def _engines(self) -> list[Engine]:
        database, signer = self._database, Signer(self._settings.command_key_file)
        return [
            Outages(database),
            Incidents(database),
            CaseEngine(database, self._policy),
            TaskReminders(database),
            CaseMessages(database, self._policy, signer, self._settings.name),
            Returns(database),
            CommandEngine(database),
            CampaignEngine(database, signer, self._settings.name),
            DesiredEngine(database),
            audit_heads.AuditHeads(database, audit_heads.file_of(self._settings.database, state_dir())),
            SelfWatch(database, self._settings),
        ]


def build_routes(app: FastAPI) -> None:
    """Build now what FastAPI builds of each route when it first looks at it: a third of a second in all.

    Else the first request pays, and whoever asks at the same time waits for it, since the loop stands still.
    """
    nowhere = {"type": "http", "method": "GET", "path": "/\x00", "root_path": "", "headers": []}
    for route in app.routes:
        route.matches(nowhere)


class _Server(uvicorn.Server):
    """Leaves signals to who runs the whole process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def always(work: Callable[[], bool], stopping: threading.Event, news: threading.Event) -> None:
    """Work again and again: at once while there is more to do, else when there is news, or a while later without."""
    problem = ""
    while not stopping.is_set():
        news.clear()
        used_s = time.thread_time()
        try:
            more = work()
            problem = ""
        except Exception as error:  # it is tried again; what is wrong stands in the log, a defect with where it was
            more = False
            if problem != why(error):
                problem = why(error)
                level = logging.ERROR if is_poison(error) else logging.WARNING
                log.log(level, "%s waits: %s", threading.current_thread().name, problem, exc_info=is_poison(error))
        if not more:
            rest_s = min(max(LEAST_S, REST * (time.thread_time() - used_s)), STEP_S)
            if not stopping.wait(rest_s):
                news.wait(STEP_S - rest_s)


def listen(where: str) -> socket.socket:
    """A socket that listens at HOST:PORT. Raises SettingsError."""
    host, port = listener(where)
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        found = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # asyncio sends at once only if told so
    except OSError as error:
        raise SettingsError(f"cannot listen at {where}: {error.strerror or error}") from error
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(address)
        found.listen(1024)
    except OSError as error:
        found.close()
        raise SettingsError(f"cannot listen at {where}: {error.strerror or error}") from error
    return found


def is_loopback(where: str) -> bool:
    """Whether only this machine can reach it."""
    host = listener(where)[0]
    return host in {"localhost", "::1"} or host.startswith("127.")


def warn_if_open(settings: Settings) -> None:
    """Say so where passwords would cross a network in the open."""
    if not is_loopback(settings.http) and not settings.public_url.startswith("https://"):
        print(
            "posdiag: warning: the pages are reachable from elsewhere without TLS; "
            "put a proxy with TLS before them and set public_url",
            file=sys.stderr,
        )
