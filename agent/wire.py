"""Topics and messages: what terminal and center say to each other. The only place where a topic is spelled.

Messages are plain dataclasses that cost the resting daemon nothing; `decode` validates what comes from outside with
pydantic, which is imported only then.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields, is_dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Annotated, Any, Final, Literal, TypeVar

from agent.limits import AnyJson, Pattern, Range
from agent.vocabulary import Act, Severity

MAX_PACKET_BYTES: Final = 16 * 1024
CONTENT_JSON: Final = "application/json"
CONTENT_DEFLATE: Final = "application/json+deflate"
PREFIX: Final = "pos/1"
_TOPIC: Final = re.compile(PREFIX + r"(?:/[a-z0-9_-]{1,64}){3,5}")
RESERVED_TERMINALS: Final = frozenset({"all", "center"})

Basis = Literal["measured", "inferred"]
FaultState = Literal["raised", "cleared", "flapping"]
QueuedClass = Literal["event", "telemetry", "result"]
ClockQuality = Literal["synced", "network", "rtc", "unset"]
ResultState = Literal["accepted", "running", "succeeded", "failed", "rejected", "expired", "interrupted"]


Segment = Annotated[str, Pattern(r"^[a-z0-9_-]{1,64}$", about="1 to 64 of a-z, 0-9, - and _")]
FaultKey = Annotated[str, Pattern(r"^[a-z0-9_-]{1,64}/[a-z0-9_-]{1,64}$")]
Timestamp = Annotated[str, Pattern(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z$")]
JsonValue = Annotated[str | int | float | bool | list[Any] | dict[str, Any] | None, AnyJson()]


class WireError(ValueError):
    """A topic or payload that is not of the contract; the text is one line for people and names no payload."""


def timestamp(epoch_s: float) -> str:
    """RFC 3339 in UTC with milliseconds."""
    return datetime.fromtimestamp(epoch_s, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def epoch(text: str) -> float:
    """The inverse of `timestamp`, seconds since the epoch. Raises WireError."""
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError as error:
        raise WireError(f"{text[:40]!r} is not a time of RFC 3339") from error


# --- topics ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Delivery:
    """How a topic travels: quality of service, retained or not, message expiry in seconds (None for none)."""

    qos: int
    retain: bool
    expiry_s: int | None


_DAY: Final = 86_400
DELIVERY: Final[dict[str, Delivery]] = {
    "state": Delivery(1, True, 30 * _DAY),
    "inventory": Delivery(1, True, 30 * _DAY),
    "telemetry": Delivery(1, False, _DAY),
    "health": Delivery(1, True, 26 * 3600),
    "fault": Delivery(1, True, None),
    "fault.cleared": Delivery(1, True, _DAY),
    "faults": Delivery(1, True, 30 * _DAY),
    "event": Delivery(1, False, 7 * _DAY),
    "result": Delivery(1, False, _DAY),
    "live": Delivery(0, False, 10),
    "config/reported": Delivery(1, True, 30 * _DAY),
}
"""By what stands first after the terminal in a topic; a cleared fault has a row of its own."""


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics of one terminal."""

    estate: str
    terminal: str

    @property
    def base(self) -> str:
        return f"{PREFIX}/{self.estate}/{self.terminal}"

    def of(self, kind: str) -> str:
        """`state`, `inventory`, `telemetry`, `health`, `faults`, `event`, `live`, `command`, `config`, `case`."""
        return f"{self.base}/{kind}"

    def fault(self, key: str) -> str:
        """The topic of one fault, `key` being unit/kind."""
        return f"{self.base}/fault/{key}"

    def result(self, command_id: str) -> str:
        return f"{self.base}/result/{command_id}"

    def subscriptions(self) -> tuple[str, ...]:
        """The five filters a terminal subscribes to, in one SUBSCRIBE."""
        return (
            self.of("command"),
            self.of("config"),
            self.of("case"),
            f"{PREFIX}/{self.estate}/all/command",
            f"{PREFIX}/{self.estate}/center/+/state",
        )


@dataclass(frozen=True, slots=True)
class ParsedTopic:
    """A topic taken apart; `rest` is what follows the terminal, such as ("fault", "printer", "paper_out")."""

    estate: str
    terminal: str
    rest: tuple[str, ...]

    @property
    def kind(self) -> str:
        return self.rest[0]


def parse_topic(topic: str) -> ParsedTopic:
    """Take a terminal's topic apart. Raises WireError for anything else."""
    if not _TOPIC.fullmatch(topic):
        raise WireError("not a topic of this contract")
    _pos, _version, estate, terminal, *rest = topic.split("/")
    return ParsedTopic(estate, terminal, tuple(rest))


_ALWAYS: Final = {"always": True}  # of a field: written out also where it stands at its default

# --- messages --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Uplink:
    """What every message from a terminal carries. `boot` counts boots; `up_ms` is milliseconds since this boot."""

    boot: int
    at: Timestamp
    up_ms: int
    clock: ClockQuality
    v: Literal[1] = field(default=1, metadata=_ALWAYS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Queued(Uplink):
    """Of the queued classes: (terminal, boot, class, seq) is unique, seq counts from 1 within a boot."""

    seq: int
    late: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The answer: can this terminal sell, what explains it if not, who must act. `since` is when that began."""

    can_sell: Literal["yes", "degraded", "no", "unknown"]
    cause: FaultKey | None
    act: Act
    since: Timestamp


@dataclass(frozen=True, slots=True, kw_only=True)
class StateMessage(Uplink):
    """Topic `state`, also the will. `poi` is the nexo POIStatus roll-up, without elements that are not fitted."""

    status: Literal["online", "offline", "maintenance"]
    conn: int
    reason: str
    verdict: Verdict | None = field(default=None, metadata=_ALWAYS)
    poi: Mapping[str, JsonValue] = field(default_factory=dict, metadata=_ALWAYS)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceEntry:
    """One device of the inventory. `readings` is what this family can know, name to unit ("" for none).

    Model, serial and firmware are "" where the device did not say.
    """

    name: str
    unit: str
    family: str
    manufacturer: str = ""
    model: str = field(default="", metadata=_ALWAYS)
    serial: str = field(default="", metadata=_ALWAYS)
    firmware: str = field(default="", metadata=_ALWAYS)
    port: str = ""
    sharing: str = ""
    readings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class InventoryMessage(Uplink):
    """Topic `inventory`: sent when its hash changes or on request. `metrics` maps metric name to unit.

    `dictionary` is the preset one that messages may be deflated with (RFC 1950) once all centers know it.
    """

    hash: str
    agent: Mapping[str, str]
    devices: tuple[DeviceEntry, ...]
    metrics: Mapping[str, str]
    commands: tuple[str, ...]
    language: str = "en"
    dictionary: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TelemetryMessage(Queued):
    """Topic `telemetry`: [milliseconds after `at`, {metric: value or {"error": cause}}] for what changed."""

    samples: tuple[tuple[int, dict[str, JsonValue]], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeEntry:
    """One row of the probe table: when it last gave an answer, how long it took, why it did not."""

    probe: str
    state: Literal["ok", "failing", "paused", "starting"]
    last_at: Timestamp | None = None
    took_ms: float | None = None
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthMessage(Uplink):
    """Topic `health`: the agent itself. Memory in KiB, times in seconds, store depth in hours of normal use."""

    pss_kib: int
    cpu_percent: float
    threads: int
    store_rows: Mapping[str, int]
    store_bytes: int
    store_hours: float
    drops: Mapping[str, int]
    bytes_today: Mapping[str, int]
    refused: Mapping[str, int] = field(default_factory=dict)
    probes: tuple[ProbeEntry, ...] = field(default=(), metadata=_ALWAYS)
    problems: tuple[str, ...] = ()
    audit: Mapping[str, JsonValue] = field(default_factory=dict)
    """Head of the chain of decisions about commands: `n` and `head`, number and hash of its last line."""


@dataclass(frozen=True, kw_only=True)  # two slotted bases cannot be joined below
class FaultBody:
    """One fault's present state, in its own message and inside events."""

    fault: FaultKey
    state: FaultState
    severity: Severity
    cause: FaultKey | None
    symptoms: tuple[FaultKey, ...]
    first_at: Timestamp
    last_at: Timestamp
    count: int
    device: str
    evidence: Mapping[str, JsonValue]
    advice: str
    act: Act
    basis: Basis


@dataclass(frozen=True, kw_only=True)
class FaultMessage(FaultBody, Uplink):
    """Topic `fault/{unit}/{kind}`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DigestMessage(Uplink):
    """Topic `faults`: the keys of all raised faults, sorted."""

    faults: tuple[FaultKey, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EventMessage(Queued):
    """Topic `event`: one line of the log; a fault transition carries the fault body in `data`."""

    event: str
    data: Mapping[str, JsonValue]


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultMessage(Queued):
    """Topic `result/{id}`: one step of a command's life. `ms` is how long it has run, `error` why it did not succeed.

    `code` is as the command line's: 0 good so far, 1 begun and not done, 2 never begun.
    """

    id: str
    state: ResultState
    code: int = field(default=0, metadata=_ALWAYS)
    output: JsonValue = field(default=None, metadata=_ALWAYS)
    error: str = field(default="", metadata=_ALWAYS)
    ms: int = field(default=0, metadata=_ALWAYS)


_CODES: Final[Mapping[str, int]] = {"failed": 1, "interrupted": 1, "rejected": 2, "expired": 2}
UNENDED: Final = frozenset({"accepted", "running"})
"""The states after which a command's life goes on."""


def result_body(
    command_id: str, state: ResultState, *, ms: int, output: JsonValue = None, error: str = ""
) -> dict[str, JsonValue]:
    """A `ResultMessage` without its header."""
    code = _CODES.get(state, 0)
    return {"id": command_id, "state": state, "code": code, "output": output, "error": error, "ms": ms}


def done_body(command_id: str, cmd: str, state: ResultState) -> dict[str, JsonValue]:
    """The event of a command's end, without its header."""
    return {"event": "command.done", "data": {"id": command_id, "cmd": cmd, "state": state}}


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveMessage(Uplink):
    """Topic `live`: readings that came since the last one, source.name to value or {"error": cause}."""

    id: str
    left_s: int
    values: Mapping[str, JsonValue]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigReportedMessage(Uplink):
    """Topic `config/reported`: version in force, its hash, and the keys that were refused with their reasons.

    `refused` is the version whose keys those are, "" for none.
    """

    version: str
    hash: str
    rejected: Mapping[str, str] = field(default_factory=dict, metadata=_ALWAYS)
    refused: str = ""


CommandName = Literal[
    "check", "identify", "statistics", "collect", "print_slip", "recover", "resync", "live", "maintenance", "reboot"
]
_TIERED: Final = (
    ("check", "identify", "statistics", "resync", "collect"),
    ("live", "print_slip"),
    ("recover", "maintenance"),
    ("reboot",),
)
TIERS: Final = {name: tier for tier, names in enumerate(_TIERED) for name in names}
"""The tier that each command must be signed for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandBody:
    """One command. `tier` 0 reads, 1 consumes, 2 disrupts, 3 reboots or configures. Times in epoch seconds.

    To all terminals (`aud` "estate/all") `args` holds `spread_s`, over which they begin at random.
    """

    iss: str
    aud: str
    jti: Annotated[str, Pattern(r"^[a-z0-9_-]{8,64}$")]
    nbf: int
    exp: int
    cmd: CommandName
    args: Mapping[str, JsonValue] = field(default_factory=dict)
    tier: Literal[0, 1, 2, 3] = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsBody:
    """Topic `config`: desired settings as table to key to value. A `version` is newer than those it is greater than."""

    iss: str
    aud: str
    nbf: int
    version: Annotated[int, Range(ge=1, le=2**53)]
    settings: Mapping[str, Mapping[str, JsonValue]]


@dataclass(frozen=True, slots=True, kw_only=True)
class VisitBody:
    """What is signed to announce a visit to the terminal `aud` until then, in epoch seconds."""

    iss: str
    aud: str
    until: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseMessage:
    """Topic `case`: what the merchant is told. Until `work_order_until` a visit is announced, so parts may change.

    `visit` is a `VisitBody`, signed as commands are: a terminal that has command keys believes that alone. `link` is
    the address of the merchant's page, "" where the center has no public one.
    """

    case: str
    progress: str = field(default="", metadata=_ALWAYS)
    eta: Timestamp | None = field(default=None, metadata=_ALWAYS)
    channel: str = field(default="", metadata=_ALWAYS)
    link: str = ""
    work_order_until: Timestamp | None = None
    visit: str = ""
    at: Timestamp | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CenterStateMessage:
    """Topic `center/{id}/state`. `inflates` names the dictionaries of `agent.packing` that it knows, by spaces."""

    status: Literal["online", "offline"]
    at: Timestamp | None = None
    inflates: str = ""


# --- bytes -----------------------------------------------------------------------------------------------------------

_M = TypeVar("_M")


def to_json(message: Any) -> dict[str, Any]:
    """A message as JSON values. A field at its default is left out, if it is not to stand there always."""
    out: dict[str, Any] = {}
    for spec in fields(message):
        value = getattr(message, spec.name)
        default = spec.default_factory() if spec.default_factory is not MISSING else spec.default
        if default is not MISSING and value == default and not spec.metadata.get("always"):
            continue
        out[spec.name] = _plain(value)
    return out


def to_json_whole(message: Any) -> dict[str, Any]:
    """As `to_json`, with every default written out, for people."""
    return asdict(message)


def _plain(value: object) -> Any:
    if is_dataclass(value):
        return to_json(value)
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return value


def encode(message: object) -> bytes:
    """A message as compact UTF-8 JSON. Raises ValueError for NaN and infinities, which JSON has not."""
    return dumps(to_json(message))


def dumps(values: object) -> bytes:
    """JSON values as compact UTF-8."""
    return json.dumps(values, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def loads(payload: bytes) -> Any:
    """JSON values of a payload, without validation. Raises ValueError for what is no JSON in UTF-8."""
    try:
        return json.loads(payload)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


@cache
def _adapter(kind: type[Any]) -> Any:
    from pydantic import TypeAdapter  # noqa: PLC0415 - the resting daemon does not hold pydantic

    return TypeAdapter(kind).validator


def decode(kind: type[_M], payload: bytes) -> _M:
    """Validate a payload from outside. Unknown keys are ignored, so that either side may be newer. Raises WireError."""
    if len(payload) > MAX_PACKET_BYTES:
        raise WireError(f"a payload of {len(payload)} bytes, more than {MAX_PACKET_BYTES}")
    try:
        message: _M = _adapter(kind).validate_json(payload)  # type: ignore[arg-type]  # a class is hashable
    except ValueError as error:  # pydantic's ValidationError is one
        raise WireError(f"not a {kind.__name__}: {_first_problem(error)}") from error
    return message


def _first_problem(error: ValueError) -> str:
    problems = getattr(error, "errors", None)
    if problems is None:
        return "not JSON in UTF-8"
    first = problems(include_url=False, include_input=False, include_context=False)[0]
    where = ".".join(map(str, first["loc"]))
    return f"{where}: {first['msg']}" if where else str(first["msg"])
