"""Evidence: a period of a terminal is held, so that nothing of it is deleted, and sealed into a file that stands alone.

A pack holds what the center has of the period, without card numbers: see `center/domain/evidence_files.py`. Its
manifest is signed with a key of its own, made at the first use, and holds the SHA-256 of the manifest before it: a
pack that is taken out, replaced or made later than it says contradicts the others. `center/evidence_verify.py`
checks it without the center.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection, insert, select, update

from agent.wire import dumps, timestamp
from center import evidence_verify
from center.access import audit
from center.access.audit import Entry
from center.access.roles import Who
from center.access.scope import Scope
from center.db import feed
from center.db.engine import Database
from center.db.tables import evidence
from center.domain.commands import demand, terminal_row
from center.domain.commands_key import load_key
from center.domain.commands_order import check_reason
from center.domain.evidence_files import Period, write_files
from center.domain.refusal import Refusal
from center.evidence_verify import FIRST, FORMAT, MANIFEST, PURPOSE, SEAL, NotAPackError, Verdict
from center.ids import new_id

_DAY_MS: Final = 86_400_000
_LONGEST_DAYS: Final = 400
_LONGEST_HOLD_DAYS: Final = 3660


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which period of which terminal, why, and until when nothing of it may be deleted (None: no hold)."""

    estate: str
    terminal: str
    from_ms: int
    until_ms: int
    reason: str
    hold_until_ms: int | None = None
    case_id: str | None = None


class Evidence:
    """Packs and their key are kept in `folder`. All functions raise Refusal."""

    def __init__(self, database: Database, folder: Path) -> None:
        self._database = database
        self._folder = folder

    @property
    def public_key(self) -> bytes:
        """What packs are verified with, 32 bytes."""
        return self._key()[1].public_key().public_bytes_raw()

    def hold(self, who: Who, wanted: Wanted, now_ms: int) -> str:
        """Keep a period, which may lie ahead, until `hold_until_ms`; its id."""
        row = self._row(who, wanted, now_ms)
        if wanted.hold_until_ms is None:
            raise Refusal("invalid", "until when shall it be held?")
        with self._database.begin() as connection:
            terminal_row(connection, who.scope, wanted.estate, wanted.terminal)
            connection.execute(insert(evidence).values(row))
            self._tell(connection, who, "evidence.hold", row, now_ms)
        return str(row["id"])

    def release(self, who: Who, evidence_id: str, reason: str, now_ms: int) -> None:
        """Hold it no longer. A pack that was sealed stays."""
        demand(who, "evidence")
        reason = check_reason(reason)
        with self._database.begin() as connection:
            row = self._find(connection, who.scope, evidence_id)
            connection.execute(update(evidence).where(evidence.c.id == evidence_id).values(hold_until_ms=None))
            self._tell(connection, who, "evidence.release", row, now_ms, why=reason)

    def seal(self, who: Who, wanted: Wanted, now_ms: int) -> str:
        """Make a pack of a period that is over; its id."""
        row = self._row(who, wanted, now_ms)
        if wanted.until_ms > now_ms:
            raise Refusal("invalid", "the period is not over; hold it, and seal it then")
        kid, key = self._key()
        part = self._folder / f"{row['path']}.part"
        period = Period(wanted.estate, wanted.terminal, wanted.from_ms, wanted.until_ms)
        try:
            with zipfile.ZipFile(part, "x", zipfile.ZIP_DEFLATED) as pack:
                with self._database.read() as connection:
                    terminal_row(connection, who.scope, wanted.estate, wanted.terminal)
                    about = write_files(connection, period, pack)
                with self._database.begin() as connection:
                    feed.lock(connection)  # seals are made one after the other
                    row |= _next(connection)
                    row["sha256"] = _close(pack, row | about, kid, key)
                    connection.execute(insert(evidence).values(row))
                    self._tell(connection, who, "evidence.seal", row, now_ms)
                    pack.close()
                    _sync(part)  # whole on the disk before the commit, under its name after it
        except BaseException:  # of an interrupt too nothing half made is left
            part.unlink(missing_ok=True)
            raise
        return str(self.file(who, row["id"]) and row["id"])

    def file(self, who: Who, evidence_id: str) -> Path:
        """The pack."""
        demand(who, "evidence")
        with self._database.read() as connection:
            row = self._find(connection, who.scope, evidence_id)
        if row["number"] is None:
            raise Refusal("conflict", "this period is held, not sealed")
        path = self._folder / str(row["path"])
        part = Path(f"{path}.part")
        if not path.exists() and part.exists():  # a kill came between the commit and the name
            part.rename(path)
            _sync(self._folder)
        if not path.exists():
            raise Refusal("unavailable", f"{path}: the pack is gone")
        return path

    def size(self, path: str) -> int | None:
        """Bytes of a pack; None for one that is not there, or not sealed."""
        try:
            return (self._folder / path).stat().st_size
        except OSError:
            return None

    def verify(self, who: Who, evidence_id: str) -> Verdict:
        """Look at the pack on the disk, by the center's own key and what the database has of it."""
        path = self.file(who, evidence_id)
        try:
            verdict = evidence_verify.verify(path, self.public_key)
        except (NotAPackError, OSError) as error:
            return Verdict(str(path), problems=[str(error)])
        with self._database.read() as connection:
            row = self._find(connection, who.scope, evidence_id)
        if verdict.digest != row["sha256"]:
            verdict.problems.append(f"{MANIFEST}: is not the one that the center sealed")
        return verdict

    def _row(self, who: Who, wanted: Wanted, now_ms: int) -> dict[str, Any]:
        demand(who, "evidence")
        if not 0 < wanted.until_ms - wanted.from_ms <= _LONGEST_DAYS * _DAY_MS:
            raise Refusal("invalid", f"a period ends after it begins, and is {_LONGEST_DAYS} days long at most")
        hold = wanted.hold_until_ms
        if hold is not None and not now_ms < hold <= now_ms + _LONGEST_HOLD_DAYS * _DAY_MS:
            raise Refusal("invalid", f"a hold ends in the future, within {_LONGEST_HOLD_DAYS} days")
        evidence_id = new_id("evid", now_ms)
        return {
            "id": evidence_id,
            "estate": wanted.estate,
            "terminal": wanted.terminal,
            "from_ms": wanted.from_ms,
            "until_ms": wanted.until_ms,
            "hold_until_ms": hold,
            "reason": check_reason(wanted.reason),
            "made_by": who.name,
            "case_id": wanted.case_id,
            "sha256": "",
            "path": f"{evidence_id}.zip",
            "at_ms": now_ms,
        }

    def _find(self, connection: Connection, scope: Scope, evidence_id: str) -> dict[str, Any]:
        query = select(evidence).where(evidence.c.id == evidence_id, scope.where(evidence))
        row = connection.execute(query).mappings().first()
        if row is None:
            raise Refusal("not_found", "no such evidence")
        return dict(row)

    def _tell(
        self, connection: Connection, who: Who, what: str, row: Mapping[str, Any], now_ms: int, why: str = ""
    ) -> None:
        names = ("id", "from_ms", "until_ms", "hold_until_ms", "sha256")
        detail = {name: row[name] for name in names} | {"reason": why or row["reason"]}
        where = f"{row['estate']}/{row['terminal']}"
        audit.append(connection, [Entry(now_ms, who.name, what, where, detail)])
        feed.append(connection, [("evidence", row["estate"], row["terminal"], row["id"])], now_ms)

    def _key(self) -> tuple[str, Ed25519PrivateKey]:
        path = self._folder / "key.jwk"
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not path.exists():
                _make_key(path)
            return load_key(path)
        except OSError as error:
            raise Refusal("unavailable", f"{path}: {(error.strerror or str(error)).lower()}") from error


def _next(connection: Connection) -> dict[str, Any]:
    """Number of the next seal, and the manifest before it."""
    query = select(evidence.c.number, evidence.c.sha256).where(evidence.c.number.is_not(None))
    last = connection.execute(query.order_by(evidence.c.number.desc()).limit(1)).first()
    return {"number": last.number + 1, "previous": last.sha256} if last else {"number": 1, "previous": FIRST}


def _close(pack: zipfile.ZipFile, row: dict[str, Any], kid: str, key: Ed25519PrivateKey) -> str:
    """Write the manifest and its seal; the manifest's SHA-256. Takes what is only for the manifest out of the row."""
    names = ("id", "number", "previous", "estate", "terminal", "made_by", "reason", "case_id")
    manifest = {
        "format": FORMAT,
        **{name: row[name] for name in names},
        **{name: timestamp(row[f"{name}_ms"] / 1000) for name in ("from", "until")},
        "made_at": timestamp(row["at_ms"] / 1000),
        **{name: row[name] for name in ("clock", "gaps", "card_numbers_removed", "files")},
    }
    content = json.dumps(manifest, ensure_ascii=False, indent=1).encode() + b"\n"
    digest = hashlib.sha256(content).hexdigest()
    public = key.public_key().public_bytes_raw()
    seal = {
        "alg": "EdDSA",
        "kid": kid,
        "public": base64.b64encode(public).decode(),
        "manifest_sha256": digest,
        "signature": base64.b64encode(key.sign(PURPOSE + content)).decode(),
    }
    pack.writestr(MANIFEST, content)
    pack.writestr(SEAL, dumps(seal))
    return digest


def _make_key(path: Path) -> None:
    """Unless another process is quicker."""
    key = Ed25519PrivateKey.generate()
    x, d = (
        base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
        for raw in (key.public_key().public_bytes_raw(), key.private_bytes_raw())
    )
    public = {"crv": "Ed25519", "kty": "OKP", "x": x}
    thumbprint = hashlib.sha256(json.dumps(public, separators=(",", ":")).encode()).digest()  # RFC 7638
    public["kid"] = base64.urlsafe_b64encode(thumbprint).rstrip(b"=").decode()
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(dumps({**public, "d": d}))
        file.flush()
        os.fsync(handle)
    try:
        os.link(part, path)
    except FileExistsError:
        return
    finally:
        part.unlink()
    path.with_name("public.jwk").write_bytes(dumps(public))
    _sync(path.parent)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def listed(
    connection: Connection, scope: Scope, before: tuple[int, str] | None = None, limit: int = 100
) -> list[dict[str, Any]]:
    """Holds and packs, newest first, before (at_ms, id)."""
    query = select(evidence).where(scope.where(evidence))
    if before is not None:
        at_ms, evidence_id = before
        later = (evidence.c.at_ms == at_ms) & (evidence.c.id < evidence_id)
        query = query.where((evidence.c.at_ms < at_ms) | later)
    rows = connection.execute(query.order_by(evidence.c.at_ms.desc(), evidence.c.id.desc()).limit(limit)).mappings()
    return [dict(row) for row in rows]
