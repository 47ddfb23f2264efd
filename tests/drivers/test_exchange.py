"""The one read loop: deadlines, late answers, a line that is never quiet, a sale that begins."""

from __future__ import annotations

import pytest

from drivers.codecs.malformed import Malformed
from drivers.deadline import Deadline
from drivers.errors import BadReply, LinkLost, NoReply, Yielded
from drivers.exchange import Channel
from tests.drivers.scripted import ManualClock, ScriptedLink


class Lines:
    """A protocol for tests: messages end with LF, and "!" is no message."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> None:
        self._buffer += data

    def next(self) -> str | None:
        if self._buffer[:1] == b"!":
            self._buffer = self._buffer[1:]
            raise Malformed("an exclamation mark")
        line, end, rest = self._buffer.partition(b"\n")
        if not end:
            return None
        self._buffer = rest
        return line.decode()


def channel(*answers: tuple[float, bytes], quiet_s: float = 2.0) -> tuple[Channel, ScriptedLink]:
    link = ScriptedLink(lambda _request: list(answers))
    return Channel(link, clock=link.clock, quiet_s=quiet_s), link


def test_the_answer_in_any_pieces():
    line, link = channel((0.01, b"an"), (0.02, b"sw"), (0.03, b"er\n"))
    assert line.ask("it", b"?", Lines(), 0.5) == "answer"
    assert link.written == [b"?"]
    assert not line.unsettled


def test_the_deadline_is_one_for_all_reads():
    line, link = channel(*((0.3 * place, b"x") for place in range(1, 9)))
    start = link.clock.now
    with pytest.raises(NoReply) as failure:
        line.ask("it", b"?", Lines(), 1.0)
    assert link.clock.now - start == pytest.approx(1.0)
    assert failure.value.partial == b"xxx"


def test_what_waited_before_the_question_answers_nothing():
    line, link = channel((0.01, b"new\n"))
    unasked: list[bytes] = []
    line.on_unasked = unasked.append
    link.push(b"old\n")
    assert line.ask("it", b"?", Lines(), 0.5) == "new"
    assert unasked == [b"old\n"]


def test_other_messages_go_elsewhere():
    line, _ = channel((0.01, b"news\nanswer\n"))
    other: list[str] = []
    assert line.ask("it", b"?", Lines(), 0.5, lambda text: text == "answer", other.append) == "answer"
    assert other == ["news"]


def test_garbage_before_the_answer_is_passed_over():
    line, _ = channel((0.01, b"!!answer\n"))
    assert line.ask("it", b"?", Lines(), 0.5) == "answer"


def test_garbage_alone_is_a_bad_reply():
    line, _ = channel((0.01, b"!!"))
    with pytest.raises(BadReply) as failure:
        line.ask("it", b"?", Lines(), 0.5)
    assert failure.value.raw == b"!!"
    assert "exclamation" in failure.value.why


def test_a_late_answer_does_not_answer_the_next_question():
    line, link = channel((1.5, b"late\n"))
    unasked: list[bytes] = []
    line.on_unasked = unasked.append
    with pytest.raises(NoReply):
        line.ask("first", b"1", Lines(), 0.3)
    assert line.unsettled
    link.respond = lambda _request: [(0.01, b"second\n")]
    start = link.clock.now
    assert line.ask("second", b"2", Lines(), 0.3) == "second"
    assert unasked == [b"late\n"]
    assert link.clock.now - start > 2.0, "after the late one, the line had to be quiet again"


def test_time_that_passed_anyway_counts_as_quiet():
    line, link = channel()
    with pytest.raises(NoReply):
        line.ask("first", b"1", Lines(), 0.3)
    link.read(10)
    assert not line.unsettled
    start = link.clock.now
    with pytest.raises(NoReply):
        line.ask("second", b"2", Lines(), 0.3)
    assert link.clock.now - start == pytest.approx(0.3)


def test_a_line_that_is_never_quiet_is_a_bad_reply():
    line, link = channel(quiet_s=0.5)
    with pytest.raises(NoReply):
        line.ask("first", b"1", Lines(), 0.3)
    for place in range(200):
        link.push(b"babble", 0.1 * place)
    with pytest.raises(BadReply, match="never quiet"):
        line.ask("second", b"2", Lines(), 0.3)
    assert link.written == [b"1"], "nothing was asked on such a line"


def test_a_sale_ends_an_exchange_within_its_200_ms():
    clock = ManualClock()
    link = ScriptedLink(lambda _request: [], clock)
    began = clock.now + 0.35
    line = Channel(link, clock=clock, yield_now=lambda: clock.now >= began)
    with pytest.raises(Yielded):
        line.ask("it", b"?", Lines(), 5.0)
    assert clock.now - began <= 0.2


def test_a_lost_link_passes_through():
    line, link = channel()
    link.lost = True
    with pytest.raises(LinkLost):
        line.ask("it", b"?", Lines(), 0.5)


def test_an_answers_usual_time_is_slept_through_and_one_late_answer_is_soon_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    delays = [0.02] * 20 + [0.4] + [0.02] * 30
    link = ScriptedLink(lambda _request: [(delays.pop(0), b"answer\n")])
    line = Channel(link, clock=link.clock, gather_s=0.004)
    waited: list[float] = []
    read = link.read

    def sleep(seconds: float) -> None:
        link.clock.now += seconds

    def watched(timeout_s: float) -> bytes:
        waited.append(timeout_s)
        return read(timeout_s)

    monkeypatch.setattr("drivers.exchange.time.sleep", sleep)
    monkeypatch.setattr(link, "read", watched)
    took = []
    blocked = []
    while delays:
        waited.clear()
        start = link.clock.now
        assert line.ask("it", b"?", Lines(), 1.0) == "answer"
        took.append(link.clock.now - start)
        blocked.append(any(waited))
    assert blocked[0], "nothing is known of the first"
    assert sum(blocked[1:20]) <= 4, "nearly every other answer is there when it is looked for"
    assert max(took[:20]) < 0.023
    assert took[20] == pytest.approx(0.4), "a late answer is not missed"
    assert max(took[21:]) <= 0.04
    assert took[-1] < 0.026


def test_a_deadline_never_goes_below_zero():
    clock = ManualClock()
    deadline = Deadline(1.0, clock)
    assert not deadline.expired
    clock.now += 3
    assert deadline.expired
    assert deadline.remaining_s() == 0.0
