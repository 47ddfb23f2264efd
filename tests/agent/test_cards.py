"""What leaves the agent is cleaned as values, and what is clean already is not touched."""

from __future__ import annotations

import io
import json
import logging
import time

import pytest

from agent.cards import CleanReadings, LogFilter, clean, clean_identity, clean_json, clean_readings
from drivers.reading import Identity, known

PAN = "4111111111111111"


def test_values_keep_their_shape():
    told = {
        "text": f"card {PAN}",
        "list": [1, "ok", int(PAN)],
        "n": {PAN: 1},
        "free_bytes": 2_000_000_000_001,
        "yes": True,
    }
    assert clean(told) == {
        "text": "card <pan:16>", "list": [1, "ok", "<pan:16>"], "n": {"<pan:16>": 1}, "free_bytes": 2_000_000_000_001, "yes": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("value", "left"),
    [(float(PAN), "<pan:16>"), (411111111111.1111, "<pan:16>"), (0.4111111111111111, 0.41), (1.25, 1.25)],
)
def test_numbers_with_decimals(value: float, left: object):
    assert clean(value) == left


def test_declared_numbers_stay_where_they_are_declared_and_have_their_shape():
    assert clean({"modem.iccid": "89860025128306012470", "imei": "490154203237518"}) == {
        "modem.iccid": "89860025128306012470",
        "imei": "490154203237518",
    }
    assert clean({"iccid": PAN, "serial": "490154203237518"}) == {"iccid": "<pan:16>", "serial": "<pan:15>"}


def test_a_healthy_message_is_passed_on_as_it_is_and_soon():
    payload = json.dumps(
        {
            "at": "2026-11-21T22:08:41.123Z",
            "samples": [[0, {f"printer.r{n}": "ok", f"n{n}": n * 997}] for n in range(60)],
        }
    ).encode()
    assert clean_json(payload) is payload
    started = time.process_time()
    for _ in range(200):
        clean_json(payload)
    assert (time.process_time() - started) / 200 < 0.002


def test_json_that_is_none_is_cleaned_as_text():
    assert clean_json(b"{card " + PAN.encode()) == b"{card <pan:16>"


def test_readings_that_come_again_are_clean_again_and_others_are_looked_at():
    clean_of = CleanReadings().of
    good, bad = {"paper": known("ok", b"\x12")}, {"paper": known(PAN)}
    assert clean_of("printer", good) is good
    for _ in range(2):
        assert clean_of("printer", good) is good
        assert clean_of("printer", bad)["paper"].value == "<pan:16>"
    assert clean_of("printer", {**good, "text": known(f"x{PAN}")})["text"].value == "x<pan:16>"
    assert known(PAN) is not known(PAN), "what may be a card number is not kept to be the same object"
    assert known("ok", b"\x12") is known("ok", b"\x12")
    assert (known(1).value is True, known(True).value is True) == (False, True)


def test_readings_and_identity():
    clean_ones = {"paper": known("ok", b"\x12")}
    assert clean_readings(clean_ones) is clean_ones
    dirty = clean_readings({"text": known(f"x{PAN}"), "reply": known("bad", bytes.fromhex(PAN)), PAN: known(1)})
    assert [(name, reading.value, reading.raw) for name, reading in dirty.items()] == [
        ("text", "x<pan:16>", ""), ("reply", "bad", "<pan:16>"), ("<pan:16>", 1, ""),
    ]  # fmt: skip
    assert clean_identity(Identity(model="M", serial=PAN, extra={"a": PAN})) == Identity(
        model="M", serial="<pan:16>", extra={"a": "<pan:16>"}
    )


@pytest.mark.parametrize("filtered", [True, False])
def test_log_lines_and_tracebacks(filtered: bool):
    """Without the filter both are there, so the test would find them."""
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    log = logging.getLogger(f"cards.{filtered}")
    log.propagate = False
    log.addHandler(handler)
    if filtered:
        handler.addFilter(LogFilter())
    try:
        int(f"bad reply {bytes.fromhex(PAN)!r} and {PAN}")
    except ValueError:
        log.exception("device said %s", PAN)
    assert (PAN in out.getvalue()) is not filtered
    assert ("x11" in out.getvalue()) is not filtered
    assert ("<pan:16>" in out.getvalue()) is filtered
    assert "Traceback" in out.getvalue()
