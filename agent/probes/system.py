"""The terminal's own computer.

Readings: cpu_percent · memory_available_percent and _bytes · disk ok|readonly · disk_free_percent and _bytes ·
temperature_c · clock ok|wrong · clock_offset_s (positive: our clock is ahead) · clock_source ntp|modem ·
payment_app up|down · screen on|off · uptime_s.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import datetime

from agent.config import NetworkConfig, PathsConfig, SystemConfig
from agent.probes.reach import endpoint
from agent.probes.sntp import clock_offset_s
from agent.probes.tree import entries, measured, number, text
from drivers.reading import Cause, Reading, known, unknown

_NTP_EVERY_S = 60.0  # servers ask for a minute at least between two questions
_NTP_SOON_S = 16.0  # the shortest interval of the protocol's own clients, while the clock is wrong
_MODEM_CLOCK_S = 120.0  # what the modem said is no news after that


class SystemProbe:
    """Looks at processor, memory, disk, clock, screen and the payment application."""

    name = "system"

    def __init__(
        self,
        config: SystemConfig,
        network: NetworkConfig,
        paths: PathsConfig,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.interval_s = config.poll_s
        self._config = config
        self._ntp = network.ntp
        self._paths = paths
        self._clock, self._wall = clock, wall
        self._busy: tuple[int, int] | None = None
        self._ntp_at: float | None = None
        self._ntp_offset: float | None = None
        self._modem: tuple[float, float] | None = None

    def told_by_modem(self, utc: str) -> None:
        """The network's time as a modem just gave it, RFC 3339; what is not a time is ignored."""
        try:
            when = datetime.fromisoformat(utc)
        except ValueError:
            return
        if when.tzinfo is not None:
            self._modem = (self._clock(), self._wall() - when.timestamp())

    def run(self) -> dict[str, Reading]:
        """All readings; milliseconds, or up to 1.5 s when the time server is asked."""
        readings = {"cpu_percent": self._cpu(), "temperature_c": self._temperature(), "uptime_s": self._uptime()}
        return readings | self._memory() | self._disk() | self._clocks() | self._parts()

    def _cpu(self) -> Reading:
        """Share of time since the last run in which all processors together were not idle."""
        line = (text(f"{self._paths.proc}/stat") or "").partition("\n")[0].split()
        try:
            times = [int(word) for word in line[1:9]]
            idle, total = times[3] + times[4], sum(times)
        except (ValueError, IndexError):
            return unknown(Cause.UNSUPPORTED)
        before, self._busy = self._busy, (idle, total)
        if before is None or total <= before[1]:
            return unknown(Cause.NOT_ASKED)
        return known(round(100 * (1 - (idle - before[0]) / (total - before[1])), 1))

    def _memory(self) -> dict[str, Reading]:
        found = {}
        for line in (text(f"{self._paths.proc}/meminfo") or "").splitlines():
            name, _, rest = line.partition(":")
            if name in {"MemTotal", "MemAvailable"} and rest.split()[:1]:
                found[name] = int(rest.split()[0]) * 1024
        free, total = found.get("MemAvailable"), found.get("MemTotal")
        percent = round(100 * free / total, 1) if free is not None and total else None
        return {"memory_available_bytes": measured(free), "memory_available_percent": measured(percent)}

    def _disk(self) -> dict[str, Reading]:
        try:
            found = os.statvfs(self._config.disk_path or self._paths.state_dir)
        except OSError:
            return {name: unknown(Cause.FAILED) for name in ("disk", "disk_free_percent", "disk_free_bytes")}
        percent = round(100 * found.f_bavail / found.f_blocks, 1) if found.f_blocks else None
        return {
            "disk": known("readonly" if found.f_flag & os.ST_RDONLY else "ok"),
            "disk_free_percent": measured(percent),
            "disk_free_bytes": known(found.f_bavail * found.f_frsize),
        }

    def _temperature(self) -> Reading:
        root = f"{self._paths.sys}/class/thermal"
        zones = (number(f"{root}/{name}/temp") for name in entries(root) if name.startswith("thermal_zone"))
        return measured(max((zone / 1000 for zone in zones if zone is not None), default=None))  # thousandths

    def _uptime(self) -> Reading:
        try:
            return known(round(float((text(f"{self._paths.proc}/uptime") or "").split()[0])))
        except (ValueError, IndexError):
            return unknown(Cause.UNSUPPORTED)

    # --- the clock ---

    def _clocks(self) -> dict[str, Reading]:
        """A time server's word counts more than the modem's, whose network may give a wrong zone."""
        now = self._clock()
        modem = self._modem[1] if self._modem is not None and now - self._modem[0] < _MODEM_CLOCK_S else None
        if self._ntp:
            # A modem that says otherwise is a reason to ask again at once.
            known_offset = self._ntp_offset
            doubt = known_offset is not None and modem is not None and abs(modem - known_offset) > 30
            wrong = known_offset is not None and abs(known_offset) > self._config.max_clock_offset_s / 2
            every_s = _NTP_SOON_S if wrong else _NTP_EVERY_S
            due = self._ntp_at is None or now - self._ntp_at >= every_s
            if due or (
                doubt and self._modem is not None and self._ntp_at is not None and self._modem[0] > self._ntp_at
            ):
                self._ntp_at = now
                self._ntp_offset = clock_offset_s(endpoint(self._ntp, 123), wall=self._wall)
        for offset, source in ((self._ntp_offset, "ntp"), (modem, "modem")):
            if offset is not None:
                right = abs(offset) <= self._config.max_clock_offset_s
                return {
                    "clock": known("ok" if right else "wrong"),
                    "clock_offset_s": known(round(offset, 1)),
                    "clock_source": known(source),
                }
        why = Cause.NO_REPLY if self._ntp else Cause.UNSUPPORTED
        return {name: unknown(why) for name in ("clock", "clock_offset_s", "clock_source")}

    # --- parts ---

    def _parts(self) -> dict[str, Reading]:
        return {"payment_app": self._payment_app(), "screen": self._screen()}

    def _payment_app(self) -> Reading:
        kind, _, what = self._config.payment_app.partition(":")
        if kind == "pidfile":
            found = text(what)
            pids = [found] if found is not None and found.isdigit() else []
        elif kind == "process":
            wanted = what[:15]  # the kernel keeps no more of a name
            proc = self._paths.proc
            pids = [each for each in entries(proc) if each.isdigit() and text(f"{proc}/{each}/comm") == wanted]
        else:
            return unknown(Cause.UNSUPPORTED)
        return known("up" if any(self._lives(pid) for pid in pids) else "down")

    def _lives(self, pid: str) -> bool:
        stat = text(f"{self._paths.proc}/{pid}/stat")
        if stat is not None:
            return stat.rpartition(")")[2].split()[:1] not in (["Z"], ["X"])  # a zombie serves nobody
        try:
            os.kill(int(pid), 0)
        except PermissionError:
            return True
        except (ProcessLookupError, OverflowError):
            return False
        return int(pid) > 0  # 0 would mean ourselves

    def _screen(self) -> Reading:
        """On when any backlight or connected display is; 0 is the kernel's word for a backlight that is on."""
        if not self._config.screen:
            return unknown(Cause.UNSUPPORTED)
        root = f"{self._paths.sys}/class/backlight"
        powers = [power for name in entries(root) if (power := number(f"{root}/{name}/bl_power")) is not None]
        if powers:
            return known("on" if 0 in powers else "off")
        root = f"{self._paths.sys}/class/drm"
        states = [text(f"{root}/{name}/dpms") for name in entries(root) if text(f"{root}/{name}/status") == "connected"]
        if not states or None in states:
            return unknown(Cause.UNSUPPORTED)
        return known("on" if "On" in states else "off")
