"""What every request needs: the database, the time, who counts and who writes down."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from fastapi import Request

from center.access.limits import Lockout, Rate
from center.access.oidc import Provider
from center.access.recorder import Recorder
from center.db.engine import Database
from center.domain.campaigns import Campaigns
from center.domain.cases import Cases
from center.domain.cases_attachments import Attachments
from center.domain.cases_merchant import MerchantLine
from center.domain.cases_policy import Policy
from center.domain.commands import Commands
from center.domain.commands_key import Signer
from center.domain.dispatch import Dispatch
from center.domain.evidence import Evidence
from center.settings import Settings, state_dir


class ApiError(Exception):
    """An answer other than success: its status, and one line for the caller that shows nothing of the inside."""

    def __init__(self, status: int, text: str, *, retry_s: float = 0.0) -> None:
        super().__init__(text)
        self.status = status
        self.retry_s = retry_s


def machine_ms() -> int:
    """The time in milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


@dataclass(slots=True)
class Center:
    """One center as its web pages see it. For any thread."""

    settings: Settings
    database: Database
    recorder: Recorder
    now_ms: Callable[[], int] = machine_ms
    rate: Rate = field(default_factory=lambda: Rate(per_s=100, burst=500))
    refused: Rate = field(default_factory=lambda: Rate(per_s=1, burst=30))
    """Failed proofs of who somebody is, by address."""
    lockout: Lockout = field(default_factory=Lockout)
    address_lockout: Lockout = field(default_factory=lambda: Lockout(most=20))
    provider: Provider | None = None
    """Where people may log in too, if one is set up."""
    policy: Policy = field(default_factory=Policy)
    requests: dict[tuple[str, int], int] = field(default_factory=dict)
    """Answers so far by method and status, for /metrics."""

    cases: Cases = field(init=False)
    attachments: Attachments = field(init=False)
    merchant_line: MerchantLine = field(init=False)
    commands: Commands = field(init=False)
    campaigns: Campaigns = field(init=False)
    dispatch: Dispatch = field(init=False)
    evidence: Evidence = field(init=False)

    def __post_init__(self) -> None:
        self.cases = Cases(self.database, self.policy, self.now_ms)
        self.attachments = Attachments(self.database, self.policy, self.now_ms)
        self.merchant_line = MerchantLine(self.database, self.policy, self.now_ms)
        signer = Signer(self.settings.command_key_file)
        self.commands = Commands(self.database, signer, self.settings.name)
        self.campaigns = Campaigns(self.database)
        self.evidence = Evidence(self.database, state_dir() / "evidence")
        self.dispatch = Dispatch(self.database, self.policy, self.now_ms, signer)

    def close(self) -> None:
        """Write down what is left to write."""
        self.recorder.stop()


def center_of(request: Request) -> Center:
    """The center that a request is for."""
    center: Center = request.app.state.center
    return center
