"""A real agent and a member of a fleet live through the same hour, and nobody can tell from the wire which is which."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import mqtt5
import pytest

from simulator.fleet import Fleet, Options
from simulator.fleet_estate import has_battery, make_places
from tests.mqtt.broker import Rumqttd
from tests.simulator.mqtt_tap import Tap, body
from tests.system.stage import Agent, Sim
from tests.wait import wait_until

pytestmark = pytest.mark.timeout(240)  # the first test waits until both have had their day
AGENT, FLEET = "agent", "fleet"
BY_TIME = {"telemetry", "health", "inventory"}  # come when they are due, not when something happens


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tap]:
    """Both have had their day: packets by who wrote them."""
    folder = tmp_path_factory.mktemp("day")
    broker = Rumqttd(folder)
    broker.start()
    try:
        with Tap(broker.port) as one, Tap(broker.port) as other:
            with ThreadPoolExecutor() as pool:
                days = [pool.submit(_day_of_the_agent, folder, one), pool.submit(_day_of_the_fleet, other)]
                for day in days:
                    day.result()
            return {AGENT: one, FLEET: other}
    finally:
        broker.kill()


def _day_of_the_agent(folder: Any, tap: Tap) -> None:
    with Sim(folder / "sim", tap.port) as sim:
        config = sim.write_config(add="[telemetry]\nbatch_s = 3\n")
        with Agent(config) as agent:
            agent.until_healthy()
            _until(tap, "inventory", lambda told: bool(told["agent"]["report_key"]))
            _until(tap, "telemetry", lambda told: "printer.PaperCutCount" in str(told))  # while the printer has power
            sim.set(printer_paper="out")
            _until(tap, "fault/printer/paper_out", lambda told: told["state"] == "raised")
            sim.set(printer_paper="ok")
            _until(tap, "event", lambda told: told["event"] == "fault.cleared")
            sim.set(power_mains="off")
            _until(tap, "event", lambda told: told["event"] == "fault.relabelled")
            tap.cut()
            sim.set(reader_card="jammed")
            _until(tap, "event", lambda told: _is_of(told, "reader/card_jam"))
            _until(tap, "health", lambda _told: True)
            _until(tap, "telemetry", lambda told: "printer.paper" in str(told))


def _day_of_the_fleet(tap: Tap) -> None:
    options = Options(
        url=f"mqtt://127.0.0.1:{tap.port}", terminals=1, estate=_mobile_estate(), rate=20, faults_per_hour=0
    )
    fleet = Fleet(options)
    fleet.start()
    try:
        name = fleet.places[0].terminal

        def fault(key: str, word: str) -> None:
            fleet.control.set({f"terminal.{name}.{key}": word})

        _until(tap, "inventory", lambda _told: True)
        fault("printer/paper_out", "raised")
        _until(tap, "fault/printer/paper_out", lambda told: told["state"] == "raised")
        fault("printer/paper_out", "cleared")
        _until(tap, "event", lambda told: told["event"] == "fault.cleared")
        fault("power/mains_lost", "raised")
        _until(tap, "fault/power/mains_lost", lambda _told: True)
        fault("printer/no_reply", "raised")
        _until(tap, "event", lambda told: told["event"] == "fault.relabelled")
        tap.cut()
        fault("reader/card_jam", "raised")
        _until(tap, "event", lambda told: _is_of(told, "reader/card_jam"))
        _until(tap, "health", lambda _told: True)
        _until(tap, "telemetry", lambda told: "printer.paper" in str(told))
    finally:
        fleet.close()


def _mobile_estate() -> str:
    """One whose first terminal has a modem and a battery, as the simulated terminal has."""
    for number in range(100):
        place = make_places(1, estate=f"estate-{number}", seed=1)[0]
        if place.bearer == "modem" and has_battery(place):
            return place.estate
    raise AssertionError("no estate has such a terminal")


def _is_of(told: Any, key: str) -> bool:
    return told["event"] == "fault.raised" and told["data"]["fault"] == key


def _until(tap: Tap, suffix: str, wanted: Callable[[Any], bool]) -> None:
    wait_until(lambda: any(wanted(body(p)) for p in tap.published() if _suffix(p) == suffix), 90)


def _suffix(packet: mqtt5.PublishPacket) -> str:
    return packet.topic.split("/", 4)[4]


def _of(tap: Tap, kind: type) -> list[Any]:
    return [packet for packet in tap.packets if isinstance(packet, kind)]


def test_both_connect_and_subscribe_alike_each_time(lived: dict[str, Tap]):
    def connection(tap: Tap) -> list[Any]:
        return [
            (
                *(packet.clean_start, packet.keep_alive, packet.session_expiry_interval, packet.receive_max),
                *(packet.max_packet_size, packet.topic_alias_max, packet.username, packet.password),
                *(packet.will.topic == f"pos/1/{packet.will.topic.split('/')[2]}/{packet.client_id}/state",),
                *(packet.will.qos, packet.will.retain, packet.will.message_expiry_interval, packet.will.content_type),
                *(packet.will.will_delay_interval, packet.will.payload_format_indicator, packet.will.user_properties),
            )
            for packet in _of(tap, mqtt5.ConnectPacket)
        ]

    assert connection(lived[AGENT])[:2] == connection(lived[FLEET])[:2]
    assert len(connection(lived[FLEET])) == 2

    def filters(tap: Tap) -> list[Any]:
        packet = _of(tap, mqtt5.SubscribePacket)[0]
        wanted = [(f.max_qos, f.no_local, f.retain_as_published, f.retain_handling) for f in packet.topic_filters]
        name, estate = _of(tap, mqtt5.ConnectPacket)[0].client_id, packet.topic_filters[0].pattern.split("/")[2]
        return [
            wanted,
            [f.pattern.replace(f"/{estate}/", "/E/").replace(f"/{name}/", "/T/") for f in packet.topic_filters],
        ]

    assert filters(lived[AGENT]) == filters(lived[FLEET])


def test_the_wills_say_the_same_and_count_the_connections(lived: dict[str, Tap]):
    for who in (AGENT, FLEET):
        wills = [body(packet.will) for packet in _of(lived[who], mqtt5.ConnectPacket)]
        assert [will["conn"] for will in wills[:2]] == [1, 2]
        assert {(will["status"], will["reason"]) for will in wills} == {("offline", "connection_lost")}
    one, other = (_of(lived[who], mqtt5.ConnectPacket)[0].will for who in (AGENT, FLEET))
    assert _shape(body(one)) == _shape(body(other))


def test_both_say_the_same_in_the_same_order(lived: dict[str, Tap]):
    assert _story(lived[FLEET]) == _story(lived[AGENT])


def test_quality_retention_expiry_content_and_keys_are_alike_topic_by_topic(lived: dict[str, Tap]):
    one, other = _forms(lived[AGENT]), _forms(lived[FLEET])
    both = one.keys() & other.keys()
    assert both >= {
        "state  ",
        "inventory  ",
        "faults  ",
        "telemetry  ",
        "health  ",
        "event fault.raised reader/card_jam",
    }
    for what in both:
        assert other[what] <= one[what], what
    assert other.keys() <= one.keys()


def test_the_inventory_names_the_same_metrics_and_every_value_is_of_its_kind(lived: dict[str, Tap]):
    told = {who: [body(p) for p in tap.published() if _suffix(p) == "inventory"][-1] for who, tap in lived.items()}
    assert told[FLEET]["metrics"] == told[AGENT]["metrics"]
    assert told[FLEET]["commands"] == told[AGENT]["commands"]
    for one, other in zip(told[AGENT]["devices"], told[FLEET]["devices"], strict=True):
        assert (one["name"], one["family"], one["readings"]) == (other["name"], other["family"], other["readings"])

    def kinds(tap: Tap) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for packet in tap.published():
            if _suffix(packet) == "telemetry":
                for _dt, values in body(packet)["samples"]:
                    for name, value in values.items():
                        found.setdefault(name, set()).add("error" if isinstance(value, dict) else _word(value))
        return found

    one, other = kinds(lived[AGENT]), kinds(lived[FLEET])
    assert other.keys() <= one.keys()
    for name in other:
        assert other[name] <= one[name] | {"error"} or one[name] <= {"error"}, name


_FREE = {
    "samples",
    "metrics",
    "readings",
    "bytes_today",
    "store_rows",
    "drops",
    "probes",
    "devices",
    "symptoms",
    "faults",
}
"""What is in these differs from terminal to terminal; it is compared where that is the question."""


def _shape(told: Any) -> Any:
    """Keys in their order, and the kind of each value."""
    if isinstance(told, dict):
        return tuple((key, _word(value) if key in _FREE else _shape(value)) for key, value in told.items())
    return _word(told)


def _word(value: Any) -> str:
    return "number" if type(value) in {int, float} else type(value).__name__


def _story(tap: Tap) -> dict[str, list[str]]:
    """What was said on each topic, in order, without what comes by time alone or is said twice in a row.

    What was sent again after the cut, because its acknowledgement was lost, counts once. Which topic comes first is
    chance in an agent, whose threads tell of one change together.
    """
    story: dict[str, list[str]] = {}
    heard: set[tuple[str, str, int]] = set()
    for packet in tap.published():
        suffix, what = _suffix(packet), body(packet)
        if suffix in BY_TIME or what.get("event") == "agent.stopped":  # the last word may come after the tap's end
            continue
        if "seq" in what:
            if (suffix, what["boot"], what["seq"]) in heard:
                continue
            heard.add((suffix, what["boot"], what["seq"]))
        words = [str(what[key]) for key in ("state", "status", "event", "cause", "symptoms", "reason") if key in what]
        if suffix == "state":
            words += [str(what["verdict"][key]) for key in ("can_sell", "cause", "act")]
        if what.get("event", "").startswith("fault."):
            words.append(str(what["data"].get("fault", what["data"].get("faults"))))
        told = story.setdefault(suffix, [])
        if " ".join(words) not in told[-1:]:
            told.append(" ".join(words))
    return story


def _forms(tap: Tap) -> dict[str, set[Any]]:
    """How each kind of message travelled and was made."""
    found: dict[str, set[Any]] = {}
    for packet in tap.published():
        told = body(packet)
        if "late" in told:
            assert (list(told)[-1], told.pop("late")) == ("late", True)
        about = told["data"].get("fault", "") if "data" in told else told.get("state", "")
        what = f"{_suffix(packet)} {told.get('event', '')} {about}"
        expiry_s = packet.message_expiry_interval
        rounded = None if expiry_s is None else round(expiry_s, -3)  # what is told again has lived for seconds
        form = (int(packet.qos), packet.retain, packet.duplicate, rounded, packet.content_type, _shape(told))
        found.setdefault(what, set()).add(form)
    return found
