from __future__ import annotations

import threading

import pytest

from agent.consent import Consents, NoConsent


def test_whoever_decides_at_the_last_moment_is_told_the_truth(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time is over, and before the question is taken away somebody says yes and is told that it was taken."""
    consents = Consents(lambda: 0.0, lambda: None)
    said: list[object] = []
    looks = iter((0.0, 0.0))

    def clock() -> float:
        for look in looks:
            return look
        said.append(consents.control({"what": "give", "id": "command-1"}))
        return 100.0

    monkeypatch.setattr("agent.consent.time.monotonic", clock)
    monkeypatch.setattr(threading.Event, "wait", lambda event, _s: event.is_set())
    consents.ask("command-1", "reboot", 100.0, threading.Event())
    assert said == [{"id": "command-1", "cmd": "reboot", "consent": "given"}]


def test_too_late_is_too_late() -> None:
    consents = Consents(lambda: 0.0, lambda: None)
    with pytest.raises(NoConsent, match=r"^nobody at the terminal gave consent in time$"):
        consents.ask("command-1", "reboot", 0.0, threading.Event())
    with pytest.raises(ValueError, match=r"^nothing with this id waits for consent$"):
        consents.control({"what": "give", "id": "command-1"})
