"""Programs that do the nearest comparable job, beside the daemon without devices; installed into .venv-bench.

They poll four Modbus devices each second, since they speak no language of a till's devices, and report over TLS.
Nothing is installed into the system: the Debian package is only unpacked.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.bench.farend import ModbusDevices, Platform, ZabbixServer
from tests.bench.figure import Effort, Figure, Series, Told
from tests.bench.ground import Listener, daemon, field_intervals, ground, scratch, wait_for, without_devices
from tests.bench.watch import Watch
from tests.mqtt.broker import MOSQUITTO
from tests.mqtt.meter import tls_broker
from tests.mqtt.test_tls import Authority
from tests.system.stage import Agent

HOME = Path(__file__).resolve().parents[2] / ".venv-bench"
_DEVICES = 4
_WARM_S = 60


class NotInstalled(Exception):
    """Why, in one line."""


@dataclass
class _Field:
    """What the peers are pointed at."""

    folder: Path
    authority: Authority
    broker: Any
    modbus: list[int]
    zabbix: ZabbixServer
    listener: Listener


@dataclass(frozen=True)
class _Peer:
    """`start` begins it in a folder of its own; `told` is when its first measurement had arrived, or None."""

    name: str
    job: str
    install: Callable[[], None]
    start: Callable[[_Field, Path], subprocess.Popen[bytes]]
    told: Callable[[_Field], float | None]


# --- installing -------------------------------------------------------------------------------------------------------


def _call(*words: str, cwd: Path | None = None) -> None:
    try:
        subprocess.run(words, check=True, capture_output=True, text=True, timeout=600, cwd=cwd)
    except FileNotFoundError:
        raise NotInstalled(f"{words[0]} is not there") from None
    except subprocess.TimeoutExpired:
        raise NotInstalled(f"{' '.join(words[:4])} took longer than ten minutes") from None
    except subprocess.CalledProcessError as error:
        said = (error.stderr or error.stdout).strip().splitlines()
        raise NotInstalled(f"{' '.join(words[:4])}: {said[-1] if said else error}") from None


def _environment(name: str, *packages: str) -> None:
    """A virtual environment with these packages, if it is not there yet."""
    place, wanted = HOME / name, " ".join(packages)
    stamp = place / ".installed"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    shutil.rmtree(place, ignore_errors=True)
    _call(sys.executable, "-m", "venv", str(place))
    _call(str(place / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages)
    stamp.write_text(wanted)


def _unpack_zabbix() -> None:
    place = HOME / "zabbix"
    if (place / "usr/sbin/zabbix_agent2").exists():
        return
    place.mkdir(parents=True, exist_ok=True)
    _call("apt-get", "-qq", "update")
    _call("apt-get", "-qq", "download", "zabbix-agent2", cwd=place)
    package = next(place.glob("*.deb"))
    _call("dpkg", "-x", str(package), str(place))
    package.unlink()


def _gateway() -> None:
    if MOSQUITTO is None:
        raise NotInstalled("mosquitto is not installed, and the embedded broker does not take this client's CONNECT")
    _environment("thingsboard", "thingsboard-gateway==3.8.5", "pymodbus==3.9.2", "pyserial-asyncio")


def _install(peer: _Peer) -> str:
    """Why it is not there, "" when it is."""
    HOME.mkdir(exist_ok=True)
    (HOME / ".gitignore").write_text("*\n")
    try:
        peer.install()
    except NotInstalled as error:
        return str(error)
    return ""


# --- starting ---------------------------------------------------------------------------------------------------------


def _spawn(folder: Path, *words: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
    with (folder / "output.log").open("ab") as out:
        return subprocess.Popen(
            words,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
            env={**os.environ, **(env or {})},
        )


def _start_zabbix(place: _Field, folder: Path) -> subprocess.Popen[bytes]:
    cert, key = place.authority.issue("zabbix")
    file = folder / "agent.conf"
    file.write_text(
        f"""LogType=console
DebugLevel=2
Server=127.0.0.1
ListenIP=127.0.0.1
ListenPort={place.zabbix.agent_port}
ServerActive=127.0.0.1:{place.zabbix.port}
Hostname=till
BufferSend=1
ControlSocket={folder}/agent.sock
PidFile={folder}/agent.pid
TLSConnect=cert
TLSAccept=cert
TLSCAFile={place.authority.file}
TLSCertFile={cert}
TLSKeyFile={key}
"""
    )
    return _spawn(folder, str(HOME / "zabbix/usr/sbin/zabbix_agent2"), "--foreground", "--config", str(file))


def _start_glances(place: _Field, folder: Path) -> subprocess.Popen[bytes]:
    file = folder / "glances.conf"
    file.write_text(
        "[mqtt]\nhost=127.0.0.1\npassword=none\ntls=false\ntopic=glances\ntopic_structure=per-plugin\n"
        f"port={place.broker.port}\n"
    )
    words = ("--quiet", "--export", "mqtt", "--time", "1", "--disable-check-update", "--disable-plugin", "all")
    plugins = ("--enable-plugin", "cpu,mem,fs,network")
    return _spawn(folder, str(HOME / "glances/bin/glances"), "--config", str(file), *words, *plugins)


def _slave(number: int, port: int) -> dict[str, Any]:
    values = [
        {"tag": f"value{n}", "type": "16int", "functionCode": 3, "objectsCount": 1, "address": n} for n in range(4)
    ]
    return {
        "host": "127.0.0.1",
        "port": port,
        "type": "tcp",
        "method": "socket",
        "unitId": 1,
        "deviceName": f"device {number}",
        "deviceType": "default",
        "timeout": 5,
        "byteOrder": "BIG",
        "wordOrder": "LITTLE",
        "retries": 3,
        "pollPeriod": 1000,
        "connectAttemptTimeMs": 1000,
        "connectAttemptCount": 5,
        "waitAfterFailedAttemptsMs": 5000,
        "attributes": [],
        "timeseries": values,
        "attributeUpdates": [],
        "rpc": [],
    }


def _start_thingsboard(place: _Field, folder: Path) -> subprocess.Popen[bytes]:
    cert, key = place.authority.issue("gateway")
    slaves = [_slave(number, port) for number, port in enumerate(place.modbus)]
    gateway = {
        "thingsboard": {
            "host": "127.0.0.1",
            "port": place.broker.tls_port,
            "remoteShell": False,
            "remoteConfiguration": False,
            "statistics": {"enable": False},
            "qos": 1,
            # On change, as the others: a value that stands is not worth a message.
            "reportStrategy": {"type": "ON_CHANGE"},
            "security": {
                "type": "tlsPrivateKey",
                "caCert": str(place.authority.file),
                "privateKey": str(key),
                "cert": str(cert),
                "certificateDaysLeft": 0,  # else it replaces one that ends soon by its own
            },
        },
        "storage": {"type": "sqlite", "data_file_path": str(folder / "data.db")},
        "grpc": {"enabled": False},
        "connectors": [{"type": "modbus", "name": "modbus", "configuration": "modbus.json"}],
    }
    config = folder / "config"
    config.mkdir()
    (config / "tb_gateway.json").write_text(json.dumps(gateway))
    (config / "modbus.json").write_text(json.dumps({"master": {"slaves": slaves}}))
    installed = next((HOME / "thingsboard/lib").glob("python*/site-packages/thingsboard_gateway/config/logs.json"))
    (config / "logs.json").write_text(re.sub(r"\./logs", str(folder / "logs"), installed.read_text()))
    env = {"TB_GW_CONFIG_DIR": str(config), "TB_GW_LOGS_PATH": str(folder / "logs")}
    (folder / "logs").mkdir()
    return _spawn(folder, str(HOME / "thingsboard/bin/thingsboard-gateway"), env=env)


_PEERS = (
    _Peer(
        "zabbix-agent2",
        "four Modbus devices polled each second, active checks reported over TLS",
        _unpack_zabbix,
        _start_zabbix,
        lambda place: place.zabbix.first,
    ),
    _Peer(
        "glances",
        "processor, memory, disks and network each second, exported by plain MQTT; it speaks to no device",
        lambda: _environment("glances", "glances==3.3.1.1", "paho-mqtt==1.6.1", "requests"),
        _start_glances,
        lambda place: next((at for topic, at in place.listener.first.items() if topic.startswith("glances/")), None),
    ),
    _Peer(
        "thingsboard-gateway",
        "four Modbus devices polled each second, changes stored in SQLite and reported by MQTT over TLS",
        _gateway,
        _start_thingsboard,
        lambda place: place.listener.first.get("v1/gateway/telemetry"),
    ),
)

# --- measuring --------------------------------------------------------------------------------------------------------


@dataclass
class _Running:
    process: subprocess.Popen[bytes]
    start_s: float | None
    folder: Path = field(default_factory=Path)

    def end(self) -> None:
        for signal in (self.process.terminate, self.process.kill):
            signal()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                continue
            return


def _begin(peer: _Peer, place: _Field) -> _Running:
    """One at a time, so that nobody's start is another's load."""
    folder = place.folder / peer.name
    folder.mkdir()
    began = time.monotonic()
    process = peer.start(place, folder)
    try:
        at = wait_for(lambda: peer.told(place) or (process.poll() is not None and -1.0) or None, 60)
    except AssertionError:
        at = 0.0
    return _Running(process, at - began if at > 0 else None, folder)


def run(effort: Effort) -> Told:
    """All that can be installed, at once, for so many minutes."""
    absent = {peer.name: why for peer in _PEERS if (why := _install(peer))}
    with ExitStack() as stack:
        place = _field(stack)
        running: dict[str, _Running] = {}
        for peer in _PEERS:
            if peer.name not in absent:
                running[peer.name] = found = _begin(peer, place)
                stack.callback(found.end)
                if found.start_s is None:
                    absent[peer.name] = f"it reported nothing: {_last_words(found)}"
        pids = {name: found.process.pid for name, found in running.items() if name not in absent}
        pids["posdiag, no devices"] = stack.enter_context(_bare_daemon(stack)).pid
        lasts = effort.seconds(10, 0.3)
        watch = Watch(pids, min(_WARM_S, lasts / 4))
        watch.through(lasts)
        yield from _bare_figures(watch)
        for peer in _PEERS:
            if peer.name in absent:
                yield Figure(f"{peer.name}.pss", f"{peer.name}: PSS", None, how=absent[peer.name])
            else:
                yield from _figures(peer, watch, running[peer.name])
        yield Series("peers", watch.series())


def _field(stack: ExitStack) -> _Field:
    folder = stack.enter_context(scratch())
    authority = Authority(folder)
    broker = tls_broker(folder, authority)
    broker.start()
    stack.callback(broker.kill)
    listener = Listener(broker.port, everything="#", v5=True)
    stack.callback(listener.close)
    stack.callback(Platform(broker.port).close)
    modbus = stack.enter_context(ModbusDevices(_DEVICES))
    keys = [f"modbus.get[tcp://127.0.0.1:{port},1,0,3,4]" for port in modbus.ports]
    zabbix = stack.enter_context(ZabbixServer(authority.server(*authority.issue("server")), keys))
    return _Field(folder, authority, broker, modbus.ports, zabbix, listener)


def _bare_daemon(stack: ExitStack) -> Agent:
    place = stack.enter_context(ground())
    _, config = stack.enter_context(place.terminal(1))
    config.write_text(without_devices(field_intervals(config.read_text("utf-8"))), "utf-8")
    return daemon(config)


def _bare_figures(watch: Watch) -> Told:
    cost = watch.cost("posdiag, no devices")
    how = f"as with devices, over {cost.took_s:.0f} s, beside the peers"
    yield Figure("bare.cpu", "CPU of one core at rest, no devices", cost.cpu_percent, "%", "≤ 0.03", how)
    yield Figure("bare.pss", "PSS at rest, no devices", cost.memory.pss / 1024, "MiB", "", how)
    yield Figure(
        "bare.alone", "PSS at rest, no devices, were it the only Python", cost.memory.alone / 1024, "MiB", "", how
    )


def _figures(peer: _Peer, watch: Watch, found: _Running) -> Told:
    cost, name = watch.cost(peer.name), peer.name
    job = f"{peer.job}; over {cost.took_s:.0f} s, {cost.after_s:.0f} s after the start"
    yield Figure(f"{name}.pss", f"{name}: PSS", cost.memory.pss / 1024, "MiB", "", job)
    alone = "pages that it shares with the bench or another peer counted in full"
    yield Figure(
        f"{name}.alone",
        f"{name}: PSS, were it alone",
        cost.memory.alone / 1024,
        "MiB",
        "",
        alone,
    )
    yield Figure(f"{name}.cpu", f"{name}: CPU of one core", cost.cpu_percent, "%", "", job)
    start = "from the start of the process to its first measurement at whoever receives it"
    yield Figure(f"{name}.start", f"{name}: start → first measurement", found.start_s, "s", "", start)


def _last_words(found: _Running) -> str:
    said = (found.folder / "output.log").read_text("utf-8", errors="replace").strip().splitlines()
    return said[-1][:160] if said else "not a word"
