from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert

from center import evidence_verify
from center.access import audit
from center.access.audit import Entry
from center.access.scope import Scope
from center.db.engine import Database, bulk_insert
from center.db.tables import case_steps, cases, events, gaps, telemetry
from center.domain import evidence
from center.domain.evidence import Evidence, Wanted
from center.domain.refusal import Refusal
from center.evidence_verify import FIRST, NotAPackError, check_order, verify
from center.ingest.upkeep import CLEAN_MS, DAY_MS, Upkeep
from center.settings import Settings
from tests.center.actions import NOW, fleet, person

COM = person("com", "compliance")
FROM, UNTIL = NOW - 10 * DAY_MS, NOW - 5 * DAY_MS
CARD = "4111 1111 1111 1111"


@pytest.fixture
def office(database: Database, tmp_path: Path) -> Evidence:
    fleet(database, ["t1", "t2"], region="north")
    row = {"estate": "e", "boot": 1, "up_ms": 1, "clock": "synced", "received_ms": NOW - 6 * DAY_MS}
    log = [
        {"terminal": "t1", "seq": 1, "at_ms": FROM - 1, "received_ms": FROM - 1, "event": "before", "data": {}},
        {"terminal": "t1", "seq": 2, "at_ms": FROM, "event": "fault.raised", "data": {"note": f"paid with {CARD}"}},
        {"terminal": "t1", "seq": 3, "at_ms": 5, "clock": "unset", "event": "clock.step", "data": {}},
        {"terminal": "t1", "seq": 4, "at_ms": UNTIL + 1, "received_ms": NOW, "event": "after", "data": {}},
        {"terminal": "t2", "seq": 1, "at_ms": FROM, "event": "another's", "data": {}},
    ]
    batch = {"estate": "e", "terminal": "t1", "boot": 1, "late": False, "samples": [[0, {"power.mv": 12000}]]}
    case = {"number": 1, "estate": "e", "terminal": "t1", "kind": "fault", "title": "no paper", "severity": "major"}
    times = {"created_ms": FROM - DAY_MS, "updated_ms": FROM, "merchant_token": "open-sesame"}
    hole = {"estate": "e", "terminal": "t1", "boot": 1, "class": "event", "first": 5, "last": 9, "found_ms": FROM}
    with database.begin() as connection:
        bulk_insert(connection, events, [{**row, **line} for line in log])
        numbers = [{**batch, "seq": n, "at_ms": FROM + n, "received_ms": FROM + n} for n in range(300)]
        bulk_insert(connection, telemetry, numbers)
        connection.execute(
            insert(cases).values({"id": "case-1", "state": "closed", **case, **times, "closed_ms": UNTIL})
        )
        step = {"case_id": "case-1", "step_key": "k", "at_ms": FROM, "by": "ann", "kind": "note", "text": "rang"}
        connection.execute(
            insert(case_steps).values(
                {**step, "data": {"visit": {"token": "let-me-in", "code": "QR:eyJhbGciOiJFZERTQSJ9.eyJ4.c2ln"}}}
            )
        )
        connection.execute(insert(gaps).values(hole))
        said = [Entry(FROM + 1, "ann", "case.read", "case-1"), Entry(FROM + 2, "bob", "case.note", "e/t1", {"n": CARD})]
        audit.append(
            connection, [*said, Entry(FROM, "eve", "elsewhere", "e/t2"), Entry(FROM, "ann", "read", "e/t1", {"ß": 1.5})]
        )
    return Evidence(database, tmp_path / "evidence")


def wanted(**more: Any) -> Wanted:
    usual = {"estate": "e", "terminal": "t1", "from_ms": FROM, "until_ms": UNTIL, "reason": "the bank disputes it"}
    return Wanted(**{**usual, **more})


@pytest.fixture
def pack(office: Evidence) -> Path:
    return office.file(COM, office.seal(COM, wanted(), NOW))


def lines(pack: Path, name: str) -> list[dict[str, Any]]:
    with zipfile.ZipFile(pack) as file:
        return [json.loads(line) for line in file.read(name).splitlines()]


def contents(pack: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(pack) as file:
        return {name: file.read(name) for name in file.namelist()}


def rewritten(pack: Path, change: Callable[[dict[str, bytes]], Any], *, twice: str = "", comment: bytes = b"") -> Path:
    """The pack with other contents, as a proper ZIP file."""
    changed = contents(pack)
    change(changed)
    other = pack.with_name("other.zip")
    with zipfile.ZipFile(other, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in changed.items():
            file.writestr(name, content)
        if twice:
            with pytest.warns(UserWarning, match="Duplicate name"):
                file.writestr(twice, b"{}\n")
        file.comment = comment
    return other


def replaced(name: str, old: bytes, new: bytes) -> Callable[[dict[str, bytes]], Any]:
    def change(contents: dict[str, bytes]) -> None:
        assert old in contents[name]
        contents[name] = contents[name].replace(old, new, 1)

    return change


def test_a_pack_holds_the_period_and_nothing_else(pack: Path) -> None:
    assert [line["seq"] for line in lines(pack, "events.jsonl")] == [2, 3]
    assert len(lines(pack, "telemetry.jsonl")) == 300
    assert [line["id"] for line in lines(pack, "cases.jsonl")] == ["case-1"]
    assert [line["text"] for line in lines(pack, "case_steps.jsonl")] == ["rang"]
    assert [line["who"] for line in lines(pack, "audit.jsonl")] == ["ann", "bob", "ann"]
    assert [line["terminal"] for line in lines(pack, "terminal.jsonl")] == ["t1"]


def test_its_manifest_says_what_it_is_worth(office: Evidence, pack: Path) -> None:
    manifest = verify(pack, office.public_key).manifest
    assert (manifest["number"], manifest["previous"]) == (1, FIRST)
    assert (manifest["from"], manifest["until"]) == ("2026-09-11T14:13:20.000Z", "2026-09-16T14:13:20.000Z")
    assert (manifest["made_by"], manifest["reason"]) == ("com", "the bank disputes it")
    assert manifest["clock"] == {"steps": 1, "synced": 1, "unset": 1}
    assert (manifest["gaps"], manifest["card_numbers_removed"]) == (1, 2)


def test_no_card_number_and_no_key_to_anything_leaves(pack: Path) -> None:
    with zipfile.ZipFile(pack) as file:
        whole = b"".join(file.read(name) for name in file.namelist())
    for secret in (CARD.encode(), b"open-sesame", b"let-me-in", b"eyJhbGci", b'"d"'):
        assert secret not in whole
    assert b"paid with <pan:16>" in whole


def test_it_is_good_by_the_centers_key_and_not_by_another(office: Evidence, pack: Path) -> None:
    good = verify(pack, office.public_key)
    assert (good.problems, good.vouched) == ([], True)
    assert verify(pack).problems == []
    assert not verify(pack).vouched
    other = verify(pack, bytes(31) + b"\x01").problems
    assert other == [
        "seal.json: made with another key than the one given",
        "seal.json: the signature does not fit manifest.json",
    ]
    assert office.verify(COM, pack.stem).problems == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (replaced("events.jsonl", b"fault.raised", b"fault.clear_"), "events.jsonl: was changed"),
        (replaced("telemetry.jsonl", b"12000", b"11000"), "telemetry.jsonl: was changed"),
        (replaced("cases.jsonl", b"no paper", b"no power"), "cases.jsonl: was changed"),
        (replaced("case_steps.jsonl", b"rang", b"sang"), "case_steps.jsonl: was changed"),
        (replaced("gaps.jsonl", b'"last":9', b'"last":5'), "gaps.jsonl: was changed"),
        (replaced("terminal.jsonl", b"online", b"absent"), "terminal.jsonl: was changed"),
        (replaced("audit.jsonl", b"ann", b"bob"), "audit.jsonl: was changed"),
        (replaced("README.txt", b"Evidence", b"evidence"), "README.txt: was changed"),
        (lambda contents: contents.pop("faults.jsonl"), "faults.jsonl: is missing"),
        (lambda contents: contents.update({"more.jsonl": b""}), "more.jsonl: is not of the pack"),
        (replaced("manifest.json", b"t1", b"t2"), "the signature does not fit"),
        (replaced("manifest.json", b'"gaps": 1', b'"gaps": 0'), "not of this manifest"),
        (replaced("seal.json", b'"signature":"', b'"signature":"AAAA'), "the signature does not fit"),
        (replaced("seal.json", b'"signature"', b'"nothing"'), "holds no Ed25519 key and signature"),
        (replaced("seal.json", b'"manifest_sha256":"', b'"manifest_sha256":"0'), "not of this manifest"),
    ],
)
def test_every_kind_of_change_is_found(office: Evidence, pack: Path, change: Any, said: str) -> None:
    other = rewritten(pack, change)
    assert any(said in problem for problem in verify(other, office.public_key).problems)
    shutil.copy(other, pack)
    assert office.verify(COM, pack.stem).problems


def test_what_hides_in_the_container_is_found(office: Evidence, pack: Path) -> None:
    doubled = rewritten(pack, lambda _contents: None, twice="events.jsonl")
    assert "events.jsonl: is there twice" in verify(doubled, office.public_key).problems
    remarked = rewritten(pack, lambda _contents: None, comment=b"ok")
    assert any("comment" in problem for problem in verify(remarked, office.public_key).problems)


def test_no_byte_of_the_file_can_be_flipped_unseen(office: Evidence, pack: Path) -> None:
    """But for what a ZIP file says of itself, such as dates and permissions, which nobody reads."""
    whole, before = pack.read_bytes(), contents(pack)
    with zipfile.ZipFile(pack) as file:
        spans = [(each.header_offset + 30 + len(each.filename), each.compress_size) for each in file.infolist()]
    for start, size in spans:
        for place in range(start, start + size, max(1, size // 7)):
            changed = bytearray(whole)
            changed[place] ^= 0x55
            pack.write_bytes(changed)
            with contextlib.suppress(NotAPackError):  # a bit that fills up a stream's last byte changes nothing
                assert verify(pack, office.public_key).problems or contents(pack) == before, place


def test_a_pack_sealed_anew_by_somebody_else_is_not_the_centers(office: Evidence, pack: Path, tmp_path: Path) -> None:
    forger = Evidence(office._database, tmp_path / "forger")
    forged = forger.file(COM, forger.seal(COM, wanted(reason="all was well"), NOW + 1))
    assert verify(forged).problems == []  # by its own key, and that nobody vouched for it is said
    assert verify(forged, office.public_key).problems


def test_packs_follow_each_other(office: Evidence, pack: Path) -> None:
    second = office.file(COM, office.seal(COM, wanted(terminal="t2"), NOW + 1))
    third = office.file(COM, office.seal(COM, wanted(), NOW + 2))
    found = [verify(each, office.public_key) for each in (pack, second, third)]
    assert [each.manifest["number"] for each in found] == [1, 2, 3]
    assert check_order(found) == []
    assert check_order([found[0], found[2]]) == []
    found[1].digest = FIRST
    assert check_order(found) == [f"{third}: does not follow {second}"]
    assert check_order([found[0], verify(pack)]) == [f"{pack}: number 1 is there twice"]


@pytest.mark.parametrize("content", [b"", b"PK", b"x" * 5000])
def test_what_is_no_pack_is_told_in_one_line(
    tmp_path: Path, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "x.zip"
    file.write_bytes(content)
    with pytest.raises(NotAPackError):
        verify(file)
    with zipfile.ZipFile(file, "w") as other:
        other.writestr("a", "b")
    with pytest.raises(NotAPackError, match="without manifest"):
        verify(file)
    for broken in (b"[]", b"{", b"[" * 5000):
        with zipfile.ZipFile(file, "w") as other:
            other.writestr("manifest.json", b"{}")
            other.writestr("seal.json", broken)
        with pytest.raises(NotAPackError, match=r"seal\.json is"):
            verify(file)


def test_the_verifier_stands_alone(office: Evidence, pack: Path, tmp_path: Path) -> None:
    """Copied to another machine, without the center."""
    alone = Path(shutil.copy(evidence_verify.__file__, tmp_path / "verify.py"))

    def run(*args: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-I", str(alone), *args]
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)

    key = str(tmp_path / "evidence" / "public.jwk")
    good = run(str(pack), "--key", key)
    assert (good.returncode, good.stderr, good.stdout.splitlines()[-1]) == (0, "", "as sealed")
    told = json.loads(run(str(pack), "--key", office.public_key.hex(), "--json").stdout)
    assert (told["good"], told["packs"][0]["vouched"]) == (True, True)
    bad = run(str(rewritten(pack, replaced("gaps.jsonl", b'"last":9', b'"last":5'))), "--key", key)
    assert (bad.returncode, "PROBLEM gaps.jsonl: was changed" in bad.stdout) == (1, True)
    for args in (
        (str(tmp_path / "none.zip"),),
        (str(pack), "--key", "none.jwk"),
        (str(pack), "--key", "z" * 64),
        (key,),
    ):
        unable = run(*args)
        assert (unable.returncode, unable.stderr.count("\n"), unable.stderr[:8]) == (2, 1, "posdiag:")


def test_the_verb_does_the_same(pack: Path) -> None:
    command = [sys.executable, "-m", "agent.cli", "center", "verify-evidence", str(pack)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, "nobody has vouched for" in done.stdout) == (0, True)


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"terminal": "t9"}, "not_found"),
        ({"until_ms": FROM}, "invalid"),
        ({"until_ms": FROM + 401 * DAY_MS}, "invalid"),
        ({"until_ms": NOW + 1}, "invalid"),
        ({"reason": ""}, "invalid"),
        ({"hold_until_ms": NOW}, "invalid"),
    ],
)
def test_what_cannot_be_sealed(office: Evidence, more: dict[str, Any], why: str, tmp_path: Path) -> None:
    with pytest.raises(Refusal) as caught:
        office.seal(COM, wanted(**more), NOW)
    assert caught.value.why == why
    assert list((tmp_path / "evidence").glob("*.zip*")) == []


def test_who_may_and_who_may_not(office: Evidence, pack: Path) -> None:
    south = person("sue", "compliance", scope=Scope(regions=("south",)))
    for who, why in ((person("ann", "agent"), "forbidden"), (south, "not_found")):
        for do in (
            lambda who=who: office.seal(who, wanted(), NOW),
            lambda who=who: office.hold(who, wanted(hold_until_ms=NOW + 1), NOW),
            lambda who=who: office.file(who, pack.stem),
        ):
            with pytest.raises(Refusal) as caught:
                do()
            assert caught.value.why == why


def test_a_kill_before_the_name_loses_no_pack(office: Evidence, pack: Path) -> None:
    pack.rename(f"{pack}.part")
    assert office.verify(COM, pack.stem).problems == []
    pack.unlink()
    with pytest.raises(Refusal, match="the pack is gone"):
        office.file(COM, pack.stem)


def test_what_is_held_is_not_deleted_until_it_is_released(office: Evidence) -> None:
    database = office._database
    held = office.hold(COM, wanted(hold_until_ms=NOW + 9000 * CLEAN_MS), NOW)
    with database.read() as connection:
        assert [row["id"] for row in evidence.listed(connection, COM.scope)] == [held]
        assert evidence.listed(connection, Scope(regions=("south",))) == []
    upkeep = Upkeep(database, Settings(keep_telemetry_days=1))
    upkeep.step(NOW)
    with pytest.raises(Refusal, match="held, not sealed"):
        office.file(COM, held)
    sealed = office.seal(COM, wanted(), NOW)
    assert len(lines(office.file(COM, sealed), "telemetry.jsonl")) == 300
    office.release(COM, held, "the bank gave in", NOW)
    upkeep.step(NOW + CLEAN_MS)
    later = office.seal(COM, wanted(), NOW + CLEAN_MS)
    assert lines(office.file(COM, later), "telemetry.jsonl") == []
    with database.read() as connection:
        did = [(row.who, row.what) for row in audit.every(connection) if row.what.startswith("evidence")]
    assert did == [("com", f"evidence.{what}") for what in ("hold", "seal", "release", "seal")]
