"""One terminal's connection to the broker: MQTT 5 by the package `mqtt5` on a plain socket, driven by the fleet's loop.

The terminal's side of the contract's session: what is present, then what is new, then what waited, at most so much in
flight; a row is done by its PUBACK alone. A new connection sends again, under a new packet id, what had none.
"""

from __future__ import annotations

import errno
import random
import select
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import mqtt5

from agent import wire
from simulator.fleet_member import Member
from simulator.fleet_outbox import Message
from simulator.loop import Loop

KEEP_ALIVE_S: Final = 60
SESSION_S: Final = 3600
WILL_DELAY_S: Final = 30
ACK_S: Final = 30.0
CONNECT_S: Final = 15.0
STABLE_S: Final = 300.0
FLOOR_S, BASE_S, CAP_S = 1.0, 2.0, 120.0
_RECEIVE_MAXIMUM: Final = 8
_WINDOW: Final = 20
_LIVE_ROOM: Final = 4  # of the window stay free of what waited
_DRAIN_PER_S: Final = 50
_DRAIN_STEP: Final = 5
_FAILURE: Final = 128
_CREDENTIALS: Final = frozenset({0x85, 0x86, 0x87, 0x8A, 0x8C})
_READ_BYTES: Final = 65_536
_ABORT: Final = struct.pack("ii", 1, 0)  # SO_LINGER of no time: the end is a reset


@dataclass(slots=True)
class Tally:
    """Sums over all connections of a fleet."""

    connected: int = 0
    connects: int = 0
    failures: int = 0
    sent: int = 0
    acknowledged: int = 0
    refused: int = 0


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all links of a fleet share. `heard` takes each message from the center."""

    loop: Loop
    address: tuple[str, int]
    tally: Tally
    heard: Callable[[Member, mqtt5.PublishPacket], None]


@dataclass(slots=True)
class _Flying:
    row: int
    at: float


@dataclass(slots=True)
class Link:
    """One member's connection. `wanted` is whether there should be one; while it is, what ends is made again."""

    member: Member
    around: Surroundings
    dice: random.Random
    wanted: bool = False
    up: bool = False
    bytes_sent: dict[str, int] = field(default_factory=dict)
    _sock: socket.socket | None = None
    _in: bytes = b""
    _out: bytearray = field(default_factory=bytearray)
    _flying: dict[int, _Flying] = field(default_factory=dict)
    _last_id: int = 0
    _window: int = _WINDOW
    _failures: int = 0
    _opened_at: float = 0.0
    _written_at: float = 0.0
    _heard_at: float = 0.0
    _pumping: bool = False
    _draining: bool = False
    _leaving: bool = False
    _left: bool = False
    _full: bool = False

    # --- for the fleet

    def want(self, *, after_s: float = 0.0) -> None:
        """Connect, and stay connected."""
        if not self.wanted:
            self.wanted = True
            self._failures = 0
            self.around.loop.after(after_s, self._open)

    def cut(self) -> None:
        """The line is gone; the broker publishes the will."""
        self.wanted = False
        self._close(abort=True)

    def leave(self, farewell: wire.StateMessage) -> None:
        """Send what is new and the last state, then DISCONNECT."""
        self.wanted = False
        if self.up:
            self.pump()
            payload = wire.encode(farewell)
            self._publish(Message("state", payload, True, wire.DELIVERY["state"].expiry_s))
            self._leaving = True
            self._flush()
        else:
            self._close(abort=True)

    @property
    def gone(self) -> bool:
        """Whether nothing stands any more."""
        return self._sock is None

    def pump(self) -> None:
        """Send what may go out now."""
        if not self.up or self._pumping:
            return
        self.member.refresh()
        for message in self.member.outbox.values(self._free()):
            self._publish(message)
        while self._free() and (fresh := self.member.outbox.fresh()) is not None:
            self._publish(fresh)
        if self.member.outbox.draining and not self._draining:
            self._drain()
        self._flush()

    def wake(self) -> None:
        """There is something new. It is sent at the end of this turn of the loop, with all that belongs to it."""
        if self.up and not self._pumping:
            self._pumping = True
            self.around.loop.after(0, self._pump_now)

    def _pump_now(self) -> None:
        self._pumping = False
        self.pump()

    def look(self, now: float) -> None:
        """Give up a connection that has fallen silent, and keep one alive that has nothing to say."""
        if self._sock is None:
            return
        oldest = next(iter(self._flying.values()), None)
        silent = self.up and now - self._heard_at > 2 * KEEP_ALIVE_S
        if silent or (oldest is not None and now - oldest.at > ACK_S) or self._is_late(now):
            self._lost()
        elif self.up and now - self._written_at >= KEEP_ALIVE_S - 5:
            self._out += mqtt5.PingReqPacket().write()
            self._flush()

    def _is_late(self, now: float) -> bool:
        return not self.up and now - self._opened_at > CONNECT_S

    # --- from TCP to CONNACK

    def _open(self) -> None:
        if not self.wanted or self._sock is not None:
            return
        self._opened_at = self.around.loop.now()
        self._leaving = self._left = self._draining = self._full = False
        self._in = b""
        self._out.clear()
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        code = sock.connect_ex(self.around.address)
        if code not in {0, errno.EINPROGRESS}:
            sock.close()
            self._again()
            return
        self._sock = sock
        self.around.loop.watch(sock.fileno(), self._ready, select.EPOLLOUT)

    def _ready(self, events: int) -> None:
        sock = self._sock
        if sock is None:
            return
        if not self._heard_at:
            if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                self._lost()
                return
            self._heard_at = self.around.loop.now()
            self.around.loop.watch(sock.fileno(), self._ready, select.EPOLLIN)
            self._out += self._connect_packet().write()
        if events & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR):
            self._read(sock)
        self._flush()

    def _connect_packet(self) -> mqtt5.ConnectPacket:
        topics, delivery = self.member.topics, wire.DELIVERY["state"]
        will = mqtt5.Will(
            topics.of("state"),
            payload=self.member.will(),
            qos=mqtt5.QoS.AT_LEAST_ONCE,
            retain=delivery.retain,
            message_expiry_interval=delivery.expiry_s,
            content_type=wire.CONTENT_JSON,
            will_delay_interval=WILL_DELAY_S,
        )
        return mqtt5.ConnectPacket(
            topics.terminal,
            keep_alive=KEEP_ALIVE_S,
            session_expiry_interval=SESSION_S,
            receive_max=_RECEIVE_MAXIMUM,
            max_packet_size=wire.MAX_PACKET_BYTES,
            will=will,
        )

    def _welcome(self, answer: mqtt5.ConnAckPacket) -> None:
        if int(answer.reason_code) >= _FAILURE:
            self._failures = 30 if int(answer.reason_code) in _CREDENTIALS else self._failures
            self._lost()
            return
        self.up = True
        self._window = max(1, min(answer.receive_max, _WINDOW))
        self.around.tally.connected += 1
        self.around.tally.connects += 1
        filters = [
            mqtt5.TopicFilter(name, max_qos=mqtt5.QoS.AT_LEAST_ONCE) for name in self.member.topics.subscriptions()
        ]
        self._out += mqtt5.SubscribePacket(self._next_id(), filters).write()
        self.member.online()
        self.pump()

    # --- bytes

    def _read(self, sock: socket.socket) -> None:
        try:
            data = sock.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._lost()
            return
        self._heard_at = self.around.loop.now()
        self._in += data
        view, at = memoryview(self._in), 0
        try:
            while at < len(view) and self._sock is not None:
                packet, size = mqtt5.read(view[at:])
                at += size
                self._take(packet)
        except IndexError:
            pass  # the rest of it is still on its way
        except ValueError:
            self._lost()
        if self._sock is not None:
            self._in = self._in[at:]
            self.pump()

    def _take(self, packet: mqtt5.Packet) -> None:
        if isinstance(packet, mqtt5.PubAckPacket):
            self._acknowledged(packet)
        elif isinstance(packet, mqtt5.PublishPacket):
            if packet.packet_id is not None:
                self._out += mqtt5.PubAckPacket(packet.packet_id).write()
            self.around.heard(self.member, packet)
        elif isinstance(packet, mqtt5.ConnAckPacket):
            self._welcome(packet)
        elif isinstance(packet, mqtt5.DisconnectPacket):
            self._lost()

    def _acknowledged(self, packet: mqtt5.PubAckPacket) -> None:
        flying = self._flying.pop(packet.packet_id, None)
        if flying is None:
            return
        if int(packet.reason_code) >= _FAILURE:
            self.around.tally.refused += 1  # a row stays, for the next connection
            return
        self.around.tally.acknowledged += 1
        if flying.row:
            self.member.outbox.acknowledged(flying.row)

    def _flush(self) -> None:
        sock = self._sock
        if sock is None:
            return
        if self._leaving and not self._flying:
            self._leaving, self._left = False, True
            self._out += mqtt5.DisconnectPacket().write()
        if self._out:
            try:
                sent = sock.send(self._out)
            except BlockingIOError:
                sent = 0
            except OSError:
                self._lost()
                return
            del self._out[:sent]
            self._written_at = self.around.loop.now()
            if bool(self._out) is not self._full:
                self._full = not self._full
                waits = select.EPOLLOUT if self._full else 0
                self.around.loop.watch(sock.fileno(), self._ready, select.EPOLLIN | waits)
        if self._left and not self._out:
            self._close(abort=False)

    # --- sending

    def _free(self) -> int:
        return max(0, self._window - len(self._flying))

    def _drain(self) -> None:
        """Some of what waited, and more of it a little later."""
        self._draining = False
        room = min(_DRAIN_STEP, self._free() - min(_LIVE_ROOM, self._window - 1))
        for _ in range(room if self.up else 0):
            message = self.member.outbox.backlog()
            if message is None:
                return
            self._publish(message)
        if self.up:
            self._draining = True
            self.around.loop.after(_DRAIN_STEP / _DRAIN_PER_S, self._drain_more)

    def _drain_more(self) -> None:
        if self._draining:
            self._drain()
            self._flush()

    def _publish(self, message: Message) -> None:
        number = self._next_id()
        self._flying[number] = _Flying(message.row, self.around.loop.now())
        packet = mqtt5.PublishPacket(
            self.member.topics.of(message.suffix),
            message.payload,
            qos=mqtt5.QoS.AT_LEAST_ONCE,
            retain=message.retain,
            packet_id=number,
            message_expiry_interval=message.expiry_s,
            content_type=message.content_type,
        ).write()
        self._out += packet
        kind = message.suffix.partition("/")[0]
        self.bytes_sent[kind] = self.bytes_sent.get(kind, 0) + len(packet)
        self.around.tally.sent += 1

    def _next_id(self) -> int:
        self._last_id = self._last_id % 65_535 + 1
        return self._last_id

    # --- the end

    def _lost(self) -> None:
        if self._sock is not None:
            self._close(abort=True)
            self._again()

    def _again(self) -> None:
        """Connect later: full jitter, quick again only after a connection that lasted."""
        if not self.wanted:
            return
        self.around.tally.failures += 1
        bound = min(CAP_S, BASE_S * 2 ** min(self._failures, 30))
        floor = CAP_S * 0.75 if self._failures >= 30 else FLOOR_S
        self._failures = min(self._failures + 1, 29)
        self.around.loop.after(self.dice.uniform(floor, bound), self._open)

    def _close(self, *, abort: bool) -> None:
        sock, self._sock = self._sock, None
        if self.up:
            self.around.tally.connected -= 1
            if self.around.loop.now() - self._opened_at >= STABLE_S:
                self._failures = 0
        self.up = False
        self._heard_at = 0.0
        self._flying.clear()
        self._draining = False
        if sock is not None:
            self.around.loop.forget(sock.fileno())
            if abort:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
            sock.close()
