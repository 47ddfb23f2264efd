"""The table in bench.md: every figure with its goal, the peers beside it, how it was measured, and why it missed."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path

from tests.bench import pictures
from tests.bench.figure import Figure
from tests.bench.kept import PEERS, Kept

_REASONS = Path(__file__).with_name("reasons.toml")
_AGENT: tuple[tuple[str, str], ...] = (  # ours, and the figure of a peer beside it
    ("rest.pss", "pss"),
    ("rest.alone", "alone"),
    ("rest.cpu", "cpu"),
    ("bare.cpu", ""),
    ("daemon.start", "start"),
    ("daemon.push", ""),
    ("daemon.push_p99", ""),
    ("outbox.each", ""),
    ("outbox.grouped", ""),
    ("metered.quiet", ""),
    ("metered.typical", ""),
    ("metered.disk", ""),
    ("rest.disk", ""),
    ("outage.disk", ""),
    ("outage.pss", ""),
    ("outage.rate", ""),
    ("outage.order", ""),
    ("soak.week.pss", ""),
    ("soak.week.descriptors", ""),
    ("soak.week.threads", ""),
    ("soak.real.pss", ""),
    ("soak.real.descriptors", ""),
    ("soak.real.threads", ""),
)
_CENTER: tuple[str, ...] = (
    "ingest.sqlite",
    "ingest.postgresql",
    "ingest.restart",
    "incidents_n",
    "incidents_lost",
    "incidents_step_s",
    "api.sqlite.slowest.100000",
    "api.sqlite.slowest.100000.late",
    "api.postgresql.slowest.100000",
    "api.postgresql.slowest.100000.late",
    "browser.fault",
    "browser.fault_p95",
    "browser.paint",
    "browser.rows",
    "browser.filling",
    "browser.scrolling",
    "browser.typing",
    "browser.storm",
)


def write(kept: Kept, out: Path) -> None:
    """bench.md and its pictures."""
    drawn = pictures.draw(kept, out)
    (out / "bench.md").write_text("\n".join(_lines(kept, drawn)) + "\n", "utf-8")
    print(f"\n{out / 'bench.md'} and {len(drawn)} pictures")


def _lines(kept: Kept, drawn: list[tuple[str, str]]) -> Iterator[str]:
    yield "# What posdiag costs"
    yield ""
    yield f"Measured by `make bench` on {', '.join(kept.machine.values())}."
    if any(part.quick for part in kept.parts.values()):
        yield "**A quick run: everything is shortened, so that goals for ten minutes, a day or a week say little here.**"
    yield ""
    yield from _agent(kept)
    yield ""
    yield from _center(kept)
    yield ""
    yield "✗ misses its goal. A peer's empty field: it does no such thing, or could not be measured, see below."
    yield from _missed(kept)
    yield from _peers(kept)
    yield ""
    yield "## Pictures"
    for name, title in drawn:
        yield f"\n![{title}]({name})"
    yield from _everything(kept)


def _agent(kept: Kept) -> Iterator[str]:
    yield f"| The agent | goal | posdiag | {' | '.join(PEERS)} |"
    yield "| --- | --- | --- |" + " --- |" * len(PEERS)
    for key, beside in _AGENT:
        figure = kept.figure(key)
        if figure is None:
            continue
        others = [_shown(kept.figure(f"{peer}.{beside}")) if beside else "" for peer in PEERS]
        yield f"| {figure.what} | {_goal(figure)} | **{figure.shown}**{_mark(figure)} | {' | '.join(others)} |"


def _center(kept: Kept) -> Iterator[str]:
    yield "| The center and its console | goal | posdiag |"
    yield "| --- | --- | --- |"
    for figure in filter(None, map(kept.figure, _CENTER)):
        yield f"| {figure.what} | {_goal(figure)} | **{figure.shown}**{_mark(figure)} |"


def _mark(figure: Figure) -> str:
    return " ✗" if figure.misses else ""


def _goal(figure: Figure) -> str:
    unit = figure.unit if figure.goal[:1] in "≤≥" else ""
    return f"{figure.goal} {unit}".strip() if figure.goal else ""


def _shown(figure: Figure | None) -> str:
    return "" if figure is None else figure.shown


def _missed(kept: Kept) -> Iterator[str]:
    reasons = tomllib.loads(_REASONS.read_text("utf-8"))
    missed = [figure for part in kept.parts.values() for figure in part.figures if figure.misses]
    if missed:
        yield ""
        yield "## Missed"
        yield ""
    by_reason: dict[str, list[Figure]] = {}
    for figure in missed:
        by_reason.setdefault(_reason(reasons, figure.key), []).append(figure)
    for reason, figures in by_reason.items():
        yield from (f"- {each.what.strip()}: {each.shown}, goal {_goal(each)}" for each in figures)
        yield f"\n  {reason}\n"


def _reason(reasons: Mapping[str, str], key: str) -> str:
    """Of this figure, else of all whose keys begin so up to a dot."""
    while key and key not in reasons:
        key = key.rpartition(".")[0]
    return reasons.get(key, "No reason has been found so far.")


def _peers(kept: Kept) -> Iterator[str]:
    yield ""
    yield "## Peers"
    yield ""
    yield (
        "Each does the nearest comparable job; they ran at the same time, beside the daemon without devices, after the "
        "daemon with devices had run alone. They are installed by the bench into `.venv-bench`."
    )
    yield ""
    for peer in PEERS:
        figure = kept.figure(f"{peer}.pss")
        if figure is not None:
            yield f"- {peer}: {'not measured: ' if figure.value is None else ''}{figure.how}"


def _everything(kept: Kept) -> Iterator[str]:
    yield ""
    yield "## Every figure, and how it was measured"
    for name, part in kept.parts.items():
        yield ""
        yield f"### {name}"
        yield ""
        yield f"{part.at}, {part.took_s} s, load of the machine at the start {part.load:g}."
        yield ""
        yield "| | measured | goal | how |"
        yield "| --- | --- | --- | --- |"
        for how, figures in groupby(part.figures, key=lambda figure: figure.how):
            for turn, figure in enumerate(figures):
                said = "as above" if turn and how else how
                yield f"| {figure.what} | {figure.shown}{_mark(figure)} | {_goal(figure)} | {said} |"
