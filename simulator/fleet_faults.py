"""How faults show in a fleet, which of them explains which, and what follows for selling. Pure.

A second reading of what agents do: nothing here is theirs but the vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from agent.vocabulary import VOCABULARY, Act, act_of

CanSell = Literal["yes", "degraded", "no", "unknown"]

_RANK: Final = {"critical": 0, "major": 1, "minor": 2, "warning": 3}


@dataclass(frozen=True, slots=True)
class Sign:
    """What a source reads while a fault stands, and once it is over; both are the fault's evidence too.

    `shows` names the readings that stand in the evidence, all without it. `raw` is the device's answer in hex, `finer`
    what its family says more exactly while the fault stands.
    """

    source: str
    bad: Mapping[str, Any]
    good: Mapping[str, Any]
    shows: tuple[str, ...] = ()
    raw: tuple[str, str] = ("", "")
    finer: str = ""

    def evidence(self, *, raised: bool) -> dict[str, Any]:
        """The evidence of a fault that was raised or cleared by it."""
        values = self.bad if raised else self.good
        known = {key: value for key, value in values.items() if not isinstance(value, dict)}
        raw = self.raw[0 if raised else 1]
        shown = {key: value for key, value in known.items() if not self.shows or key in self.shows}
        if raw:
            shown["raw"] = raw
        if raised and self.finer:
            shown["specific"] = self.finer
        return shown

    def readings(self, *, raised: bool) -> dict[str, Any]:
        """What the telemetry carries of it."""
        return {f"{self.source}.{key}": value for key, value in (self.bad if raised else self.good).items()}


def _printer(bad: Mapping[str, Any], good: Mapping[str, Any], shows: tuple[str, ...], packet: str) -> Sign:
    """Of a printer that tells of each change in a packet of four bytes."""
    told = f"profile epson; status 12 12 12 12; packet {bytes.fromhex(packet).hex(' ')}; pushes yes; malformed 0"
    return Sign("printer", bad, good, shows, (packet, "10000000"), told)


_NOT_ASKED: Final = {"error": "not_asked"}

SIGNS: Final[Mapping[str, Sign]] = {
    "printer/paper_near_end": _printer(
        {"paper": "near_end", "cover": "closed"}, {"paper": "ok", "cover": "closed"}, (), "10000c00"
    ),
    "printer/paper_out": _printer(
        {"online": False, "paper": "out", "cover": "closed"},
        {"online": True, "paper": "ok", "cover": "closed"},
        ("paper", "cover"),
        "18000f00",
    ),
    "printer/cover_open": _printer(
        {"online": False, "cover": "open"}, {"online": True, "cover": "closed"}, ("cover",), "38000000"
    ),
    "printer/cutter_error": _printer({"cutter": "error"}, {"cutter": "ok"}, ("cutter",), "18080000"),
    "printer/head_hot": _printer({"head": "hot"}, {"head": "ok"}, (), "18400000"),
    "printer/no_reply": Sign("printer", {"reply": "none"}, {"reply": "ok"}),
    "reader/card_left": Sign("reader", {"card": "gate"}, {"card": "absent"}, (), ("313030", "303030")),
    "reader/card_jam": Sign(
        "reader", {"card": "jammed"}, {"card": "absent"}, (), ("3130", "303030"), "error 10; error_text card jam"
    ),
    "keypad/key_stuck": Sign("keypad", {"held": "5"}, {"held": "none"}),
    "keypad/keys_missing": Sign("keypad", {"keys": "missing"}, {"keys": "loaded"}),
    "modem/sim_absent": Sign("modem", {"sim": "absent"}, {"sim": "ready"}),
    "modem/weak_signal": Sign(
        "modem", {"rsrp_dbm": -121, "rssi_dbm": -97}, {"rsrp_dbm": -88, "rssi_dbm": -60}, ("rsrp_dbm",)
    ),
    "modem/no_network": Sign("modem", {"registration": "searching"}, {"registration": "home"}),
    "modem/no_data": Sign("modem", {"data": "down"}, {"data": "up"}),
    "network/link_down": Sign(
        "network", {"link": "down", "address": _NOT_ASKED}, {"link": "up", "address": "ok"}, ("link",)
    ),
    "network/gateway_unreachable": Sign(
        "network",
        {"gateway": "failed", "gateway_why": "timeout"},
        {"gateway": "ok", "gateway_why": _NOT_ASKED},
    ),
    "network/acquirer_unreachable": Sign(
        "network",
        {"acquirer": "failed", "acquirer_ms": _NOT_ASKED, "acquirer_why": "timeout", "tls": _NOT_ASKED},
        {"acquirer": "ok", "acquirer_ms": 41.7, "acquirer_why": _NOT_ASKED, "tls": "ok"},
        ("acquirer", "acquirer_why", "acquirer_ms"),
    ),
    "network/broker_unreachable": Sign(
        "network", {"broker": "failed", "broker_why": "timed out"}, {"broker": "ok", "broker_why": "none"}
    ),
    "network/slow": Sign("network", {"latency_ms": 2140.5}, {"latency_ms": 61.2}),
    "network/lossy": Sign("network", {"loss_percent": 40}, {"loss_percent": 0}),
    "power/mains_lost": Sign(
        "power",
        {"mains": "off", "battery_percent": 100.0, "battery_status": "Discharging", "charger": _NOT_ASKED},
        {"mains": "on", "battery_percent": 100.0, "battery_status": "Full", "charger": "ok"},
        ("mains", "battery_percent", "battery_status"),
    ),
    "power/battery_low": Sign("power", {"battery_percent": 14.0}, {"battery_percent": 41.0}),
    "power/battery_critical": Sign("power", {"battery_percent": 4.0}, {"battery_percent": 41.0}),
    "power/overheat": Sign("power", {"temperature_c": 63.0}, {"temperature_c": 41.0}),
    "power/unclean_shutdown": Sign("boots", {"unclean_recently": "yes"}, {"unclean_recently": "no"}),
    "system/payment_app_down": Sign("system", {"payment_app": "down"}, {"payment_app": "up"}),
    "system/clock_wrong": Sign("system", {"clock_offset_s": 912.4}, {"clock_offset_s": 0.0}),
    "security/case_opened": Sign("security", {"case": "opened"}, {"case": "closed"}),
}
"""Every fault that a fleet can have."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that happens to one terminal: faults with the seconds after which each is raised, and its end.

    `weight` is how often, among all troubles; `minutes` the median until it is put right; `bearer` "" for any.
    """

    name: str
    faults: Mapping[str, float]
    weight: float
    minutes: float
    bearer: str = ""
    offline: bool = False
    needs: str = ""
    """A device that must be fitted: reader crt571 alone can jam a card."""


_RADIO: Final = {"modem/no_network": 20.0, "modem/no_data": 22.0, "network/link_down": 24.0}
_LONELY: Final = {"network/broker_unreachable": 45.0}

TROUBLES: Final = (
    Trouble("paper_near_end", {"printer/paper_near_end": 0}, 20, 45),
    Trouble("paper_out", {"printer/paper_out": 0}, 14, 6),
    Trouble("cover_open", {"printer/cover_open": 0}, 10, 2),
    Trouble("cutter", {"printer/cutter_error": 0}, 2, 40),
    Trouble("head_hot", {"printer/head_hot": 0}, 2, 8),
    Trouble("card_left", {"reader/card_left": 0}, 6, 4),
    Trouble("card_jam", {"reader/card_jam": 0}, 0.5, 180, needs="crt571"),
    Trouble("key_stuck", {"keypad/key_stuck": 0}, 1, 90),
    Trouble("weak_signal", {"modem/weak_signal": 0, "network/slow": 20, "network/lossy": 25}, 10, 15, "modem"),
    Trouble("sim_out", {"modem/sim_absent": 0, **_RADIO, **_LONELY}, 0.5, 20, "modem", offline=True),
    Trouble("cable_out", {"network/link_down": 5, **_LONELY}, 1.5, 12, "ethernet", offline=True),
    Trouble("slow_line", {"network/slow": 0}, 5, 10),
    Trouble("plug_out", {"power/mains_lost": 0, "printer/no_reply": 2}, 3, 9, "modem"),
    Trouble("app_down", {"system/payment_app_down": 0}, 1.5, 6),
    Trouble("hot", {"power/overheat": 0}, 1, 60, "modem"),
    Trouble("clock", {"system/clock_wrong": 0}, 0.3, 30),
    Trouble("keys", {"keypad/keys_missing": 0}, 0.1, 600),
    Trouble("opened", {"security/case_opened": 0}, 0.1, 300),
)
"""What happens in shops, by hand or by itself."""

OUTAGES: Final[Mapping[tuple[str, str], Trouble]] = {
    ("operator", "modem"): Trouble("operator", {**_RADIO, **_LONELY}, 0, 0, offline=True),
    ("cell", "modem"): Trouble("cell", {**_RADIO, **_LONELY}, 0, 0, offline=True),
    ("site", "modem"): Trouble("site", {**_RADIO, **_LONELY}, 0, 0, offline=True),
    ("site", "ethernet"): Trouble("site", {"network/gateway_unreachable": 4, **_LONELY}, 0, 0, offline=True),
    ("host", "modem"): Trouble("host", {"network/acquirer_unreachable": 2}, 0, 0),
    ("host", "ethernet"): Trouble("host", {"network/acquirer_unreachable": 2}, 0, 0),
    ("power", "modem"): Trouble("power", {"power/mains_lost": 0, "printer/no_reply": 2}, 0, 0),
}
"""What an outage is for one terminal, by its kind and the terminal's bearer. Without a battery power takes all."""


# --- what explains what ----------------------------------------------------------------------------------------------

_SILENCES: Final = {
    "power/mains_lost": {"printer"},
    "power/battery_critical": {"reader", "keypad", "modem", "network"},
}
"""Units that a power fault takes along: the printer hangs on the mains, the rest on the battery."""


@dataclass(frozen=True, slots=True)
class Label:
    """The cause of a raised fault, None for a root; what it explains itself; whether that is all measured."""

    cause: str | None = None
    symptoms: tuple[str, ...] = ()
    measured: bool = True


def labels(raised: Iterable[str], bearer: str) -> dict[str, Label]:
    """Each raised fault's nearest raised cause along the vocabulary, and each cause's symptoms, near and far."""
    keys = set(raised)
    found = {key: _nearest(key, keys, bearer) for key in keys}
    symptoms: dict[str, list[str]] = {key: [] for key in keys}
    for key in keys:
        seen = {key}
        cause = found[key][0]
        while cause is not None and cause not in seen:
            symptoms[cause].append(key)
            seen.add(cause)
            cause = found[cause][0]
    return {key: Label(found[key][0], tuple(sorted(symptoms[key])), found[key][1]) for key in keys}


def _nearest(key: str, raised: set[str], bearer: str) -> tuple[str | None, bool]:
    """Breadth first, also past what is not raised; then the link is inferred."""
    seen, ring, near = {key}, [key], True
    while ring:
        further: list[str] = []
        for effect in ring:
            for cause in _causes_of(effect, bearer):
                if cause in seen:
                    continue
                if cause in raised:
                    return cause, near and not (cause == "power/battery_critical" and not effect.startswith("power/"))
                seen.add(cause)
                if not cause.startswith("power/"):
                    further.append(cause)
        ring, near = further, False
    return None, True


def _causes_of(effect: str, bearer: str) -> Iterator[str]:
    unit = effect.partition("/")[0]
    for pattern in VOCABULARY[effect].explained_by:
        whole_unit = pattern.removesuffix("*") if pattern.endswith("/*") else ""
        for cause in (key for key in VOCABULARY if key.startswith(whole_unit)) if whole_unit else (pattern,):
            if cause.startswith("power/") and unit != "power" and unit not in _SILENCES.get(cause, ()):
                continue
            if cause.startswith("modem/") and unit == "network" and bearer != "modem":
                continue
            yield cause


# --- what follows ----------------------------------------------------------------------------------------------------

STOPS: Final = frozenset(
    {
        *("power/battery_critical", "reader/card_jam", "keypad/key_stuck", "keypad/keys_missing"),
        *("network/link_down", "network/gateway_unreachable", "network/acquirer_unreachable"),
        *("system/payment_app_down", "security/case_opened"),
    }
)
"""Of the faults that a fleet can have, those with which no card payment is taken."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Can it sell, which root explains it, who must act."""

    can_sell: CanSell = "yes"
    cause: str | None = None
    act: Act = "none"


def outcome(first_ms: Mapping[str, float], told: Mapping[str, Label], *, blind: bool = False) -> Outcome:
    """The verdict; `first_ms` is when each raised fault began, `blind` whether nothing essential was heard yet."""
    roots = [key for key, label in told.items() if label.cause is None]
    if not roots:
        return Outcome("unknown" if blind else "yes")

    def stops(key: str) -> bool:
        return not STOPS.isdisjoint((key, *told[key].symptoms))

    worst = min(roots, key=lambda key: (not stops(key), _RANK[VOCABULARY[key].severity], first_ms[key], key))
    if stops(worst):
        word: CanSell = "no"
    elif blind:
        word = "unknown"
    else:
        word = "yes" if VOCABULARY[worst].severity == "warning" else "degraded"
    return Outcome(word, worst, act_of(worst))


_OF_PRINTER: Final = (
    ("OutOfOrder", ("printer/no_reply", "printer/cover_open", "printer/head_hot")),
    ("PaperJam", ("printer/cutter_error",)),
    ("NoPaper", ("printer/paper_out",)),
    ("PaperLow", ("printer/paper_near_end",)),
)
_FLAGS: Final[Mapping[str, tuple[str, ...]]] = {
    "CardReaderOKFlag": ("reader/card_jam",),
    "PEDOKFlag": ("keypad/key_stuck", "keypad/keys_missing"),
    "SecurityOKFlag": ("keypad/keys_missing", "security/case_opened"),
    "CommunicationOKFlag": ("network/link_down", "network/gateway_unreachable", "network/acquirer_unreachable"),
}


def poi(raised: Mapping[str, Any], *, known: bool, sells: bool, printing: bool = True) -> dict[str, str | bool]:
    """The nexo POIStatus; only the first element before anything is known. `printing`: the printer has an answer."""
    overall: dict[str, str | bool] = {"GlobalStatus": "OK" if sells else "Maintenance"}
    if not known:
        return overall
    word = next((word for word, keys in _OF_PRINTER if any(key in raised for key in keys)), "OK")
    out = overall | ({"PrinterStatus": word} if printing else {})
    return out | {name: not any(key in raised for key in keys) for name, keys in _FLAGS.items()}


@dataclass(slots=True)
class Standing:
    """One raised fault: when it began and was last seen (epoch seconds), how often; who holds it up."""

    first_at: float
    last_at: float
    count: int = 1
    holders: set[str] = field(default_factory=set)
