"""The page of one terminal: what it is, how it is and was, and what can be done from here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import quote

from nicegui import ui

from agent.wire import TIERS
from center.console import figures, lights, orders, parts, retirement, terminal_parts
from center.console.app import screen
from center.console.parts import Field
from center.console.session import Refused, Visit
from center.console.terminal_parts import Components
from center.console.terminal_time import SPANS, Charts, timeline
from center.db.feed import Change
from center.domain.freshness import freshness
from center.domain.texts import fault_title

_MOST_ROWS: Final = 10
_MEASURE_S: Final = 60.0
_HELD: Final = timedelta(days=90)
_NOW: Final = frozenset({"terminal", "fault", "outage"})
_ORDERS: Final = frozenset({"command", "result"})
_WORK: Final = frozenset({"incident", "case", "desired"})
_RESTLESS: Final = frozenset({"last_at", "received_at", "boot"})
_MINUTE: Final = len("2026-11-22T09:30")


@screen("/terminal/{estate}/{name}", "terminal")
async def build(visit: Visit, estate: str, name: str, span: str = "day", command: str = "") -> None:
    page = _Terminal(visit, estate, name)
    await page.load()
    ui.page_title(f"{name} · posdiag")
    parts.heading(name, page.detail["model"] or "")
    page.head = ui.element("section").classes("part")
    with ui.element("nav").classes("bar").props(f'aria-label="{visit.say("terminal.actions")}"'):
        page.buttons()
    retirement.on_terminal(visit, page.detail, page.zone)
    page.run = orders.Run(visit, page.zone)
    with parts.section(visit.say("terminal.faults"), "faults"):
        page.faults = ui.element("div").classes("cards")
    with parts.section(visit.say("terminal.components"), "components"):
        check = page.order_check if visit.may("command.0") else None
        page.components = Components(visit, page.zone, check)
    with parts.section(visit.say("parts.timeline"), "timeline"):
        page.timeline = ui.element("div")
    with parts.section(visit.say("terminal.charts"), "charts"):
        page.spans(span)
        charts = Charts(visit, page.path, span)
    with ui.element("div").classes("columns"):
        page.lists()
    page.draw()
    if command:
        await page.run.show(command)
    visit.once(charts.draw)
    visit.every(_MEASURE_S, page.measure)
    visit.follow(_NOW | _ORDERS | _WORK, page.changed)


class _Terminal:
    """What is known of the terminal, and the places of the page that show it."""

    head: ui.element
    faults: ui.element
    timeline: ui.element
    work: ui.element
    given: ui.element
    settings: ui.element
    components: Components
    run: orders.Run

    def __init__(self, visit: Visit, estate: str, name: str) -> None:
        self.visit = visit
        self.path = f"/terminals/{quote(estate, safe='')}/{quote(name, safe='')}"
        self.id = f"{estate}.{name}"
        self.where = f"/{quote(estate, safe='')}/{quote(name, safe='')}"
        self.key = (estate, name)
        self.detail: dict[str, Any] = {}
        self.site: dict[str, Any] = {}
        self.bands: list[dict[str, Any]] = []
        self.readings: list[dict[str, Any]] = []
        self.history: list[dict[str, Any]] = []
        self.wishes: list[dict[str, Any]] = []
        self.rows: dict[str, list[dict[str, Any]]] = {}
        self.shown: dict[str, object] = {}

    @property
    def zone(self) -> str:
        """The time zone of the site."""
        return str(self.site.get("timezone") or "UTC")

    @property
    def freshness(self) -> str:
        """online, late, offline or unknown, as everywhere in the center."""
        heard = self.detail["last_contact_at"]
        heard_ms = None if heard is None else int(datetime.fromisoformat(heard).timestamp() * 1000)
        return freshness(self.detail["status"], heard_ms, int(datetime.now(UTC).timestamp() * 1000))

    # --- asking

    async def load(self) -> None:
        """Everything, in two rounds: the site is known only when the terminal is."""
        await asyncio.gather(self._load_now(), self._load_work(), self._load_settings(), self._load_readings())
        if self.detail["site"]:
            where = f"/sites/{quote(self.key[0], safe='')}/{quote(self.detail['site'], safe='')}"
            try:
                self.site = await self.visit.api.get(where)
            except Refused as error:
                if error.status != 404:
                    raise

    async def _load_now(self) -> None:
        detail, told = await asyncio.gather(self.visit.api.get(self.path), self.visit.api.get(f"{self.path}/timeline"))
        self.detail, self.bands = detail, told["items"]

    async def _load_readings(self) -> None:
        self.readings = (await self.visit.api.get(f"{self.path}/readings"))["items"]

    async def _load_work(self) -> None:
        names = ("incidents", "cases", "commands")
        about = {"terminal": self.id, "limit": _MOST_ROWS}
        found = await asyncio.gather(*(self.visit.api.get(f"/{name}", **about) for name in names))
        self.rows = {name: each["items"] for name, each in zip(names, found, strict=True)}

    async def _load_settings(self) -> None:
        history, wishes = await asyncio.gather(
            self.visit.api.get(f"{self.path}/history"), self.visit.api.get(f"{self.path}/settings")
        )
        self.history, self.wishes = history["items"], wishes["items"]

    async def measure(self) -> None:
        """Readings come without a change in the feed."""
        await self._load_readings()
        self._draw_components()

    async def changed(self, changes: Sequence[Change]) -> None:
        """Draw again what the changes of this terminal touch."""
        kinds = {each.kind for each in changes if (each.estate, each.terminal) == self.key}
        if kinds & _ORDERS and self.run.command in {each.key for each in changes}:
            await self.run.again()
        if kinds & _NOW:
            await asyncio.gather(self._load_now(), self._load_readings())
            self._draw_now()
        if kinds & (_WORK | _ORDERS):
            await asyncio.gather(self._load_work(), self._load_settings())
            self._draw_work()

    # --- drawing

    def draw(self) -> None:
        """All that changes by itself."""
        self._draw_now()
        self._draw_work()

    def _draw_now(self) -> None:
        detail = self.detail
        faults = [{name: each[name] for name in each.keys() - _RESTLESS} for each in detail["faults"]]
        heard = (detail["last_contact_at"] or "")[:_MINUTE]
        quiet = {name: detail[name] for name in detail.keys() - {"last_contact_at", "health", "faults"}}
        if self._is_new("head", (quiet, faults, heard, self.freshness)):
            self.head.clear()
            with self.head:
                _verdict(self.visit, detail, self.freshness, self.zone)
                with ui.element("div").classes("identity"):
                    _identity(self.visit, detail, self.site, self.zone)
        self._draw_components()
        stale = self.freshness in lights.STALE
        if self._is_new("faults", (faults, stale)):
            self.faults.clear()
            with self.faults:
                terminal_parts.faults(self.visit, detail["faults"], self.zone, stale=stale)
        if self._is_new("timeline", self.bands):
            self.timeline.clear()
            severities = {each["fault"]: each["severity"] for each in detail["faults"]}
            with self.timeline:
                timeline(self.visit, self.bands, severities, self.zone, datetime.now(UTC))

    def _is_new(self, name: str, looks: object) -> bool:
        """Whether a part of the page looks different now. What is open or has the focus stays so while it does not."""
        if self.shown.get(name) == looks:
            return False
        self.shown[name] = looks
        return True

    def _draw_components(self) -> None:
        self.components.show(lights.components(self.detail, self.readings, self.freshness))

    def _draw_work(self) -> None:
        self.work.clear()
        with self.work:
            parts.text("h3", self.visit.say("terminal.cases"))
            terminal_parts.cases(self.visit, self.rows["cases"], self.zone)
            parts.text("h3", self.visit.say("terminal.incidents"))
            terminal_parts.incidents(self.visit, self.rows["incidents"], self.zone)
        self.given.clear()
        with self.given:
            _commands(self.visit, self.rows["commands"], self.zone, self.run.show)
        self.settings.clear()
        with self.settings:
            terminal_parts.settings(self.visit, self.detail["config_reported"], self.wishes)

    def lists(self) -> None:
        """The lower half: what changes seldom."""
        say = self.visit.say
        with ui.element("div"):
            with parts.section(say("terminal.work"), "work"):
                self.work = ui.element("div")
            with parts.section(say("terminal.commands"), "commands"):
                self.given = ui.element("div")
        with ui.element("div"):
            with parts.section(say("terminal.parts"), "parts"):
                terminal_parts.devices(self.visit, self.detail["inventory"])
                terminal_parts.history(self.visit, self.history, self.zone)
            with parts.section(say("terminal.settings"), "settings"):
                self.settings = ui.element("div")

    # --- doing

    def buttons(self) -> None:
        """What can be done from here; what the visitor may not do is not offered."""
        visit = self.visit
        if visit.may("command.0"):
            main = parts.button(
                visit.say("terminal.check_watch"), lambda: self.order("check"), "play_arrow", main=True, mark="check"
            )
            main.props("id=check-now")
        allowed = [cmd for cmd in orders.takes(self.detail) if visit.may(f"command.{TIERS[cmd]}")]
        if allowed:
            more = parts.button(visit.say("terminal.other_commands"), lambda: None, "more_horiz", mark="commands")
            with more, ui.menu():
                for cmd in allowed:
                    ui.menu_item(visit.say(f"terminal.do_{cmd}"), lambda cmd=cmd: self.order(cmd)).mark(f"do-{cmd}")
        if visit.may("evidence"):
            parts.button(visit.say("terminal.freeze"), self.freeze, "lock", mark="freeze")
            parts.link(f"/console/evidence?terminal={self.id}", visit.say("terminal.evidence_link"))
        parts.link(f"/console/print/terminal{self.where}", visit.say("terminal.print")).props(
            "target=_blank rel=noopener"
        )

    def order_check(self, device: str) -> None:
        """Ask for a check of one device."""
        self.order("check", device)

    def order(self, cmd: str, device: str = "") -> None:
        """Ask for a command; then watch it."""

        async def ran(command: str) -> None:
            await self.run.show(command)
            ui.run_javascript("document.getElementById('run')?.scrollIntoView({block: 'center'})")

        orders.ask(self.visit, self.detail, cmd, ran, device, self.zone)

    def freeze(self) -> None:
        """Keep what is known of a period from being deleted."""
        visit, zone = self.visit, self.zone
        now = parts.local(datetime.now(UTC), zone)
        day, held = now.replace(hour=0, minute=0), now + _HELD

        async def send(told: dict[str, Any]) -> None:
            about = {"estate": self.key[0], "terminal": self.key[1], "reason": told["reason"], "what": "hold"}
            times = {name: told[name] for name in ("from", "until", "hold_until")}
            await visit.api.post("/evidence", about | times)
            visit.told(visit.say("terminal.frozen"))

        parts.ask(
            visit,
            visit.say("terminal.freeze"),
            [
                Field("from", visit.say("terminal.from"), "time", f"{day:%Y-%m-%dT%H:%M}", needed=True, zone=zone),
                Field("until", visit.say("terminal.until"), "time", f"{now:%Y-%m-%dT%H:%M}", needed=True, zone=zone),
                Field(
                    "hold_until",
                    visit.say("terminal.hold_until"),
                    "time",
                    f"{held:%Y-%m-%dT%H:%M}",
                    needed=True,
                    zone=zone,
                ),
                Field("reason", visit.say("terminal.reason"), needed=True, hint=visit.say("terminal.freeze_hint")),
            ],
            send,
        )

    def spans(self, span: str) -> None:
        """How far back the charts go, as links."""
        with ui.element("div").classes("bar"):
            for each in SPANS:
                where = f"/console/terminal{self.where}?span={each}#charts"
                shown = parts.link(where, self.visit.say(f"terminal.span_{each}"))
                if each == span:
                    shown.props('aria-current="true"').classes("chosen")


def _verdict(visit: Visit, detail: Mapping[str, Any], fresh: str, zone: str) -> None:
    verdict = detail["verdict"] or {"can_sell": "unknown", "cause": None, "act": None, "since": None}
    cause = verdict["cause"]
    known = fresh not in lights.STALE
    with ui.element("p").classes("sentence"):
        parts.text("span", _sentence(visit, verdict, fresh))
    with ui.element("div").classes("bar"):
        state = verdict["can_sell"] if known else "stale"
        words = visit.word(f"parts.{verdict['can_sell']}", "")
        parts.light(visit, state, words if known else visit.say("terminal.was", state=words))
        contact = {"late": "stale"}.get(fresh, fresh)
        parts.light(visit, contact, visit.say(f"terminal.contact_{fresh}"))
        if detail["status"] == "maintenance":
            parts.light(visit, "maintenance")
        parts.text("span", visit.say("terminal.heard")).classes("quiet")
        parts.moment(visit, detail["last_contact_at"], zone)
        parts.why(visit, _reasons(visit, detail, cause, fresh, zone))


def _sentence(visit: Visit, verdict: Mapping[str, Any], fresh: str) -> str:
    cause = verdict["cause"]
    told = {
        "cause": fault_title(cause, visit.language) if cause else visit.say("terminal.no_cause"),
        "act": visit.word(f"terminal.act_{verdict['act']}", verdict["act"] or ""),
    }
    if fresh in lights.STALE:
        last = visit.word(f"parts.{verdict['can_sell']}", verdict["can_sell"])
        return visit.say("terminal.says_offline" if fresh == "offline" else "terminal.says_silent", last=last)
    return visit.say(f"terminal.says_{verdict['can_sell']}", **told)


def _reasons(visit: Visit, detail: Mapping[str, Any], cause: str | None, fresh: str, zone: str) -> list[str]:
    found = [visit.say(f"terminal.why_{fresh}")]
    verdict = detail["verdict"]
    if verdict is not None and verdict["since"]:
        found.append(visit.say("terminal.why_since", at=parts.clock(verdict["since"], zone)))
    for fault in detail["faults"]:
        if fault["fault"] == cause or fault["cause"] is None:
            evidence = ", ".join(f"{key} = {figures.figure(visit, value)}" for key, value in fault["evidence"].items())
            basis = visit.word(f"terminal.basis_{fault['basis']}", fault["basis"])
            title = fault_title(fault["fault"], visit.language)
            at = parts.clock(fault["first_at"], zone)
            found.append(visit.say("terminal.why_fault", fault=title, basis=basis, at=at, evidence=evidence or "–"))
    if not detail["faults"]:
        found.append(visit.say("terminal.why_no_faults"))
    if detail["poi"]:
        found.append(", ".join(f"{name}: {figures.figure(visit, value)}" for name, value in detail["poi"].items()))
    return found


def _identity(visit: Visit, detail: Mapping[str, Any], site: Mapping[str, Any], zone: str) -> None:
    estate, at = detail["estate"], detail["site"]
    inventory = detail["inventory"] or {}
    serials = [f"{each.get('name')} {each['serial']}" for each in inventory.get("devices") or () if each.get("serial")]

    def terminals(**query: str) -> str:
        return "/console/terminals?" + "&".join(f"{name}={quote(value, safe='')}" for name, value in query.items())

    def linked(column: str) -> Callable[[], object] | str:
        value = detail[column]
        return (lambda: parts.link(terminals(**{column: value}), str(value))) if value else ""

    place = f"/console/site/{quote(estate, safe='')}/{quote(at or '', safe='')}"
    parts.facts(
        [
            (visit.say("terminal.estate"), estate),
            (visit.say("terminal.site"), (lambda: parts.link(place, str(site.get("name") or at))) if at else ""),
            (visit.say("terminal.model"), linked("model")),
            (visit.say("terminal.serials"), ", ".join(serials)),
            (visit.say("terminal.firmware"), linked("firmware")),
            (visit.say("terminal.agent"), str((inventory.get("agent") or {}).get("version") or "")),
            (_with_basis(visit, "operator", detail), linked("operator")),
            (_with_basis(visit, "cell", detail), detail["cell"]),
            (visit.say("terminal.region"), linked("region")),
            (visit.say("terminal.host"), detail["host"]),
            (visit.say("terminal.power_district"), detail["power_district"]),
            (visit.say("terminal.boot_count"), None if detail["boot"] is None else str(detail["boot"])),
            (visit.say("terminal.zone"), zone),
        ]
    )


def _with_basis(visit: Visit, part: str, detail: Mapping[str, Any]) -> str:
    """What this part of the place is called, and whether it was imported or measured."""
    label, basis = visit.say(f"terminal.{part}"), detail[f"{part}_basis"]
    return f"{label} ({visit.say(f'terminal.basis_{basis}')})" if basis else label


def _commands(visit: Visit, rows: Sequence[Mapping[str, Any]], zone: str, show: orders.Ran) -> None:
    if not rows:
        parts.empty(visit, "terminal.no_commands")
        return
    with ui.element("ul").classes("plain-list"):
        for row in rows:
            with ui.element("li").classes("line"):
                name = orders.name_of(visit, row)
                ui.button(name, on_click=lambda _, row=row: show(row["id"]), color=None).props("flat dense no-caps")
                orders.state_light(visit, row["state"])
                parts.text("span", row["issued_by"]).classes("quiet")
                parts.moment(visit, row["created_at"], zone)
