"""The lists of the three brokers allow a terminal what the contract has it do, each the same and nothing more."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from agent.wire import MAX_PACKET_BYTES, Topics

DEPLOY = Path(__file__).parents[2] / "deploy"
TILL = Topics("demo", "till-1")
UP = {
    *map(TILL.of, ("state", "inventory", "telemetry", "health", "faults", "event", "live", "config/reported")),
    TILL.fault("+/+"),
    TILL.result("+"),
}
DOWN = set(TILL.subscriptions())


def mosquitto() -> tuple[set[str], set[str]]:
    text = (DEPLOY / "mosquitto/acl").read_text("utf-8")
    rules = re.findall(r"^(pattern|topic) (\w+) (\S+)$", text, re.MULTILINE)
    assert [rule for rule in rules if rule[0] == "topic"] == [("topic", "readwrite", "pos/1/#")]
    assert {way for _, way, _ in rules} == {"write", "read", "readwrite"}
    up, down = (
        {topic.replace("%u", "till-1") for _, way, topic in rules if way == which} for which in ("write", "read")
    )
    return up, down


def emqx() -> tuple[set[str], set[str]]:
    text = re.sub(r"^%%.*$", "", (DEPLOY / "emqx/acl.conf").read_text("utf-8"), flags=re.MULTILINE)
    rules = [" ".join(rule.split()) for rule in re.findall(r"\{(?:allow|deny).*?\}\.", text, re.DOTALL)]
    center, up, down, rest = rules
    assert center == '{allow, {username, {re, "^center(-[a-z0-9_-]+)?$"}}, all, ["pos/1/#"]}.'
    assert up.startswith("{allow, all, publish, [")
    assert down.startswith("{allow, all, subscribe, [")
    assert rest == "{deny, all}."
    up_topics, down_topics = (
        {topic.replace("${username}", "till-1") for topic in re.findall(r'"([^"]+)"', rule)} for rule in (up, down)
    )
    return up_topics, down_topics


def hivemq() -> tuple[set[str], set[str]]:
    root = ET.parse(DEPLOY / "hivemq/credentials.xml").getroot()  # noqa: S314 - our own file
    role = next(role for role in root.iter("role") if role.findtext("id") == "terminal")
    found: dict[str, set[str]] = {"PUBLISH": set(), "SUBSCRIBE": set()}
    for permission in role.iter("permission"):
        way = permission.findtext("activity")
        found[way].add(permission.findtext("topic").replace("${{username}}", "till-1"))
        assert way == "PUBLISH" or permission.findtext("shared-subscription") == "NOT_SHARED"
    return found["PUBLISH"], found["SUBSCRIBE"]


@pytest.mark.parametrize("broker", [mosquitto, emqx, hivemq])
def test_a_terminal_may_do_what_the_contract_says_and_nothing_more(broker) -> None:
    assert broker() == (UP, DOWN)


@pytest.mark.parametrize(
    ("file", "demand"),
    [
        ("mosquitto/mosquitto.conf", f"max_packet_size {MAX_PACKET_BYTES}"),
        ("emqx/emqx.conf", f"mqtt.max_packet_size = {MAX_PACKET_BYTES // 1024}KB"),
        ("hivemq/config.xml", f"<max-packet-size>{MAX_PACKET_BYTES}</max-packet-size>"),
    ],
)
def test_nothing_comes_in_that_a_terminal_could_not_take(file: str, demand: str) -> None:
    """Mosquitto drops it on the terminal's side, never frees its place there, and is soon out of places."""
    assert demand in {line.strip() for line in (DEPLOY / file).read_text("utf-8").splitlines()}


@pytest.mark.parametrize(
    ("file", "demands"),
    [
        ("mosquitto/mosquitto.conf", ["require_certificate true", "use_identity_as_username true", "allow_anonymous false"]),
        ("emqx/emqx.conf", ["verify = verify_peer", "fail_if_no_peer_cert = true", "mqtt.peer_cert_as_clientid = cn", "no_match = deny", "listeners.tcp.default.enable = false"]),
        ("hivemq/config.xml", ["<client-authentication-mode>REQUIRED</client-authentication-mode>"]),
    ],
)  # fmt: skip
def test_nobody_comes_in_without_a_certificate(file: str, demands: list[str]) -> None:
    lines = {line.strip() for line in (DEPLOY / file).read_text("utf-8").splitlines()}
    assert set(demands) <= lines
    assert "<tcp-listener>" not in lines
