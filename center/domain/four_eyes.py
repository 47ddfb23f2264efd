"""Two people: who asks and who agrees are two accounts, by whichever session or token each of them comes.

Names would not do: one person is "ann" by a browser and "token NAME" by a program.
"""

from __future__ import annotations

from center.access.roles import Who
from center.domain.refusal import Refusal

_HOW = "log in, or make a token by posdiag center token --account NAME"


def first(who: Who) -> str:
    """The account of who asks for what a second person must agree to. Raises Refusal without one."""
    if who.account_id is None:
        raise Refusal("forbidden", f"this needs two people, and {who.name} is of no account: {_HOW}")
    return who.account_id


def check_second(who: Who, asked_by: str | None, did: str) -> None:
    """Raises Refusal unless another account than `asked_by` agrees; `did` is what the first one did, for people."""
    if who.account_id is None:
        raise Refusal("forbidden", f"the second person needs an account, and {who.name} is of none: {_HOW}")
    if asked_by is None:
        raise Refusal("forbidden", f"it is not known which account {did}, so nobody can be the second person")
    if asked_by == who.account_id:
        raise Refusal("forbidden", f"who {did} cannot be the second person")
