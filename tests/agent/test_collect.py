"""A bundle whose child does not do what it should."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from agent.collect import Collect
from agent.commands import Job
from agent.config import CommandsConfig


def test_a_child_that_reads_nothing_is_ended_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it was to read is more than a pipe holds; the next bundle must not find this one on its way for ever."""
    child = tmp_path / "child"
    child.write_text("#!/bin/sh\nexec sleep 60\n")
    child.chmod(0o700)
    monkeypatch.setattr("agent.collect.sys.executable", str(child))
    config = CommandsConfig(upload_hosts=("depot.test",))
    collect = Collect(config, tmp_path / "agent.toml", lambda: {"log": ["x" * 1000] * 200})
    for _ in range(2):
        began = time.monotonic()
        end_s = began + 0.5
        job = Job(id="c", expires=0, end_s=end_s, stopping=threading.Event(), tell=lambda _output: None)
        with pytest.raises(RuntimeError, match=r"^the bundle was not uploaded in time$"):
            collect.run({"url": "https://depot.test/x"}, job)
        assert time.monotonic() - began < 30, "the child would sleep a minute"
