"""Addresses of channels, as Apprise has them (github.com/caronc/apprise): mailto:, wecombot:, dingtalk:, feishu: ….

`{to}` in an address stands for a contact that a message names: a mail address in those of mail, else a telephone.
"""

from __future__ import annotations

import logging
import traceback
from typing import Any, Final
from zoneinfo import ZoneInfo

log = logging.getLogger("posdiag.center.notify")

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
    except Exception as error:  # noqa: BLE001 - a plug-in may throw anything, and the others must be told still
        # Where it was and of what kind, without its words: they may hold the address and the password in it.
        *_, last = traceback.extract_tb(error.__traceback__)
        kind, where = type(error).__name__, f"{last.filename}:{last.lineno}"
        log.error("sending by %s failed with %s in %s", address.partition(":")[0], kind, where)  # noqa: TRY400 - as above
        return f"{kind} while sending"


def zone_problem(name: str) -> str:
    """Why it is no time zone; "" if it is one."""
    try:
        ZoneInfo(name)
    except (ValueError, OSError):
        return "timezone: not a name of the time zone database"
    return ""
