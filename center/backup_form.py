"""What a backup is: a tar archive, compressed by gzip, whose last member lists all others; sealed by `center.age`.

center.db | center.pgdump     the database: SQLite's own file, or what pg_dump wrote (custom format)
share_group                   the secret name of the workers' group
evidence/…                    the packs, and the key that seals them
settings/NAME                 the file that the setting NAME points to: keys, passwords, certificates, rules
audit-heads.jsonl             the daily heads of the audit chain
manifest.json                 `format`, `made_at`, `database`, `settings`, `audit_head`, `missing`, and of each
                              member `name`, `sha256` and `bytes`
"""

from __future__ import annotations

import hashlib
import re
import stat
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final

from center.age import AgeError, Identity, Passphrase, Recipient
from center.exits import why

FORMAT: Final = "posdiag-center-backup-1"
MANIFEST: Final = "manifest.json"
SQLITE, POSTGRESQL = "center.db", "center.pgdump"
MEMBER: Final = re.compile(
    r"center\.db|center\.pgdump|share_group|audit-heads\.jsonl|(evidence|settings)/[\w-][\w.-]{0,150}"
)
SHORTEST: Final = 12
"""Characters of a passphrase: a file can be tried at leisure."""
_SECRET: Final = stat.S_IRWXG | stat.S_IRWXO
_EACH_S: Final = 5.0
_PIECE: Final = 1 << 20


class BackupError(Exception):
    """Why there is no backup, or none that can be restored, in one line."""


class Progress:
    """Tells on standard error how far a long work is: every five seconds, so that a short one says nothing."""

    def __init__(self, doing: str, total: int) -> None:
        self._doing, self._total, self._done = doing, max(1, total), 0
        self._told_s = time.monotonic()

    def more(self, count: int) -> None:
        """So many bytes more are done."""
        self.at(self._done + count)

    def at(self, done: int) -> None:
        """So many bytes are done in all."""
        self._done = done
        if time.monotonic() - self._told_s >= _EACH_S:
            self._told_s = time.monotonic()
            share = min(100, 100 * done // self._total)
            print(f"posdiag: {self._doing}: {share} % of {self._total / 1e6:.0f} MB", file=sys.stderr, flush=True)


class Hashing:
    """Reads a file, and knows the hash of what was read."""

    def __init__(self, source: BinaryIO, progress: Progress) -> None:
        self._source, self._progress = source, progress
        self._hash = hashlib.sha256()

    def read(self, count: int = _PIECE) -> bytes:
        data = self._source.read(count)
        self._hash.update(data)
        self._progress.more(len(data))
        return data

    @property
    def sha256(self) -> str:
        """In hexadecimal digits."""
        return self._hash.hexdigest()


def copy(source: Hashing, out: BinaryIO) -> int:
    """Copy to the end; how many bytes."""
    count = 0
    while data := source.read(_PIECE):
        out.write(data)
        count += len(data)
    return count


def passphrase(path: Path) -> Passphrase:
    """The first line of a file that only its owner may read. Raises BackupError."""
    secret = _secret(path).split(b"\n", 1)[0].rstrip(b"\r")
    if len(secret.decode("utf-8", "replace")) < SHORTEST:
        raise BackupError(f"{path}: a passphrase of {SHORTEST} characters at least stands in its first line")
    return Passphrase(secret)


def identity(path: Path) -> Identity:
    """The private key of a file as `posdiag center backup-key` or age-keygen makes it. Raises BackupError."""
    for line in _secret(path).decode("utf-8", "replace").splitlines():
        if line.strip() and not line.startswith("#"):
            try:
                return Identity.of(line)
            except AgeError as error:
                raise BackupError(f"{path}: {error}") from None
    raise BackupError(f"{path}: holds no key")


def recipient(text: str) -> Recipient:
    """A public key `age1…`. Raises BackupError."""
    try:
        return Recipient.of(text)
    except AgeError as error:
        raise BackupError(f"{text!r}: {error}") from None


def _secret(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            if stat.S_IMODE(path.stat().st_mode) & _SECRET:
                raise BackupError(f"{path}: others may read this secret; chmod 600 it")
            return file.read(4096)
    except OSError as error:
        raise BackupError(f"{path}: {why(error)}") from error


def files(manifest: Mapping[str, Any]) -> str:
    """How many there are, in words."""
    n = len(manifest["files"])
    return f"{n} file{'' if n == 1 else 's'}"


def connection_of(url: Any) -> tuple[str, dict[str, str]]:
    """PostgreSQL's URL without password for a command line, which others see; and the password for its environment."""
    plain = url.set(drivername="postgresql", password=None).render_as_string()
    return plain, {"PGPASSWORD": str(url.password)} if url.password else {}
