"""How good the contacts of sites are: whom nobody could reach, and what was learnt of it.

A contact is `name` · `role` · `phone` · `mail` · `language` · `verified_ms`, when somebody was last spoken to there ·
`bounced_ms`, when a message to it was last given up. The list of a site is imported; the two moments are the center's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from sqlalchemy import Connection, select, update

from center.access.scope import Scope
from center.db import feed
from center.db.tables import sites
from center.domain.cases_book import Book, Case

Trouble = Literal["none", "no_number", "not_a_number", "bounced", "unverified", "stale"]
TROUBLES: Final[tuple[Trouble, ...]] = get_args(Trouble)
MOST: Final = 500
LEARNT: Final = ("verified_ms", "bounced_ms")
_STALE_MS: Final = 365 * 86_400_000
_ADDRESSES: Final = ("phone", "mail")
_SHORTEST: Final = 7

Contact = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Doubtful:
    """A contact of a site that may not be reached, and why; without a name where there is none at all."""

    estate: str
    site: str
    name: str
    why: Trouble


def doubtful(connection: Connection, scope: Scope, now_ms: int, estate: str | None, site: str | None) -> list[Doubtful]:
    """Contacts that need care, MOST of them, by site."""
    query = select(sites.c.estate, sites.c.site, sites.c.contacts).where(scope.where(sites))
    for column, value in ((sites.c.estate, estate), (sites.c.site, site)):
        if value is not None:
            query = query.where(column == value)
    found: list[Doubtful] = []
    for row in connection.execute(query.order_by(sites.c.estate, sites.c.site)):
        if len(found) >= MOST:
            break
        found += [Doubtful(row.estate, row.site, name, why) for name, why in troubles(row.contacts, now_ms)]
    return found[:MOST]


def troubles(contacts: Iterable[Contact] | None, now_ms: int) -> list[tuple[str, Trouble]]:
    """Names and troubles of a site's contacts. Pure."""
    some = list(contacts or ())
    if not some:
        return [("", "none")]
    return [(str(each.get("name") or ""), why) for each in some if (why := trouble(each, now_ms)) is not None]


def trouble(contact: Contact, now_ms: int) -> Trouble | None:
    """Why this contact may not be reached; None for no reason. Pure."""
    digits = _digits(contact.get("phone"))
    if not digits:
        return "no_number"
    if not _SHORTEST <= len(digits) <= 15:  # E.164 has 15 at most
        return "not_a_number"
    bounced, verified = contact.get("bounced_ms"), contact.get("verified_ms")
    if bounced and bounced > (verified or 0):
        return "bounced"
    if not verified:
        return "unverified"
    return "stale" if now_ms - verified > _STALE_MS else None


def carried_over(connection: Connection, row: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """The contacts of a site that is imported, with what was learnt of those that were there before."""
    given = row.get("contacts")
    if given is None:
        return None
    known = {_address(each): each for each in _contacts(connection, row["estate"], row["site"])}
    kept = []
    for each in given:
        before = known.get(_address(each), {})
        learnt = {name: before.get(name) if each.get(name) is None else each[name] for name in LEARNT}
        plain = {name: value for name, value in each.items() if name not in LEARNT}
        kept.append(plain | {name: value for name, value in learnt.items() if value is not None})
    return kept


def spoke(book: Book, case: Case, with_whom: str) -> None:
    """Somebody at the site was on the telephone: who is named, by name or number, can be reached."""
    said, number = with_whom.strip().casefold(), _digits(with_whom)

    def is_meant(contact: Contact) -> bool:
        name = str(contact.get("name") or "").strip().casefold()
        return bool(said) and (name == said or _same_number(_digits(contact.get("phone")), number))

    _verify(book, case, is_meant)


def answered(book: Book, case: Case) -> None:
    """The question that was sent came back answered. Whose answer it is, is known where only one was asked."""
    site = book.site(case) or {}
    asked = [each for each in site.get("contacts") or () if any(each.get(name) for name in _ADDRESSES)]
    if case["state"] == "asking" and len(asked) == 1:
        only = _address(asked[0])
        _verify(book, case, lambda contact: _address(contact) == only)


def delivered(
    connection: Connection, notice: Mapping[str, Any], kind: str, bounced: Mapping[str, bool], at: int
) -> None:
    """Whether a message came back from each of these addresses, phones or mails by `kind`, of the site it was for."""
    estate, site = str(notice.get("estate") or ""), str(notice.get("site") or "")
    some = [
        _learn(connection, estate, site, _has(kind, address), bounced_ms=at if is_so else None)
        for address, is_so in bounced.items()
    ]
    if any(some):
        feed.append(connection, [("site", estate, None, site)], at)


def _has(kind: str, address: str) -> Callable[[Contact], bool]:
    return lambda contact: contact.get(kind) == address


def _verify(book: Book, case: Case, is_meant: Callable[[Contact], bool]) -> None:
    if case["site"] and _learn(book.connection, case["estate"], case["site"], is_meant, verified_ms=book.now_ms):
        book.has_news_of(case["estate"], case["site"])


def _learn(
    connection: Connection, estate: str, site: str, is_meant: Callable[[Contact], bool], **moments: int | None
) -> bool:
    """Whether it is news."""
    here = sites.c.estate == estate, sites.c.site == site
    contacts = connection.execute(select(sites.c.contacts).where(*here).with_for_update()).scalar()
    after = [{**each, **moments} if is_meant(each) else each for each in contacts or ()]
    after = [{name: value for name, value in each.items() if value is not None} for each in after]
    if not contacts or after == contacts:
        return False
    connection.execute(update(sites).where(*here).values(contacts=after))
    return True


def _contacts(connection: Connection, estate: str, site: str) -> Sequence[Contact]:
    here = sites.c.estate == estate, sites.c.site == site
    return connection.execute(select(sites.c.contacts).where(*here)).scalar() or ()


def _address(contact: Contact) -> tuple[str, str]:
    return _digits(contact.get("phone")), str(contact.get("mail") or "").casefold()


def _same_number(one: str, other: str) -> bool:
    """With or without a country's code."""
    return min(len(one), len(other)) >= _SHORTEST and (one.endswith(other) or other.endswith(one))


def _digits(said: object) -> str:
    return "".join(letter for letter in str(said or "") if letter.isdigit())
