"""Topics and messages, against the contract."""

from __future__ import annotations

import json

import pytest

from agent import wire

HEAD = {"boot": 3, "at": "2026-01-02T03:04:05.678Z", "up_ms": 5, "clock": "rtc"}


def test_topics_of_a_terminal():
    topics = wire.Topics("north", "t-1")
    assert topics.of("state") == "pos/1/north/t-1/state"
    assert topics.fault("printer/paper_out") == "pos/1/north/t-1/fault/printer/paper_out"
    assert topics.subscriptions() == (
        "pos/1/north/t-1/command",
        "pos/1/north/t-1/config",
        "pos/1/north/t-1/case",
        "pos/1/north/all/command",
        "pos/1/north/center/+/state",
    )


@pytest.mark.parametrize(
    "topic", ["", "pos/1/a", "pos/2/a/b/state", "pos/1/A/b/state", "pos/1/a/b/c/d/e/f", "pos/1//b/state"]
)
def test_a_foreign_topic_is_refused(topic):
    with pytest.raises(wire.WireError):
        wire.parse_topic(topic)


def test_a_fault_comes_back_as_it_went():
    fault = wire.FaultMessage(
        **HEAD,
        fault="printer/paper_out",
        state="raised",
        severity="major",
        cause=None,
        symptoms=(),
        first_at=HEAD["at"],
        last_at=HEAD["at"],
        count=1,
        device="printer",
        evidence={"paper": "out", "raw": "7e"},
        advice="printer.paper_out",
        act="merchant",
        basis="measured",
    )
    sent = json.loads(wire.encode(fault))
    assert sent["v"] == 1
    assert sent["cause"] is None, "null is said: it is a root"
    assert wire.decode(wire.FaultMessage, wire.encode(fault)) == fault


@pytest.mark.parametrize(
    ("payload", "says"),
    [
        (b"\xff\xfe", "Invalid JSON"),
        (b"{", "Invalid JSON"),
        (b"[]", "StateMessage"),
        (b"x" * 20_000, "20000 bytes"),
        (json.dumps({**HEAD, "v": 2, "status": "online", "conn": 1, "reason": ""}).encode(), "v:"),
        (json.dumps({**HEAD, "v": 1, "status": "on", "conn": 1, "reason": ""}).encode(), "status:"),
        (json.dumps({**HEAD, "at": "yesterday", "status": "online", "conn": 1, "reason": ""}).encode(), "at:"),
    ],
)
def test_what_is_not_of_the_contract_is_one_clear_line(payload, says):
    with pytest.raises(wire.WireError) as caught:
        wire.decode(wire.StateMessage, payload)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_newer_side_may_add_keys():
    payload = json.dumps({**HEAD, "v": 1, "status": "online", "conn": 1, "reason": "", "news": True}).encode()
    assert wire.decode(wire.StateMessage, payload).conn == 1


def test_times_go_there_and_back():
    assert wire.timestamp(wire.epoch("2026-11-21T08:00:00.250Z")) == "2026-11-21T08:00:00.250Z"
    with pytest.raises(wire.WireError):
        wire.epoch("soon")


def test_a_number_that_json_has_not_is_refused():
    with pytest.raises(ValueError):
        wire.dumps({"x": float("nan")})
