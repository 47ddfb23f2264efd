"""Commands over MQTT: good ones have a life of results; bad ones are refused, with a result where one is owed."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tests.mqtt.broker import Observer, Rumqttd
from tests.system.desk import GOOD, Desk, make_key, part, settings, states
from tests.system.stage import Agent, Sim
from tests.wait import wait_until


@pytest.fixture(scope="module")
def sim(broker: Rumqttd, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sim]:
    with Sim(tmp_path_factory.mktemp("pos"), broker.port) as running:
        yield running


@pytest.fixture(scope="module")
def desk(sim: Sim, observer: Observer) -> Iterator[Desk]:
    key = make_key(sim.folder / "pki")
    with Agent(settings(sim, key.parent / "keys.json")) as agent:
        agent.until_healthy()
        agent.until(lambda status: all(device["model"] for device in status["devices"].values()))
        yield Desk(agent, observer, key)


def test_check(sim: Sim, desk: Desk) -> None:
    sim.set(printer_cover="open")
    desk.agent.until(lambda status: status["faults"])
    command_id = desk.send(desk.body("check", args={"device": "printer"}))
    life = desk.life(command_id)
    assert states(life) == GOOD
    assert [result["code"] for result in life] == [0, 0, 0]
    assert desk.done(command_id) == [{"id": command_id, "cmd": "check", "state": "succeeded"}]
    output = life[-1]["output"]
    assert output["devices"]["printer"]["readings"]["cover"] == "open"
    assert [fault["fault"] for fault in output["faults"]] == ["printer/cover_open"]
    assert life[-1]["ms"] >= life[0]["ms"]
    numbers = [result["seq"] for result in life]
    assert numbers == list(range(numbers[0], numbers[0] + 3))
    said = {cmd: desk.life(desk.send(desk.body(cmd)))[-1]["output"]["printer"] for cmd in ("identify", "statistics")}
    assert said == {  # an offline printer would not run such a question, so it is not put
        "identify": {"error": "not_asked", "text": "not asked: offline"},
        "statistics": {"error": "refused", "text": "counters refused: offline"},
    }
    sim.set(printer_cover="closed")
    desk.agent.until(lambda status: not status["faults"])


def test_check_of_everything_fits_a_result(desk: Desk) -> None:
    life = desk.life(desk.send(desk.body("check")))
    assert states(life) == GOOD
    assert life[-1]["output"]["verdict"]["can_sell"] == "yes"


def test_identify_and_statistics(desk: Desk) -> None:
    life = desk.life(desk.send(desk.body("identify")))
    assert states(life) == GOOD
    assert {"printer", "reader", "modem", "keypad"} == life[-1]["output"].keys()
    assert life[-1]["output"]["printer"]["ModelName"] == "SIM-T88"
    life = desk.life(desk.send(desk.body("statistics", args={"device": "printer"})))
    assert states(life) == GOOD
    assert any(isinstance(value, int) for value in life[-1]["output"]["printer"].values())


def test_resync_publishes_what_is_retained_again(sim: Sim, desk: Desk) -> None:
    sim.set(printer_paper="out")
    desk.agent.until(lambda status: status["faults"])
    wait_until(lambda: desk.observer.of("fault/printer/paper_out"))
    before = len(desk.observer.heard)
    assert states(desk.life(desk.send(desk.body("resync")))) == GOOD
    wanted = {f"{desk.agent.base}/{name}" for name in ("state", "inventory", "faults", "fault/printer/paper_out")}
    wait_until(lambda: wanted <= {heard.topic for heard in desk.observer.heard[before:]})
    sim.set(printer_paper="ok")
    desk.agent.until(lambda status: not status["faults"])


def test_wrong_arguments_fail(desk: Desk) -> None:
    command_id = desk.send(desk.body("check", args={"device": "toaster"}))
    life = desk.life(command_id)
    assert states(life) == ["accepted", "running", "failed"]
    assert [result["code"] for result in life] == [0, 0, 1]
    assert desk.done(command_id) == [{"id": command_id, "cmd": "check", "state": "failed"}]
    assert "printer" in life[-1]["error"]


@pytest.mark.parametrize(
    ("reason", "change"),
    [
        ("expired", {"nbf": int(time.time()) - 4000, "exp": int(time.time()) - 3900}),
        ("early", {"nbf": int(time.time()) + 4000, "exp": int(time.time()) + 4100}),
        ("lifetime", {"exp": int(time.time()) + 86_400}),
        ("tier", {"tier": 1}),
        ("tier", {"cmd": "reboot", "tier": 0}),
    ],
)
def test_refused_with_a_result(desk: Desk, reason: str, change: dict[str, Any]) -> None:
    before = desk.refused().get(reason, 0)
    body = desk.body(**{"cmd": "check", **change})
    life = desk.life(desk.send(body))
    assert states(life) == ["rejected"]
    assert (life[0]["code"], bool(life[0]["error"])) == (2, True)
    if reason not in {"expired", "lifetime"}:  # those are not taken, and may come again and again
        assert desk.done(body["jti"]) == [{"id": body["jti"], "cmd": body["cmd"], "state": "rejected"}]
    wait_until(lambda: desk.refused().get(reason, 0) == before + 1, 20)


def test_refused_because_the_answer_would_go_elsewhere(desk: Desk) -> None:
    body = desk.body("check")
    assert states(desk.life(desk.send(body, answer_to="pos/1/demo/other/result/x"))) == ["rejected"]
    body = desk.body("check")
    assert states(desk.life(desk.send(body, tag=b"another"))) == ["rejected"]
    assert desk.observer.of("other/result/x") == []


def test_a_command_runs_once(desk: Desk) -> None:
    body = desk.body("identify", args={"device": "reader"})
    life = desk.life(desk.send(body))
    before = desk.refused().get("replayed", 0)
    desk.send(body)
    desk.send(body)
    wait_until(lambda: desk.refused().get("replayed", 0) == before + 2, 20)
    assert desk.results(body["jti"]) == life


DEEP = b'{"jti":' + b"[" * 8000 + b"]" * 8000 + b"}"


def forged(desk: Desk, body: dict[str, Any]) -> dict[str, bytes]:
    """What somebody can make who knows everything but the private key; name to payload."""
    kid, good = desk.key["kid"], desk.signed(body)
    head, claims, signature = good.split(b".")
    public = part(json.dumps(desk.key).encode())
    stranger = Ed25519PrivateKey.generate()
    return {
        "plain": json.dumps(body).encode(),
        "none": f"{part({'alg': 'none', 'kid': kid})}.{part(body)}.".encode(),
        "HS256 with the public key": jwt.encode(body, public * 2, "HS256", {"kid": kid}).encode(),
        "a stranger's key": jwt.encode(body, stranger, "EdDSA", {"kid": kid}).encode(),
        "an unknown key": jwt.encode(body, stranger, "EdDSA", {"kid": "another"}).encode(),
        "a key of its own": jwt.encode(body, stranger, "EdDSA", {"kid": kid, "jwk": {"kty": "OKP"}}).encode(),
        "no key id": jwt.encode(body, stranger, "EdDSA").encode(),
        "other claims": head + b"." + part({**body, "cmd": "statistics"}).encode() + b"." + signature,
        "a changed signature": head + b"." + claims + b"." + signature[:-4] + b"AAAA",
        "no signature": head + b"." + claims + b".",
        "detached": head + b".." + signature,
        "five parts": good + b".AA.AA",
        "oversized": jwt.encode({**body, "args": {"x": "y" * 12_500}}, stranger, "EdDSA", {"kid": kid}).encode(),
        "empty": b"",
        "not UTF-8": bytes([0xFF, 0xFE, 0x00]),
        "deep": DEEP,
        "deep header": part(b"[" * 9000).encode() + b".e30.e30",
    }


def test_what_nobody_known_has_signed_is_counted_and_nothing_else(desk: Desk) -> None:
    """No result is owed, and nothing is told to whoever sent it."""
    before = sum(desk.refused().values())
    heard = len([h for h in desk.observer.heard if "/result/" in h.topic])
    body = desk.body("identify")
    tries = forged(desk, body)
    for number, payload in enumerate(tries.values(), 1):
        desk.send(body, payload=payload)
        if number % 6 == 0 or number == len(tries):  # no more than wait in line
            wait_until(lambda so_far=before + number: sum(desk.refused().values()) == so_far, 20)
    assert len([h for h in desk.observer.heard if "/result/" in h.topic]) == heard
    reasons = desk.refused()
    assert {"unsigned", "algorithm", "unknown_key", "signature", "oversized"} <= reasons.keys(), reasons
    assert states(desk.life(desk.send(body))) == GOOD  # the id was not taken by those who could not sign for it


def test_signed_rubbish_is_refused_with_a_result(desk: Desk) -> None:
    for change in ({"cmd": "format"}, {"tier": 9}, {"args": []}, {"exp": "soon"}, {"nbf": None}):
        life = desk.life(desk.send(desk.body("check", **change) if "cmd" not in change else desk.body("format")))
        assert states(life) == ["rejected"]
        assert "\n" not in life[0]["error"]


def test_another_terminals_command_is_not_ours(desk: Desk) -> None:
    before = desk.refused().get("audience", 0)
    command_id = desk.send(desk.body("check", aud="demo/another"))
    wait_until(lambda: desk.refused().get("audience", 0) == before + 1, 20)
    assert desk.results(command_id) == []


def test_a_command_to_all_needs_a_spread(desk: Desk) -> None:
    estate = desk.agent.base.rpartition("/")[0]
    before = desk.refused().get("broadcast", 0)
    for spread, wanted in (({}, ["rejected"]), ({"spread_s": 1}, GOOD)):
        body = desk.body("identify", aud="demo/all", args={"device": "reader", **spread})
        properties = Properties(PacketTypes.PUBLISH)
        properties.CorrelationData = body["jti"].encode()
        desk.observer.publish(f"{estate}/all/command", desk.signed(body), properties)
        assert states(desk.life(body["jti"])) == wanted
    wait_until(lambda: desk.refused().get("broadcast", 0) == before + 1, 20)


def test_a_flood_is_counted_and_the_next_command_runs(desk: Desk) -> None:
    before = desk.refused()
    sent = 0

    def counted(reason: str) -> int:
        return desk.refused().get(reason, 0) - before.get(reason, 0)

    def counted_all() -> bool:
        return counted("unsigned") + counted("flood") == sent

    while not counted("flood") and sent < 2_400:  # how many are a flood depends on how fast they are refused
        for _ in range(120):
            desk.observer.publish(f"{desk.agent.base}/command", b"{}")
        sent += 120
        wait_until(counted_all, 60)
    assert counted("flood") > 0
    assert states(desk.life(desk.send(desk.body("identify", args={"device": "reader"})))) == GOOD


@pytest.mark.parametrize("topic", ["config", "case"])
@pytest.mark.parametrize("payload", [b"\xff", b"{", b"[]", b'{"case": 7}', DEEP, b"A" * 17_000])
def test_rubbish_on_other_topics_hurts_nobody(desk: Desk, topic: str, payload: bytes) -> None:
    desk.observer.publish(f"{desk.agent.base}/{topic}", payload)
    desk.observer.publish(f"{desk.agent.base.rpartition('/')[0]}/center/c1/state", payload)
    assert states(desk.life(desk.send(desk.body("identify", args={"device": "reader"})))) == GOOD
    assert "case" not in desk.agent.status()["case"]


def test_a_retained_command_is_never_run(
    broker: Rumqttd, observer: Observer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with Sim(tmp_path_factory.mktemp("pos"), broker.port) as sim:
        key = make_key(sim.folder / "pki")
        config = settings(sim, key.parent / "keys.json")
        desk = Desk(Agent.__new__(Agent), observer, key)
        desk.agent.base = f"pos/1/demo/{sim.about['terminal']}"
        body = desk.body("identify")
        observer.publish(f"{desk.agent.base}/command", desk.signed(body), retain=True)
        with Agent(config) as agent:
            desk.agent = agent
            agent.until_healthy()
            wait_until(lambda: desk.refused().get("retained") == 1, 25)
            assert desk.results(body["jti"]) == []
        observer.publish(f"{desk.agent.base}/command", b"", retain=True)


def test_commands_are_off_unless_configured(
    broker: Rumqttd, observer: Observer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with Sim(tmp_path_factory.mktemp("pos"), broker.port) as sim:
        config = sim.write_config(
            add="[telemetry]\nhealth_s = 1\n", change=lambda text: text.replace("commands = true", "commands = false")
        )
        with Agent(config) as agent:
            agent.until_healthy()
            desk = Desk(agent, observer)
            command_id = desk.send(desk.body("identify"))
            wait_until(lambda: desk.refused().get("off") == 1, 25)
            assert desk.results(command_id) == []


def test_keys_rotate_by_overlap_and_a_key_set_that_is_gone_refuses_all(sim: Sim, desk: Desk) -> None:
    newer = Desk(desk.agent, desk.observer, make_key(sim.folder / "pki"))
    assert newer.key["kid"] != desk.key["kid"]
    for each in (desk, newer):
        assert states(each.life(each.send(each.body("identify", args={"device": "reader"})))) == GOOD
    keys = sim.folder / "pki" / "command" / "keys.json"
    both = keys.read_bytes()
    try:
        keys.write_text(json.dumps({"keys": [k for k in json.loads(both)["keys"] if k["kid"] == newer.key["kid"]]}))
        before = desk.refused().get("unknown_key", 0)
        desk.send(desk.body("identify"))
        wait_until(lambda: desk.refused().get("unknown_key", 0) == before + 1, 20)
        assert states(newer.life(newer.send(newer.body("identify", args={"device": "reader"})))) == GOOD
        for content in (b"", b"{", b'{"keys": []}', json.dumps({"keys": [newer.key]}).encode()):
            keys.write_bytes(content)
            before = desk.refused().get("keys", 0)
            newer.send(newer.body("identify"))
            wait_until(lambda so_far=before + 1: desk.refused().get("keys", 0) == so_far, 20)
    finally:
        keys.write_bytes(both)
    assert states(desk.life(desk.send(desk.body("identify", args={"device": "reader"})))) == GOOD
