"""The audit fails on what is known, and never takes an advisory service's silence for a clean result."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from deploy.debian import audit

KNOWN = {"id": "CVE-2999-1", "fix_versions": ["9.9"], "aliases": [], "description": ""}


def report(*dependencies: dict[str, object]) -> dict[str, object]:
    return {"dependencies": list(dependencies), "fixes": []}


def test_each_known_vulnerability_is_a_line_and_what_was_skipped_is_counted():
    found, audited, unaudited = audit.told(
        report(
            {"name": "one", "version": "1.0", "vulns": [KNOWN, {**KNOWN, "id": "CVE-2999-2", "fix_versions": []}]},
            {"name": "two", "version": "2.0", "vulns": []},
            {"name": "three", "skip_reason": "not found"},
        )
    )
    assert found == ["one 1.0: CVE-2999-1, repaired in 9.9", "one 1.0: CVE-2999-2, repaired in no version"]
    assert (audited, unaudited) == (2, 1)


class _Deaf(BaseHTTPRequestHandler):
    def do_CONNECT(self) -> None:
        self.send_error(502)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def no_way_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Deaf) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{server.server_port}")
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        for name in ("PIP_CACHE_DIR", "XDG_CACHE_HOME"):  # what was learned a while ago would still be an answer
            monkeypatch.setenv(name, str(tmp_path))
        yield
        server.shutdown()
        thread.join()


def test_without_an_answer_it_says_not_audited_and_lets_the_build_go_on(no_way_out: None):
    done = subprocess.run([sys.executable, audit.__file__], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "audit: NOT AUDITED, the advisory service cannot be reached\n")


@pytest.mark.parametrize(("vulnerabilities", "code"), [([KNOWN], 1), ([], 0)])
def test_it_fails_when_something_is_known(
    vulnerabilities: list[object], code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    said = json.dumps(report({"name": "one", "version": "1.0", "vulns": vulnerabilities}))
    answer = subprocess.CompletedProcess([], code, said, "")
    monkeypatch.setattr(audit.subprocess, "run", lambda *_, **__: answer)
    assert audit.main() == code
    assert f"1 shipped distributions audited, {code} vulnerabilities known\n" in capsys.readouterr().out
