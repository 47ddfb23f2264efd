"""Which readings of devices raise which faults, with every threshold and delay.

Sensor states that a device reports outright have no delay, so that a push goes out at once. What is noisy, or normal
for a moment, has one, and its reason stands beside it. For each number there are two levels, so that a value that
hovers at one of them does not flap.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from agent.condition import Condition, Share, above, among, below
from agent.config import DeviceConfig

_OWN_BUSY_S = 3.0  # another program that only looks, such as a port scan at plug-in, is gone by then
_IDLE_BUSY_S = 3600.0  # a borrowed port is held most of the day by its owner; an hour without a gap blinds us
_BAD = Share(polls=10, raise_at=3, clear_at=0)  # one flipped bit a minute is a line; three in ten polls is a fault


def port(unit: str, device: DeviceConfig) -> Iterable[Condition]:
    """What every serial device has: is the port there, ours, and does anybody answer on it."""
    at = device.name
    # Denied is not lost, but the port is just as unusable, and the evidence tells which.
    yield Condition(fault=f"{unit}/port_lost", source=at, reading="port", raises=among("lost", "denied"))
    if device.share != "never":
        busy_s = _OWN_BUSY_S if device.share == "own" else _IDLE_BUSY_S
        yield Condition(
            fault=f"{unit}/port_busy",
            source=at,
            reading="port",
            raises=among("busy"),
            on_delay_s=busy_s,
            evidence=("owner",),
        )
    # Two polls in a row: one reply that noise has eaten is no silence. At one poll a second that is about 3 s,
    # because after an unanswered question the line has to be quiet for 2 s before the next.
    yield Condition(
        fault=f"{unit}/no_reply", source=at, reading="reply", raises=among("none"), clears=among("ok", "bad"), polls=2
    )
    yield Condition(
        fault=f"{unit}/bad_reply", source=at, reading="reply", raises=among("bad"), clears=among("ok"), share=_BAD
    )


def printer(at: str) -> Iterable[Condition]:
    """A receipt printer's own sensors."""
    yield Condition(fault="printer/cover_open", source=at, reading="cover", raises=among("open"))
    yield Condition(fault="printer/paper_out", source=at, reading="paper", raises=among("out"), evidence=("cover",))
    # An empty printer says "out" instead of "near_end"; the warning then stands, explained by the empty roll.
    yield Condition(
        fault="printer/paper_near_end", source=at, reading="paper", raises=among("near_end"), clears=among("ok")
    )
    yield Condition(fault="printer/cutter_error", source=at, reading="cutter", raises=among("error"))
    # The head cools at its threshold and heats again at the next line: 5 s below is worth a word.
    yield Condition(fault="printer/head_hot", source=at, reading="head", raises=among("hot"), off_delay_s=5)
    yield Condition(fault="printer/mechanical_error", source=at, reading="mechanism", raises=among("error"))
    yield Condition(fault="printer/unrecoverable", source=at, reading="condition", raises=among("unrecoverable"))
    yield Condition(fault="power/undervoltage", source=at, reading="voltage", raises=among("error"), polls=2)


def reader(at: str) -> Iterable[Condition]:
    """A card reader's sensors, and the ratio of reads that the payment application tells."""
    # People take an ejected card within a few seconds, because they are looking at it.
    yield Condition(fault="reader/card_left", source=at, reading="card", raises=among("gate"), on_delay_s=15)
    # A card inside is normal for a whole sale; the longest, with a PIN tried thrice and a slow host, takes minutes.
    yield Condition(fault="reader/card_left", source=at, reading="card", raises=among("present"), on_delay_s=600)
    yield Condition(fault="reader/card_jam", source=at, reading="card", raises=among("jammed"))
    yield Condition(fault="reader/shutter_error", source=at, reading="shutter", raises=among("error"))
    yield Condition(fault="reader/sensor_error", source=at, reading="sensor", raises=among("error"))
    yield Condition(fault="reader/self_test_failed", source=at, reading="self_test", raises=among("failed"))
    yield Condition(fault="reader/tamper", source=at, reading="tamper", raises=among("yes"), latches=True)
    # A clean head fails below one read in ten; a third of all is dirt. Few attempts make the reading unknown.
    yield Condition(
        fault="reader/read_errors",
        source=at,
        reading="read_failure_percent",
        raises=above(30),
        clears=below(15),
        evidence=("reads", "read_attempts"),
        stale_s=0,
    )


def keypad(at: str) -> Iterable[Condition]:
    """A keypad's state. Which keys are typed is never known: a key has a name once held for 5 s, or dead in a test."""
    # 10 s after it has a name, so 15 s in all: nobody holds a key that long on purpose, and an elbow moves on.
    yield Condition(
        fault="keypad/key_stuck",
        source=at,
        reading="held",
        raises=lambda held: held not in {"none", "some"},
        clears=among("none"),
        on_delay_s=10,
    )
    # The person who was asked to press it may have missed it; the next test tells, and nothing before that.
    yield Condition(
        fault="keypad/key_dead",
        source=at,
        reading="dead",
        raises=lambda dead: dead != "none",
        inferred=True,
        stale_s=0,
    )
    yield Condition(fault="keypad/keys_missing", source=at, reading="keys", raises=among("missing"))
    yield Condition(fault="keypad/battery_low", source=at, reading="battery", raises=among("low"))
    # After a restart a "no" may come from a device that has forgotten, or from another one.
    yield Condition(fault="keypad/tamper", source=at, reading="tamper", raises=among("yes"), latches=True)


_RADIO = ("registration", "operator", "access", "cell", "rsrp_dbm", "rssi_dbm", "sinr_db")


def modem(at: str) -> Iterable[Condition]:
    """SIM, registration, signal and data session of a cellular modem."""
    yield Condition(fault="modem/sim_absent", source=at, reading="sim", raises=among("absent"))
    yield Condition(fault="modem/sim_locked", source=at, reading="sim", raises=among("pin", "puk"))
    yield Condition(fault="modem/sim_failure", source=at, reading="sim", raises=among("failure"))
    # A day is enough for somebody to look; after that the new card is the right one.
    yield Condition(
        fault="modem/sim_swapped",
        source=at,
        reading="iccid",
        raises=bool,
        remembers=True,
        adopt_s=86_400,
        evidence=("operator",),
    )
    # A cell change takes seconds; a modem that was restarted registers within about 20 s.
    yield Condition(
        fault="modem/no_network",
        source=at,
        reading="registration",
        raises=among("searching", "none"),
        clears=among("home", "roaming", "denied"),
        on_delay_s=20,
        evidence=("sim", *_RADIO),
    )
    # Networks refuse one area code and take the next; what is still refused after 10 s is meant.
    yield Condition(
        fault="modem/registration_denied",
        source=at,
        reading="registration",
        raises=among("denied"),
        on_delay_s=10,
        off_delay_s=5,
        evidence=_RADIO,
    )
    # At a border the modem tries the neighbour for a moment.
    yield Condition(
        fault="modem/roaming",
        source=at,
        reading="registration",
        raises=among("roaming"),
        clears=among("home"),
        on_delay_s=10,
        evidence=_RADIO,
    )
    # Below -115 dBm LTE loses throughput and attempts; people who walk past move it by 5 dB for seconds.
    yield Condition(
        fault="modem/weak_signal",
        source=at,
        reading="rsrp_dbm",
        raises=below(-115),
        clears=above(-110),
        on_delay_s=30,
        off_delay_s=15,
        evidence=_RADIO,
    )
    # GSM and what has only +CSQ: -103 dBm is +CSQ 5, where calls begin to drop.
    yield Condition(
        fault="modem/weak_signal",
        source=at,
        reading="rssi_dbm",
        unless="rsrp_dbm",
        raises=below(-103),
        clears=above(-97),
        on_delay_s=30,
        off_delay_s=15,
        evidence=_RADIO,
    )
    # A data session is built anew in a few seconds after each change of network.
    yield Condition(
        fault="modem/no_data", source=at, reading="data", raises=among("down"), on_delay_s=10, evidence=_RADIO
    )
    # Modules throttle their transmitter a little above 80 degrees.
    yield Condition(
        fault="modem/overheat", source=at, reading="temperature_c", raises=above(80), clears=below(75), on_delay_s=10
    )


def firmware(device: str) -> Iterable[Condition]:
    """The verdict of the firmware probe on one device; it is asked once an hour, so it is never stale."""
    for kind in ("outdated", "known_bad", "unknown_combination"):
        yield Condition(
            fault=f"firmware/{kind}",
            source="firmware",
            device=device,
            reading=device,
            raises=among(kind),
            evidence=(f"{device}.why",),
            stale_s=0,
        )


_UNITS: dict[str, Callable[[str], Iterable[Condition]]] = {
    "printer": printer,
    "reader": reader,
    "keypad": keypad,
    "modem": modem,
}


def device_conditions(unit: str, device: DeviceConfig) -> tuple[Condition, ...]:
    """Everything that one configured device can raise, the firmware kinds included."""
    # Three polls without any news are silence of our own making; below a minute a sale explains it.
    stale_s = max(60.0, 3 * device.poll_s)
    own = (*port(unit, device), *_UNITS[unit](device.name))
    return (*(c.stale_after(stale_s) for c in own), *firmware(device.name))
