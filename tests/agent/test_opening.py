"""Two verbs at one port: each has its turn, and what has come for one is not dropped by the other."""

from __future__ import annotations

import os
import threading
import time
import tty
from collections.abc import Iterator

import pytest

from agent.config import DeviceConfig
from agent.opening import opened
from drivers.errors import PortBusy
from tests.wait import wait_until


@pytest.fixture
def line() -> Iterator[tuple[int, DeviceConfig]]:
    """The far end of a line, and the device at its near end."""
    far, near = os.openpty()
    tty.setraw(near)
    yield far, DeviceConfig(name="printer", family="escpos", port=os.ttyname(near))
    os.close(far)
    os.close(near)


def no_sale() -> bool:
    return False


def test_another_verb_waits_and_drops_nothing(line: tuple[int, DeviceConfig]) -> None:
    far, device = line
    had: list[str] = []

    def other() -> None:
        with opened(device, no_sale):
            had.append("other")

    second = threading.Thread(target=other)
    with opened(device, no_sale) as driver:
        os.write(far, b"reply")
        second.start()
        moment = time.monotonic() + 0.6
        wait_until(lambda: time.monotonic() > moment)
        assert driver.channel.link.read(1) == b"reply"
        had.append("one")
    second.join(10)
    assert had == ["one", "other"]


@pytest.mark.parametrize(("sale", "busy_s", "least_s", "most_s"), [(False, 0.5, 0.5, 20.0), (True, 30.0, 0.0, 20.0)])
def test_nobody_waits_for_ever_or_into_a_sale(
    line: tuple[int, DeviceConfig],
    monkeypatch: pytest.MonkeyPatch,
    *,
    sale: bool,
    busy_s: float,
    least_s: float,
    most_s: float,
) -> None:
    monkeypatch.setattr("agent.opening._BUSY_S", busy_s)
    _far, device = line
    with opened(device, no_sale):
        began = time.monotonic()
        with pytest.raises(PortBusy), opened(device, lambda: sale):
            pass
        assert least_s <= time.monotonic() - began < most_s
