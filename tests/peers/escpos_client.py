"""python-escpos on a serial port. Runs in .venv-peers; argument: the port."""

import sys

from escpos.printer import Serial
from serve import serve


class Printer(Serial):
    """The library always waits out its timeout, for it asks for 16 bytes; so that had to be short for every answer."""

    def _read(self):
        return self.device.read(1) + self.device.read(self.device.in_waiting)


printer = Printer(sys.argv[1], baudrate=9600, timeout=3)
serve(
    {
        "online": printer.is_online,
        "paper": printer.paper_status,
        "text": printer.text,
        "qr": lambda content: printer.qr(content, native=True, size=4),
        "cut": lambda mode: printer.cut(mode=mode),
        "raw": lambda digits: printer._raw(bytes.fromhex(digits)),
        "close": printer.close,
    }
)
