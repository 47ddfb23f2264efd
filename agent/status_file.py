"""`{run_dir}/status.json`: what the till's screen and `posdiag status` show. Replaced as one piece."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from agent import faults, wire
from agent.cards import clean_json
from agent.config import Config
from agent.inventory import DeviceInfo
from agent.model import Fault
from drivers.reading import Reading, Value

FRESH_S = 5.0  # readings in it are at most this old
URGENT_S = 0.02  # faults and the verdict are: by then they are on the line, which the disk must not hold up
STATUS_S = 30.0  # how old it may be before its reader may think that the agent hangs


class StatusFile:
    """Not thread-safe. `stale` says that a reading changed; `extra` adds what only the application knows."""

    def __init__(self, config: Config) -> None:
        self.stale = False
        self.case: dict[str, Any] = {}
        self.centers: dict[str, str] = {}
        self.extra: Callable[[], dict[str, Any]] = dict
        self._config = config
        self._path = Path(config.paths.run_dir) / "status.json"
        self._written_at = float("-inf")
        self._urgent_at = float("inf")

    def hasten(self, now: float) -> None:
        """A fault or the verdict changed."""
        self._urgent_at = min(self._urgent_at, now + URGENT_S)

    def due(self) -> float:
        """When it should be written next, monotonic seconds."""
        return min(self._urgent_at, self._written_at + (FRESH_S if self.stale else STATUS_S))

    def compose(
        self,
        judged: Mapping[str, Any],
        explained: Mapping[str, Fault],
        devices: Mapping[str, DeviceInfo],
        latest: Mapping[str, Mapping[str, Reading]],
    ) -> dict[str, Any]:
        """The whole content; `judged` is the message's header with the verdict and its roll-up."""
        return {
            "v": 1,
            "terminal": self._config.terminal.id,
            "estate": self._config.terminal.estate,
            "language": self._config.terminal.language,
            **judged,
            "faults": [faults.body(fault) for _, fault in sorted(explained.items())],
            "devices": {name: _device(info) for name, info in devices.items()},
            "readings": {
                source: {name: plain(reading) for name, reading in readings.items()}
                for source, readings in latest.items()
            },
            "case": self.case,
            "center": self.centers,
            "support": self._config.support.channel,
            **self.extra(),
        }

    def write(self, content: Mapping[str, Any], now: float) -> None:
        """Replace the file; a disk that takes nothing keeps the one that is there. One thread at a time."""
        self._written_at = now
        self._urgent_at = float("inf")
        self.stale = False
        part = self._path.with_suffix(".part")
        try:
            part.write_bytes(clean_json(wire.dumps(content)))
            part.replace(self._path)
        except OSError:
            part.unlink(missing_ok=True)


def _device(info: DeviceInfo) -> dict[str, str]:
    return {
        "unit": info.unit,
        "family": info.family,
        "port": info.port,
        "model": info.identity.model if info.identity else "",
        "firmware": info.identity.firmware if info.identity else "",
    }


def plain(reading: Reading) -> Value | dict[str, str]:
    """A reading as JSON: its value, or why there is none."""
    return reading.value if reading.value is not None else {"error": reading.unknown or ""}
