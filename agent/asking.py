"""Asking several devices at the same time: none that hangs or fails costs another's answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple, TypeVar

from agent.config import DeviceConfig
from agent.probes.port import finer_words, meaning, side_channels
from drivers import catalog
from drivers.driver import Driver
from drivers.errors import DriverError, Unsupported, Yielded
from drivers.key_test import LIMIT_S, Progress
from drivers.reading import Cause, Level, Reading, known, unknown

T = TypeVar("T")
HEALTHY: Final = "CheckHealth: OK"
"""How the text of a check ends that a device answered, until its readings are judged."""


def person_s(level: Level) -> float:
    """How long a check at this level may wait for a person."""
    return LIMIT_S if level is Level.INTERACTIVE else 0.0


class Answer(NamedTuple):
    """What was read, and one line for people: the level that was done, or why there is nothing.

    `specific` is what the device's family says more exactly, for the evidence of its faults.
    """

    readings: dict[str, Reading]
    text: str = ""
    specific: str = ""


Verb = Callable[[Driver], Answer]


class Question(NamedTuple):
    """`ask` may raise or never return; then the readings of `names` are UNKNOWN."""

    ask: Callable[[], Answer]
    names: Iterable[str] = ("reply",)


class NotAsked(DriverError):
    """Nobody looked, so nothing is known."""

    cause = Cause.NOT_ASKED

    def __init__(self, why: str) -> None:
        super().__init__(f"not asked: {why}")


def ensure_ours(device: DeviceConfig) -> None:
    """Raises NotAsked for a device that is never asked."""
    if device.share == "never":
        raise NotAsked("by configuration the payment application has it alone")


def of_device(
    device: DeviceConfig, level: Level, run: Callable[[Verb], Answer], progress: Progress = lambda *_: None
) -> Question:
    """Ask one device for its health; `run` has a driver of the device do what it is given.

    `progress` is called each second while an INTERACTIVE check waits for a person, in the thread that has the driver.
    """

    def verb(driver: Driver) -> Answer:
        driver.progress = progress
        return health(driver, level)

    def ask() -> Answer:
        try:
            ensure_ours(device)
            answer = run(verb)
        except NotAsked as error:
            return Answer(side_channels(device), str(error))
        except DriverError as error:
            return Answer(failed_readings(device.family, error), str(error))
        return answer._replace(readings={**answer.readings, "port": known("ok"), "reply": known("ok")})

    return Question(ask, (*catalog.family(device.family).driver.READINGS, "port", "reply"))


def gather(questions: Mapping[str, Question], limit_s: float) -> dict[str, Answer]:
    """Ask all at once, as `side_by_side` does."""
    asks = {name: question.ask for name, question in questions.items()}
    return side_by_side(asks, limit_s, lambda name, cause, why: _nothing(questions[name], cause, why))


def side_by_side(
    asks: Mapping[str, Callable[[], T]], limit_s: float, nothing: Callable[[str, str, str], T]
) -> dict[str, T]:
    """What each gives, by name. Never raises, and waits no longer than the limit: what hangs is left to itself.

    `nothing` makes the answer of one that gave none: of its name, the cause as of a reading, and one line for people.
    A pool of the standard library would be waited for at the end of the process, however long a port blocks.
    """
    answers: dict[str, T] = {}

    def ask_one(name: str, ask: Callable[[], T]) -> None:
        try:
            answers[name] = ask()
        except DriverError as error:
            answers[name] = nothing(name, error.cause, str(error))
        except TimeoutError as error:
            answers[name] = nothing(name, Cause.NO_REPLY, str(error))
        except Exception as error:  # noqa: BLE001 - it is this answer's; the others stand
            answers[name] = nothing(name, Cause.FAILED, f"{type(error).__name__}: {error}")

    until = time.monotonic() + limit_s
    threads = []
    for name, ask in asks.items():
        thread = threading.Thread(target=ask_one, args=(name, ask), name=f"ask-{name}", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # the service has as many threads as it may have
            answers[name] = nothing(name, Cause.FAILED, str(error))
        else:
            threads.append(thread)
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    in_time = dict(answers)  # what comes from here on is too late
    late = f"no answer within {limit_s:g} s"
    return {name: in_time[name] if name in in_time else nothing(name, Cause.NO_REPLY, late) for name in asks}


def _nothing(question: Question, cause: str, why: str) -> Answer:
    """Nothing was measured, so nothing is known of the device: its silence would be a fault, this is none."""
    return Answer({name: unknown(cause) for name in question.names}, why)


def health(driver: Driver, level: Level) -> Answer:
    """CheckHealth at the level, or at INTERNAL where the device has no such level (now). Raises DriverError."""
    try:
        readings, text = driver.check_health(level), f"{level.name.capitalize()} {HEALTHY}"
    except Unsupported as error:
        readings, text = driver.check_health(Level.INTERNAL), str(error)
    return Answer(readings, text, finer_words(driver))


def failed_readings(family: str, error: DriverError) -> dict[str, Reading]:
    """What a device that gave nothing leaves: its port, its silence, and the rest UNKNOWN with the cause."""
    readings = {name: unknown(error.cause) for name in (*catalog.family(family).driver.READINGS, "port", "reply")}
    if not isinstance(error, Yielded):  # during a sale nobody looked
        readings["port"], readings["reply"] = meaning(error)
    return readings
