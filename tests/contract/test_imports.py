"""What the simulator and the center import of the agent, by name: no more than both sides of a wire must share.

The import linter forbids modules one by one, so that a module that is new would pass.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHARED = {
    "simulator": {"agent.VERSION", "agent.wire", "agent.vocabulary", "agent.packing"},
    "center": {"agent.VERSION", "agent.wire", "agent.vocabulary", "agent.packing"},
}


def _imported(tree: ast.AST) -> Iterator[str]:
    """Modules, and what is taken out of the package itself."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module == "agent":
            yield from (f"agent.{each.name}" for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


def _of_the_agent(file: Path) -> set[str]:
    return {name for name in _imported(ast.parse(file.read_bytes())) if name.partition(".")[0] == "agent"}


@pytest.mark.parametrize("package", SHARED)
def test_what_is_shared_with_the_agent(package):
    found = [_of_the_agent(file) for file in (ROOT / package).rglob("*.py")]
    assert len(found) > 20
    assert set().union(*found) == SHARED[package]


def test_a_simulated_terminal_shares_nothing():
    """Only the fleet does, which publishes messages and has no devices: those are a second reading of the manuals."""
    users = [file for file in (ROOT / "simulator").rglob("*.py") if _of_the_agent(file)]
    assert users
    assert {file.name.startswith("fleet_") for file in users} == {True}
