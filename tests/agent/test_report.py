"""report.sock takes counters and short words, and nothing that could be a card."""

from __future__ import annotations

import json
import socket

import pytest

from agent.report import ReportListener, parse
from tests.wait import wait_until


@pytest.mark.parametrize(
    "line",
    [
        b"not json",
        b"[]",
        b"{}",
        b'{"nothing": {"a": 1}}',
        b'{"reader": 4}',
        b'{"reader": {"pan": "4111111111111111"}}',
        b'{"reader": {"pan": 4111111111111111}}',
        b'{"reader": {"track": ";4111111111111111=2512"}}',
        b'{"reader": {"text": "a sentence with spaces"}}',
        b'{"reader": {"x": [1]}}',
        b'{"reader": {"a b": 1}}',
        json.dumps({"reader": {f"n{i}": i for i in range(50)}}).encode(),
    ],
)
def test_what_may_not_be_told_is_refused_without_repeating_it(line):
    with pytest.raises(ValueError) as caught:
        parse(line)
    assert "4111" not in str(caught.value)


def test_counters_become_readings_of_their_unit():
    told = parse(b'{"reader": {"good": 120, "failed": 3}, "firmware": {"update": "failed_dev_ok"}}')
    assert told["reader"]["good"].value == 120
    assert told["firmware"]["update"].value == "failed_dev_ok"


def test_the_listener_survives_everything_and_counts_it(tmp_path):
    heard = []
    listener = ReportListener(tmp_path / "report.sock", lambda source, readings: heard.append((source, dict(readings))))
    listener.start()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as app:
        for datagram in (
            b"",
            b"\xff\x00",
            b"[" * 5000,
            b"x" * 8193,
            b'{"reader": {"good": 1}}\n{"reader": {"good": 2}}',
        ):
            app.sendto(datagram, str(tmp_path / "report.sock"))
    wait_until(lambda: len(heard) == 2)
    listener.close()
    listener.join(20)
    assert not listener.is_alive()
    assert [readings["good"].value for _, readings in heard] == [1, 2]
    assert listener.refused >= 3
    assert not (tmp_path / "report.sock").exists()
