"""What the daemon is asked for: several devices at a time, and arguments of somebody who means no harm or some."""

from __future__ import annotations

import os
import threading
import time
import tty
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from agent.app import App
from agent.config_file import load_trusted
from agent.delivery import Delivery
from drivers.errors import Yielded
from tests.wait import wait_until

CONFIG = """
[terminal]
id = "till-1"
estate = "demo"
[mqtt]
url = "mqtt://127.0.0.1:9"
[paths]
run_dir = "{folder}/run"
state_dir = "{folder}/state"
"""
DEVICE = """
[[device]]
name = "{name}"
family = "escpos"
port = "{port}"
poll_s = 600.0
share = "{share}"
"""
HUNG = ("first", "second", "third")


@pytest.fixture
def ports() -> Iterator[list[str]]:
    """Ports at whose far ends nobody answers."""
    pairs = [os.openpty() for _ in HUNG]
    for _, near in pairs:
        tty.setraw(near)
    yield [os.ttyname(near) for _, near in pairs]
    for pair in pairs:
        os.close(pair[0])
        os.close(pair[1])


@pytest.fixture
def built(tmp_path: Path, ports: list[str]) -> Iterator[App]:
    """A daemon that has not started to look and to listen."""
    file = tmp_path / "agent.toml"
    devices = [DEVICE.format(name=name, port=port, share="own") for name, port in zip(HUNG, ports, strict=True)]
    devices.append(DEVICE.format(name="theirs", port=tmp_path / "tty", share="never"))
    file.write_text(CONFIG.format(folder=tmp_path) + "".join(devices))
    delivery = Delivery(load_trusted(file))
    delivery.start()
    daemon = App(delivery, file)
    yield daemon
    daemon.stop("test_over")
    for thread in (*daemon.workers, *daemon.runners, daemon.commands):
        thread.join(20)


@pytest.fixture
def app(built: App) -> App:
    built.start()
    return built


@pytest.fixture
def release(app: App) -> Iterator[threading.Event]:
    """Every device that is asked at all hangs until this is set."""
    event = threading.Event()
    began = [threading.Event() for _ in HUNG]

    def hang(worker: Any, begins: threading.Event) -> None:
        worker.ask(lambda _driver: (begins.set(), event.wait(30)), 30)

    threads = [threading.Thread(target=hang, args=each) for each in zip(app.workers, began, strict=False)]
    for thread in threads:
        thread.start()
    assert all(each.wait(10) for each in began)
    yield event
    event.set()
    for thread in threads:
        thread.join(10)


@pytest.mark.parametrize("cmd", ["identify", "statistics"])
@pytest.mark.usefixtures("release")
def test_devices_that_hang_are_waited_for_at_the_same_time(app: App, monkeypatch: pytest.MonkeyPatch, cmd: str) -> None:
    monkeypatch.setattr("agent.deeds._DEVICE_S", 1.0)
    began = time.monotonic()
    said = app.deeds.control({"cmd": cmd})
    assert time.monotonic() - began < 3, "one after the other it would be 3 s"
    assert said == {
        **{name: {"error": "no_reply", "text": f"{name} was busy for more than 1 s"} for name in HUNG},
        "theirs": {"error": "not_asked", "text": "not asked: by configuration the payment application has it alone"},
    }


def test_an_answer_of_devices_that_gave_way_to_the_end_of_the_daemon_is_none(app: App) -> None:
    began = threading.Event()
    ended: list[BaseException] = []

    def gives_way(_driver: object) -> None:
        began.set()
        wait_until(app.deeds._stopping.is_set)
        raise Yielded("a sale began")

    def asks() -> None:
        try:
            app.deeds._ask(app.workers[:1], gives_way)
        except InterruptedError as error:
            ended.append(error)

    asking = threading.Thread(target=asks)
    asking.start()
    assert began.wait(10)
    app.deeds.stop()
    asking.join(10)
    assert str(ended[0]) == "the agent was stopped meanwhile"


def test_a_command_that_comes_with_the_start_is_not_one_of_an_earlier_run(
    built: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    expires = int(built.clock.wall()) + 60
    built.office.take("earlier", expires, "identify")
    hand_to = built.delivery.hand_to

    def hand_and_take(take: Any) -> None:
        hand_to(take)
        built.office.take("now", expires, "identify")

    monkeypatch.setattr(built.delivery, "hand_to", hand_and_take)
    built.start()
    assert {name: state.split()[0] for name, state in built.store.commands().items()} == {
        "earlier": "done",
        "now": "accepted",
    }


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        ({"cmd": "check", "args": {"level": ["internal"]}}, "level is one of internal, external, interactive"),
        ({"cmd": "check", "args": {"device": ["first"]}}, "no such device; there are first, second, third, theirs"),
        ({"cmd": "identify", "args": {"device": {}}}, "no such device; there are first, second, third, theirs"),
    ],
)
def test_arguments_of_another_kind_are_refused(app: App, request_: Mapping[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=f"^{why}$"):
        app.deeds.control(request_)


def test_no_device_is_recovered_that_nobody_named(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app.workers[0], "ask", lambda *_: pytest.fail("it was asked"))
    with pytest.raises(ValueError, match=r"^device is one of first, second, third, theirs$"):
        app.deeds.recover({"device": None})


def test_a_check_of_no_device_by_name_is_of_everything(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.deeds._DEVICE_S", 0.1)
    wait_until(lambda: "power" in app.core.probe_readings())
    assert {*HUNG, "theirs", "power"} <= app.deeds.check({"device": None})["devices"].keys()
