"""What each role may do. Pure data.

A permission is checked where a request comes in; the part of the fleet it reaches to is the `Scope`, in every query.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal, get_args

from center.access.scope import EVERYTHING, Scope

Role = Literal["viewer", "agent", "lead", "technician", "campaign_manager", "compliance", "admin"]
Permission = Literal[
    "read",
    "case.write",
    "case.close",
    "case.assign",
    "incident.write",
    "suppress",
    "command.0",
    "command.1",
    "command.2",
    "command.3",
    "command.approve",
    "campaign.write",
    "campaign.approve",
    "place.write",
    "knowledge.write",
    "evidence",
    "audit.read",
    "admin",
]

ROLES: Final[tuple[Role, ...]] = get_args(Role)
PERMISSIONS: Final[tuple[Permission, ...]] = get_args(Permission)

_AGENT: Final[frozenset[Permission]] = frozenset(
    {"read", "case.write", "case.close", "incident.write", "command.0", "command.1"}
)
MAY: Final[dict[Role, frozenset[Permission]]] = {
    "viewer": frozenset({"read"}),
    "agent": _AGENT,
    "lead": _AGENT
    | {
        "case.assign",
        "suppress",
        "command.2",
        "command.approve",
        "campaign.approve",
        "place.write",
        "knowledge.write",
        "evidence",
    },
    "technician": frozenset({"read", "case.write", "command.0", "command.1", "command.2"}),
    "campaign_manager": frozenset(
        {"read", "campaign.write", "campaign.approve", "command.0", "command.1", "command.2", "command.3"}
    ),
    "compliance": frozenset({"read", "audit.read", "evidence"}),
    "admin": frozenset(PERMISSIONS),
}


@dataclass(frozen=True, slots=True)
class Who:
    """Somebody who has proved who they are. `name` is what the audit says: `alice`, `token tok-…`."""

    name: str
    roles: frozenset[Role]
    scope: Scope = EVERYTHING
    account_id: str | None = None
    token_id: str | None = None
    csrf: str | None = None
    """What a browser must send with everything that changes something; None where no cookie is involved."""
    must_change: bool = False
    """The password is the one that somebody else knows: nothing but a change of it is allowed."""
    language: str = "en"
    shown: str = ""
    """What people are told instead of the name: `token till-watch of alice`; "" where that is the name itself."""
    permissions: frozenset[Permission] = field(init=False)

    def __post_init__(self) -> None:
        allowed: frozenset[Permission] = frozenset().union(*(MAY[role] for role in self.roles))
        object.__setattr__(self, "permissions", allowed)

    @property
    def called(self) -> str:
        """What cases, incidents and their time lines say."""
        return self.shown or self.name

    def may(self, permission: Permission) -> bool:
        return permission in self.permissions


def known_roles(names: object) -> frozenset[Role]:
    """Those of the names that are roles; strangers are left out, so that what a later version wrote grants nothing."""
    given = names if isinstance(names, list | tuple | set | frozenset) else ()
    return frozenset(role for role in ROLES if role in given)
