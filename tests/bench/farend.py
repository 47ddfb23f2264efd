"""The far ends that the bench's peers need: Modbus devices to poll, a Zabbix server and a platform to report to."""

from __future__ import annotations

import json
import selectors
import socket
import ssl
import struct
import threading
import time
import zlib
from contextlib import suppress
from typing import Any, ClassVar, Self

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion


class ModbusDevices:
    """Devices that answer "read holding registers" over TCP, always the same, as a till's devices do at rest."""

    def __init__(self, number: int) -> None:
        self._listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
        self.ports = [int(listener.getsockname()[1]) for listener in self._listeners]
        self._wake_r, self._wake_w = socket.socketpair()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._wake_w.send(b"x")
        self._thread.join()
        for own in (*self._listeners, self._wake_r, self._wake_w):
            own.close()

    def _run(self) -> None:
        with selectors.DefaultSelector() as ready:
            for own in (*self._listeners, self._wake_r):
                ready.register(own, selectors.EVENT_READ)
            while True:
                for key, _ in ready.select():
                    sock: Any = key.fileobj
                    if sock is self._wake_r:
                        self._close([entry.fileobj for entry in ready.get_map().values()])
                        return
                    if sock in self._listeners:
                        ready.register(sock.accept()[0], selectors.EVENT_READ)
                    elif not self._answer(sock):
                        ready.unregister(sock)
                        sock.close()

    def _close(self, socks: list[Any]) -> None:
        for sock in socks:
            if sock not in self._listeners and sock is not self._wake_r:
                sock.close()

    def _answer(self, sock: socket.socket) -> bool:
        try:
            asked = sock.recv(260)
        except OSError:
            return False
        if len(asked) < 12:
            return False
        transaction, _, _, unit, function, _, count = struct.unpack_from(">HHHBBHH", asked)
        body = struct.pack(f">BBB{count}H", unit, function, 2 * count, *range(1, count + 1))
        sock.sendall(struct.pack(">HHH", transaction, 0, len(body)) + body)
        return True


class ZabbixServer:
    """Gives an agent its active checks, each due every second, and takes what it measured. `first` is when it came."""

    def __init__(self, tls: ssl.SSLContext, keys: list[str]) -> None:
        self.first: float | None = None
        self.values = 0
        self.agent_port = _low_port()
        self._tls = tls
        self._keys = keys
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._closing = False
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing = True
        socket.create_connection(("127.0.0.1", self.port)).close()
        self._thread.join()
        self._listener.close()

    def _run(self) -> None:
        while not self._closing:
            plain, _ = self._listener.accept()
            try:
                plain.settimeout(3)
                with self._tls.wrap_socket(plain, server_side=True) as sock:
                    self._serve(sock)
            except (OSError, struct.error, ValueError):
                plain.close()

    def _serve(self, sock: ssl.SSLSocket) -> None:
        _, flags, size, _ = struct.unpack("<4sBII", _exactly(sock, 13))
        body = _exactly(sock, size)
        asked = json.loads(zlib.decompress(body) if flags & 2 else body)
        answer: dict[str, Any] = {"response": "success", "info": "processed: 1; failed: 0; total: 1"}
        if asked["request"] == "active checks":
            answer["data"] = [
                {"key": key, "itemid": number, "delay": "1s", "lastlogsize": 0, "mtime": 0}
                for number, key in enumerate(self._keys, 1)
            ]
        elif asked.get("data"):
            self.first = self.first or time.monotonic()
            self.values += len(asked["data"])
        text = json.dumps(answer).encode()
        sock.sendall(struct.pack("<4sBII", b"ZBXD", 1, len(text), 0) + text)


class Platform:
    """Answers a gateway's question for its limits, without which it sends nothing: there are none."""

    _LIMITS: ClassVar = {"messages": "", "telemetryMessages": "", "telemetryDataPoints": ""}

    def __init__(self, port: int) -> None:
        self._client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        self._client.on_connect = lambda client, *_: client.subscribe("v1/devices/me/rpc/request/+", qos=1)
        self._client.on_message = self._answer
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _answer(self, client: paho.Client, _userdata: object, message: paho.MQTTMessage) -> None:
        limits = {
            "rateLimits": self._LIMITS,
            "gatewayRateLimits": self._LIMITS,
            "maxPayloadSize": 65_536,
            "maxInflightMessages": 100,
            "payloadType": "JSON",
        }
        client.publish(message.topic.replace("request", "response"), json.dumps(limits), qos=1)


def _low_port() -> int:
    """A free port below 32,768: an agent takes no other to listen on."""
    for port in range(20_050, 32_768):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise OSError("every port below 32768 is taken")


def _exactly(sock: ssl.SSLSocket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = sock.recv(size - len(data))
        if not more:
            raise ConnectionResetError
        data += more
    return data
