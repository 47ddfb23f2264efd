"""The word in the configuration -> the device family. Modules are imported by word, so a daemon loads what it uses."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from importlib import import_module

from drivers.driver import Driver
from drivers.exchange import Channel
from drivers.family import Family, nearest
from drivers.link import LineSettings, Link, SerialLink
from drivers.reading import Value

ENTRY_POINTS = "posdiag.drivers"
"""Entry point group in which other packages offer families: name = the word, object = a `Family`."""

_MODULES: Mapping[str, str] = {
    "escpos": "drivers.escpos",
    "at": "drivers.modem",
    "quectel": "drivers.modem",
    "simcom": "drivers.modem",
    "crt571": "drivers.crt571",
    "neo": "drivers.neo",
    "gempc": "drivers.gempc",
    "zt588": "drivers.zt588",
    "smartpin": "drivers.smartpin",
    "evdev": "drivers.evdev",
}
BUILT_IN: tuple[str, ...] = tuple(_MODULES)
"""The words that come with posdiag."""


class UnknownFamily(KeyError):
    """No such family. `nearest` are the words that look like it."""

    def __init__(self, word: str, nearest: tuple[str, ...]) -> None:
        super().__init__(word)
        self.word = word
        self.nearest = nearest

    def __str__(self) -> str:
        hint = f"; perhaps {' or '.join(self.nearest)}" if self.nearest else f"; there are {', '.join(words())}"
        return f"no device family is called {self.word!r}{hint}"


class BrokenFamily(Exception):
    """Another package offers the family and does not give it; the text says which and why, on one line."""


class WrongOption(ValueError):
    """An option that the family does not have, or a value that it cannot have; the text names the legal ones."""


_GATHER_BITS = 120  # a dozen characters: what a UART's own buffer would have gathered


def words() -> tuple[str, ...]:
    """Every word that `family` knows, those of other packages last."""
    from importlib.metadata import entry_points  # noqa: PLC0415 - a resting daemon with built-in drivers does without

    others = {point.name for point in entry_points(group=ENTRY_POINTS)}
    return (*BUILT_IN, *sorted(others.difference(BUILT_IN)))


def family(word: str) -> Family:
    """What stands behind a word. Raises UnknownFamily or BrokenFamily.

    Another package is asked only for a word that is not built in, so that it cannot replace a driver unnoticed.
    """
    module = _MODULES.get(word)
    if module is None:
        return _of_others(word)
    loaded = import_module(module)
    found: tuple[Family, ...] = loaded.FAMILIES if hasattr(loaded, "FAMILIES") else (loaded.FAMILY,)
    return next(each for each in found if each.word == word)


def families() -> tuple[Family, ...]:
    """Every family that can be had; loads every driver."""
    found = []
    for word in words():
        with suppress(BrokenFamily):  # of another package: whoever configures it is told
            found.append(family(word))
    return tuple(found)


def open_channel(
    kind: Family,
    port: str,
    baud: int = 0,
    flow: str = "",
    yield_now: Callable[[], bool] | None = None,
    *,
    share: bool = False,
    quiet_s: float = 2.0,
    wrap: Callable[[Link], Link] | None = None,
) -> Channel:
    """Open the port as this family needs it; 0 and "" stand for the family's own speed and flow control.

    `wrap` may put something around the link, such as a recorder; never around a keypad's, where it would see which keys
    are typed. Raises LinkLost, PortBusy or PortDenied.
    """
    link = _open_link(kind, port, baud, flow or kind.flow, share=share)
    gather_s = _GATHER_BITS / (baud or kind.baud) if kind.link == "serial" else 0.0
    pipe = wrap(link) if wrap and kind.unit != "keypad" else link
    return Channel(pipe, yield_now=yield_now, quiet_s=quiet_s, gather_s=max(gather_s, 0.004))


def open_driver(
    word: str,
    port: str,
    options: Mapping[str, Value] | None = None,
    *,
    baud: int = 0,
    flow: str = "",
    yield_now: Callable[[], bool] | None = None,
    share: bool = False,
    wrap: Callable[[Link], Link] | None = None,
) -> Driver:
    """A driver on an open port. Raises UnknownFamily, WrongOption, LinkLost, PortBusy or PortDenied."""
    kind = family(word)
    check_options(kind, options or {})
    channel = open_channel(kind, port, baud, flow, yield_now, share=share, wrap=wrap)
    try:
        return kind.driver(channel, options)
    except Exception:
        channel.link.close()
        raise


def check_options(kind: Family, options: Mapping[str, Value]) -> None:
    """Raise WrongOption for the first option that this family does not have or that has an illegal value."""
    for name, why in wrong_options(kind, options):
        raise WrongOption(f"{kind.word}: option {name} = {options[name]!r}: {why}")


def wrong_options(kind: Family, options: Mapping[str, Value]) -> Iterator[tuple[str, str]]:
    """Each option that is wrong, and why."""
    for name, value in options.items():
        if name not in kind.options:
            legal = ", ".join(kind.options) or "none"
            near = nearest(name, kind.options)
            yield name, f"{kind.word} has no such option{f'; perhaps {near[0]}' if near else ''} (it has {legal})"
        elif why := kind.options[name].wrong(value):
            yield name, why


def _open_link(kind: Family, port: str, baud: int, flow: str, *, share: bool) -> Link:
    if kind.link == "input":
        from drivers.evdev_link import EvdevLink  # noqa: PLC0415 - most terminals have no input device to watch

        return EvdevLink(port)
    settings = LineSettings(
        baud=baud or kind.baud,
        rtscts=flow == "rtscts",
        xonxoff=flow == "xonxoff",
        dsrdtr=flow == "dsrdtr",
        share=share,
    )
    return SerialLink(port, settings)


def _of_others(word: str) -> Family:
    from importlib.metadata import entry_points  # noqa: PLC0415 - as in `words`

    for point in entry_points(group=ENTRY_POINTS, name=word):
        try:
            found = point.load()
        except Exception as error:
            why = " ".join(f"{type(error).__name__}: {error}".split())
            raise BrokenFamily(f"family {word!r} of {point.value} cannot be loaded: {why}") from error
        if not isinstance(found, Family) or found.word != word:
            raise BrokenFamily(f"entry point {point.value} of {ENTRY_POINTS} is not the Family {word!r}")
        return found
    raise UnknownFamily(word, tuple(nearest(word, words(), 2)))
