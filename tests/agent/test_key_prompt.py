from __future__ import annotations

import pytest

from agent.asking import NotAsked
from agent.key_prompt import Board


def test_one_test_at_a_time_is_shown_until_its_end() -> None:
    shown: list[object] = []
    board = Board(lambda: shown.append(board.shown()))
    with board.one() as tell:
        tell("keypad", 3, 24, 40.4)
        assert board.shown() == {"key_test": {"device": "keypad", "heard": 3, "of": 24, "left_s": 40}}
        with pytest.raises(ValueError, match=r"^an interactive check is going on already$"), board.one():
            pass
        assert board.shown(), "the one that was refused does not end the other"
    assert shown[-1] == board.shown() == {}


def test_a_device_that_begins_after_the_end_is_told_so_and_shows_nothing() -> None:
    board = Board(lambda: None)
    with board.one() as late:
        pass
    with board.one():
        with pytest.raises(NotAsked):
            late("keypad", 0, 24, 45.0)
        assert board.shown() == {}
    with board.one() as tell:
        tell("keypad", 1, 24, 45.0)
