"""The acquirer's certificates: an authority of its own, and server certificates good around the world's time."""

from __future__ import annotations

import os
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509 import Certificate, Name
from cryptography.x509.oid import NameOID

HOST: Final = "acquirer.test"
OTHER_HOST: Final = "parking.test"

# Short-lived on purpose: a terminal whose clock is a day off, either way, then fails as one that is months off would.
LIFETIME: Final = timedelta(hours=24)
EXPIRED_SINCE: Final = timedelta(days=30)
# The authority holds whatever the terminal's clock says: what is simulated is the server certificate.
_AUTHORITY_FROM, _AUTHORITY_TO = datetime(2000, 1, 1, tzinfo=UTC), datetime(2099, 1, 1, tzinfo=UTC)


class Authority:
    """A certificate authority that lives as long as the simulator. Its certificate is at `ca_file`."""

    def __init__(self, folder: Path) -> None:
        self.ca_file = folder / "acquirer_ca.pem"
        self._server_file = folder / ".acquirer.pem"
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name("Simulated acquirer authority")
        certificate = _signed(self._name, self._name, self._key, self._key, (_AUTHORITY_FROM, _AUTHORITY_TO), ca=True)
        self.ca_file.write_bytes(_pem(certificate))

    def server_context(self, tls: str, world: datetime) -> ssl.SSLContext:
        """A context for one state of `network.tls` (ok, expired, wrong_host) at the world's time."""
        middle = world - EXPIRED_SINCE if tls == "expired" else world
        host = OTHER_HOST if tls == "wrong_host" else HOST
        key = ec.generate_private_key(ec.SECP256R1())
        valid = (middle - LIFETIME / 2, middle + LIFETIME / 2)
        certificate = _signed(_name(host), self._name, key, self._key, valid, ca=False, host=host)
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        self.remove()
        handle = os.open(self._server_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(private + _pem(certificate))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._server_file)
        self.remove()
        return context

    def remove(self) -> None:
        """Leave no private key behind."""
        self._server_file.unlink(missing_ok=True)


def _name(common_name: str) -> Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _signed(
    subject: Name,
    issuer: Name,
    key: ec.EllipticCurvePrivateKey,
    signer: ec.EllipticCurvePrivateKey,
    valid: tuple[datetime, datetime],
    *,
    ca: bool,
    host: str = "",
) -> Certificate:
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(max(valid[0], datetime(1950, 1, 1, tzinfo=UTC)))
        .not_valid_after(valid[1])
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    if ca:
        usage = x509.KeyUsage(
            digital_signature=False,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=True,
            crl_sign=True,
            encipher_only=False,
            decipher_only=False,
        )
        builder = builder.add_extension(usage, critical=True)
    if host:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
    return builder.sign(signer, hashes.SHA256())


def _pem(certificate: Certificate) -> bytes:
    return certificate.public_bytes(Encoding.PEM)
