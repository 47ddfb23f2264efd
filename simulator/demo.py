"""`posdiag demo`: broker, simulated shop, agents and support center on this machine, wired as a user would."""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import shutil
import signal
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from simulator.control import DEMO, running_in
from simulator.demo_parts import ENDINGS, DemoError

LANGUAGES = ("en", "zh")


def add_commands(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Called by the command line through the entry point."""
    demo = verbs.add_parser(
        "demo", help="a simulated shop with agents, broker and support center on this machine, wired together"
    )
    demo.add_argument("--dir", metavar="DIR", help="where everything lives and stays; default a folder in /tmp")
    demo.add_argument("--broker", metavar="URL", help="use this broker instead of the embedded one")
    demo.add_argument("--seconds", type=float, default=0, metavar="S", help="end after so long; 0 for never")
    demo.add_argument("--json", action="store_true", help="where everything is, then what is published, as JSON lines")
    demo.add_argument("--language", choices=LANGUAGES, help="of the shop and the tour; default that of LANG, else en")
    demo.add_argument(
        *("--without-center", "--small"),
        dest="small",
        action="store_true",
        help="one terminal and a live table of its faults, without the support center",
    )
    demo.set_defaults(run=run_demo)


def run_demo(args: argparse.Namespace) -> int:
    """Run until Ctrl-C, or until its window is closed. 0 ended cleanly, 2 something did not start."""
    previous = {number: signal.getsignal(number) for number in ENDINGS}
    for number, handler in previous.items():
        if number != signal.SIGINT and handler != signal.SIG_IGN:  # nohup lets it live on without its window
            signal.signal(number, _leave)
    try:
        _run(args)
    except DemoError as error:
        print(f"posdiag: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        with contextlib.suppress(OSError):  # its window may be gone
            print("\ndemo ended", file=sys.stderr)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    return 0


def _leave(_number: int, _frame: FrameType | None) -> None:
    """As Ctrl-C. A closed window may say so twice, by its shell and by the system: once is enough."""
    for number in ENDINGS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _run(args: argparse.Namespace) -> None:
    if not 0 <= args.seconds < float("inf"):
        raise DemoError(f"--seconds {args.seconds:g}: how long it lasts, 0 for without an end")
    args.language = args.language or ("zh" if os.environ.get("LANG", "").startswith("zh") else "en")
    with _folder(args.dir) as folder, _alone(folder):
        if args.small:
            from simulator import demo_small  # noqa: PLC0415 - either of the two

            demo_small.run(args, folder, _called_as())
        else:
            from simulator import demo_whole  # noqa: PLC0415 - as above

            demo_whole.run(args, folder, _called_as())


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
    folder = Path(tempfile.gettempdir()) / DEMO
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        if not _cleared(folder):  # another demo runs
            folder = Path(tempfile.mkdtemp(prefix=f"{DEMO}-"))
    try:
        yield folder
    finally:
        _remove(folder)


def _cleared(folder: Path) -> bool:
    """Whether it is ours and a demo that was killed has left it; what lay in it is gone then."""
    try:
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            return False
        with _alone(folder):
            left = list(folder.iterdir())
            for path in left:
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
            return bool(left)  # an empty one has just been made by another demo
    except (OSError, DemoError):
        return False


def _remove(folder: Path) -> None:
    """As a command that somebody typed in another window may write there yet, it is tried for a second."""
    for _ in range(10):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.1)
    with contextlib.suppress(OSError):  # it went just now, or the window did
        left = ", ".join(sorted(path.name for path in folder.iterdir()))
        print(f"posdiag: {folder} could not be removed, with {left} in it", file=sys.stderr)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """No other demo runs in the folder meanwhile. Raises DemoError before anything of the other is touched."""
    with contextlib.ExitStack() as closing:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        closing.callback(os.close, handle)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DemoError(f"a demo already runs in {folder}; end it, or give another --dir") from error
        for busy in running_in(folder):  # left by a demo that was killed, or started by hand
            raise DemoError(f"a simulator already runs in {busy}; end it, or give another --dir")
        yield
