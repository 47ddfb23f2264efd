from __future__ import annotations

from typing import Any

import pytest

from agent import faults, wire
from agent.brief import brief, brief_each
from agent.commands import MAX_OUTPUT_BYTES
from agent.model import Fault
from agent.readiness import readiness
from agent.vocabulary import VOCABULARY

DROPS = ["steps", "readings", "evidence", "symptoms", "advice", "history", "texts", "faults"]


def report(count: int, root: str = "") -> dict[str, Any]:
    """A check that found so many faults, each a root with evidence; Chinese takes most room."""
    found = [
        faults.body(
            Fault(
                key=key,
                state="raised",
                severity=VOCABULARY[key].severity,
                device=key.partition("/")[0],
                first_at=1.0,
                last_at=2.0,
                evidence={"specific": "ab" * 20, "why": "no answer", "value": 12.5},
            )
        )
        for key in sorted(VOCABULARY)[:count]
    ]
    told = {
        "verdict": {"can_sell": "no", "cause": root or found[0]["fault"], "act": "support", "since": "now"},
        "sentence": "这台终端现在不能收款。",
        "faults": found,
        "devices": {
            unit: {
                "text": "Internal CheckHealth: OK",
                "identity": {"ModelName": "x"},
                "readings": {"paper": "ok", "dull": {"error": "unsupported"}, "late": {"error": "no_reply"}}
                | {f"reading_{number}": number for number in range(20)},
            }
            for unit in ("printer", "reader", "keypad", "modem", "network")
        },
        "answered": True,
        "took_ms": 3,
    }
    return {**told, "readiness": readiness(told, "zh")}


def test_what_fits_is_left_alone_but_for_what_says_nothing() -> None:
    whole = report(1)
    told = brief(report(1), MAX_OUTPUT_BYTES)
    for device in whole["devices"].values():
        del device["identity"], device["readings"]["dull"]
    assert told == whole


@pytest.mark.parametrize("count", range(1, len(VOCABULARY) + 1, 7))
def test_it_always_fits_and_says_what_was_left_out(count: int) -> None:
    told = brief(report(count), MAX_OUTPUT_BYTES)
    assert len(wire.dumps(told)) <= MAX_OUTPUT_BYTES
    left_out = told.get("left_out", [])
    assert left_out == DROPS[: len(left_out)]
    fields = {name for fault in told["faults"] for name in fault}
    assert ("evidence" in fields) == ("evidence" not in left_out)
    assert ("symptoms" in fields) == ("symptoms" not in left_out)
    assert all(("steps" in item) == ("steps" not in left_out) for item in told["readiness"]["todo"])
    assert {"fault", "state", "severity", "cause", "device", "act", "basis"} <= fields


def test_ten_faults_are_all_told() -> None:
    told = brief(report(10), MAX_OUTPUT_BYTES)
    assert len(told["faults"]) == len(told["readiness"]["todo"]) == 10
    assert told["left_out"][:3] == ["steps", "readings", "evidence"]
    assert "faults" not in told["left_out"]
    assert told["readiness"]["score"] == report(10)["readiness"]["score"]


def test_of_too_many_the_root_of_the_verdict_and_the_worst_are_told() -> None:
    root = max(VOCABULARY)
    told = brief(report(len(VOCABULARY), root), MAX_OUTPUT_BYTES)
    assert told["faults_n"] == len(VOCABULARY) > len(told["faults"]) > 10
    assert told["faults"][0]["fault"] == root
    told_of = [fault["severity"] for fault in told["faults"][1:]]
    every = sum(kind.severity == "critical" for key, kind in VOCABULARY.items() if key != root)
    assert told_of[:every] == ["critical"] * every
    assert set(told_of[every:]) <= {"major"}
    assert {item["fault"] for item in told["readiness"]["todo"]} == {fault["fault"] for fault in told["faults"]}


SHORT = {"printer": {"ModelName": "TM-T88V"}, "modem": {"error": "no_reply", "text": "no reply to AT+CGMI"}}


def test_what_each_device_told_stays_as_it_is_where_it_fits() -> None:
    assert brief_each(SHORT, MAX_OUTPUT_BYTES) == SHORT


@pytest.mark.parametrize("devices", [1, 5, 40])
def test_what_each_device_told_always_fits_and_loses_its_longest_facts_first(devices: int) -> None:
    long = {f"Counter{number}": "墨" * number for number in range(80)}
    told = {f"printer-{number}": {**long, "ModelName": "TM"} for number in range(devices)}
    cut = brief_each({**told, **SHORT}, MAX_OUTPUT_BYTES)
    assert len(wire.dumps(cut)) <= MAX_OUTPUT_BYTES
    assert set(cut.pop("left_out")) >= told.keys()
    assert cut.keys() == {*told, *SHORT}
    assert cut["printer"] == SHORT["printer"]
    left = {len(value) for facts in cut.values() for value in facts.values()}
    assert max(left) < 80
    assert all("Counter79" not in facts and "Counter2" in facts for facts in (cut[name] for name in told))
