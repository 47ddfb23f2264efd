"""`posdiag status` on what is no status: one line, no traceback, exit 2."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import pytest

from agent.status import run_status
from agent.wire import timestamp


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"{", b"[]", b"5", b"\xff\xfe", b"[" * 100_000, b'{"at": 5}', b'{"at": "NOW"}'),
        b'{"at": "NOW", "language": "en", "verdict": {}}',
        b'{"at": "NOW", "language": "xx", "verdict": {}}',
    ],
)
@pytest.mark.parametrize("as_json", [True, False])
def test_what_is_no_status_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, *, as_json: bool
) -> None:
    file = tmp_path / "agent.toml"
    file.write_text(
        f'[terminal]\nid = "t"\nestate = "e"\n[mqtt]\nurl = "mqtt://[::1]"\n[paths]\nrun_dir = "{tmp_path}"\n'
    )
    (tmp_path / "status.json").write_bytes(content.replace(b"NOW", timestamp(time.time()).encode()))
    assert run_status(argparse.Namespace(config=str(file), json=as_json)) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"posdiag: {tmp_path}/status.json is no status that this version writes")
    assert said.err.count("\n") == 1
