"""The chain of decisions: what is done to it is seen, what a power cut does to it is mended and told."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from agent import audit_log
from agent.audit_log import GENESIS, AuditLog, files, verify
from agent.cli import main


def wall() -> float:
    return 1_800_000_000.0


def filled(folder: Path, count: int = 5) -> AuditLog:
    log = AuditLog(folder, wall)
    for number in range(count):
        assert log.add("accepted", jti=f"command-{number}", cmd="check", kid="k")
    return log


def lines(folder: Path) -> list[str]:
    return (folder / "audit.jsonl").read_text("ascii").splitlines()


def test_a_line_is_what_the_format_says(tmp_path: Path) -> None:
    """Walked by hand, as whoever audits it would."""
    head = filled(tmp_path).head
    before = GENESIS
    for number, line in enumerate(lines(tmp_path), 1):
        record = json.loads(line)
        told = record.pop("hash")
        assert (record["n"], record["prev"], record["at"]) == (number, before, "2027-01-15T08:00:00.000Z")
        text = json.dumps(record, sort_keys=True, separators=(",", ":"))
        assert hashlib.sha256(text.encode()).hexdigest() == told
        before = told
    assert head == {"n": 5, "head": before}
    assert verify(tmp_path).problems == []
    assert (tmp_path / "audit.jsonl").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda all_: [all_[0], all_[1].replace("command-1", "command-7"), *all_[2:]], "audit.jsonl:2: was changed"),
        (lambda all_: [*all_[:2], *all_[3:]], "number 4 follows 2"),
        (lambda all_: [all_[1], all_[0], *all_[2:]], "does not follow"),
        (lambda all_: [*all_[:3], "{}", *all_[3:]], "audit.jsonl:4: not a line"),
        (lambda all_: [*all_[:3], "", *all_[3:]], "audit.jsonl:4: not a line"),
        (lambda all_: [*all_, all_[-1]], "number 5 follows 5"),
        (lambda all_: [json.dumps({**json.loads(all_[0]), "prev": "1" * 64}), *all_[1:]], "does not follow"),
    ],
)
def test_what_is_done_to_it_is_seen(tmp_path: Path, change, problem: str) -> None:
    filled(tmp_path)
    (tmp_path / "audit.jsonl").write_text("\n".join(change(lines(tmp_path))) + "\n")
    assert problem in "\n".join(verify(tmp_path).problems)


def test_whoever_writes_it_anew_or_cuts_its_end_contradicts_the_center(tmp_path: Path) -> None:
    head = filled(tmp_path).head
    told = f"5:{head['head']}"
    assert verify(tmp_path, told).problems == []
    whole = lines(tmp_path)
    (tmp_path / "audit.jsonl").write_text("\n".join(whole[:4]) + "\n")
    assert verify(tmp_path).problems == []  # the file alone cannot know
    assert verify(tmp_path, told).problems == ["line 5 is not what the center was told"]
    (tmp_path / "audit.jsonl").unlink()
    AuditLog(tmp_path, wall).add("nothing", why="happened")
    assert verify(tmp_path, told).problems
    for nonsense in ("5", "x:y", f"-1:{'0' * 64}"):
        with pytest.raises(ValueError):
            verify(tmp_path, nonsense)


def test_a_line_that_a_power_cut_tore_is_cut_away_and_told(tmp_path: Path) -> None:
    filled(tmp_path)
    path = tmp_path / "audit.jsonl"
    path.write_bytes(path.read_bytes()[:-30])
    assert verify(tmp_path).problems == ["audit.jsonl: the last line is torn"]
    log = AuditLog(tmp_path, wall)
    log.add("accepted", jti="next")
    assert verify(tmp_path).problems == []
    assert [json.loads(line)["decision"] for line in lines(tmp_path)][4:] == ["audit.torn", "accepted"]


def test_lines_that_are_gone_are_told_and_numbers_never_come_twice(tmp_path: Path) -> None:
    head = filled(tmp_path).head
    (tmp_path / "audit.jsonl").write_text("\n".join(lines(tmp_path)[:2]) + "\n")
    log = AuditLog(tmp_path, wall, (head["n"], head["head"]))
    assert log.head["n"] == 6
    assert "number 6 follows 2" in verify(tmp_path).problems[0]
    (tmp_path / "audit.jsonl").unlink()
    assert AuditLog(tmp_path, wall, (6, "f" * 64)).head["n"] == 7


def test_files_turn_over_and_the_chain_goes_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_log, "FILE_BYTES", 2000)
    log = AuditLog(tmp_path, wall)
    for number in range(60):
        assert log.add("accepted", jti=f"command-{number:03}")
        if number % 7 == 0:
            log = AuditLog(tmp_path, wall)
    assert [path.name for path in files(tmp_path)] == [
        "audit.3.jsonl",
        "audit.2.jsonl",
        "audit.1.jsonl",
        "audit.jsonl",
    ]
    assert sum(path.stat().st_size for path in files(tmp_path)) <= 4 * 2000
    found = verify(tmp_path)
    assert (found.problems, found.last, found.last - found.first + 1) == ([], 60, found.lines)
    (tmp_path / "audit.2.jsonl").unlink()
    assert verify(tmp_path).problems


def test_a_disk_that_takes_nothing_is_told(tmp_path: Path) -> None:
    (tmp_path / "audit.jsonl").mkdir()
    log = AuditLog(tmp_path, wall)
    assert log.add("accepted") is False
    assert "directory" in log.problem
    assert log.head["n"] == 0


def test_the_verb(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "verify", "--state-dir", str(tmp_path)]) == 2
    filled(tmp_path)
    assert main(["audit", "verify", "--state-dir", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["lines"] == 5
    assert main(["audit", "verify", "--state-dir", str(tmp_path), "--head", "nonsense"]) == 2
    path = tmp_path / "audit.jsonl"
    path.write_text(path.read_text().replace("command-2", "command-3"))
    assert main(["audit", "verify", "--state-dir", str(tmp_path)]) == 1
    assert "NOT WHOLE" in capsys.readouterr().out
