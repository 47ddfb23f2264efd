"""`posdiag center schema`: the contract as AsyncAPI 3, made from `agent.wire` so that it cannot say anything else."""

from __future__ import annotations

import argparse
import json
from typing import Any, Final

from pydantic import TypeAdapter

from agent import VERSION, wire
from center.exits import unable

_UP: Final[dict[str, tuple[str, type[Any]]]] = {
    "state": ("state", wire.StateMessage),
    "inventory": ("inventory", wire.InventoryMessage),
    "telemetry": ("telemetry", wire.TelemetryMessage),
    "health": ("health", wire.HealthMessage),
    "fault": ("fault/{unit}/{kind}", wire.FaultMessage),
    "faults": ("faults", wire.DigestMessage),
    "event": ("event", wire.EventMessage),
    "result": ("result/{id}", wire.ResultMessage),
    "live": ("live", wire.LiveMessage),
    "config/reported": ("config/reported", wire.ConfigReportedMessage),
}
"""What a terminal says, by its row in `wire.DELIVERY`."""
_JWS: Final = "A compact JWS (RFC 7515) signed with EdDSA; the schema is of its claims."
_DOWN: Final[tuple[tuple[str, str, type[Any], bool, str], ...]] = (
    ("command", "{estate}/{terminal}/command", wire.CommandBody, False, _JWS),
    ("commandToAll", "{estate}/all/command", wire.CommandBody, False, _JWS),
    ("config", "{estate}/{terminal}/config", wire.SettingsBody, True, _JWS),
    ("case", "{estate}/{terminal}/case", wire.CaseMessage, True, "What the merchant is told."),
    (
        "center",
        "{estate}/center/{id}/state",
        wire.CenterStateMessage,
        True,
        "Support center up or down; also its will.",
    ),
)
_PARAMETERS: Final = {
    "estate": "The operator's name for a fleet",
    "terminal": "The terminal, as its certificate and its MQTT client call it",
    "unit": "The part that has the fault",
    "kind": "What is wrong with it",
    "id": "A command's id, or a center's",
}
_MESSAGES: Final = {kind.__name__: kind for _, kind in _UP.values()} | {row[2].__name__: row[2] for row in _DOWN}


def run_schema(args: argparse.Namespace) -> int:
    """Print it. 0 done, 2 for a message that is not of the contract."""
    if args.message and args.message not in _MESSAGES:
        return unable(f"no message is called {args.message!r}; there are {', '.join(_MESSAGES)}")
    shown = message_schema(args.message) if args.message else asyncapi()
    print(json.dumps(shown, indent=2, ensure_ascii=False))
    return 0


def message_schema(name: str) -> dict[str, Any]:
    """The JSON Schema (2020-12) of one message's payload."""
    schema = TypeAdapter(_MESSAGES[name]).json_schema(mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def asyncapi() -> dict[str, Any]:
    """The AsyncAPI 3.0 document, from where the center stands: it receives what terminals send."""
    channels: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    for row, (rest, kind) in _UP.items():
        name = _camel(row)
        channels[name] = _channel(f"{wire.PREFIX}/{{estate}}/{{terminal}}/{rest}", kind, _delivered(row))
        operations[f"receive{name[0].upper()}{name[1:]}"] = _operation("receive", name)
    for name, rest, kind, retain, told in _DOWN:
        expiry = "" if retain else " Never retained; expires after at most 300 s."
        qos = f"QoS 1, {'retained' if retain else 'not retained'}."
        channels[name] = _channel(f"{wire.PREFIX}/{rest}", kind, f"{told} {qos}{expiry}")
        operations[f"send{name[0].upper()}{name[1:]}"] = _operation("send", name)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "posdiag",
            "version": VERSION,
            "description": "What terminals and the support center say to each other over MQTT 5.",
        },
        "defaultContentType": wire.CONTENT_JSON,
        "channels": channels,
        "operations": operations,
        "components": {
            "messages": {name: _message(name) for name in _MESSAGES},
            "schemas": {name: _embedded(name) for name in _MESSAGES},
        },
    }


def _delivered(row: str) -> str:
    delivery = wire.DELIVERY[row]
    expiry = "does not expire" if delivery.expiry_s is None else f"expires after {delivery.expiry_s} s"
    told = f"QoS {delivery.qos}, {'retained' if delivery.retain else 'not retained'}, {expiry}."
    if row == "fault":
        told += f" Once cleared it expires after {wire.DELIVERY['fault.cleared'].expiry_s} s."
    return told


def _channel(address: str, kind: type[Any], told: str) -> dict[str, Any]:
    named = [name for name in _PARAMETERS if f"{{{name}}}" in address]
    return {
        "address": address,
        "description": told,
        "messages": {kind.__name__: {"$ref": f"#/components/messages/{kind.__name__}"}},
        "parameters": {name: {"description": _PARAMETERS[name]} for name in named},
    }


def _operation(action: str, channel: str) -> dict[str, Any]:
    return {"action": action, "channel": {"$ref": f"#/channels/{channel}"}}


def _message(name: str) -> dict[str, Any]:
    signed = name in {"CommandBody", "SettingsBody"}
    return {
        "name": name,
        "contentType": "application/jose" if signed else wire.CONTENT_JSON,
        "payload": {"$ref": f"#/components/schemas/{name}"},
    }


def _embedded(name: str) -> dict[str, Any]:
    """A message's schema with what it refers to beside it, found from the document's root."""
    schema = TypeAdapter(_MESSAGES[name]).json_schema(
        mode="serialization", ref_template=f"#/components/schemas/{name}/$defs/{{model}}"
    )
    return dict(schema)


def _camel(row: str) -> str:
    first, *rest = row.replace("/", "_").split("_")
    return first + "".join(part.capitalize() for part in rest)
