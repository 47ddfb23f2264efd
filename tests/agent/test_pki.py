"""`posdiag pki`: what OpenSSL's own verification and a third-party JWK reader's rules say of what it made."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from agent.cli import main


def pki(*words: object) -> int:
    return main(["pki", *map(str, words)])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    assert pki("init", tmp_path / "pki", "--host", "broker.test", "--host", "127.0.0.1") == 0
    return tmp_path / "pki"


def openssl(*words: object) -> subprocess.CompletedProcess[str]:
    program = shutil.which("openssl")
    assert program, "openssl is not installed"
    return subprocess.run([program, *map(str, words)], capture_output=True, text=True, check=False)


def common_name(path: Path) -> str:
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    return certificate.subject.rfc4514_string()


def content(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_openssl_accepts_each_certificate_for_its_purpose_alone(folder: Path) -> None:
    assert pki("terminal", folder, "till-1", "till_2") == 0
    strict = ("verify", "-x509_strict", "-CAfile", folder / "ca.pem")
    for file, purpose in (
        ("server.pem", "sslserver"),
        ("center.pem", "sslclient"),
        ("terminals/till-1.pem", "sslclient"),
        ("terminals/till_2.pem", "sslclient"),
    ):
        good = openssl(*strict, "-purpose", purpose, folder / file)
        assert good.returncode == 0, good.stderr
        other = "sslclient" if purpose == "sslserver" else "sslserver"
        assert openssl(*strict, "-purpose", other, folder / file).returncode != 0
    for host, accepted in (("broker.test", True), ("other.test", False)):
        result = openssl(*strict, "-verify_hostname", host, folder / "server.pem")
        assert (result.returncode == 0) is accepted
    assert openssl(*strict, "-verify_ip", "127.0.0.1", folder / "server.pem").returncode == 0


def test_a_terminal_certificate_carries_its_id_and_no_terminal_can_sign(folder: Path) -> None:
    assert pki("terminal", folder, "till-1", "--days", 30) == 0
    certificate = x509.load_pem_x509_certificate((folder / "terminals/till-1.pem").read_bytes())
    assert certificate.subject.rfc4514_string() == "CN=till-1"
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["till-1"]
    assert isinstance(certificate.public_key(), ec.EllipticCurvePublicKey)
    assert certificate.public_key().curve.name == "secp256r1"
    key = load_pem_private_key((folder / "terminals/till-1.key").read_bytes(), None)
    assert key.public_key() == certificate.public_key()
    assert 29 < (certificate.not_valid_after_utc - certificate.not_valid_before_utc).total_seconds() / 86_400 < 31
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_what_is_private_is_the_owners_alone(folder: Path) -> None:
    assert pki("terminal", folder, "till-1") == 0
    assert pki("command-key", folder) == 0
    assert pki("renew", folder, "till-1") == 0
    assert pki("renew", folder, "server") == 0
    private = [path for path in folder.rglob("*") if path.is_file() and b"PRIVATE" in path.read_bytes()]
    private += list(folder.glob("command/*.jwk"))
    assert len(private) == 6
    assert {stat.S_IMODE(path.stat().st_mode) for path in private} == {0o600}
    assert {stat.S_IMODE(path.stat().st_mode) for path in (folder, folder / "command")} == {0o700}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("init", "{}"), "is there already, and is not overwritten"),
        (("terminal", "{}", "till-1"), "is there already, and is not overwritten"),
        (("terminal", "{}", "all"), "no terminal may be called that"),
        (("terminal", "{}", "center-2"), "no terminal may be called that"),
        (("terminal", "{}", "Till 1"), "1 to 64 of a-z"),
        (("terminal", "{}", "a/b"), "1 to 64 of a-z"),
        (("terminal", "{}", "till-9", "--days", "0"), "--days 0: from 1 to 3650"),
        (("terminal", "{}/none", "till-9"), "posdiag pki init makes an authority"),
        (("center", "{}", "till-9"), "center or center-NAME"),
        (("renew", "{}", "till-9"), "is not there"),
        (("renew", "{}", "../ca"), "or a terminal's id"),
        (("renew", "{}", "ca"), "is not there"),
        (("show", "{}", "{}/ca.key"), "not a certificate in PEM"),
    ],
)
def test_a_mistake_is_one_line_and_changes_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str
) -> None:
    assert pki("terminal", folder, "till-1") == 0
    before = content(folder)
    capsys.readouterr()
    assert pki(*(word.format(folder) for word in words)) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert err.count("\n") == 1
    assert content(folder) == before


def test_a_foreign_authority_key_is_refused(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert pki("init", tmp_path / "other") == 0
    shutil.copy(tmp_path / "other/ca.key", folder / "ca.key")
    assert pki("terminal", folder, "till-1") == 2
    assert "not the key of" in capsys.readouterr().err


def test_a_renewed_terminal_keeps_its_old_pair_until_it_was_used(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pki("terminal", folder, "till-1") == 0
    old = content(folder)
    assert pki("renew", folder, "till-1") == 0
    assert {path: data for path, data in content(folder).items() if path in old} == old
    beside, kept = folder / "terminals/till-1.pem.next", folder / "terminals/till-1.pem"
    assert common_name(beside) == common_name(kept)
    strict = ("verify", "-x509_strict", "-CAfile", folder / "ca.pem")
    assert openssl(*strict, "-purpose", "sslclient", beside).returncode == 0
    key = load_pem_private_key((folder / "terminals/till-1.key.next").read_bytes(), None)
    assert key.public_key() == x509.load_pem_x509_certificate(beside.read_bytes()).public_key()
    assert key.public_key() != x509.load_pem_x509_certificate(kept.read_bytes()).public_key()
    assert pki("renew", folder, "till-1") == 2
    assert "is there already" in capsys.readouterr().err
    assert pki("renew", folder, "till-1", "--beside", tmp_path / "terminal.pem") == 0
    assert {path.name for path in tmp_path.glob("*.next")} == {"terminal.pem.next", "terminal.key.next"}


def test_command_keys_overlap_and_sign(folder: Path) -> None:
    assert pki("command-key", folder) == 0
    assert pki("command-key", folder) == 0
    public = json.loads((folder / "command/keys.json").read_bytes())["keys"]
    assert len({key["kid"] for key in public}) == 2
    for key in public:
        assert set(key) == {"kty", "crv", "x", "kid", "alg", "use"}, "nothing private goes to a terminal"
        thumbprint = hashlib.sha256(f'{{"crv":"Ed25519","kty":"OKP","x":"{key["x"]}"}}'.encode()).digest()
        assert key["kid"] == base64.urlsafe_b64encode(thumbprint).rstrip(b"=").decode()
        private = json.loads((folder / f"command/{key['kid']}.jwk").read_bytes())
        seed = base64.urlsafe_b64decode(private["d"] + "=")
        signature = Ed25519PrivateKey.from_private_bytes(seed).sign(b"a command")
        point = base64.urlsafe_b64decode(key["x"] + "=")
        Ed25519PublicKey.from_public_bytes(point).verify(signature, b"a command")


def test_show_says_what_is_there(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert pki("terminal", folder, "till-1", "--days", 10) == 0
    capsys.readouterr()
    assert pki("show", folder, "--json") == 0
    rows = {Path(row["file"]).name: row for row in json.loads(capsys.readouterr().out)["certificates"]}
    assert set(rows) == {"ca.pem", "server.pem", "center.pem", "till-1.pem"}
    assert rows["server.pem"]["names"] == ["broker.test", "127.0.0.1"]
    assert (rows["till-1.pem"]["days_left"], rows["till-1.pem"]["authority"]) == (10.0, False)
    told = openssl("x509", "-in", folder / "ca.pem", "-noout", "-fingerprint", "-sha256").stdout
    assert rows["ca.pem"]["sha256"] == told.partition("=")[2].strip().replace(":", "").lower()
    assert pki("show", folder) == 0
    assert "10 days left" in capsys.readouterr().out
