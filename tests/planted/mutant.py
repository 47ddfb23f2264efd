"""Run tests with one text replaced in one module's source, in this process and in memory only.

Usage: python -m tests.planted.mutant MODULE OLD NEW TEST_FILE...; the exit code is pytest's, or 64 when OLD does not
occur exactly once.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import pytest

STALE = 64
ROOT = Path(__file__).parents[2]


class _Replaced(Loader):
    def __init__(self, path: Path, source: str) -> None:
        self._path = path
        self._source = source

    def exec_module(self, module: ModuleType) -> None:
        exec(compile(self._source, self._path, "exec"), module.__dict__)  # noqa: S102 - our own source, one text changed


class _Plant(MetaPathFinder):
    """A pytest plugin that goes before all other finders, pytest's own included."""

    def __init__(self, spec: ModuleSpec) -> None:
        self._spec = spec

    def pytest_configure(self) -> None:
        assert self._spec.name not in sys.modules, "what was imported before keeps the true source"
        sys.meta_path.insert(0, self)

    def find_spec(self, name: str, _path: Sequence[str] | None, _target: ModuleType | None = None) -> ModuleSpec | None:
        return self._spec if name == self._spec.name else None


def main(module: str, old: str, new: str, *tests: str) -> int:
    """Replace, then run the tests until the first fails."""
    path = ROOT / (module.replace(".", "/") + ".py")
    source = path.read_text(encoding="utf-8")
    if source.count(old) != 1:
        print(f"{old!r} occurs {source.count(old)} times in {module}")
        return STALE
    plant = _Plant(ModuleSpec(module, _Replaced(path, source.replace(old, new)), origin=str(path)))
    options = ["-x", "-q", "-p", "no:cacheprovider", "--no-header", "--tb=line"]
    return int(pytest.main([*options, *tests], plugins=[plant]))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
