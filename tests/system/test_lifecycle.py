"""How the daemon starts, stops, dies and comes back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tests.mqtt.broker import Observer, Rumqttd
from tests.system.desk import once
from tests.system.stage import Agent, Sim, posdiag, raised
from tests.wait import wait_until


@pytest.fixture
def sim(broker: Rumqttd, folder: Path) -> Iterator[Sim]:
    with Sim(folder, broker.port) as running:
        yield running


def last(observer: Observer, agent: Agent, suffix: str) -> dict:
    bodies = [heard.body for heard in list(observer.heard) if heard.topic == f"{agent.base}/{suffix}"]
    return bodies[-1] if bodies else {}


def events(observer: Observer, agent: Agent) -> list[dict]:
    return [heard.body for heard in list(observer.heard) if heard.topic == f"{agent.base}/event"]


def test_sigterm_says_offline_and_ends_cleanly(sim: Sim, observer: Observer) -> None:
    with Agent(sim.config) as agent:
        agent.until_healthy()
        online = wait_until(lambda: last(observer, agent, "state"))
        assert online["status"] == "online"
        status, took_s = agent.terminate()
        assert status == 0
        assert took_s < 2
        offline = wait_until(lambda: (s := last(observer, agent, "state")) and s["status"] == "offline" and s)
        assert offline["reason"] == "sigterm"
        assert offline["conn"] == online["conn"]
        wait_until(lambda: events(observer, agent)[-1]["event"] == "agent.stopped")
        for left in ("control.sock", "report.sock", "status.part"):
            assert not (agent.run_dir / left).exists()

    with Agent(sim.config) as again:
        again.until_healthy()
        state = wait_until(lambda: (s := last(observer, again, "state")) and s["status"] == "online" and s)
        assert state["conn"] == online["conn"] + 1
        assert "power/unclean_shutdown" not in again.faults()
        heard = wait_until(lambda: [e for e in events(observer, again) if e["event"] == "agent.started"][1:])
        assert heard[0]["boot"] == online["boot"]  # the machine has not booted, so the numbers go on
        _without_gap(observer, again, copies=False)


def test_sigterm_while_everything_is_silent(sim: Sim) -> None:
    """A stop must not wait for devices that do not answer."""
    with Agent(sim.config) as agent:
        agent.until_healthy()
        sim.apply({f"{unit}.line": "mute" for unit in ("printer", "reader", "modem", "keypad")})
        sim.set(network_gateway="down")
        agent.until(lambda status: len(status["faults"]) >= 4)
        status, took_s = agent.terminate()
        assert status == 0
        assert took_s < 2


def test_kill_leaves_the_will_and_nothing_is_told_twice(sim: Sim, broker: Rumqttd, observer: Observer) -> None:
    """SIGKILL: the broker holds the will; the next start goes on with its numbers and its faults."""
    with Agent(sim.config) as agent:
        agent.until_healthy()
        sim.set(printer_paper="out")
        agent.until(lambda status: status["faults"])
        first = wait_until(lambda: last(observer, agent, "fault/printer/paper_out"))
        conn = wait_until(lambda: last(observer, agent, "state"))["conn"]
        agent.kill()

    with Agent(sim.config) as again:
        status = again.until(lambda status: status["connected"] and "printer/paper_out" in raised(status))
        assert raised(status)["printer/paper_out"]["first_at"] == first["first_at"]
        assert raised(status)["printer/paper_out"]["count"] == 1
        state = wait_until(lambda: (s := last(observer, again, "state")) and s["conn"] == conn + 1 and s)
        assert state["verdict"]["cause"] == "printer/paper_out"
        wait_until(lambda: [e for e in events(observer, again) if e["event"] == "agent.started"][1:])
        told = [e for e in once(events(observer, again)) if e["event"] == "fault.raised"]
        assert [e["data"]["fault"] for e in told] == ["printer/paper_out"]
        sim.set(printer_paper="ok")
        again.until(lambda status: not status["faults"])
        wait_until(lambda: last(observer, again, "fault/printer/paper_out")["state"] == "cleared")
        _without_gap(observer, again, copies=True)


def _without_gap(observer: Observer, agent: Agent, *, copies: bool) -> None:
    """Every number from 1 on arrives, and without `copies` none twice. What waited comes after what is new."""

    def numbers(suffix: str) -> list[int]:
        heard = [h.body["seq"] for h in list(observer.heard) if h.topic == f"{agent.base}/{suffix}"]
        return sorted(set(heard)) if copies else sorted(heard)

    for suffix in ("event", "telemetry"):
        wait_until(lambda suffix=suffix: (n := numbers(suffix)) == list(range(1, len(n) + 1)))


def test_the_will_is_published_when_the_agent_is_gone(sim: Sim, broker: Rumqttd, observer: Observer) -> None:
    """Another connection with the terminal's id takes the session over, so that the will is due without its delay."""
    with Agent(sim.config) as agent:
        agent.until_healthy()
        conn = wait_until(lambda: last(observer, agent, "state"))["conn"]
        agent.kill()
    thief = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id=agent.base.split("/")[-1], protocol=paho.MQTTv5)
    ended = Properties(PacketTypes.CONNECT)
    ended.SessionExpiryInterval = 0
    thief.connect("127.0.0.1", broker.port, clean_start=True, properties=ended)
    thief.loop_start()
    will = wait_until(lambda: (s := last(observer, agent, "state")) and s["status"] == "offline" and s, 40)
    thief.disconnect()
    thief.loop_stop()
    assert will["reason"] == "connection_lost"
    assert will["conn"] == conn
    assert will["verdict"]["can_sell"] in {"yes", "unknown"}


def test_a_reboot_is_told_with_its_reason(sim: Sim, observer: Observer) -> None:
    with Agent(sim.config) as agent:
        agent.until_healthy()
        boot = agent.status()["boot"]
        agent.kill()
    sim.set(system_boot="power_loss")
    with Agent(sim.config) as again:
        again.until(lambda status: "power/unclean_shutdown" in again.faults())
        assert again.status()["boot"] == boot + 1
        told = wait_until(
            lambda: [e for e in events(observer, again) if e["event"] == "boot" and e["boot"] == boot + 1]
        )
        assert told[0]["seq"] == 1
        assert told[0]["data"]["reason"] in {"power_loss", "crash", "unknown"}
        again.terminate()
    sim.set(system_boot="clean")
    with Agent(sim.config) as third:
        told = wait_until(
            lambda: [e for e in events(observer, third) if e["event"] == "boot" and e["boot"] == boot + 2]
        )
        assert told[0]["data"]["reason"] == "clean"


def test_a_second_agent_ends_at_once_with_one_line(sim: Sim) -> None:
    with Agent(sim.config) as agent:
        agent.until_healthy()
        second = posdiag("run", "--config", str(sim.config))
        assert second.returncode == 2
        assert second.stderr.count("\n") == 1
        assert str(sim.run_dir) in second.stderr
        # Nor may one with another run_dir use the same state.
        other = sim.write_config(change=lambda text: text.replace(str(sim.run_dir), str(sim.folder / "run2")))
        third = posdiag("run", "--config", str(other))
        assert third.returncode == 2
        assert "state" in third.stderr
        assert agent.alive()
        assert agent.until_healthy()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda text: text.replace("poll_s", "pol_s"), ("network.pol_s", "'poll_s'")),
        (lambda text: text.replace('family = "escpos"', 'family = "escpoz"'), ("device[0].family", "perhaps escpos")),
        (lambda text: text.replace("baud = 9600", "baud = -1"), ("device[0].baud", "-1")),
        (lambda text: text.replace("mqtt://", "http://"), ("mqtt.url", "http://")),
        (lambda text: text.replace("[terminal]", "[terminal"), ("not TOML",)),
        (
            lambda text: text.replace("[power]", '[power]\nnut = "ups@h:abc"'),
            ("power.nut = 'ups@h:abc'", "the port is not"),
        ),
        (lambda text: f"{text}\n[store]\ntelemetry_hours = inf\n", ("store.telemetry_hours = inf", "at most 8784")),
        (
            lambda text: text.replace('"escpos"', '"escpos"\noptions = { profile = "epsn" }', 1),
            ("device[0].options.profile = 'epsn'", 'perhaps "epson"'),
        ),
        (lambda text: text.replace('"crt571"', '"crt571"\noptions = { address = "x" }', 1), ("options.address = 'x'",)),
    ],
)
def test_a_wrong_configuration_starts_nothing(sim: Sim, change, says: tuple[str, ...]) -> None:
    wrong = sim.write_config("wrong.toml")
    wrong.write_text(change(wrong.read_text()))
    for verb in (("run", "--config"), ("check", "--config"), ("config", "check")):
        done = posdiag(*verb, str(wrong))
        assert done.returncode == 2
        assert done.stdout == ""
        assert "Traceback" not in done.stderr
        assert str(wrong) in done.stderr
        for words in says:
            assert words in done.stderr
    assert not (sim.run_dir / "status.json").exists()
    assert not any((sim.folder / "state").iterdir())


def test_a_file_that_is_no_store_is_moved_aside(sim: Sim, observer: Observer) -> None:
    (sim.folder / "state" / "posdiag.db").write_bytes(b"not a database at all" * 500)
    sim.set(printer_cover="open")
    with Agent(sim.config) as agent:
        stale, true = (f"{agent.base}/fault/printer/{kind}" for kind in ("paper_out", "cover_open"))
        observer.publish(stale, b'{"v":1,"state":"raised"}', retain=True)  # of the life that is forgotten
        agent.until(lambda status: "printer/cover_open" in raised(status))
        wait_until(lambda: [h for h in observer.heard if h.topic == stale and h.body is None], 20)
        assert all(h.body for h in observer.heard if h.topic == true), "what is raised stays told"
        sim.set(printer_cover="closed")
        agent.until(lambda status: set(raised(status)) == {"agent/store_reset"} and status["connected"])
        agent.until(lambda status: status["verdict"]["can_sell"] == "degraded")
        wait_until(lambda: [e for e in events(observer, agent) if e["event"] == "fault.raised"])
        told = wait_until(lambda: [e for e in events(observer, agent) if e["event"] == "store.reset"])
        assert len(told) == 1
        aside = sim.folder / "state" / told[0]["data"]["moved_to"]
        assert aside.read_bytes().startswith(b"not a database")
