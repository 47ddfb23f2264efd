"""A device opened by a verb itself, because no daemon runs that owns its port."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from agent.config import Config, DeviceConfig
from agent.sale import SaleLock
from drivers import catalog
from drivers.driver import Driver
from drivers.errors import PortBusy

_BUSY_S: Final = 4.0  # half of what a check may take
_AGAIN_S: Final = 0.2


def sale_watch(config: Config) -> Callable[[], bool]:
    """Tells whether a sale is going on; where no application has ever been told of a lock there is none to see."""
    path = Path(config.paths.run_dir) / "busy.lock"
    return SaleLock(path).held if path.exists() else lambda: False


@contextlib.contextmanager
def opened(device: DeviceConfig, sale: Callable[[], bool]) -> Iterator[Driver]:
    """Its driver, at a port that is shared with the payment application and given up for a sale. Raises DriverError.

    A port that somebody else holds is waited for: another check, and an application that opens it for each receipt,
    are done in a few seconds.
    """
    until = time.monotonic() + _BUSY_S
    with _turn(device.port, until, sale):
        while True:
            try:
                driver = _open(device, sale)
                break
            except PortBusy:
                if sale() or time.monotonic() >= until:
                    raise
                time.sleep(_AGAIN_S)
        with contextlib.closing(driver.channel.link):
            yield driver


def _turn(port: str, until: float, sale: Callable[[], bool]) -> socket.socket:
    """Wait until no other process has a turn at the port: who opens it drops what has come for another.

    What is given holds the turn, by a name that is free again once it is closed or its process ends. Nobody waits
    beyond `until` or into a sale; then it is tried without a turn, and the error says who has the port.
    """
    turn = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        found = Path(port).stat()
    except OSError:
        return turn  # to open it says what is wrong
    while not sale() and time.monotonic() < until:
        try:
            turn.bind(f"\0posdiag-{found.st_dev:x}-{found.st_ino:x}")
            break
        except OSError:
            time.sleep(_AGAIN_S)
    return turn


def _open(device: DeviceConfig, sale: Callable[[], bool]) -> Driver:
    return catalog.open_driver(
        device.family,
        device.port,
        device.options,
        baud=device.baud,
        flow=device.line_flow,
        yield_now=sale,
        share=True,
    )
