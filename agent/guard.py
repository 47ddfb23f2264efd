"""What the agent remembers for security: parts, place, opened case, work order, reported update. Thread-safe.

Nothing here is cleared from afar. A work order lets changes be made while it is open; what was changed before, and an
opened case, stand until somebody says at the terminal that it was inspected, which takes an open work order.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

from agent.places import Place
from agent.security import UPDATE_S, Parts, WorkOrder, outcome
from drivers.reading import Cause, Identity, Reading, known, unknown

_REGISTERED: Final = ("home", "roaming")
_CELLULAR: Final = {"cell": "cell", "tac": "area", "operator": "operator"}

Event = Callable[[str, dict[str, Any]], None]


class Guard:
    """`remembered` is the text that `state` gave; anything else counts as none.

    `event(name, data)` writes the log; it is called after the change and without a lock, so that it may keep `state`.
    """

    def __init__(
        self, terminal: str, remembered: str, event: Event, wall: Callable[[], float], *, mobile: bool = False
    ) -> None:
        kept = _object(remembered)
        self._event = event
        self._wall = wall
        self._mobile = mobile
        self._lock = threading.RLock()
        self._salt = str(kept.get("salt") or os.urandom(8).hex())
        self._parts = Parts(terminal, _table(kept, "parts"))
        self._place = Place(self._salt, _table(kept, "place"))
        order = _table(kept, "order")
        until, by = order.get("until"), order.get("by")
        self._order = WorkOrder()
        if isinstance(until, int | float) and by in {"center", "terminal"}:
            self._order = WorkOrder(float(until), by)
        self._case_opened = kept.get("case_opened") is True
        updated = kept.get("updated_at")
        self._updated_at = float(updated) if isinstance(updated, int | float) else 0.0
        self._cell: dict[str, str | None] = {}

    def state(self) -> str:
        """What the next start needs."""
        with self._lock:
            return json.dumps(
                {
                    "salt": self._salt,
                    "parts": self._parts.state(),
                    "place": self._place.state(),
                    "order": {"until": self._order.until, "by": self._order.by},
                    "case_opened": self._case_opened,
                    "updated_at": self._updated_at,
                }
            )

    # --- work orders

    @property
    def expecting(self) -> bool:
        """Whether a visit is announced now."""
        with self._lock:
            return self._order.is_open(self._wall())

    def open_work_order(self, until: float, by: Literal["center", "terminal"]) -> None:
        """Announce a visit until a wall-clock time. Raises ValueError for a time that is over or too far off."""
        with self._lock:
            if (self._order.until, self._order.by) == (until, by):
                return  # the center's message is retained and comes again with each connection
            self._order.open(until, by, self._wall())
        self._event("work_order.opened", {"until_s": round(until), "by": by})

    def close_work_order(self, by: Literal["center", "terminal"]) -> None:
        """End it. The center ends only what it opened itself."""
        with self._lock:
            if not self._order.by or (by == "center" and self._order.by != "center"):
                return
            self._order.close()
        self._event("work_order.closed", {"by": by})

    def inspected(self) -> dict[str, Any]:
        """Somebody at the terminal says that it was inspected: its parts are right and its case is whole.

        Raises ValueError while no work order is open.
        """
        with self._lock:
            if not self._order.is_open(self._wall()):
                raise ValueError("no work order is open; posdiag work-order open or support opens one")
            found = {"parts": self._parts.accept(), "case_opened": self._case_opened}
            self._case_opened = False
        self._event("inspection", dict(found))
        return found

    # --- what the devices and the updater say

    def identified(self, device: str, family: str, identity: Identity) -> bool:
        """Who a device says it is; returns whether it must be asked once more."""
        with self._lock:
            wall = self._wall()
            judged = self._parts.judge(
                device,
                family,
                identity,
                expected=self._order.is_open(wall),
                updated=0 <= wall - self._updated_at < UPDATE_S,
            )
        if judged.news:
            facts = {name: {"was": was, "is": now} for name, (was, now) in judged.changed.items()}
            self._event("device.swapped", {"device": device, "changed": facts, "announced": judged.announced})
        return judged.again

    def modem(self, readings: Mapping[str, Reading]) -> None:
        """Readings of the modem. Without a network it says nothing about the place."""
        with self._lock:
            registration = readings.get("registration")
            if registration is not None and registration.value not in _REGISTERED:
                self._cell = {}
                return
            for name, sign in _CELLULAR.items():
                if name in readings:
                    value = readings[name].value
                    self._cell[sign] = None if value is None else str(value)

    def update(self, told: Mapping[str, Reading]) -> dict[str, Reading]:
        """What an updater told over report.sock: readings for the source `firmware`; {} when it is no outcome."""
        reading = told.get("update")
        name = outcome(reading.value) if reading is not None else None
        if name is None:
            return {}
        with self._lock:
            self._updated_at = self._wall()
        device = told.get("device")
        self._event("firmware.update", {"outcome": name, "device": device.value if device is not None else ""})
        return {"update": known(name), "update_device": device if device is not None else unknown(Cause.NOT_ASKED)}

    # --- judged by the probe

    def parts(self, devices: Mapping[str, str]) -> dict[str, Reading]:
        """Readings {device}.part same|other for each of `devices`, and {device}.changed: which facts."""
        found: dict[str, Reading] = {}
        with self._lock:
            for device in devices:
                changed = self._parts.swaps.get(device)
                part = unknown(Cause.NOT_ASKED) if changed is None else known("other" if changed else "same")
                found[f"{device}.part"] = part
                found[f"{device}.changed"] = known(",".join(changed)) if changed else unknown(Cause.NOT_ASKED)
        return found

    def place(self, signs: Mapping[str, str | None], hours: float) -> dict[str, Reading]:
        """Readings place home|elsewhere, place_score 0..100 and place_parts, from the host's signs and the modem's."""
        if self._mobile:
            return dict.fromkeys(_PLACE, unknown(Cause.UNSUPPORTED))
        with self._lock:
            place = self._place
            place.observe({**self._cell, **signs}, hours)
            moved = place.elsewhere and self._order.is_open(self._wall())
            if moved:
                place.forget()
            readings = _place_readings(place)
        if moved:
            self._event("place.learning", {"why": "work_order"})
        return readings

    def case(self, switch: Reading) -> dict[str, Reading]:
        """Reading case open|opened|closed, from what its switch says now: `opened` was open and is closed again."""
        with self._lock:
            news = switch.value == "open" and not self._case_opened
            self._case_opened = self._case_opened or news
            closed_again = switch.value == "closed" and self._case_opened
            announced = self._order.is_open(self._wall())
        if news:
            self._event("case.opened", {"work_order": announced})
        return {"case": known("opened") if closed_again else switch}


_PLACE: Final = ("place", "place_score", "place_parts")


def _place_readings(place: Place) -> dict[str, Reading]:
    if not place.learned:
        cause = Cause.LEARNING if place.learning else Cause.UNSUPPORTED  # these signs cannot tell places apart
        return dict.fromkeys(_PLACE, unknown(cause))
    parts = ", ".join(f"{name} {points}" for name, points in place.parts.items())
    return {
        "place": known("elsewhere" if place.elsewhere else "home"),
        "place_score": known(place.score),
        "place_parts": known(parts or "none"),
    }


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text) if text else {}
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _table(kept: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = kept.get(name)
    return value if isinstance(value, dict) else {}
