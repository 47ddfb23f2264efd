"""A model of the network ladder and of the clock: what their probes would read in a simulated world, without sockets.

Written from the contract and the probes' descriptions. Power, boots, firmware and the rest of the terminal's computer
need no model: their real probes read the trees that the simulator writes.
"""

from __future__ import annotations

import random
import statistics
from collections import deque
from collections.abc import Iterator, Mapping, Sequence

from drivers.reading import Reading, known, unknown
from simulator.world import Consequences, consequences

World = Mapping[str, str]
"""Every key of the simulated terminal with its value."""

_LOOK_S = 2.0
_AGAIN_S = 5.0
_RUNGS = ("gateway", "dns", "acquirer", "tls")
_CERTIFICATE_S = 12 * 3600.0  # the simulated acquirer's certificate is good for a day around the world's time
_NTP_EVERY_S = 60.0


class Ladder:
    """The network probe's readings. `walk` takes the time that its unanswered questions would take."""

    def __init__(self, devices: Sequence[str], poll_s: float, seed: int) -> None:
        self._devices = tuple(devices)
        self._poll_s = poll_s
        self._random = random.Random(f"ladder:{seed}")
        self._samples: deque[float | None] = deque(maxlen=30)
        self._changes: deque[float] = deque()
        self._local: tuple[str, ...] = ()
        self._first: str | None = None
        self._walk_at = 0.0
        self._failed = False
        self._tls_in = 0

    def run(self, world: World, now: float) -> tuple[dict[str, Reading], float]:
        """The readings, and the seconds that finding them took."""
        so = consequences(world, self._devices)
        link, address = "up" if so.link else "down", "ok" if so.address else "none"
        found = {"link": known(link), "address": known(address) if so.link else unknown("not_asked")}
        took = 0.0
        self._note("link" if not so.link else "address" if not so.address else "", now)
        if not so.address:
            self._walk_at, self._tls_in, self._failed = now, 0, False
            found |= {name: unknown("not_asked") for name in (*_RUNGS, "portal")}
        elif now >= self._walk_at or self._local != (link, address):
            walked, took = self._walk(world, so)
            failed = any(walked[rung].value == "failed" for rung in _RUNGS if rung in walked)
            wait_s = self._poll_s if not failed else min(_AGAIN_S, self._poll_s) if self._failed else 0.0
            self._walk_at, self._failed = now + took + wait_s, failed
            found |= walked | self._quality()
        self._local = (link, address)
        while self._changes and self._changes[0] < now - 300:
            self._changes.popleft()
        return found | {"changes": known(len(self._changes))}, took

    def _walk(self, world: World, so: Consequences) -> tuple[dict[str, Reading], float]:
        out = {name: unknown("not_asked") for name in (*_RUNGS, "portal")}
        if not so.gateway:
            return out | {"gateway": known("failed"), "gateway_why": known("timeout")}, 3.5
        out |= {"gateway": known("ok")}
        took = 0.0
        answered, waited = self._lookup(so, 2)
        took += waited
        if answered:
            out["dns"] = known("ok")
            if so.acquirer:
                out["acquirer"] = known("ok")
                self._handshake(world, so, out)
            else:
                out |= {"acquirer": known("failed"), "acquirer_why": known("timeout")}
                took += 2.0
        else:
            out |= {"dns": known("failed"), "dns_why": known("timeout")}
            self._stopped()
        tls = out.get("tls")
        if tls is not None and tls.value == "ok":
            out["portal"] = known("no")
        elif tls is not None:
            self._tls_in = 0
            asked, waited = self._lookup(so, 1)
            took += waited
            if asked:
                out["portal"] = known("yes" if so.portal else "no")
        if answered:
            for _ in range(2):
                found, waited = self._lookup(so, 1)
                self._samples += [] if found else [None]
                took += waited
        return out, min(took, 6.0)

    def _handshake(self, world: World, so: Consequences, out: dict[str, Reading]) -> None:
        self._tls_in -= 1
        if self._tls_in > 0:
            del out["tls"], out["portal"]
            return
        self._tls_in = 4 if world["network.bearer"] == "modem" else 0
        wrong = abs(float(world["system.clock_offset_s"])) > _CERTIFICATE_S
        if so.portal or wrong or so.tls != "ok":
            why = "closed" if so.portal else "not_yet_valid" if wrong else so.tls
            out |= {"tls": known("failed"), "tls_why": known(why)}
        else:
            out["tls"] = known("ok")

    def _lookup(self, so: Consequences, attempts: int) -> tuple[bool, float]:
        """Whether a name was answered, and after how long."""
        if so.dns and so.latency_ms < 2000:
            for n in range(attempts):
                if self._random.random() * 100 >= so.loss_percent:
                    self._samples += [None] * n + [so.latency_ms]
                    return True, n * 2.0 + so.latency_ms / 1000
        return False, attempts * 2.0

    def _stopped(self) -> None:
        """A resolver that has stopped answering is not a line that loses."""
        while self._samples and self._samples[-1] is None:
            self._samples.pop()

    def _quality(self) -> dict[str, Reading]:
        answered = [each for each in list(self._samples)[-10:] if each is not None]
        lost, all_ = sum(each is None for each in self._samples), len(self._samples)
        return {
            "latency_ms": known(statistics.median(answered)) if len(answered) > 2 else unknown("not_asked"),
            "loss_percent": known(round(100 * lost / all_)) if all_ >= 10 else unknown("not_asked"),
        }

    def _note(self, failing: str, now: float) -> None:
        if self._first is not None and failing != self._first:
            self._changes.append(now)
        self._first = failing


class Clocks:
    """How far the terminal's clock is off, as the time server and the modem tell it."""

    def __init__(self, told_by_modem: Sequence[tuple[float, float]]) -> None:
        """`told_by_modem`: at which second the modem told the time, and the offset that this shows."""
        self._told = list(told_by_modem)
        self._asked_at: float | None = None
        self._offset: float | None = None

    def run(self, world: World, devices: Sequence[str], now: float) -> dict[str, Reading]:
        """clock_offset_s and clock_source."""
        fresh = [(at, offset) for at, offset in self._told if now - 120 < at <= now]
        told_at, modem = fresh[-1] if fresh else (0.0, None)
        doubt = self._offset is not None and modem is not None and abs(modem - self._offset) > 30
        due = self._asked_at is None or now - self._asked_at >= _NTP_EVERY_S
        if due or (doubt and self._asked_at is not None and told_at > self._asked_at):
            self._asked_at = now
            reached = consequences(world, tuple(devices)).internet
            self._offset = float(world["system.clock_offset_s"]) if reached else None
        for offset, source in ((self._offset, "ntp"), (modem, "modem")):
            if offset is not None:
                return {"clock_offset_s": known(round(offset, 1)), "clock_source": known(source)}
        return {"clock_offset_s": unknown("no_reply"), "clock_source": unknown("no_reply")}


def walks(
    ladder: Ladder, world_at: Sequence[tuple[float, World]], until_s: float
) -> Iterator[tuple[float, dict[str, Reading]]]:
    """Every run of the probe: when it told what. `world_at` is the world from each moment on."""
    now, index = 0.05, 0
    while now < until_s:
        while index + 1 < len(world_at) and world_at[index + 1][0] <= now:
            index += 1
        readings, took = ladder.run(world_at[index][1], now)
        yield now + took, readings
        now += max(_LOOK_S, took)
