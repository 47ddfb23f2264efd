from __future__ import annotations

import json
import random
import zlib
from typing import Any

from center.ledger import DIGEST_S, REMEMBERED, Ledger

BASE = "pos/1/demo/till-1"
HEAD = {"v": 1, "boot": 3, "at": "2026-11-21T10:00:00.000Z", "up_ms": 5, "clock": "synced"}


def take(ledger: Ledger, rest: str, body: dict[str, Any], *, now: float = 0.0) -> None:
    ledger.take(f"{BASE}/{rest}", json.dumps({**HEAD, **body}).encode(), now)


def event(ledger: Ledger, seq: int, event: str = "test", **more: Any) -> None:
    data = more.pop("data", {"seq": seq})
    take(ledger, "event", {"seq": seq, "event": event, "data": data, **more})


def gap(ledger: Ledger, seq: int, **data: Any) -> None:
    event(ledger, seq, "store.gap", data={"class": "event", "boot": 3, "why": "full", **data})


def told(ledger: Ledger, now: float = 0.0) -> dict[str, Any]:
    return ledger.report(now)["terminals"]["demo/till-1"]


def missing(ledger: Ledger) -> list[tuple[int, str, list[list[int]]]]:
    return [(s["boot"], s["class"], s["missing"]) for s in told(ledger)["streams"] if s["missing"]]


def test_everything_there_is_complete_in_any_order_and_twice() -> None:
    ledger = Ledger(from_start=True)
    seqs = [*range(1, 200)] * 2
    random.Random(1).shuffle(seqs)
    for seq in seqs:
        event(ledger, seq, late=random.Random(seq).random() < 0.5)
    assert ledger.report(0)["complete"] is True
    assert (told(ledger)["duplicates"], told(ledger)["uncompared"]) == (199, 0)
    assert 0.3 < told(ledger)["late_share"] < 0.7
    assert told(ledger)["streams"][0]["arrived"] == 199


def test_a_hole_is_missing_until_it_arrives_or_a_receipt_does() -> None:
    ledger = Ledger(from_start=True)
    for seq in (2, 3, 6, 9):
        event(ledger, seq)
    assert missing(ledger) == [(3, "event", [[1, 1], [4, 5], [7, 8]])]
    assert ledger.report(0)["complete"] is False
    event(ledger, 1)
    event(ledger, 7, late=True)
    gap(ledger, 10, first=4, last=5, n=2)
    assert missing(ledger) == [(3, "event", [[8, 8]])]
    gap(ledger, 11, first=8, last=8, n=1, why="disk")
    assert ledger.report(0)["complete"] is True
    assert told(ledger)["streams"][0]["receipts"] == {"full": 2, "disk": 1}


def test_a_receipt_that_comes_twice_counts_once() -> None:
    ledger = Ledger(from_start=True)
    for seq in (1, 4):
        event(ledger, seq)
    gap(ledger, 5, first=1, last=4, n=1)
    gap(ledger, 5, first=1, last=4, n=1)
    assert missing(ledger) == [(3, "event", [[3, 3]])]


def test_who_joins_late_does_not_ask_for_what_was_before_but_for_all_of_a_later_boot() -> None:
    ledger = Ledger()
    event(ledger, 100)
    event(ledger, 102, boot=3)
    event(ledger, 2, boot=4)
    event(ledger, 50, boot=2)
    assert missing(ledger) == [(3, "event", [[101, 101]]), (4, "event", [[1, 1]])]


def test_one_key_with_two_contents_is_a_violation_late_or_not() -> None:
    ledger = Ledger()
    event(ledger, 1, data={"n": 1})
    event(ledger, 1, data={"n": 1}, late=True)
    assert told(ledger)["findings"] == []
    event(ledger, 1, data={"n": 2})
    assert told(ledger)["findings"] == ["boot 3 event 1 came with two different contents"]
    assert ledger.report(0)["complete"] is False
    event(ledger, 1, boot=4, data={"n": 2})
    assert told(ledger)["violations"] == 1, "another boot is another key"


def test_a_duplicate_too_old_to_compare_is_said_to_be() -> None:
    ledger = Ledger()
    for seq in range(1, REMEMBERED + 2):
        event(ledger, seq)
    event(ledger, 1, data={"other": True})
    event(ledger, REMEMBERED)
    assert (told(ledger)["duplicates"], told(ledger)["uncompared"], told(ledger)["violations"]) == (2, 1, 0)
    assert len(ledger.accounts["demo/till-1"].contents) <= REMEMBERED


def test_one_raising_of_a_fault_is_said_once() -> None:
    ledger = Ledger()
    first = {"fault": "printer/paper_out", "first_at": "2026-11-21T10:00:00.000Z"}
    event(ledger, 1, "fault.raised", data=first)
    event(ledger, 2, "fault.cleared", data=first)
    event(ledger, 3, "fault.raised", data={**first, "first_at": "2026-11-21T10:05:00.000Z"})
    assert told(ledger)["violations"] == 0
    event(ledger, 4, "fault.raised", data={**first, "evidence": {"n": 2}})
    assert "again, after boot 3 event 1" in told(ledger)["findings"][0]
    gap(ledger, 5, first=9, last=9, n=1, why="memory")
    assert told(ledger)["violations"] == 0, "a terminal that lost its memory, and says so, may repeat itself"


def test_a_store_that_was_reset_explains_what_was_before_it() -> None:
    ledger = Ledger(from_start=True)
    event(ledger, 4, boot=2)
    event(ledger, 5, "store.reset", data={"moved_to": "x", "why": "y"})
    event(ledger, 8)
    assert missing(ledger) == [(3, "event", [[6, 7]])]
    assert told(ledger)["streams"][0]["receipts"] == {"store.reset": 3}


def test_telemetry_and_results_count_for_themselves_and_telemetry_is_inflated() -> None:
    ledger = Ledger(from_start=True)
    body = {**HEAD, "seq": 2, "samples": [[0, {"a.b": 1}]]}
    ledger.take(f"{BASE}/telemetry", zlib.compress(json.dumps(body).encode()), 0)
    take(ledger, "result/c-1", {"seq": 1, "id": "c-1", "state": "accepted"})
    assert missing(ledger) == [(3, "telemetry", [[1, 1]])]


def test_what_is_not_of_the_contract_is_a_violation_or_counted() -> None:
    ledger = Ledger()
    ledger.take(f"{BASE}/event", b"{}", 0)
    ledger.take(f"{BASE}/telemetry", b"\xff\xfe", 0)
    ledger.take(f"{BASE}/telemetry", zlib.compress(b"0" * 10_000_000), 0)
    gap(ledger, 1, first=5, last=4, n=1)
    gap(ledger, 2, first=1, last="4", n=1)
    assert told(ledger)["violations"] == 5
    ledger.take("other/topic", b"{}", 0)
    assert ledger.report(0)["refused"] == 1


def fault(ledger: Ledger, key: str, state: str, now: float) -> None:
    body = {"fault": key, "state": state, "severity": "major", "cause": None, "symptoms": [], "count": 1}
    times = {"first_at": HEAD["at"], "last_at": HEAD["at"]}
    rest = {"device": "printer", "evidence": {}, "advice": "x", "act": "merchant", "basis": "measured"}
    take(ledger, f"fault/{key}", {**body, **times, **rest}, now=now)


def state(ledger: Ledger, status: str, conn: int, now: float = 0.0) -> None:
    take(ledger, "state", {"status": status, "conn": conn, "reason": "connection_lost"}, now=now)


def test_the_digest_must_agree_with_the_fault_topics_after_its_minute() -> None:
    ledger = Ledger()
    state(ledger, "online", 1)
    fault(ledger, "printer/paper_out", "raised", 0)
    take(ledger, "faults", {"faults": ["printer/paper_out"]}, now=0)
    assert told(ledger, 999)["complete"] is True
    fault(ledger, "printer/paper_out", "cleared", 1000)
    assert told(ledger, 1000 + DIGEST_S - 1)["complete"] is True
    assert told(ledger, 1000 + DIGEST_S - 1)["digest_differs_s"] == DIGEST_S - 1
    assert "'printer/paper_out'] that no fault topic says" in told(ledger, 1001 + DIGEST_S)["findings"][0]
    take(ledger, "faults", {"faults": []}, now=1001 + DIGEST_S)
    assert told(ledger, 9999)["complete"] is True


def test_a_terminal_that_is_away_owes_no_digest_until_it_is_back() -> None:
    ledger = Ledger()
    state(ledger, "online", 1)
    take(ledger, "faults", {"faults": []}, now=0)
    fault(ledger, "printer/paper_out", "flapping", 0)
    state(ledger, "offline", 1)
    assert told(ledger, 999)["complete"] is True
    state(ledger, "online", 2, now=1000)
    assert told(ledger, 1010)["complete"] is True
    assert told(ledger, 1001 + DIGEST_S)["complete"] is False


def test_a_will_of_an_older_connection_is_ignored() -> None:
    ledger = Ledger()
    state(ledger, "online", 2)
    state(ledger, "offline", 1)
    assert (told(ledger)["status"], told(ledger)["ignored_states"], told(ledger)["conn"]) == ("online", 1, 2)
    state(ledger, "offline", 2)
    assert told(ledger)["status"] == "offline"
    take(ledger, "state", {"status": "online", "conn": 1, "reason": "running", "boot": 4})
    assert (told(ledger)["status"], told(ledger)["violations"]) == ("online", 0), "a new boot is newer in any case"
    take(ledger, "state", {"status": "online", "conn": 2, "reason": "running"})
    assert told(ledger)["findings"] == ["connection 2 of boot 3 after 1"], "only a will may come late"


def test_an_account_goes_on_where_it_was() -> None:
    ledger = Ledger(from_start=True)
    for seq in (2, 4):
        event(ledger, seq)
    gap(ledger, 5, first=1, last=1, n=1)
    fault(ledger, "printer/paper_out", "raised", 0)
    take(ledger, "faults", {"faults": []}, now=0)
    event(ledger, 6, "store.reset", boot=1)
    later = Ledger()
    later.load(json.loads(json.dumps(ledger.dump())))
    assert later.dump() == ledger.dump()
    event(later, 4)
    assert told(later)["uncompared"] == 1
    assert missing(later) == missing(ledger) == [(3, "event", [[3, 3]])]
    event(later, 1, boot=4)
    event(later, 3, boot=4)
    assert (4, "event", [[2, 2]]) in missing(later)
