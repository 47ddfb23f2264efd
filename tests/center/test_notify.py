"""Who is told what and when: by channels and webhooks, at least once, and not in the middle of the night."""

from __future__ import annotations

import hashlib
import hmac
import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from center.db import tables
from center.db.engine import Database, insert_ignore
from center.domain import posts
from center.notify import channel_urls, rules
from center.notify import delivery as delivery_module
from center.notify.delivery import BULK_ROWS, CLAIM_MS, MOST_ATTEMPTS, Delivery
from tests.center.fleet_rows import NOW, case, put

HOUR_MS = 3_600_000
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")  # Apprise imports it


class Receiver(ThreadingHTTPServer):
    """Takes POSTs; `status` is what it answers."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Take)
        self.status = 200
        self.takes_s = 0.0
        self.got: list[tuple[Any, bytes]] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}/hook"


class _Take(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.got.append((self.headers, body))
        threading.Event().wait(self.server.takes_s)
        self.send_response(self.server.status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


class Mailbox(socketserver.ThreadingTCPServer):
    """As much of SMTP (RFC 5321) as a sender asks for."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Talk)
        self.mails: list[tuple[list[str], Any]] = []
        self.refuses = ""
        """A receiver that nobody knows."""


class _Talk(socketserver.StreamRequestHandler):
    server: Mailbox

    def handle(self) -> None:
        self.wfile.write(b"220 here\r\n")
        to: list[str] = []
        while line := self.rfile.readline():
            verb = line[:4].upper()
            if verb == b"RCPT":
                to.append(line.partition(b"<")[2].partition(b">")[0].decode())
                if to[-1] == self.server.refuses:
                    self.wfile.write(b"550 no such mailbox here\r\n")
                    continue
            if verb == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                lines = []
                while (line := self.rfile.readline()) not in {b".\r\n", b""}:
                    lines.append(line)
                self.server.mails.append((to, message_from_bytes(b"".join(lines), policy=policy.default)))
                to = []
            self.wfile.write(b"221 bye\r\n" if verb == b"QUIT" else b"250 fine\r\n")
            if verb == b"QUIT":
                return


@contextmanager
def serving(server: Any) -> Iterator[Any]:
    """The server, while it serves in a thread of its own."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with serving(Receiver()) as server:
        yield server


def _post(database: Database, key: str, event: str = "case.opened", *, bulk: bool = False, **facts: Any) -> None:
    facts = {"estate": "e"} | facts
    row = posts.notify(key, event, NOW, subject=f"subject {key}", body=f"body {key}", facts=facts, bulk=bulk)
    with database.begin() as connection:
        insert_ignore(connection, tables.outbox, [row])


def _hook(database: Database, url: str, **choice: Any) -> None:
    chosen = {"events": ["case.*"], "estates": None} | choice
    put(database, tables.webhooks, id="hook-1", url=url, secret="s3cret", filter=chosen, state="active", created_ms=NOW)


def _channel(database: Database, url: str, **more: Any) -> None:
    values = {"id": "chan-1", "name": "desk", "url": url, "events": ["*"], "filter": {}, "created_ms": NOW} | more
    with database.begin() as connection:
        connection.execute(insert(tables.channels).values(values))


def _states(database: Database, kind: str) -> list[tuple[str, int]]:
    with database.read() as connection:
        rows = connection.execute(
            select(tables.outbox).where(tables.outbox.c.kind == kind).order_by(tables.outbox.c.id)
        )
        return [(row.state, row.attempts) for row in rows]


def test_a_webhook_is_told_once_and_can_prove_who_told_it(database: Database, receiver: Receiver) -> None:
    _hook(database, receiver.url)
    _post(database, "a", severity="major", to=[{"phone": "1555"}])
    _post(database, "b", event="incident.opened")
    _post(database, "c", estate="f")
    delivery = Delivery(database)
    for _ in range(3):
        delivery.step(NOW)
    assert [headers["x-posdiag-delivery"] for headers, _ in receiver.got] == ["a>hook-1", "c>hook-1"]
    headers, body = receiver.got[0]
    told = json.loads(body)
    assert (told["event"], told["subject"], told["severity"]) == ("case.opened", "subject a", "major")
    assert "to" not in told
    at_s, _, digest = headers["x-posdiag-signature"].removeprefix("t=").partition(",v1=")
    assert hmac.new(b"s3cret", f"{at_s}.".encode() + body, hashlib.sha256).hexdigest() == digest
    assert _states(database, "notify") == [("done", 0)] * 3
    assert _states(database, "webhook") == [("done", 1)] * 2


def test_a_receiver_that_fails_is_told_later_and_at_last_no_more(database: Database, receiver: Receiver) -> None:
    _hook(database, receiver.url)
    _post(database, "a")
    delivery, at_ms = Delivery(database), NOW
    receiver.status = 503
    for _ in range(MOST_ATTEMPTS + 2):
        delivery.step(at_ms)
        delivery.step(at_ms + 1000)  # not before its time
        at_ms += HOUR_MS
    assert len(receiver.got) == MOST_ATTEMPTS
    assert _states(database, "webhook") == [("failed", MOST_ATTEMPTS)]


def test_a_receiver_that_is_gone_for_good_is_left_alone(database: Database, receiver: Receiver) -> None:
    _hook(database, receiver.url)
    receiver.status = 410
    _post(database, "a")
    Delivery(database).step(NOW)
    _post(database, "b")
    Delivery(database).step(NOW)
    assert len(receiver.got) == 1
    assert _states(database, "webhook") == [("failed", 1)]


def test_what_was_claimed_by_a_process_that_was_killed_is_sent_again(database: Database, receiver: Receiver) -> None:
    _hook(database, receiver.url)
    _post(database, "a")
    delivery = Delivery(database)
    delivery._share_out(NOW)
    assert len(delivery._claim(NOW)) == 1  # … and here it is killed
    Delivery(database).step(NOW + 1000)
    assert receiver.got == []
    Delivery(database).step(NOW + CLAIM_MS)
    assert [headers["x-posdiag-delivery"] for headers, _ in receiver.got] == ["a>hook-1"]


def test_mail_goes_out_as_one_for_what_comes_together(database: Database) -> None:
    with serving(Mailbox()) as box:
        port = box.server_address[1]
        _channel(database, f"mailto://127.0.0.1:{port}?from=a@example.org&to=desk@example.org", filter={"group_s": 60})
        for key in "abc":
            _post(database, key, severity="major" if key == "b" else "minor")
        delivery = Delivery(database)
        delivery.step(NOW)
        assert box.mails == []
        delivery.step(NOW + 60_000)
        delivery.step(NOW + 120_000)
        ((to, mail),) = box.mails
    assert to == ["desk@example.org"]
    assert mail["subject"] == "3 × posdiag: subject b"
    with database.read() as connection:
        (row,) = connection.execute(select(tables.notifications)).all()
    assert (row.channel, row.state, row.data) == ("desk", "sent", {"keys": ["a>chan-1", "b>chan-1", "c>chan-1"]})


def test_contacts_that_a_message_names_are_told_by_the_channel_for_them(database: Database) -> None:
    with serving(Mailbox()) as box:
        _channel(database, f"mailto://127.0.0.1:{box.server_address[1]}?from=a@example.org&to={{to}}")
        _post(database, "a")
        _post(database, "b", event="case.message", to=[{"mail": "shop@example.org"}, {"phone": "1555"}])
        Delivery(database).step(NOW)
        assert [to for to, _ in box.mails] == [["shop@example.org"]]


def test_an_alarm_does_not_wait_for_a_broadcast_through_a_slow_channel(
    database: Database, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery_module, "BULK_S", 0.5)
    _channel(database, receiver.url.replace("http://", "json://") + "/{to}", id="shops", events=["broadcast.*"])
    _channel(database, receiver.url.replace("http://", "json://"), id="desk", events=["incident.*"])
    for number in range(60):
        _post(database, f"cast-{number}", "broadcast.message", bulk=True, to=[{"phone": "15551230000"}])
    receiver.takes_s = 0.2
    delivery = Delivery(database)
    assert delivery.step(NOW), "there is more"
    before = len(receiver.got)
    assert 0 < before <= 4, "a turn ends in time, however slow the channel is"
    _post(database, "fire", "incident.opened", severity="critical")
    delivery.step(NOW)
    told = [json.loads(body)["title"] for _, body in receiver.got]
    assert told[before] == "subject fire"
    assert len(told) == len(set(told)), "nobody is told twice"
    assert _states(database, "channel").count(("waiting", 0)) == 61 - len(told), "and the others wait as before"


def test_a_turn_takes_only_some_of_a_broadcast(database: Database, receiver: Receiver) -> None:
    _channel(database, receiver.url.replace("http://", "json://") + "/{to}")
    for number in range(BULK_ROWS + 1):
        _post(database, f"cast-{number}", "broadcast.message", bulk=True, to=[{"phone": "15551230000"}])
    Delivery(database).step(NOW)
    assert len(receiver.got) == BULK_ROWS


def test_an_escalation_is_dropped_once_somebody_took_it_on(database: Database, receiver: Receiver) -> None:
    json_url = receiver.url.replace("http://", "json://")
    _channel(database, json_url, escalation={"after_min": 30})
    put(database, tables.cases, **case(1))
    put(database, tables.cases, **case(2))
    _post(database, "a", case_id="case-00000001")
    _post(database, "b", case_id="case-00000002")
    delivery = Delivery(database)
    delivery.step(NOW)
    assert receiver.got == []
    with database.begin() as connection:
        taken = update(tables.cases).where(tables.cases.c.number == 1001).values(state="acknowledged")
        connection.execute(taken)
    delivery.step(NOW + 30 * 60_000)
    assert [json.loads(body)["title"] for _, body in receiver.got] == ["subject b"]
    assert _states(database, "channel") == [("moot", 0), ("done", 1)]


@pytest.mark.parametrize(
    ("at", "until"),
    [(20, None), (22, 9), (23, 8), (3, 4), (6, 1), (7, None), (12, None)],
)
def test_quiet_hours_end_in_the_morning_of_their_zone(at: int, until: int | None) -> None:
    quiet = {"from": "22:00", "until": "07:00", "timezone": "Asia/Shanghai"}
    midnight = 1_789_920_000_000  # 2026-09-21 00:00 in Shanghai
    found = rules.quiet_until_ms(quiet, midnight + at * HOUR_MS)
    assert found == (None if until is None else midnight + (at + until) * HOUR_MS)


def test_what_is_critical_waits_for_nothing() -> None:
    quiet = {"from": "00:00", "until": "23:59", "timezone": "UTC"}
    for severity, waits in (("critical", False), ("major", True)):
        due = rules.due_ms({"severity": severity}, {"group_s": 60}, quiet, None, NOW)
        assert (due > NOW) == waits


def test_addresses_of_channels_are_checked_without_being_shown() -> None:
    good = ("mailto://u:p@example.org", "wecombot://00000000-0000-0000-0000-000000000000", "json://h/{to}")
    assert [channel_urls.problem(url) for url in good] == [""] * 3
    problem = channel_urls.problem("nonsense://user:hunter2@h")
    assert problem
    assert "hunter2" not in problem
