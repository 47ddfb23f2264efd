"""paho, imported without what it never uses here.

paho asks `urllib.request` whether a proxy is configured and nothing else; a terminal's agent speaks to its broker
directly. That module with http.client, email and tempfile behind it costs the resting daemon 2 MiB, so paho is given
one that knows no proxy. Whoever imports urllib.request later gets the real one.
"""

from __future__ import annotations

import sys
import types
import urllib.parse

_NAME = "urllib.request"
_lacking = _NAME not in sys.modules
if _lacking:
    _standin = types.ModuleType(_NAME)
    _standin.getproxies = dict  # type: ignore[attr-defined]
    sys.modules[_NAME] = _standin
    urllib.request = _standin

import paho.mqtt.client as paho  # noqa: E402 - the stand-in comes first
from paho.mqtt.enums import CallbackAPIVersion  # noqa: E402
from paho.mqtt.packettypes import PacketTypes  # noqa: E402
from paho.mqtt.properties import Properties  # noqa: E402
from paho.mqtt.subscribeoptions import SubscribeOptions  # noqa: E402

if _lacking:
    del sys.modules[_NAME]

__all__ = ["CallbackAPIVersion", "PacketTypes", "Properties", "SubscribeOptions", "paho"]
