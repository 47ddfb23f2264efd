"""How a connection to the broker is made: its times, its TLS, its password, and one clear line for each failure."""

from __future__ import annotations

import random
import socket
import ssl
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from agent.config import MqttConfig

RECEIVE_MAXIMUM: Final = 8
PORTS: Final = {"mqtt": 1883, "mqtts": 8883}


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """The times of a link, in seconds, and the drain's rate."""

    keep_alive_s: int
    session_expiry_s: int
    will_delay_s: int
    floor_s: float
    base_s: float
    cap_s: float
    drain_per_s: float
    connect_s: float
    """For TCP, for TLS and for CONNACK, each."""
    ack_s: float
    """A PUBLISH without PUBACK for so long means that the connection is dead whatever TCP believes."""
    stable_s: float = 300.0
    """Only a connection that lived so long makes the next reconnect quick again."""
    least_alive_s: int = 0
    """The shortest time between pings; `keep_alive_s` is the longest. 0 for always the longest."""
    gather_s: float = 0.0
    """What comes within so short a time leaves in one segment: each of its own costs 100 bytes of headers."""


TIMINGS: Final[dict[str, Timing]] = {
    "wired": Timing(
        keep_alive_s=60,
        session_expiry_s=3600,
        will_delay_s=30,
        floor_s=1,
        base_s=2,
        cap_s=120,
        drain_per_s=50,
        connect_s=5,
        ack_s=30,
    ),
    "metered": Timing(
        keep_alive_s=900,  # the contract's most: a ping and its answer are 200 bytes on the line
        least_alive_s=300,
        gather_s=0.15,
        session_expiry_s=86_400,
        will_delay_s=120,
        floor_s=5,
        base_s=10,
        cap_s=900,
        drain_per_s=2,
        connect_s=20,
        ack_s=120,
    ),
}


class Backoff:
    """Full jitter between a floor and a bound that doubles, so that a fleet does not come back in step."""

    def __init__(self, timing: Timing, uniform: Callable[[float, float], float] = random.uniform) -> None:
        self._timing = timing
        self._uniform = uniform
        self._failures = 0

    def next_s(self, *, refused: bool = False) -> float:
        """Seconds to wait. `refused` credentials will not be better in a moment: straight to the cap."""
        cap = self._timing.cap_s
        if refused:
            return self._uniform(cap * 0.75, cap)
        bound = min(cap, self._timing.base_s * 2 ** min(self._failures, 30))
        self._failures += 1
        return self._uniform(self._timing.floor_s, max(bound, self._timing.floor_s))

    def connected_for(self, seconds: float) -> None:
        """A connection ended after so long; only a stable one is a new beginning."""
        if seconds >= self._timing.stable_s:
            self._failures = 0


def parse_url(url: str) -> tuple[str, int, bool]:
    """Host, port and whether TLS is used, of mqtt://host:port or mqtts://host:port. Raises ValueError."""
    scheme, found, rest = url.partition("://")
    if not found or scheme not in PORTS:
        raise ValueError("mqtt.url is mqtt://host:port or mqtts://host:port")
    host, colon, port = rest.rstrip("/").rpartition(":")
    if not colon or rest.endswith("]"):
        host, port = rest.rstrip("/"), str(PORTS[scheme])
    if not host or not port.isdecimal() or not 0 < int(port) < 65_536:
        raise ValueError(f"mqtt.url names no host and port: {url}")
    return host.strip("[]"), int(port), scheme == "mqtts"


class _NotingSocket(ssl.SSLSocket):
    """Keeps the alert that ended it; paho tells no more than that the connection is lost."""

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        try:
            return super().recv(buflen, flags)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError as error:
            if isinstance(self.context, ResumingContext):
                self.context.alert = error
            raise

    def send(self, data: Any, flags: int = 0) -> int:
        try:
            return super().send(data, flags)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except OSError:  # it has closed already; what it said before that still waits to be read
            with suppress(OSError):
                self.recv(1)
            raise


class ResumingContext(ssl.SSLContext):
    """A TLS context that offers the last session again: a resumed handshake costs a fraction of a full one."""

    last: ssl.SSLSession | None = None
    alert: ssl.SSLError | None = None
    """What the other side said when it ended the connection after the handshake, where TLS 1.3 refuses certificates."""
    clock: Callable[[], float] = staticmethod(time.monotonic)
    sslsocket_class = _NotingSocket
    _begun: ssl.SSLSocket | None = None
    _begun_at = 0.0
    _last_at = float("-inf")
    _lifetime_s = float("inf")

    def wrap_socket(self, sock: socket.socket, *args: Any, **kwargs: Any) -> ssl.SSLSocket:
        self.alert = None
        self._begun_at = self.clock()
        kwargs.setdefault("session", self.last if self._begun_at - self._last_at < self._lifetime_s else None)
        self._begun = super().wrap_socket(sock, *args, **kwargs)
        return self._begun

    @property
    def begun(self) -> ssl.SSLSocket | None:
        """The socket whose handshake is going on, or failed."""
        return self._begun

    def give_up(self) -> None:
        """Close the socket whose handshake failed; paho leaves that to the garbage collector."""
        if self._begun is not None:
            self._begun.close()
            self._begun = None

    def remember(self, sock: object) -> None:
        """Keep the session of a socket that is about to close; with TLS 1.3 it comes after the handshake.

        A session is looked at as seldom as can be, since each look costs about 6 KiB for good (Python 3.11 over
        OpenSSL 3.0): not while what is kept will do, and not when it is too old to be offered.
        """
        self._begun = None
        if not isinstance(sock, ssl.SSLSocket) or self._last_at == self._begun_at:
            return
        will_do = sock.session_reused and self.clock() - self._last_at < self._lifetime_s / 2
        if will_do or self.clock() - self._begun_at >= self._lifetime_s:
            return
        session = sock.session
        if session is not None:
            self.last, self._last_at = session, self._begun_at
            self._lifetime_s = float(session.ticket_lifetime_hint or session.timeout)


def tls_context(config: MqttConfig, clock: Callable[[], float] = time.monotonic) -> ResumingContext:
    """The context for mqtts://. Certificate and host name are always checked. Raises OSError, ssl.SSLError."""
    context = ResumingContext(ssl.PROTOCOL_TLS_CLIENT)
    context.clock = clock
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if config.ca_file:
        context.load_verify_locations(config.ca_file)
    else:
        context.load_default_certs()
    if config.cert_file:
        context.load_cert_chain(config.cert_file, config.key_file or None)
    return context


def files_state(config: MqttConfig) -> tuple[float, ...]:
    """Changes whenever a certificate or key file does, so that a renewed one is used without a restart."""
    paths = [Path(name) for name in (config.ca_file, config.cert_file, config.key_file) if name]
    return tuple(path.stat().st_mtime if path.exists() else 0.0 for path in paths)


def password(config: MqttConfig) -> str | None:
    """The password, from the first line of its file; None without one. Raises OSError."""
    if not config.password_file:
        return None
    return Path(config.password_file).read_text(encoding="utf-8").partition("\n")[0].rstrip("\r")


_OURS: Final = {
    "CERTIFICATE_REQUIRED": "it demands one, and none was shown",
    "HANDSHAKE_FAILURE": "it demands one, or nothing else fits either",  # how TLS 1.2 says that there was none
    "BAD_CERTIFICATE": "it is damaged or wrongly signed",
    "UNSUPPORTED_CERTIFICATE": "it is not made for clients",
    "CERTIFICATE_REVOKED": "it was revoked",
    "CERTIFICATE_EXPIRED": "it has expired",
    "CERTIFICATE_UNKNOWN": "it is not acceptable",
    "UNKNOWN_CA": "it does not know the authority that signed it",
    "DECRYPT_ERROR": "a signature in it is wrong",
    "ACCESS_DENIED": "it is good, but not for here",
}
"""The alerts of RFC 8446, 6.2, that are about the certificate which we show."""


def explain(error: BaseException, host: str, port: int) -> str:
    """One line for people: why no connection came about."""
    where = f"{host}:{port}"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate of {where} is not accepted: {error.verify_message}"
    if isinstance(error, ssl.SSLError) and (alert := (error.reason or "").partition("_ALERT_")[2]) in _OURS:
        return f"{where} refuses our certificate: {_OURS[alert]}"
    if isinstance(error, ssl.SSLError):
        return f"TLS with {where} failed: {error.reason or error}"
    if isinstance(error, socket.gaierror):
        return f"the name {host} cannot be resolved: {error.strerror}"
    if isinstance(error, ConnectionRefusedError):
        return f"{where} refuses connections: no broker listens there"
    if isinstance(error, TimeoutError):
        return f"{where} does not answer"
    if isinstance(error, OSError) and error.strerror:
        name = f" ({error.filename})" if error.filename else ""
        return f"{where}: {error.strerror.lower()}{name}"
    return f"{where}: {type(error).__name__}: {error}"


class KeepAlive:
    """How long the line may be idle: longer while that works, shorter after a silent loss. Times in seconds.

    Routers and operators forget idle flows, without a word, after times that nobody tells.
    """

    _GROW_S: Final = 60.0
    _SHRINK: Final = 0.75
    _AGAIN_S: Final = 86_400.0  # what did not work yesterday may work today: a terminal moves between cells

    def __init__(self, timing: Timing, kept: str = "") -> None:
        """`kept` is `str()` of an earlier one."""
        self._least = float(timing.least_alive_s or timing.keep_alive_s)
        self._most = float(timing.keep_alive_s)
        self._ceiling, self._ceiling_until = self._most, 0.0
        middle = min(self._most, 2 * self._least)
        try:
            self.now_s = min(self._most, max(self._least, float(kept or middle)))
        except ValueError:
            self.now_s = middle
        self._worked_since = 0.0

    def __str__(self) -> str:
        return f"{self.now_s:.0f}"

    def began(self, now: float) -> None:
        """A connection was accepted."""
        self._worked_since = now

    def works(self, now: float) -> None:
        """The connection still stands: after two idle times of it the next may be longer."""
        if now - self._worked_since >= 2 * self.now_s:
            self._worked_since = now
            if now >= self._ceiling_until:
                self._ceiling = self._most
            self.now_s = min(self._ceiling, self.now_s + self._GROW_S)

    def lost(self, now: float) -> None:
        """A connection was dead and nobody had said so."""
        self.now_s = self._ceiling = max(self._least, self.now_s * self._SHRINK)
        self._ceiling_until = now + self._AGAIN_S


class Traffic:
    """Bytes to and from the broker as the kernel counted them: TLS and retransmissions in, IP and TCP headers apart."""

    # Offsets in struct tcp_info of linux/tcp.h: tcpi_options, _bytes_received, _segs_out and _segs_in, _bytes_sent
    _OPTIONS: Final = 5
    _RECEIVED: Final = 128
    _SEGMENTS: Final = 136
    _SENT: Final = 200
    _STAMPED: Final = 1  # TCPI_OPT_TIMESTAMPS
    _END: Final = 4  # segments of a farewell, two FIN and their acknowledgements, that nobody can count afterwards
    _DIALLED: Final = 3 * 60  # a SYN that is answered by nobody or refused, and its repetitions

    def __init__(self) -> None:
        self._past = (0, 0, 0)
        self._socket: Any = None

    def follow(self, sock: Any) -> None:
        """A connection began."""
        self._socket = sock

    def close(self) -> None:
        """The connection is about to close; keep its sums."""
        sent, received, headers = self._sums()
        self._past = sent, received, headers + self._END * self._header(self._info())
        self._socket = None

    def failed(self, sock: Any) -> None:
        """An attempt failed, in the handshake of this socket or, with None, before."""
        if sock is None:
            sent, received, headers = self._past
            self._past = sent, received, headers + self._DIALLED
        else:
            self.follow(sock)
            self.close()

    def totals(self) -> tuple[int, int]:
        """Bytes sent and received by all connections so far."""
        return self._sums()[:2]

    def headers(self) -> int:
        """Bytes of TCP's and IP's headers so far, both ways: segments that the kernel counted, times their header."""
        return self._sums()[2]

    def _info(self) -> bytes:
        try:
            info: bytes = self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
        except (AttributeError, OSError):  # no connection
            return b""
        return info if len(info) >= self._SENT + 8 else b""  # shorter on a kernel before 4.19

    def _header(self, info: bytes) -> int:
        if not info:
            return 0
        stamps = 12 if info[self._OPTIONS] & self._STAMPED else 0
        return (40 if self._socket.family == socket.AF_INET6 else 20) + 20 + stamps

    def _sums(self) -> tuple[int, int, int]:
        sent, received, headers = self._past
        info = self._info()
        if not info:
            return self._past
        return (
            sent + int(struct.unpack_from("Q", info, self._SENT)[0]),
            received + int(struct.unpack_from("Q", info, self._RECEIVED)[0]),
            headers + sum(struct.unpack_from("II", info, self._SEGMENTS)) * self._header(info),
        )
