"""Libraries, imported without what the resting daemon never uses of them. Import it first in its process.

paho asks `urllib.request` whether a proxy is configured and nothing else; a terminal's agent speaks to its broker
directly. That module with http.client, email and tempfile behind it costs 2 MiB, so paho is given one that knows no
proxy. `dataclasses` writes signatures into classes without a docstring, and takes `inspect` for that, which with ast
and dis behind it costs nearly one. Whoever imports either module later gets the real one.
"""

from __future__ import annotations

import sys
import types
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def _standing_in(name: str, **what: Any) -> Iterator[types.ModuleType]:
    """For a module that is not there yet, one of no more than this."""
    standin = types.ModuleType(name)
    vars(standin).update(what)
    real = sys.modules.setdefault(name, standin)
    yield real
    if real is standin:
        del sys.modules[name]


with _standing_in("inspect", signature=lambda _kind: ""):
    import dataclasses  # noqa: F401 - which others then have without `inspect`

with _standing_in("urllib.request", getproxies=dict) as _request:
    urllib.request = _request
    import paho.mqtt.client as paho
    from paho.mqtt.enums import CallbackAPIVersion
    from paho.mqtt.packettypes import PacketTypes
    from paho.mqtt.properties import Properties
    from paho.mqtt.subscribeoptions import SubscribeOptions

__all__ = ["CallbackAPIVersion", "PacketTypes", "Properties", "SubscribeOptions", "paho"]
