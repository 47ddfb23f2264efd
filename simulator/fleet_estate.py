"""Where the terminals of a fleet stand, and what hangs on what: sites, operators, cells, power districts, hosts.

Made from a seed, so that two runs and the center's own list of places agree.
"""

from __future__ import annotations

import csv
import random
from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Final, Literal

OPERATORS: Final = {"mobile": 55, "telecom": 25, "unicom": 20}
"""Operators and how many of a hundred SIM cards are theirs."""
HOSTS: Final = ("host-a", "host-b", "host-c")
_REGIONS: Final = 8
_SITES_OF_A_DISTRICT: Final = 40
_SITES_OF_A_CELL: Final = 6
# A kiosk has one terminal, a supermarket eight: how many sites of a hundred have so many.
_TERMINALS_OF_A_SITE: Final = {1: 46, 2: 24, 3: 12, 4: 8, 5: 4, 6: 3, 7: 1, 8: 2}
_WIRED_SHARE: Final = 0.35
_BATTERY_SHARE: Final = 0.6


@dataclass(frozen=True, slots=True)
class Place:
    """What the center's list of places holds of one terminal. Wired terminals have neither operator nor cell."""

    estate: str
    terminal: str
    site: str
    operator: str
    cell: str
    region: str
    power_district: str
    host: str

    @property
    def bearer(self) -> Literal["modem", "ethernet"]:
        """What carries its network, as the agent's configuration calls it."""
        return "modem" if self.operator else "ethernet"


def make_places(
    count: int, *, estate: str, seed: int, sites: int = 0, operators: Iterable[str] = OPERATORS
) -> list[Place]:
    """So many terminals, `fleet-00000` onwards. `sites` 0 is as many as shops of usual sizes give."""
    dice = random.Random(f"{seed}-places")
    names = tuple(operators)
    weights = [OPERATORS.get(name, 20) for name in names]
    return [
        _place(dice, estate, number, site, names, weights) for number, site in enumerate(_sites_of(dice, count, sites))
    ]


def _sites_of(dice: random.Random, count: int, sites: int) -> Iterator[int]:
    """The number of each terminal's site."""
    if sites:
        yield from (number * sites // count for number in range(count))
        return
    given = site = 0
    while given < count:
        size = min(count - given, dice.choices(list(_TERMINALS_OF_A_SITE), list(_TERMINALS_OF_A_SITE.values()))[0])
        yield from (site for _ in range(size))
        given, site = given + size, site + 1


def _place(
    dice: random.Random, estate: str, number: int, site: int, operators: tuple[str, ...], weights: list[int]
) -> Place:
    district = site // _SITES_OF_A_DISTRICT
    wired = random.Random(f"{estate}-{site}").random() < _WIRED_SHARE  # all terminals of a shop alike
    operator = "" if wired else dice.choices(operators, weights)[0]
    return Place(
        estate,
        terminal=f"fleet-{number:05d}",
        site=f"site-{site:05d}",
        operator=operator,
        cell=f"{operator}-{site // _SITES_OF_A_CELL:04d}" if operator else "",
        region=f"region-{district % _REGIONS}",
        power_district=f"power-{district:03d}",
        host=HOSTS[district % _REGIONS % len(HOSTS)],
    )


def has_battery(place: Place) -> bool:
    """Whether it lives on when the mains are gone; nobody carries a wired one around."""
    return place.bearer == "modem" and random.Random(f"battery-{place.terminal}").random() < _BATTERY_SHARE


def write_places(file: Path, places: Iterable[Place]) -> None:
    """A table with one line a terminal, its columns named as the center names them. Raises OSError."""
    with file.open("w", encoding="utf-8", newline="") as out:
        table = csv.writer(out)
        table.writerow(spec.name for spec in fields(Place))
        table.writerows(map(astuple, places))
