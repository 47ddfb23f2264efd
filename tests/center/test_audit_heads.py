"""The head of the audit's chain is handed out daily, and what was kept shows that an end was cut off."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sqlalchemy import delete, select

from agent import cli
from center.access import audit
from center.access.audit import Entry
from center.db.engine import Database
from center.db.tables import audit as table
from center.db.tables import outbox
from center.domain.audit_heads import AuditHeads, CutOffError, file_of, kept

NOON = 1_790_078_400_000  # 2026-09-22 12:00 UTC
DAY = 86_400_000


@pytest.fixture
def file(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("POSDIAG_CENTER_DIR", str(tmp_path / "state"))
    return file_of(database.url.render_as_string(hide_password=False), tmp_path / "state")


def said(database: Database, *whats: str) -> str:
    with database.begin() as connection:
        audit.append(connection, [Entry(NOON, "ann", what) for what in whats])
        return audit.verify(connection).head


def told(database: Database) -> list[dict[str, object]]:
    with database.read() as connection:
        return [dict(row.payload) for row in connection.execute(select(outbox).order_by(outbox.c.id))]


def cut(database: Database) -> None:
    with database.begin() as connection:
        connection.execute(delete(table).where(table.c.what == "last"))


def test_a_head_a_day_goes_out_and_is_kept(database: Database, file: Path) -> None:
    heads = AuditHeads(database, file)
    heads.step(NOON)
    assert (told(database), file.exists()) == ([], False), "there is nothing to hand out yet"
    first = said(database, "a", "b")
    for at_ms in (NOON, NOON + 1000):
        heads.step(at_ms)
    with database.begin() as connection:
        connection.execute(delete(outbox))  # a kill came before it was told
    said(database, "more")
    AuditHeads(database, file).step(NOON + 2000)  # the next start
    second = said(database, "c")
    AuditHeads(database, file).step(NOON + DAY)
    lines = [{"day": "2026-09-22", "row": 2, "hash": first}, {"day": "2026-09-23", "row": 4, "hash": second}]
    assert list(kept(file)) == lines
    assert [{name: each[name] for name in ("event", "body", *lines[0])} for each in told(database)] == [
        {"event": "audit.head", "body": line["hash"], **line} for line in lines
    ]


def test_an_end_that_was_cut_off_is_the_engines_problem(database: Database, file: Path) -> None:
    said(database, "a", "last")
    AuditHeads(database, file).step(NOON)
    with file.open("a") as out:
        out.write('{"day": "2026-09')  # a kill
    cut(database)
    with pytest.raises(CutOffError, match="the audit has lost row 2, its head of 2026-09-22"):
        AuditHeads(database, file).step(NOON + DAY)
    assert len(told(database)) == 1


def test_the_verb_says_what_stands_and_what_is_lost(
    database: Database, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = database.url.render_as_string(hide_password=False).replace("+psycopg", "")

    def verify(*words: str) -> tuple[int, str]:
        code = cli.main(["center", "verify-audit", "--db", url, *words])
        return code, capsys.readouterr().out

    said(database, "a")
    head = said(database, "last")
    AuditHeads(database, file).step(NOON)
    assert verify(head) == (0, f"whole: 2 rows, head {head}\n{head}: stands in it\n1 of 1 daily heads stand in it\n")
    cut(database)
    code, out = verify(head)
    assert (code, "NOT THERE" in out, "LOST: row 2, the head of 2026-09-22" in out) == (1, True, True)
    code, out = verify("--json")
    assert (code, [each["row"] for each in json.loads(out)["lost"]]) == (1, [2])
    file.unlink()
    assert verify()[0] == 0, "nobody kept anything"
    assert verify("12")[0] == 2
    assert verify("--heads", "/nowhere")[0] == 2
