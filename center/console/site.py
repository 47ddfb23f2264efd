"""The page of one site: its terminals, whom to reach there and when, its terms, and what is open."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final
from urllib.parse import quote, urlencode

from nicegui import ui

from center.console import figures, lights, parts, retirement, site_contacts, terminal_parts
from center.console.app import screen
from center.console.parts import Field
from center.console.plain_table import link, plain_table
from center.console.session import Visit
from center.db.feed import Change
from center.domain import hours
from center.domain.texts import fault_title

_MOST_CLOSED: Final = 20
_MOST_REASONS: Final = 30
_OLD: Final = timedelta(days=365)
_KINDS: Final = frozenset({"terminal", "fault", "outage", "incident", "case", "site"})
_DIALLED: Final = re.compile(r"\+?[0-9][0-9 ()/.-]{2,30}")
_ADDRESSED: Final = re.compile(r"[\w.+-]{1,64}@[\w.-]{1,200}")

Row = Mapping[str, Any]


@screen("/site/{estate}/{name}", "site")
async def build(visit: Visit, estate: str, name: str) -> None:
    page = _Site(visit, estate, name)
    await page.load()
    title = str(page.site.get("name") or name)
    ui.page_title(f"{title} · posdiag")
    parts.heading(title, str(page.site.get("address") or ""))
    page.head = ui.element("section").classes("part")
    with ui.element("nav").classes("bar").props(f'aria-label="{visit.say("terminal.actions")}"'):
        if visit.may("case.write"):
            parts.button(visit.say("site.notify"), page.notify, "send", main=True, mark="notify")
    with parts.section(visit.say("site.terminals"), "terminals"):
        page.terminals = ui.element("div")
    await retirement.at_site(visit, estate, name)
    with ui.element("div").classes("columns"):
        with ui.element("div"):
            with parts.section(visit.say("site.incidents"), "incidents"):
                page.incidents = ui.element("div")
            with parts.section(visit.say("site.cases"), "cases"):
                page.cases = ui.element("div")
            with parts.section(visit.say("site.place"), "place"):
                _place(visit, page.site)
        with ui.element("div"):
            with parts.section(visit.say("site.contacts"), "contacts"):
                _contacts(visit, page.site, page.zone)
                await site_contacts.doubtful(visit, estate, name)
            with parts.section(visit.say("site.hours"), "hours"):
                _hours(visit, page.site, page.zone)
            with parts.section(visit.say("site.contract"), "contract"):
                _contract(visit, page.site)
    page.draw()
    visit.follow(_KINDS, page.changed)


class _Site:
    """What is known of the site, and the places of the page that change by themselves."""

    head: ui.element
    terminals: ui.element
    incidents: ui.element
    cases: ui.element

    def __init__(self, visit: Visit, estate: str, name: str) -> None:
        self.visit = visit
        self.estate = estate
        self.name = name
        self.site: dict[str, Any] = {}
        self.rows: list[dict[str, Any]] = []

    @property
    def zone(self) -> str:
        """The site's time zone."""
        return str(self.site.get("timezone") or "UTC")

    async def load(self) -> None:
        """The site with its terminals and open incidents; its cases, the open ones first and then the newest."""
        where = f"/sites/{quote(self.estate, safe='')}/{quote(self.name, safe='')}/overview"
        site, lasting, newest = await asyncio.gather(
            self.visit.api.get(where),
            self.visit.api.all("/cases", estate=self.estate, site=self.name, state="open"),
            self.visit.api.get("/cases", estate=self.estate, site=self.name, state="closed", limit=_MOST_CLOSED),
        )
        self.site, self.rows = site, [*lasting, *newest["items"]]

    async def changed(self, changes: Sequence[Change]) -> None:
        """Draw again if a terminal or a case of this site is among them."""
        names = {each["terminal"] for each in self.site["terminals"]}
        keys = {each["id"] for each in [*self.rows, *self.site["incidents"]]}
        mine = (each for each in changes if each.estate in {self.estate, None})
        if any(each.terminal in names or each.key in keys or each.key == self.name for each in mine):
            await self.load()
            self.draw()

    def draw(self) -> None:
        """All that changes."""
        for box, build in (
            (self.head, self._head),
            (self.terminals, self._terminals),
            (self.incidents, self._incidents),
            (self.cases, self._cases),
        ):
            box.clear()
            with box:
                build()

    def _head(self) -> None:
        visit, found = self.visit, self.site["terminals"]
        with ui.element("div").classes("lights"):
            parts.text("p", _sentence(visit, found)).classes("sentence")
            if found:
                parts.why(visit, _reasons(visit, found))
        away = sum(each["freshness"] in lights.STALE for each in found)
        unable = sum(each["can_sell"] == "no" for each in found)
        pending = sum(each["state"] != "closed" for each in self.rows)
        here = urlencode({"estate": self.estate, "site": self.name})
        at = f"/console/terminals?{here}"
        with ui.element("div").classes("tiles"):
            parts.number(len(found), visit.say("site.terminals"), at, "calm")
            parts.number(unable, visit.say("site.cannot_sell"), f"{at}&can_sell=no", "bad" if unable else "ok")
            parts.number(away, visit.say("site.no_contact"), "#terminals", "gone" if away else "ok")
            parts.number(len(self.site["incidents"]), visit.say("site.incidents_open"), "#incidents")
            parts.number(pending, visit.say("site.cases_open"), f"/console/cases?{here}")

    def _terminals(self) -> None:
        visit = self.visit
        plain_table(
            visit.say("site.terminals"),
            [
                visit.say(each)
                for each in ("terminal.name", "terminal.sales", "terminal.contact", "site.cause", "terminal.act",
                             "terminal.heard", "terminal.model")
            ],
            [self._terminal(each) for each in self.site["terminals"]],
        )  # fmt: skip

    def _terminal(self, row: Row) -> list[str | Callable[[], object]]:
        visit, fresh, sells = self.visit, row["freshness"], row["can_sell"] or "unknown"
        where = f"/console/terminal/{quote(self.estate, safe='')}/{quote(row['terminal'], safe='')}"
        words = visit.word(f"parts.{sells}", sells)
        known = fresh not in lights.STALE
        contact = {"late": "stale"}.get(fresh, fresh)
        return [
            link(row["terminal"], where),
            partial(parts.light, visit, sells if known else "stale",
                    words if known else visit.say("terminal.was", state=words)),
            partial(parts.light, visit, contact, visit.say(f"terminal.contact_{fresh}")),
            fault_title(row["cause"], visit.language) if row["cause"] else "–",
            visit.word(f"terminal.act_{row['act']}", row["act"] or "–"),
            partial(parts.moment, visit, row["last_contact_at"], self.zone),
            row["model"] or "–",
        ]  # fmt: skip

    def _incidents(self) -> None:
        if not self.site["incidents"]:
            parts.text("p", self.visit.say("site.no_incidents")).classes("quiet")
            return
        terminal_parts.incidents(self.visit, self.site["incidents"], self.zone)

    def _cases(self) -> None:
        if not self.rows:
            parts.text("p", self.visit.say("site.no_cases")).classes("quiet")
            return
        terminal_parts.cases(self.visit, self.rows, self.zone)

    def notify(self) -> None:
        """Write to the merchant, within a case so that the answer has a place."""
        visit = self.visit
        lasting = [each for each in self.rows if each["state"] != "closed"]
        about = {"": visit.say("site.notify_new")} | {
            each["id"]: f"{each['number']} · {each['title']}" for each in lasting
        }

        async def send(told: dict[str, Any]) -> None:
            case = told["case"]
            if not case:
                body = {"estate": self.estate, "site": self.name, "kind": "question", "title": told["subject"]}
                case = (await visit.api.post("/cases", body))["id"]
            answer = await visit.api.post(f"/cases/{case}/message", {"text": told["text"]})
            await self.load()
            self.draw()
            visit.told(visit.say("site.notified", number=answer["number"]))

        parts.ask(
            visit,
            visit.say("site.notify"),
            [
                Field("case", visit.say("site.notify_about"), "choice", next(iter(reversed(about))), about),
                Field("subject", visit.say("site.notify_subject")),
                Field("text", visit.say("site.notify_text"), "area", needed=True),
            ],
            send,
        )


def _sentence(visit: Visit, found: Sequence[Row]) -> str:
    total = len(found)
    unable = sum(each["can_sell"] == "no" for each in found)
    unsure = sum(each["can_sell"] in {None, "unknown"} or each["freshness"] in lights.STALE for each in found)
    limited = sum(each["can_sell"] == "degraded" for each in found)
    if not total:
        return visit.say("site.says_none")
    if unable == total:
        return visit.say("site.says_all")
    for name, n in (("no", unable), ("unsure", unsure), ("limits", limited)):
        if n:
            return visit.say(f"site.says_{name}", n=n, all=total)
    return visit.say("site.says_fine")


def _reasons(visit: Visit, found: Sequence[Row]) -> list[str]:
    """What each terminal says that does not simply sell, and by which rule it counts."""
    told = []
    for each in found:
        silent = each["freshness"] in lights.STALE
        if each["can_sell"] == "yes" and not silent:
            continue
        words = visit.word(f"parts.{each['can_sell'] or 'unknown'}", str(each["can_sell"]))
        cause = fault_title(each["cause"], visit.language) if each["cause"] else ""
        contact = visit.say(f"terminal.contact_{each['freshness']}")
        facts = [visit.say("terminal.was", state=words) if silent else words, cause, contact]
        told.append(f"{each['terminal']}: {' · '.join(filter(None, facts))}")
    more = [f"+{len(told) - _MOST_REASONS}"] if len(told) > _MOST_REASONS else []
    return [visit.say("site.why_rule"), *told[:_MOST_REASONS], *more]


def _contacts(visit: Visit, site: Row, zone: str) -> None:
    people = site.get("contacts") or ()
    if not people:
        parts.text("p", visit.say("site.no_contacts")).classes("quiet")
    else:
        plain_table(
            visit.say("site.contacts"),
            [visit.say(f"site.{name}") for name in ("contact", "role", "phone", "mail", "language")],
            [
                (
                    each.get("name") or "–",
                    each.get("role") or "–",
                    _reach("tel:", each.get("phone"), _DIALLED),
                    _reach("mailto:", each.get("mail"), _ADDRESSED),
                    visit.word(f"site.language_{each.get('language')}", each.get("language") or "–"),
                )
                for each in people
            ],
        )
    if site.get("updated_at"):
        with ui.element("p").classes("quiet"):
            parts.text("span", f"{visit.say('site.updated')} ")
            parts.moment(visit, site["updated_at"], zone)
            if datetime.now(UTC) - datetime.fromisoformat(site["updated_at"]) > _OLD:
                parts.light(visit, "stale", visit.say("site.old_data"))


def _reach(scheme: str, value: str | None, pattern: re.Pattern[str]) -> str | Callable[[], object]:
    """A link that calls or writes; only of what looks like a number or an address."""
    if not value or pattern.fullmatch(value) is None:
        return value or "–"
    return link(value, scheme + (value if scheme == "mailto:" else re.sub(r"[^0-9+]", "", value)))


def _hours(visit: Visit, site: Row, zone: str) -> None:
    told, now = site.get("hours"), datetime.now(UTC)
    parts.facts(
        [
            (visit.say("site.zone"), zone),
            (visit.say("site.local_now"), f"{parts.local(now, zone):%Y-%m-%d %H:%M}"),
        ]
    )
    if not told:
        parts.text("p", visit.say("site.no_hours")).classes("quiet")
        return
    try:
        is_open = hours.is_open(told, zone, int(now.timestamp() * 1000))
    except hours.HoursError:
        is_open = None
    if is_open is not None:
        parts.light(
            visit, "ok" if is_open else "maintenance", visit.say("site.open_now" if is_open else "site.closed_now")
        )
    rows = [(visit.say(f"site.day_{day}"), _ranges(visit, told.get(day))) for day in hours.DAYS]
    rows += [(str(day), _ranges(visit, ranges)) for day, ranges in sorted((told.get("dates") or {}).items())]
    plain_table(visit.say("site.hours"), [visit.say("site.day"), visit.say("site.hours")], rows)


def _ranges(visit: Visit, ranges: Sequence[Sequence[str]] | None) -> str:
    return ", ".join(f"{begin}–{end}" for begin, end in ranges or ()) or visit.say("site.closed")


def _contract(visit: Visit, site: Row) -> None:
    told = site.get("contract")
    if told:
        figures.told(visit, told)
    else:
        parts.text("p", visit.say("site.no_contract")).classes("quiet")


def _place(visit: Visit, site: Row) -> None:
    lat, lon = site.get("lat"), site.get("lon")
    spoken = site.get("language")
    parts.facts(
        [
            (visit.say("site.estate"), site["estate"]),
            (visit.say("site.number"), site["site"]),
            (visit.say("site.address"), site.get("address")),
            (visit.say("site.region"), site.get("region")),
            (visit.say("site.operator"), site.get("operator")),
            (visit.say("site.power_district"), site.get("power_district")),
            (visit.say("site.trade"), site.get("trade")),
            (visit.say("site.language"), visit.word(f"site.language_{spoken}", spoken or "")),
            (visit.say("site.position"), None if lat is None or lon is None else f"{lat:.5f}, {lon:.5f}"),
        ]
    )
    if "updated_at" not in site:
        parts.text("p", visit.say("site.unlisted")).classes("quiet")
    if lat is None or lon is None:
        parts.text("p", visit.say("site.no_position")).classes("quiet")
        return
    with ui.element("div").classes("bar"):
        parts.link("/console/map", visit.say("site.on_map"))
        parts.link(f"geo:{lat:.6f},{lon:.6f}", visit.say("site.in_app"))
