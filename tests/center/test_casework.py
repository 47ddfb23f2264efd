"""Knowledge, visits, the merchant's side, the record and the figures."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from agent import report_code
from agent.vocabulary import VOCABULARY
from agent.wire import timestamp
from center.access.scope import EVERYTHING, Scope
from center.console.case_record import canonical, record
from center.db.engine import Database
from center.db.tables import case_steps, cases, guides, remedies, surveys
from center.domain import case_sheet, knowledge, merchant, reports
from center.domain.cases_book import CaseError, NoCase
from center.domain.cases_intake import report_key
from center.domain.cases_messages import CaseMessages
from center.domain.cases_opening import NewCase
from center.domain.commands_key import Signer
from center.domain.dispatch import Dispatch, NotGenuine, plan, verify
from center.domain.grouping import OFFLINE
from center.domain.knowledge_problems import Problems, candidates, cases_of
from center.domain.merchant import MerchantDesk
from center.domain.refusal import Refusal
from center.domain.remedies import success, wilson
from center.domain.texts import TooLong, fault_title, short_message
from tests.agent import statuses
from tests.center.actions import person
from tests.center.desk_world import AGENT, DAY, ESTATE, HOUR, MINUTE, World, act

FAULT = "printer/mechanical_error"
ANN, BOB = person("ann", "lead"), person("bob", "lead")
ANN_BY_TOKEN = replace(ANN, name="token ann's script", token_id="tok-1")


@pytest.fixture
def world(database: Database) -> World:
    made = World(database)
    made.site()
    made.terminal()
    return made


def opened(world: World, fault: str = FAULT, terminal: str = "t1", **more: Any) -> dict[str, Any]:
    case, _ = world.cases.open(act(), NewCase(estate=ESTATE, terminal=terminal, fault=fault, **more))
    return dict(case)


def solved(world: World, remedy: str, *, works: bool = True, terminal: str = "t1", part: str = "") -> dict[str, Any]:
    """A case from its beginning to the merchant's answer."""
    world.terminal(terminal)
    case = opened(world, terminal=terminal)
    world.cases.repaired(AGENT, case["id"], remedy, part={"name": part} if part else None)
    world.fault(state="cleared", terminal=terminal)
    world.run()
    world.later(31 * MINUTE)
    MerchantDesk(world.database, world.policy, lambda: world.now_ms).answer(case["merchant_token"], works=works)
    return world.case(id=case["id"])


# --- knowledge -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_fault_has_a_title_a_guide_and_a_runbook(language: str) -> None:
    for fault in (*VOCABULARY, OFFLINE):
        told = knowledge.runbook(fault, language)
        assert told.look
        assert told.send
        assert told.skill in {"none", "basic", "device", "network", "security"}
        assert "{" not in told.part
        assert not told.part or told.part.isascii() == (language == "en"), told.part
        assert fault_title(fault, language) != fault
        assert any(ord(letter) > 0x4E00 for letter in told.look) == (language == "zh")
    assert knowledge.runbook("printer/haunted", language).look == ""


def test_what_is_tampered_with_is_never_cleared_from_afar() -> None:
    for fault in ("reader/tamper", "keypad/tamper", "security/case_opened"):
        assert knowledge.runbook(fault, "en").skill == "security"


def test_the_closest_approved_guide_wins(world: World) -> None:
    def write(title: str, **more: Any) -> str:
        facts = {"fault": FAULT, "language": "en", "title": title, "body": "do so"} | more
        return knowledge.propose(world.database, who=ANN, now_ms=world.now_ms, **facts)

    def found(**more: Any) -> Any:
        with world.database.read() as connection:
            return knowledge.guide_for(connection, FAULT, more.pop("language", "en"), "agent", **more)

    assert found().version == 0
    names = {
        "all": write("all"),
        "model": write("model", model="TM-T20"),
        "both": write("both", model="TM-T20", firmware="2.0"),
    }
    assert found().version == 0  # drafts are no guides
    for guide in names.values():
        knowledge.approve(world.database, guide, who=BOB, now_ms=world.now_ms)
    assert found().title == "all"
    assert found(model="TM-T20", firmware="9").title == "model"
    assert found(model="TM-T20", firmware="2.0").title == "both"
    assert found(model="other", firmware="2.0").title == "all"
    shipped = found(language="zh", model="TM-T20")
    assert (shipped.version, shipped.language) == (0, "zh")  # an English one is of no use to who reads Chinese
    knowledge.approve(world.database, write("换纸", language="zh"), who=BOB, now_ms=world.now_ms)
    assert found(language="zh", model="TM-T20").title == "换纸"
    assert found(model="TM-T20").title == "model"
    knowledge.approve(world.database, write("all, again"), who=BOB, now_ms=world.now_ms)
    assert (found().title, found().version) == ("all, again", 2)
    of_all = world.rows(guides, guides.c.model == "")
    states = {row["version"]: row["state"] for row in of_all if row["language"] == "en"}
    assert states == {1: "retired", 2: "approved"}
    with world.database.read() as connection:
        assert [each.title for each in knowledge.search(connection, "AGAIN", "en")][:1] == ["all, again"]
        assert knowledge.search(connection, "切刀", "zh")[0].fault == "printer/cutter_error"
        assert knowledge.search(connection, "100%", "en") == []


def test_a_guide_in_the_other_language_is_better_than_none(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def found(language: str) -> Any:
        with world.database.read() as connection:
            return knowledge.guide_for(connection, FAULT, language, "agent")

    whole = knowledge.guidance
    monkeypatch.setattr(knowledge, "guidance", lambda fault, spoken: whole(fault, spoken) if spoken == "en" else None)
    assert (found("zh").language, found("zh").version) == ("en", 0)
    facts = {"fault": FAULT, "language": "en", "title": "all", "body": "do so"}
    guide = knowledge.propose(world.database, who=ANN, now_ms=world.now_ms, **facts)
    knowledge.approve(world.database, guide, who=BOB, now_ms=world.now_ms)
    assert (found("zh").language, found("zh").title) == ("en", "all")
    monkeypatch.setattr(knowledge, "guidance", lambda *_: None)
    assert found("en").title == found("zh").title == "all"


def test_nobody_approves_their_own_guide(world: World) -> None:
    facts: dict[str, Any] = {"fault": FAULT, "language": "en", "title": "t", "body": "b"}
    guide = knowledge.propose(world.database, who=ANN, now_ms=1, **facts)
    assert ANN.name != ANN_BY_TOKEN.name
    for herself in (ANN, ANN_BY_TOKEN):
        with pytest.raises(Refusal, match="cannot be the second person"):
            knowledge.approve(world.database, guide, who=herself, now_ms=1)
    with pytest.raises(Refusal, match="is of none"):
        knowledge.approve(world.database, guide, who=replace(BOB, account_id=None), now_ms=1)
    knowledge.approve(world.database, guide, who=BOB, now_ms=1)
    with pytest.raises(CaseError, match="approved already"):
        knowledge.approve(world.database, guide, who=BOB, now_ms=1)
    with pytest.raises(CaseError, match="no fault that posdiag knows"):
        knowledge.propose(world.database, who=ANN, now_ms=1, **(facts | {"fault": "printer/haunted"}))


@pytest.mark.parametrize(
    ("worked", "tried", "low", "high"),
    [(0, 0, 0.0, 1.0), (10, 10, 0.7225, 1.0), (0, 10, 0.0, 0.2775), (8, 10, 0.4902, 0.9433), (80, 100, 0.7112, 0.8666)],
)
def test_wilsons_interval(worked: int, tried: int, low: float, high: float) -> None:
    assert wilson(worked, tried) == pytest.approx((low, high), abs=5e-5)


def test_remedies_are_judged_by_what_came_after(world: World) -> None:
    for number in range(3):
        solved(world, "part_replaced", terminal=f"a{number}", part="print head")
    solved(world, "cleaned", works=False, terminal="b0")
    with world.database.read() as connection:
        known = success(connection, EVERYTHING, f"{FAULT}|TM-T20", "1.4")
        assert success(connection, Scope(sites=("s2",)), f"{FAULT}|TM-T20", "1.4") == []
        other = success(connection, EVERYTHING, f"{FAULT}|other model")
    assert [(each.remedy, each.worked, each.failed, each.share) for each in known] == [
        ("part_replaced", 3, 0, 1.0),
        ("cleaned", 0, 1, 0.0),
    ]
    assert known[0].low == pytest.approx(0.4385, abs=1e-4)
    assert {each.basis for each in known} == {"firmware"}
    assert {each.basis for each in other} == {"fault"}


def test_only_the_last_remedy_gets_the_credit(world: World) -> None:
    case = opened(world)
    world.fault()
    world.cases.repaired(AGENT, case["id"], "cleaned")
    world.cases.repaired(AGENT, case["id"], "reseated")
    world.fault(state="cleared")
    world.run()
    world.later(31 * MINUTE)
    world.later(73 * HOUR)
    assert {row["remedy"]: row["worked"] for row in world.rows(remedies)} == {"cleaned": "no", "reseated": "yes"}
    with pytest.raises(CaseError, match="a remedy is one of"):
        world.cases.repaired(AGENT, case["id"], "prayed")


def test_similar_cases_come_by_likeness(world: World) -> None:
    near = solved(world, "part_replaced", terminal="a1", part="print head")
    world.terminal("a2", firmware="0.9")
    other_firmware = opened(world, terminal="a2")
    world.cases.dismiss(AGENT, other_firmware["id"], "false_alarm", "a test")
    case = opened(world)
    with world.database.read() as connection:
        found = knowledge.similar(connection, EVERYTHING, case)
        assert knowledge.similar(connection, Scope(regions=("west",)), case) == []
    assert [(each.id, each.alike) for each in found] == [(near["id"], 3), (other_firmware["id"], 2)]
    assert found[0].part == "print head"


def test_many_cases_of_one_kind_ask_for_a_problem(world: World) -> None:
    desk = Problems(world.database, world.policy, lambda: world.now_ms)
    for number in range(5):
        world.terminal(f"p{number}")
        opened(world, terminal=f"p{number}")
    with world.database.read() as connection:
        (found,) = candidates(connection, EVERYTHING, world.now_ms)
    assert (found.signature, found.cases_n, found.terminals_n) == (f"{FAULT}|TM-T20", 5, 5)
    problem = desk.open("ann", "heads fail early", found.signature)
    with pytest.raises(CaseError, match="has a workaround"):
        desk.change(problem, state="known")
    desk.change(problem, state="known", workaround="lower the density", root_cause="wear")
    case = world.case(terminal="p0")
    desk.link(AGENT, case["id"], problem)
    assert world.case(id=case["id"])["root_cause"] == "wear"
    with world.database.read() as connection:
        assert candidates(connection, EVERYTHING, world.now_ms) == []
        assert [row.id for row in cases_of(connection, EVERYTHING, problem)] == [case["id"]]
    with pytest.raises(NoCase):
        desk.link(AGENT, case["id"], "problem-none")


def test_warnings_become_advice(world: World) -> None:
    world.fault("printer/head_worn", severity="warning", evidence={"metres": 98000})
    world.fault("printer/mechanical_error")
    world.fault("power/battery_worn", "cleared")
    with world.database.read() as connection:
        (advice,) = knowledge.preventive(connection, EVERYTHING, "zh", site="s1")
        assert knowledge.preventive(connection, Scope(sites=("s2",)), "zh") == []
    assert (advice.fault, advice.terminal, advice.reason["metres"]) == ("printer/head_worn", "t1", 98000)
    assert advice.do


# --- visits ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def signer(tmp_path: Path) -> tuple[Signer, Ed25519PublicKey]:
    key = Ed25519PrivateKey.generate()
    raw = {"d": key.private_bytes_raw(), "x": key.public_key().public_bytes_raw()}
    jwk = {"kty": "OKP", "crv": "Ed25519", "kid": "k1"}
    jwk |= {name: base64.urlsafe_b64encode(value).rstrip(b"=").decode() for name, value in raw.items()}
    path = tmp_path / "command.jwk"
    path.write_text(json.dumps(jwk))
    path.chmod(0o600)
    return Signer(path), key.public_key()


def test_a_visit_is_announced_with_what_is_needed(world: World, signer: tuple[Signer, Ed25519PublicKey]) -> None:
    solved(world, "part_replaced", terminal="a1", part="print head")
    world.site(contacts=[{"name": "Li", "phone": "+8613800000000"}], timezone="Asia/Shanghai")
    world.fault(evidence={"raw": "10"}, basis="measured", count=3)
    case = opened(world)
    desk = Dispatch(world.database, world.policy, lambda: world.now_ms, signer[0])
    begin, end = world.now_ms + HOUR, world.now_ms + 5 * HOUR
    with world.database.read() as connection:
        known, in_zh = (plan(connection, EVERYTHING, case, language) for language in ("en", "zh"))
    assert (known.part, known.part_seen, known.skill) == ("print head", 1, "device")
    assert (in_zh.part, in_zh.part_seen) == ("打印头", 1)
    assert known.diagnosis == {
        "en": f"{fault_title(FAULT, 'en')} (measured, seen 3 times): raw 10",
        "zh": f"{fault_title(FAULT, 'zh')}（实测，出现 3 次）：raw 10",
    }
    assert known.access[0]["name"] == "Li"
    sent, code = desk.send(act("v1"), case["id"], "Zhang San", begin, end, access="back door")
    assert desk.send(act("v1"), case["id"], "Zhang San", begin, end)[1] == code
    assert (sent["state"], sent["part"], sent["work_order_until_ms"]) == ("dispatched", "打印头", end)
    with world.database.read() as connection:
        shown = {
            language: case_sheet.sheet(connection, EVERYTHING, sent, language, world.policy, world.now_ms)["visit"]
            for language in ("en", "zh")
        }
    assert {language: told["part"] for language, told in shown.items()} == {"en": "print head", "zh": "打印头"}
    assert {language: told["diagnosis"] for language, told in shown.items()} == known.diagnosis
    visit = verify(code, signer[1], f"{ESTATE}/t1", begin / 1000)
    assert (visit.technician, visit.number) == ("Zhang San", f"C-{case['number']}")
    (told,) = world.told("case.visit")
    assert "请核对上门码" in told["short"]
    world.messages = CaseMessages(world.database, world.policy, signer[0], "desk-1")
    world.run()
    said = json.loads(base64.b64decode(world.posts("mqtt")[-1]["payload"]))
    claims = jwt.decode(said["visit"], signer[1], ["EdDSA"], options={"verify_aud": False})
    assert claims == {"iss": "desk-1", "aud": f"{ESTATE}/t1", "until": end // 1000}
    assert said["work_order_until"] == timestamp(end / 1000)
    sent_before = len(world.posts("mqtt"))
    world.later(MINUTE)
    assert len(world.posts("mqtt")) == sent_before, "signed anew it says the same"
    world.event("work_order.opened", {"by": "center", "until_s": end // 1000})
    world.event("work_order.opened", {"by": "terminal", "until_s": end // 1000})
    world.event("device.swapped", {"device": "printer"})
    world.run()
    world.cases.repaired(AGENT, case["id"], "part_replaced")
    world.fault(state="cleared")
    world.event("work_order.closed", {"by": "terminal"})
    world.run()
    after = world.case(id=case["id"])
    assert (after["state"], after["visits"]) == ("watching", 1)
    kinds = world.steps(case["id"])
    for kind in ("dispatched", "visit_announced", "checked_in", "device_swapped", "repaired", "checked_out"):
        assert kinds.count(kind) == 1, kind


@pytest.mark.parametrize(
    ("place", "at", "said"),
    [
        (f"{ESTATE}/t2", 0, "not a visit code of ours for this terminal"),
        (f"{ESTATE}/t1", -HOUR, "not due yet"),
        (f"{ESTATE}/t1", 5 * HOUR, "has expired"),
    ],
)
def test_a_visit_code_is_for_here_and_now(
    world: World, signer: tuple[Signer, Ed25519PublicKey], place: str, at: int, said: str
) -> None:
    desk = Dispatch(world.database, world.policy, lambda: world.now_ms, signer[0])
    _, code = desk.send(act(), opened(world)["id"], "Zhang San", world.now_ms, world.now_ms + 4 * HOUR)
    with pytest.raises(NotGenuine, match=said):
        verify(code, signer[1], place, (world.now_ms + at) / 1000)
    with pytest.raises(NotGenuine, match="not a visit code"):
        verify(code, Ed25519PrivateKey.generate().public_key(), f"{ESTATE}/t1", world.now_ms / 1000)


def test_without_a_key_a_visit_says_that_it_has_no_code(world: World) -> None:
    desk = Dispatch(world.database, world.policy, lambda: world.now_ms)
    case, code = desk.send(act(), opened(world)["id"], "Zhang San", world.now_ms, world.now_ms + HOUR)
    assert (code, case["data"]["dispatch"]["no_code"]) == ("", "no command key is configured")
    back = desk.cancel(act(), case["id"], "the shop is shut")
    assert (back["state"], back["work_order_until_ms"]) == ("assigned", None)


@pytest.mark.parametrize(
    ("name", "begin", "end", "said"),
    [
        ("Z", 0, HOUR, "2 to 60 letters"),
        ("<b>Zhang</b>", 0, HOUR, "2 to 60 letters"),
        ("Zhang San", HOUR, HOUR, "ends after that"),
        ("Zhang San", -3 * HOUR, HOUR, "begins from now on"),
        ("Zhang San", 0, 4 * DAY, "three days"),
    ],
)
def test_a_visit_that_cannot_be(world: World, name: str, begin: int, end: int, said: str) -> None:
    desk = Dispatch(world.database, world.policy, lambda: world.now_ms)
    with pytest.raises(CaseError, match=said):
        desk.send(act(), opened(world)["id"], name, world.now_ms + begin, world.now_ms + end)


# --- the merchant ----------------------------------------------------------------------------------------------------


@pytest.fixture
def desk(world: World) -> MerchantDesk:
    return MerchantDesk(world.database, world.policy, lambda: world.now_ms)


def test_the_page_says_what_is_wrong_and_what_to_do(world: World, desk: MerchantDesk) -> None:
    world.fault("printer/paper_out", act="merchant")
    case = opened(world, "printer/paper_out")
    world.cases.set_eta(AGENT, case["id"], world.now_ms + HOUR)
    world.cases.set_eta(AGENT, case["id"], world.now_ms + 2 * HOUR, "traffic")
    world.cases.note(AGENT, case["id"], "between us")
    world.cases.message(AGENT, case["id"], "纸已寄出")
    page = desk.page(case["merchant_token"])
    assert (page.language, page.site, page.number, page.channel) == (
        "zh",
        "Corner shop",
        f"C-{case['number']}",
        "请拨打100",
    )
    assert page.sentence == fault_title("printer/paper_out", "zh")
    assert page.steps
    assert (page.eta_ms, page.eta_was_ms) == (world.now_ms + 2 * HOUR, world.now_ms + HOUR)
    assert [(ours, text) for _, ours, text in page.messages] == [(True, "纸已寄出")]
    assert page.may_answer
    assert desk.page(case["merchant_token"], "en").sentence == fault_title("printer/paper_out", "en")
    assert "between us" not in repr(page)


@pytest.mark.parametrize("token", ["", "x", "case-1", None])
def test_a_wrong_link_shows_nothing(desk: MerchantDesk, world: World, token: str | None) -> None:
    case = opened(world)
    with pytest.raises(NoCase, match="no such page"):
        desk.page(case["merchant_token"][:-1] if token is None else token)


def test_links_cannot_be_guessed(world: World) -> None:
    tokens = {opened(world, kind="question", said=str(n))["merchant_token"] for n in range(20)}
    assert len(tokens) == 20
    assert all(len(token) == 22 for token in tokens)  # 128 bits


def test_works_closes_and_still_broken_reopens(world: World, desk: MerchantDesk) -> None:
    good = solved(world, "cleaned")
    assert (good["state"], good["outcome"]) == ("closed", "confirmed")
    bad = solved(world, "cleaned", works=False, terminal="t2")
    assert (bad["state"], bad["reopened"]) == ("reopened", 1)
    desk.answer(good["merchant_token"], works=False, said="again!")
    assert world.case(id=good["id"])["state"] == "reopened"


def test_the_merchants_word_alone_does_not_open_the_gate(world: World, desk: MerchantDesk) -> None:
    world.fault()
    case = opened(world)
    desk.answer(case["merchant_token"], works=True)
    assert world.case(id=case["id"])["state"] == "new"
    world.fault(state="cleared")
    world.run()
    assert world.case(id=case["id"])["state"] == "watching"


def test_an_answer_sent_twice_counts_once(world: World, desk: MerchantDesk) -> None:
    case = opened(world)
    for _ in range(3):
        desk.write(case["merchant_token"], "hello", key="k1")
    assert world.steps(case["id"]).count("message") == 1
    assert len(world.told("case.message_in")) == 1


def test_the_survey_is_for_once_and_after_the_end(world: World, desk: MerchantDesk) -> None:
    token = opened(world)["merchant_token"]
    with pytest.raises(CaseError, match="not closed"):
        desk.rate(token, 5, language="en")
    done = solved(world, "cleaned")
    assert desk.page(token).may_rate
    with pytest.raises(CaseError, match="1 to 5"):
        desk.rate(token, 6, language="en")
    assert not desk.rate(token, 4, "quick; 4111111111111111").may_rate
    with pytest.raises(CaseError, match="rated already"):
        desk.rate(token, 1, language="en")
    (row,) = world.rows(surveys)
    assert (row["case_id"], row["score"], row["text"]) == (done["id"], 4, "quick; <pan:16>")


def test_a_link_takes_only_so_much(world: World, desk: MerchantDesk) -> None:
    token = opened(world)["merchant_token"]
    for number in range(merchant.MOST_AN_HOUR):
        desk.write(token, f"message {number}")
    with pytest.raises(CaseError, match="一小时内提交过多"):
        desk.write(token, "one more")
    world.now_ms += 61 * MINUTE
    desk.write(token, "one more")
    with pytest.raises(CaseError, match="at most 2000"):
        desk.write(token, "x" * 2001, language="en")


def test_a_link_ends_some_time_after_its_case(world: World, desk: MerchantDesk) -> None:
    token = solved(world, "cleaned")["merchant_token"]
    world.now_ms += merchant.LINK_DAYS * DAY
    assert desk.page(token).state == "closed"
    world.now_ms += 1
    for ask in (lambda: desk.page(token), lambda: desk.answer(token, works=False)):
        with pytest.raises(NoCase, match="no such page"):
            ask()


def test_whether_payments_can_be_taken_is_what_is_heard_now(world: World, desk: MerchantDesk) -> None:
    world.fault()
    token = opened(world)["merchant_token"]
    for told, said in (
        ({"can_sell": "no"}, "no"),
        ({"can_sell": "degraded"}, "degraded"),
        ({"can_sell": None}, "unknown"),
        ({"can_sell": "yes", "status": "offline"}, "unknown"),
        ({"can_sell": "yes", "last_contact_ms": world.now_ms - HOUR}, "unknown"),
    ):
        world.terminal(**told)
        assert desk.page(token).can_sell == said
    world.terminal()
    world.fault(state="cleared")
    world.run()
    assert desk.page(token).can_sell == ""


def test_short_messages_fit_or_are_refused() -> None:
    facts = {"number": "C-1001", "title": "No paper", "channel": "Call 100"}
    assert short_message("opened", "en", **facts) == "Case C-1001 is open: No paper. Call 100"
    assert "<pan:16>" in short_message("opened", "zh", **(facts | {"title": "4111111111111111"}))
    with pytest.raises(TooLong, match="70 are the most"):
        short_message("opened", "zh", **(facts | {"title": "缺纸" * 40}))
    with pytest.raises(TooLong, match="160 are the most"):
        short_message("opened", "en", **(facts | {"title": "x" * 150}))


# --- slips -----------------------------------------------------------------------------------------------------------


def test_a_key_that_a_terminal_told_is_read() -> None:
    assert report_key({"inventory": {"agent": {"report_key": "ab" * 32}}}) == b"\xab" * 32
    for told in ({}, {"agent": {}}, {"agent": {"report_key": "xy" * 32}}, {"agent": {"report_key": "ab"}}):
        assert report_key({"inventory": told}) is None


KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
SLIP = report_code.encode(statuses.status(statuses.fault("modem/sim_absent", sim="absent")), KEY.sign)  # of demo/till-1


@pytest.mark.parametrize("told", [KEY.public_key().public_bytes_raw().hex(), ""])
def test_a_scanned_slip_opens_the_case_that_it_tells_of(world: World, told: str) -> None:
    world.terminal("till-1", estate="demo", inventory={"agent": {"report_key": told}})
    case, new = world.cases.open_scanned(act(), SLIP, "she photographed it")
    assert new
    assert (case["estate"], case["terminal"], case["fault"]) == ("demo", "till-1", "modem/sim_absent")
    assert (case["local_number"], case["channel"]) == ("482-719-365", "slip")
    (step,) = world.rows(case_steps, case_steps.c.kind == "opened")
    assert step["data"]["report"]["signature"] == ("verified" if told else "unknown_key")
    assert world.cases.open_scanned(act(), SLIP)[1] is False


@pytest.mark.parametrize(
    ("text", "key", "said"),
    [
        (SLIP, "ab" * 32, "another terminal made it, or somebody changed it"),
        (SLIP[:-5] + "00000", "", "damaged"),
        ("hello", "", "no help code"),
    ],
)
def test_a_slip_that_is_wrong_opens_nothing(world: World, text: str, key: str, said: str) -> None:
    world.terminal("till-1", estate="demo", inventory={"agent": {"report_key": key}})
    with pytest.raises(CaseError, match=said):
        world.cases.open_scanned(act(), text)
    assert world.rows(cases) == []


def test_a_slip_of_a_foreign_terminal_is_not_found(world: World) -> None:
    world.terminal("till-1", estate="demo")
    with pytest.raises(NoCase):
        world.cases.open_scanned(act(scope=Scope(estates=("other",))), SLIP)


# --- the record ------------------------------------------------------------------------------------------------------


class _Strict(HTMLParser):
    """Sees to it that what is opened is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.seen.add(tag)
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize(("language", "title"), [("en", "Record of case"), ("zh", "工单记录")])
def test_the_record_is_a_page_without_scripts(world: World, language: str, title: str) -> None:
    case = solved(world, "part_replaced", part="print <head>")
    world.cases.note(AGENT, case["id"], "<script>alert(1)</script> & co")
    with world.database.read() as connection:
        made = record(connection, EVERYTHING, case["id"], language, world.now_ms)
        again = record(connection, EVERYTHING, case["id"], "en", world.now_ms + DAY)
        outside = record(connection, EVERYTHING, case["id"], language, world.now_ms, internal=False)
        with pytest.raises(NoCase):
            record(connection, Scope(sites=("s2",)), case["id"], language, world.now_ms)
    parser = _Strict()
    parser.feed(made.html)
    assert parser.open == []
    assert "script" not in parser.seen
    assert title in made.html
    assert "&lt;script&gt;" in made.html
    assert "alert" not in outside.html
    assert made.digest in made.html
    assert made.digest == hashlib.sha256(made.content).hexdigest() == again.digest


def test_the_hash_tells_a_changed_step(world: World) -> None:
    case = opened(world)
    steps = world.rows(case_steps)
    facts = {"id": case["id"]}
    changed = [steps[0] | {"by": "eve"}]
    assert canonical(facts, steps) != canonical(facts, changed)


# --- figures ---------------------------------------------------------------------------------------------------------


def test_the_figures_of_a_month(world: World) -> None:
    begin = world.now_ms - DAY
    first = solved(world, "part_replaced", terminal="a1")
    MerchantDesk(world.database, world.policy, lambda: world.now_ms).rate(first["merchant_token"], 5)
    solved(world, "cleaned", works=False, terminal="a2")
    world.terminal("a3")
    false = opened(world, terminal="a3")
    world.cases.dismiss(AGENT, false["id"], "false_alarm", "a test")
    late = opened(world, "reader/card_jam")
    world.cases.acknowledge(AGENT, late["id"])
    world.cases.set_eta(AGENT, late["id"], world.now_ms + HOUR)
    world.cases.set_eta(AGENT, late["id"], world.now_ms + DAY, "later")
    world.cases.tag(AGENT, late["id"], add=("suggestion",))
    world.now_ms += 2 * HOUR
    world.cases.repaired(AGENT, late["id"], "recovered")
    world.fault("reader/card_jam", "cleared")
    world.run()
    world.later(31 * MINUTE)
    world.later(73 * HOUR)
    assert world.case(id=late["id"])["state"] == "closed"
    raised = {"fault": "printer/paper_out", "act": "merchant", "cause": None}
    for _ in range(4):
        world.event("fault.raised", raised)
        world.now_ms += 1000
    world.event("fault.raised", raised | {"cause": "power/mains_lost"})
    world.fault("printer/paper_out", act="merchant")
    with world.database.read() as connection:
        so_far = reports.Period(begin, world.now_ms + 1)
        assert reports.deflection(connection, EVERYTHING, so_far) == reports.Share(3, 3), "the last one still stands"
    world.later(31 * MINUTE)
    period = reports.Period(begin, world.now_ms + 1)
    with world.database.read() as connection:
        asked = (connection, EVERYTHING, period)
        times = reports.times(*asked)
        assert times["acknowledge"] == reports.Spread(1, 0, 0)
        assert times["repair"].n == 2
        assert reports.false_alarms(*asked) == reports.Share(1, 3)
        assert reports.repeats(*asked) == reports.Share(0, 2)
        assert reports.first_time_fix(*asked).share is None
        assert reports.deflection(*asked) == reports.Share(3, 4)
        assert reports.promises(*asked) == reports.Promises(reports.Share(0, 1), reports.Share(1, 1), 1)
        assert reports.deadlines(*asked)["solve"].of == 5
        assert reports.top(*asked, "operator")[0] == ("46001", FAULT, 2)
        assert reports.tags(*asked) == [("suggestion", "reader/card_jam", 1)]
        assert reports.satisfaction(*asked, "fault") == []  # one answer would say whose it is
        assert sum(reports.arrivals(*asked)) == 5
        nobody = (connection, Scope(sites=("s2",)), period)
        assert reports.times(*nobody)["repair"].n == 0
        assert reports.deflection(*nobody) == reports.Share(0, 0)


def test_satisfaction_by_group_once_there_are_three(world: World) -> None:
    rate = MerchantDesk(world.database, world.policy, lambda: world.now_ms).rate
    for number, score in enumerate((5, 4, 3)):
        rate(solved(world, "cleaned", terminal=f"c{number}")["merchant_token"], score)
    with world.database.read() as connection:
        (found,) = reports.satisfaction(connection, EVERYTHING, reports.Period(0, world.now_ms + 1), "fault")
    assert (found.group, found.rated, found.asked, found.score) == (FAULT, 3, 3, 4.0)
