"""Long lists: a piece at first, the rest when somebody asks for more; and what stands there while there are none."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from nicegui import ui

from center.console import parts
from center.console.parts import Table
from center.console.session import Visit

FIRST: Final = 200
_MORE: Final = 1000


def more(
    visit: Visit,
    path: str,
    asked: Mapping[str, Any],
    cursor: str | None,
    add: Callable[[Sequence[Mapping[str, Any]]], object],
) -> None:
    """Below a list: that it is not whole, and a button for its next piece, which `add` shows.

    Both stand there for as long as there is more.
    """
    following = cursor

    async def load() -> None:
        nonlocal following
        found = await visit.act(visit.api.get(path, limit=FIRST, cursor=following, **asked))
        if found is None:
            return
        add(found["items"])
        following = found["next"]
        foot.set_visibility(following is not None)

    with ui.element("div").classes("bar list-foot") as foot:
        parts.text("span", visit.say("shell.not_all")).classes("quiet").props('role="status"')
        parts.button(visit.say("shell.more"), load, "expand_more", mark="more")
    foot.set_visibility(following is not None)


async def first(
    visit: Visit, path: str, asked: Mapping[str, Any], shown: int
) -> tuple[list[Mapping[str, Any]], str | None]:
    """As many items of a list as are shown, from its beginning, and the cursor of what follows; at least a piece."""
    wanted, cursor = max(shown, FIRST), None
    rows: list[Mapping[str, Any]] = []
    while len(rows) < wanted:
        found = await visit.api.get(path, limit=min(wanted - len(rows), _MORE), cursor=cursor, **asked)
        rows += found["items"]
        cursor = found["next"]
        if cursor is None:
            break
    return rows, cursor


class Listing:
    """What belongs to a table of a long list, built below it.

    By phrases of `words`: how many rows there are (`shown`, where the `total` is known as n `of` it, `all_shown`), and
    a button for more; without any row the text `{nothing}` in place of the table.
    """

    def __init__(
        self,
        visit: Visit,
        table: Table,
        path: str,
        asked: Mapping[str, str],
        cursor: str | None,
        row: Callable[[Mapping[str, Any]], Mapping[str, Any]],
        words: str,
        nothing: str,
        total: int | None = None,
    ) -> None:
        self._total = total
        self._visit, self._table, self._words, self._row = visit, table, words, row
        self._path, self._asked, self._cursor = path, asked, cursor
        with ui.element("div") as self._nothing:
            parts.empty(visit, nothing)
        with ui.element("div").classes("bar list-foot") as self._foot:
            self._told = parts.text("span", "").classes("quiet").props('role="status"')
            self._more = parts.button(visit.say("shell.more"), self._load, "expand_more", mark="more")
        self.tell()

    async def begin(self) -> None:
        """Read the first piece, where nothing is shown yet."""
        if not len(self._table):
            self._put(await self._visit.api.get(self._path, limit=FIRST, **self._asked))

    async def renew(self, total: int | None = None) -> None:
        """Read anew what is shown, with what has come and without what has gone."""
        found, self._cursor = await first(self._visit, self._path, self._asked, len(self._table))
        self._table.put([self._row(each) for each in found])
        self._total = total
        self.tell()

    def tell(self) -> None:
        """Say how many rows there are now."""
        parts.one_of(self._table, self._nothing)
        self._foot.set_visibility(bool(len(self._table)))
        all_there = self._cursor is None
        n = len(self._table)
        of = {} if self._total is None else {"of": self._total}
        self._told.text = self._visit.say(f"{self._words}.{'all_shown' if all_there else 'shown'}", n=n, **of)
        self._more.set_visibility(not all_there)

    async def _load(self) -> None:
        asked = self._visit.api.get(self._path, limit=_MORE, cursor=self._cursor, **self._asked)
        found = await self._visit.act(asked)
        if found is not None:
            self._put(found)

    def _put(self, found: Mapping[str, Any]) -> None:
        self._table.change([self._row(each) for each in found["items"]])
        self._cursor = found["next"]
        self.tell()
