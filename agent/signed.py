"""Who signed it: a compact JWS (RFC 7515) with EdDSA over Ed25519 (RFC 8037), by a key of the terminal's key set.

Only short-lived children import this; the daemon never holds what verifying takes.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any, Final

ALGORITHM: Final = "EdDSA"
_MEMBERS: Final = frozenset({"alg", "kid", "typ"})
_MOST_KEYS: Final = 16  # more is no rotation
_KEY_SET_BYTES: Final = 64 * 1024


class NotSigned(Exception):
    """Not signed by one of ours; `reason` is the word it is counted under. The text is for the terminal alone."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


def key_set(path: Path) -> dict[str, dict[str, Any]]:
    """Public keys by `kid`, from a JWK Set (RFC 7517). Raises NotSigned("keys", …) for a file that has none to use."""
    try:
        with path.open("rb") as file:
            content = json.loads(file.read(_KEY_SET_BYTES))
        keys = content["keys"]
        found = {str(key["kid"]): key for key in keys if _is_ours(key)}
    except OSError as error:
        raise NotSigned("keys", f"{path}: cannot be read: {(error.strerror or str(error)).lower()}") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise NotSigned("keys", f"{path}: not a JWK Set") from error
    if any("d" in key for key in keys):
        raise NotSigned("keys", f"{path}: holds a private key, which does not belong on a terminal")
    if not 0 < len(found) <= _MOST_KEYS:
        raise NotSigned("keys", f"{path}: {len(found)} Ed25519 keys; 1 to {_MOST_KEYS} can be used")
    return found


def _is_ours(key: dict[str, Any]) -> bool:
    return (key["kty"], key.get("crv"), key.get("alg", ALGORITHM)) == ("OKP", "Ed25519", ALGORITHM)


def verified(token: bytes, keys_file: Path) -> tuple[str, bytes]:
    """The `kid` of the key that signed it, and the payload. Times and audience are not judged. Raises NotSigned."""
    keys = key_set(keys_file)
    kid = _key_of(token)
    if kid not in keys:
        raise NotSigned("unknown_key", "signed with a key that is not in the key set")
    import jwt  # noqa: PLC0415 - a hundred milliseconds that most forgeries do not get

    try:
        # PyJWT judges times by the machine's clock; here the caller does, by the agent's.
        payload: bytes = jwt.PyJWS(algorithms=[ALGORITHM]).decode(
            token, jwt.PyJWK(keys[kid], algorithm=ALGORITHM), algorithms=[ALGORITHM]
        )
    except jwt.PyJWTError as error:
        raise NotSigned("signature", "the signature does not fit") from error
    return kid, payload


def _key_of(token: bytes) -> str:
    """The header's `kid`. Raises NotSigned for any other algorithm and for a header that asks for more."""
    try:
        first = token.split(b".", 1)[0]
        header = json.loads(base64.urlsafe_b64decode(first + b"=" * (-len(first) % 4)))
        algorithm, kid = header["alg"], header["kid"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise NotSigned("unsigned", "not a signed message") from error
    if algorithm != ALGORITHM:
        raise NotSigned("algorithm", "signed in a way that is not taken")
    if not isinstance(kid, str) or not header.keys() <= _MEMBERS:
        raise NotSigned("unsigned", "not a signed message of this contract")
    return kid
