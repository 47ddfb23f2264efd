"""The agent's own surfaces and the terminal's place: case switch, passwords, certificates, signs of the place.

Readings: case open|opened|closed · password ok|weak and password_why · certificate ok|expiring, certificate_days and
certificate_of (the file) · place home|elsewhere, place_score, place_parts · {device}.part same|other, {device}.changed.
"""

from __future__ import annotations

import stat
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from agent.certificate import BadCertificate, from_pem
from agent.config import Config
from agent.guard import Guard
from agent.probes.route import Route, find_route, gateway_address, network_of
from agent.probes.tree import text
from agent.security import weakness
from drivers.reading import Cause, Reading, known, unknown

_PLACE_S: Final = 60.0
_FILES_S: Final = 3600.0
_ZONES: Final = "/zoneinfo/"
_READ_BYTES: Final = 1 << 20


class SecurityProbe:
    """Looks at the case switch each run; at the place each minute and at files each hour."""

    name = "security"

    def __init__(
        self,
        config: Config,
        guard: Guard,
        families: Mapping[str, str],
        *,
        config_file: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        localtime: str = "/etc/localtime",
        offline_s: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self.interval_s = 2.0 if config.security.case_switch else 10.0
        self._config = config
        self._guard = guard
        self._families = families
        self._config_file = config_file
        self._clock = clock
        self._wall = wall
        self._localtime = Path(localtime)
        self._offline_s = offline_s
        self._place_at: float | None = None
        self._files_at: float | None = None
        self._route = Route()

    def run(self) -> dict[str, Reading]:
        """All that is due; milliseconds."""
        now = self._clock()
        readings = self._guard.parts(self._families)
        if self._config.security.case_switch:
            readings |= self._guard.case(self._switch())
        if self._place_at is None or now - self._place_at >= _PLACE_S:
            hours = 0.0 if self._place_at is None else (now - self._place_at) / 3600
            self._place_at = now
            readings |= self._guard.place(self._signs(), hours)
        if self._files_at is None or now - self._files_at >= _FILES_S:
            self._files_at = now
            readings |= self._passwords() | self._certificates()
        return readings

    def _switch(self) -> Reading:
        """open|closed from a file of the kernel that holds 0 or 1, such as a GPIO line or a chassis alarm."""
        value = text(self._config.security.case_switch)
        if value not in {"0", "1"}:
            return unknown(Cause.FAILED if value is None else Cause.BAD_REPLY)
        return known("open" if value == self._config.security.case_open_value else "closed")

    # --- place

    def _signs(self) -> dict[str, str | None]:
        """The host's signs. Behind the terminal's own modem the gateway travels with it and says nothing."""
        signs: dict[str, str | None] = {"gateway": None, "network": None, "zone": self._zone()}
        network, paths = self._config.network, self._config.paths
        if network.bearer != "modem":
            route = find_route(paths.proc, paths.sys, network.interface, self._route.interface, network.bearer)
            self._route = route
            signs["gateway"] = gateway_address(paths.proc, route) or None
            signs["network"] = network_of(route) or None
        return signs

    def _zone(self) -> str | None:
        """The name of the time zone, from where the link leads; a file without a name says nothing."""
        try:
            target = str(self._localtime.readlink())
        except OSError:
            return None
        return target.partition(_ZONES)[2] or None

    # --- files

    def _passwords(self) -> dict[str, Reading]:
        """The broker's password, and who may read it and the key. A file that is not there is the uplink's matter."""
        mqtt, terminal = self._config.mqtt, self._config.terminal
        why = ""
        password = _content(mqtt.password_file)
        if password is not None:
            names = (terminal.id, terminal.estate, mqtt.username)
            why = weakness(password.decode("utf-8", "replace"), names)
        for word, path, bit in (
            ("password_file_open", mqtt.password_file, stat.S_IROTH),
            ("key_file_open", mqtt.key_file, stat.S_IROTH),
            (
                "config_writable",
                str(self._config_file or ""),
                stat.S_IWOTH,
            ),  # it holds no secret, but says whom to obey
        ):
            why = why or (word if _mode(path) & bit else "")
        return {"password": known("weak" if why else "ok"), "password_why": known(why or "none")}

    def _certificates(self) -> dict[str, Reading]:
        """The one of our certificates that ends first. A bundle of authorities is as good as its longest-lasting."""
        wall, limit = self._wall(), self._config.security.certificate_days
        mqtt, network = self._config.mqtt, self._config.network
        found = []
        unreadable = False
        offline_s = self._offline_s()
        for name, path, choose, away_s in (
            ("mqtt.cert_file", mqtt.cert_file, min, offline_s),
            ("mqtt.ca_file", mqtt.ca_file, max, offline_s),
            ("network.acquirer_ca", network.acquirer_ca, max, 0.0),
        ):
            data = _content(path)
            if data is None:
                unreadable = unreadable or bool(path)
                continue
            try:
                validity = choose(from_pem(data), key=lambda each: each.not_after)
            except BadCertificate:
                unreadable = True
                continue
            found.append((not validity.ends_soon(wall, limit, away_s), validity.days_left(wall), name))
        if not found:
            cause = Cause.FAILED if unreadable else Cause.UNSUPPORTED
            return dict.fromkeys(("certificate", "certificate_days", "certificate_of"), unknown(cause))
        good, days, name = min(found)
        return {
            "certificate": known("ok" if good else "expiring"),
            "certificate_days": known(round(days, 1)),
            "certificate_of": known(name),
        }


def _content(path: str) -> bytes | None:
    if not path:
        return None
    try:
        with Path(path).open("rb") as file:
            return file.read(_READ_BYTES)
    except OSError:
        return None


def _mode(path: str) -> int:
    if not path:
        return 0
    try:
        return Path(path).stat().st_mode
    except OSError:
        return 0
