"""Knowledge, evidence, audit and administration in a real browser, and who is turned away from them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from playwright.sync_api import expect

from tests.peers.console.stage import Desk

pytestmark = pytest.mark.peers

OWN = "a-password-of-their-own-9"
HOSTILE = "<img src=x onerror=alert(1)>"


@contextmanager
def _somebody(desk: Desk, name: str, role: str, scope: dict[str, list[str]] | None = None) -> Iterator[httpx.Client]:
    """Logged in, with a password that they chose themselves."""
    made = desk.post("/accounts", {"name": name, "roles": [role], "scope": scope})
    with httpx.Client(base_url=desk.address, timeout=20) as theirs:
        first = theirs.post("/api/v1/session", json={"name": name, "password": made["password"]}).json()
        body = {"old": made["password"], "new": OWN}
        theirs.post("/api/v1/me/password", json=body, headers={"x-csrf-token": first["csrf"]})
        theirs.post("/api/v1/session", json={"name": name, "password": OWN}).raise_for_status()
        yield theirs


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_guide_is_written_and_waits_for_a_second_person(desk: Desk, language: str) -> None:
    where = f"/console/knowledge/printer/{'cutter_error' if language == 'en' else 'head_worn'}"
    page = desk.page(where, language)
    expect(page.locator("#guide")).to_contain_text({"en": "as shipped", "zh": "自带"}[language])
    page.get_by_role("button", name={"en": "Write a new version", "zh": "编写新版本"}[language]).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label({"en": "Heading", "zh": "标题"}[language]).fill(f"{HOSTILE} {language}")
    dialog.get_by_label({"en": "Text", "zh": "正文"}[language]).fill("The end goes to the front.")
    dialog.get_by_role("button", name={"en": "Hand in for approval", "zh": "提交审批"}[language]).click()
    draft = page.locator("#versions li", has_text=f"{HOSTILE} {language}")
    expect(draft).to_contain_text({"en": "waits for somebody else", "zh": "等待他人批准"}[language])
    with _somebody(desk, f"second-{language}", "lead") as second:
        theirs = desk.page(where, cookies=second.cookies)
        waiting = theirs.locator("#versions li", has_text=f"{HOSTILE} {language}")
        waiting.get_by_role("button", name="Approve").click()
        expect(theirs.locator("#versions li", has_text=f"{HOSTILE} {language}")).to_contain_text("in force")


def test_knowledge_is_searched_and_teaches_when_nothing_is_found(desk: Desk) -> None:
    page = desk.page("/console/knowledge?q=printer/cover_open")
    expect(page.locator("#faults a").first).to_have_attribute("href", "/console/knowledge/printer/cover_open")
    page = desk.page("/console/knowledge?q=zzzzzz")
    expect(page.locator("#faults")).to_contain_text("Nothing is written with these words")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_pack_is_listed_and_verified(desk: Desk, language: str) -> None:
    estate, terminal = desk.terminals[0]
    now = datetime.now(UTC)
    period = {"from": (now - timedelta(hours=1)).isoformat(), "until": now.isoformat()}
    about = {"what": "seal", "estate": estate, "terminal": terminal, "reason": f"disputed sale {HOSTILE}"}
    made = desk.post("/evidence", about | period | {"hold_until": (now + timedelta(days=9)).isoformat()})
    page = desk.page("/console/evidence", language)
    row = page.locator("tr", has=page.locator(f'a[href="/api/v1/evidence/{made["id"]}/pack"]'))
    expect(row).to_contain_text(HOSTILE)
    row.get_by_role("button", name={"en": "Verify", "zh": "核验"}[language]).click()
    expect(row).to_contain_text({"en": "unchanged since it was sealed", "zh": "封存后未被改动"}[language])
    row.get_by_role("button", name={"en": "Release the hold", "zh": "解除保全"}[language]).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("textbox").fill("settled")
    dialog.get_by_role("button", name={"en": "Release the hold", "zh": "解除保全"}[language]).click()
    expect(row).to_contain_text({"en": "not held", "zh": "未保全"}[language])


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_audit_is_filtered_by_its_address_and_its_chain_checked(desk: Desk, language: str) -> None:
    page = desk.page("/console/audit?who=admin&what=login", language)
    expect(page.locator("tbody tr").first).to_contain_text({"en": "logged in", "zh": "登录"}[language])
    page.get_by_role("button", name={"en": "Check the chain", "zh": "核验链条"}[language]).click()
    told = page.locator(".said-here")
    expect(told).to_contain_text({"en": "The chain is whole", "zh": "链条完整"}[language])
    kept, head = page.get_by_label({"en": "A head that you kept", "zh": "您保存的链头"}[language]), told.locator("code")
    stands = {"en": "stands in the chain", "zh": "仍在链中"}[language]
    for digits, said in ((head.inner_text(), stands), ("0" * 64, {"en": "is NOT in", "zh": "不在链中"}[language])):
        kept.fill(digits)
        page.get_by_role("button", name={"en": "Check the chain", "zh": "核验链条"}[language]).click()
        expect(told).to_contain_text(said)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_an_account_is_made_and_its_password_shown_once(desk: Desk, language: str) -> None:
    page = desk.page("/console/admin", language)
    page.get_by_role("button", name={"en": "New account", "zh": "新建账户"}[language]).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label({"en": "Name", "zh": "名称"}[language]).fill(f"eve-{language}")
    dialog.get_by_role("checkbox", name={"en": "viewer", "zh": "只读"}[language]).click()
    dialog.get_by_role("button", name={"en": "Save", "zh": "保存"}[language]).click()
    secret = page.locator(".copied code").inner_text()
    with httpx.Client(base_url=desk.address) as theirs:
        answer = theirs.post("/api/v1/session", json={"name": f"eve-{language}", "password": secret})
        assert answer.json()["must_change"] is True
    page.get_by_role("button", name={"en": "I have noted it", "zh": "已记下"}[language]).click()
    expect(page.locator("tr", has_text=f"eve-{language}")).to_contain_text(
        {"en": "has a one-time password", "zh": "待改一次性密码"}[language]
    )


def test_a_list_of_sites_is_looked_through_before_it_is_taken_in(desk: Desk) -> None:
    page = desk.page("/console/admin/lists")
    text = page.get_by_label("CSV with a head line")
    text.fill(f"estate,site,lat\n{desk.terminals[0][0]},s-new,95\n")
    page.get_by_role("button", name="Look through").click()
    expect(page.locator(".problems")).to_contain_text("line 2: lat")
    text.fill(f"estate,site,lat\n{desk.terminals[0][0]},s-new,31\n")
    page.get_by_role("button", name="Look through").click()
    page.get_by_role("button", name="Take in").click()
    expect(page.locator(".snack")).to_contain_text("1 row was taken in")
    assert desk.get(f"/sites/{desk.terminals[0][0]}/s-new")["lat"] == 31


def test_each_part_of_the_administration_opens(desk: Desk) -> None:
    now = datetime.now(UTC)
    period = {"from": (now + timedelta(days=1)).isoformat(), "until": (now + timedelta(days=2)).isoformat()}
    about = {"kind": "maintenance", "scope": "site", "scope_key": "s-works", "estate": desk.terminals[0][0]}
    window = desk.post("/suppressions", about | period | {"reason": "new cables"})["id"]
    for part in ("tokens", "roles", "channels", "webhooks", "windows", "center"):
        page = desk.page(f"/console/admin/{part}")
        expect(page.locator(f"section#{part}")).to_be_visible()
        if part == "windows":
            expect(page.locator("tbody tr", has_text="s-works")).to_contain_text("new cables")
    desk.post(f"/suppressions/{window}", method="DELETE")
    expect(page.locator("#center")).to_contain_text("keep_telemetry_days")


def test_who_may_only_look_neither_finds_nor_opens_what_is_not_theirs(desk: Desk) -> None:
    _, terminal = desk.terminals[0]
    with _somebody(desk, "onlooker", "viewer", {"estates": ["elsewhere"]}) as theirs:
        page = desk.page("/console/knowledge", cookies=theirs.cookies)
        for where in ("admin", "audit", "evidence"):
            expect(page.locator(f'nav.side a[href="/console/{where}"]')).to_have_count(0)
            page.goto(f"/console/{where}")
            expect(page.get_by_role("alert")).to_contain_text("This cannot be shown")
        page.goto(f"/console/terminal/{desk.terminals[0][0]}/{terminal}")
        expect(page.get_by_role("alert")).to_contain_text("This is not there")


def test_evidence_and_windows_follow_and_the_audit_says_of_when_it_is(desk: Desk) -> None:
    estate, terminal = desk.terminals[1]
    now = datetime.now(UTC)
    period = {"from": (now - timedelta(hours=2)).isoformat(), "until": now.isoformat()}
    evidence, windows = desk.page("/console/evidence"), desk.page("/console/admin/windows")
    about = {"what": "hold", "estate": estate, "terminal": terminal, "reason": "seen at once"}
    desk.post("/evidence", about | period | {"hold_until": (now + timedelta(days=9)).isoformat()})
    expect(evidence.locator("tbody tr", has_text="seen at once")).to_be_visible()
    later = {"from": (now + timedelta(days=1)).isoformat(), "until": (now + timedelta(days=2)).isoformat()}
    about = {"kind": "silence", "scope": "site", "scope_key": "s-quiet", "estate": estate, "reason": "fair days"}
    window = desk.post("/suppressions", about | later)["id"]
    expect(windows.locator("tbody tr", has_text="s-quiet")).to_contain_text("fair days")
    desk.post(f"/suppressions/{window}", method="DELETE")
    expect(windows.locator("tbody tr", has_text="s-quiet")).to_have_count(0)

    audit = desk.page("/console/audit?what=suppress")
    expect(audit.locator(".as-of time")).to_have_text(re.compile(r"\d\d:\d\d UTC"))
    before = audit.locator("tbody tr").count()
    desk.post(f"/suppressions/{desk.post('/suppressions', about | later)['id']}", method="DELETE")
    audit.get_by_role("button", name="Refresh").click()
    expect(audit.locator("tbody tr")).to_have_count(before + 2)


def test_a_message_to_merchants_is_counted_sent_and_stopped(desk: Desk) -> None:
    (estate, terminal), site = desk.terminals[-1], "s-told"
    desk.post("/places/import", [{"estate": estate, "terminal": terminal, "site": site}])
    contacts = [{"name": "Bob", "mail": "bob@example.org"}]
    desk.post("/sites/import", [{"estate": estate, "site": site, "name": HOSTILE, "contacts": contacts}])
    nowhere = "mailto://127.0.0.1:1?from=desk@example.org&to={to}"  # what is sent there waits for its next attempt
    channel = desk.post("/channels", {"name": "mail", "url": nowhere, "events": ["merchant.notice"]})["id"]
    page = desk.page("/console/broadcasts/new")
    page.get_by_label("Sites", exact=True).fill(site)
    expect(page.locator(".reach")).to_contain_text("1 site with")
    page.get_by_label("Text in English").fill(f"The network is down. {HOSTILE}")
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("alert")).to_contain_text("Still needed: Text in Chinese")
    page.get_by_label("Text in Chinese").fill("网" * 65)
    expect(page.get_by_text("65 characters, 2 SMS for each contact")).to_be_visible()
    page.get_by_role("button", name="Send").click()
    asked = page.get_by_role("dialog")
    expect(asked).to_contain_text("Send this to 1 site?")
    asked.get_by_role("button", name="Send").click()
    page.wait_for_url("**/console/broadcast/cast-*")
    name = page.url.rpartition("/")[2]
    expect(page.get_by_role("heading", level=1)).to_contain_text(HOSTILE)
    row = page.locator("#sites .ag-row", has_text=site)
    expect(row).to_contain_text("waiting")
    listed = desk.page("/console/broadcasts").locator("tbody tr", has_text=HOSTILE)
    expect(listed.get_by_role("link", name="waiting 1")).to_have_attribute(
        "href", f"/console/broadcast/{name}?state=waiting#sites"
    )
    page.get_by_role("button", name="Stop sending").click()
    page.get_by_role("dialog").get_by_role("button", name="Stop sending").click()
    expect(page.get_by_role("dialog").get_by_role("alert")).to_contain_text("Needed: Reason")
    page.get_by_role("dialog").get_by_role("textbox").fill("it works again")
    page.get_by_role("dialog").get_by_role("button", name="Stop sending").click()
    expect(page.get_by_text("it works again")).to_be_visible()
    expect(row).to_contain_text("stopped before")
    expect(listed.get_by_role("link", name="stopped before 1")).to_be_visible()  # by itself
    assert desk.get(f"/broadcasts/{name}")["sites"]["cancelled"] == 1
    with _somebody(desk, "reader", "viewer") as theirs:
        page = desk.page("/console/broadcasts", cookies=theirs.cookies)
        expect(page.get_by_text("Only leads and administrators write to many merchants.")).to_be_visible()
        expect(page.get_by_role("link", name="New message")).to_have_count(0)
        page.goto("/console/broadcasts/new")
        expect(page.get_by_role("alert")).to_contain_text("Only leads and administrators")
    desk.post(f"/channels/{channel}", method="DELETE")
    desk.post("/places/import", [{"estate": estate, "terminal": terminal}])
