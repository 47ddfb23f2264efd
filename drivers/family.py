"""What the catalog knows of a device family."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from drivers.driver import Driver


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One word of the configuration and what stands behind it."""

    word: str
    driver: type[Driver]
    baud: int
    """The speed it usually starts at."""
    other_bauds: tuple[int, ...] = ()
    """Speeds that `discover` tries next, likeliest first."""
    flow: Literal["none", "rtscts", "xonxoff", "dsrdtr"] = "none"
    options: tuple[str, ...] = ()
    """Legal keys of the device's `options` table."""
    link: Literal["serial", "input"] = "serial"
    """What its port is: a serial line, or a node of the kernel's input devices."""
    probe_order: int = 50
    """`discover` asks low numbers first: a question that other devices ignore comes before one that could print."""

    @property
    def unit(self) -> str:
        return self.driver.unit
