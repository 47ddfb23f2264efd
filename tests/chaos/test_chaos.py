"""The short form of `python -m tests.chaos`: every fault a few times, the same proof."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.chaos.bed import Bed
from tests.chaos.scenarios import SHORT, Scenario, play

pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module")
def bed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    with Bed(tmp_path_factory.mktemp("chaos"), seed=4, patience=4) as shared:
        yield shared


@pytest.mark.parametrize("scenario", SHORT, ids=lambda scenario: scenario.__name__)
def test_nothing_is_lost_nothing_is_doubled_and_the_state_is_right(bed: Bed, scenario: Scenario) -> None:
    account = play(bed.place(scenario.__name__.replace("_", "-")), scenario, SHORT[scenario])
    assert account["complete"]
    assert account["messages"] > 3
