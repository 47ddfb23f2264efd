"""The only read loop. Easily wrong, so it stands once: drain, write, feed, decide."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol, TypeVar

from drivers.codecs.malformed import Malformed
from drivers.deadline import Clock, Deadline
from drivers.errors import BadReply, NoReply, Yielded
from drivers.link import Link

__all__ = ["Channel", "Decoder", "Malformed"]

Message = TypeVar("Message")
MessageOut = TypeVar("MessageOut", covariant=True)

_KEEP_BYTES = 1024
_GATHER_MOST_S = 0.04  # a long answer may come this much late; a sale must still be noticed within 0.2 s
_SLICE_S = 0.1  # a sale that begins is noticed within this; the contract allows 0.2 s
# An answer that was not there yet is slept for a little longer next time, any other less and less.
_LONGER, _LONGEST, _SHORTER = 1.1, 2.0, 0.98


class Decoder(Protocol[MessageOut]):
    """Pure. `feed` never raises and keeps a bounded buffer."""

    def feed(self, data: bytes) -> None:
        """Take bytes in."""

    def next(self) -> MessageOut | None:
        """The next message, None for "need more"; raises `Malformed` after consuming at least one byte."""


class Channel:
    """One device's line and the state that must outlive a question.

    After a question went unanswered, its answer may still come and would look like the answer to the next one. So the
    line must then be quiet for `quiet_s` before anything is asked again; what arrives meanwhile goes to `on_unasked`.
    """

    def __init__(
        self,
        link: Link,
        *,
        clock: Clock = time.monotonic,
        quiet_s: float = 2.0,
        yield_now: Callable[[], bool] | None = None,
        gather_s: float = 0.0,
    ) -> None:
        """`yield_now` is asked in every wait; when it says True the exchange is given up with `Yielded`.

        `gather_s` is how long to let an unfinished answer grow before reading on: a slow line hands over its bytes one
        by one, and waking for each costs more than all the rest. Where it is not 0, the time that an answer usually
        takes is slept through as well, so that it is whole when it is looked for.
        """
        self.link = link
        self.clock = clock
        self.on_unasked: Callable[[bytes], None] | None = None
        self._gather_s = gather_s
        self._quiet_s = quiet_s
        self._quiet: Deadline | None = None
        self._usual_s: dict[str, float] = {}
        self._least_s: dict[str, float] = {}
        self._yield_now = yield_now or (lambda: False)

    @property
    def unsettled(self) -> bool:
        """Whether an earlier question is still unanswered and its late answer may be under way."""
        return self._quiet is not None and not self._quiet.expired

    def ask(
        self,
        asked: str,
        request: bytes,
        decoder: Decoder[Message],
        deadline_s: float,
        is_answer: Callable[[Message], bool] = lambda _message: True,
        on_other: Callable[[Message], None] | None = None,
    ) -> Message:
        """Send `request`, and return the first message for which `is_answer` holds.

        Other messages go to `on_other`. Give a new decoder each time, unless the protocol's own demultiplexer must
        outlive a question. `asked` names the question for people and never holds payload.

        Raises NoReply (nothing usable came), BadReply (bytes came that are no message), LinkLost, Yielded.
        """
        self.settle()
        self._unasked(self.link.drain())
        self._give_way()
        deadline = Deadline(deadline_s, self.clock)
        self.link.write(request)
        usual_s = self._usual_s.get(asked, 0.0) if self._gather_s else 0.0
        self._sleep(min(usual_s, deadline.remaining_s()))
        data = self.link.read(0) if usual_s else b""
        at_once = bool(data)
        seen = bytearray()
        bad = ""
        gather_s = self._gather_s
        while True:
            data = data or self.wait(deadline)
            if not data:
                self._quiet = Deadline(self._quiet_s, self.clock)
                if bad:
                    raise BadReply(asked, bytes(seen), bad)
                raise NoReply(asked, bytes(seen))
            if len(seen) < _KEEP_BYTES:
                seen += data
            decoder.feed(data)
            answers, why = _answers(decoder, is_answer, on_other)
            if answers:
                self._note_usual(asked, deadline_s - deadline.remaining_s(), at_once=at_once)
                return answers[0]
            bad = why or bad
            data, at_once = b"", False
            if gather_s:
                time.sleep(min(gather_s, deadline.remaining_s()))
                gather_s = min(2 * gather_s, _GATHER_MOST_S)

    def _note_usual(self, asked: str, took_s: float, *, at_once: bool) -> None:
        """How long to sleep for this answer next time; an answer that was late once is not slept for ever after."""
        if at_once:
            self._usual_s[asked] *= _SHORTER
            return
        least_s = self._least_s[asked] = min(took_s, self._least_s.get(asked, took_s))
        self._usual_s[asked] = min(_LONGER * took_s, _LONGEST * least_s)

    def wait(self, deadline: Deadline) -> bytes:
        """The next bytes, or b"" once the deadline has passed. Raises Yielded when a sale begins."""
        while True:
            self._give_way()
            left = deadline.remaining_s()
            data = self.link.read(min(left, _SLICE_S))
            if data or deadline.expired:
                return data

    def _sleep(self, seconds: float) -> None:
        while seconds > _SLICE_S:
            time.sleep(_SLICE_S)
            seconds -= _SLICE_S
            self._give_way()
        if seconds > 0:
            time.sleep(seconds)

    def settle(self) -> None:
        """Wait until a late answer to an earlier question can no longer come: the line was quiet for `quiet_s`.

        Raises BadReply when it never is, which is what a line that babbles looks like.
        """
        patience = Deadline(3 * self._quiet_s, self.clock)
        while self._quiet is not None:
            data = self.wait(self._quiet)
            if not data:
                self._quiet = None
                return
            self._unasked(data)
            self._quiet = Deadline(self._quiet_s, self.clock)
            if patience.expired:
                raise BadReply("nothing", data, "the line is never quiet")

    def _give_way(self) -> None:
        if self._yield_now():
            raise Yielded("a sale began")

    def _unasked(self, data: bytes) -> None:
        if data and self.on_unasked is not None:
            self.on_unasked(data)


def _answers(
    decoder: Decoder[Message], is_answer: Callable[[Message], bool], on_other: Callable[[Message], None] | None
) -> tuple[list[Message], str]:
    """Empty the decoder up to the answer: that one, or nothing; and why the last bytes were no message, "" if none."""
    bad = ""
    while True:
        try:
            message = decoder.next()
        except Malformed as error:
            bad = str(error)
            continue
        if message is None:
            return [], bad
        if is_answer(message):
            return [message], bad
        if on_other is not None:
            on_other(message)
