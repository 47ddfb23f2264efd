"""The demo's shop: five terminals that differ in every device, where they stand, and the rules of its support desk.

All names, numbers and addresses are made up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from simulator.devices.modem_radio import imei
from simulator.terminal import ESTATE, Terminal

Texts = Mapping[str, str]
"""By language."""

WATCH_S: Final = 5
"""For how long the demo's center watches before it asks the merchant; usual are half an hour and more."""
_OPEN_S: Final = 2
SITE: Final = "corner-shop"


@dataclass(frozen=True, slots=True, kw_only=True)
class Till:
    """One terminal: its devices by family, what sets them apart, and whose SIM card it has."""

    number: int
    what: Texts
    families: Mapping[str, str]
    values: Mapping[str, str]
    operator: str = ""

    @property
    def name(self) -> str:
        """Of the terminal, and of its folder."""
        return f"terminal-{self.number}"

    def terminal(self, home: Path, *, mqtt: str, config: Mapping[str, Mapping[str, object]]) -> Terminal:
        """As it stands in the shop; not started yet."""
        return Terminal(
            home,
            families=self.families,
            seed=self.number,
            mqtt=mqtt,
            name=self.name,
            config=config,
            values=self.start_values(),
        )

    def start_values(self) -> dict[str, str]:
        """The keys it is built with, with serial numbers that no two devices share."""
        serials = {"printer.serial": "SIMP0000{:02}", "keypad.serial": "10{:02}", "reader.serial": "SIMR00{:02}"}
        own = {name: text.format(self.number) for name, text in serials.items()}
        if self.families["modem"] != "none":
            own |= {"modem.iccid": f"898600000000000{self.number:02}234", "modem.imei": imei(100 + self.number)}
        for unit, family in (("keypad", "evdev"), ("reader", "gempc")):  # which tell none
            if self.families[unit] == family:
                del own[f"{unit}.serial"]
        return {**own, **self.values}


TILLS: Final = (
    Till(
        number=1,
        what={
            "en": "T88-type printer, CRT-571 motor reader, EC25 modem, ZT588 PIN pad",
            "zh": "T88 型打印机、CRT-571 电动读卡器、EC25 调制解调器、ZT588 密码键盘",
        },
        families={"reader": "crt571", "modem": "quectel", "keypad": "zt588"},
        values={"printer.model": "epson", "modem.signal_dbm": "-84", "power.battery": "absent"},
        operator="mobile",
    ),
    Till(
        number=2,
        what={
            "en": "Citizen-type printer, GemPC chip reader, SIM7600 modem, ZT588 PIN pad",
            "zh": "西铁城型打印机、GemPC 芯片读卡器、SIM7600 调制解调器、ZT588 密码键盘",
        },
        families={"reader": "gempc", "modem": "simcom", "keypad": "zt588"},
        values={
            "printer.model": "citizen",
            "printer.firmware": "CS1.07",
            "modem.signal_dbm": "-97",
            "modem.cell": "75A30C",
            "power.battery": "absent",
        },
        operator="telecom",
    ),
    Till(
        number=3,
        what={
            "en": "SNBC-type printer, ID TECH NEO reader, Ethernet, SmartPIN keypad",
            "zh": "新北洋型打印机、ID TECH NEO 读卡器、以太网、SmartPIN 键盘",
        },
        families={"reader": "neo", "modem": "none", "keypad": "smartpin"},
        values={"printer.model": "snbc", "printer.firmware": "FV1.020", "power.battery": "absent"},
    ),
    Till(
        number=4,
        what={
            "en": "handheld with a battery: 58 mm clone printer, NEO reader, EC25 modem, SmartPIN keypad",
            "zh": "带电池的手持机：58 毫米兼容打印机、NEO 读卡器、EC25 调制解调器、SmartPIN 键盘",
        },
        families={"reader": "neo", "modem": "quectel", "keypad": "smartpin"},
        values={
            "printer.model": "zjiang",
            "printer.firmware": "1.3",
            "modem.signal_dbm": "-103",
            "modem.cell": "75A30C",
            "power.battery_percent": "81",
            "power.voltage_mv": "7480",
        },
        operator="mobile",
    ),
    Till(
        number=5,
        what={
            "en": "kiosk: VKP80-type printer, CRT-571 motor reader, Ethernet, USB keypad (evdev)",
            "zh": "自助机：VKP80 型打印机、CRT-571 电动读卡器、以太网、USB 键盘（evdev）",
        },
        families={"reader": "crt571", "modem": "none", "keypad": "evdev"},
        values={"printer.model": "custom", "printer.firmware": "3.10", "power.battery": "absent"},
    ),
)

_SHOP: Final[Mapping[str, Texts]] = {
    "name": {"en": "Corner shop", "zh": "街角小店"},
    "address": {"en": "12 Willow Lane, Shanghai", "zh": "上海市柳巷12号"},
    "keeper": {"en": "Lin Xiaoyu", "zh": "林晓雨"},
    "trade": {"en": "convenience store", "zh": "便利店"},
    "point": {"en": "Service point East", "zh": "东区服务网点"},
    "point_address": {"en": "3 Ferry Road, Shanghai", "zh": "上海市渡口路3号"},
}
PHONE: Final = {"en": "+86 21 5555 0100", "zh": "021-5555 0100"}


def of_agent(language: str, keys_file: str) -> dict[str, dict[str, object]]:
    """What the agents of the shop are told beside what the simulator writes for them."""
    return {
        "terminal": {"language": language},
        "mqtt": {"commands": False},
        "commands": {"keys_file": keys_file, "reboot": ["/bin/true"]},
        "telemetry": {"batch_s": 5.0, "number_s": 5.0, "heartbeat_s": 60.0, "health_s": 60.0},
        "support": {"channel": PHONE[language]},
    }


def sites(language: str) -> list[dict[str, Any]]:
    """For `POST /api/v1/sites/import`."""
    keeper = {"name": _SHOP["keeper"][language], "role": "owner", "phone": "+86 21 5555 0199", "language": language}
    return [
        {
            "estate": ESTATE,
            "site": SITE,
            **{name: _SHOP[name][language] for name in ("name", "address", "trade")},
            "lat": 31.2304,
            "lon": 121.4737,
            "region": "east",
            "language": language,
            "timezone": "Asia/Shanghai",
            "contacts": [keeper],
            "power_district": "east-1",
        }
    ]


def places() -> list[dict[str, Any]]:
    """For `POST /api/v1/places/import`."""
    same = {"estate": ESTATE, "site": SITE, "region": "east", "power_district": "east-1", "host": "host-a"}
    return [
        {
            **same,
            "terminal": till.name,
            "operator": till.operator or None,
            "cell": f"{till.operator}-{till.values.get('modem.cell', '75A30B')}" if till.operator else None,
        }
        for till in TILLS
    ]


def policy(language: str) -> dict[str, dict[str, object]]:
    """Tables of the center's policy file: the usual rules, but quick, so that a story ends while one looks on."""
    severities = ("critical", "major", "minor")
    return {
        "open_s": {**dict.fromkeys(severities, _OPEN_S), "merchant": _OPEN_S},
        "watch_s": {**dict.fromkeys(severities, WATCH_S), "warning": WATCH_S},
        "channel": dict(PHONE),
        "service_points": {
            "name": _SHOP["point"][language],
            "region": "east",
            "address": _SHOP["point_address"][language],
            "phone": PHONE[language],
            "lat": 31.24,
            "lon": 121.5,
        },
    }
