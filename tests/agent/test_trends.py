"""Each trend by itself: what it says, from how much, and what it must not take for a decline."""

from __future__ import annotations

import json
import random
import time
from dataclasses import replace

import pytest

from agent.causes import Topology, explain
from agent.condition import Condition, above, below
from agent.conditions import conditions
from agent.config import Config, DeviceConfig, MqttConfig, TerminalConfig, TrendsConfig
from agent.rules import Rules
from agent.trend_conditions import trend_conditions
from agent.trends import Trends
from agent.trends_estimate import median, share_high, share_low, slope
from agent.vocabulary import VOCABULARY
from drivers.reading import Cause, known, unknown

UNITS = {"printer": "printer", "reader": "reader", "modem": "modem"}
START = 1_798_761_600.0  # Friday 2027-01-01, UTC
DAY = 86_400.0


def config(**trends):
    return Config(
        terminal=TerminalConfig(id="t", estate="e"),
        mqtt=MqttConfig(url="mqtt://127.0.0.1:1883"),
        device=tuple(DeviceConfig(name=name, family="x", port="/dev/x") for name in UNITS),
        trends=TrendsConfig(**trends),
    )


def terminal(**trends):
    return Trends(config(**trends), UNITS, time.gmtime)


def tell(trends, source, wall, **values):
    trends.observe(source, {name: known(value) for name, value in values.items()}, wall)


def said(trends, owner, name, wall):
    return trends.estimates(wall)[owner][name]


def restarted(trends, **options):
    kept = json.dumps(trends.state())
    again = terminal(**options)
    again.restore(json.loads(kept))
    return again


# --- paper and wear


class Printing:
    """A printer that prints `a_day` lines between 8 and 18 h, its counter read hourly; `roll` lines end in near end."""

    def __init__(self, trends, *, roll=5000, tail=500, a_day=1000, lines=100_000, sensor=True):
        self.trends, self.roll, self.tail, self.sensor = trends, roll, tail, sensor
        self.a_day, self.lines, self.left, self.day = a_day, lines, roll + tail, 0
        self.paper = "ok"
        self.each_hour = lambda wall: None

    def state(self, wall, paper):
        self.paper = paper
        tell(self.trends, "printer", wall, paper=paper, cover="closed")

    def days(self, count):
        for _ in range(count):
            for hour in range(7, 20):
                wall = START + self.day * DAY + hour * 3600
                tell(self.trends, "printer", wall, ReceiptLineFeedCount=self.lines, PaperCutCount=self.lines // 30)
                self.state(wall, self.paper)
                self.each_hour(wall)
                if 8 <= hour < 18:
                    self.print(self.a_day // 10, wall)
            self.day += 1
        return self.wall

    def print(self, lines, wall):
        self.lines += lines
        self.left -= lines
        if self.left <= 0:
            self.state(wall + 3000, "out")
            tell(self.trends, "printer", wall + 3010, cover="open")
            self.state(wall + 3100, "ok")
            self.left = self.roll + self.tail
        elif self.sensor and self.left <= self.tail and self.paper == "ok":
            self.state(wall + 3000, "near_end")

    @property
    def wall(self):
        return START + (self.day - 1) * DAY + 20 * 3600


def test_nothing_is_said_of_paper_before_a_week_and_a_whole_roll():
    trends = terminal()
    shop = Printing(trends)
    assert trends.estimates(shop.days(1)).get("printer", {})["paper_days_left"].value is None
    told = said(trends, "printer", "paper_days_left", shop.days(2))
    assert (told.value, told.cause, told.why) == (None, Cause.LEARNING, "no roll change seen yet")
    told = said(trends, "printer", "paper_days_left", shop.days(2))
    assert (told.value, told.why) == (None, "no roll has run out yet after near end")
    trends = terminal()
    shop = Printing(trends, a_day=5000)
    told = said(trends, "printer", "paper_days_left", shop.days(5))
    assert (told.value, told.why) == (None, "3 of 7 days seen")  # the first was none whole, the last is not over


def test_paper_that_is_learned_is_foretold_to_the_day():
    trends = terminal()
    shop = Printing(trends)
    wall = shop.days(30)
    for _ in range(20):
        told = said(trends, "printer", "paper_days_left", wall)
        # The shop prints 1,000 lines a day from 8 to 18 h, and opens half a day from now.
        whole_days = (shop.left - 1) // 1000
        truth = whole_days + 0.5 + (shop.left / 1000 - whole_days) * 10 / 24
        assert told.value == pytest.approx(truth, abs=0.2)
        assert told.low <= truth <= told.high
        assert told.basis == "inferred"
        assert told.outlook == "ok"  # this printer's sensor says near end by itself
        wall = shop.days(1)


def test_closed_days_with_the_terminal_off_are_days_without_sales():
    trends = terminal()
    shop = Printing(trends)
    for _ in range(5):
        shop.days(5)
        shop.day += 2
    daily = trends._trends["printer"]["paper"].daily()
    assert daily.known()
    assert sorted(round(daily.mean(weekday)) for weekday in range(7)) == [0, 0, 1000, 1000, 1000, 1000, 1000]


def test_a_holiday_teaches_nothing_of_weekdays():
    trends = terminal()
    shop = Printing(trends)
    shop.days(15)
    shop.day += 10
    shop.days(1)
    assert trends._trends["printer"]["paper"].daily().week() == pytest.approx(1000)


def test_where_a_sensor_tells_near_end_no_forecast_does():
    trends = terminal()
    shop = Printing(trends)
    outlooks = set()
    shop.each_hour = lambda wall: outlooks.update(each.outlook for each in trends.estimates(wall)["printer"].values())
    shop.days(40)
    assert outlooks == {"ok"}


def test_printing_that_nobody_saw_is_no_closed_day():
    trends = terminal()
    shop = Printing(trends)
    shop.days(10)
    seen = trends._trends["printer"]["paper"].seen
    shop.day += 2
    shop.lines += 2000
    shop.days(1)
    assert trends._trends["printer"]["paper"].seen == seen + 1  # the day before the gap; the gap itself is not known


def test_a_flickering_sensor_is_no_new_roll():
    trends = terminal()
    shop = Printing(trends)
    shop.days(30)
    paper = trends._trends["printer"]["paper"]
    before = list(paper.to_near)
    while shop.paper != "near_end":
        shop.days(1)
    for n in range(20):
        shop.state(shop.wall + n, "ok" if n % 2 else "near_end")
    shop.days(1)
    assert median(paper.to_near) == pytest.approx(median(before), rel=0.05)
    assert min(paper.to_near) > 4000


def test_another_printer_forgets_the_roll_but_not_what_rolls_hold():
    trends = terminal()
    shop = Printing(trends)
    shop.days(30)
    shop.lines += 900_000
    told = said(trends, "printer", "paper_days_left", shop.days(1))
    assert told.value is None
    assert told.why == "no roll change seen yet"
    assert said(trends, "printer", "paper_days_left", shop.days(12)).value is not None


def test_a_roll_changed_unseen_is_not_foretold():
    trends = terminal()
    shop = Printing(trends)
    shop.days(30)
    while shop.left > 2000:
        shop.days(1)
    shop.left = shop.roll + shop.tail
    told = said(trends, "printer", "paper_days_left", shop.days(4))
    assert (told.value, told.why) == (None, "more was printed than a roll holds, so a roll was changed unseen")


def test_an_opened_cover_may_mean_a_full_roll():
    trends = terminal()
    shop = Printing(trends)
    shop.days(31)
    while shop.left > 3000:
        shop.days(1)
    before = said(trends, "printer", "paper_days_left", shop.wall)
    tell(trends, "printer", shop.wall, cover="open")
    tell(trends, "printer", shop.wall + 60, cover="closed", ReceiptLineFeedCount=shop.lines)
    after = said(trends, "printer", "paper_days_left", shop.wall + 60)
    assert after.low == pytest.approx(before.low, abs=0.1)
    assert after.high > before.high + 2


def test_a_printer_without_a_sensor_has_its_near_end_foretold():
    trends = terminal()
    rules = Rules(tuple(trend_conditions(UNITS)))
    shop = Printing(trends, sensor=False)
    left = []

    def look(wall):
        for source, readings in trends.readings(wall).items():
            for change in rules.observe(source, readings, wall, wall):
                if change.event == "fault.raised":
                    assert change.fault.key == "printer/paper_near_end"
                    left.append(shop.left)

    shop.each_hour = look
    shop.days(61)
    assert (
        len(left) == 8
    )  # of eleven rolls; of the first three it learns that there is no sensor, and how long they are
    assert all(150 <= each <= 350 for each in left), left


def test_wear_is_lines_times_pitch_against_what_the_maker_rates():
    trends = terminal(head_life_km=100, cutter_life_cuts=1_000_000)
    shop = Printing(trends, lines=8_000_000)
    wall = shop.days(1)
    head = said(trends, "printer", "head_wear_percent", wall)
    assert head.low == pytest.approx(100 * 8_001_000 * 3.75 / 100e6, rel=0.001)
    assert head.high == pytest.approx(100 * 8_001_000 * 4.24 / 100e6, rel=0.001)
    assert head.low < head.value < head.high
    assert said(trends, "printer", "cutter_wear_percent", wall).value == pytest.approx(26.67, rel=0.001)
    assert said(trends, "printer", "head_days_left", wall).value is None


def test_without_a_rating_the_bounds_are_the_usual_range_and_a_worn_head_is_beyond_it():
    def outlook(lines):
        trends = terminal()
        head = said(trends, "printer", "head_wear_percent", Printing(trends, lines=lines).days(15))
        assert head.high > 1.4 * head.low
        return head.outlook

    assert outlook(1_000_000) == "ok"
    assert outlook(int(110e6 / 3.75)) == "ok"  # 110 km may be the end or not
    assert outlook(int(149.8e6 / 3.75)) == "act"  # at 1,000 lines a day that is two months before 150 km
    assert outlook(int(151e6 / 3.75)) == "act"


def test_a_new_head_begins_at_its_own_count():
    trends = terminal(head_life_km=100, head_new_at_lines=26_000_000)
    wall = Printing(trends, lines=26_000_000).days(9)
    assert said(trends, "printer", "head_wear_percent", wall).value < 0.1
    assert said(trends, "printer", "head_days_left", wall).value == 730
    trends = terminal(head_new_at_lines=26_000_000)
    told = said(trends, "printer", "head_wear_percent", Printing(trends, lines=100).days(2))
    assert (told.value, told.cause) == (None, Cause.INCONSISTENT)


# --- reader


class Till:
    """A payment application that reports its totals after each attempt."""

    def __init__(self, trends, seed=1):
        self.trends, self.dice = trends, random.Random(seed)
        self.good = self.failed = self.attempts = 0
        self.day = 0

    def report(self, wall):
        tell(self.trends, "report.reader", wall, good=self.good, failed=self.failed, attempts=self.attempts)

    def days(self, count, share, *, bad_card=0, attempts=50):
        for _ in range(count):
            wall = START + self.day * DAY + 9 * 3600
            self.report(wall)
            for n in range(attempts):
                self.attempts += 1
                self.good += 1
                self.failed += self.dice.random() < share
                self.report(wall + 60 * n)
            for n in range(bad_card):
                self.attempts += 1
                self.failed += 3
                self.report(wall + 4000 + n)
            self.day += 1
        return START + (self.day - 1) * DAY + 22 * 3600


def test_reads_are_unknown_until_two_weeks_and_enough_attempts_were_seen():
    trends = terminal()
    till = Till(trends)
    told = said(trends, "reader", "read_errors_percent", till.days(5, 0.02))
    assert (told.value, told.why) == (None, "4 of 14 days, 200 of 300 attempts seen")
    assert said(trends, "reader", "read_errors_percent", till.days(11, 0.02)).value is not None


def test_many_different_attempts_that_fail_are_a_dirty_head():
    trends = terminal()
    till = Till(trends)
    assert said(trends, "reader", "read_errors_percent", till.days(30, 0.02)).outlook == "ok"
    told = said(trends, "reader", "read_errors_percent", till.days(3, 0.2))
    assert told.outlook == "act"
    assert told.low < told.value < told.high
    assert told.value == pytest.approx(20, abs=8)
    assert said(trends, "reader", "read_errors_percent", till.days(9, 0.02)).outlook == "ok"  # cleaned


def test_one_bad_card_that_fails_as_often_is_none():
    trends = terminal()
    till = Till(trends)
    till.days(30, 0.02)
    wall = till.days(3, 0.02, bad_card=20)
    assert till.failed > 150
    assert said(trends, "reader", "read_errors_percent", wall).outlook != "act"
    assert said(trends, "reader", "read_errors_percent", wall).value < 6  # each day's card is one attempt of 70


def test_one_bad_day_is_no_dirt():
    trends = terminal()
    till = Till(trends)
    till.days(30, 0.02)
    for share in (0.6, 0.02, 0.02):
        told = said(trends, "reader", "read_errors_percent", till.days(1, share))
        assert told.outlook != "act"
        assert told.low > 8


def test_dirt_does_not_become_the_usual():
    trends = terminal()
    till = Till(trends)
    till.days(20, 0.02)
    assert said(trends, "reader", "read_errors_percent", till.days(7, 0.12)).outlook == "act"
    for _ in range(12):
        assert said(trends, "reader", "read_errors_percent", till.days(7, 0.12)).outlook != "ok"


def test_a_restarted_application_counts_from_zero():
    trends = terminal()
    till = Till(trends)
    till.days(20, 0.02)
    seen = trends._trends["reader"]["reads"].attempts
    till.good = till.failed = till.attempts = 0
    till.days(2, 0.02)
    reads = trends._trends["reader"]["reads"]
    assert reads.today[0] == 50
    assert reads.days[-1][1] == 50
    assert seen == pytest.approx(700)


# --- power, disk, signal


def daily(trends, source, days, values, first=0):
    for day in range(first, first + days):
        for hour in range(24):
            wall = START + day * DAY + hour * 3600
            tell(trends, source, wall, **values(day, hour))
    return wall


def test_a_battery_that_fades_is_foretold_and_one_that_holds_is_not():
    def battery(a_day):
        trends = terminal()
        dice = random.Random(3)
        noise = [dice.gauss(0, 0.5) for _ in range(90)]
        wall = daily(trends, "power", 90, lambda d, h: {"battery_health_percent": 95 - a_day * d + noise[d]})
        return said(trends, "power", "battery_days_left", wall)

    fading = battery(0.3)
    assert fading.outlook == "act"
    assert fading.low < 27 < fading.high  # 68 % now, 60 % is worn
    assert fading.value == pytest.approx(27, abs=6)
    holding = battery(0.0)
    assert holding.outlook == "ok"
    assert holding.high == 730


def test_a_battery_without_a_gauge_is_judged_by_its_charges():
    trends = terminal()
    wall = daily(trends, "power", 20, lambda d, h: {"cycle_count": 400 + d})
    told = trends.estimates(wall)["power"]
    assert told["cycles_wear_percent"].low == pytest.approx(100 * 419 / 800)
    assert told["cycles_wear_percent"].high == pytest.approx(100 * 419 / 300)
    assert told["cycles_wear_percent"].outlook == "ok"
    tell(trends, "power", wall, battery_health_percent=90.0, cycle_count=900)
    assert set(trends.estimates(wall)["power"]) == {"battery_days_left"}


def disk(free):
    return {"disk_free_bytes": int(free), "disk_free_percent": round(free / 8e7, 1)}


def test_a_disk_that_fills_slowly_is_foretold():
    trends = terminal()
    wall = daily(trends, "system", 9, lambda d, h: disk(2e9 - 6e7 * (d + h / 24)))
    told = said(trends, "system", "disk_days_left", wall)
    assert (told.value, told.why) == (None, "8 of 10 days seen")
    wall = daily(trends, "system", 10, lambda d, h: disk(2e9 - 6e7 * (d + h / 24)), first=9)
    told = said(trends, "system", "disk_days_left", wall)
    assert told.value == pytest.approx((2e9 - 6e7 * 19 - 4e8) / 6e7, abs=0.5)
    assert told.outlook == "act"


def test_rotated_logs_and_an_update_fill_no_disk():
    trends = terminal()

    def free(day, hour):
        update = 9e8 if day % 10 == 3 and 9 <= hour < 15 else 0
        return disk(2e9 - 3e7 * (day % 7 + hour / 24) - update * (hour - 8) / 6)

    for day in range(40):
        wall = daily(trends, "system", 1, free, first=day)
        told = said(trends, "system", "disk_days_left", wall)
        assert told.value is None or told.outlook != "act", day


def test_a_disk_that_fills_within_hours_is_said_before_a_week_has_passed():
    trends = terminal()
    wall = daily(trends, "system", 1, lambda d, h: disk(4e9 - 6e7 * h))
    told = said(trends, "system", "disk_days_left", wall)
    assert told.outlook == "act"
    assert told.value == pytest.approx((4e9 - 6e7 * 23 - 4e8) / 6e7 / 24, abs=0.2)


def test_hours_that_fill_the_disk_and_clear_it_again_are_no_flood():
    trends = terminal()
    wall = daily(trends, "system", 1, lambda d, h: disk(4e9 - 6e7 * h + (2e8 if h >= 19 else 0)))
    assert said(trends, "system", "disk_days_left", wall).value is None


def test_it_is_the_least_space_of_a_day_that_counts():
    trends = terminal()
    wall = daily(trends, "system", 20, lambda d, h: disk(3e9 - (6e7 * d if h == 3 else 0)))
    told = said(trends, "system", "disk_days_left", wall)
    assert told.value == pytest.approx((3e9 - 6e7 * 19 - 4e8) / 6e7, abs=0.5)


def radio(level, name="rsrp_dbm"):
    dice = random.Random(5)
    return lambda day, hour: {name: round(level(day) - (8 if 17 <= hour < 21 else 0) + dice.gauss(0, 2))}


def test_a_signal_below_its_usual_is_a_warning_only_near_the_level_where_data_fails():
    def shift(before, after, name="rsrp_dbm"):
        trends = terminal()
        wall = daily(trends, "modem", 30, radio(lambda _: before, name))
        settled = said(trends, "modem", "signal_shift_db", wall)
        assert settled.outlook == "ok"  # the weak evenings are usual here
        assert settled.low < 0 < settled.high
        wall = daily(trends, "modem", 4, radio(lambda _: after, name), first=30)
        return said(trends, "modem", "signal_shift_db", wall)

    weak = shift(-98, -110)
    assert weak.outlook == "act"
    assert weak.value == pytest.approx(-11, abs=2)
    assert "least at 1" in weak.why or "least at 20" in weak.why
    assert shift(-70, -82).outlook == "ok"
    assert shift(-98, -98).outlook == "ok"
    assert shift(-85, -97, "rssi_dbm").outlook == "act"


def test_signal_says_how_many_days_it_has_seen():
    trends = terminal()
    wall = daily(trends, "modem", 10, radio(lambda _: -90))
    told = said(trends, "modem", "signal_shift_db", wall)
    assert (told.value, told.why) == (None, "9 of 14 days seen")


def test_two_measures_of_signal_are_never_compared():
    trends = terminal()
    daily(trends, "modem", 20, radio(lambda _: -70, "rssi_dbm"))
    wall = daily(trends, "modem", 5, radio(lambda _: -100, "rsrp_dbm"), first=20)
    told = said(trends, "modem", "signal_shift_db", wall)
    assert (told.value, told.why) == (None, "4 of 14 days seen")


# --- all together


def test_what_was_never_measured_is_absent_and_unknown_readings_teach_nothing():
    trends = terminal()
    trends.observe("modem", {"rsrp_dbm": unknown(Cause.NO_REPLY)}, START)
    trends.observe("power", {"battery_health_percent": unknown(Cause.UNSUPPORTED)}, START)
    trends.observe("nobody", {"x": known(1)}, START)
    assert trends.readings(START) == {}


def test_a_clock_that_was_never_set_teaches_nothing():
    trends = terminal()
    tell(trends, "modem", 1000.0, rsrp_dbm=-90)
    assert trends.state()["now"] is None
    assert not trends.due(1000.0)
    assert trends.readings(1000.0) == {}


def test_a_clock_set_back_does_not_end_the_trends():
    trends = terminal()
    daily(trends, "system", 20, lambda d, h: disk(2e9 - 6e7 * d))
    daily(trends, "system", 8, lambda d, h: disk(5e8), first=3000)
    wall = daily(trends, "system", 20, lambda d, h: disk(2e9 - 3e7 * d), first=21)
    told = said(trends, "system", "disk_days_left", wall)
    assert told.value == pytest.approx((2e9 - 3e7 * 40 - 4e8) / 3e7, abs=8)


def test_what_is_long_not_heard_of_is_stale_not_so():
    trends = terminal()
    wall = daily(trends, "system", 20, lambda d, h: disk(2e9 - 6e7 * d))
    assert said(trends, "system", "disk_days_left", wall + 2 * DAY).value is not None
    told = said(trends, "system", "disk_days_left", wall + 6 * DAY)
    assert (told.value, told.cause, told.why) == (None, Cause.STALE, "nothing heard for 6 days")


def test_readings_are_due_once_an_hour_and_after_a_restart():
    trends = terminal()
    tell(trends, "system", START, **disk(2e9))
    assert trends.due(START)
    trends.readings(START)
    assert not trends.due(START + 3500)
    assert trends.due(START + 3600)
    trends.readings(START + 3600)
    assert restarted(trends).due(START + 3700)


def test_a_restart_changes_nothing_that_is_said():
    trends = terminal()
    shop, till = Printing(trends), Till(trends)
    shop.days(25)
    till.days(25, 0.02)
    daily(trends, "modem", 25, radio(lambda _: -100))
    daily(trends, "power", 25, lambda d, h: {"battery_health_percent": 90.0, "cycle_count": 10 + d})
    wall = daily(trends, "system", 25, lambda d, h: disk(2e9 - 1e7 * d))
    again = restarted(trends)
    for source, readings in trends.readings(wall).items():
        for name, reading in again.readings(wall)[source].items():
            before = readings[name].value
            if isinstance(before, str):
                assert reading.value == before, name
            else:
                assert reading.value == pytest.approx(before, abs=0.11), name
    sizes = {name: len(json.dumps(state)) for name, state in trends.state()["trends"].items()}
    assert max(sizes.values()) < 1100, sizes


@pytest.mark.parametrize("state", [{}, {"now": 3}, {"now": [1, 2, 3, 4], "trends": [], "heard": {}}, {"trends": {}}])
def test_a_state_that_does_not_fit_is_left_out(state):
    trends = terminal()
    trends.restore(state)
    assert trends.readings(START) == {}


def test_a_state_of_another_version_keeps_what_fits():
    trends = terminal()
    daily(trends, "system", 20, lambda d, h: disk(2e9))
    state = trends.state()
    state["trends"]["system.disk"] |= {"total": "much", "gone": 1}
    state["trends"]["gone.disk"] = {}
    again = terminal()
    again.restore(state)
    assert again._trends["system"]["disk"].total == -1.0
    assert again._trends["system"]["disk"].points == trends._trends["system"]["disk"].points


# --- warnings


def test_each_forecast_has_a_condition_of_a_kind_that_exists():
    table = tuple(trend_conditions(UNITS))
    assert {c.fault for c in table} <= set(VOCABULARY)
    names = {(c.fault, c.source, c.reading) for c in table}
    assert {(c.fault, c.source, c.reading) for c in conditions(config(), UNITS) if c.forecast} == names
    assert all(c.stale_s == 0 and c.source == f"trend.{c.device}" for c in table)


def test_a_forecast_is_an_inferred_warning_with_its_numbers():
    trends = terminal()
    wall = daily(trends, "system", 20, lambda d, h: disk(2e9 - 6e7 * (d + h / 24)))
    rules = Rules(conditions(config(), UNITS))
    out = [t for source, readings in trends.readings(wall).items() for t in rules.observe(source, readings, 0, wall)]
    assert [(t.event, t.fault.key) for t in out] == [("fault.raised", "system/disk_full")]
    fault = out[0].fault
    assert (fault.severity, fault.basis, fault.device) == ("warning", "inferred", "system")
    assert (
        fault.evidence["disk_days_left_low"]
        <= fault.evidence["disk_days_left"]
        <= fault.evidence["disk_days_left_high"]
    )
    assert fault.evidence["disk_days_left_why"] == "from 1853 to 823 MiB in 18 days"


def test_unknown_and_undecided_forecasts_leave_a_warning_as_it_is():
    rules = Rules(tuple(trend_conditions(UNITS)))
    name = "disk_days_left_outlook"
    rules.observe("trend.system", {name: known("act")}, 0, START)
    rules.observe("trend.system", {name: known("watch")}, 1, START)
    rules.observe("trend.system", {name: unknown(Cause.STALE)}, 2, START)
    assert "system/disk_full" in rules.raised()
    rules.observe("trend.system", {name: known("ok")}, 3, START)
    assert not rules.raised()


def test_what_is_measured_outweighs_a_forecast_of_the_same_fault():
    key = "system/disk_full"
    rules = Rules(
        [
            Condition(fault=key, source="system", reading="disk", raises=below(5), clears=above(8)),
            Condition(
                fault=key, source="trend.system", device="system", reading="days", raises=below(9), forecast=True
            ),
        ]
    )
    rules.observe("trend.system", {"days": known(3)}, 0, START)
    assert (rules.raised()[key].severity, rules.raised()[key].basis) == ("warning", "inferred")
    out = rules.observe("system", {"disk": known(2)}, 1, START)
    assert [(t.event, t.fault.severity, t.fault.basis) for t in out] == [("fault.changed", "major", "measured")]
    assert out[0].fault.evidence == {"disk": 2}
    out = rules.observe("system", {"disk": known(20)}, 2, START)
    assert [(t.event, t.fault.severity, t.fault.basis) for t in out] == [("fault.changed", "warning", "inferred")]
    assert out[0].fault.evidence == {"days": 3}
    assert [t.event for t in rules.observe("trend.system", {"days": known(90)}, 3, START)] == ["fault.cleared"]


def test_a_forecast_explains_nothing_and_stays_inferred_beside_its_like():
    rules = Rules(conditions(config(), UNITS))
    rules.observe("trend.modem", {"signal_shift_db_outlook": known("act")}, 0, START)
    for second in range(40):
        rules.observe("modem", {"registration": known("searching")}, second, START + second)
    explained = explain(rules.raised().values(), Topology(powered_by={}, bearer="modem"))
    assert {key: (fault.cause, fault.basis) for key, fault in explained.items()} == {
        "modem/weak_signal": (None, "inferred"),
        "modem/no_network": (None, "measured"),
    }


def test_after_a_restart_a_fault_is_a_forecast_only_if_a_forecast_raised_it():
    table = conditions(config(), UNITS)
    rules = Rules(table)
    rules.observe("trend.system", {"disk_days_left_outlook": known("act")}, 0, START)
    rules.observe("printer", {"cover": known("open")}, 0, START)
    again = Rules(table)
    # What is kept was explained, and a measured fault with an inferred cause is kept as inferred.
    again.restore({key: replace(fault, basis="inferred") for key, fault in rules.raised().items()})
    kept = {key: (fault.basis, fault.severity) for key, fault in again.raised().items()}
    assert kept == {"system/disk_full": ("inferred", "warning"), "printer/cover_open": ("measured", "major")}


# --- the arithmetic


def test_the_slope_of_a_line_is_found_under_wild_points():
    points = [[float(x), 3.0 * x] for x in range(12)]
    points[4][1] = points[9][1] = 500.0
    middle, low, high = slope(points, 2.5)
    assert middle == pytest.approx(3)
    assert low <= 3 <= high


def test_bounds_of_a_share_hold_what_was_counted():
    assert share_low(0, 100, 2) == pytest.approx(0, abs=1e-9)
    assert share_high(0, 100, 2) == pytest.approx(0.0385, abs=0.001)  # z² / (n + z²)
    assert share_low(5, 100, 1.96) == pytest.approx(0.0215, abs=0.0005)  # Wilson's interval, by hand
    assert share_high(5, 100, 1.96) == pytest.approx(0.1118, abs=0.0005)
