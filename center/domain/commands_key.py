"""The key that signs commands and settings: a private JWK (RFC 8037), as `posdiag pki command-key` makes it.

A file that is replaced, or a link that is pointed at another one, is read anew: the next command has the new key's
`kid`. The terminals' key set has to hold the new public key before that.
"""

from __future__ import annotations

import base64
import json
import stat
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from center.domain.refusal import Refusal

ALGORITHM: Final = "EdDSA"
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


class Signer:
    """Signs with the key that the file holds now. For any thread. Raises Refusal("unavailable") without one."""

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path) if path else None
        self._lock = threading.Lock()
        self._seen: tuple[int, ...] = ()
        self._kid = ""
        self._key: Ed25519PrivateKey | None = None

    @property
    def kid(self) -> str:
        """The id of the key in use."""
        return self._current()[0]

    def check(self) -> None:
        """Raises Refusal if nothing can be signed."""
        self._current()

    def sign(self, claims: dict[str, Any]) -> bytes:
        """The claims as a compact JWS."""
        kid, key = self._current()
        return jwt.encode(claims, key, ALGORITHM, {"kid": kid}).encode()

    def _current(self) -> tuple[str, Ed25519PrivateKey]:
        if self._path is None:
            raise Refusal(
                "unavailable",
                "no command key: posdiag pki command-key makes one, and the setting command_key_file names it",
            )
        with self._lock:
            try:
                found = self._path.stat()
                seen = (found.st_dev, found.st_ino, found.st_ctime_ns)
                if seen != self._seen or self._key is None:
                    self._kid, self._key = load_key(self._path)
                    self._seen = seen
            except OSError as error:
                raise Refusal("unavailable", f"{self._path}: {(error.strerror or str(error)).lower()}") from error
            return self._kid, self._key


def load_key(path: Path) -> tuple[str, Ed25519PrivateKey]:
    """`kid` and private key of a JWK file. Raises OSError; Refusal for what is no such key, or open to others."""
    with path.open("rb") as file:
        if stat.S_IMODE(path.stat().st_mode) & _OTHERS:
            raise Refusal("unavailable", f"{path}: others may read this private key; chmod 600 it")
        content = file.read(4096)
    try:
        return _key(json.loads(content))
    except (ValueError, KeyError, TypeError, RecursionError):
        raise Refusal("unavailable", f"{path}: not a private Ed25519 key as JWK") from None


def _key(values: Mapping[str, Any]) -> tuple[str, Ed25519PrivateKey]:
    secret = base64.urlsafe_b64decode(values["d"] + "=" * (-len(values["d"]) % 4))
    key = Ed25519PrivateKey.from_private_bytes(secret)
    public = base64.urlsafe_b64encode(key.public_key().public_bytes_raw()).rstrip(b"=").decode()
    if (values["kty"], values["crv"], values["x"]) != ("OKP", "Ed25519", public):
        raise ValueError("its parts do not belong together")
    return str(values["kid"]), key
