"""Every command that a modem is ever sent. None of them sends, dials, stores, unlocks or reads a subscriber."""

from __future__ import annotations

from typing import Final

from drivers.codecs.at import Request
from drivers.reading import Risk

ATTENTION: Final = Request("AT")
# Settings that last until the modem restarts. They are few for a reason: on a noisy line one flipped bit makes ATE0
# ATD0, which dials, and AT+COPS=3,2 AT+COPS=2,2, which leaves the network. Echo and ATV0 are understood instead.
NUMBERED_ERRORS: Final = Request("AT+CMEE=1")
REPORT_CELL: Final = Request("AT+CEREG=2")
SETUP: Final = (ATTENTION, NUMBERED_ERRORS, REPORT_CELL)

SIM: Final = Request("AT+CPIN?")
EPS_REGISTRATION: Final = Request("AT+CEREG?")
PACKET_REGISTRATION: Final = Request("AT+CGREG?")
NR_REGISTRATION: Final = Request("AT+C5GREG?")
CIRCUIT_REGISTRATION: Final = Request("AT+CREG?")
STRENGTH: Final = Request("AT+CSQ")
EXTENDED_SIGNAL: Final = Request("AT+CESQ")
OPERATOR: Final = Request("AT+COPS?")
ATTACHED: Final = Request("AT+CGATT?")
ACTIVE: Final = Request("AT+CGACT?")
ADDRESSES: Final = Request("AT+CGPADDR")
CLOCK: Final = Request("AT+CCLK?")
CCID: Final = Request("AT+CCID")
ICCID: Final = Request("AT+ICCID")
CARD_FILE: Final = Request("AT+CRSM=176,12258,0,0,10")

MAKER: Final = (Request("AT+CGMI"), Request("AT+GMI"))
MODEL: Final = (Request("AT+CGMM"), Request("AT+GMM"))
REVISION: Final = (Request("AT+CGMR"), Request("AT+GMR"))
IMEI: Final = (Request("AT+CGSN"), Request("AT+GSN"))

QUECTEL_CELL: Final = Request('AT+QENG="servingcell"')
QUECTEL_CCID: Final = Request("AT+QCCID")
QUECTEL_TEMPERATURE: Final = Request("AT+QTEMP")
QUECTEL_TIME: Final = Request("AT+QLTS=1")

SIMCOM_SYSTEM: Final = Request("AT+CPSI?")
SIMCOM_CCID: Final = Request("AT+CICCID")
SIMCOM_TEMPERATURE: Final = Request("AT+CPMUTEMP")

RESTART: Final = Request("AT+CFUN=1,1", Risk.DISRUPT)
"""Restarts the modem: the data session ends, and a port on USB may vanish for a while."""
