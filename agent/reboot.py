"""Restarting the terminal: with consent, outside of sales, by one configured program; told as done by the next boot."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from agent.commands import Job, Leave
from agent.consent import Consents

DEADLINE_S: Final = 180.0
_PROGRAM_S: Final = 30.0
_GONE_S: Final = 120.0  # a machine that still runs after that is not going down


class Reboot:
    """`begun` keeps on disk, before the program starts, that this command waits for another boot."""

    def __init__(
        self,
        program: Sequence[str],
        consent_s: float,
        consents: Consents,
        sale: Callable[[], bool],
        begun: Callable[[str, int], bool],
    ) -> None:
        self._program = list(program)
        self._consent_s = consent_s
        self._consents = consents
        self._sale = sale
        self._begun = begun

    def run(self, _args: Mapping[str, Any], job: Job) -> None:
        """Raises NoConsent, ValueError during a sale, RuntimeError when the machine stays up; Leave when it goes."""
        self._consents.ask(job.id, "reboot", self._consent_s, job.stopping)
        if self._sale():
            raise ValueError("a sale is going on")
        if not self._begun(job.id, job.expires):
            raise RuntimeError("the disk takes nothing, so the restart could not be told afterwards")
        import subprocess  # noqa: PLC0415 - nearly half a MiB that a resting daemon does not hold

        try:
            done = subprocess.run(
                self._program, stdin=subprocess.DEVNULL, capture_output=True, timeout=_PROGRAM_S, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise RuntimeError(f"{self._program[0]} did not end") from error
        except OSError as error:
            raise RuntimeError(f"{self._program[0]}: {(error.strerror or str(error)).lower()}") from error
        if done.returncode:
            raise RuntimeError(f"{self._program[0]} ended with {done.returncode}")
        if job.stopping.wait(_GONE_S):
            raise Leave
        raise RuntimeError("the machine did not go down")
