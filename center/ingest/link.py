"""One MQTT 5 connection on asyncio: the protocol from the package `mqtt5`, which reads many times faster than others.

Nothing is acknowledged here: who takes messages says when they are safe.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import mqtt5

from agent.wire import MAX_PACKET_BYTES
from center.settings import Settings, SettingsError, broker

KEEP_ALIVE_S: Final = 60
OPEN_S: Final = 15.0
ANSWER_S: Final = 30.0
_FAILURE: Final = 128  # reason codes from here on
_READ_BYTES: Final = 1 << 21  # what comes while a batch is written waits here, not in the kernel
_LARGEST: Final = 4 * MAX_PACKET_BYTES  # what a stranger may send is refused by the reader, with its topic


class LinkError(Exception):
    """Why there is no connection, in one line."""


class Cut(LinkError):
    """The connection ended without a word: the broker died, or somebody else has connected with our client id."""


class Mute(LinkError):
    """The broker took us on and then does not answer."""


class TakenOver(Cut):
    """Somebody else has connected with our client id, as brokers should say; Mosquitto 2.0 and rumqttd do not."""


@dataclass(frozen=True, slots=True)
class Access:
    """Where the broker is and who we are to it."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None
    user: str | None = None
    password: bytes | None = None

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """What the settings say. Raises SettingsError for files that cannot be used."""
        host, port, with_tls = broker(settings.mqtt)
        try:
            password = Path(settings.mqtt_password_file).read_bytes().strip() if settings.mqtt_password_file else None
            tls = _tls(settings) if with_tls else None
        except OSError as error:  # ssl's errors are of this kind too
            raise SettingsError(f"{error.filename or settings.mqtt_certificate_file}: {error.strerror}") from error
        return cls(host, port, tls, settings.mqtt_user or None, password)


def _tls(settings: Settings) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=settings.mqtt_ca_file or None)
    if settings.mqtt_certificate_file:
        context.load_cert_chain(settings.mqtt_certificate_file, settings.mqtt_key_file or None)
    return context


class Link:
    """One connection. Belongs to one task. `session_s` is how long the broker keeps our session without us.

    `anew` has it forget what it kept before.
    """

    def __init__(
        self,
        access: Access,
        client_id: str,
        *,
        session_s: int = 0,
        anew: bool = False,
        will: mqtt5.Will | None = None,
    ) -> None:
        self.client_id = client_id
        self.window = 1
        """How many messages of ours the broker takes without having acknowledged the first."""
        self._access = access
        self._where = f"{access.host}:{access.port}"
        self._session_s = session_s
        self._anew = anew or session_s == 0
        self._will = will
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter | None = None
        self._pinger: asyncio.Task[None] | None = None
        self._rest = b""
        self._early: list[mqtt5.PublishPacket] = []
        self._answers: dict[int, mqtt5.Packet] = {}
        self._last_id = 0

    @property
    def certificate_ends_ms(self) -> int | None:
        """When the certificate ends that the broker showed; None without TLS."""
        shown = None if self._writer is None else self._writer.get_extra_info("peercert")
        return round(ssl.cert_time_to_seconds(shown["notAfter"]) * 1000) if shown else None

    async def open(self) -> bool:
        """Connect. Returns whether the broker had kept our session. Raises LinkError."""
        where = self._where
        try:
            async with asyncio.timeout(OPEN_S):
                self._reader, self._writer = await asyncio.open_connection(
                    self._access.host, self._access.port, ssl=self._access.tls, limit=_READ_BYTES
                )
                self.send(self._connect_packet().write())
                answer = await self._first()
        except TimeoutError:
            raise LinkError(f"no answer from the broker at {where}") from None
        except OSError as error:
            raise LinkError(f"no broker at {where}: {error.strerror or error}") from error
        if not isinstance(answer, mqtt5.ConnAckPacket):
            raise LinkError(f"{where} does not speak MQTT 5")
        if answer.reason_code != mqtt5.ConnAckReasonCode.SUCCESS:
            raise LinkError(f"the broker at {where} refuses us: {_words(answer.reason_code)}")
        self.window = answer.receive_max
        self._pinger = asyncio.create_task(self._ping(answer.server_keep_alive or KEEP_ALIVE_S))
        self._early = self._whole()
        return answer.session_present

    def _connect_packet(self) -> mqtt5.ConnectPacket:
        return mqtt5.ConnectPacket(
            self.client_id,
            username=self._access.user,
            password=self._access.password,
            clean_start=self._anew,
            session_expiry_interval=self._session_s,
            keep_alive=KEEP_ALIVE_S,
            receive_max=65_535,
            max_packet_size=_LARGEST,
            will=self._will,
        )

    async def subscribe(self, filters: Sequence[str]) -> list[str]:
        """Subscribe with QoS 1. Returns the filters that the broker refuses, each with its reason."""
        wanted = [
            mqtt5.TopicFilter(each, max_qos=mqtt5.QoS.AT_LEAST_ONCE, retain_as_published=False) for each in filters
        ]
        number = self._next_id()
        self.send(mqtt5.SubscribePacket(number, wanted).write())
        answer = await self._answer(number)
        if not isinstance(answer, mqtt5.SubAckPacket) or len(answer.reason_codes) != len(filters):
            raise LinkError("the broker answers a subscription wrongly")
        told = zip(filters, answer.reason_codes, strict=True)
        return [f"{each}: {_words(code)}" for each, code in told if int(code) >= _FAILURE]

    async def publish(self, topic: str, payload: bytes, *, retain: bool = False, expiry_s: int | None = None) -> None:
        """Publish with QoS 1 and wait until the broker has it. Raises LinkError."""
        refused = await self.taken(self.post(topic, payload, retain=retain, expiry_s=expiry_s))
        if refused:
            raise LinkError(f"the broker refuses a message on {topic}: {refused}")

    def post(
        self,
        topic: str,
        payload: bytes,
        *,
        retain: bool = False,
        expiry_s: int | None = None,
        response_topic: str | None = None,
        correlation: bytes | None = None,
    ) -> int:
        """Send with QoS 1; the number to ask `taken` for. No more than `window` may be on their way."""
        number = self._next_id()
        packet = mqtt5.PublishPacket(
            topic,
            payload,
            qos=mqtt5.QoS.AT_LEAST_ONCE,
            retain=retain,
            packet_id=number,
            message_expiry_interval=expiry_s,
            response_topic=response_topic,
            correlation_data=correlation,
        )
        self.send(packet.write())
        return number

    async def taken(self, number: int) -> str:
        """Wait for the broker's word on what was posted: why it refuses it, "" if it has it. Raises LinkError."""
        answer = await self._answer(number)
        refused = isinstance(answer, mqtt5.PubAckPacket) and int(answer.reason_code) >= _FAILURE
        return _words(answer.reason_code) if isinstance(answer, mqtt5.PubAckPacket) and refused else ""

    async def receive(self) -> list[mqtt5.PublishPacket]:
        """The next messages, as many as have come; maybe none. Raises LinkError when the connection is lost."""
        if self._early:
            early, self._early = self._early, []
            return early
        return await self._more()

    def acknowledge(self, numbers: Iterable[int]) -> None:
        """Tell the broker that these messages are safe."""
        self.send(b"".join([mqtt5.PubAckPacket(number).write() for number in numbers]))

    def send(self, data: bytes) -> None:
        """Bytes to the broker; nothing when there is no connection any more."""
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(data)

    async def close(self, *, politely: bool = True) -> None:
        """End the connection; without politeness the broker publishes our will."""
        if self._pinger is not None:
            self._pinger.cancel()
            self._pinger = None
        if self._writer is None:
            return
        writer = self._writer
        if politely:
            self.send(mqtt5.DisconnectPacket().write())
        self._writer = None
        writer.close()
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(1):
                await writer.wait_closed()

    # --- packets ----------------------------------------------------------------------------------------------------

    def _next_id(self) -> int:
        self._last_id = self._last_id % 65_535 + 1
        return self._last_id

    async def _answer(self, number: int) -> mqtt5.Packet:
        try:
            async with asyncio.timeout(ANSWER_S):
                while number not in self._answers:
                    self._early += await self._more()
        except TimeoutError:
            raise Mute("the broker does not answer") from None
        return self._answers.pop(number)

    async def _first(self) -> mqtt5.Packet:
        """The first packet of a connection; what comes with it is kept."""
        while True:
            self._rest += await self._bytes()
            with contextlib.suppress(IndexError):
                try:
                    packet, size = mqtt5.read(memoryview(self._rest))
                except ValueError:
                    raise LinkError(f"{self._where} does not speak MQTT 5") from None
                self._rest = self._rest[size:]
                return packet

    async def _bytes(self) -> bytes:
        try:
            async with asyncio.timeout(1.5 * KEEP_ALIVE_S):
                data = await self._reader.read(_READ_BYTES)
        except TimeoutError:
            raise LinkError("the broker has fallen silent") from None
        except OSError as error:
            raise Cut(f"the connection to the broker is lost: {error.strerror or error}") from error
        if not data:
            raise Cut("the broker has closed the connection")
        return data

    async def _more(self) -> list[mqtt5.PublishPacket]:
        self._rest += await self._bytes()
        return self._whole()

    def _whole(self) -> list[mqtt5.PublishPacket]:
        """Take apart what is there as a whole."""
        data = memoryview(self._rest)
        messages: list[mqtt5.PublishPacket] = []
        at = 0
        try:
            while at < len(data):
                packet, size = mqtt5.read(data[at:])
                at += size
                if isinstance(packet, mqtt5.PublishPacket):
                    messages.append(packet)
                else:
                    self._take(packet)
        except IndexError:
            pass  # the rest of it is still on its way
        except ValueError as error:
            raise LinkError(f"the broker speaks no MQTT 5: {error}") from error
        self._rest = self._rest[at:]
        return messages

    def _take(self, packet: mqtt5.Packet) -> None:
        if isinstance(packet, mqtt5.SubAckPacket | mqtt5.PubAckPacket):
            self._answers[packet.packet_id] = packet
        elif isinstance(packet, mqtt5.DisconnectPacket):
            if packet.reason_code == mqtt5.DisconnectReasonCode.SESSION_TAKEN_OVER:
                raise TakenOver(f"somebody else has connected to {self._where} as {self.client_id}")
            raise LinkError(f"the broker ends the connection: {_words(packet.reason_code)}")

    async def _ping(self, keep_alive_s: int) -> None:
        while True:
            await asyncio.sleep(keep_alive_s / 2)
            self.send(mqtt5.PingReqPacket().write())


_Code = mqtt5.ConnAckReasonCode | mqtt5.SubAckReasonCode | mqtt5.PubAckReasonCode | mqtt5.DisconnectReasonCode


def _words(code: _Code) -> str:
    return code.name.lower().replace("_", " ")
