"""Identities that are not accepted, on either side: one clear line, a fault that carries it, and no way around it."""

from __future__ import annotations

import dataclasses
import ssl
from contextlib import ExitStack
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from agent.cli import main
from agent.config import MqttConfig
from agent.session import tls_context
from tests.mqtt.agent import Agent
from tests.mqtt.broker import Line, Rumqttd
from tests.mqtt.test_tls import DAY, NOW, Authority
from tests.peers.daemon import Daemon, bare
from tests.wait import wait_until


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    folder = tmp_path / "ours"
    folder.mkdir()
    return Authority(folder)


def files(authority: Authority, **issued: object) -> dict[str, str]:
    cert_file, key_file = authority.issue("till-1", **issued)
    return {"ca_file": str(authority.file), "cert_file": str(cert_file), "key_file": str(key_file)}


def self_signed(folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - DAY)
        .not_valid_after(NOW + DAY)
        .sign(key, hashes.SHA256())
    )
    (folder / "self.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    (folder / "self.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return folder / "self.pem", folder / "self.key"


def stranger(folder: Path) -> Path:
    assert main(["pki", "init", str(folder / "stranger")]) == 0
    assert main(["pki", "terminal", str(folder / "stranger"), "till-1"]) == 0
    return folder / "stranger"


def impostor(folder: Path) -> Authority:
    """A stranger that calls itself like our authority."""
    (folder / "impostor").mkdir()
    return Authority(folder / "impostor")


def door(authority: Authority, folder: Path, case: str) -> ssl.SSLContext:
    """A broker whose certificate is wrong in one way."""
    if case == "self-signed":
        return authority.server(*self_signed(folder))
    if case == "foreign":
        other = stranger(folder)
        return authority.server(other / "server.pem", other / "server.key")
    if case == "impostor":
        return authority.server(*impostor(folder).issue("broker"))
    wrong = {"expired": {"until": NOW - DAY}, "other host": {"address": "127.0.0.9"}}[case]
    return authority.server(*authority.issue("broker", **wrong))


THEIRS = {
    "expired": "is not accepted: certificate has expired",
    "self-signed": "is not accepted: self-signed certificate",
    "foreign": "is not accepted: unable to get local issuer certificate",
    "impostor": "is not accepted: certificate signature failure",
    "other host": "is not accepted: IP address mismatch, certificate is not valid for '127.0.0.1'.",
}
OURS = {
    "none": "refuses our certificate: it demands one, and none was shown",
    "expired": "refuses our certificate: it has expired",
    "self-signed": "refuses our certificate: it does not know the authority that signed it",
    "impostor": "refuses our certificate: a signature in it is wrong",
    "foreign": "refuses our certificate: it does not know the authority that signed it",
}


@pytest.mark.parametrize("case", THEIRS)
def test_a_broker_that_is_not_ours_hears_nothing(
    tmp_path: Path, embedded: Rumqttd, authority: Authority, case: str
) -> None:
    server = door(authority, tmp_path, case)
    with Line(embedded.port, server) as line, Agent(tmp_path, line.port, scheme="mqtts", **files(authority)) as agent:
        wait_until(lambda: agent.uplink.status()["attempts"] > 2)
        assert agent.uplink.last_error == f"the certificate of 127.0.0.1:{line.port} {THEIRS[case]}"
        assert agent.uplink.status()["connects"] == 0
        assert line._pairs == {}, "nobody got through to the broker"


def test_without_a_ca_file_the_authorities_of_the_system_judge(
    tmp_path: Path, embedded: Rumqttd, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = files(authority) | {"ca_file": ""}
    server = authority.server(*authority.issue("broker"))
    with Line(embedded.port, server) as line:
        with Agent(tmp_path, line.port, scheme="mqtts", **shown) as agent:
            wait_until(lambda: agent.uplink.last_error)
            assert "is not accepted: self-signed certificate in certificate chain" in agent.uplink.last_error
            assert agent.uplink.status()["connects"] == 0
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))  # where OpenSSL looks for the system's
        with Agent(tmp_path, line.port, scheme="mqtts", **shown) as agent:
            wait_until(lambda: agent.uplink.connected)


@pytest.mark.parametrize("case", OURS)
def test_a_terminal_that_is_not_known_learns_why(
    tmp_path: Path, embedded: Rumqttd, authority: Authority, case: str
) -> None:
    shown = files(authority, until=NOW - DAY) if case == "expired" else files(authority)
    if case == "none":
        shown |= {"cert_file": "", "key_file": ""}
    elif case == "self-signed":
        shown |= dict(zip(("cert_file", "key_file"), map(str, self_signed(tmp_path)), strict=True))
    elif case == "foreign":
        own = stranger(tmp_path) / "terminals"
        shown |= {"cert_file": str(own / "till-1.pem"), "key_file": str(own / "till-1.key")}
    elif case == "impostor":
        shown |= dict(zip(("cert_file", "key_file"), map(str, impostor(tmp_path).issue("till-1")), strict=True))
    server = authority.server(*authority.issue("broker"))
    with Line(embedded.port, server) as line, Agent(tmp_path, line.port, scheme="mqtts", **shown) as agent:
        wait_until(lambda: agent.uplink.last_error == f"127.0.0.1:{line.port} {OURS[case]}")
        assert agent.uplink.status()["connects"] == 0


def test_no_setting_leaves_the_checking_out(authority: Authority) -> None:
    texts = [spec.name for spec in dataclasses.fields(MqttConfig)]
    assert [name for name in texts if "insecure" in name or "verify" in name or "check" in name] == []
    for shown in ({}, {"ca_file": str(authority.file)}, files(authority)):
        context = tls_context(MqttConfig(url="mqtts://broker.test:8883", **shown))
        assert context.check_hostname
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


@pytest.mark.timeout(240)
def test_the_fault_says_which_certificate_is_wrong(tmp_path: Path, authority: Authority) -> None:
    """Two daemons at once, for the fault takes half a minute: reconnects do so without anything being wrong."""
    with ExitStack() as stack:
        expected = []
        for number, (server, shown, said) in enumerate(
            (
                (door(authority, tmp_path, "expired"), files(authority), THEIRS["expired"]),
                (
                    authority.server(*authority.issue("broker-2")),
                    {"ca_file": str(authority.file)},
                    OURS["none"],
                ),
            )
        ):
            line = stack.enter_context(Line(1, server))
            folder = tmp_path / str(number)
            folder.mkdir()
            settings = bare(folder, line.port, mqtt={"url": f"mqtts://127.0.0.1:{line.port}", **shown})
            expected.append((stack.enter_context(Daemon(folder, settings)), said))
        for daemon, said in expected:

            def why(daemon: Daemon = daemon) -> str:
                for fault in daemon.status().get("faults", ()):
                    if fault["fault"] == "network/broker_unreachable":
                        return str(fault["evidence"]["broker_why"])
                return ""

            wait_until(why, 180)
            assert said in why()
        for daemon, _ in expected:
            daemon.stop()
