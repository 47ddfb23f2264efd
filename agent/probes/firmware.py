"""What is known of a device's firmware: outdated, known to be bad, or a model that nobody has vouched for.

Readings, under the source `firmware`: {device} ok|outdated|known_bad|unknown_combination and {device}.why.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from agent.wire import DeviceEntry
from drivers.reading import Cause, Reading, known, unknown
from firmware_notes import Model, load_models

_PARTS = re.compile(r"\d+|\D+")


def judge(entry: DeviceEntry, models: Sequence[Model]) -> tuple[Reading, str]:
    """The verdict on one device and why. UNKNOWN where it names no model or firmware, or where we have no list."""
    mine = [model for model in models if model.family == entry.family]
    if not mine:
        return unknown(Cause.UNSUPPORTED), "no models of this family are listed"
    if not entry.model:
        return unknown(Cause.UNSUPPORTED), "the device names no model"
    model = next((each for each in mine if each.fits(entry.model)), None)
    if model is None:
        return known("unknown_combination"), f"{entry.model[:40]} is not listed"
    if not entry.firmware:
        return unknown(Cause.UNSUPPORTED), "the device names no firmware"
    for bad in model.known_bad:
        if bad.firmware == entry.firmware:
            return known("known_bad"), bad.why
    if not model.latest or entry.firmware == model.latest:
        return known("ok"), ""
    older = is_older(entry.firmware, model.latest)
    if older is None:
        return unknown(Cause.INCONSISTENT), f"{entry.firmware[:40]} cannot be compared with {model.latest}"
    return (known("outdated"), f"{model.latest} is out") if older else (known("ok"), "")


def is_older(one: str, other: str) -> bool | None:
    """Compare versions number by number; None when they are not spelled alike."""
    left, right = (_PARTS.findall(text.strip().lower()) for text in (one, other))
    for a, b in zip(left, right, strict=False):
        if a.isdecimal() and b.isdecimal():
            if int(a) != int(b):
                return int(a) < int(b)
        elif a != b:
            return None
    # 1.2 and 1.2.1: the longer is newer when only numbers follow; 1.2 and 1.2b cannot be told.
    rest = left[len(right) :] or right[len(left) :]
    if any(not part.isdecimal() and part != "." for part in rest):
        return None
    return len(left) < len(right)


class FirmwareProbe:
    """Judges what the devices said of themselves: the inventory's rows of those that have said who they are."""

    name = "firmware"
    interval_s = 3600.0

    def __init__(self, devices: Callable[[], Mapping[str, DeviceEntry]], models: Sequence[Model] | None = None) -> None:
        self._devices = devices
        self._models = models

    def run(self) -> dict[str, Reading]:
        """The verdicts on all devices that have been identified, within milliseconds."""
        models = load_models() if self._models is None else self._models
        readings: dict[str, Reading] = {}
        for name, entry in self._devices().items():
            verdict, why = judge(entry, models)
            readings[name] = verdict
            readings[f"{name}.why"] = known(why) if why else unknown(Cause.NOT_ASKED)
        return readings
