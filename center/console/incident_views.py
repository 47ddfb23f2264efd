"""What an incident's page says of it: the verdict in a sentence, the numbers behind it, the evidence, its relations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from nicegui import ui

from center.console import own_readings, parts
from center.console.glance import sales
from center.console.session import Visit
from center.domain.texts import fault_title

Row = Mapping[str, Any]

_RAW: Final = "raw"
_MS: Final = 60_000


def sentence(visit: Visit, told: Row) -> str:
    """Who cannot sell, why if that is inferred, and who has to act."""
    if told["scope"] == "center":
        return visit.say("incident.center_over" if told["state"] == "resolved" else "incident.center_bad")
    n, bad, unknown = told["terminals_n"], told["cannot_sell_n"], told["unknown_n"]
    if told["scope"] == "terminal":
        over = told["state"] == "resolved" or told["can_sell"] is None
        said = visit.say(f"incident.here_{'over' if over else sales(told, 'over')}", place=told["scope_key"])
    elif not n:
        said, over = visit.say("incident.many_over", peak=told["peak_n"]), True
    else:
        which = "no" if bad else "unknown" if unknown else "beside" if told["can_sell"] == "other" else "other"
        said, over = visit.say(f"incident.many_{which}", n=n, bad=bad, unknown=unknown), False
    outage = told["outage"]
    if outage is not None:
        said += _space(visit) + visit.say(f"incident.gone_{outage['verdict']}")
    if over:
        return said
    whose = "act_merchants" if told["act"] == "merchant" and told["scope"] != "terminal" else f"act_{told['act']}"
    return said + _space(visit) + visit.word(f"incident.{whose}", "")


def _space(visit: Visit) -> str:
    return "" if visit.language == "zh" else " "


# --- why --------------------------------------------------------------------------------------------------------------


def reasons(visit: Visit, told: Row, zone: str) -> list[str]:
    """The numbers behind the verdict, one a line."""
    found = [visit.say(f"incident.basis_{told['basis']}").capitalize()] if told["basis"] == "unknown" else []
    if told["scope"] == "center":
        found.append(own_readings.line(visit.language, told["why"]) if told["why"] else told["scope_key"])
    elif told["scope"] != "terminal":
        found += _of_group(visit, told)
    elif told["outage"] is not None:
        found += _of_outage(visit, told["outage"])
    else:
        for each in told["evidence"]:
            found += _of_fault(visit, each, zone)
    side = told["why"].get("side") or told["side"]
    if side:
        found.append(visit.word(f"incident.side_{side}", side))
    return found


def _of_group(visit: Visit, told: Row) -> list[str]:
    why = told["why"]
    key = told["scope_key"].replace("|", " ").strip()
    found = [visit.say("incident.why_group", what=visit.word(f"incident.share_{told['scope']}", key).format(key=key))]
    if "population" not in why:
        return found
    share, outside = f"{why['share']:.1%}", f"{why['outside_share']:.1%}"
    counts = {"affected": why["affected"], "population": why["population"]}
    found.append(visit.say("incident.why_share", **counts, share=share, outside=outside))
    found.append(
        visit.say("incident.why_sites", sites=why["sites"]) if why["sites"] > 1 else visit.say("incident.why_site")
    )
    found.append(visit.say("incident.why_time", minutes=max(1, round((why["until_ms"] - why["from_ms"]) / _MS))))
    seen = ", ".join(f"{fault_title(fault, visit.language)} × {n}" for fault, n in why["faults"].items())
    found.append(visit.say("incident.why_faults", list=seen))
    found.append(visit.say("incident.why_gain", gain=why["gain_nats"]))
    others = [
        f"{visit.word('incident.share_' + scope, scope).format(key=name)}"
        for scope, name in _split(why["alternatives"])
    ]
    found.append(
        visit.say("incident.why_other", list=", ".join(others)) if others else visit.say("incident.why_no_other")
    )
    return found


def _split(alternatives: Sequence[str]) -> list[tuple[str, str]]:
    return [(each.partition(" ")[0], each.partition(" ")[2].replace("|", " ")) for each in alternatives]


def _of_outage(visit: Visit, outage: Row) -> list[str]:
    known = outage["evidence"] or {}
    found = [visit.say(f"incident.outage_{outage['kind']}")]
    if "siblings_there" in known:
        counts = {"there": known["siblings_there"], "gone": known["siblings_gone"]}
        found.append(visit.say("incident.why_siblings", **counts, mains=known["siblings_without_mains"]))
    if known.get("raised"):
        names = ", ".join(fault_title(each, visit.language) for each in known["raised"])
        found.append(visit.say("incident.why_raised", list=names))
    if "battery_percent" in known:
        found.append(visit.say("incident.why_battery", percent=known["battery_percent"]))
    if "rsrp_dbm" in known:
        found.append(visit.say("incident.why_signal", dbm=known["rsrp_dbm"]))
    if "boot_before" in known:
        boots = {
            "before": known["boot_before"],
            "after": known.get("boot_after"),
            "reason": known.get("boot_reason", "–"),
        }
        found.append(visit.say("incident.why_boot", **boots))
    return found


def _of_fault(visit: Visit, each: Row, zone: str) -> list[str]:
    if "basis" not in each:
        return []
    device = _device(visit, each)
    measured = each["basis"] == "measured"
    found = [visit.say("incident.why_measured", terminal=each["terminal"], device=device)] if measured else []
    if each["basis"] == "inferred":
        found.append(visit.say("incident.why_inferred"))
    first, last = parts.clock(each["first_at"], zone), parts.clock(each["last_at"], zone)
    found.append(visit.say("incident.why_times", n=each["count"], first=first, last=last))
    raw = ", ".join(f"{name} {value}" for name, value in (each["evidence"] or {}).items())
    return [*found, visit.say("incident.why_raw", raw=raw)] if raw else found


def _device(visit: Visit, each: Row) -> str:
    """Its name at the terminal, else what kind of part it is; a name that is only the kind is told as that."""
    unit = each["fault"].partition("/")[0]
    named = each.get("device") or unit
    if named != unit:
        return str(named)
    said = visit.word(f"terminal.unit_{unit}", unit)
    return said if said[:2].isupper() else said[:1].lower() + said[1:]  # within a sentence


# --- evidence ---------------------------------------------------------------------------------------------------------


def evidence(visit: Visit, found: Sequence[Row], outage: Row | None, terminals: int, zone: str) -> None:
    """Each reading that speaks for it: from where, the raw value, when."""
    if outage is not None:
        with ui.element("div"):
            parts.text("p", visit.say(f"incident.outage_{outage['kind']}"))
            _times(visit, outage["from_at"], outage["until_at"], zone, "incident.ended")
    if not found and outage is None:
        parts.empty(visit, "incident.evidence_empty")
    with ui.element("ul").classes("proofs"):
        for each in found:
            with ui.element("li"):
                _proof(visit, each, zone)
    if terminals > len(found) > 1:
        parts.text("p", visit.say("incident.evidence_more", n=len(found), all=terminals)).classes("quiet")


def finding(visit: Visit, reading: Row) -> None:
    """What the center found when it looked at itself, and what to do about it."""
    parts.facts(
        [
            (visit.say("incident.reading_of"), own_readings.name(visit.language, reading["key"])),
            (visit.say("incident.reading_text"), own_readings.found(visit.language, reading)),
            (visit.say("incident.reading_do"), own_readings.advice(visit.language, reading)),
        ]
    )


def _proof(visit: Visit, each: Row, zone: str) -> None:
    with ui.element("div").classes("story-head"):
        parts.text("strong", each["title"])
        if each["left_at"]:
            parts.light(visit, "cleared", visit.say("incident.evidence_left"))
        elif "state" in each:
            parts.light(visit, each["state"])
        if "basis" in each:
            parts.text("span", visit.word(f"incident.basis_{each['basis']}", each["basis"])).classes("quiet")
    with ui.element("div").classes("story-by quiet"):
        parts.text("span", visit.say("incident.evidence_source"))
        parts.link(f"/console/terminal/{each['estate']}/{each['terminal']}", each["terminal"])
        parts.text("span", f"· {_device(visit, each)} · {each['fault']}")
    values = each.get("evidence") or {}
    if values:
        with ui.element("ul").classes("values"):
            for name, value in sorted(values.items(), key=lambda pair: pair[0] == _RAW):
                with ui.element("li"):
                    parts.text("span", str(name)).classes("name")
                    parts.text("code" if name == _RAW else "span", _plain(value)).classes("figures")
    elif "state" in each:
        parts.text("p", visit.say("incident.evidence_none")).classes("quiet")
    if "first_at" in each:
        _times(visit, each["first_at"], each["last_at"], zone, "incident.evidence_last")


def _times(visit: Visit, first: str, last: str | None, zone: str, label: str) -> None:
    with ui.element("div").classes("story-by quiet"):
        parts.text("span", f"{visit.say('incident.evidence_first')} {parts.clock(first, zone)}")
        parts.moment(visit, first, zone)
        if last and last != first:
            parts.text("span", f"· {visit.say(label)} {parts.clock(last, zone)}")


def _plain(value: object) -> str:
    if isinstance(value, Mapping) and "error" in value:
        return f"? {value['error']}"
    return "–" if value is None else str(value)


# --- relations --------------------------------------------------------------------------------------------------------


def relations(visit: Visit, parent: Row | None, found: Sequence[Row], zone: str) -> None:
    """The incident that this one is a part of, and why; and its own parts."""
    if parent is None:
        parts.text("p", visit.say("incident.no_parent")).classes("quiet")
    else:
        with ui.element("p"):
            parts.text("span", f"{visit.say('incident.parent')} ")
            parts.link(f"/console/incident/{parent['id']}", parent["title"]).mark("parent")
        why = parent["why"] or {}
        if "population" in why:
            counts = {"affected": why["affected"], "population": why["population"], "share": f"{why['share']:.1%}"}
            parts.text("p", visit.say("incident.parent_why", **counts)).classes("quiet")
    if found:
        parts.text("h3", visit.say("incident.parts"))
        with ui.element("ul").classes("rows"):
            for each in found:
                with ui.element("li"):
                    alone = each["scope"] == "terminal"
                    called = f"{each['scope_key']}: {each['title']}" if alone else each["title"]
                    parts.link(f"/console/incident/{each['id']}", called)
                    if not alone:
                        n = each["terminals_n"]
                        parts.text("span", visit.say("incident.part_terminals", n=n)).classes("quiet")
                    parts.text("span", visit.say(f"incident.{each['state']}")).classes("quiet")
                    parts.moment(visit, each["opened_at"], zone)
