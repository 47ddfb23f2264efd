"""The stream of changes: in order, resumable, inside the scope, for many at once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from sqlalchemy import delete

from center.access.scope import Scope
from center.api import stream
from center.db import feed, tables
from center.db.engine import Database
from tests.center.asking import Api, Asker, asking
from tests.center.fleet_rows import NOW, fill


@pytest.fixture
def api(database: Database) -> Iterator[Api]:
    fill(database, 8)
    with asking(database) as running:
        yield running


def _tell(api: Api, *changes: tuple[str, str | None, str]) -> None:
    with api.database.begin() as connection:
        feed.append(connection, [(kind, "e", terminal, key) for kind, terminal, key in changes], NOW)


@contextmanager
def _listening(asks: Asker, **more: Any) -> Iterator[Iterator[dict[str, str]]]:
    headers = asks.headers | more.pop("headers", {})
    timeout = httpx.Timeout(30)
    with asks.client.stream("GET", "/api/v1/stream", headers=headers, params=more, timeout=timeout) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield _events(answer.iter_lines())


def _events(lines: Iterator[str]) -> Iterator[dict[str, str]]:
    told: dict[str, str] = {}
    for line in lines:
        if not line:
            if told:
                yield told
            told = {}
        elif line.startswith(":"):
            yield {"comment": line}
        else:
            name, _, value = line.partition(": ")
            told[name] = value


def test_what_changes_comes_at_once_and_says_what_to_read(api: Api) -> None:
    asks = api.asks("viewer")
    with _listening(asks) as events:
        assert "id" in next(events)
        _tell(api, ("fault", "t000000", "printer/paper_out"), ("case", None, "case-00000000"))
        first, second = next(events), next(events)
    data = json.loads(first["data"])
    assert (first["event"], data["fault"], data["terminal"]) == ("fault", "printer/paper_out", "t000000")
    assert asks.get(f"faults/{data['id']}")["state"] == "raised"
    assert asks.get(f"cases/{json.loads(second['data'])['id']}")
    assert int(second["id"]) == int(first["id"]) + 1


def test_who_comes_back_with_the_last_id_misses_nothing(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though who follows the feed for all has not read as far as that yet."""
    monkeypatch.setattr(stream, "_PAUSE_S", 0.3)
    asks = api.asks("viewer")
    with _listening(asks, after=0) as events:
        next(events)
        _tell(api, ("fault", "t000001", "printer/0"))
        assert next(events)["id"] == "1"
    _tell(api, *(("fault", "t000001", f"printer/{n}") for n in range(1, 5)))
    for headers, params in (({"last-event-id": "2"}, {}), ({}, {"after": 2})):
        with _listening(asks, headers=headers, **params) as events:
            next(events)
            assert [int(next(events)["id"]) for _ in range(3)] == [3, 4, 5]


def test_many_lines_come_in_order_and_once(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "_KEPT", 50)
    monkeypatch.setattr(stream, "_PAGE", 30)
    with _listening(api.asks("viewer")) as events, _listening(api.asks("viewer"), after=0) as others:
        next(events), next(others)
        for start in range(0, 300, 20):
            _tell(api, *(("event", "t000001", str(start + n)) for n in range(20)))
        assert [int(next(events)["id"]) for _ in range(300)] == list(range(1, 301))
        assert [int(next(others)["id"]) for _ in range(300)] == list(range(1, 301))


def test_who_comes_back_too_late_is_told_to_read_anew(api: Api) -> None:
    _tell(api, *(("fault", "t000001", f"printer/{n}") for n in range(5)))
    with api.database.begin() as connection:
        connection.execute(delete(tables.changes).where(tables.changes.c.id < 4))
    for last in ("1", "999"):
        with _listening(api.asks("viewer"), headers={"last-event-id": last}) as events:
            next(events)
            assert next(events)["event"] == "reset"


def test_only_what_is_inside_the_scope_comes(api: Api) -> None:
    north = api.asks("viewer", Scope(regions=("north",)))
    with _listening(north) as events:
        next(events)
        _tell(api, ("fault", "t000001", "a/b"), ("fault", "t000004", "a/b"), ("incident", None, "inc-00000005"))
        _tell(api, ("case", None, "case-00000005"), ("campaign", None, "c"), ("incident", None, "inc-00000000"))
        assert [json.loads(next(events)["data"])["key"] for _ in range(2)] == ["a/b", "inc-00000000"]


def test_kinds_are_chosen_and_silence_is_filled(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "BEAT_S", 0.05)
    with _listening(api.asks("viewer"), kinds="case,incident") as events:
        next(events)
        assert "comment" in next(events)
        _tell(api, ("fault", "t000001", "a/b"), ("case", None, "case-00000000"))
        told = next(event for event in events if "event" in event)
        assert told["event"] == "case"


def test_a_stream_ends_after_a_while_so_that_rights_are_asked_again(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "RENEW_S", 0.0)
    with _listening(api.asks("viewer")) as events:
        assert len(list(events)) == 1
    assert api.client.get("/api/v1/stream").status_code == 401
