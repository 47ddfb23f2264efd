"""What the API refuses, and what engines and terminals say, in the visitor's language."""

from __future__ import annotations

import ast
import asyncio
import re
from collections.abc import Awaitable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from center.api.app import create_app
from center.console import sentences
from center.console.session import Api, Refused
from center.db.engine import Database
from center.domain import campaigns_plan, campaigns_readiness, four_eyes
from center.domain.campaigns_plan import Tally
from center.domain.commands_engine import UNAPPROVED, UNENDED, UNHEARD
from center.settings import Settings
from tests.center.console.pages import new_world, shop

CENTER = Path(str(files("center")))
NAMES = {"Refusal": 1, "ApiError": 1, "CaseError": 0, "NoCase": 0, "AccountError": 0}
"""Exceptions of which people read the text, and where it stands among what they are given."""
ASIDE = {"oidc.py", "token.py"}
"""Read at the login with another account, and at the command line."""
LATER = {
    "say {what}": ["a reason", "a note", "what was said", "a message", "what it waits for", "an answer"],
    "the case is x7: {otherwise}": ["it is acknowledged already", "it is not being worked on", "it is closed"],
    "{_HOW}": [four_eyes._HOW],
}
"""What callers put into a sentence, where not any word stands."""


_ANOTHERS = re.compile(r"x7.*|[a-z]+: x7")
"""What only hands on the words of another."""
_SHOWN = {ord("r"): "'x7'"}


def _sentences(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in NAMES:
            given = node.args[NAMES[node.func.id] :]
            if given and isinstance(given[0], ast.Constant) and isinstance(given[0].value, str):
                yield given[0].value
            elif given and isinstance(given[0], ast.JoinedStr):
                yield from _filled(given[0])


def _filled(text: ast.JoinedStr) -> Iterator[str]:
    """With something in each of its blanks."""
    made = [""]
    for piece in text.values:
        if isinstance(piece, ast.Constant):
            made = [each + str(piece.value) for each in made]
        elif isinstance(piece, ast.FormattedValue):
            blank = f"{{{ast.unparse(piece.value)}}}"
            known = LATER.get(made[0] + blank) or LATER.get(blank)
            made = [each + value for each in made for value in known or [_SHOWN.get(piece.conversion, "x7")]]
    yield from made


def _all() -> list[str]:
    sources = (path for path in CENTER.rglob("*.py") if path.name not in ASIDE and path.parent.name != "console")
    found = {text for path in sources for text in _sentences(path)}
    return sorted(text for text in found if not _ANOTHERS.fullmatch(text))


def test_every_refusal_is_told_in_chinese() -> None:
    told = {text: sentences.refusal("zh", 409, text) for text in _all()}
    assert len(told) > 150
    assert [text for text, words in told.items() if text in words or words.isascii() or "{" in words] == []
    assert all(sentences.refusal("en", 409, text) == text for text in told)


@pytest.mark.parametrize(
    ("status", "text", "told"),
    [
        (409, "somebody changed the case meanwhile; look at it again", "其间有人修改了此工单，请重新查看"),
        (422, "an expected time lies in the future", "预计时间必须晚于现在"),
        (404, "there is no such terminal", "没有此终端，或不在您的权限范围内"),
        (409, "the case is watching: it is acknowledged already", "工单当前状态为“观察中”：已有人接手"),
        (403, "who made the campaign cannot be the second person", "创建批量任务的人不能同时作第二人"),
        (422, "reason: String should have at least 3 characters", "reason 至少 3 个字"),
        (409, "the guide is retired already", "指南已是“已停用”"),
        (422, "nobody wrote this one", "填写的内容不符合要求（nobody wrote this one）"),
        (418, "nor this", "中心未执行此操作（nor this）"),
    ],
)
def test_values_are_carried_over_and_what_is_unknown_stands_behind_its_status(
    status: int, text: str, told: str
) -> None:
    assert sentences.refusal("zh", status, text) == told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("the fault is back", "故障再次出现。"),
        ("The fault is back.", "故障再次出现。"),
        ("the merchant did not answer within 24 hours, and nothing speaks against it", "商户 24 小时内未答复，且没有相反的迹象。"),
        ("acknowledged by ann is undone", "ann 的接手已撤销"),
        ("3 of 10 failed, and 2 cannot sell since; more than 5% is too much", "10 台中有 3 台失败，另有 2 台此后无法收款，超过 5% 即停止"),
        ("it was not checked: no answer came", "未检查：没有收到答复"),
        ("somebody wrote this", "somebody wrote this"),
    ],
)  # fmt: skip
def test_what_an_engine_says_is_told_in_chinese(text: str, told: str) -> None:
    assert sentences.told("zh", text) == told


def test_every_word_that_ends_a_target_of_a_campaign_is_told_in_chinese() -> None:
    bad = [
        campaigns_plan.judge(Tally(succeeded=30, failed=10), 0.05, 60, 600).why,
        campaigns_plan.judge(Tally(succeeded=30, failed=10, hurt=2), 0.05, 60, 600).why,
        campaigns_plan.judge(Tally(succeeded=10, unanswered=30), 0.05, 60, 600).why,
    ]
    not_ready = campaigns_readiness.judge({}, {}, None, 9)["todo"]
    too_large = campaigns_readiness.judge({"too_large": 9}, {}, None, 9)["todo"]
    whole = {"readiness": {"score": 90, "ready": True, "todo": [], "unchecked": ["printer"]}}
    short = campaigns_readiness.judge(whole, {"printer.paper_days_left": 3.0}, "drifted", 9)["todo"]
    why = [each["why"] for each in [*not_ready, *too_large, *short]]
    assert len(why) == 5
    for text in [*bad, *why, UNHEARD, UNENDED, UNAPPROVED]:
        assert not sentences.told("zh", text).isascii(), text


def test_the_console_is_refused_in_the_language_of_its_visitor(database: Database) -> None:
    with shop(new_world(database)) as at:
        at.account()
        at.log_in()
        case = at.case()
        app = create_app(Settings(), database, now_ms=lambda: at.world.now_ms, policy=at.world.policy)
        api = Api(app, at.client.cookies["posdiag_session"], "127.0.0.1")
        api.language = "zh"

        async def refused(asked: Awaitable[Any]) -> tuple[int, str, str]:
            with pytest.raises(Refused) as told:
                await asked
            return told.value.status, str(told.value), told.value.said

        async def ask() -> None:
            api.csrf = (await api.get("/me"))["csrf"]
            eta = api.post(f"/cases/{case['id']}/eta", {"eta": "2020-01-01T00:00:00Z"})
            assert await refused(eta) == (422, "预计时间必须晚于现在", "an expected time lies in the future")
            nowhere = api.get("/terminals/north/none")
            assert (await refused(nowhere))[:2] == (404, "没有此终端，或不在您的权限范围内")
            await api.post(f"/cases/{case['id']}/acknowledge")
            again = api.post(f"/cases/{case['id']}/acknowledge")
            assert (await refused(again))[:2] == (409, "工单当前状态为“已接手”：已有人接手")
            await api.close()

        try:
            asyncio.run(ask())
        finally:
            app.state.center.close()
