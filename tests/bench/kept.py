"""What was measured, kept in bench.json, so that table and pictures can be made again without measuring."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.bench.figure import Figure
from tests.mqtt.broker import MOSQUITTO

PEERS = ("zabbix-agent2", "glances", "thingsboard-gateway")  # of the issue; figures' keys begin with them


@dataclass(slots=True)
class Part:
    """One part's run. `load` is the machine's load when it began, 0 for an idle one."""

    at: str
    quick: bool
    load: float
    took_s: int = 0
    figures: list[Figure] = field(default_factory=list)
    series: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Kept:
    """All parts, newest run of each, of one machine."""

    path: Path
    machine: dict[str, str]
    parts: dict[str, Part] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path) -> Kept:
        """What the file holds; figures of another machine are not mixed with this one's."""
        kept = cls(path, machine())
        if not path.exists():
            return kept
        found = json.loads(path.read_text("utf-8"))
        if found["machine"] != kept.machine:
            print(f"{path} is of another machine; put aside as {path.name}.before")
            shutil.move(path, path.with_name(f"{path.name}.before"))
            return kept
        for name, part in found["parts"].items():
            kept.parts[name] = Part(**{**part, "figures": [Figure(**figure) for figure in part["figures"]]})
        return kept

    def put(self, name: str, part: Part) -> None:
        """Keep a part, also while it is under way."""
        self.parts[name] = part
        text = json.dumps({"machine": self.machine, "parts": {key: asdict(value) for key, value in self.parts.items()}})
        self.path.write_text(text.replace('{"key"', '\n{"key"') + "\n", "utf-8")  # a line each, for who compares

    def figure(self, key: str) -> Figure | None:
        return next((figure for part in self.parts.values() for figure in part.figures if figure.key == key), None)

    def series(self, key: str) -> Any:
        return next((part.series[key] for part in self.parts.values() if key in part.series), None)


def machine() -> dict[str, str]:
    """Processor, cores, memory, kernel, Python, broker."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "processor": _processor(),
        "cores": f"{os.cpu_count()} cores",
        "memory": f"{pages / 2**30:.1f} GiB of memory",
        "kernel": f"{platform.system()} {platform.release()}",
        "python": f"Python {platform.python_version()}",
        "broker": _broker(),
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _broker() -> str:
    if MOSQUITTO is None:
        return "broker rumqttd (embedded)"
    said = subprocess.run([MOSQUITTO, "-h"], capture_output=True, text=True, check=False).stdout
    return "broker " + (said.splitlines() or ["mosquitto"])[0]
