"""A center as a process, and pages of its console in a real Chromium that note by themselves what they show and when.

Moments are the browser's own clock, which is the machine's: nobody's asking is part of what is measured.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from sqlalchemy import and_, func, select, update

from center.access import accounts
from center.access.credentials import open_session
from center.api.proof import COOKIE
from center.db import tables
from center.db.engine import Database
from center.db.feed import save_cursor
from center.db.migrate import migrate
from center.ingest.gaps import CLASSES
from tests.bench import desk
from tests.bench.figure import rest
from tests.bench.process import cpu_s
from tests.mqtt.broker import free_port
from tests.peers.console.conftest import CHROMIUM
from tests.system.stage import Process
from tests.wait import wait_until

LIMIT_S: Final = 60.0
ROW: Final = ".ag-center-cols-container .ag-row"
_DAY_MS: Final = 86_400_000
_QUIET: Final = 25.0  # percent of a core
_NOTES: Final = """
window.bench = (() => {
  const now = () => performance.timeOrigin + performance.now();
  const shown = (then) => requestAnimationFrame(() => {  // the frame that shows it, and right behind it
    const channel = new MessageChannel();
    channel.port1.onmessage = then;
    channel.port2.postMessage(0);
  });
  const notes = { paint: null, there: null, long: [], changes: [], gap: 0 };
  const observe = (type, note) => new PerformanceObserver((list) => list.getEntries().forEach(note))
    .observe({ type, buffered: true });
  observe("paint", (entry) => { if (entry.name === "first-contentful-paint") notes.paint = entry.startTime; });
  observe("longtask", (entry) => notes.long.push([entry.startTime, entry.duration]));

  function await_(selector) {
    const watch = new MutationObserver(() => {
      const found = document.querySelector(selector);
      if (!found || !found.textContent.trim() || !found.checkVisibility({ opacityProperty: true })) return;
      watch.disconnect();
      shown(() => { notes.there = performance.now(); });
    });
    watch.observe(document, { subtree: true, childList: true, characterData: true, attributes: true });
  }

  // Every change of what a row of the table says, with the moment at which it could be seen.
  function rows() {
    const before = new Map();
    const cell = (row, name) => row.querySelector(`[col-id="${name}"]`)?.textContent.trim() ?? "";
    const look = () => {
      const told = new Map();
      for (const row of document.querySelectorAll(".ag-center-cols-container > .ag-row"))
        told.set(row.getAttribute("row-id"), [cell(row, "title"), cell(row, "can_sell")]);
      const news = [];
      for (const [id, words] of told)
        if (words[0] && String(before.get(id)) !== String(words)) { before.set(id, words); news.push([id, ...words]); }
      for (const id of [...before.keys()]) if (!told.has(id)) { news.push([id, before.get(id)[0], ""]); before.delete(id); }
      if (news.length) shown(() => { for (const each of news) notes.changes.push([now(), ...each]); });
    };
    look();
    new MutationObserver(look).observe(document.querySelector(".content"), { subtree: true, childList: true, characterData: true });
  }

  let last = 0;
  (function frame() {
    const at = performance.now();
    if (last) notes.gap = Math.max(notes.gap, at - last);
    last = at;
    requestAnimationFrame(frame);
  })();
  const forget = () => { notes.long.length = 0; notes.gap = 0; };
  const stall = () => ({ task: Math.max(0, ...notes.long.map((each) => each[1])), frame: notes.gap });

  const viewport = () => document.querySelector(".ag-body-viewport");
  const grid = () => window.getElement(Number(document.querySelector(".table").id.slice(1))).api;
  async function scroll(pixels) {
    const box = viewport();
    for (let before = -1; before !== box.scrollTop;) {
      before = box.scrollTop;
      box.scrollTop += pixels;
      await new Promise(requestAnimationFrame);
      await new Promise(requestAnimationFrame);
    }
    return box.scrollTop;
  }
  function held() {
    const found = [];
    grid().forEachNode((node) => found.push([node.data.id, node.data.terminals]));
    return found;
  }
  return { notes, await_, rows, forget, stall, scroll, held, count: () => grid().getDisplayedRowCount() };
})();
"""


@dataclass(frozen=True)
class Center:
    """One that runs. `folder` holds its log."""

    process: Process
    database: str
    address: str
    cookie: str

    def cpu_s(self) -> float:
        return cpu_s(self.process.pid)

    def cpu_share(self, seconds: float) -> float:
        """Percent of one core that it uses for a while."""
        used, began = self.cpu_s(), time.monotonic()
        rest(seconds)
        return 100 * (self.cpu_s() - used) / (time.monotonic() - began)


@contextmanager
def center(folder: Path, url: str, broker_port: int) -> Iterator[Center]:
    """Everything in one process, with an administrator who is logged in. The database may be there already."""
    database = Database(url)
    migrate(database)
    now_ms = int(time.time() * 1000)
    with database.begin() as connection:
        account = accounts.create(connection, "bench", ["admin"], now_ms)
        cookie = open_session(connection, account, now_ms)[0]
    database.close()
    where = f"127.0.0.1:{free_port()}"
    settings = {"db": url, "mqtt": f"mqtt://127.0.0.1:{broker_port}", "http": where}
    config = folder / "center.toml"
    lines = [f"{name} = {json.dumps(value)}\n" for name, value in settings.items()]
    config.write_text("".join([*lines, "status_page = true\n"]), "utf-8")
    with Process(folder / "center.log", "center", "run", "--config", str(config)) as process:
        wait_until(lambda: "listening at" in process.said() and "listening as" in process.said(), 2 * LIMIT_S)
        started = Center(process, url, f"http://{where}", cookie)
        wait_until(lambda: started.cpu_share(2) < _QUIET, 2 * LIMIT_S)  # the engines have seen all there is
        yield started


def seed(url: str, size: int) -> None:
    """A fleet and its desk as the part `api` has them, heard a while ago."""
    database = Database(url)
    migrate(database)
    now_ms = int(time.time() * 1000)
    desk.fill(database, size, now_ms - desk.SETTLED_MS)
    of = tables.faults
    with database.begin() as connection:
        # Raised all at once within the last half hour they would become one incident of a release.
        earlier = {name: of.c[name] - _DAY_MS for name in ("first_ms", "last_ms", "received_ms")}
        connection.execute(update(of).values(earlier))
        for cls in CLASSES:  # what came long ago has been summed up
            save_cursor(connection, f"upkeep-{cls}", {"received_ms": now_ms}, now_ms)
    database.close()


@contextmanager
def browser() -> Iterator[Browser]:
    """Chromium, headless, as the tests have it."""
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        try:
            yield found
        finally:
            found.close()


@contextmanager
def visitor(chromium: Browser, of: Center) -> Iterator[BrowserContext]:
    """Somebody who is logged in, with a cache of their own, whose pages note what they show."""
    size = {"width": 1440, "height": 900}
    # Pages without scripts forbid what waiting for them evaluates.
    context = chromium.new_context(viewport=size, base_url=of.address, locale="en", bypass_csp=True)
    context.add_cookies([{"name": COOKIE, "value": of.cookie, "url": of.address}])
    context.add_init_script(_NOTES)
    context.set_default_timeout(LIMIT_S * 1000)
    try:
        yield context
    finally:
        context.close()


def opened(context: BrowserContext, path: str, selector: str) -> tuple[Page, float, float]:
    """A page; milliseconds from its request to its first paint, and until what the selector finds could be seen."""
    page = context.new_page()
    page.add_init_script(f"bench.await_({json.dumps(selector)})")
    answer = page.goto(path, wait_until="commit")
    assert answer is not None
    assert answer.ok, f"{path}: {answer.status}"
    page.wait_for_function("window.bench.notes.paint !== null && window.bench.notes.there !== null")
    notes = page.evaluate("({paint: bench.notes.paint, there: bench.notes.there})")
    return page, notes["paint"], notes["there"]


def queues(stack: ExitStack, chromium: Browser, of: Center, number: int) -> Sequence[Page]:
    """So many queues, each in a browser's profile of its own, once they hold all their rows."""
    contexts = [stack.enter_context(visitor(chromium, of)) for _ in range(number)]
    return [opened(context, "/console/queue", ROW)[0] for context in contexts]


class Known:
    """What the center's database says of one estate."""

    def __init__(self, url: str, estate: str) -> None:
        self._database = Database(url)
        self._estate = estate
        self.close = self._database.close

    def terminals(self) -> int:
        """How many are known."""
        count = select(func.count()).where(tables.terminals.c.estate == self._estate)
        with self._database.read() as connection:
            return connection.execute(count).scalar_one()

    def open_rows(self) -> int:
        """How many rows the queue has of all estates."""
        of = tables.incidents
        count = select(func.count()).where(of.c.state.in_(("open", "acknowledged")), of.c.parent_id.is_(None))
        with self._database.read() as connection:
            return connection.execute(count).scalar_one()

    def faults_by_incident(self) -> dict[str, set[tuple[str, str]]]:
        """Terminals and faults that stand, by the incident that the queue shows for them."""
        of, part, fault = tables.incidents, tables.incident_members, tables.faults
        shown = func.coalesce(of.c.parent_id, of.c.id)
        same = and_(*(fault.c[name] == part.c[name] for name in ("estate", "terminal", "fault")))
        joined = part.join(of, of.c.id == part.c.incident_id).join(fault, same)
        here = part.c.estate == self._estate, part.c.left_ms.is_(None), fault.c.state == "raised"
        rows = select(shown, part.c.terminal, part.c.fault).select_from(joined).where(*here)
        found: dict[str, set[tuple[str, str]]] = {}
        with self._database.read() as connection:
            for incident, terminal, key in connection.execute(rows):
                found.setdefault(incident, set()).add((terminal, key))
        return found
