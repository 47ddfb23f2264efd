"""A year of terminal-months: good operation raises nothing that is not so, and a bad line accuses nothing but itself."""

from __future__ import annotations

import pytest

from tests.scenarios.months import DAY_S, TRUE_IN_A_SHOP, healthy, noisy, run


@pytest.mark.parametrize("seed", range(12))
def test_a_healthy_month_has_no_false_root(seed):
    month = run(healthy(seed), frozenset(TRUE_IN_A_SHOP), seed)
    assert not month.false
    assert month.roots.keys() == TRUE_IN_A_SHOP
    rolls = month.roots["printer/paper_near_end"]
    assert rolls >= 8
    assert month.roots["printer/paper_out"] == rolls


@pytest.mark.parametrize("seed", range(4))
def test_a_bad_line_accuses_only_itself(seed):
    sources, unit = noisy(seed)
    line = {f"{unit}/bad_reply", f"{unit}/no_reply"}
    month = run(sources, frozenset(TRUE_IN_A_SHOP | line), seed)
    assert not month.false
    assert month.roots[f"{unit}/bad_reply"] > 0


def test_these_months_would_show_a_missing_delay():
    month = run(healthy(1), frozenset(TRUE_IN_A_SHOP), 1, hasty=True)
    wrong = {"network/link_down", "keypad/key_stuck", "modem/weak_signal", "reader/no_reply", "system/payment_app_down"}
    assert wrong <= month.false.keys()


def test_what_is_not_looked_at_would_have_changed_nothing():
    every, some = (run(noisy(2)[0], frozenset(), 2, until_s=DAY_S / 2, skip=skip) for skip in (False, True))
    assert every.told
    assert every.told == some.told
    assert every.observed > 20 * some.observed
