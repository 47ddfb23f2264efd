"""The bench's own arithmetic: a verdict, a slope, a cost and a table that were wrong would go unnoticed."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from center.access.limits import Rate
from center.db.engine import Database
from center.db.migrate import migrate
from tests.bench import api, desk, report, screens
from tests.bench.figure import Figure, Trend, quantile
from tests.bench.ground import without_devices
from tests.bench.kept import Kept, Part
from tests.bench.process import cpu_s, family, memory, written_bytes
from tests.center.asking import asking
from tests.peers.console.test_refused import screens as found_screens

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("value", "goal", "misses"),
    [
        (20.0, "≤ 20", False),
        (20.1, "≤ 20", True),
        (1_999.0, "≥ 2,000", True),
        (0.149, "≤ 0.15", False),
        (5.0, "", False),
        (None, "≤ 1", False),
    ],
)
def test_a_goal_is_missed_beyond_its_bound(value: float | None, goal: str, misses: bool) -> None:
    assert Figure("k", "what", value, "s", goal).misses is misses


def test_a_goal_without_a_bound_is_refused_unless_judged_by_hand() -> None:
    with pytest.raises(ValueError, match="no bound"):
        assert Figure("k", "what", 1.0, "s", "flat").misses
    assert Figure("k", "what", 1.0, "s", "flat", missed=True).misses


def test_slope_and_its_error() -> None:
    assert Trend([0, 1, 2, 3], [5, 7, 9, 11]).slope() == pytest.approx((2, 0))
    slope, error = Trend([0, 1, 2, 3], [5, 7.5, 8.5, 11]).slope()
    assert slope == pytest.approx(1.9)
    assert error == pytest.approx((0.45 / 2 / 5) ** 0.5)


def test_quantile() -> None:
    assert quantile([float(n) for n in range(1, 101)], 0.99) == 99
    assert quantile([4.0], 0.99) == 4


_PARENT = """
import subprocess, sys
block = bytearray(30 << 20)
burn = "import time\\nwhile time.process_time() < 0.3: pass"
subprocess.run([sys.executable, "-c", burn], check=True)
with open(sys.argv[1], "wb") as file:
    file.write(bytes(1 << 20))
living = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
print("ready", flush=True)
sys.stdin.read()
"""


def test_a_cost_includes_children_that_live_and_that_died(tmp_path: Path) -> None:
    words = [sys.executable, "-c", _PARENT, str(tmp_path / "file")]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        assert len(family(process.pid)) == 2
        assert cpu_s(process.pid) >= 0.3
        found = memory(process.pid)
        assert 30 << 10 < found.private <= found.pss <= found.alone <= found.rss
        written = written_bytes(process.pid)
        assert written == 0 or written >> 20 == 1, "0 where the folder is in memory"
        process.stdin.close()
    assert cpu_s(process.pid) == 0.0


def test_what_is_kept_makes_the_same_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = Kept.load(tmp_path / "bench.json")
    figures = [
        Figure("rest.pss", "PSS at rest", 21.0, "MiB", "≤ 20", "how"),
        Figure("zabbix-agent2.pss", "zabbix-agent2: PSS", None, how="no package of that name"),
        Figure("outbox.each", "durable publish", 2_345.6, "rows/s", "≥ 2,000", "how"),
        Figure("api.sqlite.a", "  one list", 300.0, "ms", "≤ 200", "asked"),
        Figure("api.sqlite.b", "  another", 400.0, "ms", "≤ 200", "asked"),
        Figure("ingest.restart", "restart", 2.5, "s", "≤ 30"),
    ]
    kept.put("daemon", Part("2026-11-22", quick=False, load=0.1, figures=figures, series={"push_ms": [1.0, 2.0]}))
    report.write(kept, tmp_path)
    first = (tmp_path / "bench.md").read_text("utf-8")
    assert "| PSS at rest | ≤ 20 MiB | **21.0 MiB** ✗ | not measured |  |  |" in first
    assert "| durable publish | ≥ 2,000 rows/s | **2,346 rows/s** |" in first
    assert "zabbix-agent2: not measured: no package of that name" in first
    assert "- PSS at rest: 21.0 MiB, goal ≤ 20 MiB\n\n  Most of it" in first
    assert "- one list: 300.0 ms, goal ≤ 200 ms\n- another: 400.0 ms, goal ≤ 200 ms\n\n  " in first
    assert "|   one list | 300.0 ms ✗ | ≤ 200 ms | asked |\n|   another | 400.0 ms ✗ | ≤ 200 ms | as above |" in first
    assert "| restart | ≤ 30 s | **2.50 s** |\n" in first
    assert (tmp_path / "bench-latency.png").exists()
    assert not (tmp_path / "bench-soak-week.png").exists()
    report.write(Kept.load(tmp_path / "bench.json"), tmp_path)
    assert (tmp_path / "bench.md").read_text("utf-8") == first
    assert "1 pictures" in capsys.readouterr().out


def test_a_configuration_without_devices_keeps_the_rest() -> None:
    text = '[terminal]\nid = "a"\n\n[[device]]\nname = "x"\n\n[[device]]\nname = "y"\n\n[network]\ndns = []\n'
    assert without_devices(text) == '[terminal]\nid = "a"\n\n[network]\ndns = []\n'


def test_every_question_of_the_api_is_asked_and_answered(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'center.db'}")
    migrate(database)
    desk.fill(database, 200)
    with asking(database, rate=Rate(1e6, 1e6)) as running:
        asks = running.asks("admin")
        paths = running.client.get("/api/v1/openapi.json").json()["paths"]
        asked = list(api.questions(paths))
        wrong = {
            question: answer.text
            for _, question in asked
            if (answer := asks.client.get(question, headers=asks.headers)).status_code != 200
        }
        assert wrong == {}
        took = list(api.timed(asks, asked[0][1], turns=3))
    database.close()
    assert len(took) == 3
    assert min(took) > 0
    given = {path.removeprefix("/api/v1/") for path, operations in paths.items() if "get" in operations}
    assert {route for route, _ in asked if "?" not in route} == given - api.ELSEWHERE.keys()
    assert api.ELSEWHERE.keys() | api.WHOLE <= given, "what is left out, or has no goal, is there"


def test_every_screen_of_the_console_is_opened() -> None:
    assert set(screens.SHOWS) == set(found_screens())
    opened = [path for path, _ in screens.every()]
    assert len(opened) == len(set(opened)) > len(screens.SHOWS)


def test_a_reason_is_that_of_a_figure() -> None:
    kept = json.loads((ROOT / "docs" / "bench.json").read_text("utf-8"))
    keys = [figure["key"] for part in kept["parts"].values() for figure in part["figures"]]
    assert len(keys) == len(set(keys))
    reasons = tomllib.loads((ROOT / "tests" / "bench" / "reasons.toml").read_text("utf-8"))
    assert [name for name in reasons if not any(f"{key}.".startswith(f"{name}.") for key in keys)] == []


def test_a_reason_counts_for_all_whose_keys_begin_so() -> None:
    reasons = {"api.sqlite": "the disk", "api.sqlite.map": "the rows"}
    assert report._reason(reasons, "api.sqlite.map.p95") == "the rows"
    assert report._reason(reasons, "api.sqlite.mapped") == "the disk"
    assert report._reason(reasons, "apis.sqlite") == "No reason has been found so far."
