from __future__ import annotations

import os
import threading
import time
import tty
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from agent.asking import Answer, Question, failed_readings, gather, of_device
from agent.config import DeviceConfig
from agent.probes.port import PortWorker
from drivers.errors import NoReply, Stopped, Yielded
from drivers.reading import Level, known, unknown
from tests.agent.test_supervise import Heard
from tests.wait import wait_until

GOOD = Question(lambda: Answer({"paper": known("ok")}, "fine"))


def raising(error: Exception) -> Question:
    def ask() -> Answer:
        raise error

    return Question(ask, ("paper", "reply"))


def test_one_that_hangs_or_fails_costs_nobody_elses_answer() -> None:
    release = threading.Event()

    def hang() -> Answer:
        release.wait(30)
        return Answer({"paper": known("ok")})

    questions = {
        "hung": Question(hang, ("paper", "reply")),
        "busy": raising(TimeoutError("busy was busy for more than 8 s")),
        "broken": raising(ZeroDivisionError("by zero")),
        "good": GOOD,
    }
    began = time.monotonic()
    answers = gather(questions, 1.5)
    assert time.monotonic() - began < 20
    release.set()
    silent = {"paper": unknown("no_reply"), "reply": unknown("no_reply")}
    assert answers == {
        "hung": Answer(silent, "no answer within 1.5 s"),
        "busy": Answer(silent, "busy was busy for more than 8 s"),
        "broken": Answer({"paper": unknown("failed"), "reply": unknown("failed")}, "ZeroDivisionError: by zero"),
        "good": Answer({"paper": known("ok")}, "fine"),
    }


def test_without_threads_each_says_so(no_threads: list[str]) -> None:
    no_threads.append("ask-hung")
    answers = gather({"hung": raising(ZeroDivisionError()), "good": GOOD}, 20)
    assert answers["good"].text == "fine"
    assert answers["hung"] == Answer({"paper": unknown("failed"), "reply": unknown("failed")}, "can't start new thread")


def test_during_a_sale_nothing_is_known_of_the_port_either() -> None:
    assert set(failed_readings("escpos", Yielded("a sale began")).values()) == {unknown("sale")}
    silent = failed_readings("escpos", NoReply("status"))
    assert (silent["port"], silent["reply"], silent["paper"]) == (known("ok"), known("none"), unknown("no_reply"))


@pytest.fixture
def port() -> Iterator[str]:
    """A port at whose far end nobody answers."""
    far, near = os.openpty()
    tty.setraw(near)
    yield os.ttyname(near)
    os.close(far)
    os.close(near)


def test_a_worker_that_ends_leaves_its_device_unasked_and_no_sale(port: str) -> None:
    worker = PortWorker(DeviceConfig(name="printer", family="escpos", port=port), Heard())
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(worker.ask, lambda driver: driver.check_health(), 10)
        wait_until(worker._jobs.qsize)
        worker.stop()
        worker.start()
        error = asked.exception(10)
    worker.join(5)
    assert isinstance(error, Stopped)
    assert set(failed_readings("escpos", error).values()) == {unknown("not_asked")}


def open_files(port: str) -> int:
    """How often this process has the port open."""
    fds = Path("/proc/self/fd")
    return sum(os.path.realpath(fds / name) == port for name in os.listdir(fds))  # noqa: PTH208 - some are gone by then


@pytest.mark.parametrize("share", ["idle", "never"])
def test_a_question_ends_the_rest_between_two_polls(port: str, share: str) -> None:
    device = DeviceConfig(name="printer", family="escpos", port=port, poll_s=600, share=share)  # type: ignore[arg-type]
    sink = Heard()
    worker = PortWorker(device, sink)
    worker.start()
    try:
        wait_until(lambda: sink.readings)
        wait_until(lambda: open_files(port) == 1)  # the test's own: between two polls it is nobody's
        with pytest.raises(Exception, match="no reply" if share == "idle" else "by configuration"):
            worker.ask(lambda driver: driver.check_health(Level.INTERNAL), 30)  # the next poll is ten minutes away
    finally:
        worker.stop()
        worker.join(20)
    assert not worker.is_alive()


def test_what_nobody_waits_for_any_more_is_not_done(port: str) -> None:
    done: list[str] = []
    begun, release = threading.Event(), threading.Event()
    worker = PortWorker(DeviceConfig(name="printer", family="escpos", port=port, poll_s=600), Heard())
    worker.start()
    try:
        blocker = threading.Thread(target=lambda: worker.ask(lambda _driver: (begun.set(), release.wait(30)), 30))
        blocker.start()
        assert begun.wait(20)
        with pytest.raises(TimeoutError, match=r"printer was busy for more than 0\.1 s"):
            worker.ask(lambda _driver: done.append("printed"), 0.1)
        release.set()
        blocker.join(20)
        worker.ask(lambda _driver: done.append("asked"), 20)
        assert done == ["asked"]
    finally:
        release.set()
        worker.stop()
        worker.join(5)


def test_a_device_that_is_the_applications_alone_is_not_asked(tmp_path: Path) -> None:
    def run(_verb: object) -> Answer:
        raise AssertionError("it must not be asked")

    port = tmp_path / "tty"
    device = DeviceConfig(name="reader", family="crt571", port=str(port), share="never")
    lost = gather({"reader": of_device(device, Level.INTERNAL, run)}, 20)["reader"].readings
    assert lost["port"] == known("lost")
    port.touch()
    answer = gather({"reader": of_device(device, Level.INTERNAL, run)}, 20)["reader"]
    readings, text = answer.readings, answer.text
    assert readings.pop("port") == known("ok")
    assert set(readings.values()) == {unknown("not_asked")}
    assert "by configuration" in text
