"""Cellular modems that speak AT: the common commands, and Quectel's and SIMCom's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import ClassVar

from drivers.at_line import AtLine, Unreadable, is_unknown_command
from drivers.codecs import at_quectel, at_replies, at_simcom
from drivers.codecs import at_requests as ask
from drivers.codecs.at import AtDecoder, Line, Request
from drivers.codecs.at_replies import Registration, Signal
from drivers.codecs.malformed import Malformed
from drivers.deadline import Deadline
from drivers.driver import Driver
from drivers.errors import BadReply, NoReply, Refused
from drivers.exchange import Channel
from drivers.family import Family, Whole
from drivers.reading import Cause, Identity, Level, Reading, ReadingSpec, Value, known, unknown

Facts = dict[str, Reading]

_SPARE_S = 1.0  # a check ends within 2 s, so no slow question starts after this and each has 0.5 s
_STOP_S = 3.0  # for a moment after the restart is accepted, a modem still answers as if nothing were
_BOOT_S = 20.0  # modules on the market take 10 to 20 s from a restart to their first answer
_PERIOD_S = {"data": 5.0, "iccid": 30.0, "operator": 30.0, "rssi_dbm": 5.0, "temperature_c": 30.0, "clock_utc": 30.0}
_TOLERANCE = {"rssi_dbm": 15, "rsrp_dbm": 15, "rsrq_db": 8, "sinr_db": 15, "temperature_c": 10}
_ACTIVE, _ADDRESSED = "active context", "active context with an address"
_MORE_WITHOUT_CHECK_DIGIT = 2  # any zero lost from a row of zeros gives the same wrong number, so two answers can agree
_CARD_BUSY = {"14", "SIM busy"}
_CLOCK_TOLERANCE_S = 5  # between two answers to the same question

_SIGNALS = {
    "rssi_dbm": ReadingSpec(unit="dBm"),
    "rsrp_dbm": ReadingSpec(unit="dBm", about="lower edge where the modem tells a range"),
    "rsrq_db": ReadingSpec(unit="dB"),
}
_COMMON = {
    "sim": ReadingSpec(("ready", "absent", "pin", "puk", "failure")),
    "iccid": ReadingSpec(about="number of the SIM card, not of its owner"),
    **_SIGNALS,
    "registration": ReadingSpec(("home", "roaming", "searching", "denied", "none", "unknown")),
    "cell": ReadingSpec(about="hexadecimal, at least 8 digits"),
    "tac": ReadingSpec(about="hexadecimal, at least 4 digits"),
    "operator": ReadingSpec(about="name, or country and network code, as the modem is set"),
    "access": ReadingSpec(about="access technology such as LTE"),
    "data": ReadingSpec(("up", "down"), about="whether a context is active and has an address"),
    "clock_utc": ReadingSpec(about="the network's time, RFC 3339"),
}
_SERVING = (*_SIGNALS, "sinr_db", "access", "tac", "cell")
"""What the signal question tells; the last three only where registration does not, and finer for `access`."""
_TEMPERATURE = {"temperature_c": ReadingSpec(unit="°C", about="the hottest sensor")}


class AtModem(Driver):
    """Any modem of TS 27.007. AT has no checksum, so a value that changed is believed when it is told twice."""

    family = "at"
    unit = "modem"
    READINGS: ClassVar[Mapping[str, ReadingSpec]] = _COMMON
    pushes = True
    CARD_QUESTIONS: ClassVar[Sequence[Request]] = (ask.CCID, ask.ICCID, ask.CARD_FILE)
    SIGNAL: ClassVar[tuple[Request, Callable[[list[str]], Signal]]] = (ask.EXTENDED_SIGNAL, at_replies.parse_cesq)
    TEMPERATURE: ClassVar[tuple[Request, Callable[[list[str]], int | None]] | None] = None
    CLOCKS: ClassVar[Sequence[tuple[Request, Callable[[list[str]], datetime | None]]]] = (
        (ask.CLOCK, at_replies.parse_clock),
    )

    def __init__(self, channel: Channel, options: Mapping[str, Value] | None = None) -> None:
        """`options["cid"]` names the one context that carries the terminal's data; without it any active one counts."""
        super().__init__(channel, options)
        self._line = AtLine(channel)
        self._pushed = AtDecoder()
        self._start()

    def _start(self) -> None:
        """At a new contact nothing of before is taken for granted."""
        self._contact = self._line.contact
        self._believed: Facts = {}
        self._kept: Facts = {}
        self._due: dict[str, float] = {}
        self._finer: dict[str, Value] = {}

    def identify(self) -> Identity:
        return self._line.guarded(
            lambda: Identity(
                manufacturer=self._identity(ask.MAKER, at_replies.parse_text),
                model=self._identity(ask.MODEL, at_replies.parse_text),
                firmware=self._identity(ask.REVISION, at_replies.parse_text),
                serial=self._identity(ask.IMEI, at_replies.parse_imei),
            )
        )

    def check_health(self, level: Level = Level.INTERNAL) -> Facts:
        """SIM, registration and signal are asked each time, the rest in turn; a level above INTERNAL asks all anew."""
        if level > Level.INTERNAL:
            self._due.clear()
        return self._line.guarded(self._check)

    def recover(self) -> Facts:
        """Restart the modem and wait for its first answer. Raises NoReply when there is none within 20 s."""
        self._line.guarded(lambda: self._line.command(ask.RESTART))
        self._line.restarting()
        deadline = Deadline(_BOOT_S, self.channel.clock)
        stopping = Deadline(_STOP_S, self.channel.clock)
        while not stopping.expired:
            self.channel.wait(stopping)
        while True:
            try:
                return self.check_health()
            except (NoReply, BadReply):
                if deadline.expired:
                    raise

    def receive(self, data: bytes) -> Facts:
        """Registration as the modem reports it unasked, when it says `home`, `searching` or `none`.

        One flipped bit makes `denied` or `roaming` of those, and each raises a fault: they wait for the next question.
        """
        self._pushed.feed(data)
        facts: Facts = {}
        while True:
            try:
                message = self._pushed.next()
            except Malformed:
                continue
            if message is None:
                return facts
            if isinstance(message, Line):
                facts |= self._reported(message.text)

    def specific(self) -> dict[str, Value]:
        return dict(self._finer)

    def _check(self) -> Facts:
        if self._contact != self._line.contact:
            self._start()
        spare = Deadline(_SPARE_S, self.channel.clock)
        before = dict(self._believed)
        facts = self._fact(("sim",), self._sim, vital=True)
        if facts["sim"] != before.get("sim"):
            self._line.expect_everything()
            self._hurry("iccid")
        facts |= self._fact(("registration", "tac", "cell", "access"), self._registration, vital=True)
        if facts["registration"] != before.get("registration"):
            self._hurry("data", "operator", "clock_utc")
        signal = self._fact([f"serving.{name}" for name in _SERVING], self._signal)
        for name in _SERVING:
            finer = signal[f"serving.{name}"]
            if name not in facts or (
                finer.value is not None and (name == "access" or facts[name].unknown == Cause.MASKED)
            ):
                facts[name] = finer
        self._take_turns(facts, spare)
        because = facts["data"].value
        if because is not None:
            self._finer["data_because"] = because
            facts["data"] = known("up" if because in {_ACTIVE, _ADDRESSED} else "down")
        return {name: facts[name] for name in self.READINGS}

    def _hurry(self, *names: str) -> None:
        for name in names:
            self._due.pop(name, None)

    def _take_turns(self, facts: Facts, spare: Deadline) -> None:
        """Ask what is due, longest waiting first, as far as the time goes; the others keep their last value."""
        questions: dict[str, Callable[[], Facts]] = {
            "data": self._data,
            "iccid": lambda: self._iccid(facts["sim"]),
            "operator": lambda: self._operator(facts["registration"]),
            "clock_utc": self._clock,
        }
        if self.TEMPERATURE is not None:
            questions["temperature_c"] = self._temperature
        if facts["rssi_dbm"].value is None:
            questions["rssi_dbm"] = self._strength
        now = self.channel.clock()
        for name in sorted(questions, key=lambda name: self._due.get(name, 0.0)):
            if self._due.get(name, 0.0) <= now and not spare.expired:
                self._kept |= self._fact((name,), questions[name])
                self._due[name] = now + _PERIOD_S[name]
            facts[name] = self._kept.get(name, unknown(Cause.NOT_ASKED))

    def _fact(self, names: Sequence[str], question: Callable[[], Facts], *, vital: bool = False) -> Facts:
        """Ask; ask again when an answer is new; what then differs is INCONSISTENT, what is refused says so.

        An unreadable answer fails the check when it is `vital`; else some firmware just words it in its own way.
        """
        try:
            facts = question()
            if not all(_alike(name, self._believed.get(name), fact) for name, fact in facts.items()):
                again = question()
                facts = {
                    name: fact if _alike(name, facts.get(name), fact) else unknown(Cause.INCONSISTENT)
                    for name, fact in again.items()
                }
        except Refused as refusal:
            cause = Cause.UNSUPPORTED if is_unknown_command(refusal) else Cause.REFUSED
            return dict.fromkeys(names, unknown(cause))
        except Unreadable:
            if vital:
                raise
            return dict.fromkeys(names, unknown(Cause.BAD_REPLY))
        self._believed |= facts
        return facts

    def _sim(self) -> Facts:
        self._finer.pop("sim_error", None)
        try:
            state = self._line.query(ask.SIM, at_replies.parse_sim)
        except Refused as refusal:
            self._finer["sim_error"] = refusal.code
            state = at_replies.sim_by_error(refusal.code)
            if state is None and refusal.code not in _CARD_BUSY:
                self._line.set_up_again()
                raise
        return {"sim": unknown(Cause.FAILED) if state is None else known(state)}

    def _registration(self) -> Facts:
        """Packet service of any generation; the first that is registered, else what says most."""
        found: list[Registration] = []
        for packet in (ask.EPS_REGISTRATION, ask.PACKET_REGISTRATION, ask.NR_REGISTRATION):
            answer = self._registered_by(packet)
            if answer is not None:
                found.append(answer)
                if answer.registered:
                    break
        if not found:
            request = ask.CIRCUIT_REGISTRATION
            found = [self._line.query(request, lambda lines: _registration(lines, request))]
        weight = {"home": 4, "roaming": 4, "denied": 3, "searching": 2, "unknown": 1, "none": 0}
        best = max(found, key=lambda registration: weight[registration.state])
        self._finer["registration_stat"] = best.stat
        return _told(best)

    def _registered_by(self, request: Request) -> Registration | None:
        try:
            return self._line.query(request, lambda lines: _registration(lines, request))
        except Refused:
            return None

    def _signal(self) -> Facts:
        signal = self._line.query(*self.SIGNAL)
        if signal.state:
            self._finer["serving_state"] = signal.state
        self._finer.pop("sinr_raw", None)
        if signal.raw_sinr is not None:
            self._finer["sinr_raw"] = signal.raw_sinr
        values = {name: getattr(signal, name) for name in _SERVING}
        return {f"serving.{name}": _measured(None if value == "" else value) for name, value in values.items()}

    def _strength(self) -> Facts:
        return {"rssi_dbm": _measured(self._line.query(ask.STRENGTH, at_replies.parse_csq).rssi_dbm)}

    def _iccid(self, sim: Reading) -> Facts:
        if sim.value is None or sim.value in {"absent", "failure"}:
            return {"iccid": unknown(Cause.MASKED)}
        refused = Refused("the card's number", "ERROR")
        for request in self.CARD_QUESTIONS:
            parse = at_replies.parse_iccid_file if request is ask.CARD_FILE else at_replies.parse_iccid
            try:
                number = self._line.query(request, parse)
                more = 0 if at_replies.has_check_digit(number) else _MORE_WITHOUT_CHECK_DIGIT
                agreed = all(self._line.query(request, parse) == number for _ in range(more))
                return {"iccid": known(number) if agreed else unknown(Cause.INCONSISTENT)}
            except Refused as refusal:
                refused = refusal
        raise refused

    def _operator(self, registration: Reading) -> Facts:
        name = self._line.query(ask.OPERATOR, at_replies.parse_operator).name
        if not name:
            return {"operator": unknown(Cause.MASKED if registration.value != "home" else Cause.FAILED)}
        return {"operator": known(name)}

    def _data(self) -> Facts:
        """Up or down by its reason, so that two answers agree only if they agree on that."""
        cid = self.options.get("cid")
        active = self._line.query(ask.ACTIVE, at_replies.parse_active)
        if cid is not None:
            active = active & {int(cid)}
        if not active:
            return {"data": known("no active context")}
        if not self._line.query(ask.ATTACHED, at_replies.parse_attached):
            return {"data": known("not attached")}
        try:
            addressed = self._line.query(ask.ADDRESSES, at_replies.parse_addressed)
        except Refused:
            return {"data": known(_ACTIVE)}
        if addressed and not active & addressed:
            return {"data": unknown(Cause.INCONSISTENT)}
        return {"data": known(_ADDRESSED if addressed else "no address")}

    def _temperature(self) -> Facts:
        return {"temperature_c": _measured(self._line.query(*self.TEMPERATURE) if self.TEMPERATURE else None)}

    def _clock(self) -> Facts:
        """The first clock that the firmware has decides, also when it was never set."""
        for request, parse in self.CLOCKS[:-1]:
            try:
                return {"clock_utc": _time(self._line.query(request, parse))}
            except Refused:
                continue
        return {"clock_utc": _time(self._line.query(*self.CLOCKS[-1]))}

    def _identity(self, requests: Sequence[Request], parse: Callable[[list[str]], str]) -> str:
        """The same text twice, by the first command that the firmware has; "" when it has none."""
        for request in requests:
            try:
                text = self._line.query(request, parse)
                if self._line.query(request, parse) != text:
                    raise BadReply(request.text, b"", "two answers that differ")
            except Refused:
                continue
            return text
        return ""

    def _reported(self, text: str) -> Facts:
        if text == "RDY":
            self._line.forget()
            return {}
        if text.startswith(("+CPIN:", "+QUSIM:", "+SIMCARD:", "+QSIMSTAT")):
            self._hurry("iccid")
        try:
            registration = at_replies.parse_registration_push(text)
        except ValueError:
            return {}
        if registration is None or registration.state not in {"home", "searching", "none"}:
            return {}
        if registration.registered != bool(registration.cell and registration.tac and registration.access):
            return {}
        return {} if known(registration.state) == self._believed.get("registration") else _told(registration)


class QuectelModem(AtModem):
    """Quectel: serving cell, temperature, and a clock whose zone is certain."""

    family = "quectel"
    READINGS: ClassVar = {**_COMMON, **_TEMPERATURE, "sinr_db": ReadingSpec(unit="dB", about="5G only")}
    CARD_QUESTIONS = (ask.QUECTEL_CCID, ask.CCID)
    SIGNAL = (ask.QUECTEL_CELL, at_quectel.parse_serving_cell)
    TEMPERATURE = (ask.QUECTEL_TEMPERATURE, at_quectel.parse_temperature)
    CLOCKS = ((ask.QUECTEL_TIME, at_quectel.parse_network_time), (ask.CLOCK, at_replies.parse_clock))


class SimcomModem(AtModem):
    """SIMCom: system information and temperature."""

    family = "simcom"
    READINGS: ClassVar = {**_COMMON, **_TEMPERATURE}
    CARD_QUESTIONS = (ask.SIMCOM_CCID, ask.CCID)
    SIGNAL = (ask.SIMCOM_SYSTEM, at_simcom.parse_system)
    TEMPERATURE = (ask.SIMCOM_TEMPERATURE, at_simcom.parse_temperature)


def _told(registration: Registration) -> Facts:
    facts = {"registration": known(registration.state)}
    for name in ("tac", "cell", "access"):
        facts[name] = _measured(getattr(registration, name) or None, Cause.MASKED)
    return facts


def _measured(value: Value | None, otherwise: str = Cause.FAILED) -> Reading:
    """FAILED here means that the modem itself says it has no value now."""
    return unknown(otherwise) if value is None else known(value)


def _time(at: datetime | None) -> Reading:
    return unknown(Cause.FAILED) if at is None else known(at.strftime("%Y-%m-%dT%H:%M:%SZ"))


def _registration(lines: list[str], request: Request) -> Registration:
    return at_replies.parse_registration(lines, request.text.removeprefix("AT").removesuffix("?"))


def _alike(name: str, before: Reading | None, now: Reading) -> bool:
    """Whether `now` needs no second answer, or is one that agrees."""
    if before is None or before.value is None or now.value is None:
        return before is not None and before.value == now.value
    if name == "clock_utc":
        moved = datetime.fromisoformat(str(now.value)) - datetime.fromisoformat(str(before.value))
        return abs(moved.total_seconds()) <= _CLOCK_TOLERANCE_S
    tolerance = _TOLERANCE.get(name.removeprefix("serving."))
    if tolerance is not None:
        return abs(float(now.value) - float(before.value)) <= tolerance
    return before.value == now.value


FAMILIES = tuple(
    Family(
        word=driver.family,
        driver=driver,
        baud=115200,
        other_bauds=(9600, 57600, 460800, 921600, 38400, 19200),
        options={"cid": Whole(1, 24)},
        probe_order=60,  # "AT" is text: a printer would keep it for its next line
    )
    for driver in (QuectelModem, SimcomModem, AtModem)
)
