"""Every reader of what comes from outside, for a moment; `python -m tests.fuzz` does the same for as long as one likes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.live import live_targets
from tests.fuzz.mutator import FLOODS, Mutator
from tests.fuzz.targets import Outcome, Target, feed, targets

BYTES_EACH = 20_000
BYTES_LIVE = 2000
SOME_FLOODS = [each for each in FLOODS if each[:1] in {b"[", b"{", b"9", b"\xff", b"a"}]
SLOW_MACHINE = 4
pytestmark = pytest.mark.timeout(300)


@pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
def test_only_documented_errors_in_bounded_time(target: Target):
    outcome = Outcome()
    for piece in [*target.corpus, *FLOODS, *Mutator(target.corpus, seed=2026).pieces(BYTES_EACH)]:
        feed(target, piece, outcome)
    assert outcome.first == ""
    assert outcome.slowest_s < SLOW_MACHINE * target.limit_s, outcome.slowest[:100]
    assert outcome.good, "nothing that is right was in it, so nothing was tried"


def test_the_same_over_sockets_and_in_the_whole_daemon(tmp_path: Path):
    with live_targets(tmp_path) as found:
        for target in found:
            outcome = Outcome()
            for piece in [*target.corpus, *SOME_FLOODS, *Mutator(target.corpus, seed=2026).pieces(BYTES_LIVE)]:
                feed(target, piece, outcome)
            assert outcome.first == "", target.name
            assert outcome.good, target.name
