"""Card numbers go into every input of the daemon; none may be found on disk, in logs, on the wire or in its memory."""

from __future__ import annotations

import json
import re
import socket
import struct
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tests.mqtt.broker import Observer, Rumqttd
from tests.system.stage import Agent, Sim, ask_socket, posdiag
from tests.wait import wait_until

# Published test numbers; each input has its own, so that a leak names the way it took.
CANARIES = {
    "printer's text": "4111111111111111",
    "modem's text": "5105105105105100",
    "report.sock": "378282246310005",
    "report.sock, a name": "6011000990139424",
    "command's arguments": "3530111333300000",
    "command's id": "5555555555554444",
    "case": "4012888888881881",
    "configured channel": "6011111111111117",
    "configured port's name": "4000056655665556",
    "control socket": "5200828282828210",
    "case in wide digits": "4242424242424242",
}
STORED = {"printer's text", "modem's text", "case", "case in wide digits"}
"""What the daemon goes on knowing while it rests."""
OWN = {"configured channel", "configured port's name"}
"""The configuration is the operator's own text."""
WITHOUT_FILTER = """
import sys, agent.cards as cards
same = lambda value, *_: value
cards.clean = cards.clean_json = cards.clean_readings = cards.clean_identity = same
cards.redact_text = same
cards.guard_output = lambda: None
import drivers.redact
drivers.redact.redact_text = same
from agent.serve import serve

sys.exit(serve(sys.argv[-1], "info"))
"""


def wide(pan: str) -> str:
    return "".join(chr(0xFF10 + int(digit)) for digit in pan)


def needles(pan: str) -> list[bytes]:
    """How it may be written: ASCII, packed, hex of ASCII, wide, and UCS-2 as strings with wide letters are held."""
    return [pan.encode(), bytes.fromhex(pan + "f" * (len(pan) % 2)), pan.encode().hex().encode(), wide(pan).encode(), wide(pan).encode("utf-16-le")]  # fmt: skip


def in_bytes(data: bytes) -> set[str]:
    return {name for name, pan in CANARIES.items() if any(needle in data for needle in needles(pan))}


def command(agent: Agent, command_id: str, **args: object) -> bytes:
    now = int(time.time())
    estate, terminal = agent.base.split("/")[2:]
    return json.dumps({"iss": "c", "aud": f"{estate}/{terminal}", "jti": command_id, "nbf": now - 5, "exp": now + 60, "cmd": "check", "args": args}).encode()  # fmt: skip


def send(observer: Observer, agent: Agent, command_id: str, **args: object) -> None:
    properties = Properties(PacketTypes.PUBLISH)
    properties.ResponseTopic = f"{agent.base}/result/{command_id}"
    properties.CorrelationData = command_id.encode()
    properties.MessageExpiryInterval = 60
    observer.publish(f"{agent.base}/command", command(agent, command_id, **args), properties)


def pour(sim: Sim, agent: Agent, observer: Observer) -> None:
    """Every canary into its input, and wait until each has had its effect."""
    agent.until(lambda status: status["connected"])
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as application:
        for line in (
            {"reader": {"good": 3, "failed": 0, "last": 0.378282246310005}},
            {"reader": {"good": 4, "failed": 0, f"n{CANARIES['report.sock, a name']}": 1}},
            {"firmware": {"update": "a" + CANARIES["report.sock"]}},
        ):
            application.sendto(json.dumps(line).encode(), str(agent.run_dir / "report.sock"))
    case = {"case": f"C {CANARIES['case']}", "progress": wide(CANARIES["case in wide digits"])}
    observer.publish(f"{agent.base}/case", json.dumps(case).encode(), retain=True)
    send(
        observer,
        agent,
        "canary-command-1",
        device=CANARIES["command's arguments"],
        level=CANARIES["command's arguments"],
    )
    send(observer, agent, CANARIES["command's id"])
    send(observer, agent, "canary-command-2", device="printer")
    for request in (
        {"cmd": CANARIES["control socket"]},
        {"cmd": "check", "args": {"device": CANARIES["control socket"]}},
    ):
        assert in_bytes(json.dumps(ask_socket(agent.run_dir / "control.sock", request)).encode()) == set()
    wait_until(lambda: any(body["state"] == "succeeded" for body in observer.of("result/canary-command-2")), 20)
    agent.until(lambda status: status["case"].get("case"))
    agent.until(lambda status: status["devices"]["printer"]["firmware"] and status["devices"]["modem"]["firmware"], 30)
    wait_until(lambda: any("printer" in str(body) for body in observer.of("inventory") if body), 20)


def on_disk(folder: Path) -> set[str]:
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "agent.lock"]
    assert files
    return set().union(*(in_bytes(path.read_bytes()) | in_bytes(path.name.encode()) for path in files))


def on_wire(observer: Observer, agent: Agent) -> set[str]:
    heard = [each for each in list(observer.heard) if each.topic.startswith(agent.base + "/")]
    sent = [each for each in heard if each.topic.removeprefix(agent.base + "/") not in {"command", "case", "config"}]
    assert sent
    return set().union(
        *(in_bytes(each.topic.encode() + json.dumps(each.body, ensure_ascii=False).encode()) for each in sent)
    )


def in_memory(pid: int) -> set[str]:
    """What stands in the texts and bytes that the process holds: memory that was freed and not used again is not state."""
    kinds = {struct.pack("P", _moved(id(kind), pid)): kind for kind in (str, bytes)}
    found: set[str] = set()
    with Path(f"/proc/{pid}/mem").open("rb", 0) as memory:
        for low, high in _writable(pid):
            try:
                memory.seek(low)
                data = memory.read(high - low)
            except OSError:
                continue
            for each in re.finditer(b"|".join(map(re.escape, kinds)), data):
                at = each.start() - 8
                if at < 0 or at % 8 or at + 24 > len(data):
                    continue
                references, _, length = struct.unpack_from("qPn", data, at)
                if not 0 < references < 1 << 32 or not 0 < length < 1 << 20:  # a pointer here means: freed
                    continue
                if kinds[each[0]] is bytes:
                    end = at + sys.getsizeof(b"") - 1 + length
                else:
                    wide_ones = not data[at + 32] >> 6 & 1  # the bit that says ASCII
                    end = at + (
                        sys.getsizeof("\uff11") - 2 + 2 * length if wide_ones else sys.getsizeof("") - 1 + length
                    )
                found |= in_bytes(data[at:end])
    return found


def _writable(pid: int | str) -> Iterator[tuple[int, int]]:
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        span = re.match(r"([0-9a-f]+)-([0-9a-f]+) rw", line)
        if span is not None and "[vvar]" not in line and "[vsyscall]" not in line:
            yield int(span[1], 16), int(span[2], 16)


def _moved(address: int, pid: int) -> int:
    """Where the other process, of the same interpreter, has what stands here in a loaded file."""

    def spans(of: int | str) -> dict[str, list[tuple[int, int]]]:
        files: dict[str, list[tuple[int, int]]] = {}
        for line in Path(f"/proc/{of}/maps").read_text().splitlines():
            low, high, name = re.match(r"(\w+)-(\w+)(?: +\S+){4} *(.*)", line).groups()
            files.setdefault(name, []).append((int(low, 16), int(high, 16)))
        return files

    for name, pieces in spans("self").items():
        if any(low <= address < high for low, high in pieces):
            return spans(pid)[name][0][0] + address - pieces[0][0]
    raise LookupError(address)


@pytest.fixture
def stage(broker: Rumqttd, folder: Path) -> Iterator[tuple[Sim, Path]]:
    with Sim(folder, broker.port) as sim:
        sim.apply(
            {"printer.firmware": "V" + CANARIES["printer's text"], "modem.firmware": "R" + CANARIES["modem's text"]}
        )
        port = "tty" + CANARIES["configured port's name"]
        channel = CANARIES["configured channel"]
        support = f'[support]\nchannel = "{channel}"\n'
        yield (
            sim,
            sim.write_config(add=support, change=lambda text: text.replace(f"{folder}/keypad", f"{folder}/{port}")),
        )


def places(agent: Agent, observer: Observer) -> dict[str, set[str]]:
    folder = agent.run_dir.parent
    state = next(path.parent for path in folder.rglob("posdiag.db"))
    return {
        "state": on_disk(state),
        "run": on_disk(agent.run_dir),
        "log": in_bytes(agent.log.read_bytes()),
        "wire": on_wire(observer, agent),
    }


def test_no_canary_is_kept_or_sent(stage: tuple[Sim, Path], broker: Rumqttd):
    sim, config = stage
    with Observer(broker.port) as observer, Agent(config) as agent:
        pour(sim, agent, observer)
        assert places(agent, observer) == {"state": set(), "run": set(), "log": set(), "wire": set()}
        wait_until(lambda: in_memory(agent.pid) <= OWN, 30, every_s=1)
        assert agent.terminate()[0] == 0
        assert places(agent, observer) == {"state": set(), "run": set(), "log": set(), "wire": set()}


def test_without_the_filter_they_are_found(stage: tuple[Sim, Path], broker: Rumqttd):
    sim, config = stage
    before = (sys.executable, "-P", "-c", WITHOUT_FILTER)
    with Observer(broker.port) as observer, Agent(config, before=before) as agent:
        agent.until(lambda status: status["connected"])
        pour(sim, agent, observer)
        agent.until(
            lambda status: status["devices"]["printer"]["firmware"] and status["devices"]["modem"]["firmware"], 30
        )
        wait_until(lambda: {"printer's text", "modem's text", "command's id"} <= on_wire(observer, agent))
        found = places(agent, observer)
        assert {"printer's text", "modem's text", "configured channel", "configured port's name", "case"} <= found[
            "run"
        ]
        assert {"printer's text", "modem's text", "command's id"} <= found["wire"]
        assert found["state"]
        assert in_memory(agent.pid) >= STORED


def test_a_refused_configuration_is_told_without_its_value(tmp_path: Path):
    path = tmp_path / "agent.toml"
    key, value = CANARIES["configured channel"], CANARIES["case"]
    path.write_text(f'[terminal]\nid = "t"\n"{key}" = "{value}"\n', "utf-8")
    refused = posdiag("run", "--config", str(path))
    assert refused.returncode == 2
    assert "<pan:16>" in refused.stderr
    assert in_bytes((refused.stdout + refused.stderr).encode()) == set()
