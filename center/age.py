"""Files in the format of age (age-encryption.org/v1), so that the tool `age` opens them, too.

A random key of the file is wrapped for whoever may open it: under a passphrase by scrypt, or for a public key
`age1…` by X25519. The content follows in pieces of 64 KiB, each sealed by ChaCha20-Poly1305 with its number, the last
one marked: what is changed, swapped or cut off is refused. Every primitive is that of the package `cryptography`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

VERSION: Final = b"age-encryption.org/v1\n"
CHUNK: Final = 64 * 1024
_TAG: Final = 16
_KEY: Final = 16
_WORK: Final = 18
"""scrypt takes 2^18 × 1 KiB of memory, 256 MiB: what age itself asks for."""
_MOST_WORK: Final = 20
_LONGEST: Final = 64 * 1024  # of the header
_ZERO: Final = b"\x00" * 12
_LETTERS: Final = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"  # BIP 173
_PUBLIC, _SECRET = "age", "age-secret-key-"


class AgeError(Exception):
    """Why it cannot be sealed or opened, in one line that shows no secret."""


@dataclass(frozen=True, slots=True)
class Passphrase:
    """Seals and opens by a passphrase."""

    secret: bytes
    work: int = _WORK

    def wrap(self, key: bytes) -> bytes:
        """The stanza that holds the key of a file."""
        salt = os.urandom(16)
        body = ChaCha20Poly1305(self._wrapping(salt, self.work)).encrypt(_ZERO, key, None)
        return _stanza(["scrypt", _base64(salt), str(self.work)], body)

    def unwrap(self, arguments: Sequence[str], body: bytes) -> bytes | None:
        """The key of a file; None if the stanza is not for a passphrase, or for another."""
        if len(arguments) != 3 or arguments[0] != "scrypt":
            return None
        salt, work = _unbase64(arguments[1]), arguments[2]
        if len(salt) != 16 or not work.isascii() or not work.isdigit() or not 1 <= int(work[:4]) <= _MOST_WORK:
            raise AgeError("its passphrase asks for more work than is done here")
        return _open(self._wrapping(salt, int(work)), body)

    def _wrapping(self, salt: bytes, work: int) -> bytes:
        return Scrypt(b"age-encryption.org/v1/scrypt" + salt, 32, 1 << work, 8, 1).derive(self.secret)


@dataclass(frozen=True, slots=True)
class Recipient:
    """Seals for whoever has the private half of a public key."""

    public: bytes

    @classmethod
    def of(cls, text: str) -> Recipient:
        """Of `age1…`. Raises AgeError."""
        return cls(_unbech32(_PUBLIC, text))

    @property
    def text(self) -> str:
        """`age1…`."""
        return _bech32(_PUBLIC, self.public)

    def wrap(self, key: bytes) -> bytes:
        """The stanza that holds the key of a file."""
        once = X25519PrivateKey.generate()
        share = once.public_key().public_bytes_raw()
        try:
            shared = once.exchange(X25519PublicKey.from_public_bytes(self.public))
        except ValueError:
            raise AgeError("no public key to seal for") from None
        body = ChaCha20Poly1305(_x25519(shared, share, self.public)).encrypt(_ZERO, key, None)
        return _stanza(["X25519", _base64(share)], body)


@dataclass(frozen=True, slots=True)
class Identity:
    """The private half, which opens."""

    key: X25519PrivateKey

    @classmethod
    def of(cls, text: str) -> Identity:
        """Of `AGE-SECRET-KEY-1…`. Raises AgeError."""
        return cls(X25519PrivateKey.from_private_bytes(_unbech32(_SECRET, text)))

    @property
    def text(self) -> str:
        """`AGE-SECRET-KEY-1…`."""
        return _bech32(_SECRET, self.key.private_bytes_raw()).upper()

    @property
    def recipient(self) -> Recipient:
        """Its public half."""
        return Recipient(self.key.public_key().public_bytes_raw())

    def unwrap(self, arguments: Sequence[str], body: bytes) -> bytes | None:
        """The key of a file; None if the stanza is not for this one."""
        if len(arguments) != 2 or arguments[0] != "X25519":
            return None
        share = _unbase64(arguments[1])
        try:
            shared = self.key.exchange(X25519PublicKey.from_public_bytes(share))
        except ValueError:
            raise AgeError("is no file of age, or was changed") from None
        return _open(_x25519(shared, share, self.recipient.public), body)


class Writer(io.RawIOBase):
    """Seals what is written into `out`. Without `finish` the file is cut off, and nobody can open it to its end."""

    def __init__(self, out: BinaryIO, whom: Passphrase | Recipient) -> None:
        key, nonce = os.urandom(_KEY), os.urandom(16)
        header = VERSION + whom.wrap(key) + b"---"
        self._out = out
        self._cipher = ChaCha20Poly1305(_derive(key, nonce, b"payload"))
        self._number = 0
        self._waiting = bytearray()
        out.write(header + b" " + _base64(_mac(key, header)).encode() + b"\n" + nonce)

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]  # the stub names a buffer of the C interface
        self._waiting += data
        while len(self._waiting) > CHUNK:  # one at least stays: the last is marked
            self._seal(bytes(self._waiting[:CHUNK]), last=False)
            del self._waiting[:CHUNK]
        return len(data)

    def finish(self) -> None:
        """Write the last piece."""
        self._seal(bytes(self._waiting), last=True)
        self._waiting.clear()

    def _seal(self, piece: bytes, *, last: bool) -> None:
        self._out.write(self._cipher.encrypt(_nonce(self._number, last=last), piece, None))
        self._number += 1


class Reader(io.RawIOBase):
    """What was sealed into `source`. Raises AgeError: for a wrong secret at once, for what was changed at its place."""

    def __init__(self, source: BinaryIO, whom: Passphrase | Identity) -> None:
        self._source = source
        self._cipher = ChaCha20Poly1305(_derive(_header(source, whom), _exactly(source, 16), b"payload"))
        self._number = 0
        self._piece = b""
        self._ahead = source.read(CHUNK + _TAG)
        self._over = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # as above
        if not self._piece and not self._over:
            self._piece = self._next()
        count = min(len(buffer), len(self._piece))
        buffer[:count] = self._piece[:count]
        self._piece = self._piece[count:]
        return count

    def _next(self) -> bytes:
        sealed, self._ahead = self._ahead, self._source.read(CHUNK + _TAG)
        self._over = not self._ahead
        try:
            piece = self._cipher.decrypt(_nonce(self._number, last=self._over), sealed, None)
        except InvalidTag:
            raise AgeError("was changed or cut off") from None
        if self._over and not piece and self._number:
            raise AgeError("was changed or cut off")
        self._number += 1
        return piece


def is_sealed(path: str | os.PathLike[str]) -> bool:
    """Whether a file begins as those of age do. Raises OSError."""
    with open(path, "rb") as file:  # noqa: PTH123 - for any kind of path
        return file.read(len(VERSION)) == VERSION


def _header(source: BinaryIO, whom: Passphrase | Identity) -> bytes:
    """The key of the file."""
    header = source.readline(_LONGEST)
    if header != VERSION:
        raise AgeError("is no file of age")
    key: bytes | None = None
    while not (line := source.readline(_LONGEST)).startswith(b"---"):
        if not line.startswith(b"-> ") or len(header) > _LONGEST:
            raise AgeError("is no file of age, or was changed")
        arguments = line[3:].decode("ascii", "replace").split()
        header, body = header + line, b""
        while True:
            line = source.readline(_LONGEST)
            header, body = header + line, body + line.rstrip(b"\n")
            if len(line) < 65:
                break
        key = key or whom.unwrap(arguments, _unbase64(body.decode("ascii", "replace")))
    if key is None:
        raise AgeError("another passphrase or key opens it")
    if not hmac.compare_digest(line, b"--- " + _base64(_mac(key, header + b"---")).encode() + b"\n"):
        raise AgeError("is no file of age, or was changed")
    return key


def _stanza(arguments: Sequence[str], body: bytes) -> bytes:
    return f"-> {' '.join(arguments)}\n{_base64(body)}\n".encode()  # a wrapped key is shorter than a line of 64


def _open(wrapping: bytes, body: bytes) -> bytes | None:
    if len(body) != _KEY + _TAG:
        return None
    try:
        return ChaCha20Poly1305(wrapping).decrypt(_ZERO, body, None)
    except InvalidTag:
        return None


def _x25519(shared: bytes, share: bytes, public: bytes) -> bytes:
    return _derive(shared, share + public, b"age-encryption.org/v1/X25519")


def _derive(key: bytes, salt: bytes, purpose: bytes) -> bytes:
    return HKDF(SHA256(), 32, salt, purpose).derive(key)


def _mac(key: bytes, header: bytes) -> bytes:
    return hmac.new(_derive(key, b"", b"header"), header, hashlib.sha256).digest()


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(11, "big") + (b"\x01" if last else b"\x00")


def _exactly(source: BinaryIO, count: int) -> bytes:
    data = source.read(count)
    if len(data) != count:
        raise AgeError("was changed or cut off")
    return data


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode().rstrip("=")


def _unbase64(text: str) -> bytes:
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        data = b""
    if not data or _base64(data) != text:
        raise AgeError("is no file of age, or was changed")
    return data


def _bech32(kind: str, data: bytes) -> str:
    values = _regrouped(data, 8, 5, whole=False) or []
    check = _polymod([*_expanded(kind), *values, 0, 0, 0, 0, 0, 0]) ^ 1
    values += [check >> 5 * (5 - place) & 31 for place in range(6)]
    return f"{kind}1{''.join(_LETTERS[value] for value in values)}"


def _unbech32(kind: str, text: str) -> bytes:
    """The 32 bytes of a key. Raises AgeError."""
    plain = text.strip()
    lower = plain.lower()
    if plain in {lower, plain.upper()} and lower.startswith(f"{kind}1"):
        letters = lower[len(kind) + 1 :]
        values = [_LETTERS.find(letter) for letter in letters]
        if -1 not in values and _polymod([*_expanded(kind), *values]) == 1:
            data = _regrouped(values[:-6], 5, 8, whole=True)
            if data is not None and len(data) == 32:
                return bytes(data)
    raise AgeError(f"not a key of age, {kind if kind == _PUBLIC else kind.upper()}1…")


def _expanded(kind: str) -> list[int]:
    return [ord(letter) >> 5 for letter in kind] + [0] + [ord(letter) & 31 for letter in kind]


def _polymod(values: Sequence[int]) -> int:
    check = 1
    for value in values:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for place, factor in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            check ^= factor if top >> place & 1 else 0
    return check


def _regrouped(values: Sequence[int] | bytes, size: int, wanted: int, *, whole: bool) -> list[int] | None:
    """The same bits in groups of another size; None where `whole` groups leave a rest that is not zero."""
    kept, bits, found = 0, 0, []
    for value in values:
        kept, bits = kept << size | value, bits + size
        while bits >= wanted:
            bits -= wanted
            found.append(kept >> bits & (1 << wanted) - 1)
        kept &= (1 << bits) - 1
    if not whole and bits:
        found.append(kept << wanted - bits & (1 << wanted) - 1)
    return None if whole and (bits >= size or kept) else found
