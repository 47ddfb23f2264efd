"""Fixtures for tests that need a terminal: `pos_terminal`, and `pos_terminal_factory` for several."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:  # the plugin is loaded in every pytest run of whoever installs the package, so it stays light
    from simulator.terminal import Terminal


@pytest.fixture
def pos_terminal_factory(tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    """Makes running terminals, each in a directory of its own; arguments are those of `Terminal` less the directory."""
    from simulator.terminal import Terminal  # noqa: PLC0415 - see above

    with ExitStack() as stack:
        count = 0

        def make(**options: Any) -> Terminal:
            nonlocal count
            count += 1
            return stack.enter_context(Terminal(tmp_path / f"pos{count}", **options))

        yield make


@pytest.fixture
def pos_terminal(pos_terminal_factory: Callable[..., Terminal]) -> Terminal:
    """One running terminal with the default devices."""
    return pos_terminal_factory()
