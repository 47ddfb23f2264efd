"""The whole center, killed under load; `python -m tests.chaos.center` does it for longer."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.center import Fight, Unbounded

pytestmark = [pytest.mark.peers, pytest.mark.timeout(600)]


def test_a_center_that_is_killed_loses_nothing_and_does_nothing_twice(tmp_path: Path) -> None:
    with Fight(tmp_path, 7, 12, Unbounded) as fight:
        fight.kills(3)
        fight.settle(180, gaps_too=False)
        assert fight.center.deaths == 3
        assert fight.desk.written
