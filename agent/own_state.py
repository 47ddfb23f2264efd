"""What the agent reads of itself: its store, its way to the broker, and what it may cost today."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from agent.budget import SPARING
from agent.delivery import Delivery
from agent.probes.network import NetworkProbe
from agent.vocabulary import VOCABULARY
from drivers.reading import Cause, Reading, known, unknown

_RESET_S: Final = 86_400.0
_PROBED_S: Final = 5.0  # by then what is broken has been seen again
_RESET_AT, _RESET_WHY = "store_reset_at", "store_reset_why"


class OwnState:
    """Told as readings of the sources `agent` and `network`, each when it changes. Used by the main thread alone."""

    def __init__(
        self, delivery: Delivery, network: NetworkProbe, observe: Callable[[str, Mapping[str, Reading]], None]
    ) -> None:
        self._clock, self._store, self._core = delivery.clock, delivery.store, delivery.core
        self._uplink, self._budget, self._outbox = delivery.uplink, delivery.budget, delivery.outbox
        self._observe = observe
        self._network = network
        self._budget_told = False
        self._aside: tuple[str, str] | None = None
        self._store_told: dict[str, Reading] = {}
        self._broker: Reading = unknown(Cause.NOT_ASKED)
        # Without the file nobody knows which faults the broker still holds of an earlier life.
        self._outbox.forgot |= bool(self._store.moved_aside) or not self._store.generation
        self._sweep_at = float("inf")

    @property
    def sweeping(self) -> bool:
        """Whether it is soon time to clear what an earlier life may have left at the broker."""
        return self._sweep_at < float("inf")

    def look(self) -> None:
        """Broker and budget; a lost broker has the network looked at, a spent budget makes the rest sparing."""
        self._tell_broker()
        self._mind_budget()
        if self._outbox.forgot:
            self._outbox.forgot = False
            self._sweep_at = self._clock.monotonic() + _PROBED_S
        if self._clock.monotonic() >= self._sweep_at:
            self._sweep_at = float("inf")
            for key in VOCABULARY.keys() - self._core.faults().keys():
                self._uplink.clear_retained(f"fault/{key}", "fault")

    def tell_work(self, failing: Sequence[str]) -> None:
        """How the agent's own parts do, of which these fail, and how full its store is."""
        self._observe(
            "agent",
            {
                "probes": known("failing" if failing else "ok"),
                "store_percent": known(round(100 * float(self._outbox.depth()["fill"]), 1)),
                "probes_why": known(", ".join(failing)[:120] or "none"),
            },
        )

    def tell_store(self) -> None:
        """A store that was set aside is told for a day; what was lost with it cannot be had again."""
        wall = self._clock.wall()
        if self._store.moved_aside and self._store.moved_aside != self._aside:
            self._aside = self._store.moved_aside
            _, why = self._aside  # the event is the outbox's, which has to tell the gap as well
            self._store.keep("kv", {_RESET_AT: str(wall), _RESET_WHY: why[:120]})
        reset = 0 <= wall - float(self._store.get(_RESET_AT) or "-inf") < _RESET_S
        readings = {
            "store": known("reset" if reset else "ok"),
            "store_why": known(self._store.get(_RESET_WHY) or "none"),
        }
        if readings != self._store_told:
            self._store_told = readings
            self._observe("agent", readings)

    def _tell_broker(self) -> None:
        """The last rung of the network ladder is known to the uplink alone."""
        status = self._uplink.status()
        if status["connected"]:
            broker = known("ok")
        elif status["attempts"] and status["last_error"]:
            broker = known("failed")
        else:
            broker = unknown(Cause.NOT_ASKED)
        if broker != self._broker:
            if broker.value == "failed":
                self._network.walk_soon()
            self._broker = broker
            self._observe("network", {"broker": broker, "broker_why": known(status["last_error"][:120] or "none")})

    def _mind_budget(self) -> None:
        """Count what crossed the line, and tell when that calls for another step."""
        self._budget.meter(**self._uplink.traffic(), probes=self._network.spent)
        change = self._budget.look()
        if change is None and self._budget_told:
            return
        self._budget_told = True
        batch, values = SPARING[self._budget.step]
        self._core.spare(batch=batch, values=values)
        said = self._budget.describe()
        if change is not None:
            self._core.event("budget.step", {"before": change[0], **said})
            self._uplink.kick()
        why = f"{said['step']}: {said['used']} of {said['daily']} bytes used today"
        word = "exceeded" if self._budget.exceeded else "ok"
        self._observe(
            "agent", {"budget": known(word), "budget_why": known(why if self._budget.daily_bytes else "none")}
        )
