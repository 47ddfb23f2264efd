"""One connection to the broker, driven by the thread that made it. The only user of paho.

paho's own loop, queue and reconnect are not used: a will must carry the number of its CONNECT, waiting needs jitter,
and what waits belongs on disk. A new paho client serves each connection, so that nothing of the last lingers in it.
"""

from __future__ import annotations

import os
import select
import socket
import ssl
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from math import ceil
from typing import Any, Final

from agent import session
from agent.config import MqttConfig
from agent.hosts import in_ascii
from agent.lean import CallbackAPIVersion, PacketTypes, Properties, SubscribeOptions, paho
from agent.sender import WINDOW, Message
from agent.wire import CONTENT_JSON, DELIVERY, MAX_PACKET_BYTES, PREFIX, Topics

_CREDENTIALS: Final = frozenset({0x85, 0x86, 0x87, 0x8A, 0x8C})  # client id, user, not authorised, banned, method
_REFUSED: Final = 0x80
_KEEP_ALIVE: Final = 0x8D  # paho's word for its own verdict: a ping without an answer


@dataclass(frozen=True, slots=True)
class Connack:
    """The broker's answer to CONNECT. `why` is its reason in words; limits are its own, 0 for none.

    `remembers` is whether it still has the session, and with it what it has acknowledged.
    """

    accepted: bool
    remembers: bool
    credentials: bool
    why: str
    receive_maximum: int
    max_packet_bytes: int


@dataclass(frozen=True, slots=True)
class Received:
    """One PUBLISH from the broker. The topic is None when it is not UTF-8."""

    topic: str | None
    payload: bytes
    retain: bool
    response_topic: str
    correlation: bytes
    expiry_s: int | None

    @property
    def packet_bytes(self) -> int:
        """How long its packet was."""
        return packet_bytes(self.topic or "", self.payload, self.response_topic, self.correlation, self.expiry_s)


@dataclass(frozen=True, slots=True)
class Incoming:
    """One message from the center. `suffix` follows the terminal, or the estate for `all/command`, `center/ID/state`.

    `expiry_s` is what the broker left of the message's life, None when it had no limit.
    """

    suffix: str
    payload: bytes
    retain: bool
    response_topic: str = ""
    correlation: bytes = b""
    expiry_s: int | None = None


def incoming_of(topic: str, received: Received, topics: Topics) -> Incoming:
    """A received message without what every topic of the terminal or of its estate begins with."""
    suffix = topic.removeprefix(topics.base + "/").removeprefix(f"{PREFIX}/{topics.estate}/")
    return Incoming(
        suffix, received.payload, received.retain, received.response_topic, received.correlation, received.expiry_s
    )


class BrokerClient:
    """One connection. `connack`, `inbox`, `acks`, `refused_filters` and `ended` fill while `step` runs.

    `silent` is whether it ended by a ping that nobody answered, `woken` whether the latest step ended by `wake_fd`.

    `will` is asked for the will's payload once TCP and TLS stand, right before CONNECT is written.
    """

    def __init__(
        self,
        config: MqttConfig,
        client_id: str,
        timing: session.Timing,
        traffic: session.Traffic,
        context: session.ResumingContext | None,
        *,
        will_topic: str,
        will: Callable[[], bytes],
    ) -> None:
        self.connack: Connack | None = None
        self.inbox: deque[Received] = deque()
        self.acks: deque[tuple[int, int]] = deque()
        self.refused_filters: list[str] = []
        self.ended = ""
        self.silent = False
        self.woken = False
        self._v5 = config.protocol == "5"
        self._bare = context is not None and not config.cert_file
        self._timing = timing
        self._traffic = traffic
        self._context = context
        self._will_topic = will_topic
        self._will = will
        self._filters: Sequence[str] = ()
        self._poll = select.poll()
        self._client = client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            clean_session=None if self._v5 else False,
            protocol=paho.MQTTv5 if self._v5 else paho.MQTTv311,
            reconnect_on_failure=False,
        )
        client.connect_timeout = timing.connect_s
        secret = session.password(config)
        if config.username or secret is not None:
            client.username_pw_set(config.username or client_id, secret)
        if context is not None:
            client.tls_set_context(context)
        client.on_socket_open = self._opened
        client.on_socket_close = self._closing
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_publish = self._on_publish
        client.on_message = self._on_message

    def connect(self, host: str, port: int) -> None:
        """TCP, TLS and CONNECT; the answer comes later. Blocks. Raises OSError (ssl.SSLError is one), ValueError."""
        options: dict[str, Any] = {}
        if self._v5:
            options["clean_start"] = False
            options["properties"] = _properties(
                PacketTypes.CONNECT,
                SessionExpiryInterval=self._timing.session_expiry_s,
                ReceiveMaximum=session.RECEIVE_MAXIMUM,
                MaximumPacketSize=MAX_PACKET_BYTES,
            )
        try:
            self._client.connect(in_ascii(host), port, self._timing.keep_alive_s, **options)
        except (OSError, ValueError):
            self._traffic.failed(self._context.begun if self._context is not None else None)
            if self._context is not None:
                self._context.give_up()
            raise

    def ping_every(self, seconds: float) -> None:
        """Ping after so long without traffic, which is less than what CONNECT announced, from now on."""
        self._client._keepalive = ceil(seconds)  # noqa: SLF001 - paho's own setter is for a closed connection

    @property
    def is_open(self) -> bool:
        """Whether the socket still stands."""
        return self._client.socket() is not None

    @property
    def alert(self) -> ssl.SSLError | None:
        """What the broker's TLS said when it ended the connection."""
        return self._context.alert if self._context is not None else None

    def step(self, timeout_s: float, wake_fd: int) -> None:
        """Wait for the socket or for `wake_fd`, then read, write and mind the keep-alive."""
        sock: Any = self._client.socket()
        if sock is None:
            return
        pending = isinstance(sock, ssl.SSLSocket) and sock.pending() > 0
        writing = self._client.want_write()
        self._poll.register(wake_fd, select.POLLIN)
        self._poll.register(sock.fileno(), select.POLLIN | (select.POLLOUT if writing else 0))
        ready = dict(self._poll.poll(0 if pending else ceil(timeout_s * 1000)))
        self.woken = wake_fd in ready
        if self.woken:
            os.eventfd_read(wake_fd)
        if pending or sock.fileno() in ready:
            self._client.loop_read()
        if writing:
            self._client.loop_write()
        self._client.loop_misc()

    def subscribe(self, filters: Sequence[str]) -> None:
        """All filters in one SUBSCRIBE; those that the broker refuses come to `refused_filters`."""
        self._filters = filters
        if self._v5:  # a command that somebody retained shall show it, also while we are connected
            options = SubscribeOptions(qos=1, retainAsPublished=True)
            self._client.subscribe([(name, options) for name in filters])
        else:
            self._client.subscribe([(name, 1) for name in filters])

    def publish(self, topic: str, message: Message) -> int | None:
        """Write one PUBLISH and return its packet id; None when the connection is gone."""
        properties = None
        if self._v5:
            properties = _publish_properties(message.content_type, message.expiry_s)
        info = self._client.publish(topic, message.payload, message.qos, message.retain, properties)
        return info.mid if info.rc == paho.MQTT_ERR_SUCCESS else None

    @contextmanager
    def one_segment(self) -> Iterator[None]:
        """What is published inside leaves together when it ends: each segment of its own costs its headers."""
        sock: Any = self._client.socket()
        self._cork(sock, held=True)
        try:
            yield
        finally:
            self._cork(sock, held=False)

    @staticmethod
    def _cork(sock: Any, *, held: bool) -> None:
        with suppress(OSError, AttributeError):  # closed, or lost meanwhile
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, held)

    def why_ended(self, host: str, port: int) -> str:
        """One line for people, on a connection to there that ended or is to be given up."""
        where = f"{host}:{port}"
        if self.connack is None:
            if self.alert is not None:
                return session.explain(self.alert, host, port)
            if self.is_open:
                return f"{where} takes connections but does not answer as a broker"
            closed = f"{where} closed the connection before answering"
            return closed + "; it may demand a certificate, and none is configured" * self._bare
        if not self.connack.accepted:
            return f"{where} refuses us: {self.connack.why}"
        if self.ended:
            return f"{where} ended the connection: {self.ended}"
        if self.is_open:
            return f"{where} has acknowledged nothing for {self._timing.ack_s:g} s"
        return f"the connection to {where} was lost"

    def disconnect(self) -> None:
        """Write DISCONNECT, which takes back the will, and close."""
        self._client.disconnect()
        self.abort()

    def abort(self) -> None:
        """Close without a word if the socket still stands; the broker will publish the will."""
        sock: Any = self._client.socket()
        if sock is None:
            return
        self._remember(sock)
        with suppress(OSError):  # the other side may be faster
            sock.shutdown(socket.SHUT_RDWR)
        for _ in range(2 * WINDOW):  # paho closes its socket when it reads the end of the stream
            if self._client.socket() is None:
                return
            self._client.loop_read()
        sock.close()

    # --- paho's callbacks: they only take note -----------------------------------------------------------------------

    def _opened(self, client: paho.Client, _userdata: object, sock: Any) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # an event must not wait for an acknowledgement
        self._traffic.follow(sock)
        delivery = DELIVERY["state"]
        properties = None
        if self._v5:
            properties = _properties(
                PacketTypes.WILLMESSAGE,
                WillDelayInterval=self._timing.will_delay_s,
                MessageExpiryInterval=delivery.expiry_s,
                ContentType=CONTENT_JSON,
            )
        client.will_set(self._will_topic, self._will(), delivery.qos, delivery.retain, properties)

    def _closing(self, _client: paho.Client, _userdata: object, sock: Any) -> None:
        self._remember(sock)
        self._traffic.close()

    def _remember(self, sock: Any) -> None:
        if self._context is not None:
            self._context.remember(sock)

    def _on_connect(self, _client: paho.Client, _userdata: object, flags: Any, reason: Any, properties: Any) -> None:
        self.connack = Connack(
            accepted=reason.value < _REFUSED,
            remembers=bool(flags.session_present),
            credentials=reason.value in _CREDENTIALS,
            why=str(reason).lower(),
            receive_maximum=getattr(properties, "ReceiveMaximum", WINDOW),
            max_packet_bytes=getattr(properties, "MaximumPacketSize", 0),
        )

    def _on_disconnect(
        self, _client: paho.Client, _userdata: object, flags: Any, reason: Any, _properties: object
    ) -> None:
        if flags.is_disconnect_packet_from_server:
            self.ended = str(reason).lower()
        else:
            self.silent = reason.value == _KEEP_ALIVE

    def _on_subscribe(
        self, _client: paho.Client, _userdata: object, _mid: int, reasons: list[Any], _properties: object
    ) -> None:
        answers = zip(self._filters, reasons, strict=False)
        self.refused_filters = [name for name, reason in answers if reason.value >= _REFUSED]

    def _on_publish(self, _client: paho.Client, _userdata: object, mid: int, reason: Any, _properties: object) -> None:
        self.acks.append((mid, reason.value))

    def _on_message(self, _client: paho.Client, _userdata: object, message: paho.MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            topic = None
        properties = message.properties
        self.inbox.append(
            Received(
                topic=topic,
                payload=bytes(message.payload),
                retain=message.retain,
                response_topic=getattr(properties, "ResponseTopic", ""),
                correlation=getattr(properties, "CorrelationData", b""),
                expiry_s=getattr(properties, "MessageExpiryInterval", None),
            )
        )


class _Packed(Properties):
    """Properties that are put into bytes once: paho takes longer for these two than for the whole packet."""

    def pack(self) -> bytes:
        packed: bytes | None = self.__dict__.get("_bytes")
        if packed is None:
            packed = self.__dict__["_bytes"] = super().pack()  # type: ignore[no-untyped-call]  # as below
        return packed


@lru_cache(maxsize=32)  # a life that runs down second by second makes one for each
def _publish_properties(content_type: str, expiry_s: int | None) -> Properties:
    properties = _Packed(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho leaves it unannotated
    properties.ContentType = content_type
    if expiry_s is not None:
        properties.MessageExpiryInterval = expiry_s
    return properties


def _properties(packet_type: int, **values: object) -> Properties:
    """MQTT 5 properties of a packet; a value of None is left out."""
    properties = Properties(packet_type)  # type: ignore[no-untyped-call]  # paho leaves it unannotated
    for name, value in values.items():
        if value is not None:
            setattr(properties, name, value)
    return properties


def packet_bytes(topic: str, payload: bytes, *texts: object) -> int:
    """How long a PUBLISH is that carries these texts and numbers as properties; empty ones and None are left out."""
    rest = 2 + len(topic.encode()) + 2 + 1 + len(payload)
    for value in texts:
        if isinstance(value, str | bytes):
            rest += 3 + len(value) if value else 0
        elif value is not None:
            rest += 5
    return 1 + (1 if rest < 128 else 2 if rest < 16_384 else 3) + rest
