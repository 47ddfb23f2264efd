"""A printer's line: questions in turn, and what the printer sends between them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from drivers.codecs.escpos import XOFF, Demux, Kind, Message, Request
from drivers.codecs.escpos_status import decode_packet
from drivers.codecs.malformed import Malformed
from drivers.deadline import Deadline
from drivers.errors import BadReply, NoReply, Refused
from drivers.exchange import Channel

REPLY_S: Final = 0.3  # a status reply leaves at once; at 9600 baud the question and it take 4 ms
TEXT_S: Final = 0.6  # up to 80 characters at 9600 baud are 83 ms, behind what is in the buffer or a packet under way
WARY_S: Final = 5.0  # this long after a byte that was no message the line is not believed at its first word
HALF_READ_S: Final = 0.4  # the bytes of a packet follow each other, but adapters and networks hold some back


class PrinterLine:
    """Owns the demultiplexer of one channel, and remembers how the line fared."""

    def __init__(self, channel: Channel) -> None:
        """Takes over what the channel calls unasked."""
        self.channel = channel
        self.packet = b""
        """The last packet of automatic status."""
        self.pushing = False
        """A packet came since the printer was last silent, so it reports changes by itself."""
        self.news = False
        """Something came unasked that nobody has looked at."""
        self.flow_stopped = False
        self.offline = False
        """What the printer last said of that, by a packet or to DLE EOT 1."""
        self.on_packet: Callable[[bytes], None] = lambda _packet: None
        """Called with each packet that comes while this object, not its caller, reads the line."""
        self.noises = 0
        """How many times something came that does not belong on a good line."""
        self._noise_at: float | None = None
        self._owes_text = False
        self._demux = Demux()
        self._malformed_before = 0
        channel.on_unasked = self._unasked

    @property
    def malformed(self) -> int:
        """How many times bytes were no message."""
        return self._demux.malformed

    @property
    def wary(self) -> bool:
        """Whether the line was bad within the last seconds."""
        return self._noise_at is not None and self.channel.clock() - self._noise_at < WARY_S

    def ask(self, request: Request, deadline_s: float = REPLY_S) -> Message:
        """The answer to one question. Raises NoReply, BadReply, LinkLost or Yielded."""
        return self._ask(request, deadline_s, _is_answer)

    def ask_buffered(self, request: Request) -> Message:
        """The answer to a question that waits in the printer's buffer while it is offline.

        Raises Refused "offline", also when it goes offline meanwhile, without waiting for what can then not come
        before it is online again; else as `ask`.
        """
        self._take_owed_text()
        self._unasked(self.channel.link.drain())
        if not self.offline:
            message = self._ask(request, TEXT_S, _is_answer_or_offline)
            if message.asked:
                return message
            self._owes_text = request.reply is Kind.BLOCK
            self._met(message)
        raise Refused(request.name, "offline")

    def _take_owed_text(self) -> None:
        """The answer to a question given up comes once it is online, and is not the next one's."""
        deadline = Deadline(TEXT_S, self.channel.clock)
        while self._owes_text and not self.offline and (data := self.channel.wait(deadline)):
            self._unasked(data)
        self._owes_text = self._owes_text and self.offline

    def _ask(self, request: Request, deadline_s: float, is_answer: Callable[[Message], bool]) -> Message:
        self._end_half_read()
        self._demux.expect(request.reply)
        try:
            return self.channel.ask(request.name, request.data, self._demux, deadline_s, is_answer, self._met)
        except (NoReply, BadReply) as error:
            cut_short = self._demux.half_read
            self._demux.reset()
            self._noise()
            self.pushing = False  # it may have been without power
            if isinstance(error, NoReply) and cut_short:
                raise BadReply(request.name, error.partial, "cut short") from error
            raise
        finally:
            self._demux.expect(None)
            for packet in self._pump()[-1:]:  # it came in one read with the answer
                self.on_packet(packet)

    def _end_half_read(self) -> None:
        """Nothing may be asked while a packet is under way; its rest comes soon or never."""
        deadline = Deadline(HALF_READ_S, self.channel.clock)
        while self._demux.half_read and (data := self.channel.wait(deadline)):
            self._unasked(data)
        self._demux.reset()

    def listen(self, seconds: float) -> None:
        """Take in what comes unasked within this time."""
        deadline = Deadline(seconds, self.channel.clock)
        while data := self.channel.wait(deadline):
            self._unasked(data)

    def take(self, data: bytes) -> list[bytes]:
        """The packets in bytes that came while nothing, or not yet, was asked. Never raises."""
        awaited = self._demux.awaited
        self._demux.expect(None)
        self._demux.feed(data)
        packets = self._pump()
        self._demux.expect(awaited)
        return packets

    def _unasked(self, data: bytes) -> None:
        for packet in self.take(data)[-1:]:
            self.on_packet(packet)

    def _met(self, message: Message) -> None:
        self._note(message)
        if message.kind is Kind.PACKET:
            self.on_packet(message.data)

    def _pump(self) -> list[bytes]:
        packets = []
        while True:
            try:
                message = self._demux.next()
            except Malformed:
                continue
            if message is None:
                break
            self._note(message)
            if message.kind is Kind.PACKET:
                packets.append(message.data)
        if self._demux.malformed != self._malformed_before:
            self._noise()
        return packets

    def _note(self, message: Message) -> None:
        if message.kind is Kind.PACKET:
            self.packet, self.pushing, self.news = message.data, True, True
            self.offline = _says_offline(message)
        elif message.kind is Kind.NOTICE:
            self.news = True
        elif message.kind is Kind.FLOW:
            self.flow_stopped = message.data[0] == XOFF
        elif message.kind is Kind.BLOCK:
            self._owes_text = False
        elif message.kind is Kind.STATUS:
            self._noise()  # a reply to no question: late, or made of noise

    def _noise(self) -> None:
        self._malformed_before = self._demux.malformed
        self._noise_at = self.channel.clock()
        self.noises += 1


def _is_answer(message: Message) -> bool:
    return message.asked


def _is_answer_or_offline(message: Message) -> bool:
    return message.asked or (message.kind is Kind.PACKET and _says_offline(message))


def _says_offline(message: Message) -> bool:
    return decode_packet(message.data)["offline"] is True
