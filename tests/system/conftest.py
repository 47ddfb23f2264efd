from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mqtt.broker import Observer, Rumqttd

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Many processes start in each test. On a slow machine that takes long; every single wait has a limit of its own."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.timeout(300))


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rumqttd]:
    """One broker for the terminals of a module; each terminal has an id of its own."""
    process = Rumqttd(tmp_path_factory.mktemp("broker"))
    process.start()
    yield process
    process.kill()


@pytest.fixture(scope="module")
def observer(broker: Rumqttd) -> Iterator[Observer]:
    """A subscriber that knows MQTT and JSON and nothing of ours."""
    with Observer(broker.port) as listening:
        yield listening


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short path, because unix sockets below it have at most 107 bytes."""
    return tmp_path_factory.mktemp("pos")
