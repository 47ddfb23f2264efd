"""One campaign: its waves and their gate, who has to agree, how it is steered, and how it went at each terminal."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final
from urllib.parse import quote

from nicegui import ui

from center.console import parts, sentences
from center.console.app import screen
from center.console.campaign_form import shown_waves
from center.console.campaigns import ENDED, stacked, state_light
from center.console.listing import FIRST, Listing
from center.console.pane import Pane
from center.console.parts import Column, Field, Table
from center.console.session import Visit, lead_to
from center.db.feed import Change

Row = Mapping[str, Any]

GATE: Final = ("answered", "failed", "hurt")
"""Figures of the gate that count terminals."""
RESULTS: Final = ("succeeded", "failed", "unanswered", "sent", "offline", "waiting", "skipped")
_LOOKS: Final = {"waiting": "waiting", "offline": "offline", "sent": "maintenance", "unanswered": "stale",
                 "skipped": "unsupported"}  # fmt: skip
_BACK: Final = ("paused", "halted", "done", "cancelled")


@screen("/campaign/{name}", "campaigns")
async def build(visit: Visit, name: str, result: str = "", gate: str = "") -> None:
    """`result` narrows the terminals to those where it went so, `gate` to those behind a figure of the gate."""
    at = f"/campaigns/{quote(name, safe='')}"
    result, counted = result if result in RESULTS else "", gate if gate in GATE else ""
    asked = {of: value for of, value in (("state", result), ("gate", counted)) if value}

    async def read() -> tuple[Row, Row]:
        told, stand = await asyncio.gather(visit.api.get(at), visit.api.get(f"{at}/stand"))
        return told, stand

    (told, stand), page = await asyncio.gather(read(), visit.api.get(f"{at}/targets", limit=FIRST, **asked))
    kind = visit.word(f"campaigns.kind_{told['kind']}", told["kind"])
    parts.heading(told["name"], f"{kind} · {stand['reason']}")
    head = Pane(lambda both: _head(visit, at, *both))
    with parts.section(visit.say("campaigns.waves"), "waves"):
        waves = Pane(lambda both: _waves(visit, *both))
    with ui.element("div").classes("columns"):
        with parts.section(visit.say("campaigns.gate"), "gate"):
            passage = Pane(lambda both: _gate(visit, *both))
        with parts.section(visit.say("campaigns.about_it"), "plan"):
            _plan(visit, told, stand)
    panes = (head, waves, passage)
    for pane in panes:
        pane.show((told, stand))
    with parts.section(visit.say("campaigns.targets"), "targets"):
        if counted:
            words = f"{visit.say('campaigns.gate')}: {visit.say(f'campaigns.gate_{counted}')}"
            parts.only(visit, words, f"/console/campaign/{quote(name)}#targets")
        table, below = _targets(visit, at, name, result, page, asked)

    async def changed(changes: Sequence[Change]) -> None:
        if not any(each.key == name for each in changes):
            return
        both, newest = await asyncio.gather(read(), visit.api.get(f"{at}/targets", limit=FIRST, **asked))
        for pane in panes:
            pane.show(both)
        await below.begin()
        table.change([_target(visit, each) for each in newest["items"]])
        below.tell()

    visit.follow({"campaign"}, changed)


# --- steering it ------------------------------------------------------------------------------------------------------


def _head(visit: Visit, at: str, told: Row, stand: Row) -> None:
    state = told["state"]
    with ui.element("div").classes("lights"):
        state_light(visit, state)
        parts.why(
            visit,
            [
                visit.say("campaigns.why_halt", halt=f"{told['halt_share'] or 0:.0%}"),
                visit.say("campaigns.why_silent"),
                visit.say("campaigns.why_resume"),
            ],
        )
    if told["why"]:
        with ui.element("p").props('role="alert"' if state == "halted" else ""):
            parts.text("span", f"{visit.say('campaigns.stopped_why')}: ").classes("quiet")
            parts.text("span", sentences.told(visit.language, told["why"])).classes("needs")
    if state == "waiting_approval":
        parts.text("p", _who_else(visit, told, stand)).classes("needs")
    with ui.element("div").classes("bar"):
        for verb, main in _acts(visit, told, stand):
            words = visit.say(f"campaigns.{verb}")
            parts.button(words, partial(_do, visit, at, verb, words), main=main, mark=verb)


def _who_else(visit: Visit, told: Row, stand: Row) -> str:
    if stand["mine"]:
        return visit.say("campaigns.four_eyes_mine")
    key = "yours" if visit.may("campaign.approve") else "cannot"
    return visit.say(f"campaigns.four_eyes_{key}", by=told["created_by"])


def _acts(visit: Visit, told: Row, stand: Row) -> list[tuple[str, bool]]:
    """What can be done now, and whether it is the next step."""
    state, found = told["state"], []
    if state == "waiting_approval" and visit.may("campaign.approve") and not stand["mine"]:
        found.append(("approve", True))
    if not visit.may("campaign.write"):
        return found
    found += {
        "draft": [("start", True)],
        "running": [("pause_now", True)],
        "paused": [("resume", True)],
        "halted": [("resume", False)],
    }.get(state, [])
    if told["kind"] == "config" and "rollback_of" not in told["args"] and state in _BACK:
        found.append(("roll_back", state == "halted"))
    if state not in {"done", "cancelled"}:
        found.append(("cancel", False))
    return found


async def _do(visit: Visit, at: str, verb: str, words: str) -> None:
    path = f"{at}/{verb.removesuffix('_now')}"
    if verb in {"approve", "start", "resume"}:
        await visit.act(visit.api.post(path), visit.say(f"campaigns.done_{verb}"))
        return

    async def send(given: dict[str, Any]) -> None:
        made = await visit.api.post(path, given)
        if verb == "roll_back":
            lead_to(f"/console/campaign/{quote(made['id'], safe='')}")
        else:
            visit.told(visit.say(f"campaigns.done_{verb}"))

    parts.ask(visit, words, [Field("reason", visit.say("campaigns.reason"), needed=True)], send)


# --- how far it is ----------------------------------------------------------------------------------------------------


def _waves(visit: Visit, told: Row, stand: Row) -> None:
    counts: dict[int, dict[str, int]] = {}
    for each in told["progress"]:
        counts.setdefault(each["wave"], {})[each["state"]] = each["targets_n"]
    with ui.element("ol").classes("waves"):
        for number, planned in enumerate(shown_waves(visit, told["waves"]), 1):
            states = counts.get(number, {})
            with ui.element("li"):
                with ui.element("div").classes("split-head"):
                    parts.text("h3", f"{visit.say('campaigns.wave', n=number)}: {planned}")
                    _wave_light(visit, number, told, stand, is_empty=bool(counts) and not states)
                if states:
                    stacked(states)
                    ended = sum(states.get(each, 0) for each in ENDED)
                    of = sum(states.values())
                    parts.text("p", visit.say("campaigns.ended_of", n=ended, of=of))
                    _results(visit, told["id"], states)


def _wave_light(visit: Visit, number: int, told: Row, stand: Row, *, is_empty: bool) -> None:
    if is_empty:
        parts.light(visit, "draft", visit.say("campaigns.wave_empty"))
    elif number < stand["wave"] or told["state"] == "done" or (number == stand["wave"] and stand["wave_done_at"]):
        parts.light(visit, "done", visit.say("campaigns.wave_over"))
    elif number == stand["wave"]:
        if told["state"] == "running":
            parts.light(visit, "maintenance", visit.say("campaigns.wave_now"))
        else:
            state_light(visit, told["state"])
    else:
        parts.light(visit, "draft", visit.say("campaigns.wave_later"))


def _results(visit: Visit, campaign: str, states: Mapping[str, int]) -> None:
    with ui.element("ul").classes("lights plain-list"):
        for state in RESULTS:
            if states.get(state):
                with ui.element("li"), parts.link(f"/console/campaign/{quote(campaign)}?result={state}#targets"):
                    parts.light(visit, _LOOKS.get(state, state), f"{_result(visit, state)} {states[state]:,}")


def _result(visit: Visit, state: str) -> str:
    return visit.word(f"campaigns.target_{state}", state)


def _gate(visit: Visit, told: Row, stand: Row) -> None:
    if not stand["wave"]:
        parts.text("p", visit.say("campaigns.gate_none")).classes("quiet")
        return
    share, halt = stand["bad_share"], stand["halt_share"] or 1
    said = visit.say("campaigns.gate_of", share=f"{share:.1%}", halt=f"{halt:.0%}")
    parts.text("p", f"{visit.say('campaigns.gate_bad')}: {said}")
    look = "bad" if share > halt else "warn" if share > halt / 2 else "ok"
    with ui.element("div").classes(f"used look-{look}").props(f'role="img" aria-label="{said}"'):
        ui.element("div").style(f"width: {min(100, 100 * share / halt):.1f}%")
    parts.text("p", visit.say("campaigns.gate_early")).classes("quiet")
    following = _next_at(told, stand)
    at = f"/console/campaign/{quote(told['id'])}"
    figures = [
        (visit.say(f"campaigns.gate_{name}"), partial(parts.link, f"{at}?gate={name}#targets", f"{stand[name]:,}"))
        for name in GATE
    ]
    parts.facts(
        [
            *figures,
            (visit.say("campaigns.gate_begun"), _moment(visit, stand["wave_begun_at"])),
            (visit.say("campaigns.gate_done"), _moment(visit, stand["wave_done_at"])),
            (visit.say("campaigns.gate_next"), _moment(visit, following)),
        ]
    )


def _next_at(told: Row, stand: Row) -> str | None:
    """Not before the pause behind a wave that has passed."""
    if stand["wave_done_at"] is None or told["state"] != "running" or stand["wave"] >= len(told["waves"]):
        return None
    pause = timedelta(seconds=told["waves"][stand["wave"] - 1]["pause_s"])
    return (datetime.fromisoformat(stand["wave_done_at"]) + pause).isoformat()


def _moment(visit: Visit, at: str | None) -> Callable[[], object] | None:
    return None if at is None else lambda: parts.moment(visit, at)


def _plan(visit: Visit, told: Row, stand: Row) -> None:
    pairs = [(visit.word(f"campaigns.{name}", name), ", ".join(names)) for name, names in told["audience"].items()]
    pairs += _args(visit, told["args"])
    pauses = sorted({wave["pause_s"] for wave in told["waves"][:-1] if wave["pause_s"] >= 60})
    parts.facts(
        [
            (visit.say("campaigns.terminals"), f"{stand['targets_n']:,}"),
            *pairs,
            (visit.say("campaigns.pause"), ", ".join(str(round(each / 60)) for each in pauses)),
            (visit.say("campaigns.quiet"), "✓" if (stand["pace"] or {}).get("quiet") else None),
            (visit.say("campaigns.by"), told["created_by"]),
            (visit.say("campaigns.made"), _moment(visit, told["created_at"])),
            (visit.say("campaigns.approved_by"), told["approved_by"]),
        ]
    )


def _args(visit: Visit, args: Row) -> list[tuple[str, str]]:
    found = []
    for name, value in args.items():
        if name == "settings":
            found += [
                (f"{table}.{key}", "–" if each is None else str(each))
                for table, keys in value.items()
                for key, each in keys.items()
            ]
        elif name == "level":
            found.append((visit.say("campaigns.level"), visit.word(f"campaigns.level_{value}", str(value))))
        else:
            found.append((visit.word(f"campaigns.{name}", name), str(value)))
    return found


# --- each terminal ----------------------------------------------------------------------------------------------------


def _targets(
    visit: Visit, at: str, name: str, result: str, page: Row, asked: Mapping[str, str]
) -> tuple[Table, Listing]:
    options = {"": visit.say("campaigns.target_all")} | {each: _result(visit, each) for each in RESULTS}

    def go(chosen: str) -> None:
        lead_to(f"/console/campaign/{quote(name)}{f'?result={chosen}' if chosen else ''}#targets")

    with ui.element("div").classes("bar"):
        picked = ui.select(
            options, value=result, label=visit.say("campaigns.state"), on_change=lambda event: go(event.value)
        )
        picked.props("outlined dense").classes("pick").mark("filter-result")
    title = {each: visit.say(f"campaigns.{each}") for each in ("terminal", "site", "state", "error", "asked")}
    table = Table(
        visit,
        [
            Column("terminal", title["terminal"], width=130, flex=1),
            Column("state", title["state"], "light", 150),
            Column("error", title["error"], flex=2, width=150, yields=1),
            Column("site", title["site"], width=130, yields=4),
            Column("wave", visit.say("campaigns.col_wave"), "number", 90, yields=3),
            Column("attempts", visit.say("campaigns.attempts"), "number", 110, yields=5),
            Column("asked", title["asked"], "age", 130, yields=2),
        ],
        [_target(visit, each) for each in page["items"]],
        title=visit.say("campaigns.targets"),
        height="60vh" if len(page["items"]) > 12 else "",
    )
    path, none = f"{at}/targets", "campaigns.targets_none"
    return table, Listing(visit, table, path, asked, page["next"], partial(_target, visit), "campaigns", none)


def _target(visit: Visit, row: Row) -> dict[str, Any]:
    return {
        "id": f"{row['estate']}.{row['terminal']}",
        "where": f"/console/terminal/{quote(row['estate'])}/{quote(row['terminal'])}",
        "terminal": row["terminal"],
        "site": row["site"] or "",
        "state": _LOOKS.get(row["state"], row["state"]),
        "state_words": _result(visit, row["state"]),
        "error": sentences.told(visit.language, row["error"]),
        "wave": row["wave"],
        "attempts": row["attempts"],
        "asked": row["asked_at"],
    }
