"""The devices that can be simulated, by their family word."""

from __future__ import annotations

from typing import Final

from simulator.device import Device
from simulator.devices.crt571 import Crt571
from simulator.devices.evdev import Evdev
from simulator.devices.gempc import GemPcTwin
from simulator.devices.modem import Modem
from simulator.devices.modem_makers import Quectel, SimCom
from simulator.devices.neo import Neo
from simulator.devices.printer import Printer
from simulator.devices.smartpin import SmartPin
from simulator.devices.zt588 import Zt588

DEVICES: Final[dict[str, type[Device]]] = {
    kind.family: kind for kind in (Printer, Modem, Quectel, SimCom, Crt571, Neo, GemPcTwin, Zt588, SmartPin, Evdev)
}
"""Family word -> device; `unit` of the class says for which of a terminal's devices it can stand."""
