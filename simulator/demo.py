"""`posdiag demo`: broker, simulated terminal, agent and a watching center on this machine, wired as a user would."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from simulator import broker

_READY_S = 30.0
_POSDIAG = [sys.executable, "-P", "-m", "agent.cli"]


def add_commands(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Called by the command line through the entry point."""
    demo = verbs.add_parser("demo", help="broker, simulator, agent and center on this machine, wired together")
    demo.add_argument("--dir", metavar="DIR", help="where the simulated terminal lives; default a folder in /tmp")
    demo.add_argument("--broker", metavar="URL", help="use this broker instead of the embedded one")
    demo.add_argument("--seconds", type=float, default=0, metavar="S", help="end after so long; 0 for never")
    demo.add_argument("--json", action="store_true", help="print what the center hears as JSON lines")
    demo.set_defaults(run=run_demo)


class DemoError(Exception):
    """Something did not start; the text is for people."""


def run_demo(args: argparse.Namespace) -> int:
    """Run until Ctrl-C. 0 ended cleanly, 2 something did not start."""
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with contextlib.ExitStack() as stack:
            _run(args, stack)
    except DemoError as error:
        print(f"posdiag: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\ndemo ended", file=sys.stderr)
    finally:
        signal.signal(signal.SIGTERM, previous)
    return 0


def _run(args: argparse.Namespace, stack: contextlib.ExitStack) -> None:
    folder = stack.enter_context(_folder(args.dir))
    logs = folder / "logs"
    logs.mkdir(exist_ok=True)
    url = args.broker or _start_broker(folder, logs, stack)
    _say("simulated terminal")
    sim = stack.enter_context(
        _process("simulator", ["sim", "run", "--dir", str(folder), "--mqtt", url, "--json"], logs)
    )
    _wait("the simulator", sim, logs / "simulator.log", lambda: _described(logs / "simulator.log"))
    _say("agent")
    config = folder / "agent.toml"
    agent = stack.enter_context(_process("agent", ["run", "--config", str(config)], logs))
    _wait("the agent", agent, logs / "agent.log", (folder / "run" / "status.json").exists)
    _tell(folder, config)
    _watch(args, url, {"the simulator": sim, "the agent": agent}, logs)


def _start_broker(folder: Path, logs: Path, stack: contextlib.ExitStack) -> str:
    try:
        import iotcore  # noqa: F401, PLC0415 - only to say clearly what is missing
    except ImportError as error:
        raise DemoError("the embedded broker needs: pip install 'posdiag[simulator]'; or give --broker URL") from error
    port = broker.free_port(1883)
    _say(f"broker on {broker.HOST}:{port}")
    process = broker.start(folder, port, logs / "broker.log")
    stack.callback(_end, process)
    _wait("the broker", process, logs / "broker.log", lambda: _listens(port))
    return f"mqtt://{broker.HOST}:{port}"


def _tell(folder: Path, config: Path) -> None:
    me = _called_as()
    print(
        f"\nBreak the terminal from another window:\n"
        f"  {me} sim set {folder} printer.paper=out        (and printer.paper=ok to put a roll in)\n"
        f"  {me} sim set {folder} printer.cable=out        (or modem.sim=absent, power.mains=off, keypad.held=5 …)\n"
        f"  {me} status --config {config}\n",
        file=sys.stderr,
        flush=True,
    )


def _called_as() -> str:
    """How the user called us, as short as it still works."""
    called = Path(sys.argv[0])
    if called.name != "posdiag":
        return "posdiag"
    if shutil.which("posdiag") and Path(shutil.which("posdiag") or "").samefile(called):
        return "posdiag"
    with contextlib.suppress(ValueError):
        return str(called.absolute().relative_to(Path.cwd()))
    return str(called)


def _watch(args: argparse.Namespace, url: str, processes: dict[str, subprocess.Popen[bytes]], logs: Path) -> None:
    command = [*_POSDIAG, "center", "watch", "--mqtt", url]
    if args.json:
        command.append("--json")
    if args.seconds:
        command += ["--seconds", str(args.seconds)]
    watch = subprocess.Popen(command)
    try:
        while watch.poll() is None:
            for name, process in processes.items():
                if process.poll() is not None:
                    raise DemoError(f"{name} ended by itself; {_last_line(logs / (name.split()[-1] + '.log'))}")
            time.sleep(0.2)
    finally:
        if watch.poll() is None:
            watch.terminate()
        watch.wait()
    if watch.returncode == 2:
        raise DemoError(f"the watcher could not run against {url}")


@contextlib.contextmanager
def _folder(wanted: str | None) -> Iterator[Path]:
    """The demo's folder; a temporary one is removed at the end, a given one stays."""
    if wanted:
        folder = Path(wanted).absolute()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DemoError(f"{folder}: {(error.strerror or str(error)).lower()}") from error
        yield folder
        return
    folder = Path(tempfile.gettempdir()) / "posdiag-demo"
    try:
        folder.mkdir()
    except FileExistsError:  # another demo runs, or one was killed
        folder = Path(tempfile.mkdtemp(prefix="posdiag-demo-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _process(name: str, words: list[str], logs: Path) -> Iterator[subprocess.Popen[bytes]]:
    with (logs / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            [*_POSDIAG, *words],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
    try:
        yield process
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask it to stop, and insist after five seconds."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait()


def _wait(name: str, process: subprocess.Popen[bytes], log: Path, ready: Callable[[], bool]) -> None:
    end = time.monotonic() + _READY_S
    while not ready():
        if process.poll() is not None:
            raise DemoError(f"{name} did not start: {_last_line(log)}")
        if time.monotonic() > end:
            raise DemoError(f"{name} was not ready after {_READY_S:g} s: {_last_line(log)}")
        time.sleep(0.02)


def _last_line(log: Path) -> str:
    try:
        lines = log.read_text("utf-8", errors="replace").strip().splitlines()
    except OSError:
        lines = []
    return lines[-1] if lines else "it said nothing"


def _described(log: Path) -> bool:
    """Whether the simulator has printed its line."""
    try:
        first = log.read_text("utf-8").splitlines()[0]
        return isinstance(json.loads(first), dict)
    except (OSError, ValueError, IndexError):
        return False


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.2)
        return probe.connect_ex((broker.HOST, port)) == 0


def _say(what: str) -> None:
    print(f"starting {what} …", file=sys.stderr, flush=True)  # standard output is what the center hears
