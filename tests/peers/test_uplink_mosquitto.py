"""The uplink against Mosquitto, where it must be installed: what tests/mqtt runs only if it happens to be there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mqtt import test_outage, test_uplink
from tests.mqtt.broker import Mosquitto, Observer

pytestmark = pytest.mark.peers


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    process = Mosquitto(tmp_path)
    process.start()
    yield process
    process.kill()


@pytest.fixture
def observer(broker: Mosquitto) -> Iterator[Observer]:
    with Observer(broker.port) as listening:
        yield listening


def test_it_comes_up(tmp_path: Path, broker: Mosquitto, observer: Observer) -> None:
    test_uplink.test_it_says_online_subscribes_and_counts(tmp_path, broker, observer)


def test_it_goes_down(tmp_path: Path, broker: Mosquitto, observer: Observer) -> None:
    test_uplink.test_a_graceful_stop_says_offline_and_takes_back_the_will(tmp_path, broker, observer)


def test_it_dies(tmp_path: Path, broker: Mosquitto, observer: Observer) -> None:
    test_uplink.test_a_lost_connection_leaves_the_will_with_its_number(tmp_path, broker, observer)


def test_a_cut_line(tmp_path: Path, broker: Mosquitto, observer: Observer) -> None:
    test_outage.test_a_line_that_is_cut_again_and_again_loses_nothing(tmp_path, broker, observer)


def test_a_refused_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    test_outage.refused_message_stays(tmp_path, monkeypatch)
