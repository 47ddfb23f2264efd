"""Talking AT: the set-up of a contact, one question at a time, and what this firmware turned out to lack."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from drivers.codecs import at_requests
from drivers.codecs.at import CLOSE_MUX, AtDecoder, Final, Line, Request
from drivers.errors import BadReply, LinkLost, NoReply, Refused
from drivers.exchange import Channel, Decoder
from drivers.redact import redact_text

T = TypeVar("T")

_REPLY_S = 0.5  # modems answer status questions within 0.3 s, by their makers' tables
_LACKING_FOR_S = 600.0  # a command that the firmware refused as unknown is tried again after this
_UNKNOWN_COMMAND = {"ERROR", "4"}
_MAY_BE_REFUSED_LATER = (at_requests.SIM, *at_requests.SETUP)


class Unreadable(BadReply):
    """The modem ended its answer twice, and what it said is not what this command answers. The line is idle again."""


def is_unknown_command(refusal: Refused) -> bool:
    """Whether the firmware has no such command, rather than no answer in its present state."""
    return refusal.code in _UNKNOWN_COMMAND


class AtLine:
    """A contact with one modem. `contact` counts them: it grows when nothing of before can be taken for granted."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.contact = 0
        self._ready = False
        self._silences = 0
        self._lacking: dict[Request, float] = {}
        self._parsed: dict[Request, tuple[list[str], Any]] = {}

    def forget(self) -> None:
        """The modem restarted, or the line failed: the next question sets up anew."""
        self.contact += 1
        self._ready = False
        self._lacking.clear()

    def restarting(self) -> None:
        """It was told to restart: a new contact, and silence is no sign of a modem left multiplexing."""
        self.forget()
        self._silences = 2

    def expect_everything(self) -> None:
        """What was refused may work now, such as after another card was put in."""
        self._lacking.clear()

    def set_up_again(self) -> None:
        """An error without a number: the settings were lost though the modem was not seen to restart."""
        self._ready = False

    def guarded(self, act: Callable[[], T]) -> T:
        """Set up if need be, then act. A failed line ends the contact."""
        try:
            self._set_up()
            return act()
        except (NoReply, BadReply, LinkLost):
            self.forget()
            raise

    def command(self, request: Request, before: bytes = b"") -> None:
        """A command whose whole answer is OK. Raises Refused."""
        self.query(request, lambda _lines: None, before)

    def query(self, request: Request, parse: Callable[[list[str]], T], before: bytes = b"") -> T:
        """The parsed answer, not to be changed. `parse` raises ValueError for an unreadable one, which is asked again.

        Raises Refused with the error's number or text, Unreadable, NoReply, BadReply, LinkLost or Yielded.
        """
        if self._lacking.get(request, 0.0) > self.channel.clock():
            raise Refused(request.text, "ERROR")
        why = ""
        for prefix in (before, b""):
            lines, final, noisy = self._exchange(request, prefix)
            if noisy:
                why = "bytes that no text has"
                continue
            if not final.ok:
                if final.code in _UNKNOWN_COMMAND and request not in _MAY_BE_REFUSED_LATER:
                    self._lacking[request] = self.channel.clock() + _LACKING_FOR_S
                raise Refused(request.text, final.code)
            told, parsed = self._parsed.get(request, (None, None))
            if lines == told:  # most answers are the last one's words, and each request has one parser
                return cast("T", parsed)
            try:
                parsed = parse(lines)
            except ValueError as error:
                why = str(error)
                continue
            text = "\n".join(lines)
            if redact_text(text) == text:  # what may hold a card number is not kept
                self._parsed[request] = lines, parsed
            return parsed
        raise Unreadable(request.text, b"", why)  # no bytes: an unasked line among them may name a caller

    def _set_up(self) -> None:
        """Once for each contact. After one silence, free a modem that was left multiplexing; no second time."""
        if self._ready:
            return
        contact = self.contact
        first, *others = at_requests.SETUP
        try:
            try:
                self.command(first, CLOSE_MUX + b"\r" if self._silences == 1 else b"")
            except Refused:  # what came before it on the line was taken for a part of it
                self.command(first)
        except NoReply:
            self._silences += 1
            raise
        self._silences = 0
        for request in others:
            try:
                self.command(request)
            except Refused:
                continue  # an old modem without the setting; the parsers take either form
        self._ready = contact == self.contact  # else it restarted meanwhile

    def _exchange(self, request: Request, before: bytes) -> tuple[list[str], Final, bool]:
        decoder = AtDecoder(request.text)
        reader: Decoder[Line | Final] = decoder
        lines: list[str] = []

        def other(message: Line | Final) -> None:
            if isinstance(message, Line) and not message.echo:
                lines.append(message.text)

        try:
            final = self.channel.ask(request.text, before + request.encoded, reader, _REPLY_S, _is_final, other)
        except NoReply as silence:
            if lines and not any(line.startswith(("+", "^", "*")) for line in lines):
                raise BadReply(request.text, b"", "lines that are no reply") from silence
            raise
        if "RDY" in lines:
            self.forget()
        return lines, _as_final(final), bool(decoder.bad)


def _is_final(message: Line | Final) -> bool:
    return isinstance(message, Final)


def _as_final(message: Line | Final) -> Final:
    return message if isinstance(message, Final) else Final(ok=False, code="ERROR")
