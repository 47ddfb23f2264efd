"""python-gsmmodem-new on a serial port. Runs in .venv-peers; argument: the port."""

import sys

from gsmmodem.modem import GsmModem
from serve import serve

modem = GsmModem(sys.argv[1], 115200)
serve(
    {
        "connect": modem.connect,
        "close": modem.close,
        **{
            name: lambda name=name: getattr(modem, name)
            for name in ("manufacturer", "model", "revision", "imei", "imsi", "networkName", "signalStrength")
        },
    }
)
