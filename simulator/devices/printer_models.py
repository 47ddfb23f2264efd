"""Receipt printers that answer differently: what each pretended model has, shows and hides.

Sources: Epson TM-T88III specification and programming guide, Citizen CT-S2000 p. 58-62 and 98, Bixolon SRP-350 p. 8 and
SRP-330II p. 101, SNBC BTP-R580 p. 116 and BTP-M300 p. 34, Zjiang ZJ-58 p. 26, Custom KPM150 and VKP80.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True, slots=True)
class PrinterModel:
    """What sets one model apart. `hidden` are conditions that its error query (DLE EOT 3) never shows."""

    name: str
    model_id: int
    columns: int = 48
    near_end_sensor: bool = True
    texts: frozenset[int] = field(default_factory=lambda: frozenset({65, 66, 67, 68, 69}))
    counters: bool = True
    cover_stops_print: bool = False
    hidden: frozenset[str] = frozenset()
    fourth_byte: int = 0x00
    long_id: bytes = b""
    full_status: bool = False


MODELS: Final[dict[str, PrinterModel]] = {
    "epson": PrinterModel("SIM-T88", 0x20, cover_stops_print=True),
    "citizen": PrinterModel("SIM-S310", 0x3D),
    "bixolon": PrinterModel("SIM-350", 0x20, texts=frozenset({65, 66, 67, 69}), counters=False, cover_stops_print=True),
    "snbc": PrinterModel(
        "SIM-R580", 0x20, counters=False, hidden=frozenset({"mechanical", "unrecoverable"}), fourth_byte=0x0F
    ),
    "zjiang": PrinterModel("SIM-58", 0x20, columns=32, near_end_sensor=False, texts=frozenset(), counters=False),
    "custom": PrinterModel("SIM-VKP80", 0x5D, counters=False, long_id=b"\x02\x44", full_status=True),
}

QUERY_BITS: Final[dict[int, dict[str, int]]] = {
    1: {"offline": 0x08},
    2: {"cover": 0x04, "paper_stop": 0x20, "error": 0x40},
    3: {"mechanical": 0x04, "cutter": 0x08, "unrecoverable": 0x20, "auto": 0x40},
    4: {"near_end": 0x0C, "end": 0x60},
}
"""DLE EOT n: condition -> bits, on top of 12."""

PACKET_BITS: Final[tuple[dict[str, int], ...]] = (
    {"offline": 0x08, "cover": 0x20},
    {"mechanical": 0x04, "cutter": 0x08, "unrecoverable": 0x20, "auto": 0x40},
    {"near_end": 0x03, "end": 0x0C},
)
"""The first three ASB bytes, on top of 10 00 00; the fourth depends on the model."""

PACKET_SWITCHES: Final[dict[int, tuple[int, int]]] = {0x02: (0, 0x28), 0x04: (1, 0x6C), 0x08: (2, 0x0F)}
"""GS a bit -> the packet's byte and bits whose change it reports."""

FULL_STATUS_BITS: Final[tuple[dict[str, int], ...]] = (
    {"end": 0x01, "near_end": 0x04},
    {"cover": 0x02},
    {"hot": 0x01, "mechanical": 0x40},
    {"cutter": 0x01, "unrecoverable": 0x04},
)
"""Custom's 10 04 14: the four bytes after 10 0F."""


def bits(table: dict[str, int], conditions: set[str]) -> int:
    """All bits whose condition holds, ored together."""
    value = 0
    for condition, mask in table.items():
        if condition in conditions:
            value |= mask
    return value
