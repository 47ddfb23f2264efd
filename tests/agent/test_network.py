"""The ladder against real sockets on loopback, and its parsers against anything."""

from __future__ import annotations

import datetime as dt
import socket
import ssl
import struct
import threading
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from agent.config import NetworkConfig, PathsConfig
from agent.probes import dns, reach
from agent.probes.network import NetworkProbe

HOST = "acquirer.test"


# --- a small world ---


class Udp:
    """A resolver: `answer(query, n)` gives the reply to the n-th query, None for silence."""

    def __init__(self, answer) -> None:
        self.asked = 0
        self._answer = answer
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            data, peer = self._socket.recvfrom(2000)
            if data == b"stop":
                return
            self.asked += 1
            reply = self._answer(data, self.asked)
            for each in reply if isinstance(reply, list) else [reply]:
                if each is not None:
                    self._socket.sendto(each, peer)

    def close(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
            link.sendto(b"stop", ("127.0.0.1", self.port))
        self._thread.join()
        self._socket.close()


class Tcp:
    """A listener that hands each connection to `talk` in its own thread."""

    def __init__(self, talk) -> None:
        self.connections = 0
        self._talk = talk
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._serve)]
        self._threads[0].start()

    def _serve(self) -> None:
        while True:
            try:
                link, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            thread = threading.Thread(target=self._one, args=(link,))
            self._threads.append(thread)
            thread.start()

    def _one(self, link: socket.socket) -> None:
        with link:
            link.settimeout(8)
            try:
                self._talk(link)
            except OSError:
                return

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join()


class Deaf:
    """A port on which nobody is ever accepted and whose queue is full, so that connects time out."""

    def __init__(self) -> None:
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(0)
        self.port = self._listener.getsockname()[1]
        self._fill = []
        for _ in range(3):
            link = socket.socket()
            link.setblocking(False)
            link.connect_ex(("127.0.0.1", self.port))
            self._fill.append(link)

    def close(self) -> None:
        for link in self._fill:
            link.close()
        self._listener.close()


class Closed:
    """A port that refuses: it is taken, so that nobody else gets it, and nobody listens on it."""

    def __init__(self) -> None:
        self._taken = socket.socket()
        self._taken.bind(("127.0.0.1", 0))
        self.port = self._taken.getsockname()[1]

    def close(self) -> None:
        self._taken.close()


def reply_to(query: bytes, *addresses: str, rcode: int = 0) -> bytes:
    records = b"".join(b"\xc0\x0c" + struct.pack(">2HIH", 1, 1, 60, 4) + socket.inet_aton(each) for each in addresses)
    return query[:2] + struct.pack(">5H", 0x8180 | rcode, 1, len(addresses), 0, 0) + query[12:] + records


def resolve(query: bytes, _n: int) -> bytes:
    return reply_to(query, "127.0.0.1")


class Authority:
    """A certificate authority and what it signs, in a folder."""

    def __init__(self, folder) -> None:
        self.folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
        self.file = folder / "ca.pem"
        certificate = self._sign(self._name, self._key.public_key(), -1000, 1000, ca=True)
        self.file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def _sign(self, subject, key, begins_h, ends_h, *, ca=False, host=""):
        now = dt.datetime.now(dt.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + dt.timedelta(hours=begins_h))
            .not_valid_after(now + dt.timedelta(hours=ends_h))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if host:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        return builder.sign(self._key, hashes.SHA256())

    def server(self, host=HOST, begins_h=-1, ends_h=1) -> ssl.SSLContext:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "acquirer")])
        certificate = self._sign(name, key.public_key(), begins_h, ends_h, host=host)
        file = self.folder / f"{host}{begins_h}{ends_h}.pem"
        file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def place():
    """What opens a server, such as a Udp that answers by `resolve`, and closes it in the end."""
    opened = []

    def open_one(kind, *arguments):
        opened.append(kind(*arguments))
        return opened[-1]

    yield open_one
    for each in opened:
        each.close()


def speak_tls(context: ssl.SSLContext):
    def talk(link: socket.socket) -> None:
        try:
            with context.wrap_socket(link, server_side=True) as secured:
                assert secured.recv(100) == b""  # nothing is ever sent after the handshake
        except ssl.SSLError:
            return

    return talk


def speak_http(answer: bytes):
    def talk(link: socket.socket) -> None:
        data = b""
        while b"\r\n\r\n" not in data:
            data += link.recv(1000)
        assert data.startswith(b"GET /check HTTP/1.1\r\nHost: ")
        link.sendall(answer)

    return talk


def accept(link: socket.socket) -> None:
    link.recv(1)


ROUTE = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"
DEFAULT = "eth0\t00000000\t0101A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
NEAR = "eth0\t0001A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
TRIE = "Local:\n  +-- 127.0.0.0/8 2 0 2\n     |-- 127.0.0.1\n        /32 host LOCAL\n"
OURS = "  +-- 192.168.1.0/24 2 0 2\n     |-- 192.168.1.7\n        /32 host LOCAL\n"


class Kernel:
    """The trees of a machine with one interface."""

    def __init__(self, root) -> None:
        self.root = root
        self.paths = PathsConfig(sys=str(root / "sys"), proc=str(root / "proc"))
        self.write("sys/class/net/eth0/operstate", "up")
        self.write("sys/class/net/eth0/carrier", "1")
        self.write("proc/net/route", ROUTE + DEFAULT + NEAR)
        self.write("proc/net/fib_trie", TRIE + OURS)

    def write(self, name: str, content: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content + "\n" if not content.endswith("\n") else content)


@pytest.fixture
def kernel(tmp_path):
    return Kernel(tmp_path)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def plain(readings) -> dict[str, object]:
    return {name: r.value if r.value is not None else f"?{r.unknown}" for name, r in readings.items()}


def walk(probe: NetworkProbe) -> dict[str, object]:
    began = time.monotonic()
    found = plain(probe.run())
    assert time.monotonic() - began < 10
    return found


RUNGS = ("link", "address", "gateway", "dns", "acquirer", "tls", "portal")


def rungs(found: dict[str, object]) -> list[object]:
    return [found.get(name) for name in RUNGS]


# --- the ladder ---


def world(kernel, place, authority, *, bearer="ethernet", context=None, clock=None, **other):
    """A probe in a world where everything is well, with `other` configuration."""
    settings = {
        "gateway": f"127.0.0.1:{place(Tcp, accept).port}",
        "dns": (f"127.0.0.1:{place(Udp, resolve).port}",),
        "acquirer": f"{HOST}:{place(Tcp, speak_tls(context or authority.server())).port}",
        "acquirer_ca": str(authority.file),
    }
    return NetworkProbe(NetworkConfig(bearer=bearer, **(settings | other)), kernel.paths, clock or Clock())


def test_all_is_well(kernel, place, authority):
    found = walk(world(kernel, place, authority))
    assert rungs(found) == ["up", "ok", "ok", "ok", "ok", "ok", "no"]
    assert all(0 <= float(found[name]) < 2000 for name in ("gateway_ms", "dns_ms", "acquirer_ms", "tls_ms"))
    assert found["latency_ms"] == pytest.approx(float(found["latency_ms"]))
    assert found["interface"] == "eth0"
    assert found["changes"] == 0


@pytest.mark.parametrize(
    ("context", "why"),
    [
        ({"begins_h": -9, "ends_h": -1}, "expired"),
        ({"begins_h": 1, "ends_h": 9}, "not_yet_valid"),
        ({"host": "other.test"}, "wrong_host"),
    ],
)
def test_tls_says_what_is_wrong(kernel, place, authority, context, why):
    found = walk(world(kernel, place, authority, context=authority.server(**context)))
    assert rungs(found)[:6] == ["up", "ok", "ok", "ok", "ok", "failed"]
    assert found["tls_why"] == why


@pytest.mark.parametrize(("begins_h", "ends_h", "word"), [(-1, 11, "ok"), (-11, 1, "expiring")])
def test_the_certificate_of_the_acquirer_tells_when_it_ends(kernel, place, authority, begins_h, ends_h, word):
    probe = world(kernel, place, authority, context=authority.server(begins_h=begins_h, ends_h=ends_h))
    found = walk(probe)
    assert (found["tls"], found["tls_certificate"]) == ("ok", word)
    assert found["tls_certificate_days"] == pytest.approx(ends_h / 24, abs=0.1)


def test_without_a_handshake_nothing_is_said_of_the_certificate(kernel, place, authority):
    found = walk(world(kernel, place, authority, context=authority.server(begins_h=-3, ends_h=-1)))
    assert found["tls"] == "failed"
    assert "tls_certificate" not in found


def test_an_unknown_authority_is_not_trusted(kernel, place, authority, tmp_path):
    found = walk(world(kernel, place, authority, context=Authority(tmp_path).server()))
    assert (found["tls"], found["tls_why"]) == ("failed", "untrusted")


def test_what_is_no_tls_at_all(kernel, place, authority):
    port = place(Tcp, lambda link: link.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")).port
    found = walk(world(kernel, place, authority, acquirer=f"{HOST}:{port}"))
    assert found["tls"] == "failed"
    assert found["tls_why"] not in {"", "untrusted", "timeout"}


def test_a_handshake_that_hangs(kernel, place, authority):
    port = place(Tcp, lambda link: link.recv(4000) and link.recv(4000)).port
    found = walk(world(kernel, place, authority, acquirer=f"{HOST}:{port}"))
    assert (found["acquirer"], found["tls"], found["tls_why"]) == ("ok", "failed", "timeout")


def test_a_missing_authority_file_is_named(kernel, place, authority):
    found = walk(world(kernel, place, authority, acquirer_ca="/absent/ca.pem"))
    assert found["tls_why"] == "authorities"


def test_a_link_without_carrier_ends_the_ladder(kernel, place, authority):
    probe = world(kernel, place, authority)
    kernel.write("sys/class/net/eth0/operstate", "down")
    assert rungs(walk(probe)) == ["down"] + ["?not_asked"] * 6


def test_an_interface_that_vanished_is_down(kernel, place, authority):
    probe = world(kernel, place, authority)
    walk(probe)
    kernel.write("proc/net/route", ROUTE)
    kernel.write("proc/net/fib_trie", TRIE)
    (kernel.root / "sys/class/net/eth0/operstate").unlink()
    assert rungs(walk(probe))[:2] == ["down", "?not_asked"]


@pytest.mark.parametrize(
    ("trie", "route", "address"),
    [
        (TRIE, ROUTE, "none"),
        (TRIE + OURS.replace("192.168.1", "169.254.1"), ROUTE, "none"),
        (TRIE + OURS, ROUTE + NEAR, "ok"),
        (TRIE + OURS.replace("192.168.1.7", "10.0.0.9"), ROUTE + NEAR, "none"),  # another interface's
        (TRIE + OURS.replace("192.168.1.7", "10.0.0.9"), ROUTE + DEFAULT, "ok"),  # a line to one peer
    ],
)
def test_addresses(kernel, place, authority, trie, route, address):
    kernel.write("proc/net/fib_trie", trie)
    kernel.write("proc/net/route", route)
    found = walk(world(kernel, place, authority, interface="eth0", dns=(), acquirer="127.0.0.1:1"))
    assert (found["link"], found["address"]) == ("up", address)
    if address == "none":
        assert rungs(found)[2:] == ["?not_asked"] * 5


def test_a_global_ipv6_address_is_an_address(kernel, place, authority):
    kernel.write("proc/net/fib_trie", TRIE)
    kernel.write("proc/net/if_inet6", "20010db8000000000000000000000001 02 40 00 80     eth0\n")
    assert walk(world(kernel, place, authority))["address"] == "ok"


def test_a_silent_gateway_hides_what_is_above(kernel, place, authority):
    deaf = place(Deaf)
    found = walk(
        world(
            kernel, place, authority, gateway=f"127.0.0.1:{deaf.port}", dns=(f"127.0.0.1:{place(Udp, lambda *_: None).port}",)
        )
    )  # fmt: skip
    assert rungs(found) == ["up", "ok", "failed", "?not_asked", "?not_asked", "?not_asked", "?not_asked"]
    assert found["gateway_why"] == "timeout"


def test_a_gateway_that_lets_everything_through_is_not_at_fault(kernel, place, authority):
    found = walk(world(kernel, place, authority, gateway=f"127.0.0.1:{place(Deaf).port}"))
    assert rungs(found) == ["up", "ok", "?inconsistent", "ok", "ok", "ok", "no"]


def test_a_refusal_is_an_answer(kernel, place, authority):
    found = walk(world(kernel, place, authority, gateway=f"127.0.0.1:{place(Closed).port}"))
    assert found["gateway"] == "ok"


def test_without_a_default_route_the_gateway_is_what_is_missing(kernel, place, authority):
    kernel.write("proc/net/route", ROUTE + NEAR)
    found = walk(
        world(kernel, place, authority, gateway="", interface="eth0", acquirer=f"127.0.0.1:{place(Closed).port}")
    )
    assert (found["gateway"], found["gateway_why"]) == ("failed", "no_default_route")


def test_a_neighbour_that_the_kernel_knows_need_not_answer_echoes(kernel, place, authority):
    kernel.write(
        "proc/net/arp",
        "IP address HW type Flags HW address Mask Device\n192.168.1.1 0x1 0x2 02:00:00:00:00:01 * eth0\n",
    )
    found = walk(world(kernel, place, authority, gateway=""))
    assert found["gateway"] == "ok"


def test_names_that_nobody_answers(kernel, place, authority):
    found = walk(world(kernel, place, authority, dns=(f"127.0.0.1:{place(Udp, lambda *_: None).port}",)))
    assert rungs(found) == ["up", "ok", "ok", "failed", "?not_asked", "?not_asked", "?not_asked"]
    assert found["dns_why"] == "timeout"
    assert found["loss_percent"] == "?not_asked"  # an outage is not a loss


def test_a_name_that_does_not_exist(kernel, place, authority):
    server = place(Udp, lambda query, _: reply_to(query, rcode=3))
    found = walk(world(kernel, place, authority, dns=(f"127.0.0.1:{server.port}",)))
    assert (found["dns"], found["dns_why"]) == ("failed", "no_such_name")


def test_the_next_resolver_is_asked(kernel, place, authority):
    broken = place(Udp, lambda query, _: reply_to(query, rcode=2))
    good = place(Udp, resolve)
    servers = (f"127.0.0.1:{broken.port}", f"127.0.0.1:{good.port}")
    assert walk(world(kernel, place, authority, dns=servers))["dns"] == "ok"


def test_a_refused_acquirer(kernel, place, authority):
    found = walk(world(kernel, place, authority, acquirer=f"{HOST}:{place(Closed).port}"))
    assert rungs(found)[4:6] == ["failed", "?not_asked"]
    assert found["acquirer_why"] == "refused"


def test_a_silent_acquirer(kernel, place, authority):
    found = walk(world(kernel, place, authority, acquirer=f"{HOST}:{place(Deaf).port}"))
    assert (found["acquirer"], found["acquirer_why"]) == ("failed", "timeout")


def test_an_acquirer_by_address_needs_no_names(kernel, place, authority):
    found = walk(world(kernel, place, authority, acquirer=f"127.0.0.1:{place(Tcp, accept).port}", dns=()))
    assert (found["dns"], found["acquirer"]) == ("?not_asked", "ok")


@pytest.mark.parametrize(
    ("answer", "portal"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", "no"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://login.test/\r\n\r\n", "yes"),
        (b"HTTP/1.0 200 OK\r\n\r\n<html>", "yes"),
        (b"HTTP/1.1 511 Network Authentication Required\r\n\r\n", "yes"),
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", "?bad_reply"),
        (b"SSH-2.0-x\r\n", "?no_reply"),
        (b"", "?no_reply"),
    ],
)
def test_the_portal_check(kernel, place, authority, answer, portal):
    check = f"http://portal.test:{place(Tcp, speak_http(answer)).port}/check"
    found = walk(world(kernel, place, authority, portal_check=check, acquirer=f"{HOST}:{place(Closed).port}"))
    assert found["portal"] == portal


def test_a_modem_shakes_hands_on_every_fourth_walk(kernel, place, authority):
    clock = Clock()
    probe = world(kernel, place, authority, bearer="modem", clock=clock, poll_s=10)
    said = []
    for _ in range(9):
        said.append(walk(probe).get("tls"))
        clock.now += 10
    assert said == ["ok", None, None, None, "ok", None, None, None, "ok"]


def test_a_failure_is_looked_at_again_soon_and_health_less_often(kernel, place, authority):
    clock = Clock()
    probe = world(kernel, place, authority, clock=clock, poll_s=30)
    assert "gateway" in walk(probe)
    clock.now += 20
    assert "gateway" not in walk(probe)  # only what was measured is said
    clock.now += 10
    assert "gateway" in walk(probe)
    probe = world(kernel, place, authority, clock=clock, poll_s=30, acquirer=f"{HOST}:{place(Closed).port}")
    said = []
    for _ in range(8):
        said.append(walk(probe).get("acquirer"))
        clock.now += 2
    assert said == ["failed", "failed", None, None, "failed", None, None, "failed"]


def test_a_link_that_came_back_is_walked_at_once(kernel, place, authority):
    clock = Clock()
    probe = world(kernel, place, authority, clock=clock, poll_s=1000)
    walk(probe)
    kernel.write("sys/class/net/eth0/operstate", "down")
    clock.now += 2
    walk(probe)
    kernel.write("sys/class/net/eth0/operstate", "up")
    clock.now += 2
    found = walk(probe)
    assert found["acquirer"] == "ok"
    assert found["changes"] == 2


def test_carrier_changes_between_two_looks_count(kernel, place, authority):
    clock = Clock()
    kernel.write("sys/class/net/eth0/carrier_changes", "4")
    probe = world(kernel, place, authority, clock=clock, poll_s=2)
    walk(probe)
    kernel.write("sys/class/net/eth0/carrier_changes", "10")
    clock.now += 2
    assert walk(probe)["changes"] == 6
    clock.now += 700
    assert walk(probe)["changes"] == 0


def test_loss_and_latency_over_several_walks(kernel, place, authority):
    clock = Clock()
    server = place(Udp, lambda query, n: None if n % 4 == 2 else resolve(query, n))
    probe = world(kernel, place, authority, clock=clock, dns=(f"127.0.0.1:{server.port}",), poll_s=1)
    for _ in range(4):
        found = walk(probe)
        clock.now += 1
    assert 15 <= float(found["loss_percent"]) <= 40
    assert float(found["latency_ms"]) < 500


# --- names ---


def test_a_slow_reply_is_not_a_lost_one(place):
    waiting: list[bytes] = []

    def late(query: bytes, n: int):
        waiting.append(query)
        return (
            [reply_to(waiting[0], "127.0.0.1")] if n == 2 else None
        )  # the first answer comes after the second question

    server = ("127.0.0.1", place(Udp, late).port)
    found = dns.lookup([server], HOST, time.monotonic() + 3.0)
    assert found.answer == dns.Answer(("127.0.0.1",))
    assert found.lost == 0
    assert found.ms is not None
    assert 1400 < found.ms < 3000


@pytest.mark.parametrize(
    "spoil",
    [
        lambda query: b"\xff\xff" + reply_to(query, "10.0.0.1")[2:],  # another number
        lambda query: reply_to(query.replace(b"acquirer", b"attacker"), "10.0.0.1"),
        lambda query: query,  # our own question come back
        lambda query: reply_to(query, "10.0.0.1")[:-3],
        lambda _: b"",
    ],
)
def test_a_reply_that_is_none_is_ignored(place, spoil):
    server = ("127.0.0.1", place(Udp, lambda query, _: [spoil(query), reply_to(query, "127.0.0.1")]).port)
    found = dns.lookup([server], HOST, time.monotonic() + 20.0)
    assert found.answer == dns.Answer(("127.0.0.1",))


def test_a_resolver_that_refuses_is_not_waited_for(place):
    began = time.monotonic()
    found = dns.lookup([("127.0.0.1", place(Closed).port)], HOST, time.monotonic() + 20)
    assert found.answer is None
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("name", ["", "a" * 64 + ".test", ".".join(["abcdefgh"] * 40), "a..b"])
def test_impossible_names(name):
    with pytest.raises(ValueError):
        dns.encode_query(name, 1)


def test_a_query_is_what_the_standard_says():
    assert dns.encode_query("a.test", 0x1234).hex() == "12340100000100000000000001610474657374000001" + "0001"


QUERY = dns.encode_query(HOST, 7)


@given(st.binary(max_size=600))
def test_the_answer_parser_is_total(data):
    for whole in (data, QUERY[:2] + b"\x81\x80" + b"\0\1" + data, reply_to(QUERY, "1.2.3.4")[: len(QUERY)] + data):
        try:
            answer = dns.parse_answer(whole, QUERY)
        except dns.NotAnAnswer:
            continue
        assert len(answer.addresses) <= 64


@given(st.integers(0, 80), st.binary(min_size=1, max_size=1))
def test_a_changed_byte_never_breaks_the_parser(at, byte):
    good = reply_to(QUERY, "1.2.3.4", "5.6.7.8")
    try:
        dns.parse_answer(good[:at] + byte + good[at + 1 :], QUERY)
    except dns.NotAnAnswer:
        return


# --- small things ---


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("host", ("host", 9)),
        ("host:80", ("host", 80)),
        ("127.0.0.1:1", ("127.0.0.1", 1)),
        ("[fe80::1]:5", ("fe80::1", 5)),
        ("[fe80::1]", ("fe80::1", 9)),
        ("fe80::1", ("fe80::1", 9)),
    ],
)
def test_endpoints(text, expected):
    assert reach.endpoint(text, 9) == expected


def test_an_echo_to_ourselves_is_answered_or_not_allowed():
    assert reach.ping("127.0.0.1", 1.0) in {True, None}
