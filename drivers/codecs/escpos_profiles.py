"""Where makers differ from Epson's status bytes. Sources per maker are in firmware_notes/escpos/notes.md."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """How one maker's printers use ESC/POS. The defaults are Epson's."""

    word: str
    columns: int = 48
    """Characters of font A on a line."""
    pairs_whole: bool = True
    """Both bits of a paper sensor change together; otherwise either of them counts."""
    has_mechanical: bool = True
    """The mechanical error bit is defined."""
    unrecoverable_is_voltage: bool = False
    """The unrecoverable bit tells of the supply voltage instead."""
    last_bytes: frozenset[int] = frozenset({0x00})
    """What the last byte of a pushed packet can be."""
    push_bits: int = 0x0F
    """GS a: drawer, online, error, roll."""
    has_full_status: bool = False
    """Answers DLE EOT 20 with Custom's six bytes."""


PROFILES: Final[dict[str, Profile]] = {
    profile.word: profile
    for profile in (
        Profile(word="epson"),
        Profile(word="citizen", pairs_whole=False),
        Profile(word="bixolon", columns=42),
        Profile(
            word="snbc",
            has_mechanical=False,
            unrecoverable_is_voltage=True,
            last_bytes=frozenset({0x00, 0x0F}),
        ),
        Profile(word="zjiang", columns=32, push_bits=0x0D),
        Profile(word="custom", has_full_status=True),
    )
}


def profile_named(word: str) -> Profile:
    """The profile of that word. Raises ValueError that names the legal ones."""
    try:
        return PROFILES[word]
    except KeyError:
        raise ValueError(f"printer profile {word!r} is none of {', '.join(PROFILES)}") from None
