"""A visit, during which parts may change: where a terminal has command keys, only who holds one announces it."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.mqtt.broker import Observer, Rumqttd
from tests.system.desk import Desk, bare, events, make_key
from tests.system.stage import Agent
from tests.wait import wait_until


def test_a_visit_is_believed_only_when_it_is_signed_for_this_terminal(
    folder: Path, broker: Rumqttd, observer: Observer
) -> None:
    key = make_key(folder / "pki")
    config = bare(folder, broker.port, key.parent / "keys.json", id=f"till-{folder.name}")
    until = int(time.time()) + 3 * 3600
    with Agent(config) as agent:
        desk = Desk(agent, observer, key)
        agent.until(lambda status: status["connected"])
        aud = f"demo/till-{folder.name}"
        body = {"iss": "desk-1", "aud": aud, "until": until}
        plain = {"case": "C-17", "work_order_until": datetime.fromtimestamp(until, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}

        def tell(**more: Any) -> None:
            observer.publish(f"{agent.base}/case", json.dumps({**plain, **more}).encode(), retain=True)

        def orders() -> list[tuple[str, dict[str, Any]]]:
            told = events(observer, agent)
            return [(e["event"], e["data"]) for e in told if e["event"].startswith("work_order.")]

        stranger = jwt.encode(body, Ed25519PrivateKey.generate(), "EdDSA", {"kid": desk.key["kid"]})
        refused = [
            {},
            {"visit": 7},
            {"visit": json.dumps(body)},
            {"visit": stranger},
            {"visit": desk.signed({**body, "aud": "demo/another"}).decode()},
            {"visit": desk.signed(desk.body("identify")).decode()},
            {"visit": desk.signed({**body, "until": "always"}).decode()},
        ]
        for number, forged in enumerate(refused):
            tell(**forged)
            expected = number + (number < 1)  # a visit that is no text is none, and told as nothing
            wait_until(lambda at_least=expected: agent.said().count("not believed") >= at_least, 20)
        assert orders() == []
        signed = desk.signed(body).decode()
        tell(visit=signed)
        opened = ("work_order.opened", {"until_s": until, "by": "center"})
        wait_until(lambda: orders() == [opened], 20)
        agent.kill()
    with Agent(config) as agent:  # a broker sends the same again with each connection, and it is no news
        agent.until(lambda status: status["connected"])
        tell(visit=signed)
        assert agent.until(lambda status: status["case"])["case"]["case"] == "C-17"
        observer.publish(f"{agent.base}/case", b"", retain=True)
        wait_until(lambda: [what for what, _ in orders()] == ["work_order.opened", "work_order.closed"], 20)
