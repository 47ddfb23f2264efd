"""Help that needs no network, kept ready by the daemon: guidance, the local case number and the help code.

Making a code takes cryptography, so a short-lived child does it whenever the picture changes; status.json shows a code
only while it tells of the faults that stand.
"""

from __future__ import annotations

import base64
import json
import logging
import sys
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from agent.cases import STORE_KEY, Cases
from agent.clock import Clock
from agent.config import Config
from agent.core import Core
from agent.guidance import Language, guidance, verdict_sentence
from agent.store import Store
from agent.vocabulary import VOCABULARY

log = logging.getLogger("posdiag")

_SETTLE_S: Final = 2.0  # faults come in company; one code tells them all
_REST_S: Final = 15.0  # a fault that comes and goes must not keep a processor busy
_CHILD_S: Final = 20.0


class HelpDesk:
    """One for the daemon. `extra` is called by the core, under its lock, for each status."""

    def __init__(self, config: Config, core: Core, store: Store, clock: Clock, boot: int) -> None:
        self._config = config
        self._core = core
        self._store = store
        self._clock = clock
        terminal = f"{config.terminal.estate}/{config.terminal.id}"
        self._cases = Cases(terminal, boot, store.get(STORE_KEY), lambda: store.bump("case"))
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self.overran = 0
        """Children that had to be ended because they took too long."""
        self._code = ""
        self._code_of: tuple[str, ...] = ()
        key = _public_key(Path(config.paths.state_dir))
        core.set_report_key(key)
        self._ask_key = not key

    def stop(self) -> None:
        """End the thread that waits to make a code, if there is one; at once unless its child is running."""
        self._stopping.set()

    def extra(self) -> dict[str, Any]:
        """What status.json says beyond faults and verdict: `case`, `guidance`, `help_code` ("" until it is made)."""
        faults = self._core.faults()
        verdict = self._core.wire_verdict()
        roots = [key for key, fault in faults.items() if fault.cause is None]
        changed = self._cases.update(roots, self._clock.wall())
        if changed is not None:
            self._store.keep("kv", {STORE_KEY: changed}, now=False)
        picture = _picture(verdict.can_sell, ((key, fault.cause) for key, fault in faults.items()))
        if self._ask_key or (faults and picture != self._code_of):
            self._begin()
        number = self._cases.number(verdict.cause)
        return {
            "case": {**self._core.case(), **({"local": number} if number else {})},
            "guidance": self._guidance(),
            "help_code": self._code if faults and picture == self._code_of else "",
        }

    def _guidance(self) -> dict[str, Any] | None:
        """The verdict's cause in the terminal's language; None where there is none."""
        verdict = self._core.wire_verdict()
        language: Language = self._config.terminal.language
        if verdict.cause is None or verdict.cause not in VOCABULARY:
            return None
        try:
            told = guidance(verdict.cause, language)
        except (OSError, ValueError):  # the texts lie on the disk that may be failing
            return None
        return {
            "fault": told.key,
            "language": language,
            "sentence": verdict_sentence(verdict, language),
            "title": told.title,
            "meaning": told.meaning,
            "steps": [step.text for step in told.steps],
            "never": list(told.never),
            "act": told.act,
            "stop_now": told.stop_now,
            "stop_using": told.stop_using,
            "sell_on": told.sell_on,
        }

    # --- the code

    def _begin(self) -> None:
        with self._lock:
            if self._thread is None and not self._stopping.is_set():
                self._thread = threading.Thread(target=self._renew, name="help", daemon=True)
                self._thread.start()

    def _renew(self) -> None:
        """Make a code for what stands when things have settled, then rest, so that there are few."""
        if not self._stopping.wait(_SETTLE_S):
            self._make_code()
            self._stopping.wait(_REST_S)
        with self._lock:
            self._thread = None
        if not self._stopping.is_set():
            self._core.write_status()  # which begins anew when the picture has changed meanwhile

    def _make_code(self) -> None:
        status = self._core.status()
        picture = _picture(
            status["verdict"]["can_sell"], ((fault["fault"], fault["cause"]) for fault in status["faults"])
        )
        try:
            made = self.make(status, 0)
        except HelpError as error:
            log.warning("%s", error)
            made = {"code": "", "key": ""}
        if self._stopping.is_set():
            return
        if made["key"]:
            self._core.set_report_key(made["key"])
        self._ask_key = False
        self._code, self._code_of = made["code"], picture
        self._core.write_status()

    def make(self, status: Mapping[str, Any], columns: int) -> dict[str, Any]:
        """What the child makes of a status, see `agent.actions.slip`. Raises HelpError."""
        try:
            return run_child({"status": status, "state_dir": self._config.paths.state_dir, "columns": columns})
        except HelpOverran:
            self.overran += 1
            raise

    def fresh(self) -> dict[str, Any]:
        """A status of now with its code, for those who ask. Raises HelpError."""
        status = self._core.status()
        return {"status": status, "code": self.make(status, 0)["code"]}

    def printable(self, columns: int) -> tuple[list[bytes], str]:
        """A slip of now in pieces, and its case number. Raises HelpError."""
        status = self._core.status()
        parts = [base64.b64decode(part) for part in self.make(status, columns)["parts"]]
        return parts, str(status["case"].get("local", ""))


class HelpError(RuntimeError):
    """The code or slip could not be made; one line for people."""


class HelpOverran(HelpError):
    """The child that makes it had to be ended."""


def run_child(request: Mapping[str, Any]) -> dict[str, Any]:
    """Have `agent.actions.slip` make it. Raises HelpError."""
    import subprocess  # noqa: PLC0415 - nearly half a MiB that a resting daemon does not hold

    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "agent.actions.slip"],
            input=json.dumps(request).encode(),
            capture_output=True,
            timeout=_CHILD_S,
            check=True,
        )
        answer: dict[str, Any] = json.loads(done.stdout)
    except subprocess.TimeoutExpired as error:
        raise HelpOverran("the help code could not be made in time") from error
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise HelpError("the help code could not be made") from error
    return answer


def _picture(can_sell: str, faults: Iterable[tuple[str, str | None]]) -> tuple[str, ...]:
    """What a code must tell anew of when it changes."""
    return (can_sell, *sorted(f"{key} {cause}" for key, cause in faults))


def _public_key(state_dir: Path) -> str:
    """The key that an earlier run made; "" for none yet."""
    try:
        key = bytes.fromhex((state_dir / "report.pub").read_text("ascii"))
    except (OSError, ValueError):
        return ""
    return key.hex() if len(key) == 32 else ""
