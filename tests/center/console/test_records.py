"""Records to print: who may, what stands on them, and that it is written down."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import select, update

from center.access.audit import verify
from center.access.scope import Scope
from center.console.case_record import _STEPS
from center.db.engine import Database
from center.db.tables import accounts, audit, case_steps
from center.domain import inspection
from center.domain.cases_engine import _TOLD
from center.domain.merchant import MerchantDesk
from tests.center.console.pages import Shop, new_world, shop
from tests.center.desk_world import AGENT, DAY, ESTATE
from tests.center.fleet_rows import put

EVIL = "<script>alert(1)</script>"


@pytest.fixture
def at(database: Database) -> Iterator[Shop]:
    with shop(new_world(database)) as running:
        yield running


def _newest(at: Shop) -> Any:
    with at.world.database.read() as connection:
        assert verify(connection).broken_id is None
        return connection.execute(select(audit).order_by(audit.c.id.desc()).limit(1)).one()


@pytest.mark.parametrize(("lang", "title"), [("en", "Record of case"), ("zh", "工单记录")])
def test_a_case_is_printed_with_when_by_whom_and_the_line_of_the_audit(at: Shop, lang: str, title: str) -> None:
    case = at.case()
    at.world.cases.note(AGENT, case["id"], f"between us {EVIL}")
    at.account()
    at.log_in()
    for name in (f"C-{case['number']}", str(case["number"]), case["id"]):
        answer = at.client.get(f"/console/print/case/{name}?lang={lang}")
        assert answer.status_code == 200
        line = _newest(at)
        assert (line.who, line.what, line.target) == ("ann", "print", f"C-{case['number']}")
        printed = re.search(r'<p class="printed">(.*?)</p>', answer.text)
        assert printed is not None
        for said in ("2026-09-21 22:13", "ann", str(line.id), line.hash[:16]):
            assert said in printed.group(1)
        assert f"{title} C-{case['number']}" in answer.text
        assert "between us &lt;script&gt;" in answer.text
    assert answer.headers["content-security-policy"].startswith("default-src 'none'; style-src 'unsafe-inline'")
    assert "between us" not in at.client.get(f"/console/print/case/{case['id']}?internal=false").text
    assert _newest(at).detail == {"internal": False, "language": "en"}


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_record_says_cause_remedy_and_outcome_in_its_language(at: Shop, language: str) -> None:
    case = at.case()
    desk = at.world.cases
    desk.note(AGENT, case["id"], "failed")  # what a person wrote stays, be it a word of the center's
    desk.find_cause(AGENT, case["id"], "power_supply", "", {})
    desk.repaired(AGENT, case["id"], "part_replaced", part={"name": "print head", "old": "A1", "new": "A2"})
    later = {"case_id": case["id"], "at_ms": at.world.now_ms, "by": "center", "text": "solve: the deadline is missed"}
    put(at.world.database, case_steps, **later, kind="clock", data={"clock": "solve", "level": "breach"}, step_key="1")
    did = {"cmd": "check", "state": "succeeded"}
    put(at.world.database, case_steps, **later | {"text": ""}, kind="command", data=did, step_key="2")
    at.world.fault("printer/paper_out", "cleared")
    at.world.run()
    at.world.later(DAY)
    MerchantDesk(at.world.database, at.world.policy, lambda: at.world.now_ms).answer(case["merchant_token"], works=True)
    at.account()
    at.log_in()
    page = at.client.get(f"/console/print/case/{case['id']}?lang={language}").text
    for said in {
        "en": ("<dd>power supply</dd>", "Cause found: power supply", "Done: part replaced (print head A1 → A2)",
               "<dd>the merchant says that it works</dd>", "Deadline: Solved, late", "Remote action: Check, succeeded"),
        "zh": ("<dd>电源</dd>", "查明原因: 电源", "处理: 更换配件 (打印头 A1 → A2)", "<dd>商户确认已恢复</dd>",
               "时限: 解决, 已超时", "远程操作: 检测, 成功", "故障检测已恢复正常"),
    }[language]:  # fmt: skip
        assert said in page, said
    for raw in ("power_supply", "part_replaced", "confirmed", "the deadline is missed"):
        assert raw not in page
    assert "failed" in page


def test_the_api_keeps_its_policy_for_the_record_too(at: Shop) -> None:
    case = at.case()
    at.account()
    at.log_in()
    answer = at.client.get(f"/api/v1/cases/{case['id']}/record")
    assert answer.headers.get_list("content-security-policy") == [
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ]


def test_an_inspection_has_devices_lines_to_fill_in_and_history(at: Shop) -> None:
    devices = [
        {"name": "printer", "unit": "printer", "manufacturer": "Epson", "model": "TM-T20", "serial": EVIL},
        {"name": "modem", "unit": "modem", "model": "EC25", "serial": "", "firmware": "A05"},
    ]
    case = at.case(inventory={"devices": devices})
    swapped = {"device": "printer", "changed": {"serial": {"was": "P0", "is": "P1"}}, "announced": False}
    for event, data in (
        ("device.swapped", swapped),
        ("device.swapped", {"device": "modem", "changed": {"model": "EC21"}}),
        ("device.swapped", {"changed": "all"}),
        ("fault.raised", {"fault": "keypad/tamper"}),
        ("fault.raised", {"fault": "modem/weak_signal"}),
        ("fault.cleared", {"fault": "keypad/tamper"}),
        ("case.opened", {"work_order": True}),
        ("inspection", {"parts": []}),
        ("work_order.opened", {"by": "center"}),
        ("work_order.closed", {"by": "center"}),
        ("firmware.update", {"outcome": "failed_dev_ok", "device": "printer"}),
        ("boot", {"reason": "clean"}),
    ):
        at.world.event(event, data)
    at.account()
    at.log_in()
    answer = at.client.get(f"/console/print/terminal/{ESTATE}/t1?lang=en")
    line = _newest(at)
    assert (line.who, line.what, line.target) == ("ann", "print", f"{ESTATE}/t1")
    for said in (
        f"Printed 2026-09-21 22:13 by ann; audit entry {line.id}, {line.hash[:16]}",
        "Corner shop, 1 Nanjing Road",
        "Epson TM-T20",
        "&lt;script&gt;",
        "not told",
        "Seals and screws are whole",
        "Signature",
        "Part exchanged: printer",
        "Serial number P0 → P1; not announced",
        "Model EC21; not announced",
        "Reported: The keypad reports tampering",
        "Gone: The keypad reports tampering",
        "Case of the terminal opened",
        "Inspected, said at the terminal",
        "Visit announced",
        "Visit over",
        "Firmware update: failed; the device works as before",
        f"C-{case['number']}",
        "Times in Asia/Shanghai.",
    ):
        assert said in answer.text, said
    assert "weak" not in answer.text
    assert EVIL not in answer.text
    assert "style-src 'self';" in answer.headers["content-security-policy"]
    chinese = at.client.get(f"/console/print/terminal/{ESTATE}/t1?lang=zh").text
    assert "终端检查记录" in chinese
    assert "报告：密码键盘发出防拆警报" in chinese


def test_a_terminal_of_which_little_is_known_says_so(at: Shop) -> None:
    at.world.terminal("t9", inventory=None, model=None, firmware=None, site=None, last_contact_ms=None)
    at.account()
    at.log_in()
    page = at.client.get(f"/console/print/terminal/{ESTATE}/t9?lang=en").text
    for said in ("No inventory was heard", "not told", "never", "No exchange of parts", "There was no case"):
        assert said in page


def test_what_is_outside_of_the_scope_is_not_there(at: Shop) -> None:
    case = at.case()
    at.account(scope=Scope(sites=("s2",)))
    at.log_in()
    before = _newest(at).id
    for path in (f"case/C-{case['number']}", f"terminal/{ESTATE}/t1", "case/C-9", f"terminal/{ESTATE}/t9"):
        answer = at.client.get(f"/console/print/{path}?lang=en")
        assert (answer.status_code, "There is nothing here." in answer.text) == (404, True)
    assert _newest(at).id == before


def test_who_may_not_read_prints_nothing(at: Shop) -> None:
    case = at.case()
    at.account()
    at.log_in()
    with at.world.database.begin() as connection:
        connection.execute(update(accounts).values(roles=[]))
    answer = at.client.get(f"/console/print/case/{case['id']}?lang=en")
    assert (answer.status_code, "You may not see this." in answer.text) == (403, True)


def test_a_long_history_says_that_it_is_cut(at: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspection, "MOST", 3)
    at.world.terminal()
    for _ in range(4):
        at.world.event("inspection")
        at.world.now_ms += DAY
    at.account()
    at.log_in()
    page = at.client.get(f"/console/print/terminal/{ESTATE}/t1?lang=en").text
    assert page.count("Inspected, said") == 3
    assert "Only the newest 3 entries" in page


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_step_that_a_terminal_causes_has_words(language: str) -> None:
    told = {*_TOLD.values(), "visit_announced", "visit_ended", "grouped", "merged", "problem", "tagged"}
    assert told <= set(_STEPS[language])
    assert set(_STEPS["en"]) == set(_STEPS["zh"])
