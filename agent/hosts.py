"""Names of hosts, as the resolver and TLS take them."""

from __future__ import annotations

from typing import Any


def in_ascii(host: str) -> Any:
    """The same host as bytes. Text goes through Python's tables of IDNA, a third of a MiB, even when it is an address.

    Only a name that is not in ASCII is left to them.
    """
    return host.encode() if host.isascii() else host
