"""A line to the broker that counts what crosses it, as the kernel at its far end saw it; and a broker with TLS."""

from __future__ import annotations

import selectors
import socket
import struct
import subprocess
import threading
from pathlib import Path
from typing import Self

from tests.mqtt.broker import MOSQUITTO, Broker, Line, Mosquitto, Rumqttd, free_port
from tests.mqtt.test_tls import Authority
from tests.wait import wait_until

MSS = 1360  # a mobile line's: loopback would carry a whole handshake in one segment
_HEADER = 20 + 20 + 12  # IPv4, TCP, its time stamps
_AROUND = (
    6 * _HEADER + 2 * 8
)  # SYN twice with 8 more bytes of options, its ACK; FIN and ACK of one side after our count


class Meter:
    """Forwards TCP to `target` and counts bytes and segments of the agent's side. `cut` ends all connections."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.accepted = 0
        self.stalled = False
        self._past = (0, 0)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, MSS)
        self.port = int(self._listener.getsockname()[1])
        self._pairs: dict[socket.socket, socket.socket] = {}
        self._agents: list[socket.socket] = []
        self._lock = threading.Lock()
        self._wake_r, self._wake_w = socket.socketpair()
        self._closing = False
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._closing = True
        self._wake_w.send(b"x")
        self._thread.join()
        self.cut()
        for sock in (self._listener, self._wake_r, self._wake_w):
            sock.close()

    def count(self) -> tuple[int, int]:
        """TCP's bytes and those of all headers, both ways, so far."""
        with self._lock:
            bytes_, headers = self._past
            for agent in self._agents:
                more = _measure(agent)
                bytes_, headers = bytes_ + more[0], headers + more[1]
            return bytes_, headers

    def cut(self) -> None:
        with self._lock:
            for agent in list(self._agents):
                self._end(agent)

    def _end(self, agent: socket.socket) -> None:
        more = _measure(agent)
        self._past = self._past[0] + more[0], self._past[1] + more[1] + _AROUND
        self._agents.remove(agent)
        broker = self._pairs.pop(agent)
        del self._pairs[broker]
        agent.close()
        broker.close()

    def _run(self) -> None:
        while not self._closing:
            with selectors.DefaultSelector() as ready:
                with self._lock:
                    for sock in (self._listener, self._wake_r, *self._pairs):
                        ready.register(sock, selectors.EVENT_READ)
                found = ready.select(0.02)
            with self._lock:
                for key, _ in found:
                    if key.fileobj is self._listener:
                        self._accept()
                    elif key.fileobj in self._pairs:
                        self._forward(key.fileobj)  # type: ignore[arg-type]

    def _accept(self) -> None:
        agent, _ = self._listener.accept()
        agent.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # what the broker wrote apart stays apart
        self.accepted += 1
        broker = socket.create_connection(("127.0.0.1", self.target))
        self._pairs[agent], self._pairs[broker] = broker, agent
        self._agents.append(agent)

    def _forward(self, source: socket.socket) -> None:
        other = self._pairs[source]
        try:
            data = source.recv(65_536)
            if data and not self.stalled:
                other.sendall(data)
        except OSError:
            data = b""
        if not data:
            self._end(source if source in self._agents else other)


def _measure(sock: socket.socket) -> tuple[int, int]:
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    (received,) = struct.unpack_from("Q", info, 128)
    (sent,) = struct.unpack_from("Q", info, 200)
    segments = sum(struct.unpack_from("II", info, 136))
    return received + sent, segments * _HEADER


class TlsMosquitto(Mosquitto):
    """Mosquitto that demands certificates on `tls_port`, and takes anybody on `port`."""

    def __init__(self, directory: Path, authority: Authority) -> None:
        super().__init__(directory)
        self.tls_port = free_port()
        self._files = authority.file, *authority.issue("broker")

    def start(self) -> None:
        assert MOSQUITTO is not None
        ca, cert, key = self._files
        config = self.directory / "mosquitto-tls.conf"
        config.write_text(
            f"""per_listener_settings true
persistence false
user root
log_type none
listener {self.port} 127.0.0.1
allow_anonymous true
listener {self.tls_port} 127.0.0.1
allow_anonymous true
cafile {ca}
certfile {cert}
keyfile {key}
require_certificate true
use_identity_as_username true
"""
        )
        self._process = subprocess.Popen([MOSQUITTO, "-c", str(config)], stderr=subprocess.DEVNULL)
        wait_until(self._listens)


class TlsRumqttd(Rumqttd):
    """The embedded broker behind a line that speaks TLS."""

    def __init__(self, directory: Path, authority: Authority) -> None:
        super().__init__(directory)
        self._line = Line(self.port, authority.server(*authority.issue("broker")))
        self.tls_port = self._line.port

    def kill(self) -> None:
        self._line.__exit__()
        super().kill()


def tls_broker(directory: Path, authority: Authority) -> Broker:
    """The broker that this machine has, with `tls_port`."""
    kind = TlsMosquitto if MOSQUITTO else TlsRumqttd
    return kind(directory, authority)
