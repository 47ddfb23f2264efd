"""Topics, delivery and payload fields, spelled a second time from the contract."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from pydantic import TypeAdapter

from agent import wire

DAY = 86_400
# What stands after the terminal: QoS, retained, message expiry in seconds.
UP = {
    "state": (1, True, 30 * DAY),
    "inventory": (1, True, 30 * DAY),
    "telemetry": (1, False, DAY),
    "health": (1, True, 26 * 3600),
    "fault": (1, True, None),
    "fault.cleared": (1, True, DAY),
    "faults": (1, True, 30 * DAY),
    "event": (1, False, 7 * DAY),
    "result": (1, False, DAY),
    "live": (0, False, 10),
    "config/reported": (1, True, 30 * DAY),
}
HEAD = {"v", "boot", "at", "up_ms", "clock"}
QUEUED = HEAD | {"seq"}
FAULT = {
    *("fault", "state", "severity", "cause", "symptoms", "first_at", "last_at", "count", "device", "evidence"),
    *("advice", "act", "basis"),
}
FIELDS = {
    wire.StateMessage: HEAD | {"status", "conn", "reason", "verdict", "poi"},
    wire.InventoryMessage: HEAD | {"devices", "metrics", "commands"},
    wire.TelemetryMessage: QUEUED | {"samples"},
    wire.HealthMessage: HEAD | {"probes", "drops"},
    wire.FaultMessage: HEAD | FAULT,
    wire.DigestMessage: HEAD | {"faults"},
    wire.EventMessage: QUEUED | {"event", "data"},
    wire.ResultMessage: QUEUED | {"id", "state", "code", "output", "error", "ms"},
    wire.ConfigReportedMessage: HEAD | {"version", "hash", "rejected"},
    wire.CommandBody: {"iss", "aud", "jti", "nbf", "exp", "cmd", "args", "tier"},
    wire.Verdict: {"can_sell", "cause", "act", "since"},
}
WORDS = {
    (wire.StateMessage, "status"): {"online", "offline", "maintenance"},
    (wire.StateMessage, "clock"): {"synced", "network", "rtc", "unset"},
    (wire.Verdict, "can_sell"): {"yes", "degraded", "no", "unknown"},
    (wire.Verdict, "act"): {"merchant", "support", "technician", "operator", "none"},
    (wire.FaultMessage, "state"): {"raised", "cleared", "flapping"},
    (wire.FaultMessage, "severity"): {"critical", "major", "minor", "warning"},
    (wire.FaultMessage, "basis"): {"measured", "inferred"},
    (wire.ResultMessage, "state"): {
        *("accepted", "running", "succeeded", "failed", "rejected", "expired", "interrupted"),
    },
    (wire.CommandBody, "cmd"): {
        *("check", "identify", "statistics", "collect", "print_slip", "recover", "resync", "live", "maintenance"),
        "reboot",
    },
    (wire.CommandBody, "tier"): {0, 1, 2, 3},
}


def schema(kind: type[Any]) -> dict[str, Any]:
    return TypeAdapter(kind).json_schema()


def test_how_each_topic_travels():
    assert {name: dataclasses.astuple(delivery) for name, delivery in wire.DELIVERY.items()} == UP


def test_topics_are_spelled_as_the_contract_does():
    topics = wire.Topics("demo", "pos-7")
    said = {kind: topics.of(kind) for kind in ("state", "inventory", "telemetry", "health", "faults", "event", "live")}
    assert said == {kind: f"pos/1/demo/pos-7/{kind}" for kind in said}
    assert topics.fault("printer/paper_out") == "pos/1/demo/pos-7/fault/printer/paper_out"
    assert topics.result("abc") == "pos/1/demo/pos-7/result/abc"
    assert set(topics.subscriptions()) == {
        *(f"pos/1/demo/pos-7/{kind}" for kind in ("command", "config", "case")),
        *("pos/1/demo/all/command", "pos/1/demo/center/+/state"),
    }
    for topic in (
        *said.values(),
        topics.fault("printer/paper_out"),
        topics.result("abc"),
        topics.of("config/reported"),
    ):
        assert topic.count("/") <= 6
        parsed = wire.parse_topic(topic)
        assert (parsed.estate, parsed.terminal) == ("demo", "pos-7")
    assert {"all", "center"} == wire.RESERVED_TERMINALS
    assert wire.MAX_PACKET_BYTES == 16 * 1024


@pytest.mark.parametrize("kind", FIELDS, ids=lambda kind: kind.__name__)
def test_a_message_has_the_fields_of_the_contract_and_a_schema(kind: type[Any]):
    told = schema(kind)
    json.dumps(told)
    assert told["type"] == "object"
    assert FIELDS[kind] <= told["properties"].keys()
    assert {field.name for field in dataclasses.fields(kind)} == told["properties"].keys()


@pytest.mark.parametrize(("kind", "name"), WORDS, ids=lambda each: getattr(each, "__name__", each))
def test_words_are_those_of_the_contract(kind: type[Any], name: str):
    rule = schema(kind)["properties"][name]
    legal = set(rule["enum"]) if "enum" in rule else {rule["const"]}
    assert WORDS[kind, name] <= legal


def test_every_message_has_a_schema_and_each_queued_one_a_sequence():
    for kind in vars(wire).values():
        if isinstance(kind, type) and dataclasses.is_dataclass(kind) and kind.__name__.endswith("Message"):
            properties = schema(kind)["properties"]
            if issubclass(kind, wire.Uplink):
                assert properties.keys() >= HEAD
                assert ("seq" in properties) == issubclass(kind, wire.Queued)
    queued = (wire.EventMessage, wire.TelemetryMessage, wire.ResultMessage)
    assert all(issubclass(kind, wire.Queued) for kind in queued)


def test_a_reading_that_failed_is_data_and_a_version_is_always_said():
    head = {"boot": 1, "at": "2026-11-21T00:00:00.000Z", "up_ms": 1, "clock": "rtc", "seq": 1}
    sent = json.loads(
        wire.encode(wire.TelemetryMessage(**head, samples=((0, {"printer.paper": {"error": "no_reply"}}),)))
    )
    assert sent["samples"] == [[0, {"printer.paper": {"error": "no_reply"}}]]
    assert sent["v"] == 1
