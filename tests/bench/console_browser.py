"""What a person at the console waits for, in a real headless Chromium, over a center as a process.

Goals: a fault at the port is a row of an open queue in 300 ms in the median and in a second in 95 of 100 cases; with
100,000 terminals each screen is there in a second, and a queue of 5,000 rows scrolls and filters without a stall of
200 ms; 50 faults a second with ten open queues keep the center under one core.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from typing import Final

from playwright.sync_api import Browser, BrowserContext, Page

from center.console.words import say
from center.domain.incident_texts import fault_name
from simulator.fleet import Fleet, Options
from simulator.terminal import Terminal
from tests.bench import browsed
from tests.bench.browsed import CHROMIUM, ROW, Center, opened, visitor
from tests.bench.daemon import PUSHED, ROUNDS, changes
from tests.bench.figure import Effort, Figure, Series, Told, quantile, rest
from tests.bench.ground import Ground, ground
from tests.bench.screens import TILE, every
from tests.system.stage import Agent
from tests.wait import wait_until

_SIZE: Final = 100_000
_LATE_S: Final = 10.0
_FAULTS: Final = ("printer/paper_out", "printer/cover_open", "reader/card_jam")
_PER_S: Final = 50
_MOST_ROWS: Final = 5_000


def run(effort: Effort) -> Told:
    """All figures; about ten minutes."""
    if not CHROMIUM.exists():
        yield Figure("browser.chromium", "the console in a browser", None, how="Chromium is not installed")
        return
    with browsed.browser() as chromium:
        with ground() as place:
            yield from _delays(place, chromium, int(effort.of(60, 8)))
        with ground() as place:
            url, size = f"sqlite:///{place.folder}/seeded.db", int(effort.of(_SIZE, _SIZE / 10))
            browsed.seed(url, size)
            with browsed.center(place.folder, url, place.broker.port) as center:
                yield from _screens(center, chromium, size, int(effort.of(5, 1)))
                yield from _long_queue(center, chromium, size)
                yield from _many(place, center, chromium, effort)


# --- a fault at the port ----------------------------------------------------------------------------------------------


def _delays(place: Ground, chromium: Browser, count: int) -> Told:
    delays: list[float] = []
    lost = number = 0
    url = f"sqlite:///{place.folder}/center.db"
    with browsed.center(place.folder, url, place.broker.port) as center, visitor(chromium, center) as context:
        while len(delays) < count:
            number += 1
            with place.terminal(number) as (terminal, config), Agent(config) as agent:
                agent.until_healthy()
                agent.until(lambda status: status["devices"]["printer"]["model"])
                page = _queue_of_one(context, terminal)
                try:
                    _tries(terminal, page, delays, count)
                except AssertionError:
                    lost += 1  # what stands now is not what the next change assumes: another terminal goes on
                page.close()
    how = (
        f"{count} changes, raised and cleared in turn; from the change inside of the simulated printer to the frame of "
        "the browser that shows it in an open queue; line at its real speed, TLS to the broker, durable in daemon and "
        "center; one process with SQLite"
    )
    ordered = sorted(delays)
    what = "fault at the port → row of an open queue"
    yield Figure("browser.fault", f"{what}, median", statistics.median(delays), "ms", "≤ 300", how)
    yield Figure("browser.fault_p95", f"{what}, p95", quantile(ordered, 0.95), "ms", "≤ 1,000", how)
    yield Figure("browser.fault_most", f"{what}, longest", ordered[-1], "ms", "", how)
    yield Figure("browser.fault_lost", f"changes that no row showed in {_LATE_S:g} s", lost, "", "≤ 0", how)
    yield Series("browser.fault_ms", [round(each) for each in delays])


def _queue_of_one(context: BrowserContext, terminal: Terminal) -> Page:
    """A queue that has rows of this terminal, or none, and notes what becomes of them."""
    page = context.new_page()
    page.goto("/console/queue")
    page.wait_for_selector(".ag-root", state="attached")
    page.wait_for_load_state("networkidle")
    page.evaluate("bench.rows()")
    return page


def _tries(terminal: Terminal, page: Page, delays: list[float], count: int) -> None:
    for key, value, (fault, state) in changes(PUSHED, ROUNDS):
        if len(delays) >= count:
            return
        rest(0.5)  # what the change before has caused has come
        rest(random.uniform(0.01, 0.2))  # and nothing that looks at times is in step with what follows
        title = fault_name(fault, "en")
        begun = time.time() * 1000
        terminal.set({key: value})
        seen = wait_until(lambda title=title, state=state, begun=begun: _seen(page, title, state, begun), _LATE_S)  # type: ignore[misc]
        delays.append(seen - begun)


def _seen(page: Page, title: str, state: str, begun: float) -> float | None:
    """When a row with this title first said so since: without a word of selling once it is gone, `over` before."""
    over = {say("en", "parts.cleared"), ""}
    for at, _row, words, sells in page.evaluate("bench.notes.changes"):
        if at >= begun and title in words and (_bare(sells) in over) == (state == "cleared"):
            return float(at)
    return None


def _bare(words: str) -> str:
    """Without the sign before it."""
    return words.lstrip("✓✕!▲~?•◌◷ ").strip()


# --- screens of a large fleet -----------------------------------------------------------------------------------------


def _screens(center: Center, chromium: Browser, size: int, turns: int) -> Told:
    paints: dict[str, list[float]] = {}
    there: dict[str, list[float]] = {}
    with visitor(chromium, center) as context:
        page, first, content = opened(context, "/console/", TILE)
        page.close()
        for _ in range(turns):
            for path, selector in every():
                page, paint, shown = opened(context, path, selector)
                page.close()
                paints.setdefault(path, []).append(paint)
                there.setdefault(path, []).append(shown)
        page, _paint, drawn = opened(context, "/console/map", ".map-place")
        page.close()
    how = f"{size:,} terminals, {size // 5:,} open incidents and cases; SQLite; {len(paints)} pages, each opened "
    how += f"{turns} times in turn by somebody who has opened the console before"
    for name, what, found in (("paint", "first paint", paints), ("there", "what it is about can be seen", there)):
        usual = {screen: statistics.median(times) for screen, times in found.items()}
        slow, most = max(usual, key=usual.__getitem__), max(found, key=lambda screen: max(found[screen]))
        yield Figure(f"browser.{name}", f"slowest page, {what}, median: {slow}", usual[slow], "ms", "≤ 1,000", how)
        for screen, ms in usual.items():
            yield Figure(f"browser.{name}.{screen}", f"  {screen}: {what}, median", ms, "ms", "≤ 1,000", how)
        told = f"slowest single opening, {what}: {most}"
        yield Figure(f"browser.{name}_most", told, max(found[most]), "ms", "≤ 1,000", how)
        series = {screen: [round(each) for each in times] for screen, times in found.items()}
        yield Series(f"browser.{name}_ms", series)
    how = f"{size:,} terminals at {min(size // 3, 20_000):,} sites; the list beside it counts as the screen above"
    yield Figure("browser.map", "the map's picture can be seen", drawn, "ms", "", how)
    how = f"{size:,} terminals; the very first page, all scripts and styles fetched and compiled anew"
    yield Figure("browser.first_paint", "first page ever, first paint", first, "ms", "", how)
    yield Figure("browser.first_there", "first page ever, numbers can be seen", content, "ms", "", how)


def _long_queue(center: Center, chromium: Browser, size: int) -> Told:
    with visitor(chromium, center) as context, closing(browsed.Known(center.database, "e")) as known:
        page, _paint, shown = opened(context, "/console/queue", ROW)
        page.evaluate("bench.forget()")
        wait_until(lambda: page.evaluate("bench.count()") == min(_MOST_ROWS, known.open_rows()), browsed.LIMIT_S)
        rows = page.evaluate("bench.count()")
        full = page.evaluate("performance.now()")
        filling = page.evaluate("bench.stall()")
        rest(1)
        page.evaluate("bench.forget()")
        reached = page.evaluate("bench.scroll(880)")
        assert reached > rows * 40, f"scrolled to {reached} only"
        scrolling = page.evaluate("bench.stall()")
        page.evaluate("bench.forget()")
        field = page.locator("input[data-filter]")
        field.press_sequentially("t00012", delay=60)
        wait_until(lambda: 0 < page.evaluate("bench.count()") < rows, 10)
        for _ in range(6):
            field.press("Backspace", delay=60)
        wait_until(lambda: page.evaluate("bench.count()") >= rows, 10)
        typing = page.evaluate("bench.stall()")
    how = f"{rows:,} open rows, of {size // 5:,}"
    yield Figure("browser.rows", f"queue of {rows:,} rows: first of them seen", shown, "ms", "≤ 1,000", how)
    yield Figure("browser.rows_all", "  all of them there", full, "ms", "", how)
    for name, what, found in (
        ("filling", "while the rest comes", filling),
        ("scrolling", "while scrolling a page a frame, top to bottom", scrolling),
        ("typing", "while six letters are typed into the filter and taken away", typing),
    ):
        told, goal = f"  longest stall {what}", "≤ 200"
        yield Figure(f"browser.{name}", told, found["frame"], "ms", goal, f"{how}; the longest time between two frames")
        yield Figure(f"browser.{name}_task", "  and longest task of the page", found["task"], "ms", goal, how)


# --- many faults, many pages ------------------------------------------------------------------------------------------


def _many(place: Ground, center: Center, chromium: Browser, effort: Effort) -> Told:
    seconds, pages = int(effort.of(30, 5)), int(effort.of(10, 3))
    count = _PER_S * seconds
    url = f"mqtt://127.0.0.1:{place.broker.port}"
    fleet = Fleet(Options(url=url, terminals=count, rate=1, faults_per_hour=0, connects_per_s=100))
    dice = random.Random(7)
    raised = [(each.terminal, _FAULTS[at % len(_FAULTS)]) for at, each in enumerate(fleet.places)]
    dice.shuffle(raised)
    with ExitStack() as stack:
        fleet.start()
        stack.callback(fleet.close)
        known = browsed.Known(center.database, fleet.places[0].estate)
        stack.callback(known.close)
        wait_until(lambda: known.terminals() == count, 120)
        open_pages = browsed.queues(stack, chromium, center, pages)
        rest(effort.of(10, 3))
        idle = center.cpu_share(effort.of(10, 3))
        used, began = center.cpu_s(), time.monotonic()
        for at, (terminal, fault) in enumerate(raised):
            rest(max(0.0, began + at / _PER_S - time.monotonic()))
            fleet.control.set({f"terminal.{terminal}.{fault}": "raised"})
        rest(max(0.0, began + seconds - time.monotonic()))
        took, ended = time.monotonic() - began, time.monotonic()
        share = 100 * (center.cpu_s() - used) / took
        lacking = _lacking(known, open_pages, set(raised))
        settled = time.monotonic() - ended
    how = f"{len(raised):,} faults of as many terminals in {took:.0f} s, {pages} queues open, beside the seeded fleet"
    yield Figure(
        "browser.storm", f"center with {_PER_S} faults/s and {pages} open queues: CPU", share, "%", "≤ 100", how
    )
    yield Figure("browser.storm_rest", "  the same at rest: CPU of one core", idle, "%", "", how)
    what = "  faults that were raised and are missing on a page at the end"
    yield Figure("browser.storm_lost", what, lacking, "", "≤ 0", how)
    yield Figure("browser.storm_settled", "  all of them on all pages after the last", settled, "s", "", how)


def _lacking(known: browsed.Known, pages: Sequence[Page], raised: set[tuple[str, str]]) -> int:
    """How many of them are in no row of some page, in the worst of the pages; waits for the last."""

    def missing() -> int:
        shown = known.faults_by_incident()
        return max(
            len(raised - set().union(*(shown.get(row[0], set()) for row in page.evaluate("bench.held()"))))
            for page in pages
        )

    try:
        wait_until(lambda: not missing(), 30, every_s=1)
    except AssertionError:
        return missing()
    return 0


if __name__ == "__main__":
    for told in run(Effort()):
        if isinstance(told, Figure):
            print(f"{told.what:70} {told.shown:>12}  {told.goal}{'  MISSED' if told.misses else ''}", flush=True)
