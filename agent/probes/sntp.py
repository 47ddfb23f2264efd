"""One SNTP question: how far this machine's clock is from a server's. Source: RFC 4330."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable

from agent.hosts import in_ascii

_TO_1900_S = 2_208_988_800
_ERA_S = 1 << 32


def parse_reply(data: bytes, token: bytes, sent: float, came: float) -> float | None:
    """Seconds that our clock is ahead of the server's; None for a reply that is not ours or says it has no time.

    `token` stood in our transmit field; `sent` and `came` are our wall clock. An era is 136 years: the server's time
    is taken in the era nearest to ours.
    """
    if len(data) < 48 or data[24:32] != token:
        return None
    mode, leap, stratum = data[0] & 7, data[0] >> 6, data[1]
    if mode != 4 or leap == 3 or not 1 <= stratum <= 15:  # 3: its clock is not set; stratum 0: go away
        return None
    received, replied = (_seconds(data, at) for at in (32, 40))
    ahead = ((sent - received) + (came - replied)) / 2
    return (ahead + _ERA_S / 2) % _ERA_S - _ERA_S / 2


def _seconds(data: bytes, at: int) -> float:
    whole, fraction = (int.from_bytes(data[start : start + 4], "big") for start in (at, at + 4))
    return whole - _TO_1900_S + fraction / _ERA_S


def clock_offset_s(
    server: tuple[str, int], timeout_s: float = 1.5, wall: Callable[[], float] = time.time
) -> float | None:
    """Seconds that our clock is ahead of `server`'s, None when it does not say. A random token keeps strangers out."""
    token = os.urandom(8)
    until = time.monotonic() + timeout_s
    try:
        family, _, _, _, address = socket.getaddrinfo(in_ascii(server[0]), server[1], type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, socket.SOCK_DGRAM) as link:
            link.connect(address)
            sent = wall()
            link.send(bytes([0x23]) + bytes(39) + token)  # version 4, client
            while (left := until - time.monotonic()) > 0:
                link.settimeout(left)
                data = link.recv(256)
                ahead = parse_reply(data, token, sent, wall())
                if ahead is not None:
                    return ahead
    except OSError:
        return None
    return None
