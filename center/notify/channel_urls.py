"""Addresses of channels, as Apprise has them (github.com/caronc/apprise): mailto:, wecombot:, dingtalk:, feishu: ….

`{to}` in an address stands for a contact that a message names: a mail address in those of mail, else a telephone.
"""

from __future__ import annotations

from typing import Any, Final
from zoneinfo import ZoneInfo

TO: Final = "{to}"
_EXAMPLE: Final = {"mail": "a@example.org", "phone": "15551230000"}


def problem(url: str) -> str:
    """Why it cannot be one, without showing it, for it may hold a password; "" if it can."""
    from apprise import Apprise  # noqa: PLC0415 - a second that only who sets up or sends spends

    address = url.replace(TO, _EXAMPLE[contact_kind(url)])
    return "" if Apprise.instantiate(address) is not None else "url: not an address that Apprise knows"


def contact_kind(url: str) -> str:
    """What of a contact goes in place of `{to}`: mail or phone."""
    return "mail" if url.partition(":")[0] in {"mailto", "mailtos"} else "phone"


def addresses(url: str, contacts: Any) -> list[str]:
    """The address itself, or with `{to}` one for each contact that has what it needs."""
    if TO not in url:
        return [url]
    kind = contact_kind(url)
    found = [each.get(kind) for each in contacts or () if isinstance(each, dict)]
    return [url.replace(TO, name) for name in found if isinstance(name, str) and name.isprintable() and name]


def send(address: str, subject: str, body: str) -> str:
    """Send one message. Returns what went wrong, "" for nothing."""
    from apprise import Apprise  # noqa: PLC0415 - as above

    post = Apprise()
    if not post.add(address):
        return "not an address that Apprise knows"
    return "" if post.notify(body=body, title=subject) else "not taken by its receiver, or nobody answers there"


def send_guarded(address: str, subject: str, body: str) -> str:
    """The same, whatever a plug-in for somebody's service throws."""
    try:
        return send(address, subject, body)
    except Exception as error:  # noqa: BLE001 - the others must be told still
        return f"{type(error).__name__} while sending"


def zone_problem(name: str) -> str:
    """Why it is no time zone; "" if it is one."""
    try:
        ZoneInfo(name)
    except (ValueError, OSError):
        return "timezone: not a name of the time zone database"
    return ""
