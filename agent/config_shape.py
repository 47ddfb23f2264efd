"""Whether a file's values have the shape of the configuration's dataclasses: each mistake with its key, in plain words.

Types are taken as they stand, since the daemon builds its configuration from the same values: no text is read as a
number, and none as a truth value.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Annotated, Any, Final, Literal, NamedTuple, get_args, get_origin

from agent.config_file import members, table_of

_LONGEST_SHOWN: Final = 60


class Problem(NamedTuple):
    """A mistake: the key it is at, what stands there ("" where that says nothing), and what is wrong with it."""

    key: str
    shown: str
    why: str

    def __str__(self) -> str:
        return f"{self.key}{' = ' if self.shown else ''}{self.shown}: {self.why}"


def problem(key: str, value: object, why: str) -> Problem:
    """A mistake with its value, cut short."""
    try:
        text = str(value).lower() if isinstance(value, bool) else repr(value) if isinstance(value, str) else str(value)
    except ValueError:  # Python writes no number of more than 4300 digits
        text = "a number of thousands of digits"
    return Problem(key, text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…", why)


def misshapen(kind: type, values: Mapping[str, object], where: str = "") -> Iterator[Problem]:
    """What is wrong with a table: keys that are unknown or missing, and values that are no such thing."""
    known = members(kind)
    meant = set()
    for key, value in values.items():
        here = _below(where, key if key.isprintable() and len(key) <= _LONGEST_SHOWN else repr(key[:_LONGEST_SHOWN]))
        if key in known:
            yield from _wrong(known[key], value, here)
            continue
        near = _nearest(key, known)
        meant.update(near)
        hint = f"did you mean {near[0]!r}?" if near else f"legal keys are {', '.join(known)}"
        yield Problem(here, "", f"unknown key; {hint}")
    for spec in fields(kind):
        if spec.name not in {*values, *meant} and spec.default is MISSING and spec.default_factory is MISSING:
            yield Problem(_below(where, spec.name), "", "missing" + _how_to_write(spec.name, known[spec.name]))


def sound(kind: type, values: Mapping[str, object], assumed: set[str], where: str = "") -> dict[str, Any]:
    """What is right of a table's values, so that these can be looked at although others are wrong.

    For a text that must be there and is not, its own key stands; that key is added to `assumed`.
    """
    out: dict[str, Any] = {}
    needed = {spec.name for spec in fields(kind) if spec.default is MISSING and spec.default_factory is MISSING}
    for name, hint in members(kind).items():
        value, here, table = values.get(name), _below(where, name), table_of(hint)
        if table is None:
            if name in values and not _wrong_value(hint, value):
                out[name] = value
            elif name in needed:
                out[name] = here
                assumed.add(here)
        elif table[1]:
            items = value if isinstance(value, list | tuple) and all(isinstance(item, dict) for item in value) else ()
            out[name] = [sound(table[0], item, assumed, f"{here}[{number}]") for number, item in enumerate(items)]
        else:
            out[name] = sound(table[0], value if isinstance(value, dict) else {}, assumed, here)
    return out


def _below(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key


def _how_to_write(name: str, hint: Any) -> str:
    if not is_dataclass(hint):
        return ""
    needed = [
        f"{spec.name} = …" for spec in fields(hint) if spec.default is MISSING and spec.default_factory is MISSING
    ]
    return f"; write [{name}] and below it {' and '.join(needed)}"


def _nearest(word: str, legal: Iterable[str]) -> list[str]:
    from difflib import get_close_matches  # noqa: PLC0415 - only a mistake needs it

    return get_close_matches(word, list(legal), n=1, cutoff=0.5)


def _wrong(hint: Any, value: object, where: str) -> Iterator[Problem]:
    table = table_of(hint)
    if table is None:
        why = _wrong_value(hint, value)
        if why:
            yield problem(where, value, why)
        return
    kind, many = table
    if many and isinstance(value, list | tuple) and all(isinstance(item, dict) for item in value):
        for number, item in enumerate(value):
            yield from misshapen(kind, item, f"{where}[{number}]")
    elif many:
        yield Problem(where, "", f"there may be several: write [[{where}]], in double brackets, above the keys of each")
    elif isinstance(value, dict):
        yield from misshapen(kind, value, where)
    else:
        yield Problem(where, "", f"is one table: write [{where}], in single brackets, above its keys")


def _wrong_value(hint: Any, value: object) -> str:
    limits: tuple[Any, ...] = ()
    if get_origin(hint) is Annotated:
        hint, *more = get_args(hint)
        limits = tuple(more)
    if get_origin(hint) is Literal:
        return _not_among(get_args(hint), value)
    if get_origin(hint) is tuple:
        return _wrong_list(get_args(hint)[0], value)
    if get_origin(hint) is dict:
        return _wrong_options(value)
    if type(value) is not hint and not (hint is float and type(value) is int):
        return _SAID[hint]
    return next((why for limit in limits if (why := limit.wrong(value))), "")


_SAID: Final = {
    str: "must be a text, in quotes",
    bool: "must be true or false, without quotes",
    int: "must be a whole number, without quotes",
    float: "must be a number, without quotes",
}


def _not_among(words: tuple[str, ...], value: object) -> str:
    if isinstance(value, str) and value in words:
        return ""
    near = _nearest(value, words) if isinstance(value, str) else []
    quoted = [f'"{word}"' for word in words]
    hint = f'; did you mean "{near[0]}"?' if near else ""
    return f"must be {', '.join(quoted[:-1])} or {quoted[-1]}{hint}"


def _wrong_list(hint: Any, value: object) -> str:
    if not isinstance(value, list | tuple):
        return 'must be a list of texts, such as ["one", "two"]'
    for number, item in enumerate(value, 1):
        if why := _wrong_value(hint, item):
            return f"entry {number} {why}"
    return ""


def _wrong_options(value: object) -> str:
    """Which options there are, and what they may be, only the device's family knows."""
    if not isinstance(value, dict):
        return "is a table: write options = { key = value }"
    bad = next((key for key, item in value.items() if not isinstance(item, str | int | float)), None)
    return "" if bad is None else f"{bad} must be a text, a number, true or false"
