"""The loopback world as a terminal meets it: plain sockets, real TLS."""

from __future__ import annotations

import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterator
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.datagrams import answer_name, answer_time
from simulator.terminal import Terminal
from tests.simulator.fakes import REGISTRY
from tests.wait import wait_until

Make = Callable[..., Terminal]
SOON_S = 20.0  # by when an answer that must come is there, on the busiest machine
SILENT_S = 0.3  # how long to wait for one that must not come
_1900 = 2_208_988_800


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    with Terminal(tmp_path_factory.mktemp("pos"), registry=REGISTRY, seed=1) as made:
        yield made


@pytest.fixture
def pos(shared: Terminal) -> Iterator[Terminal]:
    """One terminal for all tests, put right after each."""
    before = {name: value for name, value in shared.get().items() if name in {*shared._values}}
    shared.set({"network.latency_ms": 0})
    yield shared
    shared.set(before)


def address(pos: Terminal, service: str) -> tuple[str, int]:
    host, _, port = pos.describe()[service].rpartition(":")
    return host, int(port)


def connects(pos: Terminal, service: str, limit_s: float = SOON_S) -> str:
    try:
        with socket.create_connection(address(pos, service), limit_s):
            return "yes"
    except TimeoutError:
        return "silent"
    except ConnectionRefusedError:
        return "refused"


def datagram(pos: Terminal, service: str, query: bytes, limit_s: float = SOON_S) -> bytes | None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(limit_s)
        client.sendto(query, address(pos, service))
        try:
            return client.recv(2048)
        except TimeoutError:
            return None


def name_query(name: str, kind: int = 1, number: int = 0x1234) -> bytes:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack(">6H", number, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">HH", kind, 1)


def lookup(pos: Terminal, name: str, limit_s: float = SOON_S) -> str | None:
    """The address, "none" for no such name, None for no answer."""
    query = name_query(name)
    reply = datagram(pos, "dns", query, limit_s)
    if reply is None:
        return None
    assert reply[:2] == query[:2]
    assert reply[12 : len(query)] == query[12:]
    if reply[3] & 15 == 3:
        return "none"
    return socket.inet_ntoa(reply[-4:])


def handshake(pos: Terminal, name: str = "acquirer.test", limit_s: float = SOON_S) -> str:
    context = ssl.create_default_context(cafile=pos.describe()["acquirer_ca"])
    with socket.create_connection(address(pos, "acquirer"), limit_s) as plain:
        try:
            with context.wrap_socket(plain, server_hostname=name) as tls:
                return str(tls.version())
        except ssl.SSLCertVerificationError as error:
            return str(error.verify_message)
        except (ConnectionError, ssl.SSLError) as error:
            return f"broken: {type(error).__name__}"
        except TimeoutError:
            return "silent"


def fetch(pos: Terminal, path: str = "/generate_204") -> bytes:
    with socket.create_connection(address(pos, "portal_check"), SOON_S) as client:
        client.sendall(b"GET " + path.encode() + b" HTTP/1.1\r\nHost: portal-check.test\r\n\r\n")
        data = b""
        while more := client.recv(4096):
            data += more
    return data


def test_the_ladder_stands(pos: Terminal) -> None:
    assert connects(pos, "gateway") == "yes"
    assert lookup(pos, "acquirer.test") == "127.0.0.1"
    assert lookup(pos, "ACQUIRER.test") == "127.0.0.1"
    assert lookup(pos, "nowhere.test") == "none"
    assert handshake(pos) == "TLSv1.3"
    assert fetch(pos).startswith(b"HTTP/1.1 204 ")
    reply = datagram(pos, "ntp", b"\x23" + bytes(39) + b"ORIGINAL")
    assert reply is not None
    assert reply[24:32] == b"ORIGINAL"


@pytest.mark.parametrize(
    ("rung", "silent"),
    [
        ("acquirer", {"acquirer"}),
        ("gateway", {"gateway", "acquirer", "portal_check", "dns"}),
        ("link", {"gateway", "acquirer", "portal_check", "dns"}),
        ("dns", {"dns"}),
    ],
)
def test_what_is_down_is_silent_and_comes_back(pos: Terminal, rung: str, silent: set[str]) -> None:
    for _ in range(2):
        pos.set({f"network.{rung}": "down"})
        for service in ("gateway", "acquirer", "portal_check"):
            limit_s, answer = (SILENT_S, "silent") if service in silent else (SOON_S, "yes")
            assert connects(pos, service, limit_s) == answer, service
        limit_s = SILENT_S if "dns" in silent else SOON_S
        assert (lookup(pos, "acquirer.test", limit_s) is None) == ("dns" in silent)
        pos.set({f"network.{rung}": "up"})
        assert [connects(pos, service) for service in ("gateway", "acquirer", "portal_check")] == ["yes"] * 3
        assert lookup(pos, "acquirer.test") == "127.0.0.1"


def test_an_open_connection_falls_silent_with_its_host(pos: Terminal) -> None:
    with socket.create_connection(address(pos, "portal_check"), SOON_S) as client:
        client.sendall(b"GET / HTTP/1.1\r\n")
        pos.set({"network.gateway": "down"})
        client.sendall(b"\r\n")
        client.settimeout(SILENT_S)
        with pytest.raises(TimeoutError):
            client.recv(100)


def test_the_certificate_says_what_is_wrong(pos: Terminal) -> None:
    pos.set({"network.tls": "expired"})
    assert handshake(pos) == "certificate has expired"
    pos.set({"network.tls": "wrong_host"})
    assert "Hostname mismatch" in handshake(pos)
    pos.set({"network.tls": "ok"})
    assert handshake(pos) == "TLSv1.3"


def test_tls_fails_while_the_clock_is_far_off(pos: Terminal) -> None:
    pos.set({"system.clock_offset_s": 86_400})
    assert handshake(pos) == "certificate has expired"
    pos.set({"system.clock_offset_s": -86_400})
    assert handshake(pos) == "certificate is not yet valid"
    for near in (600, 3600, -3600, 0):
        pos.set({"system.clock_offset_s": near})
        assert handshake(pos) == "TLSv1.3"


def test_the_time_server_tells_the_worlds_time(pos: Terminal) -> None:
    pos.set({"system.clock_offset_s": 1000.5, "network.latency_ms": 200})
    before = time.time()
    reply = datagram(pos, "ntp", b"\x23" + bytes(47))
    after = time.time()
    assert reply is not None
    assert reply[0] & 7 == 4
    assert 0 < reply[1] < 16
    seconds, fraction = struct.unpack(">II", reply[40:48])
    offset = (before + after) / 2 - (seconds - _1900 + fraction / 2**32)
    delay_s = after - before - 0.2  # of a busy machine, on either way
    assert offset == pytest.approx(1000.5, abs=0.1 + delay_s / 2)


def test_a_portal_stands_in_the_way(pos: Terminal) -> None:
    pos.set({"network.portal": "yes"})
    assert lookup(pos, "nowhere.test") == "127.0.0.1"
    assert handshake(pos).startswith("broken")
    head = fetch(pos)
    assert head.startswith(b"HTTP/1.1 302 ")
    assert b"Location: http://portal-check.test:" in head
    page = fetch(pos, "/login")
    assert page.startswith(b"HTTP/1.1 200 ")
    assert b"<title>" in page
    pos.set({"network.portal": "no"})
    assert fetch(pos).startswith(b"HTTP/1.1 204 ")


def test_latency_delays_every_answer(pos: Terminal) -> None:
    pos.set({"network.latency_ms": 300})
    for ask in (partial(lookup, pos, "acquirer.test"), partial(handshake, pos), partial(fetch, pos)):
        begin = time.monotonic()
        assert ask()
        assert time.monotonic() - begin >= 0.29


def test_loss_takes_its_share_of_the_datagrams(pos: Terminal) -> None:
    pos.set({"network.loss_percent": 50})
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.setblocking(False)
        for number in range(200):
            client.sendto(name_query("acquirer.test", number=number), address(pos, "dns"))
        seen: set[int] = set()

        def all_were_heard() -> bool:
            """Queries are heard in order, so an answer to a later one says that all 200 were."""
            client.sendto(name_query("acquirer.test", number=200), address(pos, "dns"))
            try:
                while True:
                    seen.add(int.from_bytes(client.recv(2048)[:2], "big"))
            except BlockingIOError:
                return 200 in seen

        wait_until(all_were_heard)
    assert 60 < len(seen - {200}) < 140


def test_a_weak_signal_slows_the_modems_network(pos: Terminal) -> None:
    try:
        pos.set({"modem.signal_dbm": -112})
        begin = time.monotonic()
        assert fetch(pos).startswith(b"HTTP/1.1 204 ")
        assert time.monotonic() - begin >= 0.24
    finally:
        pos.set({"modem.signal_dbm": -85})


def test_half_a_request_and_noise_harm_nobody(pos: Terminal) -> None:
    for service in ("acquirer", "portal_check", "gateway"):
        with socket.create_connection(address(pos, service), SOON_S) as client:
            client.sendall(b"\x16\x03\x01 nonsense" * 3)
    datagram(pos, "dns", b"\0" * 12, 0.05)
    datagram(pos, "ntp", b"?", 0.05)
    assert handshake(pos) == "TLSv1.3"
    assert fetch(pos).startswith(b"HTTP/1.1 204 ")


@given(st.binary(max_size=80))
def test_no_datagram_upsets_the_servers(query: bytes) -> None:
    for answer in (answer_name(query, ("acquirer.test",), every_name=True), answer_time(query, 0.0)):
        assert answer is None or len(answer) >= 12


def test_other_record_types_have_no_answer() -> None:
    reply = answer_name(name_query("acquirer.test", kind=28), ("acquirer.test",), every_name=False)
    assert reply is not None
    assert struct.unpack(">6H", reply[:12])[2:4] == (1, 0)
    assert reply[3] & 15 == 0
