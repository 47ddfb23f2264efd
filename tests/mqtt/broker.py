"""Real brokers that a test can kill, a line between them and the agent that can go bad, and somebody who listens."""

from __future__ import annotations

import itertools
import json
import os
import queue
import select
import selectors
import shutil
import socket
import ssl
import subprocess
import threading
import zlib
from abc import ABC, abstractmethod
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import iotcore
import paho.mqtt.client as paho
from paho.mqtt.properties import Properties

from agent.packing import DICTIONARY
from tests.wait import wait_until

_START_S = 30.0
MOSQUITTO = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin:/bin")


_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_PORTS = range(20_000 + _WORKER % 16, 32_000, 16)
_ports = itertools.cycle([*_PORTS[os.getpid() % len(_PORTS) :], *_PORTS[: os.getpid() % len(_PORTS)]])


def free_port() -> int:
    """A port that nobody listens on, and that stays free until it is used, also between a broker's death and its return.

    It lies below those that the kernel gives to whoever asks for any, and no other worker of this run has it.
    """
    for port in itertools.islice(_ports, len(_PORTS)):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("every port is taken")


class Broker(ABC):
    """A broker process on a port of its own. Nothing outlives its death: neither of them is told to persist."""

    def __init__(self, directory: Path, users: dict[str, str] | None = None) -> None:
        self.directory = directory
        self.users = users or {}
        self.port = free_port()

    @abstractmethod
    def start(self) -> None:
        """Start, or start again, and wait until it listens."""

    @abstractmethod
    def kill(self) -> None:
        """SIGKILL."""


class Rumqttd(Broker):
    """The embedded broker in its own process."""

    protocol = "v5"
    _broker: iotcore.Broker | None = None

    def start(self) -> None:
        config = self.directory / f"rumqttd-{self.port}.toml"
        listener = f"{self.protocol}.1"
        users = "".join(f'{name} = "{secret}"\n' for name, secret in self.users.items())
        config.write_text(
            f"""id = 0
[router]
id = 0
max_connections = 100
max_outgoing_packet_count = 200
max_segment_size = 1048576
max_segment_count = 10
[{listener}]
name = "test"
listen = "127.0.0.1:{self.port}"
next_connection_delay_ms = 1
[{listener}.connections]
connection_timeout_ms = 60000
max_payload_size = 20480
max_inflight_count = 100
dynamic_filters = true
"""
            + (f"[{listener}.connections.auth]\n{users}" if users else ""),
            encoding="utf-8",
        )
        self._broker = iotcore.Broker(config_path=str(config))
        self._broker.start(_START_S)

    def kill(self) -> None:
        if self._broker is not None:
            process = self._broker._process
            if process is not None:
                process.kill()
            self._broker.stop()
            self._broker = None


class Rumqttd311(Rumqttd):
    """The same with an MQTT 3.1.1 listener only."""

    protocol = "v4"


class Mosquitto(Broker):
    """Eclipse Mosquitto. `acl` holds lines of its access list, `more` of its configuration."""

    acl = ""
    more = ""
    _process: subprocess.Popen[bytes] | None = None

    @staticmethod
    def installed() -> bool:
        return MOSQUITTO is not None

    def start(self) -> None:
        assert MOSQUITTO is not None, "mosquitto is not installed"
        lines = [f"listener {self.port} 127.0.0.1", "persistence false", "user root", "log_type none"]
        lines.append("allow_anonymous " + ("false" if self.users else "true"))
        if self.users:
            passwords = self.directory / "mosquitto.passwords"
            passwords.write_text("".join(f"{name}:{secret}\n" for name, secret in self.users.items()))
            subprocess.run(["mosquitto_passwd", "-U", str(passwords)], check=True)
            lines.append(f"password_file {passwords}")
        if self.acl:
            access = self.directory / "mosquitto.acl"
            access.write_text(self.acl)
            lines.append(f"acl_file {access}")
        config = self.directory / f"mosquitto-{self.port}.conf"
        config.write_text("\n".join(lines) + "\n" + self.more)
        self._process = subprocess.Popen([MOSQUITTO, "-c", str(config)], stderr=subprocess.DEVNULL)
        wait_until(self._listens)

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def reload(self) -> None:
        """Read the access list again."""
        assert self._process is not None
        (self.directory / "mosquitto.acl").write_text(self.acl)
        self._process.send_signal(1)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


class Line:
    """A TCP line to the broker, optionally with TLS towards the agent. `stalled` makes it half-open: bytes vanish; `slow` lets 64 through at a time."""

    def __init__(self, target: int, tls: ssl.SSLContext | None = None) -> None:
        self.target = target
        self.tls = tls
        self.stalled = False
        self.slow = False
        self.blocked = False
        self.cut_after_bytes: int | None = None
        self.accepted = 0
        self.resumed = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._pairs: dict[socket.socket, socket.socket] = {}
        self._lock = threading.Lock()
        self._closing = False
        self._wake_r, self._wake_w = socket.socketpair()
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

    def cut(self) -> None:
        """Close all connections now."""
        with self._lock:
            for sock in self._pairs:
                sock.close()
            self._pairs.clear()

    def _run(self) -> None:
        while not self._closing:
            with selectors.DefaultSelector() as ready, self._lock:
                for sock in (self._listener, self._wake_r, *self._pairs):
                    ready.register(sock, selectors.EVENT_READ)
                if self.slow:
                    select.select([self._wake_r], [], [], 0.005)
                events = ready.select(0.02)
                for key, _ in events:
                    if key.fileobj is self._listener:
                        self._accept()
                    elif key.fileobj is not self._wake_r:
                        self._forward(key.fileobj)

    def _accept(self) -> None:
        agent, _ = self._listener.accept()
        self.accepted += 1
        if self.blocked:
            agent.close()
            return
        if self.tls is not None:
            try:
                agent.settimeout(_START_S)
                agent = self.tls.wrap_socket(agent, server_side=True)
                self.resumed += bool(agent.session_reused)
            except OSError:
                agent.close()
                return
        try:
            broker = socket.create_connection(("127.0.0.1", self.target))
        except OSError:
            agent.close()
            return
        self._pairs[agent], self._pairs[broker] = broker, agent

    def _forward(self, source: Any) -> None:
        other = self._pairs.get(source)
        if other is None:
            return
        try:
            data = source.recv(64 if self.slow else 4096)
            while isinstance(source, ssl.SSLSocket) and source.pending():
                data += source.recv(4096)
            if self.cut_after_bytes is not None:
                self.cut_after_bytes -= len(data)
                if self.cut_after_bytes <= 0:
                    self.cut_after_bytes = None
                    data = b""
            if data and not self.stalled:
                other.sendall(data)
        except OSError:
            data = b""
        if not data:
            for sock in (source, other):
                self._pairs.pop(sock, None)
                sock.close()


@dataclass
class Heard:
    """One message as somebody else hears it."""

    topic: str
    body: Any
    retain: bool
    content_type: str
    expiry_s: int | None


@dataclass
class Observer:
    """A client of its own, subscribed to everything."""

    port: int
    v5: bool = True
    username: str = ""
    password: str = ""
    heard: list[Heard] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._subscribed: queue.Queue[bool] = queue.Queue()
        protocol = paho.MQTTv5 if self.v5 else paho.MQTTv311
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id="observer", protocol=protocol)
        if self.username:
            self._client.username_pw_set(self.username, self.password)
        self._client.on_connect = lambda client, *_: client.subscribe("pos/#", qos=1)
        self._client.on_subscribe = lambda *_: self._subscribed.put(True)
        self._client.on_message = self._on_message
        self._client.connect("127.0.0.1", self.port)
        self._client.loop_start()
        self._subscribed.get(timeout=_START_S)
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def publish(
        self, topic: str, payload: bytes, properties: Properties | None = None, *, retain: bool = False
    ) -> None:
        self._client.publish(topic, payload, qos=1, retain=retain, properties=properties).wait_for_publish(_START_S)

    def _on_message(self, _client: object, _userdata: object, message: paho.MQTTMessage) -> None:
        content_type = getattr(message.properties, "ContentType", "")
        payload = message.payload
        if content_type.endswith("+deflate"):
            payload = zlib.decompressobj(zdict=DICTIONARY).decompress(payload)
        try:
            body = json.loads(payload) if payload else None
        except (ValueError, RecursionError):
            body = payload
        expiry_s = getattr(message.properties, "MessageExpiryInterval", None)
        self.heard.append(Heard(message.topic, body, message.retain, content_type, expiry_s))

    def of(self, suffix: str) -> list[Any]:
        """Bodies heard on topics with this ending, in order."""
        return [heard.body for heard in list(self.heard) if heard.topic.endswith("/" + suffix)]

    def seqs(self, suffix: str) -> list[int]:
        return [body["seq"] for body in self.of(suffix)]
