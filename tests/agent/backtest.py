"""Months of simulated shops, played through the trends and the rules in seconds. `python -m tests.agent.backtest`.

A shop has weekdays, a season, closing days, rolls of uneven length, customers with bad cards, weather on the radio and
a disk that is rotated. What is wrong with it is one `Wrong`; with none of it every warning is a false one.
"""

from __future__ import annotations

import json
import math
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from agent.config import Config, MqttConfig, TerminalConfig
from agent.rules import Rules
from agent.trend_conditions import trend_conditions
from agent.trends import Trends
from drivers.reading import known

START = 1_798_761_600.0  # Friday 2027-01-01, UTC
DAY = 86_400.0
UNITS = {"printer": "printer", "reader": "reader", "modem": "modem"}
CONFIG = Config(terminal=TerminalConfig(id="t", estate="e"), mqtt=MqttConfig(url="mqtt://127.0.0.1:1883"))


@dataclass(frozen=True)
class Wrong:
    """What goes wrong from day `at` on, at its own pace; nothing by default."""

    what: str = ""
    at: int = 60


@dataclass
class Result:
    """`warned` is the day of each warning's first raise; `due` the day on which the thing itself would have happened."""

    days: int
    warned: dict[str, int] = field(default_factory=dict)
    raised: list[tuple[int, str]] = field(default_factory=list)
    due: float | None = None
    paper: list[tuple[float, float, float, float]] = field(default_factory=list)  # said, low, high, what came
    rolls: int = 0
    paper_left: list[float] = field(default_factory=list)  # share of the roll at each forecast of near end
    state_bytes: int = 0


class Shop:
    """One terminal in one shop. All of it follows from the seed."""

    def __init__(self, seed: int, wrong: Wrong = Wrong(), *, near_end_sensor: bool = True) -> None:
        self.dice = dice = random.Random(seed)
        self.wrong = wrong
        self.sensor = near_end_sensor
        self.customers_a_day = dice.uniform(40, 250)
        self.weekdays = [dice.uniform(0.7, 1.3) for _ in range(7)]
        self.closed = {6} if dice.random() < 0.4 else set()
        self.season = dice.uniform(0.0, 0.3)
        self.lines = dice.randrange(200_000)
        self.cuts = self.lines // 30
        self.roll = dice.choice((4800.0, 8000.0, 21_000.0))
        self.left = self.new_roll() * dice.random()
        self.near_at = self.roll * dice.uniform(0.04, 0.08)
        self.rolls = 0
        self.paper = "ok"
        self.near_now = self.near_at
        self.change_at = self.early() if near_end_sensor else 0.0
        self.good = self.failed = self.attempts = 0
        self.bad_reads = dice.uniform(0.005, 0.03)
        self.level = dice.uniform(-106, -75)
        self.evening = dice.uniform(0, 6)
        self.weather = 0.0
        self.disk = 8e9
        self.free = self.base_free = self.disk * dice.uniform(0.25, 0.7)
        self.health = dice.uniform(88, 100)
        self.cycles = dice.randrange(200)
        if wrong.what == "head":
            self.lines = int(150e6 / 3.75) - int(130 * self.customers_a_day * 33 * (7 - len(self.closed)) / 7)

    # --- one day

    def scale(self, day: int, weekday: int) -> float:
        if weekday in self.closed:
            return 0.0
        season = 1 + self.season * math.sin(2 * math.pi * day / 365)
        holidays = 1.6 if day % 365 > 335 else 1.0
        return self.weekdays[weekday] * season * holidays * self.dice.lognormvariate(0, 0.2)

    def age(self, day: int) -> float:
        """Days since it went wrong."""
        return max(0.0, day - self.wrong.at)

    def day(self, day: int) -> Iterator[tuple[float, str, dict[str, object]]]:
        """Readings of one day: (wall, source, name to value)."""
        weekday = (4 + day) % 7
        midnight = START + day * DAY
        customers = self.customers_a_day * self.scale(day, weekday)
        self.weather = 0.7 * self.weather + self.dice.gauss(0, 1.2)
        self.cycles += self.dice.random() < 0.4
        open_today = customers > 0 or self.dice.random() < 0.5  # a closed shop may leave its terminal on
        for hour in range(24):
            wall = midnight + hour * 3600
            if open_today and (7 <= hour <= 21):
                serving = customers / 12 if 8 <= hour < 20 else 0.0
                yield from self.hour(day, hour, wall, serving)

    def hour(self, day: int, hour: int, wall: float, serving: float) -> Iterator[tuple[float, str, dict[str, object]]]:
        dice = self.dice
        yield wall, "printer", {"ReceiptLineFeedCount": self.lines, "PaperCutCount": self.cuts}
        yield wall, "printer", {"paper": self.paper, "cover": "closed"}
        for n in range(sales := int(dice.gauss(serving, math.sqrt(serving) + 0.01) + 0.5) if serving else 0):
            at = wall + 3500 * (n + 1) / (sales + 1)
            yield from self.receipt(at)
            yield from self.swipe(day, at)
        yield wall + 3550, "report.reader", self.reads()
        decline = 0.25 * self.age(day) if self.wrong.what == "signal" else 0.0
        crowd = self.evening * math.exp(-(((hour - 18) / 3) ** 2))
        for n in range(3):
            dbm = self.level + self.weather - crowd - decline + dice.gauss(0, 2.5)
            yield wall + n * 1200, "modem", {"rsrp_dbm": round(dbm), "rssi_dbm": round(dbm + 20)}
        yield wall + 100, "system", self.disk_now(day, hour)
        worn = 0.3 * self.age(day) if self.wrong.what == "battery" else 0.0
        health = self.health - 0.01 * day - worn + dice.gauss(0, 0.6)
        yield wall + 200, "power", {"battery_health_percent": round(health, 1), "cycle_count": self.cycles}

    # --- its parts

    def new_roll(self) -> float:
        return self.roll * self.dice.gauss(1, 0.015)

    def early(self) -> float:
        """Lines that are left when somebody changes the roll: most wait until it is empty, some do not."""
        return self.near_now * self.dice.random() if self.dice.random() < 0.4 else 0.0

    def receipt(self, wall: float) -> Iterator[tuple[float, str, dict[str, object]]]:
        lines = self.dice.randrange(22, 45)
        self.lines += lines
        self.cuts += 1
        self.left -= lines
        if self.left <= self.change_at:
            if self.left <= 0:
                self.paper = "out"
                yield wall, "printer", {"paper": "out", "cover": "closed"}
            self.rolls += 1
            self.left = self.new_roll()
            self.near_now = self.near_at * self.dice.gauss(1, 0.1)
            self.change_at = self.early() if self.sensor else 0.0
            self.paper = "ok"
            yield wall + 5, "printer", {"cover": "open"}
            yield wall + 30, "printer", {"paper": "ok", "cover": "closed"}
        elif self.sensor and self.paper == "ok" and self.left <= self.near_now:
            self.paper = "near_end"
            yield wall, "printer", {"paper": "near_end", "cover": "closed"}
            if self.dice.random() < 0.1:  # it hovers at the sensor
                yield wall + 9, "printer", {"paper": "ok", "cover": "closed"}
                yield wall + 12, "printer", {"paper": "near_end", "cover": "closed"}
        elif self.dice.random() < 0.0005:
            yield wall, "printer", {"cover": "open"}
            yield wall + 20, "printer", {"paper": self.paper, "cover": "closed"}

    def reads(self) -> dict[str, object]:
        return {"good": self.good, "failed": self.failed, "attempts": self.attempts}

    def swipe(self, day: int, wall: float) -> Iterator[tuple[float, str, dict[str, object]]]:
        dice = self.dice
        dirt = 0.004 * self.age(day) if self.wrong.what == "dirt" else 0.0
        self.attempts += 1
        if dice.random() < 0.002:  # a bad card, tried again and again, also as another attempt
            for _ in range(dice.randrange(1, 8)):
                self.failed += dice.randrange(3, 8)
                yield wall, "report.reader", self.reads()
                self.attempts += 1
        elif dice.random() < self.bad_reads + dirt:
            self.failed += 1 + (dice.random() < 0.3)
            self.good += 1
            yield wall, "report.reader", self.reads()
            return
        self.good += 1

    def disk_now(self, day: int, hour: int) -> dict[str, object]:
        logs = 4e6 * ((day % 7) + hour / 24)  # rotated each week
        update = 6e8 if day % 45 == 20 and 9 <= hour < 12 else 0.0
        leak = 3e7 * self.age(day) if self.wrong.what == "disk" else 0.0
        flood = (
            2.5e7 * 24 * max(0.0, self.age(day) + hour / 24) if self.wrong.what == "flood" and self.age(day) else 0.0
        )
        self.free = max(0.0, self.base_free - 2e5 * day - logs - update - leak - flood)
        return {"disk_free_bytes": int(self.free), "disk_free_percent": round(100 * self.free / self.disk, 1)}

    def has_happened(self, day: int) -> bool:
        """Whether the thing itself, of which a warning should have come before, is so."""
        return {
            "signal": self.level - 0.25 * self.age(day) < -115,
            "dirt": 0.004 * self.age(day) > 0.28,
            "disk": self.free < 0.05 * self.disk,
            "flood": self.free < 0.05 * self.disk,
            "battery": self.health - 0.01 * day - 0.3 * self.age(day) < 60,
            "head": self.lines * 3.75 > 150e6,
        }.get(self.wrong.what, False)


def play(shop: Shop, days: int, *, restart_every: int = 0) -> Result:
    """Play up to `days` days; each `restart_every` days the agent is restarted from what it keeps as text."""
    result = Result(days)
    rules = Rules(tuple(trend_conditions(UNITS)))
    trends = Trends(CONFIG, UNITS, time.gmtime)
    forecasts: list[tuple[int, float, float, float, float]] = []
    for day in range(days):
        if restart_every and day % restart_every == restart_every - 1:
            kept = json.dumps(trends.state())
            trends = Trends(CONFIG, UNITS, time.gmtime)
            trends.restore(json.loads(kept))
        for wall, source, values in shop.day(day):
            if values.get("paper") == "out":  # a roll has ended: what was foretold of it is now known
                result.paper += [
                    (v, low, high, (wall - at) / DAY) for n, at, v, low, high in forecasts if n == shop.rolls
                ]
                forecasts = []
            trends.observe(source, {name: known(value) for name, value in values.items()}, wall)
            # With a sensor every fourth hour is enough, and takes a quarter of the time.
            if (not shop.sensor or hours_of(wall) % 4 == 0) and trends.due(wall):
                told = trends.readings(wall)
                _judge(rules, told, wall, shop, result)
                if hours_of(wall) == 12:
                    forecasts += _forecast(told, wall, shop)
        if shop.has_happened(day):
            result.due = day
            break
    result.rolls = shop.rolls
    result.state_bytes = len(json.dumps(trends.state()))
    return result


def _judge(rules, told, wall, shop, result):
    for source, readings in told.items():
        for change in rules.observe(source, readings, wall - START, wall):
            if change.event == "fault.raised":
                day, key = int((wall - START) // DAY), change.fault.key
                result.raised.append((day, key))
                result.warned.setdefault(key, day)
                if key == "printer/paper_near_end":
                    result.paper_left.append(shop.left / shop.roll)


def _forecast(told, wall, shop):
    readings = told["trend.printer"]
    numbers = [readings[f"paper_days_left{part}"].value for part in ("", "_low", "_high")]
    return [] if None in numbers else [(shop.rolls, wall, *numbers)]


def hours_of(wall: float) -> int:
    return int((wall - START) % DAY // 3600)


KINDS = {
    "head": "printer/head_worn",
    "dirt": "reader/read_errors",
    "signal": "modem/weak_signal",
    "disk": "system/disk_full",
    "flood": "system/disk_full",
    "battery": "power/battery_worn",
}


def leads(what: str, seeds: range, days: int = 240) -> list[float | None]:
    """For each seed how many days the warning came before the thing itself; None when it did not come before."""
    found: list[float | None] = []
    for seed in seeds:
        result = play(Shop(seed, Wrong(what)), days)
        warned = result.warned.get(KINDS[what])
        came = result.due if result.due is not None else days
        found.append(None if warned is None or warned >= came + (what == "flood") else came - warned)
    return found


def figures(shops: int = 8) -> dict[str, object]:
    """The figures of the whole back-test; every fourth shop's printer has no near-end sensor."""
    began = time.perf_counter()
    healthy = [play(Shop(seed, near_end_sensor=seed % 4 != 0), 365) for seed in range(shops)]
    false = [w for n, result in enumerate(healthy) for w in result.raised if n % 4 or w[1] != "printer/paper_near_end"]
    foretold = sorted(left for result in healthy[::4] for left in result.paper_left)
    paper = [each for result in healthy for each in result.paper]
    errors = sorted(abs(said - came) for said, _, _, came in paper)
    out: dict[str, object] = {
        "healthy terminal-months": shops * 12,
        "false warnings": len(false),
        "paper forecasts": len(paper),
        "paper error, days, median": round(errors[len(errors) // 2], 2),
        "paper error, days, p95": round(errors[int(0.95 * len(errors))], 2),
        "paper within its bounds": round(sum(low <= came <= high for _, low, high, came in paper) / len(paper), 3),
        "paper, no sensor: rolls foretold": f"{len(foretold)} of {sum(result.rolls for result in healthy[::4])}",
        "paper, no sensor: share of the roll left, median": round(foretold[len(foretold) // 2], 3),
        "state, bytes": max(result.state_bytes for result in healthy),
    }
    for what, key in KINDS.items():
        found = leads(what, range(100, 100 + shops))
        early = sorted(lead for lead in found if lead is not None)
        out[f"{what}: warned before"] = f"{len(early)} of {len(found)}"
        out[f"{what}: lead, days, least and median of {key}"] = (
            f"{early[0]:.0f}, {early[len(early) // 2]:.0f}" if early else "none"
        )
    out["seconds"] = round(time.perf_counter() - began, 1)
    return out


if __name__ == "__main__":
    for name, figure in figures().items():
        print(f"{name:60} {figure}")
