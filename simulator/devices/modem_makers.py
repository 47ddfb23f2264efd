"""The makers' own commands on top of the common ones: Quectel EC25 and SIMCom SIM7600."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Final

from simulator.devices import modem_radio as radio
from simulator.devices.modem import PLMN, TAC, Failed, Modem
from simulator.devices.modem_keys import HOT_KEY, MODEM_KEYS, imei_key
from simulator.devices.texts import text_key

_CHANNEL: Final = 1650
_CELL_OF_SITE: Final = 211


class Quectel(Modem):
    """EC25 dialect: +QENG, +QNWINFO, +QCSQ, +QCCID, +QTEMP, and RDY after a start."""

    family: ClassVar[str] = "quectel"
    keys = MODEM_KEYS | HOT_KEY | {"firmware": text_key("EC25EFAR06SIM01", 24), "imei": imei_key(2501)}
    maker: ClassVar[str] = "Quectel"
    model: ClassVar[str] = "EC25"
    ready_word: ClassVar[str] = "RDY"

    def changed(self, name: str, before: str) -> None:
        super().changed(name, before)
        if name == "sim" and "absent" in (before, self.state["sim"]) and self._booting_until is None:
            self._line.say(f"+QUSIM: {int(self.state['sim'] != 'absent')}")

    def _qccid(self, _value: str) -> None:
        self._need_sim()
        self._say(f"+QCCID: {self.state['iccid']}")

    def _qeng(self, value: str) -> None:
        if value.lower() != '"servingcell"':
            raise Failed(50)
        status = self.status_code()
        if not self._radio_on or status == radio.STATES["searching"]:
            self._say('+QENG: "servingcell","SEARCH"')
            return
        word = ("CONNECT" if self.connected else "NOCONN") if self.registered else "LIMSRV"
        rsrp = self.rsrp
        fields = [*PLMN, self.state["cell"], _CELL_OF_SITE, _CHANNEL, 3, 5, 5, TAC, rsrp, radio.rsrq_db(rsrp)]
        fields += [radio.rssi_dbm(rsrp), radio.sinr_db(rsrp), max(0, rsrp + 128)]
        self._say(f'+QENG: "servingcell","{word}","LTE","FDD",' + ",".join(map(str, fields)))

    def _qnwinfo(self, _value: str) -> None:
        if self.registered:
            self._say(f'+QNWINFO: "FDD LTE","{"".join(PLMN)}","LTE BAND 3",{_CHANNEL}')
        else:
            self._say("+QNWINFO: No Service")

    def _qcsq(self, _value: str) -> None:
        rsrp = self.rsrp
        if self._radio_on:
            # the last but one counts 0.2 dB steps from -20 dB
            steps = 5 * (radio.sinr_db(rsrp) + 20)
            self._say(f'+QCSQ: "LTE",{radio.rssi_dbm(rsrp)},{rsrp},{steps},{radio.rsrq_db(rsrp)}')
        else:
            self._say('+QCSQ: "NOSERVICE"')

    def _qlts(self, value: str) -> None:
        if value not in ("", "1", "2"):
            raise Failed(50)
        self._say(f'+QLTS: "{radio.network_time(self.world_time(), local=value == "2")},0"')

    def _qtemp(self, _value: str) -> None:
        degrees = int(self.state["temperature_c"])
        self._say(f"+QTEMP: {degrees},{degrees - 2},{degrees - 1}")

    actions: ClassVar[dict[str, Callable[..., None]]] = Modem.actions | {
        "+QCCID": _qccid,
        "+QENG": _qeng,
        "+QNWINFO": _qnwinfo,
        "+QCSQ": _qcsq,
        "+QLTS": _qlts,
        "+QTEMP": _qtemp,
    }


class SimCom(Modem):
    """SIM7600 dialect: +CPSI with tenths, +CICCID, +CPMUTEMP, labelled ATI lines."""

    family: ClassVar[str] = "simcom"
    keys = MODEM_KEYS | HOT_KEY | {"firmware": text_key("LE20B03SIM7600", 24), "imei": imei_key(7600)}
    maker: ClassVar[str] = "SIMCOM INCORPORATED"
    model: ClassVar[str] = "SIMCOM_SIM7600E-H"
    ready_word: ClassVar[str] = "RDY"

    def information(self) -> tuple[str, ...]:
        firmware = self.state["firmware"]
        lines = (f"Manufacturer: {self.maker}", f"Model: {self.model}", f"Revision: {firmware}")
        return (*lines, f"IMEI: {self.state['imei']}", "+GCAP: +CGSM")

    def _labelled_revision(self, _value: str) -> None:
        self._say(f"+CGMR: {self.state['firmware']}")

    def _ciccid(self, _value: str) -> None:
        self._need_sim()
        self._say(f"+ICCID: {self.state['iccid']}")

    def _cpsi(self, value: str) -> None:
        if value != "?":
            raise Failed
        if not self.registered:
            self._say(f"+CPSI: NO SERVICE,{'Online' if self._radio_on else 'Low Power Mode'}")
            return
        rsrp = self.rsrp
        levels = (10 * radio.rsrq_db(rsrp), 10 * rsrp, 10 * radio.rssi_dbm(rsrp), radio.sinr_db(rsrp))
        cell = int(self.state["cell"], 16)
        place = f"{'-'.join(PLMN)},0x{TAC},{cell},{_CELL_OF_SITE},EUTRAN-BAND3,{_CHANNEL},5,5"
        self._say(f"+CPSI: LTE,Online,{place}," + ",".join(map(str, levels)))

    def _cpmutemp(self, _value: str) -> None:
        self._say(f"+CPMUTEMP: {self.state['temperature_c']}")

    actions: ClassVar[dict[str, Callable[..., None]]] = {
        name: action for name, action in Modem.actions.items() if name != "+CCID"
    } | {
        "+CGMR": _labelled_revision,
        "+CICCID": _ciccid,
        "+CPSI": _cpsi,
        "+CPMUTEMP": _cpmutemp,
    }
