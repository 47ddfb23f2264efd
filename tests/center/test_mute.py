"""A broker that keeps our session and then does not answer in it, as rumqttd does after some deaths of ours."""

from __future__ import annotations

import asyncio
import contextlib

import mqtt5
import pytest

from center.db.engine import Database
from center.ingest import link
from center.ingest.worker import Worker
from center.settings import Settings


class MuteBroker:
    """Answers a subscription only in a session that began anew. `begun` is what each connection asked for."""

    def __init__(self) -> None:
        self.begun: list[bool] = []
        self.ended: list[asyncio.Event] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        data, clean = b"", False
        self.ended.append(ended := asyncio.Event())
        with contextlib.suppress(ConnectionError):
            while more := await reader.read(4096):
                data += more
                with contextlib.suppress(IndexError, ValueError):  # the goodbye at the end means nothing here
                    packet, size = mqtt5.read(memoryview(data))
                    data = data[size:]
                    if isinstance(packet, mqtt5.ConnectPacket):
                        clean = packet.clean_start
                        self.begun.append(clean)
                        writer.write(mqtt5.ConnAckPacket(session_present=not clean).write())
                    elif isinstance(packet, mqtt5.SubscribePacket) and clean:
                        codes = [mqtt5.SubAckReasonCode.GRANTED_QOS_AT_LEAST_ONCE] * len(packet.topic_filters)
                        writer.write(mqtt5.SubAckPacket(packet.packet_id, codes).write())
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        ended.set()


def test_a_session_that_is_mute_is_given_up(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "ANSWER_S", 0.1)
    monkeypatch.setattr("center.ingest.worker._RECONNECT_S", (0.01, 0.01))

    async def run() -> list[bool]:
        broker = MuteBroker()
        server = await asyncio.start_server(broker.serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        worker = Worker(Settings(mqtt=f"mqtt://127.0.0.1:{port}"), database)
        running = asyncio.create_task(worker.run())
        async with asyncio.timeout(30):
            while not worker.connected:  # noqa: ASYNC110 - it says so nowhere else
                await asyncio.sleep(0.01)
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
        server.close()
        for ended in broker.ended:
            await ended.wait()
        return broker.begun

    begun = asyncio.run(run())
    assert begun[:3] == [False, False, True]
    assert begun[-1]  # at once, unless this machine, too, was silent for so long
