"""A Linux keypad below umockdev and the real daemon: which key is held comes from the kernel's own answers."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mqtt.broker import Mosquitto
from tests.peers.daemon import Daemon, Subscriber, bare
from tests.peers.peer import HERE, program
from tests.wait import wait_until

pytestmark = [pytest.mark.peers, pytest.mark.timeout(180)]

ENTER, FIVE = 28, 6
SYSTEM_PYTHON = Path("/usr/bin/python3")  # the one that the Debian packages are for


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    broker = Mosquitto(tmp_path)
    broker.start()
    yield broker
    broker.kill()


def test_a_key_that_was_held_before_the_daemon_came_is_stuck_and_typing_stays_private(
    broker: Mosquitto, tmp_path: Path
) -> None:
    down = tmp_path / "down.json"

    def hold(*codes: int) -> None:
        beside = down.with_suffix(".new")
        beside.write_text(json.dumps(codes))
        beside.replace(down)

    hold(ENTER)
    assert SYSTEM_PYTHON.exists(), "tests/peers/install.sh installs python3-gi"
    wrapper = [program("umockdev-wrapper"), str(SYSTEM_PYTHON), str(HERE / "umockdev_keypad.py"), str(down)]
    settings = bare(
        tmp_path,
        broker.port,
        telemetry={"batch_s": 0.5},
        device=[{"name": "keypad", "family": "evdev", "port": "/dev/input/event7", "poll_s": 0.2}],
    )
    with Subscriber(tmp_path, broker.port) as subscriber, Daemon(tmp_path, settings, wrapper) as daemon:
        wait_until(lambda: subscriber.latest("keypad.reply") == "ok")
        entries = wait_until(
            lambda: [d for m in subscriber.heard("inventory") for d in m.body["devices"] if d.get("model")]
        )
        assert entries[0]["model"] == "POS keypad"
        raised = subscriber.wait_for("fault/keypad/key_stuck", state="raised")
        assert raised.body["device"] == "keypad"
        hold()
        subscriber.wait_for("fault/keypad/key_stuck", state="cleared")

        for _ in range(2):  # somebody types: far below the second from which on it would be told
            hold(FIVE)
            passes(0.15)
            hold()
            passes(0.3)
        hold(FIVE)
        passes(3)
        hold()

        def told() -> list[str]:
            samples = [sample for batch in subscriber.heard("telemetry") for _, sample in batch.body["samples"]]
            return [sample["keypad.held"] for sample in samples if "keypad.held" in sample]

        # A key held from before has its name from 5 s on; typing leaves no trace, and 3 s no name.
        wait_until(lambda: told() == ["none", "some", "enter", "none", "some", "none"])
        wait_until(lambda: daemon.faults("keypad") == set())
        daemon.stop()


def passes(seconds: float) -> None:
    """A person's time: how long a key is down is what is tested."""
    end = time.monotonic() + seconds
    wait_until(lambda: time.monotonic() >= end, seconds + 30)
