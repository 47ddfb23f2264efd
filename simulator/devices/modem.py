"""A cellular modem in three dialects: plain 27.007, Quectel EC25 and SIMCom SIM7600.

Sources: 3GPP 27.007 (registration, SIM, signal, clock), Quectel EC25 AT manual (+QENG, +QNWINFO, +QCCID, +QTEMP),
SIMCom SIM7600 samples (+CPSI, +CICCID, +CPMUTEMP). Unknown commands get ERROR, as third-party clients expect.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import ClassVar, Final

from simulator.device import Device
from simulator.devices import modem_radio as radio
from simulator.devices.modem_keys import MODEM_KEYS, imei_key
from simulator.devices.modem_line import CommandLine
from simulator.devices.texts import text_key

_CME_WORDS: Final = {
    3: "operation not allowed",
    10: "SIM not inserted",
    11: "SIM PIN required",
    12: "SIM PUK required",
    13: "SIM failure",
    50: "Incorrect parameters",
}
_BOOT_S: Final = 0.5
PLMN: Final = ("001", "01")
TAC: Final = "1A2D"
_ADDRESS: Final = "10.64.12.7"
_IMSI: Final = "001010123456789"
_SIM_ANSWERS: Final = {"ready": "READY", "pin": "SIM PIN", "puk": "SIM PUK"}


class Failed(Exception):
    """A command failed; `code` is its +CME ERROR number, None where only `word` is told."""

    def __init__(self, code: int | None = None, word: str = "ERROR") -> None:
        super().__init__(code)
        self.code = code
        self.word = word


class Modem(Device):
    """The commands that all three know. `world_time` gives the network's time as seconds since 1970."""

    family: ClassVar[str] = "at"
    unit: ClassVar[str] = "modem"
    baud: ClassVar[int] = 115200
    keys = MODEM_KEYS | {"firmware": text_key("ATSIM1R01", 24), "imei": imei_key(1)}
    maker: ClassVar[str] = "POSDIAG-SIM"
    model: ClassVar[str] = "AT-SIM1"
    ready_word: ClassVar[str] = ""
    ignored: ClassVar[frozenset[str]] = frozenset(
        f"+{name}"
        for name in (
            *("CMGF", "CSMP", "CNMI", "CSCS", "CSCA", "CSAS", "CRES", "CMGD", "CSDH"),
            *("CLIP", "CLIR", "CRC", "CVHU", "CGEREP", "CTZU", "CTZR"),
        )
    )
    """Settings that are remembered for their `?` and do nothing else here."""

    def __init__(self, send: Callable[[bytes], None], now: Callable[[], float]) -> None:
        super().__init__(send, now)
        self.world_time: Callable[[], float] = time.time
        self._line = CommandLine(send, now, self._run, self.violation)
        self._booting_until: float | None = None
        self._volatile()

    def _volatile(self) -> None:
        self._line.reset()
        self._error_style = 0
        self._reports = {"+CREG": 0, "+CGREG": 0, "+CEREG": 0}
        self._operator_format = 0
        self._radio_on = True
        self._restart = False
        self._settings: dict[str, str] = {
            "+CMGF": "0",
            "+CSCA": '"+00000000000",145',
            "+CNMI": "0,0,0,0,0",
            "+CSCS": '"GSM"',
        }

    def power_on(self) -> None:
        self._volatile()
        self._booting_until = self.now() + _BOOT_S

    def receive(self, data: bytes) -> None:
        self.tick()
        if self._booting_until is None:
            self._line.take(data)

    def tick(self) -> float | None:
        if self._booting_until is not None:
            left = self._booting_until - self.now()
            if left > 0:
                return left
            self._booting_until = None
            if self.ready_word:
                self._line.say(self.ready_word)
        return self._line.tick() or (self._booting_until and self._booting_until - self.now())

    # What is so

    def status_code(self) -> int:
        """<stat> as the SIM and the radio allow it."""
        if self.state["sim"] != "ready" or not self._radio_on:
            return 0
        return radio.STATES[self.state["registration"]]

    @property
    def registered(self) -> bool:
        return self.status_code() in (1, 5)

    @property
    def connected(self) -> bool:
        return self.registered and self.state["data"] == "up"

    @property
    def rsrp(self) -> int:
        return int(self.state["signal_dbm"])

    def changed(self, name: str, before: str) -> None:
        """Say what a host has asked to be told of; nothing while the modem starts."""
        if self._booting_until is not None:
            return
        if name == "sim" and (before == "ready" or self.state["sim"] in ("ready", "absent")):
            word = _SIM_ANSWERS.get(self.state["sim"], "NOT READY")
            self._line.say(f"+CPIN: {word}")
        if name in ("sim", "registration", "cell"):
            for command, mode in self._reports.items():
                if mode:
                    self._line.say(f"{command}: {self._place(mode)}")
        if name == "data" and self.registered and self._settings.get("+CGEREP", "0")[0] != "0":
            self._line.say("+CGEV: NW PDN DEACT 1" if self.state["data"] == "down" else "+CGEV: ME PDN ACT 1")

    def _place(self, mode: int) -> str:
        text = str(self.status_code())
        if mode >= 2 and self.registered:
            text += f',"{TAC}","{int(self.state["cell"], 16):08X}",7'
        return text

    # Running a line

    def _run(self, commands: list[str] | None) -> None:
        try:
            if commands is None:
                raise Failed  # noqa: TRY301 - one way out for every error
            for command in commands:
                self._one(command)
        except Failed as failure:
            self._line.result(self._error(failure))
        else:
            self._line.result("OK")
        if self._restart:
            self.power_on()

    def _error(self, failure: Failed) -> str:
        if failure.code is None or self._error_style == 0:
            return failure.word
        return f"+CME ERROR: {failure.code if self._error_style == 1 else _CME_WORDS[failure.code]}"

    def _one(self, command: str) -> None:
        if command[0] not in "+^%$#*":
            self._basic(command)
            return
        name, equals, value = command.partition("=")
        asks = name.endswith("?")
        name = name.rstrip("?")
        action = self.actions.get(name)
        if action is not None:
            action(self, "?" if asks else "=?" if value == "?" else value if equals else "")
        elif name in self.ignored:
            self._remember(name, "?" if asks else value)
        else:
            raise Failed

    def _remember(self, name: str, value: str) -> None:
        if value == "?":
            self._line.say(f"{name}: {self._settings.get(name, '0')}")
        elif value:
            self._settings[name] = value

    def _basic(self, command: str) -> None:
        letter, number = (command[:2], command[2:]) if command[0] == "&" else (command[0], command[1:])
        letter = letter.upper()
        if letter == "E":
            self._line.echo = number == "1"
        elif letter == "V":
            self._line.words = number != "0"
        elif letter == "Q":
            self._line.quiet = number == "1"
        elif letter == "I":
            self._say(*self.information())
        elif letter in ("Z", "&F"):
            self._line.echo, self._line.words, self._line.quiet = True, True, False
            self._error_style = 0
        elif letter == "S":
            self._register(command[1:])
        elif letter == "D":
            self.violation("dialled")
            raise Failed(word="NO CARRIER")
        elif letter not in ("H", "X", "&C", "&D", "&K", "&W", "M", "L"):
            raise Failed

    def _register(self, text: str) -> None:
        number, equals, value = text.rstrip("?").partition("=")
        if not number:
            raise Failed
        if equals:
            self._line.registers[int(number)] = int(value or 0) & 0x7F
        else:
            self._line.say(f"{self._line.registers.get(int(number), 0):03d}")

    def _say(self, *lines: str) -> None:
        for line in lines:
            self._line.say(line)

    def information(self) -> tuple[str, ...]:
        """The lines of ATI."""
        return self.maker, self.model, f"Revision: {self.state['firmware']}"

    # 27.007 commands

    def _need_sim(self) -> None:
        """Raises Failed when there is no readable SIM."""
        if self.state["sim"] in ("absent", "failure"):
            raise Failed(10 if self.state["sim"] == "absent" else 13)

    def _cpin(self, value: str) -> None:
        if value != "?":
            self.violation("pin_entered")
            raise Failed(3)
        self._need_sim()
        self._say(f"+CPIN: {_SIM_ANSWERS[self.state['sim']]}")

    def _cimi(self, _value: str) -> None:
        self._need_sim()
        if self.state["sim"] in {"pin", "puk"}:  # the subscriber's number stands behind the PIN, the card's does not
            raise Failed(11 if self.state["sim"] == "pin" else 12)
        self._say(_IMSI)

    def _ccid(self, _value: str) -> None:
        self._need_sim()
        self._say(f"+CCID: {self.state['iccid']}")

    def _crsm(self, value: str) -> None:
        """Read only the file that holds the card's number, 2FE2: digits swapped in pairs."""
        if value.replace(" ", "") != "176,12258,0,0,10":
            self.violation("sim_file")
            raise Failed(3)
        self._need_sim()
        digits = self.state["iccid"].ljust(20, "F")
        swapped = "".join(digits[at + 1] + digits[at] for at in range(0, 20, 2))
        self._say(f'+CRSM: 144,0,"{swapped}"')

    def _csq(self, value: str) -> None:
        if value == "=?":
            self._say("+CSQ: (0-31,99),(0-7,99)")
        elif self._radio_on:
            self._say(f"+CSQ: {radio.csq_index(radio.rssi_dbm(self.rsrp))},99")
        else:
            self._say("+CSQ: 99,99")

    def _cesq(self, _value: str) -> None:
        quality = radio.rsrq_index(radio.rsrq_db(self.rsrp))
        measured = f"{quality},{radio.rsrp_index(self.rsrp)}" if self._radio_on else "255,255"
        self._say(f"+CESQ: 99,99,255,255,{measured}")

    def _registration(self, name: str, value: str) -> None:
        if value == "?":
            mode = self._reports[name]
            self._say(f"{name}: {mode},{self._place(mode)}")
        elif value == "=?":
            self._say(f"{name}: (0-2)")
        elif value in ("0", "1", "2"):
            self._reports[name] = int(value)
        else:
            raise Failed(50)

    def _creg(self, value: str) -> None:
        self._registration("+CREG", value)

    def _cgreg(self, value: str) -> None:
        self._registration("+CGREG", value)

    def _cereg(self, value: str) -> None:
        self._registration("+CEREG", value)

    def _cops(self, value: str) -> None:
        if value == "?":
            if not self.registered:
                self._say("+COPS: 0")
                return
            shown = "".join(PLMN) if self._operator_format == 2 else self.state["operator"]
            self._say(f'+COPS: 0,{self._operator_format},"{shown}",7')
        elif value.startswith("3,") and value[2:] in ("0", "1", "2"):
            self._operator_format = int(value[2:])
        else:
            self.violation("operator_search")
            raise Failed(3)

    def _cgatt(self, value: str) -> None:
        self._read_only("+CGATT", value, f"+CGATT: {int(self.registered)}")

    def _cgact(self, value: str) -> None:
        self._read_only("+CGACT", value, f"+CGACT: 1,{int(self.connected)}")

    def _cgdcont(self, value: str) -> None:
        self._read_only("+CGDCONT", value, '+CGDCONT: 1,"IP","pos.test","0.0.0.0",0,0')

    def _read_only(self, name: str, value: str, answer: str) -> None:
        if value != "?":
            self.violation(f"{name[1:].lower()}_set")
            raise Failed(3)
        self._say(answer)

    def _cgpaddr(self, _value: str) -> None:
        self._say(f'+CGPADDR: 1,"{_ADDRESS if self.connected else "0.0.0.0"}"')

    def _cclk(self, value: str) -> None:
        if value != "?":
            raise Failed(3)
        self._say(f'+CCLK: "{radio.network_clock(self.world_time())}"')

    def _cmee(self, value: str) -> None:
        if value == "?":
            self._say(f"+CMEE: {self._error_style}")
        elif value in ("0", "1", "2"):
            self._error_style = int(value)
        elif value != "=?":
            raise Failed

    def _cfun(self, value: str) -> None:
        if value == "?":
            self._say(f"+CFUN: {int(self._radio_on)}")
        elif value == "1,1":
            self._restart = True
        elif value in ("0", "1", "4"):
            self._radio_on = value == "1"
        elif value != "=?":
            raise Failed(50)

    def _cpms(self, value: str) -> None:
        if value == "=?":
            self._say('+CPMS: ("ME","SM"),("ME","SM"),("ME","SM")')
        elif value == "?":
            self._say('+CPMS: "ME",0,23,"ME",0,23,"ME",0,23')
        else:
            self._say("+CPMS: 0,23,0,23,0,23")

    def _maker(self, _value: str) -> None:
        self._say(self.maker)

    def _model(self, _value: str) -> None:
        self._say(self.model)

    def _revision(self, _value: str) -> None:
        self._say(self.state["firmware"])

    def _serial(self, _value: str) -> None:
        self._say(self.state["imei"])

    def _capabilities(self, _value: str) -> None:
        self._say("+GCAP: +CGSM")

    actions: ClassVar[dict[str, Callable[..., None]]] = {
        "+CPIN": _cpin,
        "+CIMI": _cimi,
        "+CCID": _ccid,
        "+CRSM": _crsm,
        "+CSQ": _csq,
        "+CESQ": _cesq,
        "+CREG": _creg,
        "+CGREG": _cgreg,
        "+CEREG": _cereg,
        "+COPS": _cops,
        "+CGATT": _cgatt,
        "+CGACT": _cgact,
        "+CGDCONT": _cgdcont,
        "+CGPADDR": _cgpaddr,
        "+CCLK": _cclk,
        "+CMEE": _cmee,
        "+CFUN": _cfun,
        "+CPMS": _cpms,
        "+CGMI": _maker,
        "+GMI": _maker,
        "+CGMM": _model,
        "+GMM": _model,
        "+CGMR": _revision,
        "+GMR": _revision,
        "+CGSN": _serial,
        "+GSN": _serial,
        "+GCAP": _capabilities,
    }
