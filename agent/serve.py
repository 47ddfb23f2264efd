"""The daemon's process: signals, log, start and stop. It never loads pydantic: its configuration was checked before."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import logging
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import agent.lean  # noqa: F401 - before anything that it makes lighter
from agent import desired
from agent.cards import guard_output
from agent.config_file import ConfigError
from agent.delivery import Delivery
from agent.exits import fail
from agent.groundwork import CannotRun
from agent.log_tail import LogTail

if TYPE_CHECKING:
    from agent.app import App


def serve(config_file: str, log_level: str) -> int:
    """Run on a checked file until SIGTERM or SIGINT; a clean stop ends the process. Returns 2 when it could not run."""
    gc.disable()  # nothing that is loaded now is garbage
    _share_one_heap()
    logging.basicConfig(level=log_level.upper(), format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    logging.getLogger().addHandler(LogTail())
    guard_output()
    reasons: list[str] = []
    running: list[App] = []

    def on_signal(number: int, _frame: object) -> None:
        reasons.append(signal.Signals(number).name.lower())
        for app in running:
            app.ask_to_stop()

    for number in (signal.SIGTERM, signal.SIGINT):  # before anything is opened that a stop has to close
        signal.signal(number, on_signal)
    try:
        delivery = Delivery(desired.start(Path(config_file)))
    except (CannotRun, ConfigError) as error:
        return fail(error)
    delivery.start()
    from agent.app import App  # noqa: PLC0415 - loaded while the broker is being reached

    app = App(delivery, Path(config_file))
    running.append(app)
    app.start()
    gc.freeze()  # what is here now stays, and need not be looked through for garbage
    gc.enable()
    if not reasons:
        app.run()
    app.stop(reasons[0] if reasons else "settings" if app.restarting else "stopped")
    if app.restarting and not reasons:
        again, environment = [sys.executable, *sys.orig_argv[1:]], {**os.environ, **app.notifier.variables}
        os.execve(sys.executable, again, environment)  # noqa: S606 - as this process was started
    logging.shutdown()
    # All is stored and told. Threads that still rest in a read must not meet an interpreter that takes itself apart.
    os._exit(0)


def _share_one_heap() -> None:
    """A dozen threads that rest most of the time need no heap each; the C library would give them one."""
    with contextlib.suppress(AttributeError):  # a C library without arenas
        ctypes.CDLL(None).mallopt(-8, 1)  # M_ARENA_MAX of malloc.h


if __name__ == "__main__":  # `posdiag run` becomes this after it has checked the file
    sys.exit(serve(*sys.argv[1:]))
