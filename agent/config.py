"""The configuration: one TOML file as validated dataclasses. Units stand in names; unknown keys are errors."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Final, Literal

from agent.limits import Length, Range, Spelled
from agent.wire import Segment

MOST_HOURS: Final = 366 * 24
Line = Annotated[str, Spelled("line")]
File = Annotated[str, Spelled("file")]
Place = Annotated[str, Length(shortest=1, longest=4096), Spelled("file")]
Host = Annotated[str, Length(shortest=1, longest=256), Spelled("site")]
Endpoint = Annotated[str, Spelled("peer")]
Poll = Annotated[float, Range(ge=0.2, le=3600)]
Hours = Annotated[float, Range(ge=1, le=MOST_HOURS)]
Pace = Annotated[float, Range(ge=0.5, le=604_800, or_zero=True)]
Celsius = Annotated[float, Range(ge=1, le=150)]
Count = Annotated[int, Range(ge=0, le=10**12)]


@dataclass(frozen=True, slots=True, kw_only=True)
class TerminalConfig:
    """Who this is. `id` is also the MQTT client id, user name and certificate CN."""

    id: Segment
    estate: Segment
    language: Literal["en", "zh"] = "en"


@dataclass(frozen=True, slots=True, kw_only=True)
class MqttConfig:
    """The broker. `url` is mqtt://host:port or mqtts://host:port; `link` chooses reconnect and keep-alive times."""

    url: Annotated[str, Spelled("broker")]
    protocol: Literal["5", "3.1.1"] = "5"
    link: Literal["wired", "metered"] = "wired"
    username: Line = ""
    password_file: File = ""
    without_tls: bool = False
    """Whether mqtt:// may leave this machine; for a closed test network alone, since all on the way read and forge."""
    ca_file: File = ""
    """The broker's authorities; empty for the system's, and then no settings from afar name another broker."""
    cert_file: File = ""
    key_file: File = ""
    commands: bool = False
    """Whether unsigned commands are taken; for a closed test network alone, and never beside `commands.keys_file`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceConfig:
    """One device. `name` stands in metrics; `family` is a word of the driver catalog.

    `powered_by` names what feeds it: mains (dies with it), battery (lives on), host (the terminal's own rail).
    `baud` 0 and `flow` family mean the family's own.
    """

    name: Segment
    family: Segment
    port: Place
    baud: Annotated[int, Range(ge=50, le=4_000_000, or_zero=True)] = 0
    poll_s: Poll = 1.0
    share: Literal["own", "idle", "never"] = "own"
    """own: the agent holds the port, and leaves it to whoever opens it; idle: it opens it for each poll, when nobody
    holds it, and closes it again; never: it looks from beside alone, whether the port is there and who holds it.

    There is no port that the agent owns and lends: the payment application would lose it whenever the agent ends.
    A device with a second port, as modems have for AT commands, is best asked there; what the application itself
    sees of a device, it may tell on report.sock.
    """
    powered_by: Literal["mains", "battery", "host"] = "host"
    flow: Literal["family", "none", "rtscts", "xonxoff", "dsrdtr"] = "family"
    options: dict[str, str | int | float | bool] = field(default_factory=dict)

    @property
    def line_flow(self) -> str:
        """Flow control as `drivers.catalog` takes it: "" for the family's own."""
        return "" if self.flow == "family" else self.flow


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkConfig:
    """The network ladder. Addresses are host:port; what is empty is taken from the system or not probed."""

    bearer: Literal["ethernet", "modem", "wifi"] = "ethernet"
    interface: Annotated[str, Spelled("interface")] = ""
    """Name below /sys/class/net; empty for the one that holds the default route."""
    gateway: Annotated[str, Spelled("gateway")] = ""
    """host[:port]; empty for the default route's. With a port, TCP is tried; without, an ICMP echo."""
    dns: tuple[Annotated[str, Spelled("resolver")], ...] = ()
    """address[:port] of resolvers; empty for those of /etc/resolv.conf."""
    acquirer: Endpoint = ""
    """host[:port] of the payment host, port 443 unless given; the host is resolved through `dns`."""
    acquirer_ca: File = ""
    """A file of authorities for the acquirer's certificate; empty for the system's."""
    portal_check: Annotated[str, Spelled("portal")] = ""
    """An http:// address that answers 204 where no captive portal stands in the way."""
    ntp: Endpoint = ""
    poll_s: Annotated[float, Range(ge=0.2, le=86_400)] = 30.0
    """Between two walks of the ladder while it holds; on a metered link two hours at least, see `Config.ladder_s`."""
    slow_ms: Annotated[float, Range(ge=1, le=60_000)] = 1500.0
    lossy_percent: Annotated[float, Range(gt=0, le=100)] = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerConfig:
    """Power sources: sysfs always; a UPS through NUT when `nut` is ups@host[:port]."""

    nut: Annotated[str, Spelled("ups")] = ""
    poll_s: Poll = 2.0
    # At most 90: it is over again a few percent above.
    low_percent: Annotated[float, Range(gt=0, le=90)] = 20.0
    critical_percent: Annotated[float, Range(gt=0, le=90)] = 7.0
    worn_percent: Annotated[float, Range(gt=0, le=90)] = 60.0
    min_voltage_mv: Annotated[int, Range(ge=0, le=1_000_000)] = 0
    max_temperature_c: Celsius = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemConfig:
    """The terminal's own computer. `payment_app` is pidfile:PATH or process:NAME; empty when none is watched."""

    payment_app: Annotated[str, Spelled("application")] = ""
    screen: bool = True
    poll_s: Poll = 10.0
    max_temperature_c: Celsius = 85.0
    max_clock_offset_s: Annotated[float, Range(ge=1, le=86_400)] = 120.0
    disk_path: File = ""
    """The file system to watch; empty for that of state_dir."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreConfig:
    """How long what could not be sent is kept, in hours at the configured rate, and the hard limit in bytes."""

    event_hours: Hours = 720.0
    telemetry_hours: Hours = 72.0
    max_bytes: Annotated[int, Range(ge=1 << 20, le=1 << 36)] = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class TelemetryConfig:
    """How often samples leave, and how often an unchanged value is repeated so that silence is not mistaken.

    0 stands for what suits `mqtt.link`, see `BY_LINK`.
    """

    batch_s: Pace = 0.0
    heartbeat_s: Pace = 0.0
    health_s: Pace = 0.0
    number_s: Pace = 0.0
    """A number that moves is told once in so long at most; words and failures are told at each change."""

    def on(self, link: str) -> TelemetryConfig:
        """The same with every 0 replaced."""
        usual = BY_LINK[link]
        return TelemetryConfig(
            batch_s=self.batch_s or usual.batch_s,
            heartbeat_s=self.heartbeat_s or usual.heartbeat_s,
            health_s=self.health_s or usual.health_s,
            number_s=self.number_s or usual.number_s,
        )


_METERED_LADDER_S: Final = 7200.0
BY_LINK: Final = {
    "wired": TelemetryConfig(batch_s=60, heartbeat_s=900, health_s=3600),
    # A batch costs 250 bytes before it says anything, a ping 200: numbers once in 59 minutes, so that no ping is due
    # when their batch leaves, and three in between.
    "metered": TelemetryConfig(batch_s=840, heartbeat_s=21_600, health_s=86_400, number_s=3540),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetConfig:
    """Bytes a UTC day on a metered link, of which 64 KiB (at most half) are kept for faults; 0 for no limit."""

    daily_bytes: Count = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TrendsConfig:
    """What makers rate the printer's parts for, and the printer's counters when a part was last replaced.

    A life of 0 is not told; then the range that is usual for receipt printers holds.
    """

    head_life_km: Annotated[float, Range(ge=1, le=100_000, or_zero=True)] = 0.0
    head_new_at_lines: Count = 0
    cutter_life_cuts: Count = 0
    cutter_new_at_cuts: Count = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SecurityConfig:
    """What shows that somebody was at the terminal."""

    case_switch: File = ""
    """A file of the kernel that holds 0 or 1, such as a GPIO line's value or a board's intrusion alarm."""
    case_open_value: Literal["0", "1"] = "1"
    mobile: bool = False
    """A terminal that is carried around has no place to be moved away from."""
    certificate_days: Annotated[float, Range(gt=0, le=3650)] = 14.0
    """How long before its end a certificate is told; of a short-lived one, at most a sixth of its life."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandsConfig:
    """What a support center may have this terminal do. Without `keys_file` it takes no command at all."""

    keys_file: File = ""
    """A JWK Set of Ed25519 keys, read anew for each command: two keys in it are a rotation by overlap."""
    per_minute: Annotated[int, Range(ge=1, le=600)] = 10
    """A person who looks for a mistake sends a few; more is a mistake of the center's."""
    disruptive_per_hour: Annotated[int, Range(ge=0, le=60)] = 3
    """Tiers 2 and 3: a recovery that did not help twice will not help the fourth time."""
    consent_s: Annotated[float, Range(ge=1, le=3600)] = 300.0
    """How long somebody at the terminal has to allow a reboot."""
    reboot: tuple[Line, ...] = ("/usr/bin/systemctl", "reboot")
    """Program and arguments, never a shell."""
    upload_hosts: tuple[Host, ...] = ()
    """host or host:port that bundles may be uploaded to; none for none."""
    upload_ca_file: File = ""
    """Authorities for those hosts' certificates; empty for the system's."""
    trial_s: Annotated[float, Range(ge=5, le=3600)] = 300.0
    """Desired settings with which the broker is not reached for so long are rolled back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SupportConfig:
    """What a merchant is told about whom to call: the verified channel, as printed and shown."""

    channel: Annotated[str, Length(longest=128), Spelled("line")] = ""
    pages: tuple[Host, ...] = ()
    """host or host:port of the center's pages for merchants; a page elsewhere is neither shown nor printed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PathsConfig:
    """Where the agent writes, and the roots of the kernel's trees (tests and the simulator move them)."""

    run_dir: Place = "/run/posdiag"
    state_dir: Place = "/var/lib/posdiag"
    sys: Place = "/sys"
    proc: Place = "/proc"


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The whole file."""

    terminal: TerminalConfig
    mqtt: MqttConfig
    device: tuple[DeviceConfig, ...] = ()
    network: NetworkConfig = field(default_factory=NetworkConfig)
    power: PowerConfig = field(default_factory=PowerConfig)
    system: SystemConfig = field(default_factory=SystemConfig)
    store: StoreConfig = field(default_factory=StoreConfig)
    telemetry: TelemetryConfig = field(default_factory=TelemetryConfig)
    budget: BudgetConfig = field(default_factory=BudgetConfig)
    trends: TrendsConfig = field(default_factory=TrendsConfig)
    security: SecurityConfig = field(default_factory=SecurityConfig)
    commands: CommandsConfig = field(default_factory=CommandsConfig)
    support: SupportConfig = field(default_factory=SupportConfig)
    paths: PathsConfig = field(default_factory=PathsConfig)

    def __post_init__(self) -> None:
        object.__setattr__(self, "telemetry", self.telemetry.on(self.mqtt.link))

    @property
    def ladder_s(self) -> float:
        """Seconds between two walks of the network ladder while it holds.

        A walk costs 700 bytes, a handshake 5 KiB: each half minute that is 6 MB a day, which nobody pays for. The
        broker's connection stands on the same rungs, and its loss has the ladder walked at once.
        """
        return max(self.network.poll_s, _METERED_LADDER_S) if self.mqtt.link == "metered" else self.network.poll_s
