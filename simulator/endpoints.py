"""Loopback endpoints that can fall silent: a TCP listener that drops connection attempts, a UDP socket that ignores."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
from collections.abc import Callable
from typing import Final

from simulator.loop import Loop

_LOOPBACK: Final = "127.0.0.1"
_BACKLOG: Final = 64
_LONGEST_S: Final = 30.0  # a conversation that takes longer is somebody's forgotten socket
_FILLERS: Final = 8  # the kernel takes one connection more than a backlog of nought; the rest is room for error


class Conversation:
    """One accepted connection, not blocking."""

    def __init__(self, loop: Loop, connection: socket.socket, ended: Callable[[Conversation], None]) -> None:
        connection.setblocking(False)
        self.socket = connection
        self.closed = False
        """Hung up, or to be treated so: nothing more may be said."""
        self._loop = loop
        self._ended = ended
        self._ready: Callable[[], None] | None = None
        self._limit = loop.after(_LONGEST_S, self.close)

    def on_ready(self, ready: Callable[[], None]) -> None:
        """Call `ready` when there is something to read (or whatever `wait_for` asked for)."""
        self._ready = ready
        self.wait_for(select.EPOLLIN)

    def wait_for(self, events: int) -> None:
        ready = self._ready
        if not self.closed and ready is not None:
            self._loop.watch(self.socket.fileno(), lambda _events: ready(), events)

    def receive(self) -> bytes | None:
        """What has come; empty at the end or when the other side broke off; None when nothing has come yet."""
        try:
            return self.socket.recv(4096)
        except (BlockingIOError, ssl.SSLWantReadError):
            return None
        except OSError:
            return b""

    def send_last(self, data: bytes) -> None:
        """Send something short and close."""
        if not self.closed:
            with contextlib.suppress(OSError):
                self.socket.send(data)
            self.close()

    def hush(self) -> None:
        """Hear nothing any more and say nothing, but do not hang up."""
        self._loop.forget(self.socket.fileno())
        self._limit.cancel()
        self.closed = True

    def close(self) -> None:
        if self.socket.fileno() < 0:
            return
        self.hush()
        self.socket.close()
        self._ended(self)


class StreamService:
    """A TCP listener on a free port. Down means silent: a connection attempt times out and is not refused.

    Linux drops attempts while a listener's queue is full, so a listener that is down gets a queue of one, filled by
    connections of our own that nobody accepts.
    """

    def __init__(self, loop: Loop, accepted: Callable[[Conversation], None]) -> None:
        self._loop = loop
        self._accepted = accepted
        self._listener = socket.create_server((_LOOPBACK, 0), backlog=_BACKLOG)
        self._listener.setblocking(False)
        self._conversations: set[Conversation] = set()
        self._fillers: list[socket.socket] = []
        self.port: int = self._listener.getsockname()[1]
        self.up = True
        loop.watch(self._listener.fileno(), self._accept)

    def set_up(self, up: bool) -> None:
        if up == self.up:
            return
        self.up = up
        if up:
            self._come_up()
        else:
            self._go_down()

    def close(self) -> None:
        self._loop.forget(self._listener.fileno())
        self._listener.close()
        for filler in self._fillers:
            filler.close()
        for conversation in tuple(self._conversations):
            conversation.close()

    def _go_down(self) -> None:
        self._loop.forget(self._listener.fileno())
        self._listener.listen(0)
        while len(self._fillers) < _FILLERS:
            filler = socket.socket()
            filler.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                filler.connect((_LOOPBACK, self.port))
            if not select.select([], [filler], [], 0)[1]:  # over loopback a connection stands at once or not at all
                filler.close()
                break
            self._fillers.append(filler)
        for conversation in self._conversations:
            conversation.hush()

    def _come_up(self) -> None:
        ours = {filler.getsockname() for filler in self._fillers}
        for filler in self._fillers:
            filler.close()
        self._fillers.clear()
        for conversation in tuple(self._conversations):
            conversation.close()
        self._listener.listen(_BACKLOG)
        with contextlib.suppress(BlockingIOError):
            while True:
                connection, peer = self._listener.accept()
                if peer in ours:
                    connection.close()
                else:
                    self._begin(connection)
        self._loop.watch(self._listener.fileno(), self._accept)

    def _accept(self, _events: int) -> None:
        with contextlib.suppress(OSError):
            connection, _peer = self._listener.accept()
            self._begin(connection)

    def _begin(self, connection: socket.socket) -> None:
        conversation = Conversation(self._loop, connection, self._conversations.discard)
        self._conversations.add(conversation)
        self._accepted(conversation)


class UdpService:
    """A UDP socket on a free port. `answer(query, reply)` may call `reply` later. While down it is deaf and dumb."""

    def __init__(self, loop: Loop, answer: Callable[[bytes, Callable[[bytes], None]], None]) -> None:
        self._loop = loop
        self._answer = answer
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((_LOOPBACK, 0))
        self._socket.setblocking(False)
        self.port: int = self._socket.getsockname()[1]
        self.up = True
        loop.watch(self._socket.fileno(), self._ready)

    def close(self) -> None:
        self.up = False
        self._loop.forget(self._socket.fileno())
        self._socket.close()

    def _ready(self, _events: int) -> None:
        with contextlib.suppress(OSError):
            query, peer = self._socket.recvfrom(2048)
            if self.up:
                self._answer(query, lambda reply: self._say(reply, peer))

    def _say(self, reply: bytes, peer: tuple[str, int]) -> None:
        if self.up:
            with contextlib.suppress(OSError):
                self._socket.sendto(reply, peer)
