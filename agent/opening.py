"""A device opened by a verb itself, because no daemon runs that owns its port."""

from __future__ import annotations

import contextlib
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
