"""One worker thread owns one port: it polls, listens for pushes, does what it is asked, and survives unplugging."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol, TypeVar

from agent.config import DeviceConfig
from drivers import catalog
from drivers.driver import Driver
from drivers.errors import BadReply, DriverError, LinkLost, NoReply, PortBusy, PortDenied, Refused, Stopped, Yielded
from drivers.owner import OPENED, OpenWatch, who_holds
from drivers.reading import Cause, Identity, Level, Reading, Value, known, unknown
from drivers.redact import redact_text

T = TypeVar("T")

_REOPEN_S = 1.0  # a cable put back is noticed within a second; looking for a path costs one stat
_STATISTICS_S = 3600.0  # printers store their counters every few minutes at best and count slowly
_SALE_S = 0.1
_HUNG_S, _HUNG_POLLS = 30.0, 10
_ABSENT_S = 5.0  # nobody exchanges a device on a serial line faster
_SPECIFIC_CHARS = 160  # a fault message stays small
_NOISY_POLL_S = 30.0  # noise can turn a question into another command, so a noisy line is asked ever less often


class Sink(Protocol):
    """Where a worker reports. Called from the worker's thread."""

    def observe(self, source: str, readings: Mapping[str, Reading]) -> None:
        """Readings of one device."""

    def identified(self, device: str, identity: Identity) -> None:
        """Who the device says it is, after each new contact."""

    def counted(self, device: str, statistics: Mapping[str, Value]) -> None:
        """The device's counters, now and then."""


class _Unheard:
    """Where a worker reports that was replaced: should it come back, its device is another's."""

    def observe(self, source: str, readings: Mapping[str, Reading]) -> None:
        pass

    def identified(self, device: str, identity: Identity) -> None:
        pass

    def counted(self, device: str, statistics: Mapping[str, Value]) -> None:
        pass


class _Job:
    """A question put to the worker from another thread."""

    def __init__(self, verb: Callable[[Driver], object]) -> None:
        self.verb = verb
        self.done = threading.Event()
        self.given_up = False
        self.answer: object = None
        self.error: Exception | None = None


class PortWorker(threading.Thread):
    """Polls one device each `poll_s` and turns what happens to readings; never raises out of its loop."""

    def __init__(self, device: DeviceConfig, sink: Sink, sale: Callable[[], bool] = lambda: False) -> None:
        super().__init__(name=f"port-{device.name}", daemon=True)
        self.device = device
        self.family = catalog.family(device.family)
        self.unit = self.family.unit
        self.detail = ""
        """One clear line on what is wrong with the port; empty when nothing is."""
        self.last_answer_at: float | None = None
        """Monotonic time of the last good answer."""
        self.took_ms: float | None = None
        self.turned_at = time.monotonic()
        """Monotonic time at which the loop last went round."""
        self.recalled: dict[str, Reading] = {}
        """What was last known of the device, for a driver that is opened anew; set before the start, if at all."""
        self._sink = sink
        self._sale = sale
        self._stopping = threading.Event()
        self._nudged = threading.Event()
        self._jobs: queue.SimpleQueue[_Job] = queue.SimpleQueue()
        self._driver: Driver | None = None
        self._watch: OpenWatch | None = None
        self._identified = False
        self._counted_at = float("-inf")
        self._next_poll = 0.0
        self._every_s = device.poll_s
        self._before: PortWorker | None = None

    # --- called from other threads

    def ask(self, verb: Callable[[Driver], T], timeout_s: float) -> T:
        """Run `verb` on the driver in the worker's thread. Raises DriverError or TimeoutError."""
        job = _Job(verb)
        self._jobs.put(job)
        self._wake()
        if not job.done.wait(timeout_s):
            job.given_up = True
            raise TimeoutError(f"{self.device.name} was busy for more than {timeout_s:g} s")
        if job.error is not None:
            raise job.error
        return job.answer  # type: ignore[return-value]

    def specific(self) -> str:
        """The finer words of the last answer; "" while the line is in trouble."""
        driver = self._driver
        return "" if driver is None or self.detail else finer_words(driver)

    def identify_again(self) -> None:
        """Have the device say who it is with one of the next polls."""
        self._identified = False

    def stop(self) -> None:
        """Ask the thread to end; it does so at once, or after the exchange in progress (under a second)."""
        self._stopping.set()
        self._wake()

    @property
    def patience_s(self) -> float:
        """How long its loop may take to go round: several dead exchanges, or a printed slip."""
        return max(_HUNG_S, _HUNG_POLLS * self.device.poll_s) + self._every_s

    def successor(self) -> PortWorker:
        """Another worker for the device, not started; this one, which ended or hangs, is heard no more."""
        sink, self._sink = self._sink, _Unheard()
        self._stopping.set()
        self._nudged.set()  # the line is not woken: it may be what hangs
        other = PortWorker(self.device, sink, self._sale)
        other.recalled, other._before = self.recalled, self
        return other

    def _wake(self) -> None:
        self._nudged.set()
        driver = self._driver
        if driver is not None:
            driver.channel.link.wake()

    # --- the thread

    def run(self) -> None:
        before, self._before = self._before, None
        if before is not None:
            before.let_go()
        while not self._stopping.is_set():
            self.turned_at = time.monotonic()
            try:
                self._turn()
            except DriverError as error:
                self._failed(error)
        self._refuse_jobs(Stopped("its worker has ended"))
        self._close()

    def _turn(self) -> None:
        self._nudged.clear()  # what comes from here on ends the rest that follows
        if self._sale():
            self._during_sale()
            return
        if self.device.share == "never":
            self._look_only()
            return
        driver = self._driver or self._open()
        self._let_go()
        self._serve(driver)
        now = time.monotonic()
        if now >= self._next_poll:
            self._next_poll = now + self._every_s
            self._poll(driver)
            if self.device.share == "idle":
                self._close()
                self._idle(self._next_poll - time.monotonic())
                return
        self._listen(driver)

    def _open(self) -> Driver:
        driver = catalog.open_driver(
            self.device.family,
            self.device.port,
            self.device.options,
            baud=self.device.baud,
            flow=self.device.line_flow,
            yield_now=self._yield_now,
            share=self.device.share != "own",
        )
        if driver.channel.on_unasked is None:
            driver.channel.on_unasked = lambda data: self._heard(driver, data)
        driver.tell = self._report
        driver.recall(self.recalled)
        self._driver = driver
        self._watch = OpenWatch(self.device.port)
        self._identified = False
        self._next_poll = 0.0
        return driver

    def _let_go(self) -> None:
        """Somebody opened the port that we hold: it is theirs. Raises PortBusy."""
        if self._watch is not None and self._watch.events() & OPENED:
            holder = who_holds(self.device.port)
            if holder is not None:
                raise PortBusy(self.device.port, holder)

    def _yield_now(self) -> bool:
        return self._stopping.is_set() or self._sale()

    def _poll(self, driver: Driver) -> None:
        started = time.monotonic()
        readings = driver.check_health(Level.INTERNAL)
        self.took_ms = (time.monotonic() - started) * 1000
        self._report(readings)
        if not self._identified:
            self._identify(driver)
            if driver.wants_check:
                self._next_poll = 0.0
        elif time.monotonic() - self._counted_at > _STATISTICS_S:
            self._count(driver)

    def _report(self, readings: Mapping[str, Reading]) -> None:
        self._every_s = self.device.poll_s
        self.last_answer_at = time.monotonic()
        self._next_poll = min(self._next_poll, self.last_answer_at + self._every_s)  # a noisy line's rest is over
        self.detail = ""
        self.recalled |= {
            n: each for n, each in readings.items() if each.value is not None or each.unknown == Cause.LOST
        }
        self._sink.observe(self.device.name, {**readings, "port": _PORT_OK, "reply": _REPLY_OK})

    def _identify(self, driver: Driver) -> None:
        try:
            identity = driver.identify()
        except (NoReply, BadReply, Refused):
            return  # the poll has just worked, so the next one tries again
        if "not_asked" in identity.extra:
            return  # it could not be asked in the state it is in
        self._identified = True
        self._sink.identified(self.device.name, identity)

    def _count(self, driver: Driver) -> None:
        self._counted_at = time.monotonic()
        try:
            statistics = driver.statistics()
        except (LinkLost, Yielded):
            raise
        except DriverError:
            return
        self._sink.counted(self.device.name, statistics)

    def _listen(self, driver: Driver) -> None:
        left = self._next_poll - time.monotonic()
        if left <= 0 or self._stopping.is_set():
            return
        data = driver.channel.link.read(left)
        if data:
            self._heard(driver, data)
            if driver.wants_check:
                self._next_poll = 0.0

    def _heard(self, driver: Driver, data: bytes) -> None:
        """Bytes that answer no question."""
        readings = driver.receive(data)
        if readings:
            self._report(readings)

    def _serve(self, driver: Driver) -> None:
        """Do what other threads asked for."""
        while True:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return
            if job.given_up:  # nobody waits any more, and it may print
                continue
            try:
                job.answer = job.verb(driver)
            except Exception as error:  # it belongs to whoever asked
                job.error = error
                if isinstance(error, LinkLost):
                    raise
            finally:
                job.done.set()

    def _refuse_jobs(self, error: DriverError) -> None:
        while True:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return
            job.error = error
            job.done.set()

    # --- when it does not answer

    def _failed(self, error: DriverError) -> None:
        if isinstance(error, Yielded):
            return
        self.detail = redact_text(str(error))
        if isinstance(error, NoReply) and time.monotonic() - (self.last_answer_at or 0.0) > _ABSENT_S:
            self._identified = False  # what answers next may be another device
        if isinstance(error, BadReply):
            self._every_s = max(self.device.poll_s, min(2 * self._every_s, _NOISY_POLL_S))
        port, reply = meaning(error)
        cause = error.cause
        readings = {name: unknown(cause) for name in self.family.driver.READINGS}
        readings["port"] = port
        readings["reply"] = reply
        if isinstance(error, PortBusy):
            readings["owner"] = known(error.owner)
        self._sink.observe(self.device.name, readings)
        if isinstance(error, LinkLost | PortBusy | PortDenied):
            self._refuse_jobs(error)
            self._close()
            self._idle(max(_REOPEN_S, min(self.device.poll_s, 5.0)))
        elif self.device.share == "idle":  # a port that was borrowed is given back from a silent device too
            self._close()
            self._idle(self._next_poll - time.monotonic())

    def _during_sale(self) -> None:
        self._refuse_jobs(Yielded("a sale is going on"))
        if self.device.share == "idle":
            self._close()
        self._idle(_SALE_S)

    def _look_only(self) -> None:
        """Side channels alone: is the port there, and who holds it. The device itself stays unknown."""
        self._refuse_jobs(PortBusy(self.device.port, "the payment application, by configuration"))
        readings = side_channels(self.device)
        self.detail = "" if readings["port"] == _PORT_OK else f"{self.device.port} does not exist"
        self._sink.observe(self.device.name, readings)
        self._idle(self.device.poll_s)

    def _idle(self, seconds: float) -> None:
        """Rest, until somebody asks for something or for the end."""
        if not self._stopping.is_set():
            self._nudged.wait(max(0.0, seconds))

    def let_go(self) -> None:
        """Give the port back whatever the thread does; in the successor's thread, since closing may hang too."""
        self._wake()
        self._refuse_jobs(Stopped("its worker was replaced"))
        self._close()

    def _close(self) -> None:
        driver, self._driver = self._driver, None
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.close()
        if driver is not None:
            driver.channel.link.close()


def finer_words(driver: Driver) -> str:
    """What its family says more exactly than its readings, in one short line; what is empty or off is left out."""
    facts = driver.specific().items()
    told = [f"{name} {'yes' if fact is True else fact}" for name, fact in facts if fact is not False and fact != ""]
    return redact_text("; ".join(told))[:_SPECIFIC_CHARS]


_PORT_OK = known("ok")
_REPLY_OK = known("ok")


def side_channels(device: DeviceConfig) -> dict[str, Reading]:
    """What can be known of a device that must not be opened: whether its port is there."""
    readings = {name: unknown(Cause.NOT_ASKED) for name in catalog.family(device.family).driver.READINGS}
    readings["port"] = known("ok" if Path(device.port).exists() else "lost")
    readings["reply"] = unknown(Cause.NOT_ASKED)
    return readings


def meaning(error: DriverError) -> tuple[Reading, Reading]:
    """What a failed exchange says of the port and of the device's answering."""
    match error:
        case LinkLost():
            return known("lost"), unknown(Cause.PORT_LOST)
        case PortBusy():
            return known("busy"), unknown(Cause.PORT_BUSY)
        case PortDenied():
            return known("denied"), unknown(Cause.PORT_DENIED)
        case BadReply():
            return _PORT_OK, known("bad", error.raw[:16])
        case NoReply():
            return _PORT_OK, known("none")
        case _:
            return _PORT_OK, _REPLY_OK
