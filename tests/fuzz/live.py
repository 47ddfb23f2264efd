"""Readers that need a socket, a file or the whole daemon: the same table as `targets`, with the far end in our hands."""

from __future__ import annotations

import json
import select
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Self

import jwt

from agent.actions.validate import judge
from agent.app import App
from agent.cli import main as posdiag
from agent.config import PowerConfig
from agent.config_file import ConfigError, check, load_trusted
from agent.delivery import Delivery
from agent.probes import dns, nut, reach, sntp
from agent.uplink import Incoming
from tests.fuzz.mutator import Mutator
from tests.fuzz.targets import COMMAND, DNS_ANSWERS, MESSAGES, NTP_REPLY, NTP_TOKEN, NUT_LISTS, REPORTS, Target
from tests.wait import wait_until

_REQUEST_BYTES = 4096
_AT_ONCE_S = 20.0  # what ends in a fraction of that, unless it hangs


class Far:
    """A server on loopback that answers each question, or each connection's first bytes, by `answer`."""

    def __init__(self, kind: socket.SocketKind, answer: Callable[[bytes], bytes]) -> None:
        self.answer = answer
        self._kind = kind
        self._socket = socket.socket(socket.AF_INET, kind)
        self._socket.bind(("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            self._socket.listen()
        self._stop, self._stopped = socket.socketpair()
        self._thread = threading.Thread(target=self._serve)

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", self._socket.getsockname()[1]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.close()
        self._thread.join()
        self._stopped.close()
        self._socket.close()

    def _serve(self) -> None:
        while self._stopped not in select.select([self._socket, self._stopped], [], [])[0]:
            with suppress(OSError):
                if self._kind == socket.SOCK_DGRAM:
                    request, client = self._socket.recvfrom(_REQUEST_BYTES)
                    self._socket.sendto(self.answer(request)[:1400], client)
                    continue
                link, _ = self._socket.accept()
                with link:
                    link.settimeout(1)
                    link.sendall(self.answer(link.recv(_REQUEST_BYTES)))
                    link.shutdown(socket.SHUT_WR)
                    link.recv(1)  # until the client has had enough


def _dns(stack: ExitStack) -> Target:
    piece = b""

    def answer(request: bytes) -> bytes:
        return request[:2] + piece[2:]

    far = stack.enter_context(Far(socket.SOCK_DGRAM, answer))

    def take(data: bytes) -> int:
        nonlocal piece
        piece = data
        began = time.monotonic()
        wait_s = 1.0 if data in DNS_ANSWERS else 0.05  # what is damaged is mostly no answer
        found = dns.lookup([far.address], "host.acquirer.test", began + wait_s, attempts=1)
        assert time.monotonic() - began < _AT_ONCE_S
        return found.answer is not None

    return Target(name="DNS, a resolver", corpus=DNS_ANSWERS, take=take)


def _sntp(stack: ExitStack) -> Target:
    piece = b""

    def answer(request: bytes) -> bytes:
        return piece.replace(NTP_TOKEN, request[40:48])

    far = stack.enter_context(Far(socket.SOCK_DGRAM, answer))

    def take(data: bytes) -> int:
        nonlocal piece
        piece = data
        began = time.monotonic()
        found = sntp.clock_offset_s(far.address, 1.0 if data == NTP_REPLY else 0.05)
        assert time.monotonic() - began < _AT_ONCE_S
        return found is not None

    return Target(name="NTP, a server", corpus=[NTP_REPLY], take=take)


def _nut(stack: ExitStack) -> Target:
    piece = b""
    far = stack.enter_context(Far(socket.SOCK_STREAM, lambda _request: piece))
    probe = nut.NutProbe(PowerConfig(nut=f"ups@127.0.0.1:{far.address[1]}"))
    names = set(probe.run())

    def take(data: bytes) -> int:
        nonlocal piece
        piece = data
        began = time.monotonic()
        readings = probe.run()
        probe.close()
        assert time.monotonic() - began < _AT_ONCE_S
        assert set(readings) == names
        return readings["mains"].value is not None

    return Target(name="NUT, a server", corpus=NUT_LISTS, take=take)


_FOUND = b"HTTP/1.0 302 Found\r\nLocation: http://portal.test/\r\n\r\n"
HTTP = [b"HTTP/1.1 204 No Content\r\n\r\n", _FOUND, b"HTTP/1.1 200"]


def _http(stack: ExitStack) -> Target:
    piece = b""
    far = stack.enter_context(Far(socket.SOCK_STREAM, lambda _request: piece))

    def take(data: bytes) -> int:
        nonlocal piece
        piece = data
        link, _ = reach.connect(far.address, 1)
        assert link is not None
        status = reach.http_status(link, "portal.test", "/", 1)
        assert status is None or 0 <= status <= 999
        return status is not None

    return Target(name="HTTP, a portal", corpus=HTTP, take=take)


def _tls(stack: ExitStack, pki: Path) -> Target:
    """The first flight of a real server, damaged: it never counts as one that we trust."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pki / "server.pem", pki / "server.key")
    seed = 0

    def flight(hello: bytes) -> bytes:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        incoming.write(hello)
        with suppress(ssl.SSLError):
            context.wrap_bio(incoming, outgoing, server_side=True).do_handshake()
        return outgoing.read()

    def answer(hello: bytes) -> bytes:
        whole = flight(hello)
        return Mutator([whole], seed).piece() if seed else whole

    far = stack.enter_context(Far(socket.SOCK_STREAM, answer))

    def take(piece: bytes) -> int:
        nonlocal seed
        seed = zlib.crc32(piece)
        link, _ = reach.connect(far.address, 1)
        assert link is not None
        seen: list[bytes] = []
        done, why = reach.handshake(link, "another.test", str(pki / "ca.pem"), 1, seen)
        assert not done
        assert why
        assert seen == []
        return why == "wrong_host"

    return Target(name="TLS, a server", corpus=[bytes([number]) for number in range(64)], take=take)


REASONS = {"oversized", "keys", "unsigned", "unknown_key", "algorithm", "signature", "malformed"}
SETTINGS = {
    "iss": "center",
    "aud": "demo/pos-1",
    "nbf": 1_795_000_000,
    "version": 7,
    "settings": {"power": {"low_percent": 25.0}, "telemetry": {"batch_s": 60}, "mqtt": {"url": "mqtt://127.0.0.1:1"}},
}


class Signer:
    """Who may sign, with the key set that the terminal holds."""

    def __init__(self, pki: Path) -> None:
        assert posdiag(["pki", "command-key", str(pki)]) == 0
        self.keys_file = pki / "command" / "keys.json"
        (private,) = (pki / "command").glob("*.jwk")
        self._key = jwt.PyJWK(json.loads(private.read_bytes()), algorithm="EdDSA")
        self._kid = private.stem

    def sign(self, content: bytes) -> bytes:
        return jwt.PyJWS().encode(content, self._key.key, algorithm="EdDSA", headers={"kid": self._kid}).encode()


def _forged(signer: Signer) -> Target:
    """Damaged tokens: only what was signed comes through, and nobody is told more than a word."""
    contents = [MESSAGES["command"], json.dumps({**COMMAND, "cmd": "reboot", "tier": 3}).encode()]
    genuine = {json.dumps(json.loads(content), sort_keys=True) for content in contents}
    unsigned = jwt.encode(COMMAND, "", algorithm="none", headers={"kid": signer._kid}).encode()

    def take(piece: bytes) -> int:
        answer = judge("command", piece, str(signer.keys_file))
        if "ok" not in answer:
            assert answer["reason"] in REASONS
            assert "\n" not in answer["error"]
            return 0
        assert json.dumps({name: answer["ok"][name] for name in COMMAND}, sort_keys=True) in genuine
        return 1

    corpus = [*map(signer.sign, contents), unsigned, contents[0]]
    return Target(name="commands, forged", corpus=corpus, take=take)


def _signed(signer: Signer, config_file: Path) -> list[Target]:
    """What a signer may say that is not of the contract: commands, desired settings, and visits."""

    def take(kind: str, piece: bytes) -> int:
        answer = judge(kind, signer.sign(piece), str(signer.keys_file), str(config_file))
        if "ok" not in answer:
            assert answer["reason"] in {"malformed", "oversized"}
            assert "\n" not in answer["error"]
            return 0
        told = answer.get("rejected", {})
        assert all(isinstance(why, str) and why and "\n" not in why for why in told.values()), told
        return 1

    commands, settings = [MESSAGES["command"]], [json.dumps(SETTINGS).encode()]
    return [
        Target(name="commands, signed", corpus=commands, take=partial(take, "command")),
        Target(name="desired settings, signed", corpus=settings, take=partial(take, "settings")),
        Target(name="visits, signed", corpus=[b'{"iss":"c","aud":"demo/x","until":9}'], take=partial(take, "visit")),
    ]


CONFIG = """
[terminal]
id = "pos-1"
estate = "demo"
[mqtt]
url = "mqtt://127.0.0.1:1"
[network]
interface = "lo"
gateway = "127.0.0.1:1"
[[device]]
name = "printer"
family = "escpos"
port = "{folder}/no-printer"
[commands]
keys_file = "{folder}/pki/command/keys.json"
[paths]
run_dir = "{folder}/run"
state_dir = "{folder}/state"
"""


def _config(folder: Path) -> Target:
    file = folder / "tried.toml"

    def take(piece: bytes) -> int:
        file.write_bytes(piece)
        try:
            check(file)
        except ConfigError as error:
            told = error.problems
        else:
            return 1
        assert told
        assert not any("\n" in problem for problem in told), told
        return 0

    return Target(name="configuration file", corpus=[CONFIG.format(folder="/x").encode()], take=take)


REQUESTS = [
    b'{"cmd": "check", "args": {}}',
    b'{"cmd": "check", "args": {"device": "printer", "level": "internal", "report": true}}',
    b'{"cmd": "statistics"}',
    b'{"cmd": "resync", "args": {}}',
    b'{"cmd": "work_order", "args": {"hours": 4}}',
    b'{"cmd": "inspected", "args": {}}',
    b'{"cmd": "\\ud800", "args": []}',
]


class Daemon:
    """The whole daemon, in this process and started, with a broker and a printer that are not there."""

    def __init__(self, folder: Path) -> None:
        file = folder / "agent.toml"
        file.write_text(CONFIG.format(folder=folder), "utf-8")
        self.delivery = Delivery(load_trusted(file))
        self.app = App(self.delivery, file)
        self.run_dir = folder / "run"
        self._thread = threading.Thread(target=self.app.run)

    def __enter__(self) -> Self:
        self.delivery.start()
        self.app.start()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.app.ask_to_stop()
        self._thread.join()
        self.app.stop("test over")

    def judge(self) -> None:
        """That it is whole: its threads live, its status can be read, and it answers."""
        assert self.app.control.is_alive()
        assert self.app.report.is_alive()
        assert self.app.commands.is_alive()
        assert not self.app.commands._rate._every, "a command was accepted"
        status = (self.run_dir / "status.json").read_bytes()
        assert json.loads(status)["terminal"] == "pos-1"
        assert len(status) < 64 * 1024

    def report(self, stack: ExitStack) -> Target:
        link = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        link.settimeout(10)
        link.connect(str(self.run_dir / "report.sock"))

        def take(piece: bytes) -> int:
            link.send(piece)
            self.judge()
            return 1

        return Target(name="report.sock", corpus=REPORTS, take=take)

    def control(self) -> Target:
        def take(piece: bytes) -> int:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
                link.settimeout(20)
                link.connect(str(self.run_dir / "control.sock"))
                answer = b""
                with suppress(BrokenPipeError, ConnectionResetError):
                    link.sendall(piece.rstrip(b"\n") + b"\n")
                    while more := link.recv(65_536):
                        answer += more
            self.judge()
            told = json.loads(answer)
            assert told.keys() <= {"ok", "error"}
            assert told.get("error", "one line") == told.get("error", "one line").partition("\n")[0]
            return "ok" in told

        return Target(name="control.sock", corpus=REQUESTS, take=take)

    def mqtt(self) -> Target:
        """The five filters; the first byte says which."""
        suffixes = ("command", "config", "case", "all/command", "center/c1/state")

        def take(piece: bytes) -> int:
            suffix = suffixes[piece[0] % len(suffixes)] if piece else "case"
            data = piece[1:]
            self.app._incoming(Incoming(suffix, data, retain=bool(piece[:1] > b"\x80"), correlation=data[:8]))
            self.judge()
            return bool(self.app.core.case()) or self.app.deeds.packing

        corpus = [bytes([number]) + MESSAGES.get(suffix, MESSAGES["command"]) for number, suffix in enumerate(suffixes)]
        return Target(name="MQTT, the five filters", corpus=corpus, take=take)


@contextmanager
def live_targets(folder: Path) -> Iterator[list[Target]]:
    """All of them, for as long as the context lasts."""
    pki = folder / "pki"
    assert posdiag(["pki", "init", str(pki)]) == 0
    signer = Signer(pki)
    with ExitStack() as stack:
        daemon = stack.enter_context(Daemon(folder))
        wait_until((folder / "run" / "status.json").exists)
        yield [
            _dns(stack),
            _nut(stack),
            _sntp(stack),
            _http(stack),
            _tls(stack, pki),
            _config(folder),
            _forged(signer),
            *_signed(signer, folder / "agent.toml"),
            daemon.report(stack),
            daemon.control(),
            daemon.mqtt(),
        ]
