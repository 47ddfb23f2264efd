"""Messages a second from a broker into the database: read, validated, merged and on disk before each is acknowledged.

The broker is a peer in a process of its own that has all packets ready and keeps to the receive maximum, so that what
is measured is the worker alone.
"""

from __future__ import annotations

import os
import random
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import mqtt5
import psutil
from sqlalchemy import func
from sqlalchemy import select as sql_select

from center.db.engine import Database
from center.db.tables import events, faults, telemetry, terminals
from tests.bench.figure import Effort, Figure, Told
from tests.bench.ground import scratch
from tests.center import said
from tests.center.postgres import PROGRAMS, Postgres

_MESSAGES = 200_000
_TERMINALS = 10_000
_WINDOW = 60_000
_KEPT = (
    ("state", said.state()),
    ("inventory", said.inventory()),
    ("fault/printer/paper_out", said.fault()),
    ("faults", said.digest("printer/paper_out")),
)
_DAY = ("telemetry",) * 47 + ("event", "fault", "state")
"""An ordinary day: telemetry each minute, and of each terminal a fault or two in an hour that comes and goes."""
_STORM = ("telemetry",) * 7 + ("event", "fault", "state")
_MIXES = {"day": _DAY, "storm": _STORM}


def _mix(name: str) -> str:
    kinds = _MIXES[name]
    rest = 100 // len(kinds)
    return f"{kinds.count('telemetry') * rest} % telemetry of two samples, {rest} % each events, faults and states"


def run(effort: Effort) -> Told:
    """All figures; about a minute."""
    count = int(effort.of(_MESSAGES, _MESSAGES / 4))
    with scratch() as folder:
        name = "SQLite, synchronous FULL"
        yield from _figures("sqlite", name, f"sqlite:///{folder}/center.db", count, "≥ 40,000", folder)
        yield from _figures("sqlite.storm", name, f"sqlite:///{folder}/storm.db", count, "", folder)
        yield _restart(f"sqlite:///{folder}/restarted.db", folder)
        if not PROGRAMS:
            yield Figure("ingest.postgresql", "one worker into PostgreSQL", None, how="PostgreSQL is not installed")
            return
        server, name = Postgres(durable=True), "PostgreSQL, fsync on"
        try:
            yield from _figures("postgresql", name, server.url(server.create()), count, "≥ 20,000", folder)
            yield from _figures("postgresql.storm", name, server.url(server.create()), count, "", folder)
        finally:
            server.stop()


def _figures(key: str, name: str, url: str, count: int, goal: str, folder: Path) -> Told:
    mix = "storm" if key.endswith("storm") else "day"
    with _peer(count, mix) as (peer, port), _worker(url, port, folder) as worker:
        assert peer.stdout is not None
        peer.stdout.readline()
        before_s = _cpu_s(worker)
        seconds = float(peer.stdout.readline())
        used_s = _cpu_s(worker) - before_s
    _check(url, count, mix)
    how = f"{count:,} messages of {_TERMINALS:,} terminals ({_mix(mix)}) until the last PUBACK; {name}"
    what = f"one worker into {name}{', while much goes wrong' if mix == 'storm' else ''}"
    yield Figure(f"ingest.{key}", what, count / seconds, "msg/s", goal, how)
    yield Figure(f"ingest.{key}.cpu", "  its processor time for a message", used_s / count * 1e6, "µs", "", how)


def _cpu_s(process: subprocess.Popen[bytes]) -> float:
    return sum(psutil.Process(process.pid).cpu_times()[:2])


def _restart(url: str, folder: Path) -> Figure:
    """An empty database, and all that the broker keeps of the fleet."""
    count = len(_KEPT) * _TERMINALS
    with _peer(count, "kept") as (peer, port):
        began = time.monotonic()
        with _worker(url, port, folder):
            assert peer.stdout is not None
            peer.stdout.readline()
            peer.stdout.readline()
            seconds = time.monotonic() - began
    database = Database(url)
    with database.read() as connection:
        known = connection.execute(sql_select(func.count()).where(terminals.c.status == "online")).scalar_one()
        raised = connection.execute(sql_select(func.count()).where(faults.c.state == "raised")).scalar_one()
    database.close()
    assert (known, raised) == (_TERMINALS, _TERMINALS)
    how = f"from the start of the process on an empty database until {count:,} retained messages are stored"
    return Figure("ingest.restart", f"restart to the full state of {_TERMINALS:,} terminals", seconds, "s", "≤ 30", how)


def _check(url: str, count: int, mix: str) -> None:
    """All that was acknowledged is there, once."""
    sent = [kind for kind, _terminal in _plan(count, mix)]
    database = Database(url)
    with database.read() as connection:
        for kind, table in (("telemetry", telemetry), ("event", events)):
            stored = connection.execute(sql_select(func.count()).select_from(table)).scalar_one()
            assert stored == sent.count(kind), (kind, stored)
        told = {terminal for kind, terminal in _plan(count, mix) if kind == "fault"}
        assert connection.execute(sql_select(func.count()).select_from(faults)).scalar_one() == len(told)
        assert connection.execute(sql_select(func.count()).select_from(terminals)).scalar_one() <= _TERMINALS
    database.close()


@contextmanager
def _peer(count: int, mix: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.ingest", str(count), mix], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        yield process, int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@contextmanager
def _worker(url: str, port: int, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    words = ["center", "run", "--role", "ingest", "--db", url, "--mqtt", f"mqtt://127.0.0.1:{port}"]
    process = subprocess.Popen(
        [sys.executable, "-m", "agent.cli", *words],
        stderr=subprocess.DEVNULL,
        env=os.environ | {"POSDIAG_CENTER_DIR": str(folder / "state")},
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


# --- the peer ---------------------------------------------------------------------------------------------------------


def _plan(count: int, mix: str) -> list[tuple[str, int]]:
    """Which kind of message of which terminal, in order."""
    dice = random.Random(1)
    return [(dice.choice(_MIXES[mix]), dice.randrange(_TERMINALS)) for _ in range(count)]


def _kept() -> list[bytes]:
    """What a broker has retained of each terminal."""
    packets = []
    for number in range(len(_KEPT) * _TERMINALS):
        terminal, which = divmod(number, len(_KEPT))
        topic, payload = _KEPT[which]
        topic = f"pos/1/estate/terminal-{terminal:05d}/{topic}"
        packets.append(_publish(topic, payload, number, retain=True))
    return packets


def _publish(topic: str, payload: bytes, number: int, *, retain: bool = False) -> bytes:
    once, packet_id = mqtt5.QoS.AT_LEAST_ONCE, number % 65_535 + 1
    return mqtt5.PublishPacket(topic, payload, qos=once, retain=retain, packet_id=packet_id).write()


def _packets(count: int, mix: str) -> list[bytes]:
    seqs: dict[tuple[str, int], int] = {}
    packets = []
    started_ms = time.time_ns() // 1_000_000
    for number, (kind, terminal) in enumerate(_plan(count, mix)):
        seq = seqs[kind, terminal] = seqs.get((kind, terminal), 0) + 1
        head = {"at_ms": started_ms + number // 40, "up_ms": number}
        topic, payload = _message(kind, seq, head)
        topic = f"pos/1/estate/terminal-{terminal:05d}/{topic}"
        packets.append(_publish(topic, payload, number))
    return packets


def _message(kind: str, seq: int, head: dict[str, int]) -> tuple[str, bytes]:
    if kind == "telemetry":
        values = {"modem.rsrp_dbm": -97 - seq % 9, "network.latency_ms": 41.2, "power.voltage_mv": 12_010}
        return kind, said.telemetry(seq, (0, values), (15_000, {"modem.rsrp_dbm": -99}), **head)
    told = "raised" if seq % 2 else "cleared"
    if kind == "event":
        return kind, said.event(seq, f"fault.{told}", said.body("printer/paper_out", told), **head)
    if kind == "fault":
        return "fault/printer/paper_out", said.fault("printer/paper_out", told, **head)
    return kind, said.state(**head)


def _serve(packets: list[bytes]) -> None:
    """Be a broker to whoever subscribes first: print the port, when it has subscribed, and how long feeding it took."""
    count = len(packets)
    chunks = [b"".join(packets[at : at + 100]) for at in range(0, count, 100)]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        while True:
            client, _ = listener.accept()
            threading.Thread(target=_client, args=(client, chunks, count), daemon=True).start()


def _client(client: socket.socket, chunks: list[bytes], count: int) -> None:
    rest = b""
    while data := client.recv(65_536):
        rest += data
        while rest:
            try:
                packet, size = mqtt5.read(memoryview(rest))
            except IndexError:
                break
            rest = rest[size:]
            if isinstance(packet, mqtt5.ConnectPacket):
                client.sendall(mqtt5.ConnAckPacket().write())
            elif isinstance(packet, mqtt5.PublishPacket) and packet.packet_id is not None:
                client.sendall(mqtt5.PubAckPacket(packet.packet_id).write())
            elif isinstance(packet, mqtt5.SubscribePacket):
                granted = [mqtt5.SubAckReasonCode.GRANTED_QOS_AT_LEAST_ONCE] * len(packet.topic_filters)
                client.sendall(mqtt5.SubAckPacket(packet.packet_id, granted).write())
                _feed(client, chunks, count)
                return


def _feed(client: socket.socket, chunks: list[bytes], count: int) -> None:
    """All messages, at most `_WINDOW` unacknowledged. A PUBACK without properties has four bytes."""
    print("subscribed", flush=True)
    began, acknowledged, at = time.monotonic(), 0, 0
    while acknowledged < 4 * count:
        may_send = at < len(chunks) and at * 100 - acknowledged // 4 < _WINDOW
        readable, writable, _ = select.select([client], [client] if may_send else [], [])
        if readable:
            acknowledged += len(client.recv(1 << 16))
        if writable:
            client.sendall(chunks[at])
            at += 1
    print(time.monotonic() - began, flush=True)


if __name__ == "__main__":
    _serve(_kept() if sys.argv[2] == "kept" else _packets(int(sys.argv[1]), sys.argv[2]))
