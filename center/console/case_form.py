"""Forms whose answers go to one case."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from center.console import parts
from center.console.parts import Field
from center.console.session import Visit

Case = Mapping[str, Any]


def form(
    visit: Visit,
    case: Case,
    name: str,
    fields: Sequence[Field],
    body: Callable[[dict[str, Any]], dict[str, Any]],
    *,
    verb: str = "",
    undo: bool = False,
) -> None:
    """A form that ends in `POST /cases/{id}/{verb}`; refused if somebody changed the case since it was opened."""

    async def do(told: dict[str, Any]) -> None:
        await visit.api.post(f"/cases/{case['id']}/{verb or name}", body(told))
        named = told.get("owner") or told.get("team") or ""
        back = (lambda: visit.api.post(f"/cases/{case['id']}/undo")) if undo else None
        visit.told(visit.say(f"case.done_{name}", name=named), back)

    parts.ask(visit, visit.say(f"case.do_{name}").rstrip("…"), fields, do)


def area(visit: Visit, label: str, hint: str = "", *, needed: bool = True) -> Field:
    """A question for some lines of text."""
    return Field(
        "text", visit.say(f"case.{label}"), "area", needed=needed, hint=visit.say(f"case.{hint}") if hint else ""
    )


def given(told: dict[str, Any]) -> dict[str, Any]:
    """Only what was filled in."""
    return {name: value for name, value in told.items() if value not in (None, "")}
