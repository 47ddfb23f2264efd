"""What a driver must say of a simulated device in a given state, spelled by hand and shared with neither.

A reading is `UNKNOWN` here when the device itself cannot tell it in that state. Readings without a row (texts, numbers,
radio values) are nobody's state and are not judged.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from drivers.reading import Cause, Reading, Value
from simulator.devices import DEVICES

UNKNOWN = None
State = Mapping[str, str]
Truth = dict[str, Value | None]


def states(family: str) -> Iterator[dict[str, str]]:
    """Every value of every key of its device, one at a time; of the keys of a keypad two."""
    for name, key in DEVICES[family].keys.items():
        if name != "model":
            others = [value for value in key.values if value != key.default]
            yield from ({name: value} for value in (others if len(others) < 8 else others[:2]))


def truth(family: str, state: State) -> Truth:
    """Reading to value. `state` maps the simulator's keys, without the unit in front, to their values."""
    return _TABLES[family](state)


def _printer(state: State) -> Truth:
    closed = state["cover"] == "closed"
    bad = state["cutter"] == "error" or state["head"] == "hot" or state["mechanism"] != "ok"
    return {
        "online": closed and state["paper"] != "out" and not bad,
        "cover": state["cover"],
        "paper": state["paper"] if closed else UNKNOWN,
        "cutter": state["cutter"],
        "head": state["head"],
        "mechanism": "error" if state["mechanism"] == "error" else "ok",
        "condition": "unrecoverable" if state["mechanism"] == "dead" else "ok",
        "feed_button": False,
        "drawer": "low",
        "voltage": UNKNOWN,
        "presenter": UNKNOWN,
    }


def _modem(state: State) -> Truth:
    registration = state["registration"] if state["sim"] == "ready" else "none"
    carries = registration in {"home", "roaming"} and state["data"] == "up"
    has_card = state["sim"] not in {"absent", "failure"}
    return {
        "sim": state["sim"],
        "iccid": state["iccid"] if has_card else UNKNOWN,
        "registration": registration,
        "data": "up" if carries else "down",
    }


def _crt571(state: State) -> Truth:
    pending = (
        ("card", "jammed", state["card"] == "jammed"),
        ("sensor", "error", state["sensor"] == "error"),
        ("shutter", "error", state["shutter"] == "error"),
        ("self_test", "failed", state["self_test"] == "failed"),
    )
    names = ("card", "shutter", "sensor", "self_test", "bin", "stacker")
    for name, value, holds in pending:
        if holds:  # the unit tells one error and nothing else until that is gone
            return dict.fromkeys(names, UNKNOWN) | {name: value}
    card = {"left": "gate"}.get(state["card"], state["card"])
    return dict.fromkeys(names, "ok") | {"card": card}


def _neo(state: State) -> Truth:
    if state["tamper"] == "yes":
        return {"tamper": "yes", "self_test": UNKNOWN}
    if state["self_test"] == "failed":
        return {"tamper": UNKNOWN, "self_test": "failed"}
    return {"tamper": "no", "self_test": "ok"}


def _gempc(state: State) -> Truth:
    return {"card": "absent" if state["card"] == "absent" else "present", "self_test": state["self_test"]}


def _zt588(state: State) -> Truth:
    if state["battery"] == "low":
        return {"battery": "low", "keys": UNKNOWN}
    return {"battery": "ok", "keys": state["keys"]}


def _smartpin(state: State) -> Truth:
    return {"keys": state["keys"], "tamper": state["tamper"]}


def _evdev(_state: State) -> Truth:
    return {}


_TABLES = {
    "escpos": _printer,
    "at": _modem,
    "quectel": _modem,
    "simcom": _modem,
    "crt571": _crt571,
    "neo": _neo,
    "gempc": _gempc,
    "zt588": _zt588,
    "smartpin": _smartpin,
    "evdev": _evdev,
}


def key_name(family: str, state: State) -> str:
    """The name of the key that is down, as the driver calls it."""
    key = state["held"]
    return _KERNEL_NAMES.get(key, key) if family == "evdev" else key


_KERNEL_NAMES = {"cancel": "esc", "clear": "backspace"}


def may_be_held(family: str, state: State) -> frozenset[str]:
    """What `held` may say: nothing is told of a key that is not down, and of one that is only after a while."""
    name = key_name(family, state)
    return frozenset({"none"}) if name == "none" else frozenset({"none", "some", name})


def lies(family: str, readings: Mapping[str, Reading], states: list[State]) -> dict[str, Value]:
    """Readings that say what was so at no moment: none of `states`, those of the time when they were taken."""
    found: dict[str, Value] = {}
    for name, reading in readings.items():
        if reading.value is None:
            continue
        if name == "held":
            if not any(reading.value in may_be_held(family, state) for state in states):
                found[name] = reading.value
        elif all(name not in truth(family, state) for state in states):
            continue
        elif all(reading.value != truth(family, state).get(name) for state in states):
            found[name] = reading.value
    return found


def is_told(family: str, readings: Mapping[str, Reading], state: State) -> bool:
    """Whether the readings say exactly what is so, with the name of a key that is held for long.

    A FIFO that plays an input device has no state to ask for: before its first event nothing is known.
    """
    expected = truth(family, state)
    if "held" in state and (state["held"] != "none" or readings["held"].unknown != Cause.NOT_ASKED):
        expected["held"] = key_name(family, state)
    return all(readings[name].value == value for name, value in expected.items())
