"""Logging in and out by forms, without a script."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from center.access import accounts
from center.access.audit import every
from center.access.oidc import Provider
from center.console.plain.login import own_path
from center.db.engine import Database
from center.settings import Settings
from tests.center.console.pages import PASSWORD, Shop, hidden, new_world, shop
from tests.center.desk_world import MINUTE

NEW = "another long password 7"


@pytest.fixture
def at(database: Database) -> Iterator[Shop]:
    with shop(new_world(database)) as running:
        yield running


def _audited(at: Shop, what: str) -> list[str]:
    with at.world.database.read() as connection:
        return [row.target for row in every(connection) if row.what == what]


def test_the_root_leads_to_the_console(at: Shop) -> None:
    answer = at.client.get("/")
    assert (answer.status_code, answer.headers["location"]) == (303, "/console/")


def test_an_address_that_is_none_is_a_page_for_a_browser_and_json_for_whatever_else_asks(at: Shop) -> None:
    page = at.client.get("/nosuch", headers={"accept": "text/html,*/*;q=0.8", "accept-language": "en"})
    assert (page.status_code, page.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert "There is nothing here." in page.text
    for path, accept in (("/nosuch", "*/*"), ("/api/v1/nosuch", "text/html")):
        told = at.client.get(path, headers={"accept": accept})
        assert (told.status_code, told.json()) == (404, {"error": "Not Found"})


def test_a_session_begins_and_leads_where_somebody_wanted_to_go(at: Shop) -> None:
    at.account()
    answer = at.log_in(name=" Ann ", onward="/console/print/terminal/north/t1?lang=zh")
    assert (answer.status_code, answer.headers["location"]) == (303, "/console/print/terminal/north/t1?lang=zh")
    cookie = answer.headers["set-cookie"]
    assert all(word in cookie for word in ("posdiag_session=", "HttpOnly", "SameSite=lax"))
    assert at.client.get("/api/v1/me").json()["name"] == "ann"
    assert _audited(at, "login") == ["ann"]
    assert at.client.get("/login").headers["location"] == "/console/"


@pytest.mark.parametrize(
    ("told", "path"),
    [
        ("/console/incident/inc-1?tab=x", "/console/incident/inc-1?tab=x"),
        ("", "/console/"),
        ("//evil.example/", "/console/"),
        ("/\\evil.example", "/console/"),
        ("/\t/evil.example", "/console/"),
        ("https://evil.example/", "/console/"),
        ("javascript:alert(1)", "/console/"),
        ("console", "/console/"),
        ("/a\r\nset-cookie: x=y", "/console/"),
    ],
)
def test_only_a_path_of_ours_is_a_way_on(told: str, path: str) -> None:
    assert own_path(told) == path


def test_nobody_is_sent_to_another_site(at: Shop) -> None:
    at.account()
    assert at.log_in(onward="//evil.example/").headers["location"] == "/console/"
    assert at.client.get("/login?next=https://evil.example/").headers["location"] == "/console/"


@pytest.mark.parametrize(("lang", "said"), [("en", "The name or the password is wrong."), ("zh", "用户名或密码错误。")])
def test_a_wrong_name_and_a_wrong_password_look_alike(at: Shop, lang: str, said: str) -> None:
    at.account()
    pages = []
    for name, password in (("ann", "not it"), ("bob", PASSWORD), ("ann", ""), ("", "")):
        answer = at.log_in(name, password, lang=lang)
        assert (answer.status_code, said in answer.text) == (401, True)
        pages.append(re.sub(r'name="word" value="[^"]*"|value="(ann|bob)"| autofocus', "", answer.text))
    assert pages[0] == pages[1]
    assert "not it" not in pages[0]


def test_after_too_many_failures_it_says_for_how_long(at: Shop) -> None:
    at.account()
    for _ in range(5):
        assert at.log_in(password="no").status_code == 401
    locked = at.log_in()
    assert (locked.status_code, locked.headers["retry-after"]) == (429, "900")
    assert "Try again in 900 s." in locked.text
    assert "请900秒后再试" in at.log_in(lang="zh").text
    at.world.now_ms += 16 * MINUTE
    assert at.log_in().status_code == 303


def test_another_site_cannot_log_somebody_in(at: Shop) -> None:
    at.account()
    form = hidden(at.client.get("/login").text) | {"name": "ann", "password": PASSWORD}
    for told in (form | {"word": "guessed"}, {"name": "ann", "password": PASSWORD}):
        answer = at.client.post("/login", data=told)
        assert (answer.status_code, "open for too long" in answer.text) == (403, True)
    at.client.cookies.clear()
    assert at.client.post("/login", data=form).status_code == 403
    assert _audited(at, "login") == []


@pytest.mark.parametrize(("account", "form", "after"), [("en", "zh", "zh"), ("zh", "en", "zh"), ("en", "en", "en")])
def test_the_first_login_gives_the_account_the_language_of_the_form(
    at: Shop, account: str, form: str, after: str
) -> None:
    at.account(must_change=True, language=account)
    to = at.log_in(lang=form).headers["location"]
    page = at.client.get(to)
    assert page.headers["content-language"] == {"zh": "zh-CN"}.get(after, after)
    assert at.client.get("/api/v1/me").json()["language"] == after


def test_a_later_login_leaves_the_language_as_it_is(at: Shop) -> None:
    at.account()
    at.log_in(lang="zh")
    assert at.client.get("/api/v1/me").json()["language"] == "en"


def test_a_one_time_password_leads_to_a_new_one_and_on(at: Shop) -> None:
    password = accounts.first_administrator(at.world.database, at.world.now_ms)
    assert password is not None
    first = at.log_in("admin", password, onward="/console/print/terminal/north/t1")
    to = first.headers["location"]
    assert to == "/login/password?next=%2Fconsole%2Fprint%2Fterminal%2Fnorth%2Ft1"
    assert at.client.get("/console/print/terminal/north/t1").headers["location"] == to
    assert at.client.get("/login").headers["location"] == "/login/password"
    old = at.client.cookies["posdiag_session"]
    page = at.client.get(to).text
    assert "one-time password" in page
    assert 'name="old"' not in page
    form = hidden(page)
    assert at.client.post("/login/password", data=form | {"csrf": "", "new": NEW, "again": NEW}).status_code == 403
    for new, again, said in (
        (NEW, NEW + "x", "are not the same"),
        ("short", "short", "cannot be used"),
        ("admin admin admin", "admin admin admin", "cannot be used"),
        (password, password, "cannot be used"),
    ):
        answer = at.client.post("/login/password", data=form | {"new": new, "again": again})
        assert (answer.status_code, said in answer.text) == (422, True), new
        form = hidden(answer.text)
    done = at.client.post("/login/password", data=form | {"new": NEW, "again": NEW})
    assert (done.status_code, done.headers["location"]) == (303, "/console/print/terminal/north/t1")
    assert at.client.cookies["posdiag_session"] != old
    me = at.client.get("/api/v1/me").json()
    assert (me["name"], me["must_change"]) == ("admin", False)
    assert _audited(at, "account.password") == ["admin"]
    at.client.cookies.set("posdiag_session", old)
    assert at.client.get("/api/v1/me", headers={"cookie": f"posdiag_session={old}"}).status_code == 401


def test_whoever_has_a_password_needs_it_to_choose_another(at: Shop) -> None:
    at.account()
    at.log_in()
    form = hidden(at.client.get("/login/password").text) | {"new": NEW, "again": NEW}
    for old in ({}, {"old": "not it"}):
        answer = at.client.post("/login/password", data=form | old)
        assert (answer.status_code, "present password is wrong" in answer.text) == (403, True)
    assert at.client.post("/login/password", data=form | {"old": PASSWORD}).headers["location"] == "/console/"
    assert at.client.get("/api/v1/me").status_code == 200


def test_leaving_ends_the_session_and_no_other_site_can_do_it(at: Shop) -> None:
    at.account()
    assert at.client.post("/logout").headers["location"] == "/login"
    at.log_in()
    word = at.client.get("/api/v1/me").json()["csrf"]
    refused = at.client.post("/logout", data={"csrf": "x"})
    assert (refused.status_code, at.client.get("/api/v1/me").status_code) == (403, 200)
    held = at.client.cookies["posdiag_session"]
    left = at.client.post("/logout", data={"csrf": word})
    assert (left.status_code, left.headers["location"]) == (303, "/login?left")
    assert "You are logged out." in at.client.get("/login?left").text
    assert at.client.get("/api/v1/me", headers={"cookie": f"posdiag_session={held}"}).status_code == 401


def test_whoever_is_nobody_is_sent_to_log_in_and_back(at: Shop) -> None:
    asked = "/console/print/terminal/north/t1?lang=zh"
    sent = at.client.get(asked)
    assert sent.status_code == 303
    at.account()
    at.world.terminal()
    form = at.client.get(sent.headers["location"])
    told = hidden(form.text) | {"name": "ann", "password": PASSWORD}
    assert at.client.post("/login", data=told).headers["location"] == asked
    assert at.client.get(asked).status_code == 200


def test_the_way_by_another_provider_is_offered_where_there_is_one(database: Database) -> None:
    settings = Settings(
        oidc_issuer="https://login.example.org", oidc_client_id="posdiag", public_url="https://pos.example.org"
    )
    with shop(new_world(database), settings=settings, provider=Provider(settings)) as at:
        answer = at.client.get("/login?lang=en")
        assert 'href="/api/v1/oidc/login?next=%2Fconsole%2F"' in answer.text
        asked = at.client.get("/login?lang=en&next=%2Fconsole%2Fqueue%3Fq%3Da%26b").text
        assert 'href="/api/v1/oidc/login?next=%2Fconsole%2Fqueue%3Fq%3Da%26b"' in asked
        assert "evil" not in at.client.get("/login?lang=en&next=//evil.example.org").text.split("oidc/login")[1]
        assert "Secure" in answer.headers["set-cookie"]


def test_without_one_it_is_not(at: Shop) -> None:
    answer = at.client.get("/login", headers={"accept-language": "fr,zh;q=0.8,en;q=0.5"})
    assert "/oidc/" not in answer.text
    assert '<html lang="zh-CN">' in answer.text


def test_what_was_typed_is_text(at: Shop) -> None:
    answer = at.log_in(name='"><script>alert(1)</script>', password="x")
    assert "<script>" not in answer.text
    assert "&#34;&gt;&lt;script&gt;" in answer.text
