"""How the configuration's texts must be spelled: each check gives what is wrong with a path, a host …, "" for nothing.

Words that `agent.limits.Spelled` names; an empty text stands for "none" everywhere but where a length is asked for too.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import Final

_LABEL = re.compile(r"\w([\w-]{0,61}\w)?")
_INTERFACE = re.compile(r"(?!\.{1,2}$)[^\s/:]{1,15}")  # IFNAMSIZ of linux/if.h is 16, the last a zero
_UPS = re.compile(r'[^\s@"]{1,64}')
_URL = re.compile(r"(mqtts?)://([^/]+)/?")
_LONGEST_PATH: Final = 4095  # PATH_MAX of linux/limits.h is 4096, the last a zero


def line(text: str) -> str:
    """Text on one line."""
    if len(text) > 256:
        return f"is {len(text)} characters long, more than 256"
    return "" if text.isprintable() else "holds a control character"


def file(text: str) -> str:
    """A whole path: the daemon's own directory is nobody's business."""
    if not text:
        return ""
    if not text.isprintable():
        return "holds a control character"
    if len(text.encode()) > _LONGEST_PATH:
        return f"is longer than the {_LONGEST_PATH} bytes that a path may have"
    return "" if text.startswith("/") else "must be a whole path, which begins with /"


def peer(text: str) -> str:
    """host, host:port, an address, or [IPv6]:port."""
    if not text:
        return ""
    if "://" in text or "/" in text:
        return "must be host or host:port, without http:// before it or a path behind it"
    host, port = _parted(text)
    if port is not None and not (re.fullmatch("[0-9]{1,5}", port) and 0 < int(port) < 65_536):
        return "the port is not a number from 1 to 65535"
    if text.startswith("[") and not _is_v6(host):
        return f"{host!r} in brackets is no IPv6 address"
    return "" if is_host(host) else f"{host!r} is neither a host's name nor an address"


def site(text: str) -> str:
    """A host or host:port as it stands in addresses of pages: in small letters, and never IPv6."""
    if "[" in text or text.count(":") > 1:
        return "must be a host's name or an IPv4 address, with :port behind it or none"
    return peer(text) or ("must be in small letters" if text != text.lower() else "")


def resolver(text: str) -> str:
    """An address or address:port: who resolves names cannot be looked up by name."""
    if text and not (wrong := peer(text)) and not _is_address(_parted(text)[0]):
        return f"{_parted(text)[0]!r} is no address, and a resolver's name cannot be looked up"
    return wrong if text else "must not be empty"


def gateway(text: str) -> str:
    """A host or host:port; IPv6 only with a port, since the echo that is sent without one is IPv4's."""
    host, port = _parted(text)
    return peer(text) or ("write an IPv6 gateway as [address]:port" if port is None and _is_v6(host) else "")


def ups(text: str) -> str:
    """name@host or name@host:port."""
    name, found, server = text.rpartition("@")
    if text and not (found and _UPS.fullmatch(name) and server):
        return "must be ups@host or ups@host:port, such as ups@127.0.0.1:3493"
    return peer(server)


def portal(text: str) -> str:
    """http://host/path or http://host:port/path."""
    if not text:
        return ""
    where, _, path = text.removeprefix("http://").partition("/")
    if not text.startswith("http://") or not where or not path.isascii() or not path.isprintable() or " " in path:
        return "must be http://host/path or http://host:port/path"
    return peer(where)


def application(text: str) -> str:
    """pidfile:PATH or process:NAME."""
    kind, _, what = text.partition(":")
    if not text:
        return ""
    if kind not in {"pidfile", "process"} or not what or not what.isprintable():
        return "must be pidfile:PATH or process:NAME"
    return file(what) if kind == "pidfile" else ""


def interface(text: str) -> str:
    """A name below /sys/class/net."""
    return "" if not text or _INTERFACE.fullmatch(text) else "must be the name of a network interface, such as eth0"


def broker(text: str) -> str:
    """mqtt://host:port or mqtts://host:port."""
    found = _URL.fullmatch(text)
    if not found or not found[2].isprintable() or set(found[2]) & set("@?# "):
        return "must be mqtt://host:port or mqtts://host:port"
    return peer(found[2])


def is_host(host: str) -> bool:
    """Whether this is an address or may be a host's name."""
    labels = host.removesuffix(".").split(".")
    if _is_address(host) or labels[-1].isdigit():  # a last part of digits alone is a mistyped address
        return _is_address(host)
    try:
        size = len(host if host.isascii() else host.encode("idna"))
    except UnicodeError:
        return False
    return size <= 253 and all(_LABEL.fullmatch(label) for label in labels)


def host_of(peer: str) -> str:
    """The host of a text that `peer` passes."""
    return _parted(peer)[0]


def _parted(text: str) -> tuple[str, str | None]:
    """Host and port; None where none is given."""
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        return (host, rest[1:] if rest else None) if bracket and rest[:1] in {"", ":"} else ("", None)
    if text.count(":") > 1:
        return text, None
    host, colon, port = text.partition(":")
    return host, port if colon else None


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return "%" not in host


def _is_v6(host: str) -> bool:
    return ":" in host and _is_address(host)


CHECKS: Final[Mapping[str, Callable[[str], str]]] = {
    "line": line,
    "file": file,
    "peer": peer,
    "site": site,
    "resolver": resolver,
    "gateway": gateway,
    "ups": ups,
    "portal": portal,
    "application": application,
    "interface": interface,
    "broker": broker,
}
