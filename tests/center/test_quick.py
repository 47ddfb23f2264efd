"""The quick look at telemetry agrees with the full one wherever it says anything."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agent import wire
from center.ingest import cards, quick
from tests.center import said

CARD = "4111111111111111"
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=20),
    st.sampled_from([{"error": "no_reply"}, {"error": "9"}, {"a": 1}, [1], CARD, int(CARD), 4.111111111111111e15]),
)
NAMES = st.one_of(st.from_regex(r"[a-z_]{1,6}\.[a-z_0-9]{1,6}", fullmatch=True), st.text(max_size=20), st.just(CARD))
SAMPLES = st.lists(st.tuples(st.integers(-1, 10**10), st.dictionaries(NAMES, VALUES, max_size=4)), max_size=3)


def _agrees(payload: bytes) -> bool:
    """Whether the quick look took it; then the full one must take it too, for the same."""
    told = quick.telemetry(payload)
    if told is None:
        return False
    boot, seq, at_ms, late, samples = told
    message = wire.decode(wire.TelemetryMessage, payload)
    assert (boot, seq, late) == (message.boot, message.seq, message.late)
    assert at_ms == round(wire.epoch(message.at) * 1000)
    assert json.loads(samples) == json.loads(wire.dumps(message.samples))
    assert cards.clean(payload) == (payload, 0)
    json.dumps(json.loads(samples), allow_nan=False)
    return True


@settings(max_examples=120, deadline=None)
@given(samples=SAMPLES, late=st.booleans(), seq=st.integers(-1, 10**19), ascii_only=st.booleans())
def test_of_what_is_written_as_agents_do(samples: Any, late: bool, seq: int, ascii_only: bool) -> None:
    head = {**said.header(), "v": 1, "seq": seq, **({"late": True} if late else {}), "samples": samples}
    _agrees(json.dumps(head, ensure_ascii=ascii_only, separators=(",", ":")).encode("utf-8", "surrogatepass"))


GOOD = said.telemetry(7, (0, {"modem.rsrp_dbm": -97.5, "net.cell": "460-00"}), (5, {"a.b": {"error": "x"}}), late=True)
ANY_BYTE = st.one_of(st.sampled_from(list(b'0123456789-+.eE",:[]{}\\ nft\0')), st.integers(0, 255))


@settings(max_examples=400, deadline=None)
@given(
    changes=st.lists(
        st.tuples(
            st.integers(0, len(GOOD)), st.integers(0, 3), st.binary(max_size=1) | ANY_BYTE.map(lambda b: bytes([b]))
        ),
        min_size=1,
        max_size=3,
    )
)
@example(changes=[(8, 0, b"0")])
def test_of_what_is_broken(changes: list[tuple[int, int, bytes]]) -> None:
    payload = GOOD
    for at, gone, put in changes:
        payload = payload[:at] + put + payload[at + gone :]
    _agrees(payload)


def test_what_agents_send_is_taken_at_once() -> None:
    assert _agrees(GOOD)
    assert _agrees(said.telemetry(1, (0, {"a.b": 12_345, "c.d": "cable", "e_2": True, "f": None}), (10, {}), boot=9))
    assert _agrees(
        said.telemetry(1, (0, {"f.uptime_s": 0.25, "system.load_1m": -3, "modem.clock_source": "network time"}))
    )


@pytest.mark.parametrize(
    "value", [CARD, f"x{CARD}", "4111 1111 1111 1111", int(CARD), float(CARD), -int(CARD), {"error": CARD}, [CARD]]
)
def test_what_may_hold_a_card_number_is_looked_at_in_full(value: Any) -> None:
    assert quick.telemetry(said.telemetry(1, (0, {"a.b": value}))) is None
    assert quick.telemetry(said.telemetry(1, (0, {f"{value}": 1}))) is None


def test_what_is_too_large_is_refused_as_ever() -> None:
    samples = ((0, {f"a{letter}.b": 1 for letter in map("abcdefghijklmnop".__getitem__, [n % 16 for n in range(9)])}),)
    large = said.telemetry(1, *(samples * 1000))
    assert len(large) > wire.MAX_PACKET_BYTES
    assert quick.telemetry(large) is None


@pytest.mark.parametrize("evil", ['"' + "a" * 15_000, "{" + '"a":1,' * 2_000, "[0," * 5_000, '"' + "a1" * 7_000 + "!"])
def test_no_text_takes_long(evil: str) -> None:
    """Nothing in the expression goes back over what it has read."""
    head, tail = re.split(rb'(?<="samples":\[)', said.telemetry(1))
    payload = head + b"[0,{" + evil.encode() + tail
    assert quick.telemetry(payload[: wire.MAX_PACKET_BYTES]) is None
