"""What the page of a terminal shows of it now: components, faults, parts and their history, settings, cases."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from nicegui import ui

from center.console import figures, lights, parts, sentences
from center.console.lights import Component
from center.console.plain_table import link, plain_table
from center.console.session import Visit
from center.domain.texts import fault_title, guidance

Row = Mapping[str, Any]
_MOST_SHOWN: Final = 10


class Components:
    """A card for each component; readings are built when somebody opens them, and stay open when they change."""

    def __init__(self, visit: Visit, zone: str | None, check: Callable[[str], None] | None) -> None:
        self._visit = visit
        self._zone = zone
        self._check = check
        self._open: set[str] = set()
        self._shown: dict[str, tuple[object, ...]] = {}
        with ui.element("div").classes("cards"):
            self._cards = {unit: ui.element("article").classes("card").mark(f"unit-{unit}") for unit in lights.UNITS}

    def show(self, found: Sequence[Component]) -> None:
        """Draw those anew that look different now: whoever is in another with the keyboard is not disturbed."""
        for each in found:
            faults = tuple((row["fault"], row["severity"]) for row in each.faults)
            readings: object = each.readings if each.unit in self._open else len(each.readings)
            looks = (each.state, each.said, each.last, each.devices, faults, each.unknown, readings)
            if self._shown.get(each.unit) != looks:
                self._shown[each.unit] = looks
                self._cards[each.unit].clear()
                self._card(each)

    def _card(self, each: Component) -> None:
        visit = self._visit
        with self._cards[each.unit]:
            with ui.element("div").classes("card-head"):
                parts.text("h3", visit.say(f"terminal.unit_{each.unit}"))
                parts.light(visit, each.state, visit.word(f"terminal.light_{each.said}", ""))
            self._why(each)
            for device in each.devices:
                words = (device.get("manufacturer"), device.get("model"), device.get("firmware"))
                parts.text("p", " · ".join(str(word) for word in words if word)).classes("quiet")
            if each.devices and self._check is not None:
                name = str(each.devices[0].get("name"))
                button = parts.button(
                    visit.say("terminal.check_now"),
                    lambda: self._check and self._check(name),
                    mark=f"check-{each.unit}",
                )
                button.props(
                    f'dense aria-label="{visit.say("terminal.check_now")}: {visit.say(f"terminal.unit_{each.unit}")}"'
                )
            if each.readings:
                self._readings(each)

    def _why(self, each: Component) -> None:
        visit = self._visit
        if each.said == "fault":
            with ui.element("ul").classes("plain-list"):
                for fault in each.faults:
                    parts.text("li", fault_title(fault["fault"], visit.language))
        elif each.said != "ok":
            last = visit.word(f"parts.{each.last}", each.last)
            unread = ", ".join(f"{row['metric']} ({figures.cause(visit, row['error'])})" for row in each.unknown[:4])
            parts.text("p", visit.say(f"terminal.said_{each.said}", last=last, unread=unread)).classes("quiet")

    def _readings(self, each: Component) -> None:
        words = self._visit.say("terminal.readings", n=len(each.readings))
        is_open = each.unit in self._open
        with ui.expansion(words, value=is_open).props("dense switch-toggle-side").classes("readings") as box:
            inside = ui.element("div")

        def fill() -> None:
            inside.clear()
            with inside:
                self._table(each)

        def toggled() -> None:
            if box.value:
                self._open.add(each.unit)
                fill()
            else:
                self._open.discard(each.unit)
                inside.clear()

        box.on_value_change(toggled)
        if is_open:
            fill()

    def _table(self, each: Component) -> None:
        visit = self._visit
        stale = each.state == "stale"
        plain_table(
            visit.say(f"terminal.unit_{each.unit}"),
            [visit.say(f"terminal.{name}") for name in ("reading", "value", "at")],
            [
                (
                    row["metric"],
                    partial(figures.reading, visit, row, stale=stale),
                    partial(parts.moment, visit, row["at"], self._zone),
                )
                for row in each.readings
            ],
        )


def faults(visit: Visit, rows: Sequence[Row], zone: str | None, *, stale: bool) -> None:
    """What is wrong now, causes before what they explain, each with what to do. `stale`: there is no contact."""
    if stale:
        parts.light(visit, "stale", visit.say("terminal.faults_then"))
    if not rows:
        parts.empty(visit, "terminal.no_fault")
        return
    order = {severity: at for at, severity in enumerate(lights.SEVERITIES)}
    for row in sorted(rows, key=lambda row: (row["cause"] is not None, order.get(row["severity"], 9), row["first_at"])):
        _fault(visit, row, zone)


def _fault(visit: Visit, row: Row, zone: str | None) -> None:
    told = guidance(row["fault"], visit.language)
    with ui.element("article").classes("card").mark(f"fault-{row['fault']}"):
        with ui.element("div").classes("card-head"):
            parts.text("h3", fault_title(row["fault"], visit.language))
            parts.light(visit, "flapping" if row["state"] == "flapping" else row["severity"])
        evidence = ", ".join(f"{name} = {figures.figure(visit, value)}" for name, value in row["evidence"].items())
        cause = row["cause"]
        parts.facts(
            [
                (visit.say("terminal.since"), lambda: parts.moment(visit, row["first_at"], zone)),
                (visit.say("terminal.act"), visit.word(f"terminal.act_{row['act']}", row["act"])),
                (visit.say("terminal.basis"), visit.word(f"terminal.basis_{row['basis']}", row["basis"])),
                (visit.say("terminal.because"), cause and fault_title(cause, visit.language)),
                (visit.say("terminal.evidence"), evidence),
                (visit.say("terminal.count"), str(row["count"]) if row["count"] > 1 else ""),
                (
                    visit.say("terminal.incident"),
                    link(visit.say("terminal.to_incident"), f"/console/incident/{row['incident']}")
                    if row["incident"]
                    else "",
                ),
            ]
        )
        if told is not None and told["steps"]:
            with ui.element("details"):
                parts.text("summary", visit.say("terminal.advice"))
                parts.text("p", told["meaning"])
                with ui.element("ol").classes("steps"):
                    for step in told["steps"]:
                        parts.text("li", step)


def devices(visit: Visit, inventory: Row | None) -> None:
    """What the terminal is made of, as each part said."""
    rows = (inventory or {}).get("devices") or ()
    if not rows:
        parts.empty(visit, "terminal.no_inventory")
        return
    names = ("name", "model", "serial", "firmware", "port")
    plain_table(
        visit.say("terminal.parts"),
        [visit.say(f"terminal.part_{name}") for name in names],
        [[str(row.get(name) or "–") for name in names] for row in rows],
    )


def history(visit: Visit, rows: Sequence[Row], zone: str | None) -> None:
    """What happened to parts, seals and firmware."""
    parts.text("h3", visit.say("terminal.history"))
    if not rows:
        parts.text("p", visit.say("print.no_history")).classes("quiet")
        return
    with ui.element("ol").classes("steps-line"):
        for row in rows[:30]:
            with ui.element("li"):
                parts.moment(visit, row["at"], zone)
                parts.text("div", happened(visit, row))


def happened(visit: Visit, row: Row) -> str:
    """One event of a part in words; the event's own name for one that a newer agent tells."""
    data: Row = row["data"] or {}
    event = row["event"]
    if event == "device.swapped":
        changed = data.get("changed") or {}
        facts = [
            f"{visit.word(f'terminal.part_{key}', key)} {each.get('was') or '–'} → {each.get('is') or '–'}"
            for key, each in changed.items()
        ]
        facts.append(visit.say("print.announced" if data.get("announced") else "print.unannounced"))
        return f"{visit.say('print.event_swapped', device=data.get('device', ''))} ({'; '.join(facts)})"
    if event in {"fault.raised", "fault.cleared"}:
        return visit.say(f"print.event_{event[6:]}", fault=fault_title(str(data.get("fault")), visit.language))
    if event == "firmware.update":
        return visit.say(
            "print.event_firmware",
            outcome=visit.word(f"print.outcome_{data.get('outcome')}", str(data.get("outcome", ""))),
        )
    return visit.word(f"print.event_{event.replace('work_order.', 'order_').replace('.', '_')}", event)


def settings(visit: Visit, reported: Row | None, rows: Sequence[Row]) -> None:
    """What was wished, what is in force, and whether they are the same."""
    newest = rows[0] if rows else None
    if newest is None:
        parts.text("p", visit.say("terminal.no_wish")).classes("quiet")
    else:
        state = newest["state"]
        look = {"applied": "ok", "sent": "maintenance", "tried": "maintenance", "drifted": "warning"}.get(
            state, "failed"
        )
        parts.light(visit, look, visit.word(f"terminal.settings_{state}", state))
    rejected = (reported or {}).get("rejected") or {}
    parts.facts(
        [
            (visit.say("terminal.wished"), str(newest["version"]) if newest else ""),
            (visit.say("terminal.wished_by"), newest["issued_by"] if newest else ""),
            (visit.say("terminal.reason"), newest["reason"] if newest else ""),
            (visit.say("terminal.in_force"), str((reported or {}).get("version") or visit.say("parts.unknown"))),
            (visit.say("terminal.hash"), str((reported or {}).get("hash") or "")),
            (visit.say("terminal.rejected"), ", ".join(f"{key}: {why}" for key, why in rejected.items())),
            (visit.say("terminal.error"), _why_not(visit, newest, reported)),
        ]
    )
    if rows:
        with ui.element("details"):
            parts.text("summary", visit.say("terminal.versions"))
            for row in rows[:_MOST_SHOWN]:
                changes = (f"{key}: {_plain(was)} → {_plain(now)}" for key, (was, now) in row["changed"].items())
                parts.text("p", f"{row['version']} · {'; '.join(changes)}")


def _why_not(visit: Visit, newest: Row | None, reported: Row | None) -> str:
    why = (newest or {}).get("error") or (reported or {}).get("refused") or ""
    return sentences.told(visit.language, str(why))


def _plain(value: object) -> str:
    return "–" if value is None else str(value)


def incidents(visit: Visit, rows: Sequence[Row], zone: str | None) -> None:
    """Incidents of this terminal, the newest first."""
    if not rows:
        parts.text("p", visit.say("terminal.no_incidents")).classes("quiet")
        return
    plain_table(
        visit.say("terminal.incidents"),
        [visit.say(f"terminal.{name}") for name in ("what", "severity", "state", "since")],
        [
            (
                link(_title(visit, row), f"/console/incident/{row['id']}"),
                partial(parts.light, visit, row["severity"]),
                visit.word(f"terminal.incident_{row['state']}", row["state"]),
                partial(parts.moment, visit, row["opened_at"], zone),
            )
            for row in rows
        ],
    )


def _title(visit: Visit, row: Row) -> str:
    return fault_title(row["fault"], visit.language) if row["fault"] else str(row["title"])


def cases(visit: Visit, rows: Sequence[Row], zone: str | None) -> None:
    """Cases of this terminal, the newest first."""
    if not rows:
        parts.text("p", visit.say("terminal.no_cases")).classes("quiet")
        return
    plain_table(
        visit.say("terminal.cases"),
        [visit.say(f"terminal.{name}") for name in ("case", "what", "state", "owner", "since")],
        [
            (
                link(f"C-{row['number']}", f"/console/case/{row['id']}"),
                _title(visit, row),
                visit.word(f"terminal.case_{row['state']}", row["state"]),
                row["owner"] or "–",
                partial(parts.moment, visit, row["created_at"], zone),
            )
            for row in rows
        ],
    )
