"""`posdiag center verify-audit`: is the audit's chain whole, and does what was kept of it still stand there?"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Final

from sqlalchemy.exc import DBAPIError

from center.access import audit
from center.db.engine import DatabaseError, reason
from center.db.migrate import there
from center.domain.audit_heads import file_of, kept, missing
from center.exits import DONE, FAILED, unable
from center.settings import SettingsError, read, state_dir

_HASH: Final = re.compile("[0-9a-f]{64}")


def run(args: argparse.Namespace) -> int:
    """The verb. 0 whole, 1 broken or cut off, 2 unable, with one line."""
    if args.head and not _HASH.fullmatch(args.head):
        return unable(f"{args.head!r} is no head: 64 hex digits")
    if args.heads and not Path(args.heads).is_file():
        return unable(f"{args.heads}: no such file")
    try:
        settings, _origins = read(args)
        heads = list(kept(Path(args.heads) if args.heads else file_of(settings.database, state_dir())))
        database = there(settings.database)
        try:
            with database.read() as connection:
                found, lost = audit.verify(connection, args.head or ""), missing(connection, heads)
        finally:
            database.close()
    except (SettingsError, DatabaseError) as error:
        return unable(error)
    except DBAPIError as error:
        return unable(f"the database: {reason(error)}")
    if args.json:
        told = {"rows": found.rows, "head": found.head, "broken_id": found.broken_id, "seen": found.seen}
        print(json.dumps(told | {"kept": len(heads), "lost": lost}))
    else:
        _tell(found, args.head, heads, lost)
    return FAILED if found.broken_id is not None or found.seen is False or lost else DONE


def _tell(
    found: audit.Verified, head: str | None, heads: list[dict[str, object]], lost: list[dict[str, object]]
) -> None:
    if found.broken_id is None:
        print(f"whole: {found.rows} rows, head {found.head}")
    else:
        print(f"BROKEN at row {found.broken_id}; the {found.rows} before it are whole")
    if found.seen is not None:
        print(f"{head}: {'stands in it' if found.seen else 'NOT THERE: the chain was cut off or made anew'}")
    if heads:
        print(f"{len(heads) - len(lost)} of {len(heads)} daily heads stand in it")
    for each in lost:
        print(f"LOST: row {each['row']}, the head of {each['day']}")
