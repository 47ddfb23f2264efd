"""Whose a case or an incident is: an account's that may have it, a team's, or somebody's without an account."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from center.console import parts
from center.console.case_form import form, given
from center.console.parts import Field
from center.console.session import Visit

Case = Mapping[str, Any]


async def assign(visit: Visit, case: Case) -> None:
    """To an account, a team, or both."""
    names = await _names(visit, f"/cases/{case['id']}")
    if names is not None:
        fields = [
            _owner(visit, names, case["owner"] or visit.me["name"]),
            Field("team", visit.say("case.ask_team"), value=case["team"] or ""),
            Field("external", visit.say("case.ask_external")),
        ]
        form(visit, case, "assign", fields, _chosen, undo=True)


async def hand_over(visit: Visit, case: Case) -> None:
    """To another team, and there perhaps to somebody."""
    names = await _names(visit, f"/cases/{case['id']}")
    if names is not None:
        fields = [
            Field("team", visit.say("case.ask_team"), needed=True),
            _owner(visit, names, ""),
            Field("reason", visit.say("case.ask_reason"), "area", needed=True),
        ]
        form(visit, case, "hand_over", fields, given)


async def give(visit: Visit, told: Mapping[str, Any]) -> None:
    """An incident that has no case."""
    names = await _names(visit, f"/incidents/{told['id']}")
    if names is None:
        return

    async def do(chosen: dict[str, Any]) -> None:
        body = _chosen(chosen)
        await visit.api.post(f"/incidents/{told['id']}/assign", body)
        visit.told(visit.say("case.done_assign", name=body.get("owner", "")), back(visit, told))

    fields = [
        _owner(visit, names, told["owner"] or visit.me["name"]),
        Field("external", visit.say("case.ask_external")),
    ]
    parts.ask(visit, visit.say("case.do_assign").rstrip("…"), fields, do)


def back(visit: Visit, told: Mapping[str, Any]) -> Callable[[], Awaitable[Any]]:
    """To whose it was before, or nobody's."""
    at = f"/incidents/{told['id']}"
    if told["owner"]:
        return lambda: visit.api.post(f"{at}/assign", {"owner": told["owner"], "external": True})
    return lambda: visit.api.post(f"{at}/release")


async def _names(visit: Visit, at: str) -> list[str] | None:
    """Accounts that may have it; None where the API refuses to say."""
    found = await visit.act(visit.api.get(f"{at}/owners"))
    return None if found is None else [each["name"] for each in found["items"]]


def _owner(visit: Visit, names: list[str], now: str) -> Field:
    words = {"": visit.say("case.no_account")} | {each: each for each in names}
    return Field("owner", visit.say("case.ask_owner"), "choice", now if now in words else "", words)


def _chosen(told: dict[str, Any]) -> dict[str, Any]:
    """Somebody without an account wins, for they were typed."""
    chosen = given(told)
    outside = chosen.pop("external", "")
    return chosen | ({"owner": outside, "external": True} if outside else {})
