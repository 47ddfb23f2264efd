"""A line to a broker that notes every packet a client writes, and that can be cut."""

from __future__ import annotations

import json
import selectors
import socket
import threading
import zlib
from dataclasses import dataclass, field
from typing import Any, Self

import mqtt5


@dataclass
class Tap:
    """Listens on `port` and forwards to `target`. `packets` are those of the client, over all its connections."""

    target: int
    packets: list[mqtt5.Packet] = field(default_factory=list)
    blocked: bool = False
    """Whether new connections are closed at once."""

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._waker, self._wake = socket.socketpair()
        self._pairs: dict[socket.socket, socket.socket] = {}
        self._rest: dict[socket.socket, bytes] = {}
        self._was_cut = threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run, name="tap")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._wake.send(b"end")
        self._thread.join()
        for sock in (self._listener, self._waker, self._wake, *self._pairs):
            sock.close()

    def cut(self) -> None:
        """End every connection now, without a word."""
        self._wake.send(b"cut")
        self._was_cut.acquire()

    def _run(self) -> None:
        ending = False
        while True:
            with selectors.DefaultSelector() as ready:
                for sock in (self._listener, self._waker, *self._pairs):
                    ready.register(sock, selectors.EVENT_READ)
                events = [key.fileobj for key, _ in ready.select(0 if ending else None)]
            if ending and not events:  # what had been written by then has been read
                return
            for sock in events:
                if sock is self._waker:
                    ending = self._waker.recv(3) == b"end"
                    for each in [] if ending else list(self._pairs):
                        self._end(each)
                    self._was_cut.release()
                elif sock is self._listener:
                    self._accept()
                elif sock in self._pairs:
                    self._forward(sock)

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        if self.blocked:
            client.close()
            return
        try:
            broker = socket.create_connection(("127.0.0.1", self.target))
        except OSError:  # it has been killed
            client.close()
            return
        self._pairs[client], self._pairs[broker] = broker, client
        self._rest[client] = b""

    def _forward(self, sock: Any) -> None:
        try:
            data = sock.recv(65_536)
            if data:
                self._pairs[sock].sendall(data)
        except OSError:
            data = b""
        if not data:
            self._end(sock)
        elif sock in self._rest:
            self._note(sock, data)

    def _note(self, sock: socket.socket, data: bytes) -> None:
        rest = self._rest[sock] + data
        while rest:
            try:
                packet, size = mqtt5.read(memoryview(rest))
            except IndexError:
                break
            self.packets.append(packet)
            rest = rest[size:]
        self._rest[sock] = rest

    def _end(self, sock: Any) -> None:
        other = self._pairs.pop(sock, None)
        self._rest.pop(sock, None)
        sock.close()
        if other is not None:
            self._end(other)

    def published(self) -> list[mqtt5.PublishPacket]:
        return [packet for packet in list(self.packets) if isinstance(packet, mqtt5.PublishPacket)]


def body(packet: mqtt5.PublishPacket) -> Any:
    """The JSON of a packet, deflated or not."""
    payload = packet.payload
    return json.loads(zlib.decompress(payload) if payload[:1] != b"{" else payload)
