"""The agent's half from readings to the line on a clock that is moved by hand, and the line that counts."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from paho.mqtt import client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from agent import wire
from agent.budget import Budget
from agent.clock import ManualClock
from agent.conditions import conditions
from agent.config import Config
from agent.config_file import load_trusted
from agent.core import Core
from agent.inventory import DeviceInfo
from agent.outbox import Outbox
from agent.packing import NAME
from agent.rules import Rules
from agent.session import TIMINGS
from agent.store import Store
from agent.telemetry import Telemetry
from agent.uplink import Incoming, Uplink
from drivers import catalog
from tests.bench.still import IDENTITIES
from tests.mqtt.broker import Observer
from tests.mqtt.meter import Meter, tls_broker
from tests.mqtt.test_tls import Authority

CONFIG = """
[terminal]
id = "till-0042"
estate = "north"
[mqtt]
url = "mqtts://127.0.0.1:{port}"
link = "metered"
ca_file = "{ca}"
cert_file = "{cert}"
key_file = "{key}"
commands = true
[[device]]
name = "printer"
family = "escpos"
port = "/dev/ttyS1"
powered_by = "mains"
[[device]]
name = "reader"
family = "crt571"
port = "/dev/ttyS2"
[[device]]
name = "keypad"
family = "zt588"
port = "/dev/ttyS3"
[[device]]
name = "modem"
family = "quectel"
port = "/dev/ttyUSB2"
[network]
bearer = "modem"
acquirer = "pay.example.net:443"
[paths]
run_dir = "{folder}/run"
state_dir = "{folder}/state"
"""


# Lines are cut on purpose; without a handler each of it would go to standard error.
logging.getLogger("posdiag").addHandler(logging.NullHandler())


class _Center(Observer):
    """Sends, and forgets what it hears: a long day is much."""

    def _on_message(self, *_: object) -> None:
        pass


class Terminal:
    """The agent's half from readings to the line, in virtual time."""

    def __init__(self, folder: Path, config: Config, clock: ManualClock, daily_bytes: int = 0) -> None:
        self.config = config
        self.clock = clock
        self.store = Store(folder / "state", config.store.max_bytes, clock)
        boot = self.store.bump("boot")
        self.outbox = Outbox(self.store, clock, boot, config.store)
        self.budget = Budget(daily_bytes, self.store.get("budget"), clock.wall)
        self._files: list[int] = []
        # Where a second lasts less than a millisecond, a shorter wait gathers as much.
        timing = replace(TIMINGS[config.mqtt.link], gather_s=0.02)
        self.uplink = Uplink(
            config.mqtt,
            wire.Topics(config.terminal.estate, config.terminal.id),
            store=self.store,
            outbox=self.outbox,
            clock=clock,
            on_message=self._incoming,
            state_payload=self._state,
            timing=timing,
            budget=self.budget,
        )
        families = {device.name: catalog.family(device.family) for device in config.device}
        devices = [
            DeviceInfo(
                device.name,
                families[device.name].unit,
                device.family,
                device.port,
                device.share,
                {name: spec.unit for name, spec in families[device.name].driver.READINGS.items()},
            )
            for device in config.device
        ]
        units = {device.name: device.unit for device in devices}
        Path(config.paths.run_dir).mkdir(parents=True, exist_ok=True)
        self.core = Core(
            self.config,
            clock,
            Rules(conditions(config, units), {}),
            Telemetry(self.config.telemetry),
            self.outbox,
            self.uplink,
            boot=boot,
            devices=devices,
        )
        self.core.takes(wire.TIERS)
        self.core.write_status = lambda: None  # type: ignore[method-assign]  # no file of 8,640 versions

    def _incoming(self, message: Incoming) -> None:
        if message.suffix.startswith("center/"):
            self.uplink.pack(wanted=NAME in message.payload.decode())

    def _state(self, conn: int, status: str, reason: str) -> bytes:
        return self.core.state_payload(conn, status, reason)

    def start(self) -> None:
        self.core.event("agent.started", {"config": self.config.terminal.id, "version": self.core.version})
        self.core.report_config({})
        for device, identity in IDENTITIES.items():
            self.core.identified(device, identity)

    def flush(self) -> None:
        """Have the kernel write what it holds back: in the field it has had minutes to."""
        if not self._files:
            # They stay open: closing any descriptor of its file would take the store's lock away.
            self._files = [os.open(f"{self.store.path}{suffix}", os.O_RDONLY) for suffix in ("", "-wal")]
        for file in self._files:
            os.fsync(file)

    def close(self) -> None:
        self.uplink.stop("test_over", 10)
        self.store.close()
        for file in self._files:
            os.close(file)


_CENTER = wire.encode(wire.CenterStateMessage(status="online", inflates=NAME))


@contextmanager
def line(folder: Path, *, packing: bool) -> Iterator[tuple[Meter, Config, Callable[[str], None]]]:
    """Broker with TLS, counting line, a terminal's configuration for it, and who sends it commands."""
    authority = Authority(folder)
    broker = tls_broker(folder, authority)
    broker.start()
    with ExitStack() as stack:
        stack.callback(broker.kill)
        meter = stack.enter_context(Meter(broker.tls_port))  # type: ignore[attr-defined]
        cert, key = authority.issue("till-0042")
        file = folder / "agent.toml"
        file.write_text(CONFIG.format(port=meter.port, ca=authority.file, cert=cert, key=key, folder=folder))
        center = stack.enter_context(_Center(broker.port))

        def command(number: str) -> None:
            properties = Properties(PacketTypes.PUBLISH)
            properties.ResponseTopic = f"pos/1/north/till-0042/result/{number}"
            properties.CorrelationData = number.encode()
            properties.MessageExpiryInterval = 300
            # A JWS of a command with an Ed25519 signature is so long.
            center.publish("pos/1/north/till-0042/command", b"e" * 420, properties)

        if packing:
            properties = Properties(PacketTypes.PUBLISH)
            center.publish("pos/1/north/center/one/state", _CENTER, properties, retain=True)
        yield meter, load_trusted(str(file)), command


@contextmanager
def virtual_time(clock: ManualClock) -> Iterator[None]:
    """Paho counts its keep-alive on this clock."""
    before = paho.time_func
    paho.time_func = clock.monotonic
    try:
        yield
    finally:
        paho.time_func = before
