"""What systemd is told of the daemon: ready, how it is, stopping, and that it is alive (sd_notify's protocol)."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import MutableMapping
from typing import Final

_VARIABLES: Final = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")


class Notifier:
    """Sends datagrams to `NOTIFY_SOCKET`; without one nothing happens. Takes the variables away from our children.

    `watchdog_s` is how often `alive` should be called: half of what systemd waits, None when it waits for nothing.
    """

    def __init__(self, environ: MutableMapping[str, str] = os.environ, pid: int | None = None) -> None:
        self.variables = {name: environ.pop(name) for name in _VARIABLES if name in environ}
        """What was taken away, for the same process when it begins anew."""
        self._address, wait_us, meant = (self.variables.get(name, "") for name in _VARIABLES)
        ours = meant in {"", str(os.getpid() if pid is None else pid)}
        self.watchdog_s = int(wait_us) / 2e6 if wait_us.isdecimal() and int(wait_us) and ours else None
        self._said = ""

    def ready(self) -> None:
        """Everything has been started."""
        self._send("READY=1")

    def status(self, line: str) -> None:
        """One line for `systemctl status`; sent when it is another."""
        if line != self._said:
            self._said = line
            self._send(f"STATUS={line}")

    def alive(self) -> None:
        """Put off systemd's watchdog."""
        if self.watchdog_s is not None:
            self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """The end has begun."""
        self._send("STOPPING=1")

    def _send(self, text: str) -> None:
        if not self._address.startswith(("/", "@")):
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        # Who does not listen, or not fast enough, must not hold up the daemon.
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
            link.setblocking(False)
            link.sendto(text.encode(), address)
