"""The terminal's own key, with which it signs help codes. It never leaves the state directory; only `public` does.

Files in state_dir: `report.key`, the Ed25519 seed as 64 hex digits, mode 0600, made when it is first needed; and
`report.pub`, the public key as 64 hex digits, so that the daemon can tell it without loading any cryptography.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

KEY_FILE: Final = "report.key"
PUBLIC_FILE: Final = "report.pub"


def signer(state_dir: Path) -> tuple[Callable[[bytes], bytes], str]:
    """A function that signs, and the public key in hex. Makes the key if there is none. Raises OSError."""
    seed = _kept(state_dir / KEY_FILE) or _made(state_dir)
    key = Ed25519PrivateKey.from_private_bytes(seed)
    public = key.public_key().public_bytes_raw().hex()
    if _kept(state_dir / PUBLIC_FILE) != bytes.fromhex(public):
        with contextlib.suppress(OSError):  # a disk that became read-only still signs
            _write(state_dir / PUBLIC_FILE, public, 0o644)
    return key.sign, public


def _kept(path: Path) -> bytes | None:
    """32 bytes; None where there are none, or what a loss of power left of them."""
    try:
        kept = bytes.fromhex(path.read_text("ascii"))
    except (FileNotFoundError, ValueError):
        return None
    return kept if len(kept) == 32 else None


def _made(state_dir: Path) -> bytes:
    seed = Ed25519PrivateKey.generate().private_bytes_raw()
    state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    _write(state_dir / KEY_FILE, seed.hex(), 0o600)
    return seed


def _write(path: Path, text: str, mode: int) -> None:
    """As one piece, on disk at return."""
    part = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with os.fdopen(handle, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(handle)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
