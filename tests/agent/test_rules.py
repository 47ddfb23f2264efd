"""Rules on a clock that only the test moves."""

from __future__ import annotations

import timeit
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.condition import Condition, Flap, Share, above, among, below
from agent.model import Fault, Transition
from agent.rules import Rules
from drivers.reading import Reading, known, unknown

WALL = 1_800_000_000.0
PAPER = Condition(fault="printer/paper_out", source="printer", reading="paper", raises=among("out"))
SIGNAL = Condition(
    fault="modem/weak_signal", source="modem", reading="rsrp_dbm", raises=below(-115), clears=above(-110),
    on_delay_s=30, off_delay_s=15, evidence=("operator",),
)  # fmt: skip
RSSI = replace(SIGNAL, reading="rssi_dbm", unless="rsrp_dbm", raises=below(-103), clears=above(-97))
REPLY = Condition(
    fault="printer/no_reply",
    source="printer",
    reading="reply",
    raises=among("none"),
    clears=among("ok", "bad"),
    polls=2,
)
BAD = Condition(
    fault="printer/bad_reply", source="printer", reading="reply", raises=among("bad"), clears=among("ok"),
    share=Share(polls=10, raise_at=3, clear_at=0),
)  # fmt: skip
ICCID = Condition(
    fault="modem/sim_swapped", source="modem", reading="iccid", raises=bool, remembers=True, adopt_s=86_400
)


class Bench:
    """Rules, and what they said as `event key` words."""

    def __init__(self, *conditions: Condition, baselines: dict[str, str] | None = None) -> None:
        self.rules = Rules(conditions, baselines)
        self.now = 50.0

    def say(self, after_s: float = 1.0, source: str = "", **values: object) -> list[str]:
        self.now += after_s
        readings = {name: value if isinstance(value, Reading) else known(value) for name, value in values.items()}
        name = source or next(iter(self.rules._sources))
        return words(self.rules.observe(name, readings, self.now, WALL + self.now))

    def tick(self, after_s: float) -> list[Transition]:
        self.now += after_s
        return self.rules.tick(self.now, WALL + self.now)


def words(transitions: list[Transition]) -> list[str]:
    return [f"{t.event.removeprefix('fault.')} {t.fault.key}" for t in transitions]


def test_finer_words_are_asked_for_with_the_evidence_alone():
    bench, asked = Bench(PAPER), []
    bench.rules.finer = lambda source: asked.append(source) or "status 72"
    for _ in range(3):
        bench.say(paper="ok")
        bench.tick(1)
    assert asked == []
    bench.say(paper="out")
    assert asked == ["printer"]
    assert bench.rules.raised()["printer/paper_out"].evidence == {"paper": "out", "specific": "status 72"}


def test_a_sensor_state_raises_and_clears_at_once():
    bench = Bench(PAPER)
    assert bench.say(paper="ok") == []
    assert bench.say(paper=known("out", b"\x72")) == ["raised printer/paper_out"]
    fault = bench.rules.raised()["printer/paper_out"]
    assert (fault.device, fault.severity, fault.count, fault.state) == ("printer", "major", 1, "raised")
    assert fault.evidence == {"paper": "out", "raw": "72"}
    assert fault.first_at == WALL + bench.now
    assert bench.say(paper="out") == []
    assert bench.say(paper="ok") == ["cleared printer/paper_out"]
    assert bench.rules.raised() == {}


def test_count_counts_raises():
    bench = Bench(PAPER)
    for count in (1, 2, 3):
        bench.say(paper="out", after_s=200)
        assert bench.rules.raised()["printer/paper_out"].count == count
        bench.say(paper="ok", after_s=200)


@pytest.mark.parametrize(
    "cause", ["no_reply", "bad_reply", "port_lost", "inconsistent", "masked", "sale", "unsupported", "stale"]
)
def test_unknown_neither_raises_nor_clears(cause):
    bench = Bench(PAPER, SIGNAL)
    for _ in range(100):
        assert bench.say(paper=unknown(cause)) == []
        assert bench.say(source="modem", rsrp_dbm=unknown(cause)) == []
    assert bench.say(paper="out") == ["raised printer/paper_out"]
    for _ in range(50):
        assert bench.say(paper=unknown(cause)) == []
    assert "printer/paper_out" in bench.rules.raised()


def test_a_delay_is_over_only_when_a_reading_says_so():
    bench = Bench(SIGNAL)
    bench.say(rsrp_dbm=-120, operator="Test")
    assert bench.tick(1000) == []  # nobody measured meanwhile
    assert bench.say(rsrp_dbm=-120) == ["raised modem/weak_signal"]
    assert bench.rules.raised()["modem/weak_signal"].evidence == {"rsrp_dbm": -120, "operator": "Test"}


def test_what_is_told_only_when_it_changes_holds_until_then():
    bench = Bench(replace(SIGNAL, stale_s=0))
    bench.say(rsrp_dbm=-120)
    due = bench.rules.next_due()
    assert due == bench.now + 30
    assert bench.tick(29) == []
    assert words(bench.tick(1)) == ["raised modem/weak_signal"]
    assert bench.rules.next_due() is None
    assert bench.tick(100_000) == []  # and is never stale
    bench.say(rsrp_dbm=-100)
    assert words(bench.tick(15)) == ["cleared modem/weak_signal"]
    bench.say(rsrp_dbm=-120)
    bench.say(rsrp_dbm=unknown("not_asked"))
    assert bench.tick(1000) == []


def test_first_at_is_when_it_began_not_when_the_delay_ended():
    bench = Bench(SIGNAL)
    bench.say(rsrp_dbm=-120)
    began = WALL + bench.now
    bench.say(after_s=31, rsrp_dbm=-121)
    assert bench.rules.raised()["modem/weak_signal"].first_at == pytest.approx(began)


def test_a_short_dip_raises_nothing():
    bench = Bench(SIGNAL)
    for _ in range(20):
        assert bench.say(after_s=20, rsrp_dbm=-120) == []
        assert bench.say(after_s=2, rsrp_dbm=-113) == []


def test_hysteresis_and_off_delay():
    bench = Bench(SIGNAL)
    bench.say(rsrp_dbm=-120)
    bench.say(after_s=30, rsrp_dbm=-120)
    assert bench.say(after_s=100, rsrp_dbm=-112) == []  # between the levels
    assert bench.say(after_s=100, rsrp_dbm=-109) == []  # the off-delay begins
    assert bench.say(after_s=10, rsrp_dbm=-112) == []  # and is given up
    assert bench.say(after_s=1, rsrp_dbm=-109) == []
    assert bench.say(after_s=14, rsrp_dbm=-109) == []
    assert bench.say(after_s=1, rsrp_dbm=-109) == ["cleared modem/weak_signal"]


def test_time_for_which_nothing_is_known_does_not_count():
    bench = Bench(SIGNAL)
    bench.say(rsrp_dbm=-120)
    bench.say(after_s=10, rsrp_dbm=unknown("no_reply"))
    assert bench.say(after_s=500, rsrp_dbm=-120) == []
    assert bench.say(after_s=19, rsrp_dbm=-120) == []
    assert bench.say(after_s=1, rsrp_dbm=-120) == ["raised modem/weak_signal"]


def test_a_fallback_reading_counts_only_while_the_better_one_is_unknown():
    bench = Bench(SIGNAL, RSSI)
    bench.say(rsrp_dbm=-90, rssi_dbm=-110)
    assert bench.say(after_s=100, rsrp_dbm=-90, rssi_dbm=-110) == []
    bench.say(rsrp_dbm=unknown("unsupported"), rssi_dbm=-110)
    assert bench.say(after_s=31, rsrp_dbm=unknown("unsupported"), rssi_dbm=-110) == ["raised modem/weak_signal"]
    bench.say(rsrp_dbm=-90, rssi_dbm=-110)
    assert bench.say(after_s=16, rsrp_dbm=-90, rssi_dbm=-110) == ["cleared modem/weak_signal"]


def test_one_lost_reply_is_no_silence():
    bench = Bench(REPLY, BAD)
    for _ in range(20):
        assert bench.say(reply="none") == []
        assert bench.say(reply="ok") == []
    bench.say(reply="none")
    assert bench.say(reply="none") == ["raised printer/no_reply"]
    assert bench.say(reply="ok") == ["cleared printer/no_reply"]


def test_bad_replies_count_by_their_share():
    bench = Bench(REPLY, BAD)
    for _ in range(30):  # one in ten
        for _ in range(9):
            assert bench.say(reply="ok") == []
        assert bench.say(reply="bad") == []
    bench.say(reply="bad")
    assert bench.say(reply="bad") == ["raised printer/bad_reply"]
    assert bench.say(reply="none") == []  # silence says nothing about noise
    assert [bench.say(reply="ok") for _ in range(10)] == [[]] * 9 + [["cleared printer/bad_reply"]]


def test_flapping_is_one_event_then_one_message_per_hold_off_until_quiet():
    bench = Bench(replace(PAPER, flap=Flap(changes=4, window_s=60, hold_off_s=100)))
    said = []
    for _ in range(100):
        said += bench.say(paper="out") + bench.say(paper="ok") + words(bench.tick(0))
    assert said[:4] == ["raised printer/paper_out", "cleared printer/paper_out"] * 2
    assert said[4:] == ["flapping printer/paper_out"] * 2  # at 5 s and at 105 s of 200 s
    fault = bench.rules.raised()["printer/paper_out"]
    assert (fault.state, fault.count) == ("flapping", 100)
    due = bench.rules.next_due()
    assert due is not None
    assert words(bench.tick(due - bench.now)) == ["flapping printer/paper_out"]
    assert bench.tick(50) == []
    assert words(bench.tick(10)) == ["cleared printer/paper_out"]
    assert bench.rules.raised() == {}
    assert bench.rules.next_due() is None
    assert bench.say(paper="out") == ["raised printer/paper_out"]


def test_what_flapped_and_stayed_is_raised_when_quiet():
    bench = Bench(replace(PAPER, stale_s=0, flap=Flap(changes=4, window_s=60, hold_off_s=1000)))
    for _ in range(10):
        bench.say(paper="ok")
        bench.say(paper="out")
    assert words(bench.tick(61)) == ["raised printer/paper_out"]
    assert bench.rules.raised()["printer/paper_out"].state == "raised"


def test_a_raised_fault_says_since_when_it_is_stale():
    bench = Bench(PAPER)
    bench.say(paper="out")
    bench.say(paper=unknown("no_reply"))
    dark = bench.now
    assert bench.rules.next_due() == dark + 60
    assert bench.tick(59) == []
    (changed,) = bench.tick(1)
    assert changed.event == "fault.changed"
    assert changed.fault.evidence["stale_cause"] == "no_reply"
    assert str(changed.fault.evidence["stale_since"]).startswith("2027-01-15T")
    assert changed.fault.state == "raised"
    assert bench.tick(1000) == []
    assert bench.say(paper="out") == ["changed printer/paper_out"]
    assert "stale_since" not in bench.rules.raised()["printer/paper_out"].evidence
    assert bench.say(paper="ok") == ["cleared printer/paper_out"]


def test_a_source_that_stops_speaking_makes_its_faults_stale():
    bench = Bench(PAPER)
    bench.say(paper="out")
    (changed,) = bench.tick(61)
    assert changed.fault.evidence["stale_cause"] == "silent"
    assert bench.say(paper="out") == ["changed printer/paper_out"]
    assert [bench.say(after_s=30, paper="out") for _ in range(9)] == [[]] * 9
    assert bench.tick(1) == []


def test_a_push_that_names_one_reading_leaves_the_others():
    bench = Bench(PAPER, replace(PAPER, fault="printer/cover_open", reading="cover", raises=among("open")), REPLY)
    bench.say(paper="out", cover="closed", reply="ok")
    assert bench.say(cover="open") == ["raised printer/cover_open"]
    assert set(bench.rules.raised()) == {"printer/paper_out", "printer/cover_open"}


def test_two_devices_of_one_unit_share_a_fault():
    bench = Bench(PAPER, replace(PAPER, source="kitchen"))
    assert bench.say(source="printer", paper="out") == ["raised printer/paper_out"]
    assert bench.say(source="kitchen", paper="out") == []
    assert bench.say(source="printer", paper="ok") == ["changed printer/paper_out"]
    assert bench.rules.raised()["printer/paper_out"].device == "kitchen"
    assert bench.say(source="kitchen", paper="ok") == ["cleared printer/paper_out"]


def test_restored_faults_clear_by_a_reading_only():
    before = Bench(PAPER)
    before.say(paper="out")
    after = Bench(PAPER)
    assert after.rules.restore(before.rules.raised()) == []
    assert after.rules.raised() == before.rules.raised()
    assert after.tick(0) == []
    assert words(after.tick(60)) == ["changed printer/paper_out"]  # still nothing measured
    assert after.say(paper="ok") == ["cleared printer/paper_out"]
    assert after.say(paper="out") == ["raised printer/paper_out"]
    assert after.rules.raised()["printer/paper_out"].count == 2


def test_restored_faults_that_nobody_watches_come_back():
    fault = Fault(
        key="printer/head_hot", state="raised", severity="minor", device="printer", first_at=1, last_at=1, count=1
    )
    other = replace(fault, key="printer/paper_out", device="gone")
    assert Bench(PAPER).rules.restore({fault.key: fault, other.key: other}) == [fault, other]


def test_a_restored_fault_stands_by_the_reading_that_raised_it():
    before = Bench(SIGNAL, RSSI)
    before.say(rssi_dbm=-110)
    before.say(after_s=31, rssi_dbm=-110)
    after = Bench(SIGNAL, RSSI)
    after.rules.restore(before.rules.raised())
    after.say(rssi_dbm=-80)
    assert after.say(after_s=20, rssi_dbm=-80) == ["cleared modem/weak_signal"]


def test_a_swapped_card_is_one_that_differs_from_the_remembered():
    baselines: dict[str, str] = {}
    bench = Bench(ICCID, baselines=baselines)
    assert bench.say(iccid="8986A") == []
    assert baselines == {"modem.iccid": "8986A"}
    bench = Bench(ICCID, baselines=baselines)  # after a restart
    assert bench.say(iccid=unknown("refused")) == []
    assert bench.say(iccid="8986B") == ["raised modem/sim_swapped"]
    assert bench.rules.raised()["modem/sim_swapped"].evidence == {"iccid": "8986B", "remembered": "8986A"}
    assert bench.say(iccid="8986A") == ["cleared modem/sim_swapped"]
    bench.say(iccid="8986B")
    assert bench.say(after_s=86_000, iccid="8986B") == []
    assert bench.say(after_s=400, iccid="8986B") == ["cleared modem/sim_swapped"]
    assert baselines == {"modem.iccid": "8986B"}


def test_a_meant_change_is_adopted():
    bench = Bench(ICCID, baselines={"modem.iccid": "A"})
    bench.say(iccid="B")
    bench.rules.adopt("modem/sim_swapped")
    assert bench.say(iccid="B") == ["cleared modem/sim_swapped"]


def test_unknown_sources_and_readings_are_nothing():
    bench = Bench(PAPER)
    assert bench.say(source="nobody", paper="out") == []
    assert bench.say(drawer="high") == []


@given(st.lists(st.sampled_from(["out", "ok", "near_end", None]), max_size=60))
def test_faults_follow_the_last_known_reading(values):
    bench = Bench(replace(PAPER, flap=Flap(changes=1000)))
    last = "ok"
    for value in values:
        bench.say(paper=unknown("no_reply") if value is None else value)
        last = value or last
        assert ("printer/paper_out" in bench.rules.raised()) == (last == "out")


def test_unchanged_readings_cost_microseconds():
    names = [f"r{i}" for i in range(15)]
    rules = Rules([replace(PAPER, reading=name) for name in names] + [REPLY, BAD])
    readings = {name: known("ok") for name in [*names, "reply"]}
    rules.observe("printer", readings, 0, WALL)
    best = min(timeit.repeat(lambda: rules.observe("printer", readings, 1, WALL), number=1000, repeat=5)) / 1000
    assert best < 100e-6  # 5 µs on a desktop; the limit leaves room for a slow, busy machine
