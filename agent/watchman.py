"""Security at work in the daemon: who tells the guard what, who may announce a visit, and what is kept when."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from agent import wire
from agent.absence import Absence
from agent.announced import Announcements
from agent.clock import Clock
from agent.config import Config
from agent.core import Core
from agent.guard import Guard
from agent.model import Fault
from agent.probes.port import PortWorker
from agent.probes.security import SecurityProbe
from agent.store import Store
from drivers.reading import Cause, Identity, Reading, known, unknown

_KEEP_S: Final = 600.0  # what is learned of the place may be lost for so long; everything else is kept at once
_KEPT: Final = "security"
_KEPT_ABSENCE: Final = "absence"
_KEPT_LOST: Final = "tamper_lost"

Observe = Callable[[str, Mapping[str, Reading]], None]


class Watchman:
    """Between the guard and the rest of the daemon. `again` has the security probe run soon. Thread-safe."""

    def __init__(
        self,
        config: Config,
        core: Core,
        store: Store,
        clock: Clock,
        workers: Sequence[PortWorker],
        observe: Observe,
        again: Callable[[], None],
        *,
        config_file: Path | None = None,
    ) -> None:
        self._core = core
        self._store = store
        self._clock = clock
        self._workers = {worker.device.name: worker for worker in workers}
        self._observe = observe
        self._again = again
        self._keep_at = clock.monotonic() + _KEEP_S
        self._lost = set(store.get(_KEPT_LOST).split())
        """Devices that told something of tampering once, which never came whole."""
        self.guard = Guard(config.terminal.id, store.get(_KEPT), self._event, clock.wall, mobile=config.security.mobile)
        self.take_case = Announcements(config, self._announced).take
        families = {name: worker.device.family for name, worker in self._workers.items()}
        self._absence = Absence(store.get(_KEPT_ABSENCE))
        self.probe = SecurityProbe(
            config,
            self.guard,
            families,
            config_file=config_file,
            wall=clock.wall,
            offline_s=lambda: self._absence.longest_s,
        )

    def restored(self, faults: Mapping[str, Fault]) -> None:
        """Before the workers start: a driver whose device tells tampering only once is reminded of what it told."""
        for name in self._lost.intersection(self._workers):
            self._workers[name].recalled["tamper"] = unknown(Cause.LOST)
        for name, worker in self._workers.items():
            fault = faults.get(f"{worker.unit}/tamper")
            if fault is not None and fault.device == name and "tamper" in worker.family.driver.RECALLS:
                worker.recalled["tamper"] = known("yes")
                self._core.believe(fault.key)

    def replaced(self, worker: PortWorker) -> None:
        """Another worker has a device now."""
        self._workers[worker.device.name] = worker

    def heard(self, source: str, readings: Mapping[str, Reading]) -> None:
        """Readings of any source."""
        worker = self._workers.get(source)
        if worker is not None and worker.unit == "modem":
            self.guard.modem(readings)
        tamper = readings.get("tamper")
        if worker is not None and tamper is not None:
            self._mind_lost(source, tamper)

    def _mind_lost(self, device: str, tamper: Reading) -> None:
        """Remember over a restart that a telling was lost, until the device tells again what is so."""
        before = set(self._lost)
        if tamper.unknown == Cause.LOST:
            self._lost.add(device)
        elif tamper.value is not None:
            self._lost.discard(device)
        if self._lost != before:
            self._store.keep("kv", {_KEPT_LOST: " ".join(sorted(self._lost))})

    def identified(self, device: str, identity: Identity) -> None:
        """Who a device says it is; called in its worker's thread."""
        worker = self._workers[device]
        if self.guard.identified(device, worker.device.family, identity):
            worker.identify_again()
        else:
            self._keep_at = 0.0
            self._again()

    def told(self, readings: Mapping[str, Reading]) -> None:
        """What an updater told of firmware over report.sock."""
        news = self.guard.update(readings)
        if news:
            self._observe("firmware", news)
            for worker in self._workers.values():
                worker.identify_again()  # while the new firmware is still expected

    def look(self, *, connected: bool) -> None:
        """Now and then, from one thread: what an open work order lets happen, and what is learned is kept.

        `connected` to the broker.
        """
        if self._clock.quality() in {"synced", "network"}:
            self._absence.look(connected=connected, wall=self._clock.wall())
        if self.guard.expecting:
            self._core.visit()
        now = self._clock.monotonic()
        if now >= self._keep_at:
            self.keep(now=False)

    def keep(self, *, now: bool) -> None:
        """Store what the guard knows; on disk at return when `now`."""
        self._keep_at = self._clock.monotonic() + _KEEP_S
        self._store.keep("kv", {_KEPT: self.guard.state(), _KEPT_ABSENCE: self._absence.state()}, now=now)

    def _event(self, event: str, data: dict[str, Any]) -> None:
        self.keep(now=True)
        self._core.event(event, data)

    # --- work orders

    def _announced(self, until: float | None) -> None:
        """The center announces a visit until then; with None there is none, or none any more."""
        try:
            if until is None:
                self.guard.close_work_order("center")
            else:
                self.guard.open_work_order(until, "center")
        except ValueError:
            self.guard.close_work_order("center")  # it is over, or no time that a work order may have

    def control(self, request: Mapping[str, Any]) -> dict[str, Any] | None:
        """Requests of somebody at the terminal; None when it is not one of these. Raises ValueError.

        work_order {"hours": 4} announces a visit, {"hours": 0} ends it; inspected {} says that all is as it should be.
        """
        command, args = request.get("cmd"), request.get("args") or {}
        if command == "inspected":
            found = self.guard.inspected()
            self._again()
            return found
        if command != "work_order":
            return None
        hours = args.get("hours") if isinstance(args, dict) else None
        if isinstance(hours, bool) or not isinstance(hours, int | float):
            raise ValueError("hours is a number, 0 to end the work order")  # noqa: TRY004 - an argument from outside
        if hours == 0:
            self.guard.close_work_order("terminal")
            return {"open": False}
        until = self._clock.wall() + 3600 * hours
        self.guard.open_work_order(until, "terminal")
        return {"open": True, "until": wire.timestamp(until)}
