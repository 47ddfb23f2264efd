"""Passwords: argon2id hashes of 19 MiB and two passes (OWASP, Password Storage Cheat Sheet), two at once at most."""

from __future__ import annotations

import secrets
import threading
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

SHORTEST: Final = 12
LONGEST: Final = 200
_TURNS: Final = threading.BoundedSemaphore(2)
_HASHER: Final = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
_LETTERS: Final = "abcdefghjkmnpqrstuvwxyz23456789"  # none that is read as another
_NOBODY: Final = _HASHER.hash(secrets.token_hex(16))


class BadPassword(ValueError):
    """Why it cannot be a password, in one line that does not hold it."""


def hashed(password: str, name: str = "") -> str:
    """What is stored. Raises BadPassword."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise BadPassword(f"a password has {SHORTEST} to {LONGEST} characters")
    if len(set(password)) < 5 or (name and name.lower() in password.lower()):
        raise BadPassword("a password has at least five different characters and not the account's name in it")
    with _TURNS:
        return _HASHER.hash(password)


def fits(stored: str | None, password: str) -> bool:
    """Whether it is the one. Takes as long for an account that is not there (`stored` None)."""
    with _TURNS:
        try:
            return _HASHER.verify(stored or _NOBODY, password[: LONGEST + 1]) and stored is not None
        except (Argon2Error, InvalidHashError):
            return False


def one_time() -> str:
    """A password to be typed once: 100 bits in groups of five."""
    return "-".join("".join(secrets.choice(_LETTERS) for _ in range(5)) for _ in range(4))
