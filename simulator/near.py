"""What somebody may have meant who named a key that a terminal does not have."""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches
from typing import Final

_MOST: Final = 4
_ALIKE: Final = 0.75


def unknown_key(name: str, keys: Collection[str]) -> str:
    """The refusal: the nearest keys first, then those of the unit; every key only where nothing is near."""
    unit, dot, _ = name.partition(".")
    of_unit = sorted(key for key in keys if key.startswith(f"{unit}."))
    near = _nearest(name, keys)
    said = f"{name} is not a key of this terminal"
    if near:
        said += f"; did you mean {' or '.join(near)}?"
    if of_unit and (dot or not near):
        return f"{said}{' There' if near else '; there'} are {', '.join(of_unit)}"
    return f"{said} sim get shows every key" if near else f"{said}; there are {', '.join(sorted(keys))}"


def _nearest(name: str, keys: Collection[str]) -> list[str]:
    """Whole keys that look alike, then those with this last word, or one like it."""
    last = name.rpartition(".")[2]
    words = {key.partition(".")[2] for key in keys}
    alike = get_close_matches(last, words, n=_MOST, cutoff=_ALIKE)
    ends = [key for word in alike for key in sorted(keys) if key.partition(".")[2] == word]
    return list(dict.fromkeys([*get_close_matches(name, keys, n=_MOST, cutoff=_ALIKE), *ends]))[:_MOST]
