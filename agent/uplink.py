"""The agent's side of the broker: one thread that connects, receives, sends what waits, and comes back."""

from __future__ import annotations

import logging
import os
import ssl
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from agent import session
from agent.budget import Budget
from agent.clock import Clock
from agent.config import MqttConfig
from agent.credentials import Credentials
from agent.mqtt import BrokerClient, Connack, Incoming, Received, incoming_of, packet_bytes
from agent.outbox import Outbox
from agent.packing import DICTIONARY
from agent.sender import Message, Retained, Sender
from agent.store import Store
from agent.wire import DELIVERY, Topics, timestamp

log = logging.getLogger("posdiag.uplink")

TICK_S: Final = 5.0  # at least so often the keep-alive, the store and the stop order are looked after
LIVE_QUEUE: Final = 32  # samples of a live session; older ones are worth nothing
_KEPT: Final = "keep_alive_s"
KEPT_CONTACT: Final = "last_contact"

__all__ = ["Incoming", "StatePayload", "Uplink"]
StatePayload = Callable[[int, str, str], bytes]


class Uplink:
    """Delivers the outbox and the present values, and hands on what comes down.

    `on_message` runs on the uplink's thread and must return at once. `state_payload(conn, status, reason)` makes the
    message of topic `state` for status "online" or "offline", there too. Public methods are for any thread.
    """

    def __init__(
        self,
        config: MqttConfig,
        topics: Topics,
        *,
        store: Store,
        outbox: Outbox,
        clock: Clock,
        on_message: Callable[[Incoming], None],
        state_payload: StatePayload,
        timing: session.Timing | None = None,
        budget: Budget | None = None,
    ) -> None:
        self.last_error = ""
        self.turned_at = clock.monotonic()
        """When the thread last went round; it never rests long, but may be looking up a name."""
        self.contact_at = float(store.get(KEPT_CONTACT) or 0)
        """Wall-clock seconds of the last PUBACK, 0 for none; whoever writes to the store anyway keeps it there."""
        self._config = config
        self._topics = topics
        self._store = store
        self._outbox = outbox
        self._clock = clock
        self._on_message = on_message
        self._state_payload = state_payload
        self._timing = timing or session.TIMINGS[config.link]
        self._backoff = session.Backoff(self._timing)
        self._host, self._port, self._tls = session.parse_url(config.url)
        self._credentials = Credentials(config, clock.monotonic) if self._tls else None
        self._traffic = session.Traffic()
        self._budget = budget or Budget(0, "", clock.wall)
        self._keep_alive = session.KeepAlive(self._timing, store.get(_KEPT))
        self._retained = Retained(clock)
        self._live: deque[bytes] = deque(maxlen=LIVE_QUEUE)
        self._wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._wake_lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._hurry = threading.Event()
        self._dictionary = b""
        self._stop_reason = ""
        self._stop_by = float("inf")
        self._state_due = False
        self._sender: Sender | None = None
        self._conn = self._connects = self._attempts = self._refused = 0
        self._since = self._retry_at = 0.0
        self._refused_filters: list[str] = []
        outbox.wake = self.kick

    # --- for other threads -------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the thread, or start it again should it have died."""
        if not self.is_alive():
            self._thread = threading.Thread(target=self._main, name="uplink", daemon=True)
            self._thread.start()

    def stop(self, reason: str, timeout_s: float = 5.0) -> bool:
        """Send what is new, say offline with the reason, wait for the PUBACK, disconnect. Whether it ended in time."""
        self._stop_reason = reason
        self._stop_by = self._clock.monotonic() + timeout_s * 0.8
        self._stopping.set()
        self._hurry.set()
        self.kick()
        if self._thread is not None:  # without a broker nothing is to be said, and an attempt on its way may hang
            self._thread.join(timeout_s if self.connected else timeout_s / 3)
        if self.is_alive():
            return False
        with self._wake_lock:
            if self._wake_fd >= 0:
                os.close(self._wake_fd)
            self._wake_fd = -1
        return True

    def kick(self) -> None:
        """There is something new to send."""
        with self._wake_lock:
            if self._wake_fd >= 0:
                os.eventfd_write(self._wake_fd, 1)

    def publish_retained(self, suffix: str, payload: bytes, kind: str) -> None:
        """Replace a present value; sent now, or when connected. `kind` is a key of `wire.DELIVERY`."""
        self._retained.set(suffix, payload, kind)
        self.kick()

    def clear_retained(self, suffix: str, kind: str) -> None:
        """Make the broker forget a present value."""
        self._retained.set(suffix, b"", kind)
        self.kick()

    def refresh_state(self) -> None:
        """The verdict changed: ask `state_payload` again and send what it says."""
        self._state_due = True
        self.kick()

    def resend(self) -> None:
        """Give all present values to the broker again."""
        self._retained.mark()
        self.refresh_state()

    def publish_live(self, payload: bytes) -> bool:
        """Send one sample of a live session, at most once; whether there is a connection to send it on."""
        if not self.connected:
            return False
        self._live.append(payload)
        self.kick()
        return True

    def pack(self, *, wanted: bool) -> None:
        """All centers that are online can (or not all any more can) read messages made with the dictionary."""
        dictionary = DICTIONARY if wanted and self._timing.gather_s and self._config.protocol == "5" else b""
        if self._dictionary and not dictionary:
            self.resend()  # what the broker keeps must be readable for the newcomer
        self._dictionary = dictionary

    def hurry(self) -> None:
        """The network came back: end a wait between attempts now."""
        self._hurry.set()

    @property
    def connected(self) -> bool:
        """Whether the broker has accepted us and the connection still stands, as far as is known."""
        return self._sender is not None

    def is_alive(self) -> bool:
        """Whether the thread runs; `start` begins a new one."""
        return self._thread is not None and self._thread.is_alive()

    def traffic(self) -> dict[str, int]:
        """Sums since the start as `Budget.meter` takes them."""
        sent, received = self._traffic.totals()
        return {"sent": sent, "received": received, "headers": self._traffic.headers()}

    def status(self) -> dict[str, Any]:
        """What people and the health message want to know. Bytes are since the start, TLS included."""
        sender = self._sender
        sent, received = self._traffic.totals()
        return {
            "connected": sender is not None,
            "since": timestamp(self._since) if sender else None,
            "last_contact": timestamp(self.contact_at) if self.contact_at else None,
            "conn": self._conn,
            "attempts": self._attempts,
            "connects": self._connects,
            "last_error": self.last_error,
            "retry_in_s": None if sender else max(0.0, round(self._retry_at - self._clock.monotonic(), 1)),
            "in_flight": sender.in_flight if sender else 0,
            "draining": sender.draining if sender else False,
            "refused": self._refused + (sender.refused if sender else 0),
            "refused_filters": list(self._refused_filters),
            "bytes_sent": sent,
            "bytes_received": received,
        }

    # --- the thread --------------------------------------------------------------------------------------------------

    def _main(self) -> None:
        while not self._stopping.is_set():
            began, credentials = self._clock.monotonic(), False
            try:
                credentials = self._connection()
            except Exception as error:
                self.last_error = f"mistake in the uplink: {type(error).__name__}: {error}"
                log.exception("the connection was given up")
            if not self._stopping.is_set():
                self._backoff.connected_for(self._clock.monotonic() - began)
                self._pause(self._backoff.next_s(refused=credentials))

    def _pause(self, seconds: float) -> None:
        self._retry_at = self._clock.monotonic() + seconds
        while (left := self._retry_at - self._clock.monotonic()) > 0:
            self.turned_at = self._clock.monotonic()
            if self._hurry.wait(min(left, TICK_S)):
                break
            self._outbox.tick()
        self._hurry.clear()

    def _connection(self) -> bool:
        """One connection from TCP to its end. Returns whether the broker refused who we are."""
        self._attempts += 1
        try:
            client = BrokerClient(
                self._config,
                self._topics.terminal,
                self._timing,
                self._traffic,
                self._credentials.context() if self._credentials else None,
                will_topic=self._topics.of("state"),
                will=self._next_will,
            )
            client.connect(self._host, self._port)
        except (OSError, ValueError) as error:
            why = session.explain(error, self._host, self._port)
            self._failed(why)
            if isinstance(error, ssl.SSLError | ConnectionResetError):
                self._doubt_certificate(error, why)
            return False
        try:
            return self._serve(client)
        finally:
            sender, self._sender = self._sender, None
            if sender is not None:
                self._refused += sender.refused
                sender.close()
            client.abort()

    def _next_will(self) -> bytes:
        self._conn = self._store.bump("conn")
        return self._state_payload(self._conn, "offline", "connection_lost")

    def _failed(self, why: str) -> None:
        if why != self.last_error:
            log.warning("not connected: %s", why)
        self.last_error = why

    def _serve(self, client: BrokerClient) -> bool:
        """Run the connection until it ends. Returns whether the broker refused who we are."""
        connack_by = self._clock.monotonic() + self._timing.connect_s
        going = True
        while going and client.is_open and not self._renews():
            client.step(self._idle_s(), self._wake_fd)
            while client.inbox:
                self._hand_on(client.inbox.popleft())
            self.turned_at = self._clock.monotonic()
            if self._sender is not None:
                if client.woken and self._timing.gather_s:
                    self._stopping.wait(self._timing.gather_s)
                going = self._work(client, self._sender)
            elif client.connack is None:
                going = not self._stopping.is_set() and self._clock.monotonic() <= connack_by
            elif client.connack.accepted:
                going = self._welcome(client, client.connack)
            else:
                going = False
        renews = going and client.is_open
        if not self._stopping.is_set() and not renews:
            self._failed(client.why_ended(self._host, self._port))
            if self._sender is None:
                self._doubt_certificate(client.alert, self.last_error)
            if client.silent or (self._sender is not None and client.is_open):
                self._keep_alive.lost(self._clock.monotonic())
                self._store.keep("kv", {_KEPT: str(self._keep_alive)}, now=False)
        return client.connack is not None and client.connack.credentials

    def _renews(self) -> bool:
        """Whether to connect anew, now, because a renewed certificate has come."""
        if self._sender is None or self._credentials is None or not self._credentials.due():
            return False
        log.info("a renewed certificate waits: connecting anew with it")
        self._hurry.set()
        return True

    def _doubt_certificate(self, error: Exception | None, why: str) -> None:
        """The broker was reached and did not accept us: if that was a renewed certificate, back to the old one, now."""
        about_theirs = isinstance(error, ssl.SSLCertVerificationError)
        if self._credentials and not about_theirs and self._credentials.failed(why):
            self._hurry.set()

    def _idle_s(self) -> float:
        """How long nothing needs doing unless the socket or another thread says otherwise."""
        idle_s = min(TICK_S, self._keep_alive.now_s / 4, self._timing.connect_s, self._timing.ack_s / 4)
        if self._sender is not None:
            idle_s = min(idle_s, max(0.0, self._sender.due_at() - self._clock.monotonic()))
        return idle_s

    def _welcome(self, client: BrokerClient, connack: Connack) -> bool:
        """The broker accepted us: subscribe, then present values, then whatever waits. As `_work`."""
        self._connects += 1
        if self._credentials:
            self._credentials.accepted()
        self._hurry.clear()
        self._since = self._clock.wall()
        self.last_error = ""
        log.info("connected to %s:%d as %s, connection %d", self._host, self._port, self._topics.terminal, self._conn)
        client.subscribe(self._topics.subscriptions())
        self._keep_alive.began(self._clock.monotonic())
        if connack.remembers and self._timing.gather_s:
            self._retained.mark_unheard()  # on a line that is paid for the rest is more than a day's telemetry
        else:
            self._retained.mark()
        self._state_due = True
        self._sender = Sender(
            self._outbox,
            self._retained,
            self._clock,
            lambda message: self._publish(client, message),
            window=connack.receive_maximum,
            max_bytes=connack.max_packet_bytes,
            drain_per_s=self._timing.drain_per_s,
            may_deflate=self._config.protocol == "5",
            toll=self._budget,
        )
        return self._work(client, self._sender)

    def _publish(self, client: BrokerClient, message: Message) -> int | None:
        topic = self._topics.of(message.suffix)
        properties = (message.content_type, message.expiry_s) if self._config.protocol == "5" else ()
        self._budget.paid(message.suffix, packet_bytes(topic, message.payload, *properties))
        return client.publish(topic, message)

    def _work(self, client: BrokerClient, sender: Sender) -> bool:
        """Note what was acknowledged and send what may go out. False when the connection is to be given up."""
        self._note_acks(client, sender)
        if self._state_due:
            self._state_due = False
            self._retained.set("state", self._state_payload(self._conn, "online", ""), "state")
        sender.dictionary = self._dictionary
        while self._live:
            sample = Message("live", self._live.popleft(), 0, False, DELIVERY["live"].expiry_s)
            if self._budget.allows("live", sample.payload):
                self._publish(client, sample)
        if self._timing.gather_s:
            with client.one_segment():
                sender.pump()
            self._keep_alive.works(self._clock.monotonic())
            client.ping_every(self._keep_alive.now_s)
        else:
            sender.pump()
        self._outbox.tick()
        if client.refused_filters != self._refused_filters:
            self._refused_filters = client.refused_filters
            log.error("the broker refuses subscriptions: %s", ", ".join(self._refused_filters) or "none any more")
        if self._stopping.is_set():
            self._say_goodbye(client, sender)
            return False
        return sender.waited_s() <= self._timing.ack_s

    def _note_acks(self, client: BrokerClient, sender: Sender) -> None:
        if client.acks:
            self.contact_at = self._clock.wall()
        while client.acks:
            sender.acknowledged(*client.acks.popleft())

    def _say_goodbye(self, client: BrokerClient, sender: Sender) -> None:
        """What is new, then offline with the reason, each acknowledged while there is time; then DISCONNECT."""
        sender.stop_draining()
        state = DELIVERY["state"]
        offline = self._state_payload(self._conn, "offline", self._stop_reason)
        for farewell in (None, Message("state", offline, state.qos, state.retain, state.expiry_s)):
            if farewell is not None:
                sender.send(farewell)
            while sender.in_flight and client.is_open and self._clock.monotonic() < self._stop_by:
                client.step(0.1, self._wake_fd)
                self._note_acks(client, sender)
                if farewell is None:
                    sender.pump()
        client.disconnect()

    def _hand_on(self, received: Received) -> None:
        if received.topic is None:
            log.warning("a message on a topic that is not UTF-8 was dropped")
            return
        self._budget.received(received.packet_bytes)
        incoming = incoming_of(received.topic, received, self._topics)
        try:
            self._on_message(incoming)
        except Exception:
            log.exception("a message on %s could not be handled", incoming.suffix)
