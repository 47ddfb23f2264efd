"""Which device hangs on which port, at which speed, and how sure we are. Asks only what reads."""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from glob import glob
from pathlib import Path
from typing import Literal, TypeVar

from drivers import catalog
from drivers.codecs.evdev import decode_keys_line
from drivers.deadline import Deadline
from drivers.driver import Driver
from drivers.errors import BadReply, DriverError, LinkLost, NoReply, PortBusy, PortDenied, Yielded
from drivers.family import Family
from drivers.link import LineSettings, SerialLink
from drivers.owner import who_holds
from drivers.reading import Identity, Value

T = TypeVar("T")
Confidence = Literal["certain", "likely", "guess"]

LISTEN_S = 0.15  # a device that talks unasked does so often; others cost only this
KNOCK_S = 0.15  # a printer answers DLE EOT at once, even in error: 4 ms of line time and some of USB's
QUIET_S = 0.2
MOMENT_S = 0.25
PORT_S = 20.0  # one port may not take longer, whatever hangs on it

_DLE_EOT = b"\x10\x04\x01"
_CHECKED = frozenset({"crt571", "neo", "gempc", "zt588", "smartpin"})
"""Families whose frames carry a check value, so that noise cannot pass for an answer."""
_SAME_QUESTIONS = {
    "quectel": re.compile("quectel", re.IGNORECASE),
    "simcom": re.compile("simcom|sim[78]", re.IGNORECASE),
}
"""Families that `at` finds, by the maker or model that it reads."""
_DIGIT_KEYS = frozenset(range(2, 12)), frozenset({71, 72, 73, 75, 76, 77, 79, 80, 81, 82})
_INPUT_MAJOR = 13


@dataclass(frozen=True, slots=True)
class Candidate:
    """A port worth a look. `port` is its most stable name, `node` the device node behind it."""

    port: str
    node: str
    kind: Literal["serial", "input"] = "serial"


@dataclass(frozen=True, slots=True)
class Trying:
    """A question goes out next: for people who wait."""

    port: str
    family: str
    baud: int


@dataclass(frozen=True, slots=True)
class Found:
    """A device. `reason` says why we are so sure, or not."""

    port: str
    family: str
    unit: str
    baud: int
    identity: Identity
    confidence: Confidence
    reason: str


@dataclass(frozen=True, slots=True)
class Skipped:
    """A port that was not asked, or vanished. `owner` is who holds it, empty when nobody does."""

    port: str
    why: str
    owner: str = ""


@dataclass(frozen=True, slots=True)
class Nothing:
    """Nobody answered. `heard` is how many bytes came unasked: 0 means a dead line, more an unknown device."""

    port: str
    heard: int


Step = Trying | Found | Skipped | Nothing


def candidates(
    ports: Sequence[str] = (), *, dev: str = "/dev", sys: str = "/sys", proc: str = "/proc"
) -> list[Candidate]:
    """The given ports (globs allowed), or every serial port with hardware behind it and every keypad."""
    if ports:
        paths = [path for port in ports for path in (_matches(port) or [port])]
        return [Candidate(path, os.path.realpath(path), _kind(path)) for path in dict.fromkeys(paths)]
    names = {os.path.realpath(path): path for path in _matches(f"{dev}/serial/by-id/*")}
    nodes = [node for pattern in ("ttyS*", "ttyUSB*", "ttyACM*") for node in _matches(f"{dev}/{pattern}")]
    found = [Candidate(names.get(node, node), node) for node in nodes if _has_hardware(node, sys)]
    return found + [Candidate(node, node, "input") for node in _keypads(dev, proc)]


def _matches(pattern: str) -> list[str]:
    return sorted(glob(pattern))  # noqa: PTH207 - pathlib takes no absolute pattern


def discover(
    ports: Sequence[str] = (),
    *,
    dev: str = "/dev",
    sys: str = "/sys",
    proc: str = "/proc",
    yield_now: Callable[[], bool] | None = None,
) -> Iterator[Step]:
    """Look at each candidate and tell each step. Ends early, with the port skipped, when `yield_now` says so.

    On a port: listen; then the question that a printer answers and other devices ignore, at every speed a printer may
    have; only then what a printer would print.
    """
    for candidate in candidates(ports, dev=dev, sys=sys, proc=proc):
        try:
            if candidate.kind == "serial":
                _twice(partial(_refuse_held, candidate))
            yield from _input(candidate) if candidate.kind == "input" else _serial(candidate.port, yield_now)
        except PortBusy as error:
            yield Skipped(candidate.port, "held", error.owner)
        except DriverError as error:  # also of one that takes no bytes: the other ports are looked at all the same
            yield Skipped(candidate.port, str(error))


def _refuse_held(candidate: Candidate) -> None:
    owner = who_holds(candidate.node)
    if owner:
        raise PortBusy(candidate.port, owner)


def _twice(ask: Callable[[], T]) -> T:
    """Ask again a moment later where somebody had the port open: others look at a port and let go of it at once."""
    try:
        return ask()
    except PortBusy:
        time.sleep(MOMENT_S)
        return ask()


def _input(candidate: Candidate) -> Iterator[Step]:
    kind = catalog.family("evdev")
    yield Trying(candidate.port, kind.word, 0)
    channel = catalog.open_channel(kind, candidate.port)
    try:
        identity = kind.driver(channel).identify()
    finally:
        channel.link.close()
    sure: Confidence = "certain" if identity.model else "guess"
    reason = "the kernel names it" if identity.model else "it gives no name; it may only play an input device"
    yield Found(candidate.port, kind.word, kind.unit, 0, identity, sure, reason)


def _serial(port: str, yield_now: Callable[[], bool] | None) -> Iterator[Step]:
    patience = Deadline(PORT_S)
    heard = 0
    plan = tuple(_plan())
    for number, (kind, baud) in enumerate(plan * 2):  # twice: a busy computer makes answers late
        if number >= len(plan) and not heard and baud != kind.baud:
            continue  # where nothing was heard, the usual speeds will do
        if number and patience.expired:  # a first look is taken, however slow the computer
            break
        if yield_now is not None and yield_now():
            raise Yielded("a sale began")
        yield Trying(port, kind.word, baud)
        if kind.unit == "printer":
            answered, unasked = _twice(partial(_knock, port, baud))
            heard += unasked + answered
            if not answered:
                continue
        found = _twice(partial(_attempt, kind, port, baud, yield_now))
        if found is not None:
            yield found
            return
    yield Nothing(port, heard)


def _plan() -> Iterator[tuple[Family, int]]:
    """Printers at all their speeds, then the others at their usual speed, then at their other ones, round by round."""
    asking = [each for each in catalog.families() if each.link == "serial" and each.word not in _SAME_QUESTIONS]
    asking.sort(key=lambda each: each.probe_order)
    others = [each for each in asking if each.unit != "printer"]
    for each in asking:
        if each.unit == "printer":
            yield from ((each, baud) for baud in (each.baud, *each.other_bauds))
    yield from ((each, each.baud) for each in others)
    for place in range(max((len(each.other_bauds) for each in others), default=0)):
        yield from ((each, each.other_bauds[place]) for each in others if place < len(each.other_bauds))


def _knock(port: str, baud: int) -> tuple[bool, int]:
    """Whether anything answers DLE EOT, and how many bytes came before it was asked."""
    link = SerialLink(port, LineSettings(baud=baud))
    try:
        unasked = len(_listen(link, LISTEN_S if baud == _FIRST_BAUD else 0.0))
        link.write(_DLE_EOT)
        return bool(_listen(link, KNOCK_S)), unasked
    finally:
        link.close()


_FIRST_BAUD = 9600


def _listen(link: SerialLink, seconds: float) -> bytes:
    end = time.monotonic() + seconds
    data = link.read(0)
    while not data and (left := end - time.monotonic()) > 0:
        data = link.read(left)
    return data


def _attempt(kind: Family, port: str, baud: int, yield_now: Callable[[], bool] | None) -> Found | None:
    """Ask as this family. None for silence, and for answers that it would not give."""
    options: dict[str, Value] = {"asb": False} if "asb" in kind.options else {}  # else it would be told to report
    channel = catalog.open_channel(kind, port, baud, yield_now=yield_now, quiet_s=QUIET_S)
    try:
        driver = kind.driver(channel, options)
        if kind.unit == "printer":
            driver.check_health()
        identity = driver.identify()
        sure, reason = _judge(kind, driver, identity)
    except (NoReply, BadReply):
        return None
    except (LinkLost, PortBusy, PortDenied, Yielded):
        raise
    except DriverError as error:
        if kind.word not in _CHECKED:
            return None
        identity, sure, reason = Identity(), "likely", f"checked frames, but {error}"
    finally:
        channel.link.close()
    word = next(
        (word for word, maker in _SAME_QUESTIONS.items() if maker.search(f"{identity.manufacturer} {identity.model}")),
        kind.word,
    )
    return Found(port, word if kind.word == "at" else kind.word, kind.unit, baud, identity, sure, reason)


def _judge(kind: Family, driver: Driver, identity: Identity) -> tuple[Confidence, str]:
    named = bool(identity.as_statistics())
    if kind.word in _CHECKED:
        if named:
            return "certain", "checked frames, and it says who it is"
        return "likely", "checked frames, but it does not say who it is"
    if named and driver.identify() == identity:
        return "certain", "it says who it is, twice alike"
    if kind.unit == "printer":
        return "likely", "status bytes that agree with each other, but no name"
    return "guess", "it answers, but does not say who it is"


def _kind(path: str) -> Literal["serial", "input"]:
    try:
        state = Path(path).stat()
    except OSError:
        return "serial"
    is_input = stat.S_ISFIFO(state.st_mode) or (stat.S_ISCHR(state.st_mode) and os.major(state.st_rdev) == _INPUT_MAJOR)
    return "input" if is_input else "serial"


def _has_hardware(node: str, sys: str) -> bool:
    """Linux makes ttyS nodes for UARTs that are not there; the type of those is 0."""
    try:
        return (Path(sys) / "class/tty" / Path(node).name / "type").read_text("ascii").strip() != "0"
    except OSError:
        return not re.fullmatch(r"ttyS\d+", Path(node).name)


def _keypads(dev: str, proc: str) -> list[str]:
    """Input devices that have all ten digits, by the kernel's own list."""
    try:
        text = (Path(proc) / "bus/input/devices").read_text("utf-8", errors="replace")
    except OSError:
        return []
    found = []
    for block in text.split("\n\n"):
        event = re.search(r"^H: Handlers=.*\b(event\d+)\b", block, re.MULTILINE)
        keys = re.search(r"^B: KEY=([0-9a-f ]+)$", block, re.MULTILINE)
        if event and keys and any(decode_keys_line(keys[1]).issuperset(digits) for digits in _DIGIT_KEYS):
            found.append(f"{dev}/input/{event[1]}")
    return found
