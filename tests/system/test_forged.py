"""The short form of `python -m tests.chaos.forged`: forged, late, foreign and replayed commands run 0 times."""

from __future__ import annotations

from pathlib import Path

from tests.chaos.forged import KINDS, play
from tests.mqtt.broker import Observer, Rumqttd


def test_what_must_not_run_does_not_while_the_daemon_is_killed(
    folder: Path, broker: Rumqttd, observer: Observer
) -> None:
    storm = play(folder, broker, observer, tries=90, kills=3, seed=4)
    assert (sum(storm.kinds.values()), storm.kills) == (90, 3)
    assert storm.kinds.keys() == KINDS.keys() - {"retained"}
