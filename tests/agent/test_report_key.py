"""The key that signs help codes: made once, kept to itself, and missed without harm."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.actions.slip import make
from agent.report_key import signer
from center.scan import decode, verify
from tests.agent.statuses import fault, status

STATUS = status(fault("printer/paper_out", paper="out"))


def test_it_is_made_once_and_nobody_else_may_read_it(tmp_path: Path):
    sign, public = signer(tmp_path / "state")
    again, same = signer(tmp_path / "state")
    assert (public, sign(b"x")) == (same, again(b"x"))
    assert (tmp_path / "state" / "report.key").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "state" / "report.pub").read_text() == public
    assert sorted(path.name for path in (tmp_path / "state").iterdir()) == ["report.key", "report.pub"]
    assert signer(tmp_path / "other")[1] != public


@pytest.mark.parametrize("left", ["", "00" * 31, "not hex", "\x00" * 64])
def test_what_a_loss_of_power_left_is_replaced(tmp_path: Path, left: str):
    (tmp_path / "report.key").write_text(left)
    (tmp_path / "report.pub").write_text(left)
    _, public = signer(tmp_path)
    assert (tmp_path / "report.pub").read_text() == public
    assert signer(tmp_path)[1] == public


def test_the_code_is_signed_with_it(tmp_path: Path):
    public, code, parts = make(STATUS, tmp_path, 48)
    assert verify(decode(code), bytes.fromhex(public)) == "verified"
    assert code.encode() in b"".join(parts)
    assert make(STATUS, tmp_path, 0)[2] == []


def test_a_disk_that_refuses_leaves_the_slip_unsigned(tmp_path: Path):
    (tmp_path / "state").write_text("a file where the directory should be")
    public, code, parts = make(STATUS, tmp_path / "state", 32)
    assert public == ""
    assert verify(decode(code), None) == "unsigned"
    assert code.encode() in b"".join(parts)
