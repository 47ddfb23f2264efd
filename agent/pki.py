"""A development certificate authority in one folder: ECDSA P-256 certificates for the broker, the center and terminals.

Also the Ed25519 keys that sign commands. What is private is readable by its owner alone, and nothing that is there is
ever overwritten; only `renew` replaces, and of a terminal it leaves the old pair until the new one has connected.

    ca.pem ca.key               the authority
    server.pem server.key       the broker
    center.pem center.key       the support center, and center-NAME.* for more of its workers
    terminals/ID.pem ID.key     a terminal; a renewed pair waits beside it with ".next" behind its names
    command/KID.jwk             a private command key (RFC 8037), KID its thumbprint (RFC 7638)
    command/keys.json           the public ones, a JWK Set: what terminals are given

Sources: RFC 5280 (profile), RFC 6125 (names of servers), RFC 7517 (JWK Set).
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from agent.wire import RESERVED_TERMINALS

NEXT: Final = ".next"  # agent.session knows the same ending
_AUTHORITY_DAYS: Final = 3650
_BACKDATED: Final = timedelta(hours=1)  # for a terminal whose clock is a little behind
_PRIVATE, _PUBLIC = 0o600, 0o644
_NAME: Final = re.compile(r"[a-z0-9_-]{1,64}")
_CENTER: Final = re.compile(r"center(-[a-z0-9_-]{1,57})?")


class PkiError(Exception):
    """It cannot be done; the text is one line for people."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What a certificate says. Times are UTC; `sha256` is the fingerprint in hex."""

    file: str
    name: str
    names: tuple[str, ...]
    issuer: str
    not_before: datetime
    not_after: datetime
    sha256: str
    authority: bool


class Authority:
    """The authority in a folder. Every method raises PkiError with one line, and changes nothing then."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    # --- making

    def init(self, hosts: Iterable[str], days: int) -> list[Path]:
        """The authority, the broker's certificate for these host names and addresses, and the center's."""
        names = [_host(host) for host in hosts]
        if not names:
            raise PkiError("the broker's certificate needs at least one host name or address")
        made = [self.folder / f"{name}.{end}" for name in ("ca", "server", "center") for end in ("pem", "key")]
        _refuse_existing(made)
        _check_days(days)
        key = ec.generate_private_key(ec.SECP256R1())
        name = _subject(f"posdiag development authority {os.urandom(3).hex()}")
        certificate = _signed(name, name, key, key, _AUTHORITY_DAYS, [], None)
        _write_pair(self.folder / "ca", certificate, key)
        self._issue(self.folder / "server", "posdiag broker", names, ExtendedKeyUsageOID.SERVER_AUTH, days)
        self.center("center", days)
        return made

    def center(self, name: str, days: int) -> list[Path]:
        """A certificate for the support center, or for one more worker of it: center-NAME."""
        if not _CENTER.fullmatch(name):
            raise PkiError(f"{name!r}: the center's certificates are called center or center-NAME, of a-z 0-9 _ -")
        return self._issue(self.folder / name, name, [x509.DNSName(name)], ExtendedKeyUsageOID.CLIENT_AUTH, days)

    def terminal(self, terminal: str, days: int) -> list[Path]:
        """A certificate whose common name is the terminal's id, which the broker takes for its user name."""
        if not _NAME.fullmatch(terminal):
            raise PkiError(f"{terminal!r}: a terminal's id has 1 to 64 of a-z 0-9 _ -")
        if terminal in RESERVED_TERMINALS or _CENTER.fullmatch(terminal):
            raise PkiError(f"{terminal!r}: no terminal may be called that")
        base = self.folder / "terminals" / terminal
        return self._issue(base, terminal, [x509.DNSName(terminal)], ExtendedKeyUsageOID.CLIENT_AUTH, days)

    def command_key(self) -> list[Path]:
        """A new key for signing commands. The ones before stay valid until somebody takes them out of keys.json."""
        key = Ed25519PrivateKey.generate()
        public = {"crv": "Ed25519", "kty": "OKP", "x": _base64url(key.public_key().public_bytes_raw())}
        # RFC 7638: the required members, sorted, without spaces
        kid = _base64url(hashlib.sha256(json.dumps(public, separators=(",", ":")).encode()).digest())
        public |= {"kid": kid, "alg": "EdDSA", "use": "sig"}
        public_file = self.folder / "command" / "keys.json"
        known = _key_set(public_file)
        private_file = self.folder / "command" / f"{kid}.jwk"
        _create(private_file, _json({**public, "d": _base64url(key.private_bytes_raw())}), _PRIVATE)
        _replace(public_file, _json({"keys": [*known, public]}), _PUBLIC)
        return [private_file, public_file]

    def renew(self, name: str, days: int, beside: Path | None = None) -> list[Path]:
        """A new key and certificate with the old one's names.

        Of a terminal the pair waits under ".next", beside the certificate file `beside` or the authority's own copy;
        the daemon takes it once it has connected with it. server and center* are replaced at once.
        """
        if not _NAME.fullmatch(name):
            raise PkiError(f"{name!r}: server, center, center-NAME or a terminal's id")
        own = name == "server" or _CENTER.fullmatch(name) is not None
        base = self.folder / name if own else self.folder / "terminals" / name
        old = _certificate(Path(f"{base}.pem"))
        try:
            usage = old.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
            names = old.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except x509.ExtensionNotFound as error:
            raise PkiError(f"{base}.pem: not one of this authority's certificates") from error
        key = ec.generate_private_key(ec.SECP256R1())
        ca, ca_key = self._own()
        new = _signed(old.subject, ca.subject, key, ca_key, days, list(names), next(iter(usage)))
        if own:
            files = [Path(f"{base}.key"), Path(f"{base}.pem")]
            write = _replace
        else:
            target = beside or Path(f"{base}.pem")
            files = [Path(f"{_key_beside(target)}{NEXT}"), Path(f"{target}{NEXT}")]
            _refuse_existing(files)
            write = _create
        # The key first: whoever sees the certificate may use both.
        write(files[0], _private_pem(key), _PRIVATE)
        write(files[1], new.public_bytes(Encoding.PEM), _PUBLIC)
        return files

    # --- looking

    def show(self, files: Iterable[Path] = ()) -> list[Shown]:
        """What these certificate files say; without files, all of the authority's."""
        chosen = list(files)
        if not chosen:
            self._own()
            chosen = sorted(self.folder.glob("*.pem")) + sorted(self.folder.glob("terminals/*.pem*"))
        return [_shown(path) for path in chosen]

    # ---

    def _own(self) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
        certificate = _certificate(self.folder / "ca.pem", "posdiag pki init makes an authority")
        try:
            key = load_pem_private_key((self.folder / "ca.key").read_bytes(), None)
        except OSError as error:
            raise PkiError(f"{self.folder / 'ca.key'}: {_why(error)}") from error
        except (ValueError, TypeError) as error:
            raise PkiError(f"{self.folder / 'ca.key'}: not a private key without a password") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
            raise PkiError(f"{self.folder / 'ca.key'}: not the key of {self.folder / 'ca.pem'}")
        return certificate, key

    def _issue(
        self, base: Path, name: str, names: list[x509.GeneralName], usage: x509.ObjectIdentifier, days: int
    ) -> list[Path]:
        ca, ca_key = self._own()
        key = ec.generate_private_key(ec.SECP256R1())
        return _write_pair(base, _signed(_subject(name), ca.subject, key, ca_key, days, names, usage), key)


# --- certificates ----------------------------------------------------------------------------------------------------


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?", host):
            raise PkiError(f"{host!r}: neither a host name nor an address") from None
        return x509.DNSName(host)


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _signed(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    signer: ec.EllipticCurvePrivateKey,
    days: int,
    names: list[x509.GeneralName],
    usage: x509.ObjectIdentifier | None,
) -> x509.Certificate:
    """A certificate from an hour ago on. Without a `usage` it is an authority's."""
    _check_days(days)
    now = datetime.now(UTC).replace(microsecond=0)
    ca = usage is None
    flags = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=0 if ca else None), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=not ca,
                key_cert_sign=ca,
                crl_sign=ca,
                encipher_only=False,
                decipher_only=False,
                **dict.fromkeys(flags, False),
            ),
            critical=True,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    if usage is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(signer, hashes.SHA256())


def _check_days(days: int) -> None:
    if not 1 <= days <= _AUTHORITY_DAYS:
        raise PkiError(f"--days {days}: from 1 to {_AUTHORITY_DAYS}")


def _certificate(path: Path, hint: str = "") -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except FileNotFoundError as error:
        raise PkiError(f"{path}: is not there" + (f"; {hint}" if hint else "")) from error
    except OSError as error:
        raise PkiError(f"{path}: {_why(error)}") from error
    except ValueError as error:
        raise PkiError(f"{path}: not a certificate in PEM") from error


def _shown(path: Path) -> Shown:
    certificate = _certificate(path)
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        names = x509.SubjectAlternativeName([])
    try:
        authority = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        authority = False
    return Shown(
        file=str(path),
        name=_common_name(certificate.subject),
        names=tuple(str(each.value) for each in names),
        issuer=_common_name(certificate.issuer),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        sha256=certificate.fingerprint(hashes.SHA256()).hex(),
        authority=authority,
    )


def _common_name(name: x509.Name) -> str:
    found = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if found else name.rfc4514_string()


# --- keys and files --------------------------------------------------------------------------------------------------


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _json(value: object) -> bytes:
    return json.dumps(value, indent=2).encode() + b"\n"


def _key_set(path: Path) -> list[Any]:
    if not path.exists():
        return []
    try:
        keys = json.loads(path.read_bytes())["keys"]
    except OSError as error:
        raise PkiError(f"{path}: {_why(error)}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise PkiError(f"{path}: not a JWK Set") from error
    if not isinstance(keys, list):
        raise PkiError(f"{path}: not a JWK Set")
    return keys


def _private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _key_beside(certificate: Path) -> Path:
    return certificate.with_suffix(".key")


def _write_pair(base: Path, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> list[Path]:
    files = [Path(f"{base}.pem"), Path(f"{base}.key")]
    _refuse_existing(files)
    _create(files[1], _private_pem(key), _PRIVATE)
    _create(files[0], certificate.public_bytes(Encoding.PEM), _PUBLIC)
    return files


def _refuse_existing(files: Iterable[Path]) -> None:
    for path in files:
        if path.exists() or path.is_symlink():
            raise PkiError(f"{path}: is there already, and is not overwritten")


def _create(path: Path, data: bytes, mode: int) -> None:
    """A new file, never an old one, on disk at return."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, mode)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(handle)
    except FileExistsError as error:
        why = "is there already, and is not overwritten" if path.parent.is_dir() else "is in no folder"
        raise PkiError(f"{path}: {why}") from error
    except OSError as error:
        raise PkiError(f"{path}: {_why(error)}") from error


def _replace(path: Path, data: bytes, mode: int) -> None:
    """A file's new content as one piece: readers see the old or the new."""
    part = path.with_name(f"{path.name}.{os.getpid()}")
    _create(part, data, mode)
    try:
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise PkiError(f"{path}: {_why(error)}") from error


def _why(error: OSError) -> str:
    return (error.strerror or type(error).__name__).lower()
