"""Time lines: reading them, playing them, saying what held."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from simulator.scenario import BadScenario, Outcome, Step, load, play, read

STATUS = {
    "verdict": {"can_sell": "no", "cause": "power/mains_lost", "act": "support"},
    "faults": [
        {"fault": "power/mains_lost", "state": "raised", "cause": None},
        {"fault": "printer/no_reply", "state": "flapping", "cause": "power/mains_lost"},
        {"fault": "printer/paper_out", "state": "cleared", "cause": None},
    ],
}


class Target:
    """A terminal of two keys whose time stands still but for waiting."""

    def __init__(self) -> None:
        self.time = 0.0
        self.values: dict[str, str | int | float] = {"printer.paper": "ok", "power.battery_percent": 100}
        self.log: list[tuple[float, dict[str, str]]] = []
        self.later: dict[float, tuple[str, str]] = {}

    def set(self, values: Mapping[str, str], /) -> None:
        self.log.append((self.time, dict(values)))
        self.values.update(values)

    def get(self) -> Mapping[str, str | int | float]:
        return self.values

    def wait(self, seconds: float) -> None:
        self.time += seconds
        for at, (name, value) in self.later.items():
            if self.time >= at:
                self.values[name] = value


def write(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "scenario.toml"
    file.write_text(text)
    return file


def run(steps: tuple[Step, ...], target: Target, status: Path = Path("/nonexistent/status.json")) -> list[Outcome]:
    return list(play(steps, target, status, wait=target.wait, clock=lambda: target.time))


def test_steps_happen_in_time_and_both_spellings_mean_the_same(tmp_path: Path) -> None:
    steps = load(
        write(
            tmp_path,
            """
            title = "paper"
            [[step]]
            at_s = 5
            set = { printer.paper = "ok", power.battery_percent = 30 }
            [[step]]
            at_s = 1.5
            set = { "printer.paper" = "out" }
            """,
        )
    )
    target = Target()
    assert all(outcome.held for outcome in run(steps, target))
    assert target.log == [
        (1.5, {"printer.paper": "out"}),
        (5.0, {"printer.paper": "ok", "power.battery_percent": "30"}),
    ]


def test_an_expected_key_is_waited_for_within_its_time() -> None:
    target = Target()
    target.later = {2.0: ("printer.paper", "out")}
    (held,) = run((Step(0, expect={"printer.paper": "out", "power.battery_percent": 100}, within_s=3),), target)
    assert held.held
    assert 2.0 <= held.took_s < 2.2
    (missed,) = run((Step(0, expect={"printer.paper": "near_end", "x": 1}, within_s=1),), Target())
    assert missed.missed == ("printer.paper is ok, not near_end", "x is not a key")


@pytest.mark.parametrize(
    ("expect", "missed"),
    [
        ({"faults": ["printer/no_reply"], "root": "power/mains_lost", "can_sell": "no"}, ()),
        ({"absent": ["printer/paper_out"]}, ()),
        ({"faults": ["printer/paper_out"]}, ("printer/paper_out is not raised",)),
        ({"absent": ["printer/no_reply"]}, ("printer/no_reply is raised",)),
        ({"root": "printer/no_reply"}, ("printer/no_reply is not a root: power/mains_lost explains it",)),
        ({"root": "reader/no_reply"}, ("reader/no_reply is not raised",)),
        ({"can_sell": "yes"}, ("can_sell is no, not yes",)),
        ({"roots": ["power/mains_lost"], "symptoms": {"printer/no_reply": "power/mains_lost"}}, ()),
        ({"roots": []}, ("the roots are power/mains_lost",)),
        (
            {"symptoms": {"printer/no_reply": "printer/port_lost"}},
            ("printer/no_reply is explained by power/mains_lost",),
        ),
        ({"symptoms": {"power/mains_lost": "x/y"}}, ("power/mains_lost is explained by nothing",)),
        ({"cause": "power/mains_lost", "act": "merchant"}, ("act is support, not merchant",)),
    ],
)
def test_what_the_agent_sees(tmp_path: Path, expect: dict[str, object], missed: tuple[str, ...]) -> None:
    status = tmp_path / "status.json"
    status.write_text(json.dumps(STATUS))
    (outcome,) = run((Step(0, expect=expect, within_s=0.5),), Target(), status)
    assert outcome.missed == missed


def test_what_must_never_be_is_looked_for_between_the_steps_too(tmp_path: Path) -> None:
    status = tmp_path / "status.json"

    class Passing(Target):
        """A terminal whose agent says something for a second, between two steps."""

        def wait(self, seconds: float) -> None:
            super().wait(seconds)
            faults = [{"fault": "printer/paper_out", "state": "raised", "cause": None}] if 4 < self.time < 5 else []
            status.write_text(json.dumps({"verdict": {"can_sell": "yes"}, "faults": faults}))

    steps = (
        Step(2, expect={"never": ["printer/paper_out"]}),
        Step(8, expect={"absent": ["printer/paper_out"]}),
        Step(9, expect={"never": ["printer/paper_out"]}, within_s=0.5),
    )
    assert [outcome.missed for outcome in run(steps, Passing(), status)] == [(), (), ("printer/paper_out was raised",)]


def test_a_file_says_for_whom_it_is_and_names_every_fault_that_may_be_raised(tmp_path: Path) -> None:
    found = read(
        write(
            tmp_path,
            """
            title = "a pad torn off"
            kind = "cascading"
            may = ["keypad/no_reply"]
            [families]
            keypad = "smartpin"
            [[step]]
            expect = { roots = ["keypad/tamper"], symptoms = { "keypad/keys_missing" = "keypad/tamper" } }
            """,
        )
    )
    assert (found.title, found.kind, found.families) == ("a pad torn off", "cascading", {"keypad": "smartpin"})
    assert found.named == {"keypad/tamper", "keypad/keys_missing", "keypad/no_reply"}


@pytest.mark.parametrize("content", [None, "", "[]", '{"faults": 3}'])
def test_without_an_agent_nothing_holds_even_what_should_be_absent(tmp_path: Path, content: str | None) -> None:
    status = tmp_path / "status.json"
    if content is not None:
        status.write_text(content)
    (outcome,) = run((Step(0, expect={"absent": ["printer/no_reply"]}, within_s=0.2),), Target(), status)
    assert outcome.missed == (f"{status} does not say what the agent sees",)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "[[step]]"),
        ("[[step]]\nat = 3", "may have at_s, set and expect"),
        ("[[step]]\nat_s = 'soon'", "seconds"),
        ("[[step]]\nset = 3", "tables"),
        ("[[step]]\nexpect = { faults = 'x' }", "list"),
        ("[[step]]\nexpect = { symptoms = { a = 1 } }", "symptoms"),
        ("may = 'x'\n[[step]]", "may is a list"),
        ("families = 'x'\n[[step]]", "families"),
        ("kinds = 'x'\n[[step]]", "may have title"),
        ("[[step", "scenario.toml"),
        ("steps = []", "[[step]]"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(BadScenario) as error:
        load(write(tmp_path, text))
    assert says in str(error.value)
