"""`posdiag center backup`: one file of all that a center is, taken while it runs; see `center/backup_form.py`.

SQLite is copied page by page within one reading transaction, so that what is written meanwhile stays out; PostgreSQL
is asked by pg_dump. Copies in the clear have no name in the file system: a kill leaves none behind.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import io
import json
import os
import sqlite3
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from agent.wire import timestamp
from center.access import audit
from center.access.audit import Entry
from center.age import Identity, Passphrase, Recipient, Writer
from center.backup_form import (
    FORMAT,
    MANIFEST,
    POSTGRESQL,
    SQLITE,
    BackupError,
    Hashing,
    Progress,
    connection_of,
    files,
    passphrase,
    recipient,
)
from center.db.engine import Database, DatabaseError, reason
from center.db.migrate import there, version
from center.db.tables import audit as audit_table
from center.db.tables import evidence
from center.domain.audit_heads import FILE as HEADS
from center.domain.audit_heads import file_of
from center.exits import DONE, FAILED, unable, why
from center.settings import Settings, SettingsError, group_file, read, state_dir
from center.token import asked_by

_PAGES: Final = 4096
_LEVEL: Final = 4  # of gzip: most of what 9 saves, in a fifth of its time
_KEYS: Final = ("key.jwk", "public.jwk")


@dataclass(slots=True)
class Contents:
    """Files by their name in the archive, and what is not there although the database says so."""

    files: dict[str, Path] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(path.stat().st_size for path in self.files.values())


def run_backup(args: argparse.Namespace) -> int:
    """The verb. 0 done, 1 made but something was missing, 2 unable; with one line."""
    try:
        settings, origins = read(args)
        whom = _whom(args)
        told = {name: getattr(settings, name) for name, origin in origins.items() if origin.startswith("file ")}
        database = there(settings.database)
        try:
            manifest = make(database, settings, told, Path(args.file), whom)
        finally:
            database.close()
    except (SettingsError, DatabaseError, BackupError) as error:
        return unable(error)
    except DBAPIError as error:
        return unable(f"the database: {reason(error)}")
    except OSError as error:
        return unable(f"{error.filename or args.file}: {why(error)}")
    sealed = "in the clear" if whom is None else "sealed"
    print(f"{args.file}: {files(manifest)}, {sealed}")
    for name in manifest["missing"]:
        print(f"posdiag: {name} is not there any more; the backup is without it", file=sys.stderr)
    return FAILED if manifest["missing"] else DONE


def run_key(args: argparse.Namespace) -> int:
    """The verb `backup-key`. 0 done, 2 unable, with one line."""
    made = Identity(X25519PrivateKey.generate())
    try:
        handle = os.open(args.file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(f"# public key: {made.recipient.text}\n{made.text}\n")
    except OSError as error:
        return unable(f"{args.file}: {why(error)}")
    print(made.recipient.text)
    return DONE


def _whom(args: argparse.Namespace) -> Passphrase | Recipient | None:
    """For whom it is sealed; None for nobody, which has to be asked for."""
    if args.plain:
        return None
    if args.passphrase_file:
        return passphrase(Path(args.passphrase_file))
    if args.public_key:
        return recipient(args.public_key)
    raise BackupError("it holds keys and merchants' data: give --passphrase-file or --public-key, or --plain")


def make(
    database: Database, settings: Settings, told: Mapping[str, Any], target: Path, whom: Passphrase | Recipient | None
) -> dict[str, Any]:
    """Write the backup to `target`, which must not be there. `told` is what the settings' file says; the manifest.

    Raises BackupError, DBAPIError, OSError.
    """
    if target.exists():
        raise BackupError(f"{target} is there; a backup overwrites nothing")
    now_ms = time.time_ns() // 1_000_000
    sealed = "nobody" if whom is None else type(whom).__name__.lower()
    with database.begin() as connection:
        head = connection.execute(select(audit_table.c.hash).order_by(audit_table.c.id.desc()).limit(1)).scalar()
        detail = {"file": target.name, "sealed_for": sealed}
        audit.append(connection, [Entry(now_ms, f"command line, {asked_by()}", "backup.make", "", detail)])
    about = {
        "format": FORMAT,
        "made_at": timestamp(now_ms / 1000),
        "database": {"dialect": database.dialect, "version": version(database)},
        "settings": {name: value for name, value in told.items() if name not in {"db", "role"}},
        "audit_head": head or audit.START,
    }
    with _made(target) as out:
        sealing: Any = out if whom is None else Writer(out, whom)
        with (
            gzip.GzipFile("", "wb", _LEVEL, sealing) as packed,
            tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as archive,
        ):
            _fill(archive, database, settings, about)
        if whom is not None:
            sealing.finish()
        out.flush()
        os.fsync(out.fileno())
    return about


@contextlib.contextmanager
def _made(target: Path) -> Iterator[BinaryIO]:
    """A new file for the owner alone, which gets its name once it is whole; fails where that name is taken."""
    handle, part = tempfile.mkstemp(prefix=f".{target.name}-", suffix=".part", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as out:
            yield out
        os.link(part, target)
    finally:
        Path(part).unlink()


def _fill(archive: tarfile.TarFile, database: Database, settings: Settings, about: dict[str, Any]) -> None:
    name = SQLITE if database.dialect == "sqlite" else POSTGRESQL
    members: list[dict[str, Any]] = []
    heads = _heads(settings)  # before the copy: all of them stand in it
    with _copied(database) as (file, size):  # before the packs: each that it knows of is there then
        progress = Progress("writing", size)
        members.append(_add(archive, name, file, size, progress))
    contents = _contents(database, settings)
    progress = Progress("writing files", contents.size)
    for member, path in contents.files.items():
        with path.open("rb") as file:
            members.append(_add(archive, member, file, path.stat().st_size, progress))
    if heads:
        members.append(_add(archive, HEADS, io.BytesIO(heads), len(heads), progress))
    about |= {"files": members, "missing": contents.missing}
    manifest = json.dumps(about, ensure_ascii=False, indent=1).encode()
    _add(archive, MANIFEST, io.BytesIO(manifest), len(manifest), progress)


def _add(archive: tarfile.TarFile, name: str, file: BinaryIO, size: int, progress: Progress) -> dict[str, Any]:
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = size, 0o600, int(time.time())
    source = Hashing(file, progress)
    archive.addfile(info, source)
    return {"name": name, "sha256": source.sha256, "bytes": size}


def _contents(database: Database, settings: Settings) -> Contents:
    """What lies beside the database. Raises BackupError for a file that a setting names and that is not there."""
    found = Contents()
    for name in (name for name in settings.__slots__ if name.endswith("_file") and getattr(settings, name)):
        path = Path(getattr(settings, name))
        if not path.is_file():
            raise BackupError(f"{path}: no such file, and {name} names it")
        found.files[f"settings/{name}"] = path
    beside = {"share_group": group_file()} | {f"evidence/{key}": state_dir() / "evidence" / key for key in _KEYS}
    found.files |= {name: path for name, path in beside.items() if path.is_file()}
    with database.read() as connection:
        packs = connection.execute(select(evidence.c.path).where(evidence.c.number.is_not(None))).scalars().all()
    for pack in packs:
        path = state_dir() / "evidence" / pack
        named = path if path.is_file() else path.with_name(f"{pack}.part")  # a kill came before its name
        if named.is_file():
            found.files[f"evidence/{pack}"] = named
        else:
            found.missing.append(str(path))
    return found


def _heads(settings: Settings) -> bytes:
    try:
        return file_of(settings.database, state_dir()).read_bytes()
    except FileNotFoundError:
        return b""


@contextlib.contextmanager
def _copied(database: Database) -> Iterator[tuple[BinaryIO, int]]:
    """A consistent copy to read from its beginning, and its size."""
    file_of = Database.file_of(database.url.render_as_string(hide_password=False))
    where = state_dir() if file_of is None else file_of.parent  # as much room as there, and as private
    where.mkdir(parents=True, exist_ok=True, mode=0o700)
    with contextlib.ExitStack() as opened:
        if file_of is None:
            out: BinaryIO = opened.enter_context(tempfile.TemporaryFile(dir=where))
            _dump(database, out)
        else:
            out = opened.enter_context(_sqlite_copy(database, where))
        size = out.seek(0, os.SEEK_END)
        out.seek(0)
        yield out, size


def _sqlite_copy(database: Database, where: Path) -> BinaryIO:
    handle, path = tempfile.mkstemp(prefix=".backup-", dir=where)
    out = os.fdopen(handle, "rb")
    try:
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as copy, database.read() as connection:
            copy.execute("PRAGMA journal_mode=OFF")  # opens it, so that it needs no name from here on
            copy.execute("PRAGMA synchronous=OFF")
            Path(path).unlink()
            source = connection.connection.driver_connection
            assert isinstance(source, sqlite3.Connection)  # noqa: S101 - the engine's driver
            connection.execute(select(audit_table.c.id).limit(1)).all()  # from here it sees one state of the database
            size = int(source.execute("PRAGMA page_size").fetchone()[0])
            progress = Progress("copying the database", size * int(source.execute("PRAGMA page_count").fetchone()[0]))
            source.backup(
                copy, pages=_PAGES, progress=lambda _state, left, pages: progress.at(size * (pages - left)), sleep=0
            )
    except BaseException:  # of an interrupt too nothing half made is left
        out.close()
        Path(path).unlink(missing_ok=True)
        raise
    return out


def _dump(database: Database, out: BinaryIO) -> None:
    with database.read() as connection:
        if connection.execute(text("SELECT 1 FROM pg_extension WHERE extname = 'timescaledb'")).first():
            raise BackupError("this database has TimescaleDB, which pg_dump alone does not bring back; see its manual")
    url, secret = connection_of(database.url)
    command = ["pg_dump", "--format=custom", "--no-owner", "--no-acl", "--dbname", url]
    try:
        done = subprocess.run(
            command, env=os.environ | secret, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.PIPE, check=False
        )
    except FileNotFoundError:
        raise BackupError("pg_dump is not installed, and a backup of PostgreSQL needs it") from None
    if done.returncode:
        raise BackupError((done.stderr.decode("utf-8", "replace").strip().splitlines() or ["pg_dump failed"])[0])
