"""An embedded MQTT 5 broker on loopback: rumqttd from the wheel `iotcore`, in a process of its own."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

HOST = "127.0.0.1"

_CONFIG = """\
id = 0

[router]
id = 0
max_connections = 10010
max_outgoing_packet_count = 200
max_segment_size = 104857600
max_segment_count = 10

[v5.1]
name = "v5"
listen = "{listen}"
next_connection_delay_ms = 1

[v5.1.connections]
connection_timeout_ms = 60000
max_payload_size = 1048576
max_inflight_count = 100
dynamic_filters = true
"""


def write_config(folder: Path, port: int) -> Path:
    """The broker's configuration: one MQTT 5 listener bound to loopback."""
    path = folder / "broker.toml"
    path.write_text(_CONFIG.format(listen=f"{HOST}:{port}"), "utf-8")
    return path


def free_port(wanted: int = 0) -> int:
    """`wanted` if nobody listens there, else any free port on loopback."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, wanted))
        except OSError:
            probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def reach(url: str) -> None:
    """Raises OSError or ValueError, in one line, for a broker that cannot be used."""
    parts = urlsplit(url)
    if parts.scheme != "mqtt":
        raise ValueError(f"a broker is mqtt://HOST:PORT here, not {url}")
    try:
        socket.create_connection((parts.hostname or HOST, parts.port or 1883), 3).close()
    except OSError as error:
        raise OSError(f"no broker at {url}: {error.strerror or error}") from error


def listens(port: int) -> bool:
    """Whether somebody listens on that port of loopback."""
    with socket.socket() as probe:
        probe.settimeout(0.2)
        return probe.connect_ex((HOST, port)) == 0


def start(folder: Path, port: int, log: Path) -> subprocess.Popen[bytes]:
    """Start it as a process that listens on `port`; the caller waits for the port and ends the process."""
    config = write_config(folder, port)
    program = (
        "import sys; sys.path[:] = [p for p in sys.path if p not in ('', '.')]\n"
        "from iotcore.iotcore import IotCoreBroker\n"
        "IotCoreBroker(config_path=sys.argv[1]).run_forever()\n"
    )
    with log.open("ab") as out:
        return subprocess.Popen(
            [sys.executable, "-c", program, str(config)],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,  # Ctrl-C belongs to the demo, which stops things in order
        )
