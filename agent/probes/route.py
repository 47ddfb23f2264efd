"""Which interface carries the default route, whether it has a carrier and an address: the kernel's own tables.

Source: proc(5) for net/route, net/fib_trie, net/if_inet6 and net/arp; the kernel's sysfs-class-net ABI.
"""

from __future__ import annotations

import re
import socket
import struct
from dataclasses import dataclass

from agent.probes.tree import entries, number, text
from drivers.reading import Cause, Reading, known, unknown

_PREFIX = {"ethernet": ("eth", "en", "usb"), "modem": ("wwan", "ppp", "rmnet", "usb"), "wifi": ("wl",)}
_LOCAL = re.compile(r"\|-- (\d+\.\d+\.\d+\.\d+)\n\s+/32 host LOCAL")
_COMPLETE = 0x2  # ATF_COM: the neighbour has answered


@dataclass(frozen=True, slots=True)
class Route:
    """`networks` are (address, mask) of the interface's routes as numbers; `gateway` is empty on a line to one peer."""

    interface: str = ""
    default: bool = False
    gateway: str = ""
    networks: tuple[tuple[int, int], ...] = ()


def find_route(proc: str, sys: str, configured: str, last: str, bearer: str) -> Route:
    """The route over the configured interface, or over the cheapest default route.

    Without any it is the interface that had it `last`, or the one that such a bearer usually has: its routes went
    with its carrier, and its carrier is what people want to hear of.
    """
    rows = []
    for line in (text(f"{proc}/net/route") or "").splitlines()[1:]:
        words = line.split()
        try:
            rows.append((words[0], int(words[1], 16), int(words[2], 16), int(words[6]), int(words[7], 16)))
        except (IndexError, ValueError):
            continue
    defaults = [row for row in rows if row[1] == 0 and row[4] == 0 and configured in {"", row[0]}]
    chosen = min(defaults, key=lambda row: row[3], default=None)
    interface = chosen[0] if chosen else configured or last or _usual(sys, bearer)
    networks = tuple((_host_order(row[1]), _host_order(row[4])) for row in rows if row[0] == interface and row[4])
    return Route(interface, chosen is not None, _dotted(chosen[2]) if chosen and chosen[2] else "", networks)


def link_reading(sys: str, interface: str) -> Reading:
    """up|down. An interface that is gone is down: a modem's vanishes with its data session."""
    if not interface:
        return known("down")
    folder = f"{sys}/class/net/{interface}"
    state = text(f"{folder}/operstate")
    if state is None:
        return known("down")
    carrier = number(f"{folder}/carrier")  # the kernel refuses to say while the interface is switched off
    if state == "up" or (state == "unknown" and carrier == 1):  # modems and PPP do not tell a state
        return known("up" if carrier != 0 else "down")
    return unknown(Cause.FAILED) if state == "unknown" and carrier is None else known("down")


def address_reading(proc: str, route: Route) -> Reading:
    """ok|none: an address that is not loopback or self-assigned, on a network of the interface or with its route."""
    trie = text(f"{proc}/net/fib_trie")
    inet6 = text(f"{proc}/net/if_inet6")
    if trie is None and inet6 is None:
        return unknown(Cause.UNSUPPORTED)
    for dotted in _LOCAL.findall(trie or ""):
        if dotted.startswith(("127.", "169.254.")):
            continue
        value = struct.unpack(">I", socket.inet_aton(dotted))[0]
        if route.default or any(value & mask == net for net, mask in route.networks):
            return known("ok")
    for line in (inet6 or "").splitlines():
        words = line.split()
        if len(words) == 6 and words[5] == route.interface and words[3] == "00":  # scope 00 is global
            return known("ok")
    return known("none")


def neighbour_known(proc: str, address: str) -> bool:
    """Whether the kernel has heard from this neighbour lately."""
    for line in (text(f"{proc}/net/arp") or "").splitlines()[1:]:
        words = line.split()
        if len(words) > 3 and words[0] == address and words[2].startswith("0x"):
            return bool(int(words[2], 16) & _COMPLETE)
    return False


def gateway_address(proc: str, route: Route) -> str:
    """The hardware address of the route's gateway, "" while the kernel has not heard from it."""
    for line in (text(f"{proc}/net/arp") or "").splitlines()[1:]:
        words = line.split()
        if len(words) > 5 and words[0] == route.gateway and words[5] == route.interface:
            try:
                return words[3] if int(words[2], 16) & _COMPLETE else ""
            except ValueError:
                return ""
    return ""


def network_of(route: Route) -> str:
    """The network that the gateway is in, as address/mask; "" for none."""
    try:
        gateway = struct.unpack(">I", socket.inet_aton(route.gateway))[0]
    except OSError:
        return ""
    for net, mask in route.networks:
        if gateway & mask == net:
            return f"{socket.inet_ntoa(struct.pack('>I', net))}/{mask.bit_count()}"
    return ""


def _usual(sys: str, bearer: str) -> str:
    names = entries(f"{sys}/class/net")
    return next((name for prefix in _PREFIX[bearer] for name in names if name.startswith(prefix)), "")


def _host_order(value: int) -> int:
    """The table prints what is in memory in network order as the machine's own integer: little-endian here."""
    return socket.ntohl(value)


def _dotted(value: int) -> str:
    return socket.inet_ntoa(struct.pack(">I", socket.ntohl(value)))
