"""What the watchman remembers over a restart of the daemon."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.app import App
from agent.config_file import load_trusted
from agent.delivery import Delivery
from drivers.reading import Cause, Reading, known, unknown

CONFIG = """
[terminal]
id = "pos-1"
estate = "demo"
[mqtt]
url = "mqtt://127.0.0.1:1"
[[device]]
name = "pad"
family = "smartpin"
port = "{folder}/no-pad"
[paths]
run_dir = "{folder}/{run}"
state_dir = "{folder}/state"
"""


def start(folder: Path, run: str) -> App:
    """A daemon; its process is ours, which goes on holding the run directory of the first."""
    file = folder / f"{run}.toml"
    file.write_text(CONFIG.format(folder=folder, run=run), "utf-8")
    delivery = Delivery(load_trusted(file))
    delivery.start()
    app = App(delivery, file)
    app.start()
    return app


@pytest.mark.parametrize(
    ("told", "recalled"),
    [
        ([unknown(Cause.LOST)], unknown(Cause.LOST)),
        ([unknown(Cause.LOST), unknown(Cause.NO_REPLY)], unknown(Cause.LOST)),
        ([unknown(Cause.LOST), known("no")], None),
        ([known("no")], None),
    ],
)
def test_a_telling_of_tampering_that_was_lost_is_still_lost_after_a_restart(
    tmp_path: Path, told: list[Reading], recalled: Reading | None
):
    first = start(tmp_path, "run-1")
    for tamper in told:
        first.observe("pad", {"tamper": tamper})
    first.stop("test")
    second = start(tmp_path, "run-2")
    (worker,) = second.workers
    second.stop("test")
    assert worker.recalled.get("tamper") == recalled
