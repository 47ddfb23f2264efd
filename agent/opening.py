"""A device opened by a verb itself, because no daemon runs that owns its port."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from agent.config import Config, DeviceConfig
from agent.sale import SaleLock
from drivers import catalog
from drivers.driver import Driver


def sale_watch(config: Config) -> Callable[[], bool]:
    """Tells whether a sale is going on; where no application has ever been told of a lock there is none to see."""
    path = Path(config.paths.run_dir) / "busy.lock"
    return SaleLock(path).held if path.exists() else lambda: False


@contextlib.contextmanager
def opened(device: DeviceConfig, sale: Callable[[], bool]) -> Iterator[Driver]:
    """Its driver, at a port that is shared with the payment application and given up for a sale. Raises DriverError."""
    driver = catalog.open_driver(
        device.family,
        device.port,
        device.options,
        baud=device.baud,
        flow=device.line_flow,
        yield_now=sale,
        share=True,
    )
    with contextlib.closing(driver.channel.link):
        yield driver
