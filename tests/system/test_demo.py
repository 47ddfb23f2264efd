"""`posdiag demo` as somebody tries it: its tour from the first password to the closed case, and what is left behind."""

from __future__ import annotations

import http.client
import json
import os
import pty
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.system.stage import POSDIAG, Process, posdiag
from tests.wait import wait_until

NEW_PASSWORD = "five tills in a corner"
_FORM = {"Content-Type": "application/x-www-form-urlencoded"}
OF_THIS_MACHINE = {"system/cpu_overload", "system/memory_low"}
"""Faults that the demo's terminals rightly have while the machine that runs the tests is overloaded for a minute."""
TERMINALS = [f"terminal-{number}" for number in range(1, 6)]


class Demo:
    """One demo with a temporary folder of its own."""

    def __init__(self, temporary: Path, *words: str) -> None:
        self.folder = temporary / "posdiag-demo"
        self.out, self.err = temporary / "demo.out", temporary / "demo.err"
        where = {**os.environ, "TMPDIR": str(temporary), "PYTHONUNBUFFERED": "1", "LANG": "C.UTF-8"}
        with self.out.open("wb") as out, self.err.open("wb") as err:
            self.process = subprocess.Popen(
                ["env", "--default-signal=HUP", *POSDIAG, "demo", *words],  # whoever runs the tests may ignore it
                stdout=out,
                stderr=err,
                env=where,
                start_new_session=True,
            )

    def said(self) -> str:
        return self.out.read_text("utf-8")

    def progress(self) -> str:
        return self.err.read_text("utf-8")

    def wait_for(self, text: str, limit_s: float = 100) -> str:
        """What it said, once it said this."""

        def there() -> bool:
            assert self.process.poll() is None, self.progress()
            return text in self.said()

        wait_until(there, limit_s)
        return self.said()

    def end(self, number: signal.Signals = signal.SIGINT) -> float:
        """Ctrl-C or another signal; the seconds that it took."""
        began = time.monotonic()
        self.process.send_signal(number)
        try:
            assert self.process.wait(40) == 0, self.progress()
        finally:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)  # whatever has not ended
        return time.monotonic() - began


@contextmanager
def a_demo(temporary: Path, *words: str) -> Iterator[Demo]:
    demo = Demo(temporary, *words)
    try:
        yield demo
    finally:
        if demo.process.poll() is None:
            demo.end()


class Desk:
    """Somebody at the console, by its API and a session cookie."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._headers: dict[str, str] = {}

    def send(self, method: str, path: str, body: str | None = None, headers: Any = None) -> tuple[int, str]:
        """Status and text of one answer."""
        with closing(http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)) as link:
            link.request(method, path, body, headers or {})
            answer = link.getresponse()
            if cookie := answer.headers.get("set-cookie"):
                self._headers["Cookie"] = cookie.partition(";")[0]
            return answer.status, answer.read().decode()

    def ask(self, method: str, path: str, body: object = None, expect: int = 200) -> Any:
        headers = {**self._headers, **({} if body is None else {"Content-Type": "application/json"})}
        status, told = self.send(method, f"/api/v1/{path}", None if body is None else json.dumps(body), headers)
        assert status == expect, (path, status, told)
        facts = json.loads(told) if told else None
        if isinstance(facts, dict) and facts.get("csrf"):
            self._headers["X-CSRF-Token"] = facts["csrf"]
        return facts

    def items(self, path: str) -> list[Any]:
        found: list[Any] = self.ask("GET", path)["items"]
        return found

    def log_in(self, password: str) -> Any:
        return self.ask("POST", "session", {"name": "admin", "password": password})


def of(folder: Path) -> list[str]:
    """Command lines of processes that have to do with a folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder) in line and str(os.getpid()) != entry.parent.name:
            found.append(line)
    return found


def test_the_tour_leads_from_the_first_password_to_a_closed_case(tmp_path: Path) -> None:
    with a_demo(tmp_path) as demo:
        tour = demo.wait_for("Ctrl-C")
        for terminal in TERMINALS:
            assert re.search(rf"\d\.\d s  {terminal} and its agent: ", demo.progress())
        address = re.search(r"http://127\.0\.0\.1:(\d+)/", tour)
        password = re.search(r"one-time password (\S+)", tour)
        assert address
        assert password
        out, ok = re.findall(r"sim set (\S+) (printer\.paper=\w+)", tour)
        assert (out, ok) == (
            (f"{demo.folder}/terminal-2", "printer.paper=out"),
            (f"{demo.folder}/terminal-2", "printer.paper=ok"),
        )

        _a_mistyped_name_is_answered(demo.folder)

        desk = Desk(int(address[1]))
        assert desk.log_in(password[1])["must_change"]
        desk.ask("GET", "cases", expect=403)
        desk.ask("POST", "me/password", {"old": password[1], "new": NEW_PASSWORD}, 204)
        assert not desk.log_in(NEW_PASSWORD)["must_change"]
        _the_shop_is_whole(desk)

        broker = re.search(r"broker at (\S+)", demo.progress())
        assert broker
        with Process(tmp_path / "audit.log", "center", "audit", "--mqtt", broker[1], "--json") as audit:
            wait_until(lambda: "listening to" in audit.said())
            assert posdiag("sim", "set", *out).returncode == 0
            case = wait_until(lambda: [c for c in desk.items("cases") if c["fault"] not in OF_THIS_MACHINE])[0]
            _a_person_works_on_it(desk, case, "--dir", *ok)
            assert audit.terminate()[0] == 0, audit.said()
        assert demo.end() < 10
    assert not demo.folder.exists(), demo.progress()
    assert "Traceback" not in demo.progress() + demo.said()
    wait_until(lambda: not of(demo.folder))


def _a_mistyped_name_is_answered(folder: Path) -> None:
    terminal = posdiag("sim", "set", "--dir", f"{folder}/terminal-9", "printer.paper=out")
    assert (terminal.returncode, terminal.stderr.count("\n")) == (2, 1)
    assert all(f"{folder}/{name}" in terminal.stderr for name in TERMINALS)
    key = posdiag("sim", "set", "--dir", f"{folder}/terminal-2", "printer.papr=out")
    assert (key.returncode, key.stderr.count("\n")) == (2, 1)
    assert "printer.paper" in key.stderr
    assert posdiag("sim", "get", "--dir", f"{folder}/terminal-2", "printer.paper").stdout == "ok\n"


def _sells(verdict: dict[str, Any]) -> bool:
    return verdict["can_sell"] == "yes" or verdict["cause"] in OF_THIS_MACHINE


def _the_shop_is_whole(desk: Desk) -> None:
    wait_until(lambda: all(_sells(terminal["verdict"]) for terminal in desk.items("terminals?estate=demo")), 60)
    operators = {"mobile", "telecom", None}  # told by the modem, which is asked last
    wait_until(lambda: {each["operator"] for each in desk.items("terminals?estate=demo")} == operators)
    terminals = desk.items("terminals?estate=demo")
    assert [terminal["terminal"] for terminal in terminals] == TERMINALS
    assert len({terminal["model"] for terminal in terminals}) == len(TERMINALS)
    assert {(each["site"], each["status"]) for each in terminals} == {("corner-shop", "online")}
    site = desk.ask("GET", "sites/demo/corner-shop")
    assert (site["name"], site["timezone"]) == ("Corner shop", "Asia/Shanghai")
    assert all(site[name] for name in ("lat", "lon", "address"))
    assert [each for each in desk.items("faults") if each["fault"] not in OF_THIS_MACHINE] == []
    assert desk.items("tokens") == [] or all(token["revoked_at"] for token in desk.items("tokens"))


def _a_person_works_on_it(desk: Desk, case: dict[str, Any], *mend: str) -> None:
    path = f"cases/{case['id']}"
    assert (case["terminal"], case["fault"], case["state"]) == ("terminal-2", "printer/paper_out", "new")
    assert desk.ask("POST", f"{path}/acknowledge", {})["owner"] == "admin"
    promised = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
    desk.ask("POST", f"{path}/eta", {"eta": promised, "reason": "a roll is on its way"})
    page = desk.ask("GET", f"{path}/merchant-link")["link"]
    assert "The paper roll is empty" in desk.send("GET", page)[1]

    mended = time.monotonic()
    assert posdiag("sim", "set", *mend).returncode == 0
    wait_until(lambda: desk.ask("GET", path)["state"] == "asking", 60)
    assert time.monotonic() - mended > 4, "it watches before it asks"
    once = re.search(r'name="key" value="([^"]+)"', desk.send("GET", page)[1])
    assert once
    assert desk.send("POST", f"{page}/answer", urlencode({"works": "yes", "key": once[1]}), _FORM)[0] == 303
    closed = desk.ask("GET", path)
    assert closed["state"] == "closed"
    kinds = [step["kind"] for step in closed["steps"]]
    assert kinds == ["opened", "acknowledged", "eta", "fault_cleared", "watching", "asking", "closed"]


def test_the_demo_in_chinese_opens_a_console_in_chinese(tmp_path: Path) -> None:
    with a_demo(tmp_path, "--language", "zh") as demo:
        tour = demo.wait_for("Ctrl-C")
        address = re.search(r"http://127\.0\.0\.1:(\d+)/", tour)
        password = re.search(r"一次性密码 ([a-z0-9-]+)", tour)
        assert address
        assert password
        assert Desk(int(address[1])).log_in(password[1])["language"] == "zh"
        assert re.search(r"秒  terminal-5 及其代理程序：自助机", demo.progress())
        _its_command_lists_the_terminals(tour)
        again = posdiag("demo", "--dir", str(demo.folder))
        assert (again.returncode, again.stderr.count("\n")) == (2, 1)
        assert f"a demo already runs in {demo.folder}" in again.stderr
        assert demo.end(signal.SIGHUP) < 10
    assert not demo.folder.exists(), demo.progress()
    assert "Traceback" not in demo.progress() + demo.said()
    wait_until(lambda: not of(demo.folder))


def _its_command_lists_the_terminals(tour: str) -> None:
    told = re.search(r"^ +POSDIAG_CENTER_TOKEN=.*\n.*--url \S+$", tour, re.MULTILINE)
    assert told
    command = told[0].replace("posdiag center", f"{shlex.join(POSDIAG)} center")
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert all(terminal in done.stdout for terminal in TERMINALS)


@pytest.mark.parametrize("ending", ["seconds", "sigint", "sighup"])
def test_the_small_demo_shows_a_fault_and_leaves_nothing_behind(tmp_path: Path, ending: str) -> None:
    more = ["--seconds", "15"] if ending == "seconds" else []  # long enough for a slow machine to see the fault
    if ending == "sigint":  # what a demo that was killed has left is taken over
        (tmp_path / "posdiag-demo" / "logs").mkdir(parents=True)
        (tmp_path / "posdiag-demo" / "keypad").symlink_to(tmp_path)
    with a_demo(tmp_path, "--without-center", "--json", *more) as demo:
        demo.wait_for('"status": "online"')
        assert posdiag("sim", "set", str(demo.folder), "printer.paper=out").returncode == 0
        said = demo.wait_for('"printer/paper_out"')
        if ending == "seconds":
            assert demo.process.wait(60) == 0
        else:
            assert demo.end(signal.Signals[ending.upper()]) < 10
    raised = [json.loads(line) for line in said.splitlines() if '"printer/paper_out"' in line and line.endswith("}")]
    assert next(message["state"] for message in raised if "fault" in message) == "raised"
    assert "Traceback" not in demo.progress()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["demo.err", "demo.out"], demo.progress()
    wait_until(lambda: not of(tmp_path))


_LEADER = "import signal, subprocess, sys; signal.signal(1, lambda *_: None); subprocess.call(sys.argv[1:])"
"""The first process of a window that, as make does, tells nobody that the window has closed."""


def test_a_window_that_closes_ends_it_though_nothing_passes_the_signal_on(tmp_path: Path) -> None:
    leader, window = pty.fork()
    if leader == 0:
        os.environ["TMPDIR"] = str(tmp_path)
        os.execv(sys.executable, [sys.executable, "-c", _LEADER, *POSDIAG, "demo", "--small"])  # noqa: S606 - what a terminal does
    said = bytearray()
    try:
        try:
            while b"sim set" not in said:
                said += os.read(window, 4096)
        finally:
            os.close(window)
        wait_until(lambda: not of(tmp_path) and list(tmp_path.iterdir()) == [], 60)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(leader, signal.SIGTERM)  # ends what has not
        os.waitpid(leader, 0)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--broker", "mqtt://127.0.0.1:1"], "posdiag: no broker at mqtt://127.0.0.1:1: Connection refused"),
        (["--broker", "http://127.0.0.1"], "posdiag: a broker is mqtt://HOST:PORT here, not http://127.0.0.1"),
        (["--dir", "/dev/null/demo"], "posdiag: /dev/null/demo: not a directory"),
        (["--seconds", "nan"], "posdiag: --seconds nan: how long it lasts, 0 for without an end"),
        (["--seconds", "-1"], "posdiag: --seconds -1: how long it lasts, 0 for without an end"),
    ],
)
def test_what_cannot_start_is_said_on_one_line(words: list[str], says: str) -> None:
    done = posdiag("demo", *words)
    assert (done.returncode, done.stderr.strip()) == (2, says)


def test_a_folder_in_use_is_left_as_it_is(tmp_path: Path) -> None:
    own = tmp_path / "own"
    with a_demo(tmp_path, "--small", "--dir", str(own)) as demo:
        wait_until(lambda: "sim set" in demo.progress(), 60)  # all has been started by then
        before = {path: path.stat().st_mtime_ns for path in (own / "broker.toml", own / "agent.toml", own / "logs")}
        for words in ((), ("--small",)):
            again = posdiag("demo", "--dir", str(own), *words)
            assert (again.returncode, again.stderr) == (
                2,
                f"posdiag: a demo already runs in {own}; end it, or give another --dir\n",
            )
        assert before == {path: path.stat().st_mtime_ns for path in before}
        assert demo.process.poll() is None
