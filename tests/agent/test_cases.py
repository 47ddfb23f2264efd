"""Local case numbers: said on the phone, so a slip of the tongue must show."""

from __future__ import annotations

import itertools

import pytest

from agent.cases import AFTERWARDS_S, Cases, _check, case_number


@pytest.fixture
def cases() -> Cases:
    return Cases("demo/till-1", 3, "", itertools.count(1).__next__)


def test_a_wrong_digit_and_a_swap_of_neighbours_show():
    for count in range(200):
        number = case_number("demo/till-1", 3, count)
        assert len(number) == 11
        digits = number.replace("-", "")
        assert _check(digits) == 0
        for at, right in enumerate(digits):
            for wrong in set("0123456789") - {right}:
                assert _check(digits[:at] + wrong + digits[at + 1 :]) != 0
            if at < 8 and digits[at + 1] != right:
                assert _check(digits[:at] + digits[at + 1] + right + digits[at + 2 :]) != 0


def test_terminal_boot_and_counter_each_make_another_number():
    numbers = {
        case_number(terminal, boot, count) for terminal in ("a/1", "a/2") for boot in (1, 2) for count in range(50)
    }
    assert len(numbers) == 200


def test_one_number_for_each_root(cases):
    assert cases.update(["printer/paper_out"], 1000.0) is not None
    first = cases.number("printer/paper_out")
    assert cases.update(["printer/paper_out"], 1010.0) is None
    assert cases.update(["modem/sim_absent", "printer/paper_out"], 1020.0) is not None
    assert cases.number("printer/paper_out") == first
    assert cases.number("modem/sim_absent") not in ("", first)
    assert cases.number("reader/tamper") == cases.number(None) == ""


def test_a_fault_that_comes_back_soon_is_the_same_case_and_later_another(cases):
    cases.update(["printer/paper_out"], 1000.0)
    first = cases.number("printer/paper_out")
    cases.update([], 1000.0 + AFTERWARDS_S - 1)
    cases.update(["printer/paper_out"], 1000.0 + AFTERWARDS_S - 1)
    assert cases.number("printer/paper_out") == first
    cases.update([], 1000.0 + 3 * AFTERWARDS_S)
    assert cases.number("printer/paper_out") == ""
    cases.update(["printer/paper_out"], 1000.0 + 3 * AFTERWARDS_S)
    assert cases.number("printer/paper_out") not in ("", first)


def test_a_restart_keeps_the_numbers(cases):
    kept = cases.update(["printer/paper_out"], 1000.0)
    assert kept is not None
    again = Cases("demo/till-1", 4, kept, itertools.count(9).__next__)
    assert again.update(["printer/paper_out"], 1005.0) is None
    assert again.number("printer/paper_out") == cases.number("printer/paper_out")


@pytest.mark.parametrize("kept", ["", "{", "[]", '{"a": 1}', '{"a": ["1", "x"]}', "null"])
def test_what_cannot_be_read_is_forgotten(kept):
    assert Cases("demo/till-1", 3, kept, itertools.count(1).__next__).number("a") == ""
