"""mqtts: what is checked, what is said when it does not fit, and that a reconnect resumes the session."""

from __future__ import annotations

import datetime as dt
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from agent.config import MqttConfig
from agent.session import ResumingContext, tls_context
from tests.mqtt.agent import Agent
from tests.mqtt.broker import Line, Observer, Rumqttd
from tests.wait import wait_until

NOW = dt.datetime.now(dt.UTC)
DAY = dt.timedelta(days=1)


@dataclass
class Authority:
    """A certificate authority in a directory."""

    directory: Path

    def __post_init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
        certificate = self._builder(self.name, self.key, NOW + DAY).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        self.file = self.directory / "ca.pem"
        self.file.write_bytes(certificate.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, until: dt.datetime
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(until - 3 * DAY)
            .not_valid_after(until)
        )

    def issue(self, name: str, address: str = "127.0.0.1", until: dt.datetime = NOW + DAY) -> tuple[Path, Path]:
        """Certificate and key files for a name and an address."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        names = x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))])
        certificate = self._builder(subject, key, until).add_extension(names, critical=False)
        cert_file, key_file = self.directory / f"{name}.pem", self.directory / f"{name}.key"
        cert_file.write_bytes(certificate.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        key_file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return cert_file, key_file

    def server(self, cert_file: Path, key_file: Path) -> ssl.SSLContext:
        """A server that demands a certificate of this authority."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert_file, key_file)
        context.load_verify_locations(self.file)
        context.verify_mode = ssl.CERT_REQUIRED
        return context


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def files(authority: Authority) -> dict[str, str]:
    cert_file, key_file = authority.issue("till-1")
    return {"ca_file": str(authority.file), "cert_file": str(cert_file), "key_file": str(key_file)}


def test_both_sides_show_certificates_and_reconnects_resume(
    tmp_path: Path, embedded: Rumqttd, authority: Authority
) -> None:
    server = authority.server(*authority.issue("broker"))
    with (
        Line(embedded.port, server) as line,
        Observer(embedded.port) as observer,
        Agent(tmp_path, line.port, scheme="mqtts", **files(authority)) as agent,
    ):
        wait_until(lambda: observer.of("state"))
        first = agent.uplink.status()["bytes_sent"]
        line.cut()
        wait_until(lambda: agent.uplink.status()["connects"] == 2)
        agent.event(1)
        wait_until(lambda: observer.of("event"))
        assert line.resumed == 1
        assert agent.uplink.status()["bytes_sent"] < 2 * first, "a resumed handshake sends no certificate"


class Counting(ssl.SSLSocket):
    """Counts how often its session is read, which costs memory each time."""

    looks = 0

    @property
    def session(self) -> ssl.SSLSession | None:
        Counting.looks += 1
        return super().session

    @session.setter
    def session(self, session: ssl.SSLSession) -> None:
        ssl.SSLSocket.session.fset(self, session)  # type: ignore[attr-defined]


@dataclass
class Caller:
    """Connects again and again with one context, on a clock that the test moves."""

    context: ResumingContext
    line: Line
    now: float = 1000.0

    def __post_init__(self) -> None:
        self.context.clock = lambda: self.now
        self.context.sslsocket_class = Counting
        Counting.looks = 0

    def call(self, lasts_s: float = 1.0) -> bool:
        """One connection; whether it was resumed."""
        before = self.line.resumed
        with socket.create_connection(("127.0.0.1", self.line.port)) as plain:
            sock = self.context.wrap_socket(plain, server_hostname="127.0.0.1")
            sock.sendall(b"\x10\x0e\x00\x04MQTT\x05\x02\x00\x1e\x00\x00\x01c")
            assert sock.recv(64)
            self.now += lasts_s
            for _ in range(3):  # paho tells more than once that it closes
                self.context.remember(sock)
            sock.close()
        return self.line.resumed > before


@pytest.fixture
def caller(embedded: Rumqttd, authority: Authority) -> Iterator[Caller]:
    with Line(embedded.port, authority.server(*authority.issue("broker"))) as line:
        context = tls_context(MqttConfig(url=f"mqtts://127.0.0.1:{line.port}", **files(authority)))
        yield Caller(context, line)


def test_a_line_that_comes_and_goes_is_resumed_each_time_and_its_session_read_once(caller: Caller) -> None:
    assert [caller.call() for _ in range(30)] == [False] + 29 * [True]
    assert Counting.looks == 1


def test_a_session_is_read_anew_before_it_gets_too_old(caller: Caller) -> None:
    assert [caller.call(lasts_s=900) for _ in range(7)] == [False] + 6 * [True]
    assert Counting.looks == 3  # of the first, and each time that one ends more than half of its two hours later


def test_a_session_that_got_too_old_is_neither_kept_nor_offered(caller: Caller) -> None:
    caller.call()
    caller.now += 7200
    assert caller.call(lasts_s=7200) is False
    assert Counting.looks == 1
    assert [caller.call(), caller.call()] == [False, True]


@pytest.mark.parametrize(
    ("issued", "said"),
    [
        ({"until": NOW - DAY}, "certificate has expired"),
        ({"until": NOW + 10 * DAY}, "certificate is not yet valid"),
        ({"address": "127.0.0.9"}, "IP address mismatch"),
    ],
    ids=["expired", "not yet valid", "wrong host"],
)
def test_a_certificate_that_does_not_fit_is_named(
    tmp_path: Path, embedded: Rumqttd, authority: Authority, issued: dict, said: str
) -> None:
    server = authority.server(*authority.issue("broker", **issued))
    with Line(embedded.port, server) as line, Agent(tmp_path, line.port, scheme="mqtts", **files(authority)) as agent:
        wait_until(lambda: said in agent.uplink.last_error)
        assert not agent.uplink.connected


def test_an_unknown_authority_and_a_plain_port_are_named(
    tmp_path: Path, embedded: Rumqttd, authority: Authority
) -> None:
    stranger = tmp_path / "stranger"
    stranger.mkdir()
    other = Authority(stranger)
    server = other.server(*other.issue("broker"))
    with Line(embedded.port, server) as line, Agent(tmp_path, line.port, scheme="mqtts", **files(authority)) as agent:
        wait_until(lambda: "is not accepted" in agent.uplink.last_error)
    with Agent(tmp_path, embedded.port, scheme="mqtts", **files(authority)) as agent:
        wait_until(lambda: agent.uplink.last_error)
        assert not agent.uplink.connected


def test_a_renewed_certificate_is_used_without_a_restart(
    tmp_path: Path, embedded: Rumqttd, authority: Authority
) -> None:
    server = authority.server(*authority.issue("broker"))
    expired = {"ca_file": str(authority.file), "cert_file": "", "key_file": ""}
    cert_file, key_file = authority.issue("till-1", until=NOW - DAY)
    expired |= {"cert_file": str(cert_file), "key_file": str(key_file)}
    with Line(embedded.port, server) as line, Agent(tmp_path, line.port, scheme="mqtts", **expired) as agent:
        wait_until(lambda: agent.uplink.status()["attempts"] > 1)
        assert not agent.uplink.connected
        authority.issue("till-1")
        wait_until(lambda: agent.uplink.connected)


def test_a_missing_file_is_one_line(tmp_path: Path, authority: Authority) -> None:
    with Agent(tmp_path, 8883, scheme="mqtts", ca_file=str(tmp_path / "nowhere.pem")) as agent:
        wait_until(lambda: "no such file" in agent.uplink.last_error)
