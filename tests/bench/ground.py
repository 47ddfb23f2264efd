"""What the bench's daemons stand on: a broker with TLS, somebody who listens, simulated terminals."""

from __future__ import annotations

import compileall
import json
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from simulator.terminal import Terminal
from tests.mqtt.broker import Broker
from tests.mqtt.meter import tls_broker
from tests.mqtt.test_tls import Authority
from tests.system.stage import Agent
from tests.wait import wait_until

_ROOT = Path(__file__).parents[2]
_DISK = "/var/tmp"  # noqa: S108 - a real disk wherever /tmp is memory: what is written to it is counted
_MEMORY = "/dev/shm"  # noqa: S108 - stands for /run, which is memory on every terminal


def daemon(config: Path) -> Agent:
    """`posdiag run` as the package's unit has it run, byte-compiled as at install."""
    for folder in ("agent", "drivers"):
        compileall.compile_dir(_ROOT / folder, quiet=1, optimize=[0, 2])
    return Agent(config, python=options())


def options() -> tuple[str, ...]:
    """What the package's unit gives the interpreter, but -I, which would not find this checkout."""
    unit = (_ROOT / "deploy" / "debian" / "posdiag.service").read_text("utf-8")
    words = next(line for line in unit.splitlines() if line.startswith("ExecStart=")).split()
    given = words[1 : next(at for at, word in enumerate(words) if word.endswith("/posdiag"))]
    return tuple(each for each in given if each != "-I")


class Listener:
    """A subscriber that notes when what arrived."""

    def __init__(self, port: int, *, everything: str = "pos/#", v5: bool = True) -> None:
        self.came: dict[tuple[str, str], float] = {}
        self.first: dict[str, float] = {}
        self._ready = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5 if v5 else paho.MQTTv311)
        self._client.on_connect = lambda client, *_: client.subscribe(everything, qos=1)
        self._client.on_subscribe = lambda *_: self._ready.set()
        self._client.on_message = self._hear
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert self._ready.wait(10)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _hear(self, _client: object, _userdata: object, message: paho.MQTTMessage) -> None:
        """First messages by terminal, and by topic for what is no terminal's."""
        now = time.monotonic()
        ours = message.topic.startswith("pos/1/demo/")
        terminal, _, rest = message.topic.removeprefix("pos/1/demo/").partition("/")
        self.first.setdefault(terminal if ours else message.topic, now)
        if ours and rest.startswith("fault/"):
            self.came[rest.removeprefix("fault/"), json.loads(message.payload)["state"]] = now


@dataclass
class Ground:
    """A broker with TLS on `broker.tls_port`, and who listens on its plain port."""

    folder: Path
    broker: Broker
    authority: Authority
    listener: Listener

    @property
    def tls_port(self) -> int:
        return self.broker.tls_port  # type: ignore[attr-defined,no-any-return]

    @contextmanager
    def terminal(self, number: int) -> Iterator[tuple[Terminal, Path]]:
        """A simulated terminal, and the configuration of a daemon that reports it over TLS."""
        url = f"mqtt://127.0.0.1:{self.broker.port}"
        folder = self.folder / f"pos{number}"
        run = Path(tempfile.mkdtemp(prefix="posdiag-bench-", dir=_MEMORY))
        folder.mkdir()
        (folder / "run").symlink_to(run)
        try:
            with Terminal(folder, seed=number, mqtt=url) as terminal:
                (terminal.folder / "proc" / "stat").unlink()  # the load of this machine is no fault of the terminal
                yield terminal, self.configure(folder / "agent.toml", terminal.terminal_id)
        finally:
            shutil.rmtree(run)

    def configure(self, config: Path, name: str, port: int = 0, *, change: Callable[[str], str] = str) -> Path:
        """TLS with a certificate of its own for a configuration as the simulator writes it."""
        cert, key = self.authority.issue(name)
        key.chmod(0o600)  # else its own check would say so
        files = "".join(
            f"{key_} = {json.dumps(str(path))}\n"
            for key_, path in (("ca_file", self.authority.file), ("cert_file", cert), ("key_file", key))
        )
        plain = f'url = "mqtt://127.0.0.1:{self.broker.port}"\n'
        secure = f'url = "mqtts://127.0.0.1:{port or self.tls_port}"\n{files}'
        text = config.read_text("utf-8").replace(plain, secure)
        assert secure in text
        config.write_text(change(text), "utf-8")
        return config


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder on a disk."""
    with tempfile.TemporaryDirectory(prefix="posdiag-bench-", dir=_DISK) as name:
        yield Path(name)


@contextmanager
def ground() -> Iterator[Ground]:
    with ExitStack() as stack:
        folder = stack.enter_context(scratch())
        authority = Authority(folder)
        broker = tls_broker(folder, authority)
        broker.start()
        stack.callback(broker.kill)
        listener = Listener(broker.port)
        stack.callback(listener.close)
        yield Ground(folder, broker, authority, listener)


def field_intervals(text: str) -> str:
    """The simulator's configuration looks at network and system more often than a terminal in the field does."""
    return "".join(line for line in text.splitlines(True) if not line.startswith("poll_s"))


def without_devices(text: str) -> str:
    """The same configuration, no device in it."""
    tables = text.split("\n[")
    return "\n[".join(table for table in tables if not table.startswith("[device]]"))


def wait_for(predicate: Callable[[], float | None], limit_s: float = 20) -> float:
    """A moment that somebody noted."""
    return wait_until(predicate, limit_s, every_s=0.002) or 0.0
