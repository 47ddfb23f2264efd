"""A fleet at a real broker: what it says is of the contract, arrives once, and answers when it is asked."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from agent import wire
from agent.packing import plain
from center.audit import Auditor
from simulator.fleet import Fleet, Options
from simulator.fleet_estate import make_places
from tests.mqtt.broker import Observer, Rumqttd
from tests.simulator.mqtt_tap import Tap
from tests.wait import wait_until

KINDS = {
    "state": wire.StateMessage,
    "inventory": wire.InventoryMessage,
    "health": wire.HealthMessage,
    "faults": wire.DigestMessage,
    "fault": wire.FaultMessage,
    "event": wire.EventMessage,
    "telemetry": wire.TelemetryMessage,
    "config": wire.ConfigReportedMessage,
}


SCENARIO = """
[[step]]
at_s = 2
set = { "host.host-a" = "down" }
expect = { "host.host-a" = "down", "fleet.terminals" = 20 }
"""


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Rumqttd]:
    broker = Rumqttd(tmp_path)
    broker.start()
    yield broker
    broker.kill()


@contextmanager
def a_fleet(port: int, **more: object) -> Iterator[Fleet]:
    fleet = Fleet(Options(url=f"mqtt://127.0.0.1:{port}", **{"faults_per_hour": 0, **more}))
    fleet.start()
    try:
        yield fleet
    finally:
        fleet.close()


def _run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "agent.cli", "sim", *words], capture_output=True, text=True, check=False
    )


def test_every_message_of_a_fleet_is_of_the_contract(tmp_path: Path, broker: Rumqttd):
    with Tap(broker.port) as tap:
        line = tmp_path / "line.toml"
        line.write_text(SCENARIO)
        words = ["--mqtt", f"mqtt://127.0.0.1:{tap.port}", "--terminals", "20", "--seconds", "8", "--rate", "60"]
        words += ["--scenario", str(line)]
        places = tmp_path / "places.csv"
        done = _run("fleet", *words, "--faults-per-hour", "60", "--places", str(places), "--json")
    assert (done.returncode, done.stderr) == (0, "")
    *lines, figures = map(json.loads, done.stdout.splitlines())
    assert [told["held"] for told in lines if "held" in told] == [True]
    assert figures["connects"] >= 20
    told = tap.published()
    assert 0 <= len(told) - figures["sent"] <= 3 * 20, "the goodbye comes after the last figures"
    kinds: set[str] = set()
    keys: dict[tuple[str, int, str, int], wire.Queued] = {}
    for packet in told:
        parsed = wire.parse_topic(packet.topic)
        message = wire.decode(KINDS[parsed.kind], plain(bytes(packet.payload)))
        kinds.add(parsed.kind)
        if isinstance(message, wire.Queued):
            key = (parsed.terminal, message.boot, parsed.kind, message.seq)
            once = replace(message, late=False)
            assert keys.setdefault(key, once) == once, "a line that was cut makes it come again, but not otherwise"
    assert kinds == KINDS.keys() - {"health"}, "health comes after 15 s"
    terminals = {wire.parse_topic(packet.topic).terminal for packet in told}
    with places.open(newline="") as table:
        assert {row["terminal"] for row in csv.DictReader(table)} == terminals
    assert len(terminals) == 20
    struck = {packet.topic.split("/")[3] for packet in told if packet.topic.endswith("/acquirer_unreachable")}
    assert len(struck) > 10, "the scenario's outage concerns all of this one district"
    for terminal, boot, kind, _seq in keys:
        seqs = sorted(seq for t, b, k, seq in keys if (t, b, k) == (terminal, boot, kind))
        assert seqs == list(range(1, len(seqs) + 1)), (terminal, kind)


@pytest.mark.timeout(180)
def test_nothing_is_lost_with_lines_that_are_cut_and_a_broker_that_is_killed(broker: Rumqttd):
    auditor = Auditor(f"mqtt://127.0.0.1:{broker.port}", from_start=True)
    over = threading.Event()
    listening = threading.Thread(target=auditor.run, args=(over.is_set,))
    listening.start()
    try:
        wait_until(lambda: auditor.subscribed)
        with Tap(broker.port) as tap, a_fleet(tap.port, terminals=12, connects_per_s=100) as fleet:
            names = [place.terminal for place in fleet.places]

            def all_of_them(key: str, word: str) -> None:
                fleet.control.set({f"terminal.{name}.{key}": word for name in names})

            def heard(events: int) -> bool:
                streams = [s for told in auditor.report()["terminals"].values() for s in told["streams"]]
                return sum(s["arrived"] for s in streams if s["class"] == "event") >= events * len(names)

            wait_until(lambda: heard(2))
            all_of_them("printer/paper_out", "raised")
            tap.cut()  # with that in flight
            all_of_them("printer/paper_out", "cleared")
            wait_until(lambda: heard(4))
            tap.blocked = True
            broker.kill()
            tap.cut()
            wait_until(lambda: auditor.cuts == 1)
            all_of_them("printer/cutter_error", "raised")
            assert fleet.tell()["waiting"] >= len(names)
            broker.start()
            wait_until(lambda: auditor.subscribed)  # who listens is there before terminals are let in
            tap.blocked = False
            wait_until(lambda: heard(5), 60)
            wait_until(lambda: fleet.tell()["waiting"] == 0)
            assert fleet.tell()["connects"] == 3 * len(names)
        wait_until(lambda: heard(6))
    finally:
        over.set()
        listening.join()
    report = auditor.report()
    assert report["complete"], report
    for told in report["terminals"].values():
        assert (told["status"], told["late_share"] > 0) == ("offline", True)


@pytest.mark.timeout(180)
def test_an_outage_takes_those_it_concerns_and_they_tell_of_it_when_they_are_back(broker: Rumqttd):
    places = make_places(6, estate="demo", seed=1, sites=6)
    operator = next(place.operator for place in places if place.operator)
    struck = {place.terminal for place in places if place.operator == operator}
    with Tap(broker.port) as tap, a_fleet(tap.port, terminals=6, sites=6, rate=60) as fleet:
        wait_until(lambda: fleet.tell()["connected"] == 6)
        wait_until(lambda: len({p.topic for p in tap.published() if p.topic.endswith("/inventory")}) == 6)
        fleet.control.set({f"operator.{operator}": "down"})
        wait_until(lambda: fleet.tell()["connected"] == 6 - len(struck))
        wait_until(lambda: fleet.tell()["raised"] == 4 * len(struck))
        fleet.control.set({f"operator.{operator}": "up"})
        wait_until(lambda: fleet.tell()["connected"] == 6 and fleet.tell()["raised"] == 0, 60)
        wait_until(lambda: fleet.tell()["waiting"] == 0)
        late: dict[str, dict[str, str]] = {}
        for packet in tap.published():
            if packet.topic.endswith("/event"):
                told = json.loads(bytes(packet.payload))
                if told["event"] == "fault.raised":
                    assert told["late"]
                    roots = late.setdefault(packet.topic.split("/")[3], {})
                    roots[told["data"]["fault"]] = told["data"]["cause"]
    assert late.keys() == struck
    for causes in late.values():
        assert causes == {
            "modem/no_network": None,
            "modem/no_data": "modem/no_network",
            "network/link_down": "modem/no_data",
            "network/broker_unreachable": "network/link_down",
        }


@pytest.mark.timeout(180)
def test_commands_are_answered_as_an_agent_answers(broker: Rumqttd):
    with a_fleet(broker.port, terminals=2, fail_share=0.0) as fleet, Observer(broker.port) as center:
        fleet.control.set({"commands.seconds": "0.1"})
        wait_until(lambda: len([h for h in center.heard if h.topic.endswith("/inventory")]) == 2)

        def send(jti: str, cmd: str, terminal: str = "fleet-00000", **more: object) -> None:
            now = int(time.time())
            claims = {"iss": "center", "aud": f"demo/{terminal}", "jti": jti, "nbf": now, "exp": now + 60, "cmd": cmd}
            claims |= {"tier": wire.TIERS[cmd], **more}
            answers = Properties(PacketTypes.PUBLISH)
            answers.ResponseTopic = f"pos/1/demo/{terminal}/result/{jti}"
            if terminal == "all":
                del answers.ResponseTopic
            center.publish(f"pos/1/demo/{terminal}/command", wire.dumps(claims), answers)

        def states(jti: str) -> list[str]:
            return [told["state"] for told in center.of(f"result/{jti}")]

        send("job-check-1", "check")
        wait_until(lambda: states("job-check-1") == ["accepted", "running", "succeeded"])
        assert center.of("result/job-check-1")[-1]["output"]["verdict"]["can_sell"] == "yes"
        send("job-nope-1", "check", args={"device": "nope"})
        send("job-nope-2", "recover")
        send("job-nope-3", "check", args={"level": "deep"})
        for jti, says in (
            ("job-nope-1", "no such device; there are printer, "),
            ("job-nope-2", "device is one of printer, "),
            ("job-nope-3", "level is one of internal, external, interactive"),
        ):
            wait_until(lambda jti=jti: states(jti) == ["accepted", "running", "failed"])
            assert center.of(f"result/{jti}")[-1]["error"].startswith(says)
        send("job-one-001", "check", args={"device": "printer"})
        wait_until(lambda: states("job-one-001")[-1:] == ["succeeded"])
        assert list(center.of("result/job-one-001")[-1]["output"]["devices"]) == ["printer"]
        send("job-check-1", "check")
        send("job-tier-01", "recover", tier=0)
        wait_until(lambda: states("job-tier-01") == ["rejected"])
        send("job-all-001", "check", "all", args={"spread_s": 0.2})
        wait_until(lambda: sorted(states("job-all-001")) == sorted(["accepted", "running", "succeeded"] * 2))
        fleet.control.set({"commands.fail_share": "1"})
        send("job-fails-1", "identify")
        wait_until(lambda: states("job-fails-1") == ["accepted", "running", "failed"])
        fleet.control.set({"commands.fail_share": "0"})
        before = center.of("fleet-00000/state")[-1]["boot"]
        send("job-boot-01", "reboot")
        wait_until(lambda: states("job-boot-01")[-1:] == ["succeeded"])
        assert center.of("result/job-boot-01")[-1]["boot"] == before + 1
        assert states("job-check-1") == ["accepted", "running", "succeeded"], "a replay is not answered"


def test_settings_are_taken_or_refused_as_a_whole_and_told_as_an_agent_tells(broker: Rumqttd):
    with a_fleet(broker.port, terminals=1) as fleet, Observer(broker.port) as center:
        wait_until(lambda: center.of("config/reported") != [])
        wait_until(lambda: fleet.tell()["connected"] == 1)

        def wish(version: int, settings: object) -> None:
            body = {"iss": "center", "aud": "demo/fleet-00000", "nbf": 0, "version": version, "settings": settings}
            center.publish("pos/1/demo/fleet-00000/config", wire.dumps(body))

        def reported() -> dict[str, object]:
            last = center.of("config/reported")[-1]
            return {name: last[name] for name in ("version", "rejected", "refused") if name in last}

        def faults() -> list[str]:
            return [told["state"] for told in center.of("fault/agent/config_rejected")]

        assert reported() == {"version": "file", "rejected": {}}
        wish(3, {"telemetry": {"batch_s": 30}, "device": {"port": "/dev/x"}})
        why = {"device.port": "is not set from afar"}
        wait_until(lambda: reported() == {"version": "file", "rejected": why, "refused": "3"})
        wait_until(lambda: faults() == ["raised"])
        evidence = center.of("fault/agent/config_rejected")[-1]["evidence"]
        assert evidence == {"config": "rejected", "config_why": "device.port: is not set from afar"}
        wish(2, {"telemetry": {"batch_s": 30}})  # older than what was refused
        wish(4, {"telemetry": {"batch_s": 30}})
        wait_until(lambda: reported() == {"version": "4", "rejected": {}})
        wait_until(lambda: faults() == ["raised", "cleared"])

        def applied() -> list[str]:
            return [told["data"]["version"] for told in center.of("event") if told["event"] == "config.applied"]

        wait_until(lambda: applied() == ["4"])


def test_a_running_fleet_is_changed_and_read_from_outside(tmp_path: Path, broker: Rumqttd):
    with a_fleet(broker.port, terminals=3, folder=tmp_path) as fleet:
        wait_until(lambda: fleet.tell()["connected"] == 3)
        assert _run("set", str(tmp_path), "terminal.fleet-00001=off").returncode == 0
        wait_until(lambda: fleet.tell()["connected"] == 2)
        values = json.loads(_run("get", str(tmp_path), "--json").stdout)
        assert (values["terminal.fleet-00001"], values["fleet.connected"]) == ("off", 2)
        for pair, says in (
            ("operator.nobody=down", "no operator is called nobody; there are"),
            ("host.host-a=gone", "host.host-a is up or down, not gone"),
            ("weather=bad", "weather is no key; there are operator.NAME"),
            ("commands.fail_share=2", "a number from 0 to 1, not 2"),
            ("terminal.fleet-00000.printer/flat=raised", "no fault of a fleet"),
        ):
            done = _run("set", str(tmp_path), pair)
            assert (done.returncode, done.stderr.count("\n")) == (2, 1)
            assert says in done.stderr


def test_a_fleet_in_a_log_tells_how_it_does(broker: Rumqttd):
    done = _run("fleet", "--mqtt", f"mqtt://127.0.0.1:{broker.port}", "--terminals", "2", "--seconds", "3")
    assert done.returncode == 0
    (line,) = done.stderr.splitlines()
    assert line.endswith(" sent")
    assert " of 2 connected, " in line


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--mqtt", "mqtt://127.0.0.1:1", "--seconds", "1"], "no broker at mqtt://127.0.0.1:1"),
        (["--mqtt", "http://127.0.0.1"], "a broker is mqtt://HOST:PORT here, not http://127.0.0.1"),
        (["--terminals", "0"], "--terminals is a number from 1 to 20000"),
        (["--operators", "mobile,"], "the names of --operators are of a-z"),
        (["--rate", "0"], "--rate and --connects-per-s are above 0"),
        (["--rate", "nan"], "are numbers that end"),
        (["--seconds", "inf"], "are numbers that end"),
        (["--scenario", "/nowhere.toml"], "/nowhere.toml"),
    ],
)
def test_what_cannot_run_is_said_on_one_line(words: list[str], says: str):
    done = _run("fleet", *words)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert says in done.stderr
