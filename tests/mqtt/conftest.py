from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mqtt.broker import MOSQUITTO, Broker, Mosquitto, Observer, Rumqttd

BROKERS: list[type[Broker]] = [Rumqttd, Mosquitto] if MOSQUITTO else [Rumqttd]


@pytest.fixture(params=BROKERS, ids=lambda kind: kind.__name__.lower())
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Broker]:
    """A running broker of each kind that this machine has."""
    process = request.param(tmp_path)
    process.start()
    yield process
    process.kill()


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[Rumqttd]:
    """A running broker of the kind that every machine has, where which one it is does not matter."""
    process = Rumqttd(tmp_path)
    process.start()
    yield process
    process.kill()


@pytest.fixture
def observer(broker: Broker) -> Iterator[Observer]:
    with Observer(broker.port) as listening:
        yield listening
