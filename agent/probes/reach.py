"""Can this host be reached: one question per layer, each with its own deadline. No payment data is ever sent."""

from __future__ import annotations

import errno
import os
import re
import socket
import struct
import time
from typing import TYPE_CHECKING

from agent.hosts import in_ascii

if TYPE_CHECKING:
    import ssl

_MOST_REPLY = 1024
_HTTP = re.compile(rb"HTTP/\d\.\d (\d{3})[ \r\n]")
# The numbers of OpenSSL's X509_V_ERR_*.
_CERTIFICATE = {9: "not_yet_valid", 10: "expired", 62: "wrong_host", 64: "wrong_host"}
_UNREACHABLE = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN)


def endpoint(text: str, port: int = 0) -> tuple[str, int]:
    """host, host:port or [v6]:port taken apart; `port` where none is given."""
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        return host, int(rest[1:] or port)
    host, colon, number = text.rpartition(":")
    return (host, int(number)) if colon and ":" not in host else (text, port)


def is_address(host: str) -> bool:
    """Whether this is an address and no name."""
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host)
        except OSError:
            continue
        return True
    return False


def connect(address: tuple[str, int], timeout_s: float) -> tuple[socket.socket | None, str]:
    """A TCP connection, or None with a word: refused, timeout, unreachable, failed."""
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    try:
        link = socket.socket(family, socket.SOCK_STREAM)
    except OSError:
        return None, "failed"
    try:
        link.settimeout(max(0.01, timeout_s))
        link.connect(address)
    except ConnectionRefusedError:
        link.close()
        return None, "refused"
    except TimeoutError:
        link.close()
        return None, "timeout"
    except OSError as error:
        link.close()
        return None, "unreachable" if error.errno in _UNREACHABLE else "failed"
    return link, ""


def ping(host: str, timeout_s: float) -> bool | None:
    """Whether an ICMP echo is answered; None when this user may not send one (net.ipv4.ping_group_range)."""
    try:
        link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP)
    except OSError:
        return None
    with link:
        tag = os.urandom(8)
        head = struct.pack(">BBHHH", 8, 0, 0, 0, 1)  # the kernel fills in identifier and checksum
        until = time.monotonic() + timeout_s
        try:
            link.connect((host, 0))
            link.send(head + tag)
            while (left := until - time.monotonic()) > 0:
                link.settimeout(left)
                reply = link.recv(256)
                if reply[:1] == b"\0" and reply[8:] == tag:
                    return True
        except OSError:
            return False
        return False


def handshake(
    link: socket.socket, host: str, ca_file: str, timeout_s: float, seen: list[bytes] | None = None
) -> tuple[bool, str]:
    """A TLS handshake that is verified in full and closed at once: (done, word for why not).

    Puts the server's certificate, in DER, into `seen`.
    Words: expired, not_yet_valid, wrong_host, untrusted, timeout, closed, authorities (they cannot be read), or what
    OpenSSL calls it. Takes the connection over and closes it.
    """
    import ssl  # noqa: PLC0415 - a terminal without a secured acquirer need not hold it

    with link:
        try:
            context = ssl.create_default_context(cafile=ca_file or None)
        except (OSError, ssl.SSLError):
            return False, "authorities"
        link.settimeout(max(0.01, timeout_s))
        try:
            with context.wrap_socket(link, server_hostname=in_ascii(host)) as secured:
                if seen is not None:
                    seen.append(secured.getpeercert(binary_form=True) or b"")
                return True, ""
        except ssl.SSLCertVerificationError as error:
            return False, _CERTIFICATE.get(error.verify_code, "untrusted")
        except TimeoutError:
            return False, "timeout"
        except (ConnectionError, ssl.SSLEOFError):
            return False, "closed"
        except ssl.SSLError as error:
            return False, _reason(error)
        except OSError:
            return False, "closed"


def _reason(error: ssl.SSLError) -> str:
    return (error.reason or "failed").lower()[:40]


def http_status(link: socket.socket, host: str, path: str, timeout_s: float) -> int | None:
    """The status of a plain GET; None when no HTTP reply came. Takes the connection over and closes it."""
    until = time.monotonic() + timeout_s
    with link:
        data = b""
        try:
            link.settimeout(max(0.01, timeout_s))
            link.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            while len(data) < _MOST_REPLY and b"\n" not in data and (left := until - time.monotonic()) > 0:
                link.settimeout(left)
                more = link.recv(_MOST_REPLY)
                if not more:
                    break
                data += more
        except OSError:
            return None
    found = _HTTP.match(data)
    return int(found[1]) if found else None
