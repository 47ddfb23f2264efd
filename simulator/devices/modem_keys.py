"""What can be set about a modem."""

from __future__ import annotations

from typing import Final

from simulator.device import Key, integer
from simulator.devices import modem_radio as radio
from simulator.devices.texts import text_key


def _cell(text: str) -> str:
    number = int(text, 16)
    if not 0 < number < 1 << 28:
        raise ValueError(text)
    return f"{number:X}"


def _iccid(text: str) -> str:
    if not (text.isascii() and text.isdigit() and 18 <= len(text) <= 20):
        raise ValueError(text)
    return text


def imei_key(number: int) -> Key:
    """The modem's serial number, a test IMEI unless it is set."""
    return Key(radio.imei(number), check=_imei, legal="15 digits of which the last is the check digit")


def _imei(text: str) -> str:
    if not (text.isascii() and text.isdigit() and len(text) == 15 and radio.check_digit(text[:-1]) == text[-1]):
        raise ValueError(text)
    return text


MODEM_KEYS: Final = {
    "sim": Key("ready", ("ready", "absent", "pin", "puk", "failure")),
    "iccid": Key("89860000000000012340", check=_iccid, legal="18 to 20 digits"),
    "signal_dbm": Key("-85", check=integer(-140, -44), legal="RSRP in dBm, -140 to -44"),
    "registration": Key("home", tuple(radio.STATES)),
    "data": Key("up", ("up", "down")),
    "cell": Key("75A30B", check=_cell, legal="a cell identity of up to 28 bits in hex"),
    "operator": text_key("Posdiag Test", 16),
}
HOT_KEY: Final = {"temperature_c": Key("38", check=integer(-40, 125), legal="degrees Celsius, -40 to 125")}
