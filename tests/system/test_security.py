"""Exchanged parts, tampering, an opened case, updates and work orders, with the real daemon and a simulated terminal."""

from __future__ import annotations

import json
import socket
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.mqtt.broker import Observer, Rumqttd
from tests.system import desk
from tests.system.stage import Agent, Sim, ask_socket, posdiag
from tests.wait import wait_until

PIN_PAD = ("--family", "keypad=smartpin")


def events(observer: Observer, agent: Agent, name: str) -> list[dict]:
    """The data of all events of this name, in order."""
    return [body["data"] for body in desk.events(observer, agent) if body["event"] == name]


def raised(key: str) -> Callable[[dict], bool]:
    return lambda status: any(fault["fault"] == key for fault in status["faults"])


def cleared(key: str) -> Callable[[dict], bool]:
    return lambda status: not raised(key)(status)


def exchange_printer(sim: Sim, agent: Agent, firmware: str) -> None:
    sim.set(printer_cable="out")
    agent.until(raised("printer/port_lost"))
    sim.apply({"printer.firmware": firmware, "printer.cable": "in"})
    agent.until(cleared("printer/port_lost"))


def identified(agent: Agent) -> dict:
    return agent.until(lambda s: s["readings"].get("security", {}).get("printer.part") == "same", 30)


def tell(agent: Agent, **values: object) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as updater:
        updater.sendto(json.dumps({"firmware": values}).encode(), str(agent.run_dir / "report.sock"))


def test_an_exchanged_printer_stands_until_a_visit_was_announced_and_made(
    broker: Rumqttd, observer: Observer, folder: Path
):
    key = "security/device_swapped"
    with Sim(folder, broker.port) as sim, Agent(sim.config) as agent:
        agent.until_healthy()
        identified(agent)
        exchange_printer(sim, agent, "9.99")
        status = agent.until(raised(key))
        fault = agent.faults()[key]
        assert (fault["device"], fault["evidence"]["printer.changed"], fault["act"]) == (
            "printer",
            "firmware",
            "support",
        )
        assert status["verdict"]["can_sell"] == "no"

        config = str(sim.config)
        refused = posdiag("work-order", "inspected", "--config", config)
        assert (refused.returncode, "no work order is open" in refused.stderr) == (1, True), refused.stderr
        opened = posdiag("work-order", "open", "--hours", "2", "--config", config, "--json")
        assert (opened.returncode, json.loads(opened.stdout)["open"]) == (0, True), opened.stderr
        inspected = posdiag("work-order", "inspected", "--config", config)
        assert (inspected.returncode, "printer" in inspected.stdout) == (0, True), inspected.stderr
        agent.until(cleared(key))

        exchange_printer(sim, agent, "9.98")  # still on the visit
        wait_until(lambda: len(events(observer, agent, "device.swapped")) == 2, 20)
        assert [each["announced"] for each in events(observer, agent, "device.swapped")] == [False, True]
        assert key not in agent.faults()
        assert posdiag("work-order", "close", "--config", config).stdout == "No work order is open.\n"
        wait_until(lambda: [each["parts"] for each in events(observer, agent, "inspection")] == [["printer"]])


def test_new_firmware_after_a_reported_update_is_expected_and_a_failed_update_is_a_fault(
    broker: Rumqttd, observer: Observer, folder: Path
):
    key = "firmware/update_failed"
    with Sim(folder, broker.port) as sim:
        with Agent(sim.config) as agent:
            agent.until_healthy()
            identified(agent)
            tell(agent, update="JPOS_SUE_UF_FAILED_DEV_NEEDS_FIRMWARE", device="printer")
            agent.until(raised(key))
            evidence = agent.faults()[key]["evidence"]
            assert (evidence["update"], evidence["update_device"]) == ("failed_dev_needs_firmware", "printer")
        with Agent(sim.config) as agent:
            agent.until(lambda status: status["connected"])
            assert key in agent.faults(), "nobody has said that it came right"
            exchange_printer(sim, agent, "9.97")
            wait_until(lambda: events(observer, agent, "device.swapped"), 20)
            assert events(observer, agent, "device.swapped")[-1]["announced"] is True
            tell(agent, update=2200, device="printer")
            agent.until(lambda status: not status["faults"])


def test_a_torn_off_pin_pad_stays_so_over_restarts_until_it_is_fixed(broker: Rumqttd, folder: Path):
    key = "keypad/tamper"
    with Sim(folder, broker.port, *PIN_PAD) as sim:
        with Agent(sim.config) as agent:
            agent.until_healthy()
            sim.set(keypad_tamper="yes")
            agent.until(raised(key))
            sim.set(keypad_cable="out")
            agent.until(raised("keypad/port_lost"))
            sim.set(keypad_cable="in")
            agent.until(lambda s: s["readings"]["keypad"]["port"] == "ok")
            agent.until(lambda s: s["readings"]["keypad"]["tamper"] == "yes")
        with Agent(sim.config) as agent:
            told = agent.status().get("at", "")
            agent.until(lambda s: s.get("at", "") > told and s["readings"].get("keypad", {}).get("tamper") == "yes", 20)
            assert key in agent.faults()
        sim.set(keypad_tamper="no")  # both users fix it while nobody looks
        with Agent(sim.config) as agent:
            agent.until(lambda status: not status["faults"], 20)


def test_a_tampered_reader_that_says_no_after_a_restart_waits_for_a_work_order(broker: Rumqttd, folder: Path):
    key = "reader/tamper"
    with Sim(folder, broker.port, "--family", "reader=neo") as sim:
        with Agent(sim.config) as agent:
            agent.until_healthy()
            sim.set(reader_tamper="yes")
            agent.until(raised(key))
        sim.set(reader_tamper="no")
        with Agent(sim.config) as agent:
            told = agent.status().get("at", "")
            agent.until(lambda s: s.get("at", "") > told and s["readings"].get("reader", {}).get("tamper") == "no", 20)
            assert key in agent.faults()
            answer = ask_socket(agent.run_dir / "control.sock", {"cmd": "work_order", "args": {"hours": 1}})
            assert answer["ok"]["open"]
            agent.until(cleared(key), 20)


def test_an_opened_case_is_told_at_once_and_stands_when_it_is_closed(broker: Rumqttd, observer: Observer, folder: Path):
    key = "security/case_opened"
    switch = folder / "case_switch"
    with Sim(folder, broker.port) as sim:
        switch.write_text("0\n")
        config = sim.write_config(add=f'[security]\ncase_switch = "{switch}"\n')
        with Agent(config) as agent:
            agent.until_healthy()
            switch.write_text("1\n")
            agent.until(raised(key), 20)  # files are looked at every hour
            switch.write_text("0\n")
            agent.until(lambda s: s["readings"]["security"]["case"] == "opened", 20)
            assert agent.status()["verdict"] | {"since": ""} == {
                "can_sell": "no", "cause": key, "act": "support", "since": ""
            }  # fmt: skip
        with Agent(config) as agent:
            told = agent.status().get("at", "")
            agent.until(
                lambda s: s.get("at", "") > told and s["readings"].get("security", {}).get("case") == "opened", 20
            )
            assert key in agent.faults()
            ask_socket(agent.run_dir / "control.sock", {"cmd": "work_order", "args": {"hours": 1}})
            ask_socket(agent.run_dir / "control.sock", {"cmd": "inspected"})
            agent.until(lambda status: not status["faults"])
            wait_until(lambda: events(observer, agent, "inspection") == [{"parts": [], "case_opened": True}])


def test_the_center_announces_a_visit_with_the_case_and_a_refused_setting_is_a_fault(
    broker: Rumqttd, observer: Observer, folder: Path
):
    with Sim(folder, broker.port) as sim, Agent(sim.config) as agent:
        agent.until_healthy()
        until = (datetime.now(UTC) + timedelta(hours=3)).strftime("%Y-%m-%dT%H:%M:%SZ")
        case = {"case": "C-17", "progress": "a technician is on the way", "work_order_until": until}
        observer.publish(f"{agent.base}/case", json.dumps(case).encode(), retain=True)
        wait_until(lambda: events(observer, agent, "work_order.opened"), 10)
        assert events(observer, agent, "work_order.opened")[0]["by"] == "center"
        observer.publish(f"{agent.base}/case", b"", retain=True)
        wait_until(lambda: events(observer, agent, "work_order.closed"), 10)
        observer.publish(f"{agent.base}/config", b'{"version": "7"}', retain=True)
        agent.until(raised("agent/config_rejected"))
        observer.publish(f"{agent.base}/config", b"", retain=True)
        agent.until(cleared("agent/config_rejected"))


def test_a_boot_that_ends_within_its_first_seconds_is_not_taken_for_the_clean_one_before(
    broker: Rumqttd, observer: Observer, folder: Path
):
    def reasons() -> dict[int, str]:
        return {told["boot"]: told["reason"] for told in events(observer, agent, "boot")}

    with Sim(folder, broker.port) as sim:
        for number in (1, 2, 3):
            sim.set(system_boot="clean")  # another boot; how the last one ended is for the daemon to find out
            with Agent(sim.config) as agent:
                agent.until(lambda status, number=number: status.get("boot") == number)
                if number == 2:
                    agent.kill()
                else:
                    wait_until(lambda number=number: len(reasons()) == number, 20)
    assert reasons() == {1: "unknown", 2: "clean", 3: "unknown"}


def test_a_store_that_was_lost_is_told_for_a_day(broker: Rumqttd, folder: Path):
    key = "agent/store_reset"
    with Sim(folder, broker.port) as sim:
        store = folder / "state" / "posdiag.db"
        store.write_bytes(b"not a database at all" * 500)
        with Agent(sim.config) as agent:
            agent.until(raised(key))
        with Agent(sim.config) as agent:
            agent.until(lambda status: status["connected"])
            assert key in agent.faults()
        with closing(sqlite3.connect(store)) as db, db:
            db.execute("UPDATE kept SET value = value - 86401 WHERE space = 'kv' AND key = 'store_reset_at'")
        with Agent(sim.config) as agent:
            agent.until(lambda status: status["connected"] and cleared(key)(status))
