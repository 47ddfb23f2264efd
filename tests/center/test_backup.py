"""A backup of a center at work, and the center that is made of it again."""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from sqlalchemy import delete, func, insert, select

from agent import cli
from center.access import audit
from center.access.audit import Entry
from center.db.engine import Database
from center.db.tables import audit as audit_table
from center.db.tables import broadcast_sites, broadcasts, cases, evidence
from center.domain.evidence import Evidence, Wanted
from tests.center.actions import NOW, fleet, person
from tests.center.test_desk import _key
from tests.wait import wait_until

DAY_MS = 86_400_000
Run = Callable[..., tuple[int, str, str]]
SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
"""What it shows has nothing to do with which database it is."""


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("POSDIAG_CENTER_DIR", str(tmp_path / "state"))
    (tmp_path / "state").mkdir()
    return tmp_path / "state"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def go(*words: str | Path) -> tuple[int, str, str]:
        try:
            code = cli.main(["center", *map(str, words)])
        except SystemExit as end:
            code = int(end.code or 0)
        told = capsys.readouterr()
        return code, told.out, told.err

    return go


@pytest.fixture
def office(database: Database, tmp_path: Path, state: Path) -> list[str | Path]:
    """A center with a case, a sealed pack and keys; the words by which `backup` finds it."""
    fleet(database, ["t1"])
    row = {"number": 1, "estate": "e", "terminal": "t1", "kind": "fault", "title": "no paper", "severity": "major"}
    times = {"created_ms": NOW, "updated_ms": NOW, "state": "new", "merchant_token": "m"}
    with database.begin() as connection:
        connection.execute(insert(cases).values({"id": "case-1", **row, **times}))
        audit.append(connection, [Entry(NOW, "ann", "case.read", "case-1")])
    packs = Evidence(database, state / "evidence")
    wanted = Wanted(estate="e", terminal="t1", from_ms=NOW - DAY_MS, until_ms=NOW, reason="the bank disputes it")
    packs.seal(person("com", "compliance"), wanted, NOW)
    (state / "share_group").write_text("center-7f")
    (tmp_path / "center.toml").write_text(f'command_key_file = "{_key(tmp_path / "key.jwk")}"\nkeep_feed_days = 9\n')
    url = database.url.render_as_string(hide_password=False).replace("+psycopg", "")
    return ["--db", url, "--config", tmp_path / "center.toml"]


def secret(path: Path, text: str = "correct horse battery\n") -> Path:
    path.write_text(text)
    path.chmod(0o600)
    return path


def rows(database: Database) -> int:
    with database.read() as connection:
        return int(connection.execute(select(func.count()).select_from(audit_table)).scalar_one())


def test_what_is_written_meanwhile_stays_out_and_nothing_is_torn(
    database: Database, office: list[str | Path], tmp_path: Path, run: Run, request: pytest.FixtureRequest
) -> None:
    """Of two tables that are written together, the copy has as many rows of each."""
    stop = threading.Event()

    def work() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            cast = {"id": f"b{number}", "kind": "message", "by": "ann", "created_ms": NOW, "terminals_n": 0}
            with database.begin() as connection:
                connection.execute(insert(broadcasts).values(cast))
                site = {"broadcast_id": cast["id"], "estate": "e", "site": "s", "why": "x" * 3000}
                connection.execute(insert(broadcast_sites).values(site))

    worker = threading.Thread(target=work)
    worker.start()
    try:
        wait_until(lambda: _both(database)[0] > 20)
        assert run("backup", tmp_path / "b", "--plain", *office)[0] == 0
    finally:
        stop.set()
        worker.join()
    more = _empty(request, database)
    code, out, err = run("restore", tmp_path / "b", tmp_path / "new", *(("--db", more) if more else ()))
    assert (code, err) == (0, "")
    restored = Database(more or f"sqlite:///{tmp_path}/new/center.db")
    first, second = _both(restored)
    assert 20 < first == second <= _both(database)[0]
    assert rows(restored) == rows(database) + 1, "that it was restored stands in the audit"
    restored.close()
    assert "the audit chain holds: 3 rows" in out  # case.read, evidence.seal, backup.make
    settings = (tmp_path / "new" / "settings.toml").read_text()
    assert f'command_key_file = "{tmp_path}/new/settings/command_key_file"' in settings
    assert "keep_feed_days = 9" in settings
    for name, old in (("settings/command_key_file", "key.jwk"), ("share_group", "state/share_group")):
        assert (tmp_path / "new" / name).read_bytes() == (tmp_path / old).read_bytes()
    assert [path.name for path in (tmp_path / "state").iterdir() if path.name.startswith(".")] == []


def _both(database: Database) -> tuple[int, int]:
    with database.read() as connection:
        first, second = (
            connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in (broadcasts, broadcast_sites)
        )
    return first, second


def _empty(request: pytest.FixtureRequest, database: Database) -> str:
    """The URL of an empty database of PostgreSQL; "" where the test is of SQLite."""
    if database.dialect == "sqlite":
        return ""
    server = request.getfixturevalue("postgres")
    return str(server.url(server.create()))


@SQLITE
@pytest.mark.timeout(180)
def test_a_center_starts_from_what_was_restored(office: list[str | Path], tmp_path: Path, run: Run) -> None:
    code, public, _ = run("backup-key", tmp_path / "id")
    assert (code, (tmp_path / "id").stat().st_mode & 0o777) == (0, 0o600)
    assert run("backup", tmp_path / "b", "--public-key", public.strip(), *office) == (
        0,
        f"{tmp_path}/b: 6 files, sealed\n",
        "",
    )
    assert (tmp_path / "b").stat().st_mode & 0o777 == 0o600
    assert b"SQLite" not in (tmp_path / "b").read_bytes()
    new = tmp_path / "new"
    code, out, err = run("restore", tmp_path / "b", new, "--key", tmp_path / "id")
    assert (code, err) == (0, "")
    words = out.splitlines()[-1].partition("posdiag ")[2].split()
    environment = os.environ | {"POSDIAG_CENTER_DIR": str(new)}
    token = run("token", "--role", "compliance", "--config", new / "settings.toml")[1].strip()
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "agent.cli", *words, "--http", "127.0.0.1:0", "--role", "web"],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=log,
        )
    try:
        found = wait_until(lambda: re.search(r"listening at (\S+)", (tmp_path / "log").read_text()), 60)
        headers = {"authorization": f"Bearer {token}"}
        with httpx.Client(base_url=f"{found[1]}/api/v1", headers=headers, timeout=30) as api:
            assert api.get("/cases").json()["items"][0]["title"] == "no paper"
            verified = api.get("/audit/verify").json()
            assert (verified["broken_id"], verified["rows"] >= 5) == (None, True)
            (pack,) = api.get("/evidence").json()["items"]
            assert api.get(f"/evidence/{pack['id']}/verify").json()["problems"] == []
    finally:
        process.kill()
        process.wait()


@SQLITE
def test_nothing_goes_out_in_the_clear_unasked_and_nothing_is_overwritten(
    office: list[str | Path], tmp_path: Path, run: Run
) -> None:
    target = tmp_path / "b"
    assert "--plain" in run("backup", target, *office)[2]
    assert not target.exists()
    weak = run("backup", target, "--passphrase-file", secret(tmp_path / "pw", "short"), *office)
    assert (weak[0], "12 characters" in weak[2]) == (2, True)
    (tmp_path / "pw").chmod(0o644)
    assert "others may read" in run("backup", target, "--passphrase-file", tmp_path / "pw", *office)[2]
    assert "not a key of age" in run("backup", target, "--public-key", "age1x", *office)[2]
    target.write_text("something of mine")
    assert "overwrites nothing" in run("backup", target, "--plain", *office)[2]
    assert target.read_text() == "something of mine"
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    assert run("backup", tmp_path / "c", "--plain", *office)[0] == 0
    assert "is not empty" in run("restore", tmp_path / "c", tmp_path / "full")[2]
    (tmp_path / "key.jwk").unlink()
    assert "no such file, and command_key_file names it" in run("backup", tmp_path / "d", "--plain", *office)[2]
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []


@SQLITE
def test_a_pack_that_is_gone_is_named(
    database: Database, office: list[str | Path], tmp_path: Path, state: Path, run: Run
) -> None:
    (pack,) = (state / "evidence").glob("*.zip")
    pack.rename(f"{pack}.part")  # as a kill between commit and name leaves it
    assert run("backup", tmp_path / "a", "--plain", *office)[0] == 0
    Path(f"{pack}.part").unlink()
    code, _, err = run("backup", tmp_path / "b", "--plain", *office)
    assert (code, str(pack) in err) == (1, True)
    assert run("restore", tmp_path / "a", tmp_path / "new")[0] == 0
    assert (tmp_path / "new" / "evidence" / pack.name).is_file()
    with database.begin() as connection:
        connection.execute(delete(evidence))


def _rewritten(path: Path, change: Callable[[str, bytes], tuple[str, bytes]]) -> Path:
    other = path.with_name("other")
    with tarfile.open(path) as old, gzip.open(other, "wb") as packed, tarfile.open(fileobj=packed, mode="w") as new:
        for member in old:
            file = old.extractfile(member)
            assert file is not None
            name, content = change(member.name, file.read())
            info = tarfile.TarInfo(name)
            info.size = len(content)
            new.addfile(info, io.BytesIO(content))
    return other


@SQLITE
def test_what_is_not_what_was_backed_up_is_refused_and_leaves_nothing(
    office: list[str | Path], tmp_path: Path, run: Run
) -> None:
    plain, sealed, new = tmp_path / "plain", tmp_path / "sealed", tmp_path / "new"
    password = secret(tmp_path / "pw")
    assert run("backup", plain, "--plain", *office)[0] == 0
    assert run("backup", sealed, "--passphrase-file", password, *office)[0] == 0

    def refused(path: Path, *more: str | Path) -> str:
        code, out, err = run("restore", path, new, *more)
        assert (code, out, err.count("\n"), new.exists()) == (2, "", 1, False), err
        return err

    def later(name: str, content: bytes) -> tuple[str, bytes]:
        if name != "manifest.json":
            return name, content
        manifest = json.loads(content)
        return name, json.dumps({**manifest, "database": {"dialect": "sqlite", "version": "m9999"}}).encode()

    def headless(name: str, content: bytes) -> tuple[str, bytes]:
        if name != "manifest.json":
            return name, content
        return name, content.replace(json.loads(content)["audit_head"].encode(), b"7" * 64)

    assert "share_group is not what was backed up" in refused(
        _rewritten(plain, lambda name, content: (name, content + b"x" if name == "share_group" else content))
    )
    assert "'../x' belongs in no backup" in refused(
        _rewritten(plain, lambda name, content: ("../x" if name == "share_group" else name, content))
    )
    assert "later posdiag" in refused(_rewritten(plain, later))
    assert "chain of its audit is broken" in refused(_rewritten(plain, headless))
    assert "is sealed: give" in refused(sealed)
    assert "another passphrase" in refused(
        sealed, "--passphrase-file", secret(tmp_path / "other-pw", "incorrect horse\n")
    )
    content = sealed.read_bytes()
    sealed.write_bytes(content[:-5])
    assert "cut off" in refused(sealed, "--passphrase-file", password)
    plain.write_bytes(plain.read_bytes()[:-200])
    assert "is no backup, or was changed" in refused(plain)
    assert "no such file" in refused(tmp_path / "nowhere")
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []
