"""What reads bytes that an outsider can bring, as a table: nearly right pieces to feed it with, and what must hold then.

A target's `take` reads one piece and returns how much in it was good. It lets pass only the errors that the reader's
own documentation names; whatever else it raises is a defect of the reader.
"""

from __future__ import annotations

import contextlib
import inspect
import json
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from sqlalchemy import StaticPool, create_engine, insert

from agent import cards, certificate, packing, report, report_code, wire
from agent.probes import dns, nut
from agent.probes.sntp import parse_reply
from center import scan
from center.db.columns import metadata
from center.db.tables import events
from center.domain import campaigns_readiness, check_output
from center.ingest import gaps, rollup
from center.ingest.reader import COLUMNS, Read, Reader
from center.ledger import Ledger
from center.watch import Fleet
from drivers.reading import Reading
from drivers.redact import Redactor, redact, redact_text
from tests.agent.statuses import fault, status
from tests.fuzz.devices import (
    DECODERS,
    IDENTITIES,
    INSIDE,
    MODEM_FRAMES,
    NOTES,
    Take,
    decoding,
    golden,
    identities,
    inner,
    modem_lines,
    notes,
    within,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One reader. `corpus` holds what it understands; `limit_s` is the processor time that one piece may cost."""

    name: str
    corpus: Sequence[bytes]
    take: Take
    limit_s: float = 0.5


# --- the network ------------------------------------------------------------------------------------------------------

QUERY = dns.encode_query("host.acquirer.test", 4711)
_ADDRESS = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\x7f\x00\x00\x01"
DNS_ANSWERS = [
    QUERY[:2] + b"\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00" + QUERY[12:] + _ADDRESS,
    QUERY[:2] + b"\x81\x83\x00\x01\x00\x00\x00\x00\x00\x00" + QUERY[12:],
    QUERY[:2] + b"\x81\x80\x00\x01\x00\x40\x00\x00\x00\x00" + QUERY[12:] + _ADDRESS * 64,
    QUERY[:2] + b"\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00" + QUERY[12:] + b"\x01a" * 300,
]


def _dns(piece: bytes) -> int:
    good = 0
    for data in (piece, QUERY[:2] + piece[2:], DNS_ANSWERS[0][: len(QUERY)] + piece):
        with contextlib.suppress(dns.NotAnAnswer):
            answer = dns.parse_answer(data, QUERY)
            assert len(answer.addresses) <= 64
            good += bool(answer.addresses)
    return good


_LIST = b'BEGIN LIST VAR ups\nVAR ups battery.charge "42"\nVAR ups ups.status "OB LB \\"x\\""\nEND LIST VAR ups\n'
NUT_LISTS = [
    _LIST,
    b"ERR DATA-STALE\n",
    b"ERR UNKNOWN-UPS\n",
    _LIST.replace(b"42", b"nan"),
    _LIST.replace(b"42", b"1e999"),
]


def _nut(piece: bytes) -> int:
    try:
        readings = nut.readings_of(nut.parse_list(piece, "ups"))
    except nut.NutError:
        return 0
    numbers = [each.value for each in readings.values() if isinstance(each.value, float)]
    assert all(abs(value) < 1e12 for value in numbers), "neither infinite nor no number"
    return readings["mains"].value is not None


NTP_TOKEN = b"12345678"
NTP_REPLY = b"\x24\x02" + bytes(22) + NTP_TOKEN + b"\xe8\x00\x00\x00\x00\x00\x00\x00" * 2


def _ntp(piece: bytes) -> int:
    offset = parse_reply(piece, NTP_TOKEN, 0.0, 0.0)
    assert offset is None or abs(offset) <= 1 << 31
    return offset is not None


def certificates() -> list[bytes]:
    """A server's certificate, in DER and in PEM."""
    from datetime import UTC, datetime, timedelta  # noqa: PLC0415 - only here

    from cryptography import x509  # noqa: PLC0415
    from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "host.acquirer.test")])
    begin = datetime(2026, 11, 1, tzinfo=UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(4711)
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(days=90))
        .sign(key, hashes.SHA256())
    )
    return [made.public_bytes(each) for each in (serialization.Encoding.DER, serialization.Encoding.PEM)]


def _certificate(piece: bytes) -> int:
    good = 0
    for read in (certificate.from_der, certificate.from_pem):
        with contextlib.suppress(certificate.BadCertificate):
            told = read(piece)
            good += bool(told)
    return good


# --- programs at the terminal -----------------------------------------------------------------------------------------

REPORTS = [
    b'{"reader": {"good": 120, "failed": 3, "attempts": 2}}',
    b'{"printer": {"result": "paper_out", "slips": 7}, "modem": {}}',
    b'{"reader": {"good": 4111111111111111}}',
    b'{"reader": {"good": NaN}, "keypad": {"x": -Infinity}}',
    b'{"reader": {"word": "4111-1111-1111-1111"}}',
]


def _report(piece: bytes) -> int:
    good = 0
    for line in piece.splitlines():
        with contextlib.suppress(ValueError):
            for readings in report.parse(line).values():
                good += len(readings)
                for reading in readings.values():
                    assert isinstance(reading, Reading)
                    assert sum(letter.isdigit() for letter in str(reading.value)) <= 20
                    assert isinstance(reading.value, str) or abs(reading.value or 0) < 1e12
    return good


# --- what comes over MQTT ---------------------------------------------------------------------------------------------

COMMAND = {
    "iss": "center",
    "aud": "demo/pos-1",
    "jti": "abcdefgh",
    "nbf": 1_795_000_000,
    "exp": 1_795_000_100,
    "cmd": "check",
    "args": {"level": "internal", "device": "printer"},
    "tier": 0,
}
_HEADER = {"v": 1, "boot": 3, "at": "2026-11-21T12:00:00.000Z", "up_ms": 5000, "clock": "synced"}
_FAULT = {
    "fault": "printer/paper_out",
    "state": "raised",
    "severity": "major",
    "cause": None,
    "symptoms": [],
    "first_at": "2026-11-21T12:00:00.000Z",
    "last_at": "2026-11-21T12:00:00.000Z",
    "count": 1,
    "device": "printer",
    "evidence": {"paper": "out"},
    "advice": "printer.paper_out",
    "act": "merchant",
    "basis": "measured",
}
_VERDICT = {"can_sell": "no", "cause": "printer/paper_out", "act": "merchant", "since": "2026-11-21T12:00:00.000Z"}
_READY = {
    "readiness": {
        "score": 80,
        "ready": True,
        "todo": [{"fault": "a/b", "title": "t", "act": "support"}],
        "unchecked": ["x"],
        "forecast": {"paper_days_left": 4},
    }
}
MESSAGES: dict[str, bytes] = {
    "command": json.dumps(COMMAND).encode(),
    "case": json.dumps({"case": "C-1", "at": "2026-11-21T12:00:00.000Z", "channel": "+44 20 7946 0000"}).encode(),
    "config": json.dumps({"version": "7", "settings": {"power": {"low_percent": 25}}}).encode(),
    "center/c1/state": json.dumps({"status": "online", "inflates": packing.NAME}).encode(),
    "fault/printer/paper_out": json.dumps({**_HEADER, **_FAULT}).encode(),
    "state": json.dumps({**_HEADER, "status": "online", "conn": 2, "reason": "running", "verdict": _VERDICT}).encode(),
    "event": json.dumps(
        {**_HEADER, "seq": 9, "event": "fault.raised", "data": {"fault": "printer/paper_out"}}
    ).encode(),
    "result/abcdefgh": json.dumps(
        {**_HEADER, "seq": 9, "id": "abcdefgh", "state": "succeeded", "output": {"x": 1}}
    ).encode(),
    "telemetry": json.dumps({**_HEADER, "seq": 9, "samples": [[0, {"modem.rsrp_dbm": -97}]]}).encode(),
    "event, a receipt": json.dumps(
        {
            **_HEADER,
            "seq": 9,
            "event": "store.gap",
            "data": {"class": "event", "boot": 1, "first": 2, "last": 4, "n": 3},
        }
    ).encode(),
    "result/abcdefgh of a check": json.dumps(
        {
            **_HEADER,
            "seq": 9,
            "id": "abcdefgh",
            "state": "succeeded",
            "output": {"faults": [{"fault": "a/b"}], **_READY},
        }
    ).encode(),
    "event, unspeakable": rb'{"v":1,"boot":3,"at":"2026-11-21T12:00:00.000Z","up_ms":5,"clock":"synced","seq":9,"event":"a\u0000","data":{"x":"\ud800"}}',
}
KINDS = [
    each
    for _, each in inspect.getmembers(wire, inspect.isclass)
    if each.__module__ == wire.__name__ and each.__name__.endswith(("Message", "Body"))
]


def _messages(piece: bytes) -> int:
    good = 0
    for kind in KINDS:
        with contextlib.suppress(wire.WireError):
            good += wire.decode(kind, piece) is not None
    return good


def _deflated(piece: bytes) -> int:
    """A piece as it came, and one that inflates to it."""
    good = 0
    for data in (piece, packing.deflate(piece, packing.DICTIONARY)[0], zlib.compress(piece * 200)):
        try:
            text = packing.inflate(data)
        except wire.WireError:
            continue
        assert len(text) <= wire.MAX_PACKET_BYTES
        good += 1
    return good


class _Later:
    """What the center makes of such rows afterwards, in a database in memory: sums, receipts, casework, readiness."""

    def __init__(self) -> None:
        self._engine = create_engine("sqlite://", poolclass=StaticPool)
        metadata.create_all(self._engine)

    def take(self, suffix: str, read: Read | None) -> None:
        """Deal with a row, and forget it."""
        if read is None:
            return
        (kind, estate, terminal, _about), _version, values, *_rest = read
        row = dict(zip(COLUMNS[kind], values, strict=True))
        with self._engine.connect() as connection:
            if kind == "telemetry":
                rollup.add(connection, [(estate, terminal, row["at_ms"], json.loads(row["samples"]))])
            elif kind == "event":
                row |= {"event": "store.gap", "data": json.loads(row["data"]), "received_ms": 1}
                connection.execute(insert(events).values(row))
                gaps.look(connection, kind, events.c.received_ms == 1, 1)
            elif kind == "result":
                output = None if row["output"] is None else json.loads(row["output"])
                assert check_output.faults(output) is None or isinstance(output, dict)
                json.dumps(campaigns_readiness.judge(output, {}, None, 7), allow_nan=False)
            connection.rollback()


def _center() -> Take:
    """What the center makes of what a terminal sends: the rows for its database, its live table and its audit."""
    ledger, fleet, reader, later = Ledger(), Fleet(), Reader(), _Later()
    suffixes = (
        "state",
        "fault/printer/paper_out",
        "event",
        "telemetry",
        "result/abcdefgh",
        "health",
        "inventory",
        "x/y",
    )

    def take(piece: bytes) -> int:
        good = 0
        for number, suffix in enumerate(suffixes):
            topic = f"pos/1/demo/{'till-1' if piece[:1] > b'0' else piece[1:40].decode('latin-1')}/{suffix}"
            ledger.take(topic, piece, float(number))
            good += fleet.take(topic, piece) is not None
            with contextlib.suppress(wire.WireError):
                read = reader.read(topic, piece, retained=bool(number % 2), now_ms=1_795_000_000_000)
                texts = [each for each in (read[2] if read else ()) if isinstance(each, str)]
                assert b"\0" not in "".join(texts).encode(), "no database takes that"
                later.take(suffix, read)
                good += read is not None
        json.dumps(ledger.report(100.0))
        fleet.shown()
        return good

    return take


# --- help codes -------------------------------------------------------------------------------------------------------

HELP_STATUS = status(
    fault("modem/sim_absent", sim="absent"), fault("network/link_down", "modem/sim_absent", link="down")
)


def _scan(text: str) -> int:
    try:
        found = scan.decode(text)
    except scan.NoReport:
        return 0
    shown = scan.render(found, scan.verify(found, bytes(32)), 1_795_000_000.0)
    assert len(shown) < 200_000
    json.dumps(found.fields)
    return 1


def _help_content(piece: bytes) -> int:
    """A code whose check sum fits, so that its content is read."""
    packed = zlib.compressobj(9, zlib.DEFLATED, -15, zdict=report_code.DICTIONARY)
    body = packed.compress(piece) + packed.flush()
    data = b"\x00" + zlib.crc32(body).to_bytes(4, "big") + body
    return _scan(report_code.PREFIX + report_code.to_base41(data))


def _help_corpus() -> list[bytes]:
    return [
        json.dumps(report_code.content(HELP_STATUS, most, (3, 2)), separators=(",", ":")).encode()
        for most in (12, 3, 1)
    ]


# --- card data --------------------------------------------------------------------------------------------------------

CARDS = [
    b"4111111111111111",
    b"%B4111111111111111^DOE/JANE^26121010000000000?;4111111111111111=26121010000000000?",
    b"\x70\x20\x57\x13\x41\x11\x11\x11\x11\x11\x11\x11\xd2\x61\x21\x01\x00\x00\x00\x00\x0f\x9f\x1e",
    b'{"a": "4111 1111 1111 1111", "b": [5105105105105100, 1.5, null], "iccid": "8944110000000000000"}',
    "卡号４１１１１１１１１１１１１１１１".encode("gb18030"),
    b"\x02\x0a\x41\x11\x11\x11\x11\x11\x11\x11\x03",
    b"pin block: 041226CBA9876FED",
]


def _filter() -> Take:
    stream = Redactor()

    def take(piece: bytes) -> int:
        safe = stream.feed(piece)
        once = redact(piece)
        assert redact(once) == once
        text = redact_text(piece.decode("utf-8", "replace"))
        cards.clean_json(piece)
        return (b"<pan:" in once) + (b"<" in safe) + ("<track" in text)

    return take


# --- the table --------------------------------------------------------------------------------------------------------


def targets() -> list[Target]:
    """Every reader that needs neither socket nor file, each with a state of its own."""
    found = [
        Target(name=f"codec {name}", corpus=golden(family), take=decoding(make))
        for name, (family, make) in DECODERS.items()
    ]
    found += [
        Target(name=f"codec {name}", corpus=inner(family), take=partial(within, parser))
        for name, (family, parser) in INSIDE.items()
    ]
    answers = {
        "modem lines": (MODEM_FRAMES, modem_lines),
        "identities": (IDENTITIES, identities()),
        "DNS answers": (DNS_ANSWERS, _dns),
        "NUT lists": (NUT_LISTS, _nut),
        "NTP replies": ([NTP_REPLY], _ntp),
        "TLS certificates": (certificates(), _certificate),
        "report.sock lines": (REPORTS, _report),
        "MQTT payloads, validated": (list(MESSAGES.values()), _messages),
        "MQTT payloads, deflated": ([packing.deflate(each)[0] for each in MESSAGES.values()], _deflated),
        "MQTT payloads, the center": (list(MESSAGES.values()), _center()),
        "help codes": ([report_code.encode(HELP_STATUS, None).encode()], lambda piece: _scan(piece.decode("latin-1"))),
        "help codes, their content": (_help_corpus(), _help_content),
        "firmware notes": (NOTES, notes),
    }
    found += [Target(name=name, corpus=corpus, take=take) for name, (corpus, take) in answers.items()]
    # Five passes over 16 KiB that look like nothing but card data.
    return [*found, Target(name="card filter", corpus=CARDS, take=_filter(), limit_s=2.0)]


# --- feeding it -------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Outcome:
    """What became of one target. `slowest_s` is processor time."""

    inputs: int = 0
    fed: int = 0
    good: int = 0
    seconds: float = 0.0
    slowest_s: float = 0.0
    slowest: bytes = b""
    grew_kib: int = 0
    crashes: int = 0
    first: str = ""
    """The first failure and what caused it."""


def feed(target: Target, piece: bytes, outcome: Outcome, clock: Callable[[], float] = time.thread_time) -> None:
    """Have the target take a piece and note what became of it; nothing is raised."""
    began = clock()
    try:
        outcome.good += target.take(piece)
    except Exception as error:  # noqa: BLE001 - what is not documented is what is looked for
        outcome.crashes += 1
        outcome.first = outcome.first or f"{type(error).__name__}: {str(error)[:200]} after {piece[:400]!r}"
    took = clock() - began
    outcome.seconds += took
    outcome.inputs += 1
    outcome.fed += len(piece)
    if took > outcome.slowest_s:
        outcome.slowest_s, outcome.slowest = took, piece
