"""What the person at the terminal is told while each key is to be pressed: on the till's screen, and on a terminal."""

from __future__ import annotations

import contextlib
import json
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from agent.asking import NotAsked
from agent.guidance import Language

_WORDS: Final[dict[Language, str]] = {
    "en": "Press each key of {device} once: {heard} of {of} heard, {left_s} s left.",
    "zh": "请把 {device} 的每个键各按一次：已收到 {heard}/{of} 个，还剩 {left_s} 秒。",
}
_LOOK_S: Final = 0.5


def progress(device: str, heard: int, of: int, left_s: float) -> dict[str, Any]:
    """A key test as it stands in status.json."""
    return {"device": device, "heard": heard, "of": of, "left_s": round(left_s)}


def prompt(language: Language, test: Mapping[str, Any]) -> str:
    """What to do now, and how far it is."""
    return _WORDS[language].format(**test)


Tell = Callable[[str, int, int, float], None]
"""Called with the device, and with what `drivers.key_test.Progress` says."""


class Board:
    """What status.json says of a key test; `changed` is called whenever that is something else. Thread-safe."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._lock = threading.Lock()
        self._turn: object = None
        self._test: dict[str, Any] = {}

    def shown(self) -> dict[str, Any]:
        """The part of status.json."""
        with self._lock:
            return {"key_test": self._test} if self._test else {}

    @contextlib.contextmanager
    def one(self) -> Iterator[Tell]:
        """One test, told of by what this gives. Raises ValueError while another goes on.

        To tell after the end raises NotAsked: it ends the listening of a device that began too late.
        """
        turn = object()
        with self._lock:
            if self._turn is not None:
                raise ValueError("an interactive check is going on already")
            self._turn = turn

        def tell(device: str, heard: int, of: int, left_s: float) -> None:
            with self._lock:
                if self._turn is not turn:
                    raise NotAsked("nobody waits for the key test any more")
                self._test = progress(device, heard, of, left_s)
            self._changed()

        try:
            yield tell
        finally:
            with self._lock:
                told, self._turn, self._test = self._test, None, {}
            if told:
                self._changed()


class Screen:
    """Shows prompts on standard error, so that the answer alone stands on standard output."""

    def __init__(self, language: Language) -> None:
        self._language = language
        self._heard: object = None

    def show(self, test: Mapping[str, Any]) -> None:
        """A terminal is rewritten; a file gets a line for each key that was heard."""
        if sys.stderr.isatty():
            print(f"\r\x1b[K{prompt(self._language, test)}", end="", file=sys.stderr, flush=True)
        elif test["heard"] != self._heard:
            print(prompt(self._language, test), file=sys.stderr, flush=True)
        self._heard = test["heard"]

    def end(self) -> None:
        """The test is over."""
        if self._heard is not None and sys.stderr.isatty():
            print(file=sys.stderr)


@contextlib.contextmanager
def following(run_dir: Path, screen: Screen) -> Iterator[None]:
    """Show what the daemon's status.json says of a key test, for as long as the block runs."""
    over = threading.Event()

    def follow() -> None:
        while not over.wait(_LOOK_S):
            with contextlib.suppress(OSError, ValueError):
                test = json.loads((run_dir / "status.json").read_bytes()).get("key_test")
                if test:
                    screen.show(test)

    thread = threading.Thread(target=follow, name="prompt", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        screen.end()
