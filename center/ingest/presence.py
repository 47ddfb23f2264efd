"""Tells each estate that the center is there, by `center/{id}/state`, retained and with a will.

One connection an estate, for a connection has one will.
"""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Final

import mqtt5

from agent import packing, wire
from center.ingest.link import Access, Link, LinkError

log = logging.getLogger("posdiag.center.presence")

LOOK_S: Final = 2.0
RIVAL_S: Final = 2 * LOOK_S + 1
_RETRY_S: Final = 10.0


class Presence:
    """The center `name` in every estate that `estates` names, as long as `well` says so."""

    def __init__(
        self, access: Access, name: str, estates: Callable[[], Awaitable[set[str]]], well: Callable[[], bool]
    ) -> None:
        self._access = access
        self._name = name
        self._estates = estates
        self._well = well
        self._said: dict[str, bytes] = {}
        """What this process said last, by topic."""

    async def run(self) -> None:
        """Be present until cancelled; then say that we leave."""
        shown: dict[str, asyncio.Task[None]] = {}
        try:
            while True:
                for estate in await self._estates() - shown.keys():
                    shown[estate] = asyncio.create_task(self._show_always(estate))
                await asyncio.sleep(LOOK_S)
        finally:
            for task in shown.values():
                task.cancel()
            if shown:
                await asyncio.wait(shown.values())

    async def has_rival(self) -> bool:
        """Whether somebody else says in any estate that a center of our name is online.

        Takes a while, in which who has just thrown us out comes to say so. False, too, where the broker does not tell.
        """
        link = Link(self._access, f"center-look-{secrets.token_hex(4)}")
        found: dict[str, bytes] = {}
        try:
            await link.open()
            await link.subscribe([f"{wire.PREFIX}/+/center/{self._name}/state"])
            async with asyncio.timeout(RIVAL_S):
                while True:
                    found |= {each.topic: bytes(each.payload or b"") for each in await link.receive()}
        except (LinkError, TimeoutError):
            return any(_is_online(told) and told != self._said.get(topic) for topic, told in found.items())
        finally:
            await link.close()

    async def _show_always(self, estate: str) -> None:
        while True:
            while not self._well():  # noqa: ASYNC110 - and who was thrown out by a center of the same name keeps out
                await asyncio.sleep(LOOK_S)
            try:
                await self._show(estate)
            except LinkError as error:
                log.info("not seen in %s: %s", estate, error)
            await asyncio.sleep(random.uniform(0, _RETRY_S))  # noqa: S311 - only spread, not secret

    async def _show(self, estate: str) -> None:
        topic = f"{wire.PREFIX}/{estate}/center/{self._name}/state"
        will = mqtt5.Will(topic, payload=_state("offline"), qos=mqtt5.QoS.AT_LEAST_ONCE, retain=True)
        link = Link(self._access, f"center-{self._name}-in-{estate}", will=will)
        told = ""
        try:
            await link.open()
            while True:
                status = "online" if self._well() else "offline"
                if status != told:
                    self._said[topic] = _state(status)
                    await link.publish(topic, self._said[topic], retain=True)
                    told = status
                try:
                    async with asyncio.timeout(LOOK_S):
                        await link.receive()
                except TimeoutError:
                    continue
        except asyncio.CancelledError:
            if told == "online":
                await link.publish(topic, _state("offline"), retain=True)
            await link.close()
            raise
        finally:
            await link.close(politely=False)


def _is_online(payload: bytes) -> bool:
    try:
        return wire.decode(wire.CenterStateMessage, payload).status == "online"
    except wire.WireError:
        return False


def _state(status: str) -> bytes:
    at = wire.timestamp(time.time())
    if status == "online":
        return wire.encode(wire.CenterStateMessage(status="online", at=at, inflates=packing.NAME))
    return wire.encode(wire.CenterStateMessage(status="offline", at=at))
