"""`posdiag center run`: the parts of the center that a role asks for, in one process, until a signal comes."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import logging
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Final

from sqlalchemy import select

from center.db.engine import Database, DatabaseError
from center.db.migrate import migrate, version
from center.db.tables import terminals
from center.exits import DONE, unable
from center.ingest.link import Access
from center.ingest.presence import Presence
from center.ingest.upkeep import UpkeepThread
from center.ingest.worker import Worker
from center.settings import Settings, SettingsError, load

log = logging.getLogger("posdiag.center.run")

_GARBAGE: Final = (50_000, 20, 50)
_SWITCH_S: Final = 0.0005  # or the writer waits for the reader after each of its statements

Part = Callable[[Settings, Database], Awaitable[None]]
"""One part of the center: works until it is cancelled."""


def run_center(args: argparse.Namespace) -> int:
    """Run until SIGINT or SIGTERM. 0 done, 2 unable, with one line."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    try:
        settings = load(args)
        Access.of(settings)
        database = Database(settings.database)
        parts = _parts(settings, database)
        _bring_up(database)  # not before it is sure that the rest can be
    except (SettingsError, DatabaseError) as error:
        return unable(error)
    try:
        collect_seldom()
        asyncio.run(_run(settings, database, parts))
    finally:
        database.close()
    return DONE


def collect_seldom() -> None:
    """Have Python look for garbage less often than it would: messages and rows are many and short-lived.

    Hardly any points back at itself, and to look through all of a large answer time and again doubles what it takes.
    """
    gc.freeze()  # what is here now stays
    gc.set_threshold(*_GARBAGE)


def _bring_up(database: Database) -> None:
    """Give it the tables of this version; what had to be made or changed for that stands in the log."""
    before = version(database)
    migrate(database)
    after, where = version(database), database.name
    if before is None:
        log.info("first start: made the database %s", where)
    elif before != after:
        log.info("brought the database %s from version %s to %s", where, before, after)


def _parts(settings: Settings, database: Database) -> list[Part]:
    parts: list[Part] = [ingest] if settings.role in {"all", "ingest"} else []
    if settings.role in {"all", "web"}:
        from center.web import Web, warn_if_open  # noqa: PLC0415 - a worker of the ingest needs none of it

        warn_if_open(settings)
        web = Web(settings, database)
        parts.append(lambda _settings, _database: web.run())
    return parts


async def _run(settings: Settings, database: Database, parts: list[Part]) -> None:
    """All parts side by side; the end of one is the end of all."""
    loop = asyncio.get_running_loop()
    tasks = [asyncio.ensure_future(part(settings, database)) for part in parts]
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, lambda: [task.cancel() for task in tasks])
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        for ended in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(ended, Exception):
                raise ended


async def ingest(settings: Settings, database: Database) -> None:
    """Take in what terminals say, be present to them, and look after the store."""
    worker = Worker(settings, database)
    presence = Presence(
        Access.of(settings),
        f"{settings.name}-{worker.slot.number}",
        lambda: asyncio.to_thread(_estates, settings, database),
        lambda: worker.connected and not worker.problem,
    )
    worker.has_rival = presence.has_rival
    sys.setswitchinterval(_SWITCH_S)
    upkeep = UpkeepThread(database, settings)
    present = asyncio.create_task(presence.run())
    try:
        await worker.run()
    finally:
        present.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await present
        await asyncio.to_thread(upkeep.stop)


def _estates(settings: Settings, database: Database) -> set[str]:
    """Those of the settings, or all that were heard of, each found by one look into the index."""
    if settings.estates:
        return set(settings.estates)
    found: list[str] = []
    with database.read() as connection:
        while True:
            after = select(terminals.c.estate).where(terminals.c.estate > (found[-1] if found else ""))
            estate = connection.execute(after.order_by(terminals.c.estate).limit(1)).scalar()
            if estate is None:
                return set(found)
            found.append(estate)
