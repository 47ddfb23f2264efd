"""Small tables that are read rather than worked in: plain HTML, so that they cost little and can be read aloud."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from nicegui import ui

from center.console import parts

Cell = str | Callable[[], object]
Add = Callable[[Iterable[Sequence[Cell]]], None]


def plain_table(title: str, headers: Sequence[str], rows: Iterable[Sequence[Cell]]) -> Add:
    """A cell is a text, or a function that builds what stands there. Wide ones scroll in their own frame.

    Returns what adds further rows.
    """
    frame = ui.element("div").classes("wide-picture")
    frame.props(f'tabindex="0" role="group" aria-label="{_quoted(title)}"')
    with frame, ui.element("table").classes("plain-table"):
        with ui.element("thead"), ui.element("tr"):
            for header in headers:
                parts.text("th", header).props('scope="col"')
        body = ui.element("tbody")

    def add(some: Iterable[Sequence[Cell]]) -> None:
        with body:
            for row in some:
                with ui.element("tr"):
                    for header, cell in zip(headers, row, strict=True):
                        _cell(header, cell)

    add(rows)
    return add


def link(words: str, where: str) -> Callable[[], object]:
    """A cell that leads somewhere."""
    return lambda: parts.link(where, words)


def _cell(header: str, cell: Cell) -> None:
    """Narrow screens show rows as blocks, where the header stands beside its cell."""
    if isinstance(cell, str):
        parts.text("td", cell).props["data-label"] = header
        return
    with ui.element("td") as made:
        made.props["data-label"] = header
        cell()


def _quoted(words: str) -> str:
    return words.replace("&", "&amp;").replace('"', "&quot;")
