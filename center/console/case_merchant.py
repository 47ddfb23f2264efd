"""The merchant's part of a case's page: what they read, the way to their page, and what they say by telephone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nicegui import ui

from center.console import case_views, parts
from center.console.case_form import form
from center.console.parts import Field
from center.console.session import Visit

Case = Mapping[str, Any]


def draw(visit: Visit, case: Case, zone: str) -> None:
    """`merchant`, `merchant_page`, `place`; and the site's contacts."""
    case_views.merchant(visit, case["merchant"], case["merchant_page"], open_case=True)
    if visit.may("case.write") and (case["terminal"] or case["site"]):
        if case["merchant_page"]:
            parts.button(
                visit.say("case.do_withdraw_link"), lambda: withdraw(visit, case), "link_off", mark="withdraw-link"
            )
        else:
            parts.text("p", visit.say("case.link_gone")).classes("quiet")
            parts.button(visit.say("case.do_new_link"), lambda: renew(visit, case), "add_link", mark="new-link")
    site = case["place"] or {}
    contacts = site.get("contacts") or []
    parts.text("h3", visit.say("case.contacts"))
    if not contacts:
        parts.text("p", visit.say("case.no_contacts")).classes("quiet")
    with ui.element("ul").classes("rows"):
        for each in contacts:
            with ui.element("li"):
                parts.text("strong", str(each.get("name") or "–"))
                parts.text("span", str(each.get("role") or "")).classes("quiet")
                parts.text("span", " · ".join(filter(None, [each.get("phone"), each.get("mail")])))
    if contacts:
        with ui.element("p").classes("quiet"):
            parts.text("span", f"{visit.say('case.contacts_age')} ")
            parts.moment(visit, site["updated_at"], zone)


def may_answer(visit: Visit, case: Case) -> bool:
    """Whether there is a merchant whose word still counts."""
    open_for_it = case["state"] != "closed" or case["outcome"] in {"unanswered", "confirmed"}
    return visit.may("case.write") and bool(case["terminal"] or case["site"]) and open_for_it


def answer(visit: Visit, case: Case) -> None:
    """What the merchant said by telephone; once it is closed only that it is broken again."""
    words = {"yes": visit.say("case.phone_yes"), "no": visit.say("case.phone_no")}
    if case["state"] == "closed":
        del words["yes"]
    names = [str(each.get("name") or "") for each in (case["place"] or {}).get("contacts") or []]
    fields = [
        Field("works", visit.say("case.ask_works"), "choice", next(iter(words)), words, needed=True),
        Field("with_whom", visit.say("case.ask_with"), value=names[0] if names else "", needed=True),
        Field("text", visit.say("case.ask_text"), "area"),
    ]

    def body(told: dict[str, Any]) -> dict[str, Any]:
        return told | {"works": told["works"] == "yes", "text": told.get("text") or ""}

    form(visit, case, "merchant_answer", fields, body)


def withdraw(visit: Visit, case: Case) -> None:
    """The page is gone for whoever has its address; the reason stays in the time line."""
    fields = [Field("text", visit.say("case.ask_reason"), "area", needed=True, hint=visit.say("case.withdraw_hint"))]
    form(visit, case, "withdraw_link", fields, dict)


async def renew(visit: Visit, case: Case) -> None:
    """Another address."""
    doing = visit.api.post(f"/cases/{case['id']}/new_link")
    await visit.act(doing, visit.say("case.done_new_link"))
