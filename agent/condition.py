"""What a condition is: one reading that raises one fault, and the tests it is made of. Pure data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from agent.wire import Basis
from drivers.reading import Value

Test = Callable[[Value], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """Raise when at least `raise_at` of the last `polls` say so, clear when at most `clear_at` of a full window do."""

    polls: int
    raise_at: int
    clear_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Flap:
    """More than `changes` raises and clears within `window_s` is flapping, until nothing changed for `window_s`.

    While it flaps there is at most one message in `hold_off_s`.
    """

    changes: int = 6  # three whole on-off rounds are a loose contact; two may be a person who tries again
    window_s: float = 120.0
    hold_off_s: float = 300.0  # support needs to know that it goes on, not each time


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """When one reading of one source raises one fault, and when it clears it.

    Several conditions may share a fault: it is raised while any of them holds. `clears` None means whenever `raises`
    is false; otherwise what neither raises nor clears leaves everything as it is. `polls` is how many readings in a
    row must say so, in addition to `on_delay_s`. `unless` names a reading that, while known, replaces this one.
    A condition with `remembers` compares with the remembered value instead, and takes the new one over after
    `adopt_s`. `stale_s` 0 is for what is told only when it changes: it holds until something else is told, so it is
    never stale and its delay ends by itself. What only a `forecast` says is inferred, and a warning whatever its kind;
    what is otherwise `inferred` keeps its severity.
    A fault that `latches` outlives a restart, after which its device may have forgotten: then a reading clears it only
    once another has said the contrary, or after it was released.
    """

    fault: str
    source: str
    reading: str
    raises: Callable[[Value], bool]
    clears: Callable[[Value], bool] | None = None
    device: str = ""
    on_delay_s: float = 0.0
    off_delay_s: float = 0.0
    polls: int = 1
    share: Share | None = None
    unless: str = ""
    remembers: bool = False
    adopt_s: float = 0.0
    stale_s: float = 60.0
    evidence: tuple[str, ...] = ()
    flap: Flap = Flap()
    forecast: bool = False
    inferred: bool = False
    latches: bool = False

    @property
    def subject(self) -> str:
        """The device or probe that the fault is about."""
        return self.device or self.source

    @property
    def basis(self) -> Basis:
        """How the fault comes to be known."""
        return "inferred" if self.forecast or self.inferred else "measured"

    @property
    def memory(self) -> str:
        """The name under which the remembered value is kept."""
        return f"{self.source}.{self.reading}"

    def stale_after(self, seconds: float) -> Condition:
        """The same for a source that speaks so seldom; one that is never stale stays so."""
        return replace(self, stale_s=seconds) if self.stale_s else self


def among(*values: Value) -> Test:
    """Holds for exactly these values."""
    legal = frozenset(values)
    return lambda value: value in legal


def above(limit: float) -> Test:
    """Holds for numbers above the limit."""
    return lambda value: not isinstance(value, str) and value > limit


def below(limit: float) -> Test:
    """Holds for numbers below the limit."""
    return lambda value: not isinstance(value, str) and value < limit
