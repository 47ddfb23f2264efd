from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

import mqtt5
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from agent import packing
from center.db import feed
from center.db.engine import Database
from center.db.places import set_places
from center.db.tables import events, faults, quarantine, results, telemetry, terminals
from center.ingest.batch import Batch
from center.ingest.reader import Reader
from center.ingest.writer import Writer
from tests.center import said

BASE = "pos/1/e/t"
NOW = said.AT_MS + 500


class Ingest:
    """Messages in, rows out."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.reader = Reader()
        self.writer = Writer(database)
        self.now_ms = NOW

    def __call__(self, *messages: tuple[str, bytes], retained: bool = False, base: str = BASE) -> None:
        """Take them in as one batch."""
        batch = Batch()
        packets = [mqtt5.PublishPacket(f"{base}/{topic}", payload, retain=retained) for topic, payload in messages]
        batch.take(self.reader, packets, self.now_ms)
        self.now_ms += 1
        self.writer.write(batch, lambda: self.now_ms)

    def rows(self, table: Any, *names: str) -> list[tuple[Any, ...]]:
        columns = [table.c[name] for name in names]
        with self.database.read() as connection:
            return [tuple(row) for row in connection.execute(select(*columns).order_by(*columns[:1]))]

    def one(self, *names: str) -> tuple[Any, ...]:
        (row,) = self.rows(terminals, *names)
        return row

    def fed(self) -> list[tuple[str, str]]:
        with self.database.read() as connection:
            return [(change.kind, change.key) for change in feed.after(connection, 0)]

    def why(self) -> list[str]:
        with self.database.read() as connection:
            return list(connection.execute(select(quarantine.c.why).order_by(quarantine.c.id)).scalars())


@pytest.fixture
def ingest(database: Database) -> Iterator[Ingest]:
    ingest = Ingest(database)
    yield ingest
    ingest.writer.close()


def test_each_topic_finds_its_place(ingest: Ingest) -> None:
    ingest(
        ("state", said.state()),
        ("inventory", said.inventory()),
        ("fault/printer/paper_out", said.fault()),
        ("faults", said.digest("printer/paper_out")),
        ("event", said.event(1, data=said.body("printer/paper_out"))),
        ("telemetry", said.telemetry(1)),
        ("result/cmd-00000001", said.result(1, "cmd-00000001", output={"verdict": "ok"})),
    )
    assert ingest.one("status", "can_sell", "model", "language", "last_contact_ms") == (
        "online",
        "yes",
        "TM-T20",
        "zh",
        ingest.now_ms,
    )
    since_ms, digest = ingest.one("since_ms", "digest")
    assert (since_ms, digest["faults"]) == (said.AT_MS, ["printer/paper_out"])
    assert ingest.rows(faults, "fault", "state", "first_ms", "evidence") == [
        ("printer/paper_out", "raised", said.AT_MS, {"paper": "out"})
    ]
    assert ingest.rows(events, "seq", "event", "late") == [(1, "fault.raised", False)]
    assert ingest.rows(telemetry, "seq", "samples") == [(1, [[0, {"modem.rsrp_dbm": -97}]])]
    assert ingest.rows(results, "command_id", "state", "output") == [("cmd-00000001", "succeeded", {"verdict": "ok"})]
    ((event_id,),) = ingest.rows(events, "id")
    assert ingest.fed() == [
        *(("terminal", part) for part in ("state", "inventory", "digest")),
        *[("fault", "printer/paper_out"), ("event", str(event_id)), ("result", "cmd-00000001")],
    ]
    assert ingest.why() == []


def test_what_comes_again_changes_nothing(ingest: Ingest) -> None:
    messages = (
        ("state", said.state()),
        ("fault/printer/paper_out", said.fault()),
        ("event", said.event(1)),
        ("telemetry", said.telemetry(1)),
        ("result/cmd-00000001", said.result(1, "cmd-00000001")),
    )
    ingest(*messages)
    before = ingest.fed()
    ingest(*messages)
    ingest(*messages, *messages)
    assert ingest.fed() == before
    assert [len(ingest.rows(table, "seq")) for table in (events, telemetry, results)] == [1, 1, 1]
    assert (ingest.writer.counts.stored, ingest.writer.counts.duplicates) == (3, 9)


def test_the_newest_fault_wins_in_any_order(ingest: Ingest) -> None:
    story = [
        said.fault(told="raised", boot=1, up_ms=10),
        said.fault(told="cleared", boot=1, up_ms=20),
        said.fault(told="flapping", boot=2, up_ms=5),
    ]
    for number, order in enumerate(itertools.permutations(story)):
        for payload in order:
            ingest(("fault/printer/paper_out", payload), base=f"pos/1/e/t{number}")
        ingest(*(("fault/printer/paper_out", payload) for payload in order), base=f"pos/1/e/u{number}")
    assert {row[1] for row in ingest.rows(faults, "terminal", "state")} == {"flapping"}
    assert len(ingest.rows(faults, "terminal")) == 12


def test_a_late_will_does_not_take_a_terminal_offline_that_is_back(ingest: Ingest) -> None:
    ingest(("state", said.state(conn=7, up_ms=100)))
    ingest(("state", said.state(conn=8, up_ms=900)))
    ingest(("state", said.will(conn=7, up_ms=90)))
    assert ingest.one("status", "conn", "will_at_ms") == ("online", 8, None)
    ingest(("state", said.will(conn=8, up_ms=800)))
    assert ingest.one("status", "reason", "conn") == ("offline", "connection_lost", 8)
    assert ingest.one("will_at_ms")[0] is not None


def test_a_will_is_no_sign_of_life(ingest: Ingest) -> None:
    ingest(("state", said.state()))
    (before,) = ingest.one("last_contact_ms")
    ingest.now_ms += 3_600_000
    ingest(("state", said.will()))
    assert ingest.one("status", "last_contact_ms") == ("offline", before)


def test_a_retained_state_is_a_sign_of_life_from_when_it_was_said(ingest: Ingest) -> None:
    ingest.now_ms += 3_600_000
    ingest(("state", said.state(clock="synced")), retained=True)
    assert ingest.one("last_contact_ms") == (said.AT_MS,)


def test_a_retained_state_with_a_wrong_clock_says_nothing_about_when(ingest: Ingest) -> None:
    ingest(("state", said.state(clock="unset")), retained=True)
    assert ingest.one("status", "last_contact_ms", "clock_ms") == ("online", None, None)


def test_any_message_of_its_own_is_a_sign_of_life_and_late_ones_are_told_apart(ingest: Ingest) -> None:
    ingest(("telemetry", said.telemetry(1)))
    assert ingest.one("last_contact_ms", "late_ms", "status") == (NOW + 1, None, None)
    ingest.now_ms += 60_000
    ingest(("telemetry", said.telemetry(2, late=True)))
    contact_ms, late_ms = ingest.one("last_contact_ms", "late_ms")
    assert contact_ms == late_ms == NOW + 60_002


def test_a_terminal_that_was_set_up_anew_is_believed_by_its_clock(ingest: Ingest) -> None:
    ingest(("state", said.state(boot=57, conn=900)), ("inventory", said.inventory("old", boot=57)))
    ingest(("fault/printer/paper_out", said.fault(told="raised", boot=57)))
    ingest(("state", said.state(boot=1, conn=1, at_ms=said.AT_MS - 1, reason="older")))
    assert ingest.one("boot") == (57,)
    day = said.AT_MS + 86_400_000
    ingest(
        ("state", said.state(boot=1, conn=1, at_ms=day)),
        ("inventory", said.inventory("new", boot=1, at_ms=day)),
        ("fault/printer/paper_out", said.fault(told="cleared", boot=1, at_ms=day)),
    )
    assert ingest.one("boot", "conn", "model") == (1, 1, "new")
    assert ingest.rows(faults, "state", "boot") == [("cleared", 1)]


def test_a_clock_that_is_not_trusted_does_not_undo_a_newer_boot(ingest: Ingest) -> None:
    ingest(("state", said.state(boot=57)))
    ingest(("state", said.state(boot=1, at_ms=said.AT_MS + 86_400_000, clock="rtc")))
    assert ingest.one("boot") == (57,)


def test_a_fault_that_a_newer_digest_does_not_name_is_cleared(ingest: Ingest) -> None:
    for key in ("printer/paper_out", "printer/cover_open", "modem/no_data"):
        ingest((f"fault/{key}", said.fault(key, up_ms=1000)))
    ingest(("fault/modem/no_data", said.fault("modem/no_data", up_ms=59_000)))
    ingest(("faults", said.digest("printer/cover_open", up_ms=60_000)))
    assert ingest.rows(faults, "fault", "state") == [
        ("modem/no_data", "raised"),  # told within the margin: it may be in no digest yet
        ("printer/cover_open", "raised"),
        ("printer/paper_out", "cleared"),
    ]
    assert ingest.fed()[-1] == ("fault", "printer/paper_out")
    ingest(("faults", said.digest(up_ms=100)))
    assert ("printer/cover_open", "raised") in ingest.rows(faults, "fault", "state")


def test_a_digest_of_one_terminal_says_nothing_of_another(ingest: Ingest) -> None:
    ingest(("fault/printer/paper_out", said.fault()), base="pos/1/e/other")
    ingest(("faults", said.digest(up_ms=600_000)))
    assert ingest.rows(faults, "terminal", "state") == [("other", "raised")]


def test_a_terminal_stands_where_its_operator_says(ingest: Ingest) -> None:
    with ingest.database.begin() as connection:
        set_places(connection, [{"estate": "e", "terminal": "t", "site": "s1", "operator": "46000"}], NOW)
    ingest(("telemetry", said.telemetry(1)))
    ingest(("state", said.state()), ("state", said.state()), base="pos/1/e/nowhere")
    assert ingest.rows(terminals, "terminal", "site", "operator") == [("nowhere", None, None), ("t", "s1", "46000")]
    with ingest.database.begin() as connection:
        set_places(connection, [{"estate": "e", "terminal": "t", "site": "s2"}], NOW)
    ingest(("state", said.state()))
    assert ingest.rows(terminals, "terminal", "site", "operator") == [("nowhere", None, None), ("t", "s2", None)]
    assert ("terminal", "place") in ingest.fed()


def test_deflated_messages_are_read(ingest: Ingest) -> None:
    small, _kind = packing.deflate(said.fault(), packing.DICTIONARY)
    ingest(("fault/printer/paper_out", small))
    assert ingest.rows(faults, "state") == [("raised",)]


@pytest.mark.parametrize(
    ("topic", "payload", "why"),
    [
        ("event", b"", "an empty payload"),
        ("event", b"{", "not a EventMessage"),
        ("event", b"\xff\xfe", "not deflated"),
        ("event", said.event(0), "a seq that cannot be"),
        ("event", said.event(2**62 + 1), "a seq that cannot be"),
        ("event", said.event(2**70), "a whole number of more than 64 bits"),
        ("event", said.event(1, boot=-1), "a boot or up_ms that cannot be"),
        ("event", said.event(1).replace(b'"v":1', b'"v":2'), "v: "),
        ("event", said.event(1, at_ms=0).replace(b"1970-01-01", b"1970-13-01"), "not a time"),
        ("telemetry", said.telemetry(1).replace(b"-97", b"NaN"), "a number that is none"),
        ("telemetry", b"[" * 9000, "not"),
        ("telemetry", said.telemetry(1, (0, {"x": "y" * 17_000})), "more than 16384"),
        ("fault/printer/cover_open", said.fault("printer/paper_out"), "another fault than its topic says"),
        ("result/cmd-00000002", said.result(1, "cmd-00000001"), "another command"),
        ("state", said.state(conn=-1), "a conn that cannot be"),
        ("secrets", b"{}", "not a topic that a terminal speaks on"),
        ("event/more/and/more", b"{}", "not a topic"),
    ],
)
def test_what_is_not_of_the_contract_is_put_aside(ingest: Ingest, topic: str, payload: bytes, why: str) -> None:
    ingest((topic, payload), ("state", said.state()))
    (told,) = ingest.why()
    assert why in told
    assert "\n" not in told
    ((head, size),) = ingest.rows(quarantine, "head", "size")
    assert (bytes(head), size) == (payload[:256].decode("utf-8", "replace").encode()[:256], len(payload))
    assert ingest.one("status") == ("online",)


def test_nobody_is_called_all(ingest: Ingest) -> None:
    ingest(("state", said.state()), base="pos/1/e/all")
    assert ingest.why() == ["no terminal is called all"]


def test_a_deleted_retained_message_says_nothing(ingest: Ingest) -> None:
    ingest(("fault/printer/paper_out", said.fault()))
    ingest(("fault/printer/paper_out", b""))
    assert ingest.rows(faults, "state") == [("raised",)]
    assert (ingest.why(), ingest.writer.counts.deleted) == ([], 1)


@pytest.mark.parametrize(
    "number",
    [
        "4111111111111111",
        "5555 5555 5555 4444",
        "3782-822463-10005",
        "6222021234567890128"[:19],
        "４１１１１１１１１１１１１１１１",
    ],
)
def test_no_card_number_gets_in(ingest: Ingest, number: str) -> None:
    plain = "".join(str(int(c)) for c in number if c.isdecimal())
    check = next(d for d in "0123456789" if _luhn(plain[:-1] + d))
    number = number[:-1] + (check if number.isascii() else number[-1])
    escaped = json.dumps({"note": f"x{number}y"}).replace("1", "\\u0031").encode()
    ingest(
        ("fault/printer/paper_out", said.fault(evidence={"note": number, number: 1, "deep": [{"a": f"%B{number}^X"}]})),
        ("event", said.event(1, data={"text": f"card {number} read"})),
        ("telemetry", said.telemetry(1, (0, {"reader.track": int(plain[:-1] + check)}))),
        ("event", said.event(2).replace(b'"data":{}', b'"data":' + escaped)),
        ("event", f"{number} is no JSON".encode()),
    )
    stored = json.dumps(
        [
            ingest.rows(faults, "fault", "evidence"),
            ingest.rows(events, "seq", "data"),
            ingest.rows(telemetry, "seq", "samples"),
        ],
        ensure_ascii=False,
    ) + "".join(bytes(head).decode() for (head,) in ingest.rows(quarantine, "head"))
    digits = "".join(str(int(c)) for c in stored if c.isdecimal())
    assert number not in stored
    assert plain[:-1] + check not in digits
    assert stored.count("<pan:") >= 6
    assert ingest.writer.counts.card_numbers >= 5


def _luhn(digits: str) -> bool:
    doubled = [int(d) * (1 + place % 2) for place, d in enumerate(reversed(digits))]
    return sum(d - 9 if d > 9 else d for d in doubled) % 10 == 0


def test_numbers_that_are_no_cards_stay(ingest: Ingest) -> None:
    data = {
        "iccid": "89860318760112345678",
        "imei": "490154203237518",
        "at_ms": 1_790_000_000_123,
        "hash": "4111111111111111abcdef0123456789",
        "ratio": 0.4111111111111111,
        "times": ["2026-11-21 23:59:59", "2026-11-21T23:59:59.123Z"],
    }
    ingest(("event", said.event(1, data=data)))
    assert ingest.rows(events, "seq", "data") == [(1, data)]


def test_odd_characters_are_stored_in_both_databases(ingest: Ingest) -> None:
    odd = "a\tb\nc\\N\\.\r\"'\u2028 \0 甲"
    ingest(
        ("event", said.event(1, name="device.swapped", data={"text": odd})),
        (
            "result/cmd-00000001",
            said.result(1, "cmd-00000001").replace(b'"error":""', b'"error":' + json.dumps(odd).encode()),
        ),
    )
    safe = odd.replace("\0", "\N{REPLACEMENT CHARACTER}")  # PostgreSQL keeps a NUL in JSON and then cannot look into it
    assert ingest.rows(events, "seq", "data") == [(1, {"text": safe})]
    assert ingest.rows(results, "error") == [(safe,)]
    assert ingest.why() == []


_REAL = said.telemetry(1, (0, {"x": 1.5}))
_IMPOSSIBLE = {
    "a sample in the far future": ("telemetry", said.telemetry(1, (10**30, {"x": 1}))),
    "a sample in a day": ("telemetry", said.telemetry(1, (86_400_001, {"x": 1}))),
    "a sample before its message": ("telemetry", said.telemetry(1, (-1, {"x": 1}))),
    "an infinite value": ("telemetry", _REAL.replace(b"1.5", b"1e999")),
    "a value of 400 digits": ("telemetry", _REAL.replace(b"1.5", b"9" * 400)),
    "a value of 65 bits": ("telemetry", _REAL.replace(b"1.5", b"9223372036854775808")),
    "no number": ("telemetry", _REAL.replace(b"1.5", b"NaN")),
    "an infinite reading": ("fault/printer/paper_out", said.fault(evidence={"n": 1}).replace(b'"n":1', b'"n":-1e400')),
    "a moment before all clocks": ("telemetry", _REAL.replace(b'"2026-', b'"1969-')),
    "a moment in the year 10000": ("event", said.event(1).replace(b'"2026-09-21T', b'"9999-12-31T')),
    "the end of time in a verdict": ("state", said.state().replace(b'"since":"2026-', b'"since":"9999-')),
    "half a character": ("event", said.event(1, data={"x": "y"}).replace(b'"y"', rb'"\ud800"')),
    "a name longer than an index takes": ("event", said.event(1, "n" * 201)),
}


@pytest.mark.parametrize("topic_and_payload", _IMPOSSIBLE.values(), ids=_IMPOSSIBLE)
def test_what_no_column_can_hold_is_refused(ingest: Ingest, topic_and_payload: tuple[str, bytes]) -> None:
    ingest(topic_and_payload, ("event", said.event(2)))
    assert len(ingest.why()) == 1
    assert ingest.rows(events, "seq") == [(2,)]
    assert ingest.rows(telemetry, "seq") == []


def test_the_most_that_can_be_is_taken(ingest: Ingest) -> None:
    data = {"largest": 2**63 - 1, "smallest": -(2**63), "real": 1e300, "iccid": "8944110000000000000", "\\u0000": 0}
    ingest(("telemetry", said.telemetry(1, (86_400_000, {"x": 1}))), ("event", said.event(1, "n" * 200, data)))
    assert ingest.why() == []
    assert ingest.rows(events, "seq", "data") == [(1, data)]


def test_a_batch_of_thousands(ingest: Ingest) -> None:
    ingest(*(("telemetry", said.telemetry(number)) for number in range(1, 3001)))
    ingest(*(("event", said.event(number)) for number in range(1, 1400)))
    with ingest.database.read() as connection:
        counted = [
            connection.execute(select(func.count()).select_from(table)).scalar() for table in (telemetry, events)
        ]
    assert counted == [3000, 1399]
    assert [int(key) for _kind, key in ingest.fed()[-3:]] == sorted(int(key) for _kind, key in ingest.fed()[-3:])


def test_a_batch_that_fails_leaves_nothing_and_can_be_written_again(
    ingest: Ingest, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError

    batch = Batch()
    batch.add(ingest.reader, f"{BASE}/event", said.event(1), retained=False, now_ms=NOW)
    with monkeypatch.context() as patch:
        patch.setattr(ingest.writer, "_tell", fail)
        with pytest.raises(RuntimeError):
            ingest.writer.write(batch)
    assert ingest.rows(events, "seq") == []
    ingest.writer.write(batch)
    assert ingest.rows(events, "seq") == [(1,)]
    assert ingest.writer.counts.stored == 1


@settings(max_examples=60, deadline=None)
@given(
    topic=st.sampled_from(["state", "event", "fault/printer/paper_out", "telemetry", "faults"]),
    payload=st.binary(max_size=200),
)
def test_any_bytes_at_all(topic: str, payload: bytes) -> None:
    batch = Batch()
    batch.add(Reader(), f"{BASE}/{topic}", payload, retained=False, now_ms=NOW)
    assert batch.messages == 1
    assert len(batch.refused) + batch.deleted == 1


@settings(max_examples=40, deadline=None)
@given(
    payload=st.sampled_from([said.state(), said.fault(), said.event(1), said.telemetry(1)]),
    cut=st.integers(0, 400),
    byte=st.integers(0, 255),
)
def test_damaged_messages(payload: bytes, cut: int, byte: int) -> None:
    damaged = bytearray(payload)
    damaged[cut % len(damaged)] = byte
    for topic in ("state", "event", "fault/printer/paper_out", "telemetry"):
        batch = Batch()
        batch.add(Reader(), f"{BASE}/{topic}", bytes(damaged), retained=False, now_ms=NOW)
        assert batch.messages == 1
