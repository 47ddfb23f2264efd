"""`posdiag center restore`: a backup into an empty place, checked against its manifest before it gets its name."""

from __future__ import annotations

import argparse
import contextlib
import gzip
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from alembic.script import ScriptDirectory
from sqlalchemy.exc import DBAPIError

from center.access import audit
from center.access.audit import Entry
from center.age import AgeError, Identity, Passphrase, Reader, is_sealed
from center.backup_form import (
    FORMAT,
    MANIFEST,
    MEMBER,
    POSTGRESQL,
    SQLITE,
    BackupError,
    Hashing,
    Progress,
    connection_of,
    copy,
    files,
    identity,
    passphrase,
)
from center.db.engine import Database, DatabaseError, reason
from center.db.migrate import SCRIPTS, version
from center.domain.audit_heads import FILE as HEADS
from center.domain.audit_heads import file_of
from center.exits import DONE, unable, why
from center.token import asked_by

_SETTINGS: Final = "settings.toml"
_LARGEST_MANIFEST: Final = 64 << 20


def run_restore(args: argparse.Namespace) -> int:
    """The verb. 0 done, 2 unable, with one line and nothing left behind."""
    target = Path(args.into).absolute()
    try:
        manifest, found = restore(Path(args.file), target, _whom(args), args.db or "")
    except (AgeError, gzip.BadGzipFile, tarfile.TarError, zlib.error, EOFError) as error:
        return unable(f"{args.file}: {error if isinstance(error, AgeError) else 'is no backup, or was changed'}")
    except (BackupError, DatabaseError) as error:
        return unable(error)
    except DBAPIError as error:
        return unable(f"the database: {reason(error)}")
    except OSError as error:
        return unable(f"{error.filename or args.file}: {why(error)}")
    print(f"{target}: the center of {manifest['made_at']}, {files(manifest)} as before")
    print(f"the audit chain holds: {found.rows} rows, head {found.head}")
    for name in manifest["missing"]:
        print(f"posdiag: {name} was not there any more when the backup was made", file=sys.stderr)
    print(f"start it: POSDIAG_CENTER_DIR={target} posdiag center run --config {target / _SETTINGS}")
    return DONE


def _whom(args: argparse.Namespace) -> Passphrase | Identity | None:
    if args.passphrase_file:
        return passphrase(Path(args.passphrase_file))
    return identity(Path(args.key)) if args.key else None


def restore(
    source: Path, target: Path, whom: Passphrase | Identity | None, db: str = ""
) -> tuple[dict[str, Any], audit.Verified]:
    """The manifest and what the audit's chain looks like. `db` is for a backup of PostgreSQL: an empty database.

    Raises BackupError, DatabaseError, AgeError, DBAPIError, OSError, and what gzip and tarfile have for bad files.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise BackupError(f"{target} is not empty; a restore overwrites nothing")
    sealed = is_sealed(source)
    if sealed and whom is None:
        raise BackupError(f"{source} is sealed: give --passphrase-file or --key")
    target.parent.mkdir(parents=True, exist_ok=True)
    place = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))  # for its owner alone
    try:
        with _opened(source, whom if sealed else None) as content:
            manifest = _extract(content, place, source)
        _check(manifest, place, source)
        url = _database(manifest, place, db)
        found = _proven(manifest, url, source)
        if (place / HEADS).is_file():
            (place / HEADS).rename(place / file_of(url, place).name)
        url = url if db else f"sqlite:///{target / SQLITE}"
        (place / _SETTINGS).write_text(_settings(manifest, target, url), "utf-8")
        (place / _SETTINGS).chmod(0o600)
        place.rename(target)
    except BaseException:  # of an interrupt too nothing half made is left
        shutil.rmtree(place, ignore_errors=True)
        raise
    return manifest, found


@contextlib.contextmanager
def _opened(source: Path, whom: Passphrase | Identity | None) -> Iterator[gzip.GzipFile]:
    with source.open("rb") as file:
        plain: Any = file if whom is None else io.BufferedReader(Reader(file, whom), 1 << 20)
        with gzip.GzipFile(fileobj=plain, mode="rb") as content:
            yield content


def _extract(content: gzip.GzipFile, place: Path, source: Path) -> dict[str, Any]:
    """Write the members, and check each against the manifest, which comes last."""
    progress = Progress("restoring", 4 * source.stat().st_size)
    digests: dict[str, tuple[str, int]] = {}
    manifest: dict[str, Any] = {}
    with tarfile.open(fileobj=content, mode="r|") as archive:
        for member in archive:
            file = archive.extractfile(member) if member.isreg() else None
            known = member.name == MANIFEST or MEMBER.fullmatch(member.name)
            if file is None or not known or member.name in digests or manifest:
                raise BackupError(f"{source}: {member.name!r} belongs in no backup")
            if member.name == MANIFEST:
                manifest = _parsed(file.read(_LARGEST_MANIFEST), source)
                continue
            path = place / member.name
            path.parent.mkdir(exist_ok=True, mode=0o700)
            reading = Hashing(file, progress)  # type: ignore[arg-type]  # it reads
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:  # noqa: PTH123 - a handle
                count = copy(reading, out)
                os.fsync(out.fileno())
            digests[member.name] = reading.sha256, count
    while content.read(1 << 20):  # to its end, where it is found out if something was cut off
        pass
    listed = {each["name"]: (each["sha256"], each["bytes"]) for each in manifest.get("files", ())}
    wrong = sorted(name for name in listed.keys() | digests.keys() if listed.get(name) != digests.get(name))
    if not manifest or wrong:
        raise BackupError(f"{source}: {wrong[0] if wrong else MANIFEST} is not what was backed up")
    return manifest


def _parsed(content: bytes, source: Path) -> dict[str, Any]:
    try:
        manifest = json.loads(content)
        fits = manifest["format"] == FORMAT and manifest["files"] and isinstance(manifest["settings"], dict)
    except (ValueError, KeyError, TypeError, RecursionError):
        fits = False
    if not fits:
        raise BackupError(f"{source}: is no backup that this version knows")
    return dict(manifest)


def _check(manifest: dict[str, Any], place: Path, source: Path) -> None:
    made_by = manifest["database"]["version"]
    known = {script.revision for script in ScriptDirectory(str(SCRIPTS)).walk_revisions()}
    if made_by not in known:
        raise BackupError(f"{source}: its database is of version {made_by}, which a later posdiag made")
    if not any((place / name).is_file() for name in (SQLITE, POSTGRESQL)):
        raise BackupError(f"{source}: holds no database")


def _database(manifest: dict[str, Any], place: Path, db: str) -> str:
    """The URL of the database, which is there now."""
    if manifest["database"]["dialect"] == "sqlite":
        if db:
            raise BackupError("--db is for a backup of PostgreSQL; this one holds its SQLite file")
        return f"sqlite:///{place / SQLITE}"
    if not db:
        raise BackupError("this is a backup of PostgreSQL: give --db postgresql://… of an empty database")
    database = Database(db)
    try:
        if database.dialect != "postgresql" or version(database) is not None:
            raise BackupError(f"{database.name} is no empty database of PostgreSQL")
        plain, secret = connection_of(database.url)
    finally:
        database.close()
    dump = place / POSTGRESQL
    command = ["pg_restore", "--no-owner", "--no-acl", "--single-transaction", "--dbname", plain, str(dump)]
    try:
        done = subprocess.run(
            command, env=os.environ | secret, stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
    except FileNotFoundError:
        raise BackupError("pg_restore is not installed, and a backup of PostgreSQL needs it") from None
    if done.returncode:
        raise BackupError((done.stderr.decode("utf-8", "replace").strip().splitlines() or ["pg_restore failed"])[0])
    dump.unlink()
    return db


def _proven(manifest: dict[str, Any], url: str, source: Path) -> audit.Verified:
    """The audit's chain is whole and goes as far as when the backup was made; that it was restored stands in it."""
    database = Database(url)
    try:
        head = manifest["audit_head"]
        with database.read() as connection:
            found = audit.verify(connection, "" if head == audit.START else head)
        if found.broken_id is not None or found.seen is False:
            raise BackupError(f"{source}: the chain of its audit is broken")
        detail = {"made_at": manifest["made_at"]}
        with database.begin() as connection:
            now_ms = time.time_ns() // 1_000_000
            audit.append(connection, [Entry(now_ms, f"command line, {asked_by()}", "backup.restore", "", detail)])
    finally:
        database.close()
    return found


def _settings(manifest: dict[str, Any], target: Path, url: str) -> str:
    """The settings of the backup, with the files where they are now."""
    kept = {name: value for name, value in manifest["settings"].items() if not name.endswith("_file")}
    members = (each["name"].partition("/") for each in manifest["files"])
    files = {name: str(target / "settings" / name) for folder, _, name in members if folder == "settings"}
    lines = [
        f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in ({"db": url} | kept | files).items()
    ]
    return "\n".join([f"# restored from the backup of {manifest['made_at']}", *lines]) + "\n"
