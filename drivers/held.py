"""What every keypad driver says of a held key, and what it keeps to itself."""

from __future__ import annotations

from drivers.reading import Reading, ReadingSpec, known

SOME_AFTER_S = 1.0  # shorter presses are typing: telling them would tell how many keys were typed, and how fast
NAME_AFTER_S = 5.0  # nobody holds a key that long while typing a number

HELD = ReadingSpec(about='the key that is held for more than a second: "none", "some", or its name from 5 s on')


def held(name: str, for_s: float, raw: bytes = b"") -> Reading:
    """The reading for the key `name`, down for `for_s` seconds. `raw` is kept only with a name."""
    if for_s >= NAME_AFTER_S:
        return known(name, raw)
    return known("some" if for_s >= SOME_AFTER_S else "none")
