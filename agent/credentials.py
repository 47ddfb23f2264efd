"""Which certificate the broker is shown: the one in force, or a renewed pair that waits beside it.

A pair that waits has ".next" behind the names of `mqtt.cert_file` and `mqtt.key_file`; the key is written first. It is
tried at once and takes the place of the old one only when the broker has accepted a connection made with it. Refused,
it waits for another try, and the old one goes on.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from agent import session
from agent.config import MqttConfig

log = logging.getLogger("posdiag.uplink")

NEXT: Final = ".next"
AGAIN_S: Final = 6 * 3600.0  # a refused pair: perhaps the broker learns of its authority later; a try costs 8 KB
LOOK_S: Final = 5.0


class Credentials:
    """The TLS context of each connection, with one context for all that show the same files. For one thread.

    Per connection: `context`, then `accepted` or `failed`.
    """

    def __init__(self, config: MqttConfig, monotonic: Callable[[], float]) -> None:
        self._config = config
        self._monotonic = monotonic
        self._context: session.ResumingContext | None = None
        self._files: tuple[float, ...] = ()
        self._shows_next = False
        self._refused: tuple[float, ...] = ()
        self._refused_at = 0.0
        self._looked_at = float("-inf")

    def context(self) -> session.ResumingContext:
        """For the next connection. Raises OSError, ssl.SSLError."""
        self._finish()
        if self._waiting() is not None:
            try:
                return self._made(self._next(), shows_next=True)
            except OSError as error:  # ssl.SSLError is one
                self._shows_next = True
                self.failed(f"it cannot be used: {error}")
        return self._made(self._config, shows_next=False)

    def due(self) -> bool:
        """Whether a connection that shows the certificate in force should be made anew with the one that waits."""
        now = self._monotonic()
        if self._shows_next or now - self._looked_at < LOOK_S:
            return False
        self._looked_at = now
        return self._waiting() is not None

    def accepted(self) -> None:
        """The broker accepted the connection."""
        if self._shows_next:
            self._put_in_place()

    def failed(self, why: str) -> bool:
        """The broker was reached, and no connection came about. Whether the next one shows another certificate."""
        if not self._shows_next or self._waiting() is None:
            return False
        log.warning("the renewed certificate waits for another try, the old one stays: %s", why)
        self._refused, self._refused_at = session.files_state(self._next()), self._monotonic()
        return True

    # ---

    def _made(self, config: MqttConfig, *, shows_next: bool) -> session.ResumingContext:
        files = session.files_state(config)
        if self._context is None or shows_next != self._shows_next or files != self._files:
            self._context = session.tls_context(config, self._monotonic)
            self._files, self._shows_next = files, shows_next
        return self._context

    def _next(self) -> MqttConfig:
        return replace(self._config, cert_file=self._config.cert_file + NEXT, key_file=self._config.key_file + NEXT)

    def _waiting(self) -> tuple[float, ...] | None:
        """The state of a pair that waits and is to be tried now."""
        if not self._config.cert_file:
            return None
        pair = self._next()
        if not (Path(pair.cert_file).exists() and Path(pair.key_file).exists()):
            return None
        files = session.files_state(pair)
        if files == self._refused and self._monotonic() - self._refused_at < AGAIN_S:
            return None
        return files

    def _put_in_place(self) -> None:
        """The key first: a certificate that waits without its key is then known as one that was half put in place."""
        pair = self._next()
        try:
            Path(pair.key_file).replace(self._config.key_file)
            Path(pair.cert_file).replace(self._config.cert_file)
        except OSError as error:
            log.error("the renewed certificate is in use but cannot be put in place: %s", error)  # noqa: TRY400 - says all
            return
        log.info("the renewed certificate %s is in force", self._config.cert_file)
        self._shows_next = False
        self._files = session.files_state(self._config)

    def _finish(self) -> None:
        """End what a loss of power interrupted between the two renames."""
        pair = self._next()
        if not self._config.cert_file or Path(pair.key_file).exists() or not Path(pair.cert_file).exists():
            return
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(pair.cert_file, self._config.key_file)
            Path(pair.cert_file).replace(self._config.cert_file)
        except OSError as error:  # ssl.SSLError is one: they do not belong together
            log.warning("%s waits without its key: %s", pair.cert_file, error)
