"""One row by its name, inside the scope of who asks."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Path
from sqlalchemy import Connection, Select, select

from center.access.scope import Scope
from center.api.context import ApiError
from center.db.tables import cases
from center.domain.cases_book import number_of, slip_number

Name = Annotated[str, Path(min_length=1, max_length=200, pattern=r"^[a-zA-Z0-9._-]+$")]


def one(connection: Connection, statement: Select[Any], what: str) -> Any:
    """The one row. Raises ApiError 404; what is outside of the scope is not there either."""
    rows = connection.execute(statement.limit(2)).all()
    if len(rows) > 1:
        raise ApiError(404, f"there is more than one such {what}: name its estate too, as estate.{what}")
    if not rows:
        raise ApiError(404, f"there is no such {what}")
    return rows[0]


def case_row(connection: Connection, scope: Scope, name: str) -> Any:
    """A case inside the scope, by id, number or the number on a slip, of which the last counts. Raises ApiError 404."""
    number, printed = number_of(name), slip_number(name)
    named = cases.c.id == name if number is None else cases.c.number == number
    inside = select(cases).where(scope.where(cases))
    found = connection.execute(inside.where(named)).first()
    if found is None and printed is not None:
        on_slip = inside.where(cases.c.local_number == printed)
        found = connection.execute(on_slip.order_by(cases.c.id.desc()).limit(1)).first()
    if found is None:
        raise ApiError(404, "there is no such case")
    return found


def checked_scope(values: dict[str, Any] | None) -> Scope:
    """A scope that a request gives. Raises ApiError 422."""
    try:
        return Scope.of(values)
    except ValueError as error:
        raise ApiError(422, str(error)) from None
