"""A part of a screen that is drawn anew when what it shows has changed, and left alone else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from nicegui import ui

_NOTHING: Final = object()


class Pane:
    """`draw` builds the inside from one value, inside of an element that the pane makes where it is made."""

    def __init__(self, draw: Callable[[Any], None]) -> None:
        self._draw = draw
        self._shown: object = _NOTHING
        self._box = ui.element("div").classes("pane")

    def show(self, value: Any) -> None:
        """Show this value."""
        if value == self._shown:
            return
        self._shown = value
        self._box.clear()
        with self._box:
            self._draw(value)
