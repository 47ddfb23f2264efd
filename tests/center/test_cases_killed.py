"""The engines are killed at random while cases run through their lives: nothing is lost, and nothing is doubled."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections import Counter

import pytest

from center.db.engine import Database
from center.db.tables import case_steps, cases
from tests.center.desk_world import DAY, HOUR, MINUTE, World

TERMINALS = 25
_CHILD = """
import sys
from center.db.engine import Database
from tests.center.desk_world import World
world = World(Database(sys.argv[1]))
world.now_ms = int(sys.argv[2])
print("ready", flush=True)
while True:
    world.now_ms += 2000
    world.engine.step(world.now_ms)
    world.messages.step(world.now_ms)
"""


def _killed_soon(url: str, now_ms: int, after_s: float) -> None:
    child = subprocess.Popen([sys.executable, "-c", _CHILD, url, str(now_ms)], stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == b"ready\n"
    end = time.monotonic() + after_s
    while time.monotonic() < end:
        assert child.poll() is None
    child.kill()
    child.wait()
    child.stdout.close()


@pytest.mark.timeout(180)
def test_killed_engines_lose_and_double_nothing(database: Database, database_url: str) -> None:
    chance = random.Random(7)
    world = World(database)
    world.site()
    for number in range(TERMINALS):
        world.terminal(f"t{number}")
        world.fault(terminal=f"t{number}")
    world.now_ms += 6 * MINUTE  # all are due at once
    for _ in range(2):
        _killed_soon(database_url, world.now_ms, chance.uniform(0.01, 0.3))
    world.run()
    for number in range(TERMINALS):
        world.fault(terminal=f"t{number}", state="cleared")
    world.now_ms += 10 * MINUTE
    for _ in range(2):
        _killed_soon(database_url, world.now_ms, chance.uniform(0.01, 0.3))
        world.now_ms += 10 * MINUTE
    for later in (MINUTE, HOUR, 4 * DAY):  # whatever they were killed before
        world.later(later)
    assert Counter(row["state"] for row in world.rows(cases)) == {"closed": TERMINALS}
    assert len({row["number"] for row in world.rows(cases)}) == TERMINALS
    kinds = Counter(row["kind"] for row in world.rows(case_steps))
    assert {kind: kinds[kind] for kind in ("opened", "fault_cleared", "watching", "asking", "closed")} == dict.fromkeys(
        ("opened", "fault_cleared", "watching", "asking", "closed"), TERMINALS
    )
    for event in ("case.opened", "case.ask", "case.closed"):
        assert len(world.told(event)) == TERMINALS
    said: dict[str, list[str]] = {}
    for post in world.posts("mqtt"):
        said.setdefault(post["topic"], []).append(post["payload"])
    assert all(payloads[-1] == "" and payloads[0] != "" for payloads in said.values())
    assert len(said) == TERMINALS
