"""Slips and the printers of a terminal: which one prints them, how wide, and piece by piece."""

from __future__ import annotations

from collections.abc import Iterable

from agent.config import DeviceConfig
from drivers import catalog
from drivers.driver import Driver
from drivers.errors import Unsupported


def printer_of(devices: Iterable[DeviceConfig]) -> DeviceConfig | None:
    """The first printer of the configuration."""
    return next((device for device in devices if catalog.family(device.family).unit == "printer"), None)


def columns_of(device: DeviceConfig) -> int:
    """How many characters fit a line of its paper: the option `columns`, or what is usual for the printer's maker."""
    from drivers.codecs.escpos_profiles import profile_named  # noqa: PLC0415 - a terminal may have no printer

    told = device.options.get("columns") or profile_named(str(device.options.get("profile", "epson"))).columns
    return int(told)


def print_parts(driver: Driver, parts: Iterable[bytes]) -> None:
    """Print a slip, asking before each piece whether the printer still can. Raises DriverError, Yielded for a sale."""
    from drivers.escpos import EscposDriver  # noqa: PLC0415 - as above

    if not isinstance(driver, EscposDriver):
        raise Unsupported(f"{driver.family} prints no slips")
    for part in parts:
        driver.print_slip(part)
