"""Photos and files on a case: kept with their hash and time, texts without card numbers, pictures with a warning."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, select

from center.access.scope import Scope
from center.db.engine import Database
from center.db.tables import attachments, cases
from center.domain.cases_book import Act, CaseError, NoCase, book_of
from center.domain.cases_policy import Policy
from center.ids import new_id
from center.ingest import cards

LARGEST: Final = 5 * 1024 * 1024
MOST: Final = 50  # on one case
BEGINNINGS: Final = {
    "image/jpeg": (b"\xff\xd8\xff",),
    "image/png": (b"\x89PNG\r\n\x1a\n",),
    "image/webp": (b"RIFF",),
    "application/pdf": (b"%PDF-",),
    "text/plain": (b"",),
}
"""What may be attached, and how such a file begins."""
_NAME: Final = re.compile(r"[\w][\w .()+-]{0,99}")
WARNING: Final = "nobody has looked into this file for card numbers; look before it is passed on"


@dataclass(frozen=True, slots=True)
class Attachment:
    """`warning` is "" for a text, out of which card numbers were taken before it was kept."""

    id: str
    case_id: str
    name: str
    media_type: str
    sha256: str
    warning: str
    by: str
    at_ms: int


class Attachments:
    """For any thread."""

    def __init__(self, database: Database, policy: Policy, now_ms: Callable[[], int]) -> None:
        self._database = database
        self._policy = policy
        self._now_ms = now_ms

    def add(self, act: Act, case_id: str, name: str, media_type: str, body: bytes) -> Attachment:
        """Attach a file; the same bytes again are the same attachment. Raises NoCase or CaseError."""
        name = name.replace("\\", "/").rpartition("/")[2]
        _check(name, media_type, body)
        if media_type == "text/plain":
            body = cards.redact(body.decode("utf-8")).encode()
        digest = hashlib.sha256(body).hexdigest()
        with book_of(self._database, self._policy, self._now_ms()) as book:
            case = book.find(act.scope, case_id)
            there = listed(book.connection, act.scope, case_id)
            same = next((each for each in there if each.sha256 == digest), None)
            if same is not None:
                act.done(book.connection, case_id)
                return same
            if len(there) >= MOST:
                raise CaseError(f"a case holds {MOST} attachments at most")
            warning = "" if media_type == "text/plain" else WARNING
            new = Attachment(
                new_id("file", book.now_ms), case_id, name, media_type, digest, warning, act.by, book.now_ms
            )
            facts = {"id": new.id, "name": name, "media_type": media_type, "sha256": digest, "bytes": len(body)}
            row = {each: getattr(new, each) for each in Attachment.__slots__}
            book.connection.execute(attachments.insert().values(**row, body=body))
            book.step(case, "attachment", act.by, name, key=f"{case_id}:file:{digest}", facts=facts)
            act.done(book.connection, case_id)
            return new

    def body(self, scope: Scope, case_id: str, attachment_id: str) -> tuple[Attachment, bytes]:
        """The file. Raises NoCase."""
        with self._database.read() as connection:
            found = [each for each in listed(connection, scope, case_id) if each.id == attachment_id]
            if not found:
                raise NoCase(f"there is no attachment {attachment_id!r}")
            query = select(attachments.c.body).where(attachments.c.id == attachment_id)
            return found[0], bytes(connection.execute(query).scalar_one())


def listed(connection: Connection, scope: Scope, case_id: str) -> list[Attachment]:
    """The attachments of a case, oldest first, without their bodies."""
    named = [attachments.c[name] for name in Attachment.__slots__]
    query = select(*named).join(cases, cases.c.id == attachments.c.case_id)
    rows = connection.execute(query.where(cases.c.id == case_id, scope.where(cases)).order_by(attachments.c.id))
    return [Attachment(**row) for row in rows.mappings()]


def _check(name: str, media_type: str, body: bytes) -> None:
    if not _NAME.fullmatch(name):
        raise CaseError("a file's name is letters, digits, blanks and . ( ) + - _, 100 at most")
    if media_type not in BEGINNINGS:
        raise CaseError(f"attach one of {', '.join(BEGINNINGS)}")
    if not body or len(body) > LARGEST:
        raise CaseError(f"a file of 1 to {LARGEST} bytes can be attached")
    if not body.startswith(BEGINNINGS[media_type]):
        raise CaseError(f"this file is no {media_type}")
    if media_type == "text/plain":
        try:
            body.decode("utf-8")
        except UnicodeDecodeError:
            raise CaseError("a text is in UTF-8") from None
