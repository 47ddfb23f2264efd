"""The pieces that screens are made of. Everything that a terminal or a person wrote goes through text, never HTML."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from html import escape
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from nicegui import events, ui
from nicegui.element import Element
from nicegui.elements.mixins.text_element import TextElement

from center.console.session import Refused, Visit

LIGHTS: Final = {
    "yes": ("ok", "✓"), "ok": ("ok", "✓"), "online": ("ok", "✓"), "succeeded": ("ok", "✓"), "done": ("ok", "✓"),
    "degraded": ("warn", "!"), "minor": ("warn", "!"), "warning": ("warn", "!"), "flapping": ("warn", "~"),
    "no": ("bad", "✕"), "critical": ("bad", "✕"), "major": ("bad", "▲"), "raised": ("bad", "✕"),
    "failed": ("bad", "✕"), "offline": ("gone", "◌"), "cleared": ("ok", "✓"), "maintenance": ("calm", "⚙"),
    "unknown": ("unknown", "?"), "stale": ("stale", "◷"), "unsupported": ("none", "–"),
    "other": ("none", "•"), "still": ("none", "•"), "apart": ("none", "–"),
}  # fmt: skip
"""A state's look and its sign: a sign and a word beside each colour, and unknown never looks like good."""


def text(tag: str, words: str) -> TextElement:
    """An element of HTML with a text."""
    return TextElement(tag=tag, text=words)


def link(where: str, words: str = "") -> TextElement:
    """A link to an address of this host, `/console/…` among them: NiceGUI's own puts `/console` before it once more."""
    shown = TextElement(tag="a", text=words)
    shown.props["href"] = where
    return shown


def heading(title: str, about: str = "") -> None:
    """The one heading of a screen."""
    with ui.element("div").classes("heading"):
        text("h1", title)
        if about:
            text("p", about).classes("quiet")


def as_of(visit: Visit) -> None:
    """When the figures on a page were read, and a way to read them anew; for what does not follow by itself."""
    now = datetime.now(UTC)
    with ui.element("p").classes("as-of quiet"):
        text("span", visit.say("shell.as_of"))
        text("time", f"{now:%H:%M} UTC").props(f'datetime="{now.isoformat(timespec="seconds")}"')
        button(visit.say("shell.refresh"), ui.navigate.reload, "refresh", mark="refresh")


@contextmanager
def section(title: str, name: str = "") -> Iterator[Element]:
    """A part of a screen under a heading; `name` is where a link may lead to."""
    with ui.element("section").classes("part") as part:
        if name:
            part.props(f'id="{name}"')
        text("h2", title)
        yield part


def light(visit: Visit, state: str | None, words: str = "") -> Element:
    """A state as sign and word."""
    state = state or "unknown"
    look, sign = LIGHTS.get(state, ("none", "•"))
    with ui.element("span").classes(f"light look-{look}") as shown:
        text("span", sign).classes("sign").props('aria-hidden="true"')
        text("span", words or visit.word(f"parts.{state}", state))
    return shown


def moment(visit: Visit, at: str | None, zone: str | None = None) -> Element:
    """How long ago, kept up by the page; the time itself, at the site's place, where the pointer rests."""
    if at is None:
        return text("span", "–").classes("quiet")
    shown = TextElement(tag="time", text=_ago(visit, at)).classes("ago")
    return shown.props(f'datetime="{escape(at)}" data-at="{escape(at)}" title="{escape(clock(at, zone))}"')


def clock(at: str, zone: str | None = None) -> str:
    """The time at a place: 2026-11-22 09:30 UTC+08:00. A zone's short name would not do: CST is four of them."""
    there = local(at, zone)
    from_utc = f"{there:%z}"
    return f"{there:%Y-%m-%d %H:%M} UTC" + (f"{from_utc[:3]}:{from_utc[3:5]}" if there.utcoffset() else "")


def local(at: str | datetime, zone: str | None) -> datetime:
    """A time as the clock at a place shows it; UTC where the place is unknown."""
    try:
        place: tzinfo = ZoneInfo(zone) if zone else UTC
    except (ZoneInfoNotFoundError, ValueError):
        place = UTC
    return (datetime.fromisoformat(at) if isinstance(at, str) else at).astimezone(place)


def _ago(visit: Visit, at: str) -> str:
    """Only until the page's own clock takes over."""
    seconds = (datetime.now(UTC) - datetime.fromisoformat(at)).total_seconds()
    for name, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if abs(seconds) >= length:
            return visit.say(f"parts.{name}_{'ago' if seconds > 0 else 'ahead'}", n=round(abs(seconds) / length))
    return visit.say("parts.now")


def number(value: object, label: str, where: str = "", look: str = "") -> None:
    """A figure that leads to the rows behind it."""
    with link(where) if where else ui.element("div") as tile:
        tile.classes(f"tile {f'look-{look}' if look else ''}")
        text("span", "–" if value is None else str(value)).classes("figure")
        text("span", label).classes("label")


def facts(pairs: Sequence[tuple[str, Any]]) -> None:
    """Names and values; a value is a text, or a function that builds what stands there. Without value: left out."""
    with ui.element("dl").classes("facts"):
        for name, value in pairs:
            if value in (None, ""):
                continue
            text("dt", name)
            with ui.element("dd"):
                value() if callable(value) else text("span", str(value))


def empty(visit: Visit, key: str) -> None:
    """Where there are no rows: what that means, by `{key}_title`, and what to do, by `{key}_hint`."""
    with ui.element("div").classes("empty"):
        ui.icon("inbox").props('aria-hidden="true"')
        text("span", visit.say(f"{key}_title")).classes("empty-title")
        text("span", visit.say(f"{key}_hint"))


def only(visit: Visit, words: str, where: str) -> None:
    """What a list is narrowed to, and the way to the list without it."""
    with link(where).classes("only"):
        text("span", words)
        text("span", f"({visit.say('queue.only_end')})").classes("quiet")


def why(visit: Visit, reasons: Sequence[str] | Callable[[], Sequence[str]], title: str = "") -> None:
    """A button that tells the reasons of a verdict, worked out when it is pressed where they are a function."""

    def show() -> None:
        with visit.client, ui.dialog() as dialog, ui.card().classes("asking"):  # the button may be drawn anew
            text("h2", title or visit.say("shell.why"))
            with ui.element("ul"):
                for reason in reasons() if callable(reasons) else reasons:
                    text("li", reason)
            ui.button(visit.say("shell.close"), on_click=dialog.close, color=None).props("flat no-caps")
        dialog.open()

    ui.button(visit.say("shell.why"), on_click=show, color=None).props("flat dense no-caps").classes("why").mark("why")


def button(words: str, do: Callable[[], Any], icon: str = "", *, main: bool = False, mark: str = "") -> ui.button:
    """One thing that can be done here. Others: `ui.button(…, color=None)`, or Quasar's own colours win."""
    shown = ui.button(words, on_click=do, icon=icon or None, color=None).props(
        f"no-caps {'unelevated' if main else 'outline'}"
    )
    return shown.mark(mark) if mark else shown


# --- asking -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Field:
    """One question of a form. `options` are value to words; a `time` is asked for as local time at `zone`."""

    name: str
    label: str
    kind: Literal["text", "area", "choice", "time", "number", "check"] = "text"
    value: Any = None
    options: Mapping[str, str] = field(default_factory=dict)
    needed: bool = False
    hint: str = ""
    zone: str = "UTC"


def ask(
    visit: Visit, title: str, fields: Sequence[Field], do: Callable[[dict[str, Any]], Awaitable[Any]], *, go: str = ""
) -> None:
    """A form in a dialog. `do` gets the values, times as RFC 3339; when it is refused, the form stays and says why."""
    inputs: dict[str, Any] = {}
    with visit.client, ui.dialog() as dialog, ui.card().classes("asking"):  # whoever asked may be drawn anew
        text("h2", title)
        for each in fields:
            inputs[each.name] = entry(each)
        wrong = text("p", "").classes("wrong").props('role="alert"')

        async def send() -> None:
            told = {each.name: _value(each, inputs[each.name].value) for each in fields}
            missing = next((each.label for each in fields if each.needed and told[each.name] in (None, "")), None)
            if missing is not None:
                wrong.text = f"{visit.say('shell.needed')}: {missing}"
                return
            try:
                await do(told)
            except Refused as error:
                wrong.text = str(error)
                return
            dialog.close()

        with ui.element("div").classes("row-end"):
            ui.button(visit.say("shell.cancel"), on_click=dialog.close, color=None).props("flat no-caps")
            button(go or title, send, main=True, mark="send")
    dialog.on("hide", dialog.delete)
    dialog.open()


def entry(each: Field) -> Any:
    """Where one question is answered; its `value` is what was answered."""
    label = f"{each.label} *" if each.needed else each.label
    if each.kind == "choice":
        shown: Any = ui.select(dict(each.options), label=label, value=each.value)
    elif each.kind == "check":
        return ui.checkbox(each.label, value=bool(each.value))
    elif each.kind == "number":
        shown = ui.number(label, value=each.value)
    elif each.kind == "area":
        shown = ui.textarea(label, value=each.value or "")
    else:
        shown = ui.input(label, value=each.value or "")
        if each.kind == "time":
            shown.props('type="datetime-local" stack-label')
    if each.hint or each.kind == "time":
        shown.props(f'hint="{escape(each.hint or each.zone)}"')
    return shown.props("outlined dense").classes("field").mark(f"field-{each.name}")


def _value(each: Field, given: Any) -> Any:
    if each.kind == "time" and given:
        return datetime.fromisoformat(given).replace(tzinfo=ZoneInfo(each.zone)).astimezone(UTC).isoformat()
    return given.strip() if isinstance(given, str) else given


# --- tables -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Column:
    """One column. `kind` says how a cell is drawn.

    Where not all fit, that with the highest number in `yields` goes first; 0 stays, wherever. A column that is `flex`
    takes its share of what is left over, and has `width` at least. While the column `under` has no room, what it says
    stands below the text of this one.
    """

    name: str
    title: str
    kind: Literal["text", "number", "age", "light", "noise", "due"] = "text"
    width: int = 0
    flex: float = 0
    yields: int = 0
    under: str = ""


class Table:
    """Rows that scroll, sort and filter in the browser. Each row has an `id`; `where` of a row is where it leads.

    Cells of kind light are states; their words stand in the row as `{name}_words`. Ages are RFC 3339; the time itself
    is shown by the clock at the row's `timezone`, without one by the browser's. Those of kind noise name what `noise`
    tells the counts of.
    """

    def __init__(
        self,
        visit: Visit,
        columns: Sequence[Column],
        rows: Sequence[Mapping[str, Any]],
        *,
        title: str,
        height: str = "",
        pick: Callable[[list[str]], Any] | None = None,
    ) -> None:
        self._rows = {str(row["id"]): dict(row) for row in rows}
        options = {
            "columnDefs": [_definition(column) for column in columns],
            "rowData": list(self._rows.values()),
            ":getRowId": "row => String(row.data.id)",
            ":onGridSizeChanged": "posdiag.fit",
            ":onCellKeyDown": "posdiag.key",
            ":onRowClicked": "posdiag.open",
            "rowSelection": {"mode": "multiRow", "checkboxes": pick is not None, "headerCheckbox": pick is not None,
                             "enableClickSelection": False} if pick else {"mode": "singleRow", "checkboxes": False,
                                                                          "enableClickSelection": True},
            "suppressCellFocus": False,
            "animateRows": False,
            "enableCellTextSelection": True,
            "rowHeight": 44,
            "overlayNoRowsTemplate": escape(visit.say("shell.no_rows")),
            "localeText": {"loadingOoo": visit.say("shell.loading")},
            "domLayout": "normal" if height or len(rows) > 12 else "autoHeight",
            "cacheQuickFilter": True,
            "context": {"language": visit.language},
        }  # fmt: skip
        self.grid = ui.aggrid(options, theme="quartz", auto_size_columns=False)
        self.grid.classes("table").props(f'aria-label="{escape(title)}" role="region"')
        if height or len(rows) > 12:
            self.grid.style(f"height: {height or '70vh'}")
        if pick is not None:

            async def picked() -> None:
                pick([str(row["id"]) for row in await self.grid.get_selected_rows()])

            self.grid.on("selectionChanged", picked, throttle=0.2)

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """All rows, as they are shown."""
        return list(self._rows.values())

    def __contains__(self, row_id: str) -> bool:
        return row_id in self._rows

    def row(self, row_id: str) -> dict[str, Any]:
        """The row as it is shown. Raises KeyError."""
        return self._rows[row_id]

    def put(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """These rows and no others, with the least that has to go over the wire."""
        new = {str(row["id"]): dict(row) for row in rows}
        gone = [row_id for row_id in self._rows if row_id not in new]
        self.change([row for row_id, row in new.items() if self._rows.get(row_id) != row], gone)

    def change(self, changed: Sequence[Mapping[str, Any]] = (), gone: Sequence[str] = ()) -> None:
        """Show rows that are new or changed, and drop others."""
        gone = [row_id for row_id in gone if self._rows.pop(row_id, None) is not None]
        rows = {str(row["id"]): dict(row) for row in changed}
        self._rows |= rows
        if rows or gone:  # the browser knows best which of them it has
            told = json.dumps([list(rows.values()), gone], ensure_ascii=False)
            self.grid.client.run_javascript(f"posdiag.put({self.grid.id}, ...{told})")

    def noise(self, counts: Mapping[str, Sequence[int]]) -> None:
        """What cells of kind noise draw: the counts of each hour, by the value of the cell."""
        context = {**self.grid.options["context"], "noise": counts}  # were the options changed, it would begin anew
        self.grid.run_grid_method("setGridOption", "context", context)
        self.grid.run_grid_method("refreshCells", {"columns": ["noise"], "force": True})

    def on_key(self, key: str, do: Callable[[str], Any]) -> None:
        """Call `do` with the id of the row where a key was pressed."""

        async def pressed(event: events.GenericEventArguments) -> None:
            if event.args.get("key") == key and str(event.args.get("id")) in self._rows:
                answer = do(str(event.args["id"]))
                if isinstance(answer, Awaitable):
                    await answer

        self.grid.on("rowKey", pressed)


def one_of(table: Table, nothing: Element) -> None:
    """The table where it has rows, else what says that there are none."""
    nothing.set_visibility(not len(table))
    table.grid.set_visibility(bool(len(table)))


def _definition(column: Column) -> dict[str, Any]:
    made: dict[str, Any] = {
        "field": column.name,
        "headerName": column.title,
        "sortable": True,
        "resizable": True,
        "headerTooltip": column.title,
        "context": {"yields": column.yields, "under": column.under},
    }
    if column.kind != "text":
        made[":cellRenderer"] = f"posdiag.cells.{column.kind}"
    if column.kind == "light":
        made[":getQuickFilterText"] = f"row => row.data[{column.name + '_words'!r}] ?? row.value"
    if column.kind == "noise":
        made |= {"sortable": False, ":getQuickFilterText": "() => ''"}
    if column.under:
        made[":cellRenderer"] = "posdiag.cells.twofold"
    if column.flex:
        made |= {"flex": column.flex, "minWidth": column.width or 120}
    elif column.width:
        made["width"] = column.width
    if column.kind == "text":
        made["tooltipField"] = column.name
    return made
