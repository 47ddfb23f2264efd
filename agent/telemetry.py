"""Report by exception: which readings are worth sending, gathered into batches. Pure but for what it remembers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from agent.config import TelemetryConfig
from agent.wire import JsonValue, timestamp
from drivers.reading import Reading, Readings

BATCH_BYTES: Final = 6000  # estimated; a batch leaves early then, far below the 16 KiB that a packet may have
SAMPLE_BYTES: Final = 12


@dataclass(frozen=True, slots=True)
class DeadBand:
    """How far a number must move from the value last sent: by `absolute`, or by `relative` of that value if more."""

    absolute: float
    relative: float = 0.0

    def holds(self, sent: float, now: float) -> bool:
        """Whether the move is too small to be told."""
        return abs(now - sent) < max(self.absolute, self.relative * abs(sent))


DEAD_BANDS: Final[Mapping[str, DeadBand]] = {
    "dbm": DeadBand(3),  # a still modem wanders by one or two
    "db": DeadBand(2),
    "percent": DeadBand(1),
    "mv": DeadBand(50),
    "c": DeadBand(1),
    "ms": DeadBand(20, 0.25),  # a time over a network is never the same twice
    "s": DeadBand(60, 0.05),
    "bytes": DeadBand(1_048_576, 0.05),
    "kib": DeadBand(1024, 0.05),
}
"""By unit as it stands in the inventory; a number of another unit, a word and a truth are told at every change."""

QUIET: Final = frozenset({"clock_utc", "uptime_s"})  # change by themselves each time; the heartbeat carries them


class Telemetry:
    """Collects what changed. Not thread-safe. `units` maps metric (`device.reading`) to unit, as in the inventory."""

    def __init__(self, config: TelemetryConfig, units: Mapping[str, str] | None = None) -> None:
        self._config = self._pace = config
        self._units: dict[str, str] = dict(units or {})
        self._sent: dict[str, dict[str, tuple[Reading, float]]] = {}
        self._samples: list[tuple[int, dict[str, JsonValue]]] = []
        self._began = 0.0
        self._bytes = 0

    def learn(self, units: Mapping[str, str]) -> None:
        """Add metrics and their units."""
        self._units.update(units)

    def offer(self, device: str, readings: Readings, now: float) -> None:
        """Take note of readings made at `now` (monotonic s): what changed, failed otherwise, or was long unsaid."""
        sent = self._sent.setdefault(device, {})
        changed: dict[str, JsonValue] = {}
        for name, reading in readings.items():
            last = sent.get(name)
            if (
                last is not None
                and now - last[1] < self._pace.heartbeat_s
                and (
                    reading is last[0]
                    or self._same(device, name, reading, last[0])
                    or self._too_soon(reading, *last, now)
                )
            ):
                continue
            sent[name] = reading, now
            changed[f"{device}.{name}"] = {"error": reading.unknown} if reading.value is None else reading.value
        if changed:
            self._add(changed, now)

    def _same(self, device: str, name: str, reading: Reading, sent: Reading) -> bool:
        value, told = reading.value, sent.value
        if value is None or told is None:
            return reading.unknown == sent.unknown
        if told == value or name in QUIET:
            return True
        if isinstance(value, str | bool) or isinstance(told, str | bool):
            return False
        band = DEAD_BANDS.get(self._units.get(f"{device}.{name}", ""))
        return band is not None and band.holds(told, value)

    def _too_soon(self, reading: Reading, sent: Reading, at: float, now: float) -> bool:
        """A number told in the present stretch of `number_s`; all have the same stretches, hence one batch."""
        words = str | bool | None
        stretch_s = self._pace.number_s
        return (
            stretch_s > 0
            and now // stretch_s == at // stretch_s
            and not (isinstance(reading.value, words) or isinstance(sent.value, words))
        )

    def spare(self, *, batch: float = 1.0, values: float = 1.0) -> None:
        """Batches `batch` times, repetitions and numbers `values` times more seldom than configured."""
        usual = self._config
        self._pace = replace(
            usual,
            batch_s=usual.batch_s * batch,
            heartbeat_s=usual.heartbeat_s * values,
            number_s=max(usual.number_s, usual.batch_s) * values if values > 1 else usual.number_s,
        )

    def _add(self, changed: dict[str, JsonValue], now: float) -> None:
        if not self._samples:
            self._began = now
        self._samples.append((round((now - self._began) * 1000), changed))
        self._bytes += SAMPLE_BYTES + sum(len(metric) + len(str(value)) + 6 for metric, value in changed.items())

    def due_at(self) -> float | None:
        """When the batch should leave (monotonic s); None while there is nothing to say."""
        if not self._samples:
            return None
        return self._began if self._bytes >= BATCH_BYTES else self._began + self._pace.batch_s

    def take(self, now: float, wall: float, up_ms: int) -> dict[str, Any] | None:
        """The batch as a body for `Outbox.put("telemetry", …)`, or None. `now`, `wall` and `up_ms` are one moment."""
        if not self._samples:
            return None
        ago = now - self._began
        samples, self._samples, self._bytes = self._samples, [], 0
        return {
            "at": timestamp(wall - ago),
            "up_ms": up_ms - round(ago * 1000),
            "samples": [[offset, values] for offset, values in samples],
        }

    def repeat_all(self) -> None:
        """Tell every reading again at its next offer, whether it changed or not."""
        self._sent.clear()
