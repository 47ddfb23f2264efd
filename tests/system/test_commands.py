"""Commands over MQTT: good ones have a life of results; bad ones are refused, with a result where one is owed."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tests.mqtt.broker import Observer, Rumqttd
from tests.system.stage import Agent, Sim
from tests.wait import wait_until

_count = itertools.count(1)


class Desk:
    """Somebody who sends commands, knowing the contract alone."""

    def __init__(self, sim: Sim, agent: Agent, observer: Observer) -> None:
        self.sim = sim
        self.agent = agent
        self.observer = observer

    def body(self, cmd: str, **more: Any) -> dict[str, Any]:
        now = int(time.time())
        _pos, _version, estate, terminal = self.agent.base.split("/")
        return {
            "iss": "desk-1",
            "aud": f"{estate}/{terminal}",
            "jti": f"command-{next(_count):06d}",
            "nbf": now - 5,
            "exp": now + 60,
            "cmd": cmd,
            "args": {},
            "tier": 0,
            **more,
        }

    def send(self, body: dict[str, Any], *, answer_to: str | None = None, tag: bytes | None = None) -> str:
        properties = Properties(PacketTypes.PUBLISH)
        properties.ResponseTopic = answer_to or f"{self.agent.base}/result/{body['jti']}"
        properties.CorrelationData = tag if tag is not None else body["jti"].encode()
        properties.MessageExpiryInterval = 60
        self.observer.publish(f"{self.agent.base}/command", json.dumps(body).encode(), properties)
        return str(body["jti"])

    def results(self, command_id: str) -> list[dict[str, Any]]:
        topic = f"{self.agent.base}/result/{command_id}"
        return [heard.body for heard in list(self.observer.heard) if heard.topic == topic]

    def life(self, command_id: str) -> list[dict[str, Any]]:
        """Its results once the last has come."""
        final = {"succeeded", "failed", "rejected", "expired", "interrupted"}
        return wait_until(lambda: (r := self.results(command_id)) and r[-1]["state"] in final and r, 20)

    def healths(self) -> list[dict[str, Any]]:
        topic = f"{self.agent.base}/health"
        return [heard.body for heard in list(self.observer.heard) if heard.topic == topic]

    def refused(self) -> dict[str, int]:
        """Counts by reason as the last `health` tells them."""
        return self.healths()[-1].get("refused", {}) if self.healths() else {}

    def refused_by_now(self) -> dict[str, int]:
        """As `refused`, with all that was sent before counted."""
        heard = len(self.healths())
        wait_until(lambda: len(self.healths()) > heard + 1, 25)
        return self.refused()


@pytest.fixture(scope="module")
def desk(broker: Rumqttd, observer: Observer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with Sim(tmp_path_factory.mktemp("pos"), broker.port) as sim:
        config = sim.write_config(add="[telemetry]\nhealth_s = 1\n")
        with Agent(config) as agent:
            agent.until_healthy()
            agent.until(lambda status: all(device["model"] for device in status["devices"].values()))
            yield Desk(sim, agent, observer)


def _states(life: list[dict[str, Any]]) -> list[str]:
    return [result["state"] for result in life]


GOOD = ["accepted", "running", "succeeded"]


def test_check(desk: Desk) -> None:
    desk.sim.set(printer_cover="open")
    desk.agent.until(lambda status: status["faults"])
    life = desk.life(desk.send(desk.body("check", args={"device": "printer"})))
    assert _states(life) == GOOD
    output = life[-1]["output"]
    assert output["devices"]["printer"]["readings"]["cover"] == "open"
    assert [fault["fault"] for fault in output["faults"]] == ["printer/cover_open"]
    assert life[-1]["ms"] >= life[0]["ms"]
    numbers = [result["seq"] for result in life]
    assert numbers == list(range(numbers[0], numbers[0] + 3))
    desk.sim.set(printer_cover="closed")
    desk.agent.until(lambda status: not status["faults"])


def test_check_of_everything_fits_a_result(desk: Desk) -> None:
    life = desk.life(desk.send(desk.body("check")))
    assert _states(life) == GOOD
    assert life[-1]["output"]["verdict"]["can_sell"] == "yes"


def test_identify_and_statistics(desk: Desk) -> None:
    life = desk.life(desk.send(desk.body("identify")))
    assert _states(life) == GOOD
    assert {"printer", "reader", "modem", "keypad"} == life[-1]["output"].keys()
    assert life[-1]["output"]["printer"]["ModelName"] == "SIM-T88"
    life = desk.life(desk.send(desk.body("statistics", args={"device": "printer"})))
    assert _states(life) == GOOD
    assert any(isinstance(value, int) for value in life[-1]["output"]["printer"].values())


def test_resync_publishes_what_is_retained_again(desk: Desk) -> None:
    desk.sim.set(printer_paper="out")
    desk.agent.until(lambda status: status["faults"])
    wait_until(lambda: desk.observer.of("fault/printer/paper_out"))
    before = len(desk.observer.heard)
    assert _states(desk.life(desk.send(desk.body("resync")))) == GOOD
    wanted = {f"{desk.agent.base}/{name}" for name in ("state", "inventory", "faults", "fault/printer/paper_out")}
    wait_until(lambda: wanted <= {heard.topic for heard in desk.observer.heard[before:]})
    desk.sim.set(printer_paper="ok")
    desk.agent.until(lambda status: not status["faults"])


def test_wrong_arguments_fail(desk: Desk) -> None:
    life = desk.life(desk.send(desk.body("check", args={"device": "toaster"})))
    assert _states(life) == ["accepted", "running", "failed"]
    assert "printer" in life[-1]["error"]


@pytest.mark.parametrize(
    ("reason", "change"),
    [
        ("expired", {"nbf": int(time.time()) - 4000, "exp": int(time.time()) - 3900}),
        ("early", {"nbf": int(time.time()) + 4000, "exp": int(time.time()) + 4100}),
        ("lifetime", {"exp": int(time.time()) + 86_400}),
        ("unsupported", {"cmd": "reboot", "tier": 3}),
    ],
)
def test_refused_with_a_result(desk: Desk, reason: str, change: dict[str, Any]) -> None:
    before = desk.refused_by_now().get(reason, 0)
    life = desk.life(desk.send(desk.body(**{"cmd": "check", **change})))
    assert _states(life) == ["rejected"]
    assert life[0]["error"]
    wait_until(lambda: desk.refused().get(reason, 0) == before + 1, 20)


def test_refused_because_the_answer_would_go_elsewhere(desk: Desk) -> None:
    body = desk.body("check")
    assert _states(desk.life(desk.send(body, answer_to="pos/1/demo/other/result/x"))) == ["rejected"]
    body = desk.body("check")
    assert _states(desk.life(desk.send(body, tag=b"another"))) == ["rejected"]
    assert desk.observer.of("other/result/x") == []


def test_a_command_runs_once(desk: Desk) -> None:
    body = desk.body("identify", args={"device": "reader"})
    life = desk.life(desk.send(body))
    before = desk.refused_by_now().get("replayed", 0)
    desk.send(body)
    desk.send(body)
    wait_until(lambda: desk.refused().get("replayed", 0) == before + 2, 20)
    assert desk.results(body["jti"]) == life


DEEP = b'{"jti":' + b"[" * 8000 + b"]" * 8000 + b"}"


@pytest.mark.parametrize(
    "payload",
    [b"", b"{", b"\xff\xfe\x00", b"null", b"[1]", b'{"cmd": "check"}', b'"\\ud800"', DEEP, b"A" * 17_000],
    ids=["empty", "cut", "not UTF-8", "null", "list", "short", "half a character", "deep", "oversized"],
)
def test_what_is_no_command_is_counted(desk: Desk, payload: bytes) -> None:
    """No result is owed: there is no id to send one to."""
    before = sum(desk.refused_by_now().values())
    heard = len([h for h in desk.observer.heard if "/result/" in h.topic])
    desk.observer.publish(f"{desk.agent.base}/command", payload)
    wait_until(lambda: sum(desk.refused().values()) == before + 1, 20)
    assert len([h for h in desk.observer.heard if "/result/" in h.topic]) == heard
    assert desk.agent.alive()


def test_another_terminals_command_is_not_ours(desk: Desk) -> None:
    before = desk.refused_by_now().get("audience", 0)
    command_id = desk.send(desk.body("check", aud="demo/another"))
    wait_until(lambda: desk.refused().get("audience", 0) == before + 1, 20)
    assert desk.results(command_id) == []


def test_a_command_to_all_needs_a_spread(desk: Desk) -> None:
    estate = desk.agent.base.rpartition("/")[0]
    before = desk.refused_by_now().get("broadcast", 0)
    for spread, states in (({}, ["rejected"]), ({"spread_s": 1}, GOOD)):
        body = desk.body("identify", aud="demo/all", args={"device": "reader"}, **spread)
        properties = Properties(PacketTypes.PUBLISH)
        properties.CorrelationData = body["jti"].encode()
        desk.observer.publish(f"{estate}/all/command", json.dumps(body).encode(), properties)
        assert _states(desk.life(body["jti"])) == states
    wait_until(lambda: desk.refused().get("broadcast", 0) == before + 1, 20)


def test_a_flood_is_counted_and_the_next_command_runs(desk: Desk) -> None:
    before = desk.refused_by_now()
    for _ in range(60):
        desk.observer.publish(f"{desk.agent.base}/command", b"{}")

    def counted(reason: str) -> int:
        return desk.refused().get(reason, 0) - before.get(reason, 0)

    wait_until(lambda: counted("malformed") + counted("flood") == 60, 30)
    assert counted("flood") > 0
    assert _states(desk.life(desk.send(desk.body("identify", args={"device": "reader"})))) == GOOD


@pytest.mark.parametrize("topic", ["config", "case"])
@pytest.mark.parametrize("payload", [b"\xff", b"{", b"[]", b'{"case": 7}', DEEP, b"A" * 17_000])
def test_rubbish_on_other_topics_hurts_nobody(desk: Desk, topic: str, payload: bytes) -> None:
    desk.observer.publish(f"{desk.agent.base}/{topic}", payload)
    desk.observer.publish(f"{desk.agent.base.rpartition('/')[0]}/center/c1/state", payload)
    assert _states(desk.life(desk.send(desk.body("identify", args={"device": "reader"})))) == GOOD
    assert "case" not in desk.agent.status()["case"]


def test_a_retained_command_is_never_run(
    broker: Rumqttd, observer: Observer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with Sim(tmp_path_factory.mktemp("pos"), broker.port) as sim:
        config = sim.write_config(add="[telemetry]\nhealth_s = 1\n")
        desk = Desk(sim, Agent.__new__(Agent), observer)
        desk.agent.base = f"pos/1/demo/{sim.about['terminal']}"
        body = desk.body("identify")
        observer.publish(f"{desk.agent.base}/command", json.dumps(body).encode(), retain=True)
        with Agent(config) as agent:
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
            desk = Desk(sim, agent, observer)
            command_id = desk.send(desk.body("identify"))
            wait_until(lambda: desk.refused().get("off") == 1, 25)
            assert desk.results(command_id) == []
