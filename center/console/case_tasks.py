"""What is still to be done for a case: merchants to call back, and what to look at again."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from nicegui import ui

from center.console import parts
from center.console.parts import Field
from center.console.session import Visit


def draw(visit: Visit, case_id: str, found: Sequence[dict[str, Any]], zone: str) -> None:
    """The soonest first; nothing at all where nothing is to be done."""
    if not found:
        return
    with parts.section(visit.say("case.tasks"), "tasks"), ui.element("ul").classes("rows"):
        for each in found:
            with ui.element("li"):
                parts.light(
                    visit, "warning" if each["is_due"] else "maintenance", visit.say(f"case.task_{each['kind']}")
                )
                parts.text("span", each["text"])
                parts.text("span", each["owner"] or visit.say("incident.nobody")).classes("quiet")
                with ui.element("span").classes("quiet"):
                    parts.text("span", f"{visit.say('case.clock_due')} ")
                    parts.moment(visit, each["due_at"], zone)
                if visit.may("case.write"):
                    done = partial(_finish, visit, case_id, each)
                    parts.button(visit.say("case.task_finish"), done, "task_alt", mark="task-done")


def _finish(visit: Visit, case_id: str, task: dict[str, Any]) -> None:
    async def do(told: dict[str, Any]) -> None:
        await visit.api.post(f"/cases/{case_id}/tasks/{task['id']}/done", {"text": told["text"] or ""})
        visit.told(visit.say("case.done_task"))

    field = Field("text", visit.say("case.task_said"), "area")
    parts.ask(visit, visit.say("case.task_finish").rstrip("…"), [field], do)
