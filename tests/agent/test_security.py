"""Parts, work orders, updates and passwords: what is an exchange and what only looks like one."""

from __future__ import annotations

import json

import pytest

from agent.security import OUTCOMES, Parts, WorkOrder, outcome, weakness
from agent.vocabulary import VOCABULARY
from drivers.reading import Identity

PAD = Identity(manufacturer="ID TECH", model="L100", serial="4711-0815", firmware="V1.02")


def told(parts: Parts, identity: Identity, *, expected: bool = False, updated: bool = False):
    """What comes of a device that says the same as often as it is asked."""
    for asked in range(5):
        judged = parts.judge("keypad", "smartpin", identity, expected=expected, updated=updated)
        if not judged.again:
            return judged, asked + 1
    raise AssertionError("it was asked for ever")


@pytest.fixture
def parts():
    parts = Parts("t1")
    judged, asked = told(parts, PAD)
    assert (judged.news, asked) == (False, 2), "even the first is believed only the second time"
    return parts


def changed(parts: Parts) -> list[str]:
    return sorted(parts.swaps["keypad"])


def test_the_same_device_is_believed_at_once(parts):
    assert told(parts, PAD)[1] == 1
    assert changed(parts) == []


@pytest.mark.parametrize(
    ("other", "facts"),
    [
        (Identity(model="L100", serial="9999-0001", firmware="V1.02"), ["serial"]),
        (Identity(model="L100", serial="4711-0815", firmware="V1.03"), ["firmware"]),
        (Identity(model="K100", serial="9", firmware="V9"), ["firmware", "model", "serial"]),
    ],
)
def test_another_serial_model_or_firmware_is_an_exchange(parts, other, facts):
    judged, asked = told(parts, other)
    assert (judged.news, judged.announced, asked) == (True, False, 2)
    assert changed(parts) == facts
    assert not told(parts, other)[0].news, "told once"


def test_a_serial_number_leaves_only_as_a_fingerprint_of_this_terminal(parts):
    told(parts, Identity(serial="9999-0001"))
    text = json.dumps([parts.state(), {k: dict(v) for k, v in parts.swaps.items()}])
    assert "4711" not in text
    assert "9999" not in text
    elsewhere = Parts("t2")
    told(elsewhere, PAD)
    assert elsewhere.state() != parts.state()


def test_what_a_device_does_not_tell_is_no_difference(parts):
    told(parts, Identity(model="L100"))
    assert changed(parts) == []
    told(parts, Identity(model="L100", serial="9999-0001"))
    assert changed(parts) == ["serial"]


def test_a_name_garbled_once_is_no_exchange(parts):
    garbled = Identity(model="L1x0", serial="4711-0815", firmware="V1.02")
    assert parts.judge("keypad", "smartpin", garbled, expected=False, updated=False).again
    assert not parts.judge("keypad", "smartpin", PAD, expected=False, updated=False).again
    assert changed(parts) == []


def test_a_device_that_never_says_the_same_twice_is_not_asked_for_ever(parts):
    answers = [
        parts.judge("keypad", "smartpin", Identity(serial=f"x{n}"), expected=False, updated=False).again
        for n in range(20)
    ]
    assert sum(answers) == 5
    assert changed(parts) == []


def test_the_old_part_put_back_ends_it_and_is_news(parts):
    told(parts, Identity(serial="9999-0001"))
    judged, _ = told(parts, PAD)
    assert judged.news
    assert changed(parts) == []


def test_an_exchange_during_a_visit_is_taken_over(parts):
    new = Identity(model="L100", serial="9999-0001", firmware="V2.00")
    judged, _ = told(parts, new, expected=True)
    assert (judged.news, judged.announced, sorted(judged.changed)) == (True, True, ["firmware", "serial"])
    told(parts, new)
    assert changed(parts) == []
    told(parts, PAD)
    assert changed(parts) == ["firmware", "serial"]


def test_a_visit_announced_afterwards_excuses_nothing_even_after_a_restart(parts):
    other = Identity(model="L100", serial="9999-0001", firmware="V1.02")
    told(parts, other)
    told(parts, other, expected=True)
    assert changed(parts) == ["serial"]
    again = Parts("t1", json.loads(json.dumps(parts.state())))
    judged, _ = told(again, other, expected=True)
    assert not judged.news
    assert sorted(again.swaps["keypad"]) == ["serial"]
    assert again.accept() == ["keypad"]
    assert changed(again) == []
    told(again, other)
    assert changed(again) == []
    told(again, PAD)
    assert changed(again) == ["serial"]


def test_new_firmware_after_a_reported_update_is_no_exchange_but_a_new_serial_is(parts):
    judged, _ = told(parts, Identity(model="L100", serial="4711-0815", firmware="V1.03"), updated=True)
    assert (judged.news, judged.announced) == (True, True)
    assert changed(parts) == []
    told(parts, Identity(model="L100", serial="9999-0001", firmware="V1.04"), updated=True)
    assert changed(parts) == ["serial"]


def test_another_family_in_the_configuration_is_a_first_meeting(parts):
    for _ in range(2):
        parts.judge("keypad", "zt588", Identity(serial="z"), expected=False, updated=False)
    assert changed(parts) == []


def test_damaged_memory_is_a_first_meeting():
    parts = Parts("t1", {"keypad.smartpin": "nonsense", "x": {"serial": 5}})
    told(parts, PAD)
    assert changed(parts) == []


# --- work orders


def test_a_work_order_is_open_until_its_end_and_not_longer_than_a_week():
    order = WorkOrder()
    assert not order.is_open(100.0)
    for until in (100.0, 50.0, 100.0 + 8 * 86_400):
        with pytest.raises(ValueError, match="seven days"):
            order.open(until, "center", 100.0)
    order.open(3700.0, "center", 100.0)
    assert order.is_open(100.0)
    assert order.is_open(3699.0)
    assert not order.is_open(3700.0)
    assert not order.is_open(-1e9), "a clock set back opens nothing"
    order.close()
    assert not order.is_open(200.0)


# --- updates


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("failed_dev_ok", "failed_dev_ok"),
        ("JPOS_SUE_UF_FAILED_DEV_NEEDS_FIRMWARE", "failed_dev_needs_firmware"),
        ("SUE_UF_COMPLETE", "complete"),
        (2202, "failed_dev_unrecoverable"),
        (2205, "complete_dev_not_restored"),
        (2100, "progress"),
        (2175, "progress"),
        (2200, "complete"),
        (2001, None),
        (True, None),
        ("done", None),
        (None, None),
    ],
)
def test_outcomes_are_unifiedpos_names_or_numbers(said, name):
    assert outcome(said) == name


def test_only_a_complete_update_is_a_good_one():
    assert {name for name, what in OUTCOMES.items() if what == "done"} == {"complete"}
    assert "firmware/update_failed" in VOCABULARY


# --- passwords


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("", "empty"),
        (" \n", "empty"),
        ("Admin\n", "common"),
        ("12345678", "common"),
        ("till-0815", "name"),
        ("5180-llit", "name"),
        ("Estate-North", "name"),
        ("k3$x", "short"),
        ("correct horse battery", ""),
    ],
)
def test_a_password_is_weak_by_a_word_that_does_not_repeat_it(password, why):
    assert weakness(password, ("till-0815", "estate-north", "")) == why
