"""Campaigns, the engines behind them, and people to run them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import select

from center.db.engine import Database
from center.db.tables import (
    campaign_targets,
    campaigns,
)
from center.domain.campaigns import Campaigns, Plan, progress
from center.domain.campaigns_engine import CampaignEngine
from center.domain.commands_engine import CommandEngine
from center.domain.commands_key import Signer
from center.domain.desired import DesiredEngine
from tests.center.actions import NOW, Line, command_of, new_key, person

CAM = person("cam", "campaign_manager")
LEA = person("lea", "lead")
DAY_MS = 86_400_000
ONE_WAVE = ({"share": 1.0},)


class Office:
    """Campaigns, the engines behind them, and the terminals' side."""

    def __init__(self, database: Database, folder: Path, many: int = 1000) -> None:
        self.database = database
        private, public = new_key(folder)
        self.key_file = private
        signer = Signer(private)
        self.campaigns = Campaigns(database, many)
        self.engines = (
            CommandEngine(database),
            DesiredEngine(database),
            CampaignEngine(database, signer, "main", many),
        )
        self.line = Line(database, public)
        self.now_ms = NOW

    def step(self, later_ms: int = 0) -> None:
        self.now_ms += later_ms
        for _ in range(1000):
            if not sum(engine.step(self.now_ms) for engine in self.engines):  # each of them
                return
        raise AssertionError("the engines find no end")

    def create(self, who: Any = CAM, **plan: Any) -> str:
        usual = {
            "name": "n",
            "kind": "check",
            "audience": {"estates": ["e"]},
            "reason": "a test of all",
            "waves": ONE_WAVE,
        }
        return self.campaigns.create(who, Plan(**{**usual, **plan}), self.now_ms)

    def run(self, **plan: Any) -> str:
        """Create, approve where needed, start, and have the first wave asked."""
        campaign_id = self.create(**plan)
        if self.row(campaign_id).state == "waiting_approval":
            self.campaigns.approve(LEA, campaign_id, self.now_ms)
        self.campaigns.start(CAM, campaign_id, self.now_ms)
        self.step()
        return campaign_id

    def row(self, campaign_id: str) -> Any:
        with self.database.read() as connection:
            return connection.execute(select(campaigns).where(campaigns.c.id == campaign_id)).one()

    def states(self, campaign_id: str) -> dict[str, int]:
        with self.database.read() as connection:
            return progress(connection, CAM.scope, campaign_id)["states"]

    def target(self, campaign_id: str, terminal: str) -> Any:
        mine = (campaign_targets.c.campaign_id == campaign_id) & (campaign_targets.c.terminal == terminal)
        with self.database.read() as connection:
            return connection.execute(select(campaign_targets).where(mine)).one()

    def asked(self) -> dict[str, str]:
        """Terminal to the id of the command that it got now."""
        return {body.aud.partition("/")[2]: body.jti for body in map(command_of, self.line.take())}

    def answer_all(self, state: str = "succeeded", **more: Any) -> int:
        asked = self.asked()
        for terminal, command_id in asked.items():
            self.line.answer(command_id, "accepted", state, terminal=terminal, **more)
        self.step()
        return len(asked)
