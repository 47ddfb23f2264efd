"""No card data is stored or sent: JSON values, readings, log lines and exceptions' texts pass through here first."""

from __future__ import annotations

import logging
import re
import sys
import threading
from collections.abc import Mapping
from dataclasses import replace
from types import TracebackType
from typing import Any, Final

from agent.interfaces import Publisher
from agent.wire import dumps, loads
from drivers.card_numbers import luhn
from drivers.reading import Identity, Reading
from drivers.redact import redact_text

_MAYBE: Final = re.compile(
    rb"\d(?:[ -]{0,2}\d){12}|\d{4}[./_]\d{4,6}[./_]\d|[0-9a-fA-F]{14}|(?:[0-9a-fA-F]{2}[ :-]){6}"
    rb"|\xef\xbc[\x90-\x99]|[\xd8-\xf0][\x80-\xbf]+\d*[\xd8-\xf0][\x80-\xbf]+\d|\^|[;+%]\w?\d{8}|\\|\bb['\"]|(?i:pin.?block)"
)
"""What JSON must hold to be looked at in earnest. Nearly no message of a healthy terminal does."""
_DECLARED: Final[Mapping[str, re.Pattern[str]]] = {
    "iccid": re.compile(r"8[89]\d{16,18}"),
    "imei": re.compile(r"\d{15}"),
}
"""Fields that drivers declare to be a SIM card's or a modem's number, and what stands in them then."""
_OURS: Final = re.compile(r"(?:hash|digest|sha256|head|key|report_key|token)")
_OUR_HEX: Final = re.compile(r"(?=(?:[0-9a-f]*[a-f]){3})[0-9a-f]{16,128}")
_LONG: Final = 10**12
_MOMENTS: Final = range(10**9, 10**10)  # seconds since 1970


def clean(value: Any, name: str = "") -> Any:
    """A JSON value without card data; `name` is its key. What holds none is returned itself, not copied."""
    if isinstance(value, str):
        return value if len(value) < 8 or _is_declared(name, value) else redact_text(value)
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return value if abs(value) < _LONG else _number(value, str(abs(value)))
    if isinstance(value, float):
        return _fraction(value)
    if isinstance(value, Mapping):
        return {redact_text(str(key)): clean(each, str(key)) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [clean(each, name) for each in value]
    return value


def _is_declared(name: str, value: str) -> bool:
    last = name.rpartition(".")[2]
    shape = _DECLARED.get(last)
    if shape is not None:
        return bool(shape.fullmatch(value))
    return bool(_OURS.fullmatch(last) and _OUR_HEX.fullmatch(value))


def _number(value: float, digits: str) -> float | str:
    safe = redact_text(digits)
    return value if safe == digits else safe


def _fraction(value: float) -> float | str:
    """A card number as a number with decimals: a moment loses what is below 10 ms, anything else goes."""
    digits = repr(abs(value)).partition("e")[0].rstrip("0").replace(".", "").lstrip("0")
    if abs(value) >= _LONG:
        return _number(value, f"{abs(value):.0f}")
    if len(digits) < 13 or not any(
        luhn(digits[start : start + length])
        for length in range(13, min(19, len(digits)) + 1)
        for start in range(len(digits) - length + 1)
    ):
        return value
    return round(value, 2) if int(abs(value)) in _MOMENTS or abs(value) < 1000 else f"<pan:{len(digits)}>"


def clean_json(payload: bytes) -> bytes:
    """JSON without card data; unchanged, and not even parsed, when nothing in it looks like any."""
    if not _MAYBE.search(payload):
        return payload
    try:
        values = loads(payload)
    except ValueError:
        return redact_text(payload.decode("utf-8", "replace")).encode()
    safe = clean(values)
    return payload if safe == values else dumps(safe)


def clean_readings(readings: Mapping[str, Reading]) -> Mapping[str, Reading]:
    """Readings without card data, in their values and in the bytes that said so."""
    changed: dict[str, Reading] = {}
    for name, reading in readings.items():
        value = reading.value if reading.value is None else clean(reading.value, name)
        raw = redact_text(reading.raw) if len(reading.raw) >= 14 else reading.raw
        if value != reading.value or raw != reading.raw or redact_text(name) != name:
            changed[name] = replace(reading, value=value, raw=raw)
    if not changed:
        return readings
    return {redact_text(name): changed.get(name, reading) for name, reading in readings.items()}


class CleanReadings:
    """`clean_readings` for what comes again and again: a reading that was found clean is not looked at twice."""

    def __init__(self) -> None:
        self._found: dict[str, dict[str, Reading]] = {}

    def of(self, source: str, readings: Mapping[str, Reading]) -> Mapping[str, Reading]:
        """Readings of a device or a probe, without card data. From any thread."""
        found = self._found.setdefault(source, {})
        new = {name: reading for name, reading in readings.items() if found.get(name) is not reading}
        if clean_readings(new) is not new:
            return clean_readings(readings)
        found.update(new)
        return readings


def clean_identity(identity: Identity) -> Identity:
    """Who a device says it is, if it does not say a card number."""
    texts = {name: redact_text(getattr(identity, name)) for name in ("manufacturer", "model", "serial", "firmware")}
    return replace(identity, **texts, extra={key: clean(text, key) for key, text in identity.extra.items()})


class CleanPublisher:
    """A publisher through which no card data goes."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher
        self.refresh_state = publisher.refresh_state
        self.resend = publisher.resend

    def publish_retained(self, suffix: str, payload: bytes, kind: str) -> None:
        """As the other's, with the payload cleaned."""
        self._publisher.publish_retained(suffix, clean_json(payload), kind)


class LogFilter(logging.Filter):
    """Takes card data out of log lines and the tracebacks with them. Belongs on a handler, which sees all loggers."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = redact_text(record.getMessage()), None
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text:
            record.exc_text, record.exc_info = redact_text(record.exc_text), None
        if record.stack_info:
            record.stack_info = redact_text(record.stack_info)
        return True


def guard_output() -> None:
    """Filter all that this process writes about itself: each handler of the root logger, and what nobody caught."""
    for handler in logging.getLogger().handlers:
        handler.addFilter(LogFilter())
    log = logging.getLogger("posdiag")

    def uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        log.critical("ended by a mistake", exc_info=(kind, error, trace))

    def thread_died(args: threading.ExceptHookArgs) -> None:
        error = args.exc_value or args.exc_type()
        name = args.thread.name if args.thread else "?"
        log.error("thread %s died", name, exc_info=(args.exc_type, error, args.exc_traceback))

    sys.excepthook = uncaught
    threading.excepthook = thread_died
