"""The network around the terminal, on the loopback interface: gateway, names, acquirer, portal check, time."""

from __future__ import annotations

import random
import select
import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from simulator.certificates import HOST, Authority
from simulator.datagrams import answer_name, answer_time
from simulator.endpoints import Conversation, StreamService, UdpService
from simulator.loop import Loop
from simulator.world import Consequences

PORTAL_HOST: Final = "portal-check.test"
BROKER_HOST: Final = "broker.test"
_RETRANSMIT_S: Final = 0.3  # what one lost segment costs a stream
_RENEW_S: Final = 3600.0  # server certificates live for a day around the world's time

_LOGIN_PAGE: Final = b"<!doctype html><title>Sign in</title><p>Please sign in to use this network.</p>"


class Network:
    """Every service of one terminal's world. `apply` makes them behave as the consequences say."""

    def __init__(self, loop: Loop, folder: Path, seed: str, world_time: Callable[[], float]) -> None:
        """Binds all ports. `world_time` is seconds since 1970."""
        self._loop = loop
        self._world_time = world_time
        self._random = random.Random(f"{seed}:network")
        self._now: Consequences | None = None
        self._authority = Authority(folder)
        self.ca_file = self._authority.ca_file
        self._context: ssl.SSLContext | None = None
        self._context_for: tuple[str, float] = ("", 0.0)
        self.gateway = StreamService(loop, lambda conversation: conversation.close())
        self.acquirer = StreamService(loop, self._acquire)
        self.portal = StreamService(loop, self._portal)
        self.dns = UdpService(loop, self._resolve)
        self.ntp = UdpService(loop, self._tell_time)

    def addresses(self) -> dict[str, str]:
        """host:port of each service."""
        return {
            "gateway": f"127.0.0.1:{self.gateway.port}",
            "dns": f"127.0.0.1:{self.dns.port}",
            "acquirer": f"127.0.0.1:{self.acquirer.port}",
            "portal_check": f"127.0.0.1:{self.portal.port}",
            "ntp": f"127.0.0.1:{self.ntp.port}",
        }

    def apply(self, now: Consequences) -> None:
        """Take over a new state of the world."""
        self._now = now
        self.gateway.set_up(now.gateway)
        self.acquirer.set_up(now.acquirer)
        self.portal.set_up(now.internet)
        self.dns.up = now.dns
        self.ntp.up = now.internet

    def close(self) -> None:
        for service in (self.gateway, self.acquirer, self.portal, self.dns, self.ntp):
            service.close()
        self._authority.remove()

    # --- datagrams: late, or lost -------------------------------------------------------------------------------------

    def _resolve(self, query: bytes, reply: Callable[[bytes], None]) -> None:
        portal = self._now is not None and self._now.portal
        self._datagram(answer_name(query, (HOST, PORTAL_HOST, BROKER_HOST), every_name=portal), reply)

    def _tell_time(self, query: bytes, reply: Callable[[bytes], None]) -> None:
        # The stamp is taken half-way, when the packet is at the server, so that latency does not shift it.
        self._loop.after(self._latency_s() / 2, lambda: self._stamp(query, reply))

    def _stamp(self, query: bytes, reply: Callable[[bytes], None]) -> None:
        answer = answer_time(query, self._world_time())
        if answer is not None and not self._lost():
            self._loop.after(self._latency_s() / 2, lambda: reply(answer))

    def _datagram(self, answer: bytes | None, reply: Callable[[bytes], None]) -> None:
        if answer is not None and not self._lost():
            self._loop.after(self._latency_s(), lambda: reply(answer))

    # --- streams: late, and later for each loss -----------------------------------------------------------------------

    def _acquire(self, conversation: Conversation) -> None:
        if self._now is not None and self._now.portal:
            conversation.close()  # the portal lets nothing but its own page through
            return
        self._loop.after(self._stream_delay_s(), lambda: self._handshake(conversation))

    def _handshake(self, conversation: Conversation) -> None:
        if conversation.closed:
            return
        try:
            tls = self._server_context().wrap_socket(
                conversation.socket, server_side=True, do_handshake_on_connect=False
            )
        except OSError:
            conversation.close()
            return
        conversation.socket = tls
        conversation.on_ready(lambda: self._handshake_step(conversation, tls))
        self._handshake_step(conversation, tls)

    def _handshake_step(self, conversation: Conversation, tls: ssl.SSLSocket) -> None:
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            return
        except ssl.SSLWantWriteError:
            conversation.wait_for(select.EPOLLOUT)
            return
        except OSError:  # the terminal did not like the certificate, or went away
            conversation.close()
            return
        conversation.wait_for(select.EPOLLIN)
        conversation.on_ready(lambda: _discard(conversation))

    def _server_context(self) -> ssl.SSLContext:
        tls = self._now.tls if self._now is not None else "ok"
        made_for, made_at = self._context_for
        world = self._world_time()
        if self._context is None or made_for != tls or abs(world - made_at) > _RENEW_S:
            self._context = self._authority.server_context(tls, datetime.fromtimestamp(world, UTC))
            self._context_for = (tls, world)
        return self._context

    def _portal(self, conversation: Conversation) -> None:
        head = bytearray()

        def read() -> None:
            data = conversation.receive()
            head.extend(data or b"")
            if b"\r\n\r\n" in head:
                self._loop.forget(conversation.socket.fileno())
                self._loop.after(self._stream_delay_s(), lambda: conversation.send_last(self._page(bytes(head))))
            elif data == b"" or len(head) > 8192:
                conversation.close()

        conversation.on_ready(read)

    def _page(self, head: bytes) -> bytes:
        if self._now is None or not self._now.portal:
            return b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        if head.startswith(b"GET /login"):
            size = str(len(_LOGIN_PAGE)).encode()
            return (
                b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: "
                + size
                + b"\r\nConnection: close\r\n\r\n"
                + _LOGIN_PAGE
            )
        place = f"http://{PORTAL_HOST}:{self.portal.port}/login".encode()
        return b"HTTP/1.1 302 Found\r\nLocation: " + place + b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

    # --- chance -------------------------------------------------------------------------------------------------------

    def _latency_s(self) -> float:
        return self._now.latency_ms / 1000 if self._now is not None else 0.0

    def _lost(self) -> bool:
        return self._now is not None and self._random.random() * 100 < self._now.loss_percent

    def _stream_delay_s(self) -> float:
        delay = self._latency_s()
        for _ in range(5):
            if not self._lost():
                break
            delay += _RETRANSMIT_S
        return delay


def _discard(conversation: Conversation) -> None:
    """Read what comes without looking; close when the other side does."""
    if conversation.receive() == b"":
        conversation.close()
