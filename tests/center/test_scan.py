"""`posdiag center scan`: what it says, and by which exit code."""

from __future__ import annotations

import argparse
import io
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent import report_code
from center.scan import run_scan
from tests.agent.statuses import fault, status

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key().public_bytes_raw().hex()
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key().public_bytes_raw().hex()
STATUS = status(fault("modem/sim_absent", sim="absent"), fault("network/link_down", "modem/sim_absent", link="down"))
CODE = report_code.encode(STATUS, KEY.sign)
UNSIGNED = report_code.encode(STATUS, None)


def scan(text: str | None = CODE, **more: str | bool) -> int:
    return run_scan(
        argparse.Namespace(**{"text": text, "file": None, "key": None, "keys": None, "json": False, **more})
    )


@pytest.mark.parametrize(
    ("text", "key", "exit_code", "says"),
    [
        (CODE, PUBLIC, 0, "signature verified"),
        (CODE, None, 0, "signature not verified: key unknown"),
        (CODE, OTHER, 1, "SIGNATURE WRONG"),
        (UNSIGNED, None, 0, "not signed"),
        (UNSIGNED, PUBLIC, 1, "not signed"),
    ],
)
def test_who_signed_it(text, key, exit_code, says, capsys):
    assert scan(text, key=key) == exit_code
    assert capsys.readouterr().out.startswith(says)


def test_the_report_for_people(capsys):
    scan()
    out = capsys.readouterr().out
    for part in (
        "demo/till-1, case 482-719-365",
        "since boot 3",
        "synchronised",
        "because of modem/sim_absent; merchant must act",
        "modem/sim_absent  root",
        "network/link_down  because of modem/sim_absent",
        "sim=absent",
        "TM-T88V 2.04",
    ):
        assert part in out


def test_the_report_as_json(capsys):
    assert scan(json=True, key=PUBLIC) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["signature"], report["terminal"]) == ("verified", "demo/till-1")
    assert [f["fault"] for f in report["faults"]] == ["modem/sim_absent", "network/link_down"]


def test_keys_of_many_terminals(tmp_path: Path, capsys):
    keys = tmp_path / "keys"
    keys.write_text(f"# till keys\ndemo/till-2 {OTHER}\ndemo/till-1 {PUBLIC}  # the one\n")
    assert scan(keys=str(keys)) == 0
    keys.write_text(f"demo/till-1 {OTHER}\n")
    assert scan(keys=str(keys)) == 1
    keys.write_text(f"demo/till-2 {OTHER}\n")
    assert scan(keys=str(keys)) == 0
    assert "key unknown" in capsys.readouterr().out


@pytest.mark.parametrize("line", ["demo/till-1", f"demo/till-1 {PUBLIC} more", "demo/till-1 abc"])
def test_a_bad_line_of_keys_is_named(tmp_path: Path, line, capsys):
    keys = tmp_path / "keys"
    keys.write_text(line)
    assert scan(keys=str(keys)) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_from_a_file_and_from_standard_input(tmp_path: Path, monkeypatch, capsys):
    (tmp_path / "code.txt").write_text(CODE + "\n")
    assert scan(None, file=str(tmp_path / "code.txt"), key=PUBLIC) == 0
    monkeypatch.setattr("sys.stdin", io.StringIO(f"from the chat:\n{CODE[:100]}\n{CODE[100:]}\n"))
    assert scan(None, key=PUBLIC) == 0
    assert capsys.readouterr().out.count("signature verified") == 2


@pytest.mark.parametrize(
    ("text", "exit_code"),
    [(CODE[:-3], 1), (CODE[:200] + ("A" if CODE[200] != "A" else "B") + CODE[201:], 1), ("hello", 2), ("", 2)],
)
def test_what_cannot_be_read(text, exit_code, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert scan(text) == exit_code
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("posdiag: ")
    assert told.err.count("\n") == 1


def test_nothing_in_a_code_can_write_on_the_screen(capsys):
    evil = report_code.encode(status(fault("printer/paper_out", why="\x1b[2J\x07x")), None)
    scan(evil)
    out = capsys.readouterr().out
    assert "[2J" in out
    assert all(char.isprintable() or char == "\n" for char in out)


def test_no_such_file_and_no_key(tmp_path: Path, capsys):
    assert scan(None, file=str(tmp_path / "none")) == 2
    assert scan(key="12345") == 2
    assert capsys.readouterr().err.count("\n") == 2
