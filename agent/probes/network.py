"""The network ladder: link, address, gateway, names, acquirer, TLS, captive portal; the first that fails is the fault.

Readings: link up|down · address ok|none · gateway, dns, acquirer, tls ok|failed, each with _why (a word) and, where it
took time, _ms · tls_certificate ok|expiring and tls_certificate_days · portal yes|no · latency_ms and loss_percent over
the latest questions · changes (of link and address, in five minutes) · interface. A rung above a failed one was not
asked.
"""

from __future__ import annotations

import socket
import time
from collections import deque
from collections.abc import Callable

from agent.certificate import BadCertificate, from_der
from agent.config import NetworkConfig, PathsConfig
from agent.probes import dns, reach
from agent.probes.route import Route, address_reading, find_route, link_reading, neighbour_known
from agent.probes.tree import measured, number, text
from drivers.reading import Cause, Reading, known, unknown

_WALK_S = 6.0  # all rungs together; the link is looked at again within this time
_RUNG_S = 2.0  # two lost packets and their repetitions; the gateway is near and has less
_GATEWAY_S = 1.5
_AGAIN_S = 5.0  # a failed ladder is walked again this soon, so that two failures and a recovery are seen early
_LOOK_S = 2.0  # link and address cost nothing
_SAMPLES = 20
_SAMPLES_FOR_LOSS = 10  # fewer cannot tell 10 % from 30 %
_CHANGES_S = 300.0
_TLS_EVERY = 4  # walks on a modem: a handshake is some 5 KB, more than all other rungs together
_TLS_EVERY_METERED = 12  # once a day
_LONGEST_AGAIN_S = 300.0  # a ladder that goes on failing where each look costs money
_QUESTION_BYTES, _CONNECT_BYTES, _HANDSHAKE_BYTES = 190, 400, 5000  # as they usually are, both ways, headers included
_RUNGS = ("gateway", "dns", "acquirer", "tls")


class NetworkProbe:
    """Looks at link and address each run; walks the ladder each `poll_s`, at once after a change, sooner in trouble.

    A run returns only what it measured itself. The last rung, the broker, is told to the rules by who knows the uplink.
    """

    name = "network"

    def __init__(
        self,
        config: NetworkConfig,
        paths: PathsConfig,
        clock: Callable[[], float] = time.monotonic,
        resolv_conf: str = "/etc/resolv.conf",
        *,
        certificate_days: float = 14.0,
        wall: Callable[[], float] = time.time,
        metered_s: float = 0.0,
    ) -> None:
        """`metered_s` is the time between two walks where bytes cost money, 0 where `poll_s` holds."""
        self.spent = 0
        """Bytes that this probe has put on the line and got, by estimate."""
        self._every_s = metered_s or config.poll_s
        self._metered = metered_s > 0
        self._again_s = _AGAIN_S
        self._certificate_days = certificate_days
        self._wall = wall
        self.interval_s = min(_LOOK_S, config.poll_s)
        self._config = config
        self._paths = paths
        self._clock = clock
        self._resolv_conf = resolv_conf
        self._interface = config.interface
        self._local: tuple[object, ...] = ()
        self._walk_at = 0.0
        self._tls_in = 0
        self._samples: deque[float | None] = deque(maxlen=_SAMPLES)
        self._changes: deque[float] = deque(maxlen=100)
        self._failed = False
        self._rung: str | None = None
        self._carrier_changes: int | None = None

    def run(self) -> dict[str, Reading]:
        """What is known now; within milliseconds, or within about 6 s when the ladder is walked."""
        now = self._clock()
        route = find_route(
            self._paths.proc, self._paths.sys, self._config.interface, self._interface, self._config.bearer
        )
        self._interface = route.interface
        link = link_reading(self._paths.sys, route.interface)
        address = address_reading(self._paths.proc, route) if link.value != "down" else unknown(Cause.NOT_ASKED)
        readings = {
            "link": link,
            "address": address,
            "interface": measured(route.interface or None),
        }
        local = (link.value, address.value, route.gateway)
        if link.value == "down" or address.value == "none":
            self._walk_at, self._tls_in, self._failed = now, 0, False
            readings |= _not_asked(_RUNGS) | {"portal": unknown(Cause.NOT_ASKED)}
            self._note("link" if link.value == "down" else "address", now)
        elif now >= self._walk_at or local != self._local:
            readings |= self._walk(route)
            failed = any((found := readings.get(rung)) and found.value == "failed" for rung in _RUNGS)
            self._walk_at, self._failed = self._clock() + self._rest_s(failed=failed), failed
            self._note("", now)
            readings |= self._quality()
        self._local = local
        while self._changes and self._changes[0] < now - _CHANGES_S:
            self._changes.popleft()
        readings["changes"] = known(len(self._changes))
        return readings

    def walk_soon(self) -> None:
        """Something else has failed that stands on the ladder."""
        self._walk_at, self._tls_in, self._again_s = 0.0, 0, _AGAIN_S

    def _rest_s(self, *, failed: bool) -> float:
        """How long after a walk: a first failure is confirmed at the next look; after that there is no hurry."""
        if not failed:
            self._again_s = _AGAIN_S
            return self._every_s
        if not self._failed:
            return 0.0
        rest_s = min(self._again_s, self._every_s)
        if self._metered:
            self._again_s = min(2 * self._again_s, _LONGEST_AGAIN_S)
        return rest_s

    # --- the ladder ---

    def _walk(self, route: Route) -> dict[str, Reading]:
        deadline = time.monotonic() + _WALK_S
        out = _not_asked(_RUNGS) | {"portal": unknown(Cause.NOT_ASKED)}
        self._gateway(route, out)
        servers = self._resolvers()
        hosts = [reach.endpoint(self._config.acquirer, 443)] if self._config.acquirer else []
        addresses, remote = self._names(hosts, servers, deadline, out)
        if addresses and deadline - time.monotonic() > _RUNG_S / 2:
            self._acquirer(hosts[0], addresses, deadline, out)
        past = out["acquirer"].value == "ok" or (remote and out["dns"].value == "ok")
        if out["gateway"].value == "failed":
            if past:  # it answers nobody, and lets everything through
                out |= {"gateway": unknown(Cause.INCONSISTENT)}
            else:
                self._tls_in = 0
                return out | _not_asked(_RUNGS[1:])
        tls = out.get("tls")  # absent on a walk that spares the handshake: what the last one proved stands
        if tls is not None and tls.value == "ok":
            out["portal"] = known("no")  # the acquirer has proved who it is, so nobody stands in the way
        elif tls is not None:
            self._tls_in = 0
            if self._config.portal_check and out["dns"].value != "failed":
                self._portal(servers, deadline, out)
        if not self._metered and out["dns"].value == "ok" and hosts and not reach.is_address(hosts[0][0]):
            self._sample(servers, hosts[0][0], deadline)
        return out

    def _gateway(self, route: Route, out: dict[str, Reading]) -> None:
        host, port = reach.endpoint(self._config.gateway) if self._config.gateway else (route.gateway, 0)
        if not host:
            if route.default:  # a point-to-point line has nobody to ask
                out["gateway"] = unknown(Cause.UNSUPPORTED)
            else:
                out |= {"gateway": known("failed"), "gateway_why": known("no_default_route")}
            return
        began = time.monotonic()
        if port:
            self.spent += _CONNECT_BYTES
            link, why = reach.connect((host, port), _GATEWAY_S)
            if link is not None:
                link.close()
            answered: bool | None = link is not None or why == "refused"  # a refusal is an answer
        else:
            answered, why = reach.ping(host, _GATEWAY_S), "timeout"
        took = (time.monotonic() - began) * 1000
        if not answered and not port and neighbour_known(self._paths.proc, host):
            answered = True  # it answers at the level below; many gateways drop echoes
        elif answered is None:
            out["gateway"] = unknown(Cause.PORT_DENIED)
            return
        out["gateway"] = known("ok" if answered else "failed")
        if answered:
            out["gateway_ms"] = known(round(took, 1))
        else:
            out["gateway_why"] = known(why)

    def _names(
        self, hosts: list[tuple[str, int]], servers: list[tuple[str, int]], deadline: float, out: dict[str, Reading]
    ) -> tuple[tuple[str, ...], bool]:
        """The acquirer's addresses, and whether they came from another machine than this one."""
        if not hosts:
            return (), False
        if reach.is_address(hosts[0][0]):
            return (hosts[0][0],), False
        if not servers:
            out |= {"dns": known("failed"), "dns_why": known("no_resolver")}
            return (), False
        # Behind a gateway that is silent one question will do: it only tells whether the silence means anything.
        turns = 1 if out["gateway"].value == "failed" else 2
        until = min(deadline, time.monotonic() + turns * _RUNG_S)
        self.spent += _QUESTION_BYTES
        found = dns.lookup(servers, hosts[0][0], until, attempts=turns)
        if found.answer is not None and found.answer.why == "no_address":
            found = dns.lookup(servers, hosts[0][0], until, kind=dns.AAAA)
        if found.answer is None or not found.answer.addresses:
            why = found.answer.why if found.answer is not None else "timeout"
            out |= {"dns": known("failed"), "dns_why": known(why)}
            while self._samples and self._samples[-1] is None:
                self._samples.pop()  # it had stopped answering by then, which is not a line that loses
            return (), False
        self._samples.extend([None] * found.lost)
        self._samples.append(found.ms)
        out |= {"dns": known("ok"), "dns_ms": measured(None if found.ms is None else round(found.ms, 1))}
        return found.answer.addresses, not found.server.startswith(("127.", "::1"))

    def _acquirer(
        self, host: tuple[str, int], addresses: tuple[str, ...], deadline: float, out: dict[str, Reading]
    ) -> None:
        why = "timeout"
        for address in addresses[:2]:
            began = time.monotonic()
            self.spent += _CONNECT_BYTES
            link, why = reach.connect((address, host[1]), min(_RUNG_S, deadline - began))
            if link is None:
                continue
            took = time.monotonic() - began
            out |= {"acquirer": known("ok"), "acquirer_ms": known(round(took * 1000, 1))}
            self._tls_in -= 1
            if self._tls_in > 0:
                link.close()
                for name in ("tls", "tls_ms", "tls_why"):
                    out.pop(name, None)
                out.pop("portal", None)
                return
            slowest = max([took, *(each / 1000 for each in self._samples if each is not None)][-5:])
            self._tls(link, host[0], slowest, deadline, out)
            return
        out |= {"acquirer": known("failed"), "acquirer_why": known(why)}

    def _tls(self, link: socket.socket, host: str, trip_s: float, deadline: float, out: dict[str, Reading]) -> None:
        began = time.monotonic()
        limit = max(0.1, min(deadline - began, max(_RUNG_S, 4 * trip_s)))
        seen: list[bytes] = []
        self.spent += _HANDSHAKE_BYTES
        done, why = reach.handshake(link, host, self._config.acquirer_ca, limit, seen)
        took = (time.monotonic() - began) * 1000
        self._tls_in = _TLS_EVERY_METERED if self._metered else _TLS_EVERY if self._config.bearer == "modem" else 0
        if done:
            out |= {"tls": known("ok"), "tls_ms": known(round(took, 1)), **self._certificate(seen[0])}
        elif why == "timeout" and limit < 3 * trip_s + 1:  # two round trips and the reckoning had no time
            out["tls"] = unknown(Cause.NO_REPLY)
        else:
            out |= {"tls": known("failed"), "tls_why": known(why)}

    def _certificate(self, der: bytes) -> dict[str, Reading]:
        try:
            validity = from_der(der)
        except BadCertificate:
            return {}  # OpenSSL took it; that we cannot read its dates is no fact about it
        now = self._wall()
        return {
            "tls_certificate": known("expiring" if validity.ends_soon(now, self._certificate_days) else "ok"),
            "tls_certificate_days": known(round(validity.days_left(now), 1)),
        }

    def _portal(self, servers: list[tuple[str, int]], deadline: float, out: dict[str, Reading]) -> None:
        where, _, path = self._config.portal_check.removeprefix("http://").partition("/")
        host, port = reach.endpoint(where, 80)
        address = host
        until = min(deadline, time.monotonic() + _RUNG_S)
        if not reach.is_address(host):
            found = dns.lookup(servers, host, until) if servers else None
            if found is None or found.answer is None or not found.answer.addresses:
                return
            address = found.answer.addresses[0]
        link, _ = reach.connect((address, port), until - time.monotonic())
        status = reach.http_status(link, where, f"/{path}", until - time.monotonic()) if link is not None else None
        if status is None:
            out["portal"] = unknown(Cause.NO_REPLY)
        elif status == 204:
            out["portal"] = known("no")
        elif status < 400 or status == 511:  # a page or a redirect where nothing should be; 511 says so itself
            out |= {"portal": known("yes"), "portal_why": known(f"http_{status}")}
        else:
            out["portal"] = unknown(Cause.BAD_REPLY)

    # --- over time ---

    def _sample(self, servers: list[tuple[str, int]], host: str, deadline: float) -> None:
        slowest = max([each for each in list(self._samples)[-10:] if each is not None][-5:], default=0.0) / 1000
        patience = min(_RUNG_S, max(_RUNG_S / 4, 4 * slowest))  # what comes after four times the usual time is lost
        for _ in range(2):
            until = time.monotonic() + patience
            if until > deadline:
                return  # too little time to call silence a loss
            self.spent += _QUESTION_BYTES
            self._samples.append(dns.lookup(servers[:1], host, until, attempts=1).ms)

    def _quality(self) -> dict[str, Reading]:
        answered = [each for each in list(self._samples)[-10:] if each is not None]
        lost = sum(each is None for each in self._samples)
        enough = len(self._samples) >= _SAMPLES_FOR_LOSS
        return {
            "latency_ms": measured(_median(answered) if len(answered) > 2 else None, "not_asked"),
            "loss_percent": measured(round(100 * lost / len(self._samples)) if enough else None, "not_asked"),
        }

    def _note(self, rung: str, now: float) -> None:
        """Count a change of what fails here (link, address or neither), and what the carrier did between two looks."""
        carrier = number(f"{self._paths.sys}/class/net/{self._interface}/carrier_changes")
        unseen = carrier - self._carrier_changes if carrier is not None and self._carrier_changes is not None else 0
        changed = int(self._rung is not None and rung != self._rung)
        self._changes.extend([now] * max(changed, unseen))
        self._rung, self._carrier_changes = rung, carrier

    def _resolvers(self) -> list[tuple[str, int]]:
        if self._config.dns:
            return [reach.endpoint(each, 53) for each in self._config.dns]
        lines = (text(self._resolv_conf) or "").splitlines()
        return [(words[1], 53) for line in lines if (words := line.split())[:1] == ["nameserver"] and len(words) > 1][
            :3
        ]


def _median(values: list[float]) -> float:
    return round(sorted(values)[len(values) // 2], 1)


def _not_asked(rungs: tuple[str, ...]) -> dict[str, Reading]:
    return {name: unknown(Cause.NOT_ASKED) for rung in rungs for name in (rung, f"{rung}_ms", f"{rung}_why")}
