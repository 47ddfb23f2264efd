"""How the engine of incidents carries out what people regroup by hand: it asks, decides in memory, and marks as done.

A part keeps its own incident and its signals; the whole holds them, too. Who is taken out does not come back by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, select, update

from center.db.tables import incidents, regroupings
from center.domain.grouping import Signal
from center.domain.incident import Incident, Key
from center.domain.incident_book import Book


def load(connection: Connection, book: Book) -> None:
    """Who was taken out of incidents that are open."""
    in_force = regroupings.c.kind == "split", regroupings.c.undone_ms.is_(None)
    joined = regroupings.join(incidents, incidents.c.id == regroupings.c.incident_id)
    rows = select(regroupings.c.incident_id, regroupings.c.members).select_from(joined)
    for row in connection.execute(rows.where(*in_force, incidents.c.state != "resolved")):
        whole = book.incidents.get(row.incident_id)
        if whole is not None:
            whole.apart.update((estate, terminal) for estate, terminal, _ in row.members)


def follow(connection: Connection, book: Book, now_ms: int) -> list[tuple[str, bool]]:
    """Carry out what waits. Returns id and whether it was to be undone, of each."""
    rows = connection.execute(select(regroupings).where(regroupings.c.waits).order_by(regroupings.c.id)).all()
    for row in rows:
        undone, keys = row.undone_ms is not None, [tuple(key) for key in row.members or ()]
        if row.kind == "merge" and not undone:
            merge(book, row.incident_id, row.into_id)
        elif row.kind == "merge":
            unmerge(book, row.incident_id, row.into_id, now_ms)
        elif not undone:
            split(book, row.incident_id, keys, now_ms)
        else:
            unsplit(book, row.incident_id, keys)
    return [(row.id, row.undone_ms is not None) for row in rows]


def done(connection: Connection, carried_out: Sequence[tuple[str, bool]]) -> None:
    """They wait no longer; one that was undone meanwhile waits for that."""
    for name, undone in carried_out:
        same = regroupings.c.undone_ms.is_not(None) if undone else regroupings.c.undone_ms.is_(None)
        connection.execute(update(regroupings).where(regroupings.c.id == name, same).values(waits=False))


def merge(book: Book, incident_id: str, into_id: str) -> None:
    """One becomes a part of another, which holds its signals, too. Nothing, if either is over."""
    part, whole = book.incidents.get(incident_id), book.incidents.get(into_id)
    if part is None or whole is None or book.root(whole) is part:
        return
    part.parent_id = whole.id
    book.adopted.add(whole.id)
    book.mark(part)
    for key, signal in part.members.items():
        book.join(whole, key, signal)


def unmerge(book: Book, incident_id: str, into_id: str, now_ms: int) -> None:
    """It is no part of that other any more, which lets its signals go."""
    part, whole = book.incidents.get(incident_id), book.incidents.get(into_id)
    if part is None or whole is None or part.parent_id not in {into_id, None}:
        return
    part.parent_id = None
    book.mark(part)
    for key, signal in part.members.items():
        if key in whole.members:
            book.leave(whole, key, signal, now_ms)
            book.changes.links[key] = (signal.group or part).id


def split(book: Book, incident_id: str, keys: Iterable[Key], now_ms: int) -> None:
    """The terminals of these leave it and its parts for incidents of their own."""
    whole = book.incidents.get(incident_id)
    if whole is None:
        return
    whole.apart.update(key[:2] for key in keys)
    for key, signal in list(whole.members.items()):
        if key[:2] not in whole.apart or _is_lone(whole, key):
            continue
        for incident in [each for each in signal.held if book.root(each) is whole]:
            if _is_lone(incident, key):
                incident.parent_id = None
                book.mark(incident)
            else:
                book.leave(incident, key, signal, now_ms)
        if signal.held:
            book.changes.links[key] = (signal.group or signal.held[0]).id
        else:
            book.open_lone(key, signal, now_ms)


def unsplit(book: Book, incident_id: str, keys: Iterable[Key]) -> None:
    """They may belong to it again; what was taken out and still stands does, with what became of it."""
    whole = book.incidents.get(incident_id)
    if whole is None:
        return
    taken = set(keys)
    terminals = {key[:2] for key in taken}
    whole.apart -= terminals
    for key in sorted(taken):
        signal: Signal | None = book.signal(key)
        for top in {book.root(each) for each in signal.held} - {whole} if signal is not None else ():
            if {member[:2] for member in top.members} <= terminals:
                merge(book, top.id, whole.id)
        if signal is not None and whole not in signal.held:
            book.join(whole, key, signal)


def _is_lone(incident: Incident, key: Key) -> bool:
    return incident.identity == (key[0], "terminal", key[1], key[2])
