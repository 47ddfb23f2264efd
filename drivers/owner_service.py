"""Tells the daemon which process holds a port, also one of another user. A process of its own, with rights of its own.

Started by systemd at the first question (see deploy/debian/posdiag-owner.service). One packet: the path of a device, or
of the lock that the payment application takes. One answer: "=" when it is certain, else "?", then "name (pid N)" or
nothing. Any other path is answered "?", so that nobody learns here who reads which file.
"""

from __future__ import annotations

import os
import socket
import struct
from typing import Final

from drivers.owner import ANSWER_BYTES, scan

_LISTENER: Final = 3  # the first handle that systemd passes on (sd_listen_fds)
_IDLE_S: Final = 60.0
_QUESTION_S: Final = 1.0
_PLACES: Final = ("/dev/", "/run/posdiag/")
_PATH_BYTES: Final = 4096


def answer(question: bytes, asking: int) -> bytes:
    """The answer to one packet of the process `asking`."""
    path = os.path.realpath(os.fsdecode(question)) if question and b"\0" not in question else ""
    if not path.startswith(_PLACES):
        return b"?"
    holder, certain = scan(path, asking)
    return f"{'=' if certain else '?'}{holder or ''}".encode()[:ANSWER_BYTES]


def main() -> None:
    """Answer until nobody has asked for a minute; systemd keeps the socket and starts another."""
    with socket.socket(fileno=_LISTENER) as listener:
        listener.settimeout(_IDLE_S)
        while True:
            try:
                link, _ = listener.accept()
            except TimeoutError:
                return
            with link:
                link.settimeout(_QUESTION_S)
                try:
                    who = link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
                    link.send(answer(link.recv(_PATH_BYTES), struct.unpack("3i", who)[0]))
                except OSError:  # it left, or says nothing
                    continue


if __name__ == "__main__":
    main()
