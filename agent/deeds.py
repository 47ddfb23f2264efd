"""What commands and the control socket make the agent do.

Each deed returns JSON values and raises ValueError for bad arguments.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from agent import told, wire
from agent.asking import Answer, NotAsked, ensure_ours, gather, of_device, person_s, side_by_side
from agent.brief import brief, brief_each
from agent.check import ALL_S, LEVELS, build_report
from agent.commands import MAX_OUTPUT_BYTES
from agent.config import Config
from agent.core import Core
from agent.help_desk import HelpDesk
from agent.key_prompt import Board
from agent.packing import NAME
from agent.probes.port import PortWorker
from agent.readiness import readiness
from agent.status_file import plain
from drivers.driver import Driver
from drivers.errors import DriverError
from drivers.reading import Identity, Level
from drivers.recorder import Recorder

log = logging.getLogger("posdiag.deeds")

_DEVICE_S = 7.0  # one device's whole check, with a dead line
_PRINT_S = 20.0  # a slip of 1.5 kB at 9600 baud, behind a check that is under way
_RECOVER_S = 45.0  # a modem that starts anew answers after half a minute

Action = Callable[[Mapping[str, Any]], Any]


class Deeds:
    """The agent's verbs over its running workers."""

    def __init__(self, core: Core, workers: Sequence[PortWorker], config: Config, help_desk: HelpDesk) -> None:
        self._core = core
        self._help = help_desk
        self._packing: dict[str, bool] = {}
        self._board = Board(core.write_status)
        self._stopping = threading.Event()
        self._workers = {worker.device.name: worker for worker in workers}
        self._config = config

    def replaced(self, worker: PortWorker) -> None:
        """Another worker has a device now."""
        self._workers[worker.device.name] = worker

    def specific(self, source: str) -> str:
        """A device's own finer words for the evidence of its faults; "" for what is no device."""
        return self._workers[source].specific() if source in self._workers else ""

    def actions(self) -> dict[str, Action]:
        """By command name."""
        return {
            "check": self.check_briefly,
            "identify": lambda args: brief_each(self.identify(args), MAX_OUTPUT_BYTES),
            "statistics": lambda args: brief_each(self.statistics(args), MAX_OUTPUT_BYTES),
            "resync": self.resync,
            "print_slip": self.print_slip,
            "recover": self.recover,
        }

    def control(self, request: Mapping[str, Any]) -> Any:
        """A request over the control socket: {"cmd": name, "args": {…}}."""
        whole = {"check": self.check, "identify": self.identify, "statistics": self.statistics, "help": self.help}
        actions = {**self.actions(), **whole}
        del actions["recover"]  # it disrupts, and is asked for by whoever signs for it
        action = actions.get(str(request.get("cmd")))
        args = request.get("args", {})
        if action is None or not isinstance(args, dict):
            raise ValueError(f"no such request; there are {', '.join(sorted(actions))}")
        return action(args)

    def extra(self) -> dict[str, Any]:
        """What stands in status.json of the help and of a key test that is going on."""
        return {**self._help.extra(), **self._board.shown()}

    def stop(self) -> None:
        """Tell nothing any more of devices, which give way to the end of the daemon."""
        self._stopping.set()
        self._help.stop()

    def check(self, args: Mapping[str, Any], *, person: bool = True) -> dict[str, Any]:
        """One CheckHealth of one device or all, judged together with what the probes know.

        Without a `person` at the terminal what is interactive is left out: nobody else may have keys listened to.
        """
        started = time.monotonic()
        word = args.get("level", "internal")
        if not isinstance(word, str) or word not in LEVELS:
            raise ValueError(f"level is one of {', '.join(LEVELS)}")
        level = LEVELS[word] if person or word != "interactive" else Level.INTERNAL
        workers = self._chosen(args)
        answers = self._health(workers, level)
        identities: dict[str, Identity] = {}
        for worker in workers:
            identity = self._core.devices[worker.device.name].identity
            if identity is not None:
                identities[worker.device.name] = identity
        if args.get("device") is None:
            answers |= {source: Answer(readings) for source, readings in self._core.probe_readings().items()}
        took_ms = round((time.monotonic() - started) * 1000)
        report = build_report(self._config, answers, identities, took_ms)
        if args.get("report") is True:
            report["readiness"] = readiness(report, self._config.terminal.language)
        return report

    def check_briefly(self, args: Mapping[str, Any]) -> dict[str, Any]:
        """As `check`, in what a result message carries; `left_out` names what had to go."""
        return brief(self.check(args, person=False), MAX_OUTPUT_BYTES)

    def _health(self, workers: Sequence[PortWorker], level: Level) -> dict[str, Answer]:
        with self._board.one() if level is Level.INTERACTIVE else contextlib.nullcontext(_nobody) as tell:

            def told(worker: PortWorker, *done: Any) -> None:
                tell(worker.device.name, *done)
                worker.turned_at = time.monotonic()  # whoever waits for a person does not hang

            questions = {
                worker.device.name: of_device(
                    worker.device,
                    level,
                    partial(worker.ask, timeout_s=_DEVICE_S + person_s(level)),
                    partial(told, worker),
                )
                for worker in workers
            }
            answers = gather(questions, ALL_S + person_s(level))
        self._go_on()
        return answers

    def identify(self, args: Mapping[str, Any]) -> dict[str, Any]:
        """Who each device says it is: name to UnifiedPOS names, or to `error` (the cause) and `text`."""
        return self._ask(self._chosen(args), _identity)

    def statistics(self, args: Mapping[str, Any]) -> dict[str, Any]:
        """As `identify`, with each device's counters under their UnifiedPOS names."""
        return self._ask(
            self._chosen(args), lambda driver: {**driver.identify().as_statistics(), **driver.statistics()}
        )

    def resync(self, _args: Mapping[str, Any]) -> dict[str, Any]:
        """Publish everything that is retained again."""
        self._core.resync()
        return {"published": len(self._core.faults()) + 3}

    def print_slip(self, _args: Mapping[str, Any]) -> dict[str, Any]:
        """Print the help slip. ValueError without a printer, DriverError when it cannot print or a sale is on."""
        from agent.printing import columns_of, print_parts, printer_of  # noqa: PLC0415 - few terminals ever print one

        device = printer_of(self._config.device)
        if device is None:
            raise ValueError("this terminal has no receipt printer")
        parts, case = self._help.printable(columns_of(device))
        self._workers[device.name].ask(lambda driver: print_parts(driver, parts), _PRINT_S)
        return {"device": device.name, "case": case}

    def recover(self, args: Mapping[str, Any]) -> dict[str, Any]:
        """A device's own recovery, and how it is afterwards. ValueError without a device, DriverError during a sale."""
        if args.get("device") is None:
            raise ValueError(f"device is one of {', '.join(self._workers) or 'none'}")
        worker = self._chosen(args)[0]
        readings = worker.ask(lambda driver: driver.recover(), _RECOVER_S)
        return {"device": worker.device.name, "readings": {name: plain(each) for name, each in readings.items()}}

    def help(self, _args: Mapping[str, Any]) -> dict[str, Any]:
        """A status of now and its help code; for those on this machine."""
        return self._help.fresh()

    def trace(self) -> dict[str, Any]:
        """What goes over each device's line during one check. Not a keypad's, which carries what is typed."""
        return self._ask([worker for worker in self._workers.values() if worker.unit != "keypad"], _recorded)

    def _ask(self, workers: Sequence[PortWorker], verb: Callable[[Driver], Any]) -> dict[str, Any]:
        """What each said, side by side; of one that did not, the cause and one line. InterruptedError at the end."""

        def ask(worker: PortWorker) -> Any:
            ensure_ours(worker.device)
            return worker.ask(verb, _DEVICE_S)

        asks = {worker.device.name: partial(ask, worker) for worker in workers}
        said = side_by_side(asks, ALL_S, lambda _name, cause, why: {"error": cause, "text": why})
        self._go_on()
        return said

    def _go_on(self) -> None:
        """Raise InterruptedError once the daemon stops: its devices gave way then, and what they said tells nothing."""
        if self._stopping.is_set():
            raise InterruptedError("the agent was stopped meanwhile")

    def _chosen(self, args: Mapping[str, Any]) -> list[PortWorker]:
        name = args.get("device")
        if name is None:
            return list(self._workers.values())
        if not isinstance(name, str) or name not in self._workers:
            raise ValueError(f"no such device; there are {', '.join(self._workers) or 'none'}")
        return [self._workers[name]]

    # --- what the center says

    def take_case(self, payload: bytes) -> None:
        """Keep what the merchant is told; an empty payload ends the case. What is not of the contract is dropped."""
        if not payload:
            self._core.set_case({})
            return
        case = _small_object(payload)
        kept = told.shown(case or {}, self._config.support)
        if kept:
            self._core.set_case(kept)
            if case and case.get("link") and "link" not in kept:
                log.warning("the page of case %s is not shown: support.pages does not name its host", kept["case"])

    def take_center(self, center: str, payload: bytes) -> None:
        """A support center came or went."""
        state = _small_object(payload)
        if state is not None and state.get("status") in {"online", "offline"}:
            self._core.set_center(center, state["status"])
            self._packing.pop(center, None)
            if state["status"] == "online":
                self._packing[center] = NAME in str(state.get("inflates", "")).split()

    @property
    def packing(self) -> bool:
        """Whether a center is online, and each that is has said that it knows the dictionary."""
        return bool(self._packing) and all(self._packing.values())


def _small_object(payload: bytes) -> dict[str, Any] | None:
    """A JSON object whose values are short texts or null; None for anything else."""
    if len(payload) > wire.MAX_PACKET_BYTES:
        return None
    try:
        value = wire.loads(payload)
    except ValueError:
        return None
    if not isinstance(value, dict):
        return None
    return {str(key): _plain(text) for key, text in value.items() if text is None or isinstance(text, str)}


def _plain(text: str | None) -> str | None:
    return None if text is None else "".join(c for c in text[:256] if c.isprintable())


def _nobody(*_done: Any) -> None:
    """Progress that no person waits for."""


def _identity(driver: Driver) -> dict[str, str]:
    """Who it says it is. Raises NotAsked where its state forbids the question."""
    identity = driver.identify()
    if "not_asked" in identity.extra:
        raise NotAsked(identity.extra["not_asked"])
    return identity.as_statistics()


def _recorded(driver: Driver) -> list[list[Any]]:
    """One check: [milliseconds, direction, bytes without card data, as ASCII with escapes]."""
    line = driver.channel.link
    driver.channel.link = recorder = Recorder(line)
    began = time.monotonic()
    try:
        with contextlib.suppress(DriverError):
            driver.check_health(Level.INTERNAL)
    finally:
        driver.channel.link = line
    return [
        [round(1000 * (entry.at_s - began)), entry.direction, entry.data.decode("ascii", "backslashreplace")]
        for entry in recorder.entries()
    ]
