"""What ESC/POS status bytes mean: bits to named facts, and facts that must agree to readings.

Nothing on this line carries a checksum, so a state counts only when the bits that tell it in different places agree.
Bit tables: Epson TM-U220A and TM-T88III specifications; Custom KPM150H and TG2480 command references for full status.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from drivers.codecs.escpos_profiles import Profile
from drivers.reading import Cause, Reading, ReadingSpec, known, unknown

Facts = Mapping[str, bool | None]
"""Fact name to whether it is so; None when the bits of a pair differ."""

STATUS_BITS: Final[dict[int, dict[str, int]]] = {
    1: {"drawer_high": 0x04, "offline": 0x08, "waiting": 0x20, "feed_pressed": 0x40},
    2: {"cover_open": 0x04, "feeding": 0x08, "paper_stop": 0x20, "error": 0x40},
    3: {"mechanical": 0x04, "cutter": 0x08, "unrecoverable": 0x20, "auto_recoverable": 0x40},
    4: {"near_end": 0x0C, "paper_end": 0x60},
}
"""DLE EOT n: fact to mask. `paper_stop`: printing stopped for lack of paper; `error`: ask n = 3 for which."""

PACKET_BITS: Final[tuple[dict[str, int], ...]] = (
    {"drawer_high": 0x04, "offline": 0x08, "cover_open": 0x20, "feeding": 0x40},
    {
        "waiting": 0x01,
        "feed_pressed": 0x02,
        "mechanical": 0x04,
        "cutter": 0x08,
        "unrecoverable": 0x20,
        "auto_recoverable": 0x40,
    },
    {"near_end": 0x03, "paper_end": 0x0C},
    {},
)
"""The four bytes of automatic status: fact to mask. The same facts as above stand at other bits here."""

FULL_STATUS_BITS: Final[tuple[dict[str, int], ...]] = (
    {"full_paper_end": 0x01, "full_near_end": 0x04, "presenter": 0x20, "virtual_end": 0x40},
    {"head_up": 0x01, "full_cover_open": 0x02, "motor": 0x08, "full_feed": 0x20},
    {"full_head_hot": 0x01, "voltage": 0x08, "bad_command": 0x20, "jam": 0x40},
    {"full_cutter": 0x01, "memory_ram": 0x04, "memory_eeprom": 0x08, "memory_flash": 0x40},
)
"""Custom's DLE EOT 20, behind 10 0F. The serial error is left out: models put it at different bits."""

SPECS: Final[dict[str, ReadingSpec]] = {
    "online": ReadingSpec(values=(True, False), about="takes and prints data"),
    "cover": ReadingSpec(values=("open", "closed")),
    "paper": ReadingSpec(values=("ok", "near_end", "out"), about="masked while the cover is open"),
    "cutter": ReadingSpec(values=("ok", "error"), about="also how a paper jam shows"),
    "head": ReadingSpec(values=("ok", "hot"), about="clears itself"),
    "mechanism": ReadingSpec(values=("ok", "error")),
    "condition": ReadingSpec(values=("ok", "unrecoverable")),
    "voltage": ReadingSpec(values=("ok", "error"), about="supply voltage, where the maker tells it"),
    "presenter": ReadingSpec(values=("empty", "paper"), about="a ticket waits to be taken, Custom only"),
    "feed_button": ReadingSpec(values=(True, False), about="held or feeding"),
    "drawer": ReadingSpec(values=("high", "low"), about="level of pin 3; which one is open depends on the drawer"),
}

_ERRORS: Final = ("mechanical", "cutter", "unrecoverable", "auto_recoverable")
_FULL_ERRORS: Final = ("head_up", "full_head_hot", "voltage", "jam", "full_cutter")
_MEMORY: Final = ("memory_ram", "memory_eeprom", "memory_flash")

_ERROR_READINGS: Final[dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]]] = {
    "cutter": ("error", ("cutter",), ("full_cutter",)),
    "head": ("hot", ("auto_recoverable",), ("full_head_hot",)),
    "mechanism": ("error", ("mechanical",), ("jam",)),
    "condition": ("unrecoverable", ("unrecoverable",), _MEMORY),
    "voltage": ("error", (), ("voltage",)),
}
"""Reading to its bad value, the facts that tell it, and those of Custom's full status that do."""


def decode_status(number: int, byte: int) -> dict[str, bool | None]:
    """The facts in the reply to DLE EOT `number`."""
    return _facts(byte, STATUS_BITS[number])


def decode_packet(packet: bytes) -> dict[str, bool | None]:
    """The facts in four bytes of automatic status."""
    return _facts_of_all(packet, PACKET_BITS)


def decode_full_status(data: bytes) -> dict[str, bool | None]:
    """The facts in the four bytes behind 10 0F."""
    return _facts_of_all(data, FULL_STATUS_BITS)


def last_byte_is_legal(packet: bytes, profile: Profile) -> bool:
    """Whether the reserved byte of a packet is what this maker sends."""
    return packet[3] in profile.last_bytes


@lru_cache(8)  # a printer says the same each second
def readings_of(statuses: bytes, full: bytes, profile: Profile) -> Mapping[str, Reading]:
    """All readings by the replies to DLE EOT 1 to 4, and by the four bytes of full status where the printer has it."""
    facts: dict[str, bool | None] = {}
    for number, byte in enumerate(statuses, 1):
        facts |= decode_status(number, byte)
    if full:
        facts |= decode_full_status(full)
    return readings_from(facts, profile, statuses + full)


def readings_from(facts: Facts, profile: Profile, raw: bytes) -> dict[str, Reading]:
    """All readings that the facts allow; those that contradict another one are INCONSISTENT, not a guess.

    `paper_stop` and `error` are absent from a packet, which is then judged without them.
    """
    view = _View(facts, profile)
    found = {
        "online": _online(view),
        "cover": _cover(view),
        "paper": _paper(view),
        "feed_button": view["feed_pressed"] or view["feeding"],
        "drawer": "high" if view["drawer_high"] else "low",
        "presenter": _presenter(view),
        **_errors(view),
    }
    return {
        name: unknown(value, raw) if isinstance(value, _Unknown) else known(value, raw) for name, value in found.items()
    }


class _Unknown(str):
    """A cause in the place of a value."""

    __slots__ = ()


_INCONSISTENT: Final = _Unknown(Cause.INCONSISTENT)
_MASKED: Final = _Unknown(Cause.MASKED)
_UNSUPPORTED: Final = _Unknown(Cause.UNSUPPORTED)


class _View:
    """Facts as a profile reads them, with what follows from several of them."""

    def __init__(self, facts: Facts, profile: Profile) -> None:
        self.facts = facts
        self.profile = profile
        ignored = () if profile.has_mechanical else ("mechanical",)
        self.unsupported = (
            *(() if profile.has_mechanical else ("mechanism",)),
            *(() if profile.has_full_status else ("voltage",)),
        )
        self.details = any(facts.get(name) for name in _ERRORS if name not in ignored)
        self.error = facts.get("error", self.details)
        self.end, self.near = self._pair("paper_end"), self._pair("near_end")
        self.stop = facts.get("paper_stop", self.end)

    def __getitem__(self, name: str) -> bool:
        return bool(self.facts.get(name))

    @property
    def stopped(self) -> bool:
        """Whether something is said that must have taken the printer offline."""
        return bool(self["cover_open"] or self.details or self.error or self.stop or self.end)

    def _pair(self, name: str) -> bool | None:
        value = self.facts.get(name, False)
        return True if value is None and not self.profile.pairs_whole else value


def _online(view: _View) -> bool | _Unknown:
    if not view["offline"]:
        return _INCONSISTENT if view.stopped else True
    return False if _has_reason(view) else _INCONSISTENT


def _has_reason(view: _View) -> bool:
    # Near end is a reason where ESC c 4 made it one; a packet has no `paper_stop` that would tell.
    near_stops = view.near and "paper_stop" not in view.facts
    in_full = any(view[name] for name in (*_FULL_ERRORS, *_MEMORY))
    return bool(view.stopped or near_stops or in_full or view["waiting"] or view["feed_pressed"] or view["feeding"])


def _cover(view: _View) -> str | _Unknown:
    if view["cover_open"]:
        return "open" if view["offline"] else _INCONSISTENT
    # The offline bit is the cover's only witness: offline for no reason may be an open cover with its own bit lost.
    lost = view["offline"] and not _has_reason(view)
    return _INCONSISTENT if lost or view["full_cover_open"] else "closed"


def _paper(view: _View) -> str | _Unknown:
    if view["cover_open"]:
        return _MASKED if view["offline"] else _INCONSISTENT
    if view.end is None or view.near is None:
        return _INCONSISTENT
    if (view.end or view.stop) and not view["offline"]:
        return _INCONSISTENT
    # A printer set by ESC c 4 to stop at near end says "stopped for paper" without "end".
    if bool(view.stop) != view.end and not (view.stop and view.near):
        return _INCONSISTENT
    if "full_paper_end" in view.facts and view["full_paper_end"] != view.end:
        return _INCONSISTENT
    if view.end:
        return "out"
    return "near_end" if view.near else "ok"


def _errors(view: _View) -> dict[str, str | _Unknown]:
    agrees = view.error == view.details and (view["offline"] or not view.details)
    found: dict[str, str | _Unknown] = {}
    for name, (bad_word, details, full_details) in _ERROR_READINGS.items():
        told, told_in_full = (any(view[fact] for fact in facts) for facts in (details, full_details))
        if name in view.unsupported:
            found[name] = _UNSUPPORTED
        elif not agrees or (told_in_full and not view["offline"]):
            found[name] = _INCONSISTENT
        else:
            found[name] = bad_word if told or told_in_full else "ok"
    if view["cover_open"] and found["head"] == "hot":
        # On the TM-T88 family the auto-recoverable bit also means "cover opened while printing".
        found["head"] = _MASKED
    if view.profile.unrecoverable_is_voltage:
        found["voltage"], found["condition"] = found["condition"], _UNSUPPORTED
        if found["voltage"] == "unrecoverable":
            found["voltage"] = "error"
    return found


def _presenter(view: _View) -> str | _Unknown:
    if "presenter" not in view.facts:
        return _UNSUPPORTED
    return "paper" if view["presenter"] else "empty"


def _facts(byte: int, table: Mapping[str, int]) -> dict[str, bool | None]:
    return {name: None if 0 < byte & mask < mask else bool(byte & mask) for name, mask in table.items()}


def _facts_of_all(data: bytes, tables: tuple[dict[str, int], ...]) -> dict[str, bool | None]:
    facts: dict[str, bool | None] = {}
    for byte, table in zip(data, tables, strict=True):
        facts.update(_facts(byte, table))
    return facts
