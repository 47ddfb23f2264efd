"""Help codes, read by the decoder that the support center wrote for itself."""

from __future__ import annotations

import re
import string
import zlib
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from agent import report_code
from agent.vocabulary import VOCABULARY
from center.scan import NoReport, Report, decode, verify
from tests.agent.statuses import AT, fault, status

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key().public_bytes_raw()
PAPER = fault("printer/paper_out", paper="out", cover="closed", raw="18000f00")
BROKEN = status(
    fault("modem/sim_absent", sim="absent", rsrp_dbm=-140, ratio=0.123456),
    fault("network/link_down", "modem/sim_absent", link="down", up=False),
    PAPER,
)
CARD = "4111111111111111"
LONG_DIGITS = re.compile(r"\d(?:[ -]?\d){11,}")


def code_of(values: dict[str, Any]) -> str:
    return report_code.encode(values, KEY.sign)


def evidence(report: Report, key: str) -> dict[str, Any]:
    return next(dict(f["evidence"]) for f in report.fields["faults"] if f["fault"] == key)


def test_what_the_terminal_says_is_what_the_center_reads():
    report = decode(code_of(BROKEN))
    assert verify(report, PUBLIC) == "verified"
    assert report.terminal == "demo/till-1"
    fields = report.fields
    assert (fields["boot"], fields["at"], fields["clock"], fields["up_s"]) == (3, AT, "synced", 4000)
    assert fields["case"] == "482-719-365"
    assert fields["verdict"] == {"can_sell": "degraded", "cause": "modem/sim_absent", "act": "merchant", "since": AT}
    assert [(f["fault"], f["cause"], f["first_at"]) for f in fields["faults"]] == [
        ("modem/sim_absent", None, "2026-11-21T10:20:00.000Z"),
        ("printer/paper_out", None, "2026-11-21T10:20:00.000Z"),
        ("network/link_down", "modem/sim_absent", "2026-11-21T10:20:00.000Z"),
    ]
    assert evidence(report, "modem/sim_absent") == {"sim": "absent", "rsrp_dbm": -140, "ratio": 0.123}
    assert evidence(report, "network/link_down") == {"link": "down", "up": False}
    assert fields["devices"] == [
        {"unit": "printer", "model": "TM-T88V", "firmware": "2.04"},
        {"unit": "modem", "model": "EC25", "firmware": "EC25EFAR06A01"},
    ]


def test_a_healthy_terminal_and_an_uncounted_boot():
    report = decode(code_of(status(boot=None)))
    assert report.fields["faults"] == []
    assert report.fields["case"] == ""
    assert report.fields["boot"] is None
    assert report.fields["verdict"]["can_sell"] == "yes"


def test_it_is_of_the_characters_that_a_qr_code_packs_and_nothing_changes_on_the_way():
    code = code_of(BROKEN)
    assert set(code) <= set(string.ascii_uppercase + string.digits + "+-./:")
    assert len(code) < 400


@pytest.mark.parametrize("changed", [str.lower, lambda c: f" see {c[:40]}\n{c[40:]} \n".replace("see ", "")])
def test_lower_case_and_line_breaks_do_no_harm(changed):
    assert verify(decode(changed(code_of(BROKEN))), PUBLIC) == "verified"


def accepted(text: str) -> bool:
    try:
        return verify(decode(text), PUBLIC) != "wrong"
    except NoReport:
        return False


@pytest.mark.parametrize("sign", [KEY.sign, None])
def test_any_changed_or_missing_character_is_noticed(sign):
    code = report_code.encode(BROKEN, sign)
    assert accepted(code)
    for at in range(len(report_code.PREFIX), len(code)):
        for digit in "0Z:":
            assert code[at] == digit or not accepted(code[:at] + digit + code[at + 1 :])
    assert not any(accepted(code[:end]) for end in range(len(code)))


def test_whose_signature_it_is():
    report = decode(code_of(BROKEN))
    other = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    assert verify(report, other) == "wrong"
    assert verify(report, None) == "unknown_key"
    assert verify(decode(report_code.encode(BROKEN, None)), PUBLIC) == "unsigned"


def test_the_signature_covers_every_byte_of_the_content():
    report = decode(code_of(BROKEN))
    for at in range(len(report.signed)):
        changed = bytearray(report.signed)
        changed[at] ^= 1
        assert verify(Report(report.fields, report.signature, bytes(changed)), PUBLIC) == "wrong"


def test_too_much_is_cut_where_it_matters_least_and_said():
    keys = ["power/mains_lost", *(key for key in VOCABULARY if key != "power/mains_lost")]
    everything = [fault(keys[0], voltage="x7q" * 30)] + [
        fault(key, keys[0], **{f"fact_{n}_{key}": f"{n * 7919}-{key}" for n in range(8)}) for key in keys[1:]
    ]
    code = code_of(status(*everything))
    assert len(code) <= report_code.MOST_CHARS
    fields = decode(code).fields
    assert fields["faults"][0]["fault"] == "power/mains_lost"
    assert len(fields["faults"]) + fields["more_faults"] == len(VOCABULARY)


@pytest.mark.parametrize(
    "planted",
    [CARD, "4111 1111 1111 1111", "4111-1111-1111-1111", f"track={CARD}D2612", int(CARD), float(CARD), float("nan")],
)
def test_nothing_as_long_as_a_card_number_gets_in(planted):
    broken = status(fault("reader/read_errors", why=planted, good=120))
    broken["devices"]["printer"]["firmware"] = str(planted)
    report = decode(code_of(broken))
    told = [str(value) for value in evidence(report, "reader/read_errors").values()]
    told += [text for device in report.fields["devices"] for text in device.values()]
    assert not [text for text in told if LONG_DIGITS.search(text)]
    assert "120" in told


@given(st.text(), st.floats(allow_nan=True), st.integers())
def test_any_evidence_makes_a_code_that_can_be_read(text, number, count):
    report = decode(code_of(status(fault("agent/probe_failed", why=text, number=number, count=count))))
    assert set(evidence(report, "agent/probe_failed")) == {"why", "number", "count"}
    assert verify(report, PUBLIC) == "verified"


@given(st.binary(max_size=400))
def test_any_bytes_are_read_or_refused(data):
    try:
        decode(report_code.PREFIX + report_code.to_base41(data))
    except NoReport:
        return
    raise AssertionError("nobody made this report")


@given(st.text())
def test_any_text_is_refused(text):
    with pytest.raises(NoReport):
        decode(text)


def packed(content: bytes) -> str:
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15, zdict=report_code.DICTIONARY)
    body = deflate.compress(content) + deflate.flush()
    return report_code.PREFIX + report_code.to_base41(b"\x00" + zlib.crc32(body).to_bytes(4, "big") + body)


@pytest.mark.parametrize(
    "content",
    [
        b'{"t":"' + b"a" * 900_000 + b'"}',
        b"[" * 9000,
        b"{}",
        b"[]",
        b"3",
        b'{"t":"a/b","b":1,"a":1e99,"c":"synced","v":["no",null,"none",1]}',
        b'{"t":"a/b","b":1,"a":1,"c":"synced","v":["no"]}',
        b'{"t":"a/b","b":1,"a":1,"c":"synced","v":["no",null,"none",1],"f":[["x",null,1,1,7]]}',
        b'{"t":"a/b","b":1,"a":1,"c":"synced","v":["no",null,"none",1],"f":7}',
    ],
)
def test_content_that_no_terminal_makes_is_refused(content):
    with pytest.raises(NoReport):
        decode(packed(content))


def test_what_this_test_packs_can_be_read():
    assert decode(packed(b'{"t":"a/b","b":1,"a":1,"c":"synced","v":["no",null,"none",1]}')).terminal == "a/b"
