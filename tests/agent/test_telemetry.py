from __future__ import annotations

import json
import zlib

import pytest

from agent.clock import ManualClock
from agent.config import TelemetryConfig
from agent.packing import deflate
from agent.telemetry import BATCH_BYTES, Telemetry
from agent.wire import CONTENT_DEFLATE, CONTENT_JSON, MAX_PACKET_BYTES, TelemetryMessage, decode, dumps, epoch
from drivers.reading import Cause, Reading, known, unknown

UNITS = {"modem.rsrp_dbm": "dbm", "network.gateway_ms": "ms", "printer.temperature_c": "c"}


@pytest.fixture
def telemetry() -> Telemetry:
    return Telemetry(TelemetryConfig(batch_s=60, heartbeat_s=900), UNITS)


def told(telemetry: Telemetry, device: str, *steps: tuple[float, Reading], name: str) -> list[object]:
    """What was said of one reading offered at several times."""
    for now, reading in steps:
        telemetry.offer(device, {name: reading}, now)
    batch = telemetry.take(1000, 1_800_000_000, 1_000_000)
    return [] if batch is None else [values[f"{device}.{name}"] for _, values in batch["samples"]]


@pytest.mark.parametrize(
    ("device", "name", "values", "expected"),
    [
        ("printer", "paper", ["ok", "ok", "out", "out", "ok"], ["ok", "out", "ok"]),
        ("printer", "online", [True, True, False], [True, False]),
        ("modem", "rsrp_dbm", [-90, -92, -88, -93, -93], [-90, -93]),
        ("modem", "rsrp_dbm", [-90, -91, -92, -93, -94, -95, -96], [-90, -93, -96]),
        ("network", "gateway_ms", [10.0, 25.0, 31.0, 45.0], [10.0, 31.0]),
        ("network", "gateway_ms", [1000.0, 1200.0, 1300.0], [1000.0, 1300.0]),
        ("modem", "count", [1, 2, 3], [1, 2, 3]),
        ("modem", "clock_utc", ["2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z"], ["2026-01-01T00:00:00Z"]),
        ("keypad", "held", ["none", False, 0], ["none", False]),
    ],
)
def test_only_changes_beyond_the_dead_band(
    telemetry: Telemetry, device: str, name: str, values: list, expected: list
) -> None:
    steps = [(float(n), known(value)) for n, value in enumerate(values)]
    assert told(telemetry, device, *steps, name=name) == expected


def test_a_failed_reading_is_data_and_each_cause_another(telemetry: Telemetry) -> None:
    steps = [
        (0.0, known("ok")),
        (1.0, unknown(Cause.NO_REPLY)),
        (2.0, unknown(Cause.NO_REPLY)),
        (3.0, unknown(Cause.PORT_LOST)),
        (4.0, known("ok")),
    ]
    assert told(telemetry, "printer", *steps, name="paper") == [
        "ok",
        {"error": "no_reply"},
        {"error": "port_lost"},
        "ok",
    ]


def test_the_word_of_a_cause_is_not_the_same_as_a_value(telemetry: Telemetry) -> None:
    steps = [(0.0, known("no_reply")), (1.0, unknown("no_reply")), (2.0, known("no_reply"))]
    assert told(telemetry, "x", *steps, name="word") == ["no_reply", {"error": "no_reply"}, "no_reply"]


def test_silence_is_broken_by_the_heartbeat(telemetry: Telemetry) -> None:
    steps = [(float(n), known("ok")) for n in range(0, 2000, 100)]
    assert told(telemetry, "printer", *steps, name="paper") == ["ok"] * 3


def test_a_batch_is_a_message_of_the_contract(telemetry: Telemetry) -> None:
    clock = ManualClock(wall=1_800_000_000.0, up_s=100.0)
    assert telemetry.due_at() is None
    telemetry.offer("printer", {"paper": known("ok"), "cover": known("closed")}, clock.monotonic())
    assert telemetry.due_at() == 160.0
    clock.advance(30.5)
    telemetry.offer("printer", {"paper": known("out"), "cover": known("closed")}, clock.monotonic())
    clock.advance(29.5)
    batch = telemetry.take(clock.monotonic(), clock.wall(), clock.up_ms())
    message = decode(TelemetryMessage, dumps({"v": 1, "boot": 1, "clock": "synced", "seq": 1, **batch}))
    assert epoch(message.at) == 1_800_000_000.0
    assert message.up_ms == 100_000
    assert message.samples == (
        (0, {"printer.paper": "ok", "printer.cover": "closed"}),
        (30500, {"printer.paper": "out"}),
    )
    assert telemetry.take(clock.monotonic(), clock.wall(), clock.up_ms()) is None


def test_a_busy_time_leaves_early_and_fits_a_packet(telemetry: Telemetry) -> None:
    now = 0.0
    while (due := telemetry.due_at()) is None or due > now:
        now += 0.5
        telemetry.offer("printer", {f"reading_number_{n}": known(now + n) for n in range(40)}, now)
    assert now < 60
    batch = telemetry.take(now, 1_800_000_000, 100_000)
    size = len(dumps(batch))
    assert BATCH_BYTES * 0.5 < size < MAX_PACKET_BYTES / 2


def test_everything_is_told_again_on_request(telemetry: Telemetry) -> None:
    telemetry.offer("printer", {"paper": known("ok")}, 0)
    telemetry.repeat_all()
    assert told(telemetry, "printer", (1.0, known("ok")), name="paper") == ["ok", "ok"]


def test_deflate_only_when_it_helps() -> None:
    samples = [[n * 1000, {"modem.rsrp_dbm": -90 - n % 3, "network.gateway_ms": 20 + n}] for n in range(12)]
    payload = json.dumps({"samples": samples}).encode()
    small, kind = deflate(payload)
    assert kind == CONTENT_DEFLATE
    assert len(small) < len(payload) / 3
    assert zlib.decompress(small) == payload
    assert deflate(b"{}") == (b"{}", CONTENT_JSON)
