"""Statuses as status.json holds them, for what is made of one."""

from __future__ import annotations

from typing import Any

from agent.vocabulary import VOCABULARY, act_of

AT = "2026-11-21T10:22:31.000Z"
STOPS = {"reader", "keypad", "network", "security"}


def fault(key: str, cause: str | None = None, **evidence: Any) -> dict[str, Any]:
    return {
        "fault": key,
        "state": "raised",
        "severity": VOCABULARY[key].severity,
        "cause": cause,
        "symptoms": [],
        "first_at": "2026-11-21T10:20:00.000Z",
        "count": 1,
        "evidence": evidence,
        "act": act_of(key),
    }


def status(*faults: dict[str, Any], language: str = "en", support: str = "400-820-8820", **more: Any) -> dict[str, Any]:
    cause = faults[0]["fault"] if faults else None
    stops = cause is not None and cause.partition("/")[0] in STOPS
    return {
        "terminal": "till-1",
        "estate": "demo",
        "language": language,
        "boot": 3,
        "at": AT,
        "up_ms": 4_000_000,
        "clock": "synced",
        "verdict": {
            "can_sell": ("no" if stops else "degraded") if faults else "yes",
            "cause": cause,
            "act": faults[0]["act"] if faults else "none",
            "since": AT,
        },
        "faults": list(faults),
        "devices": {
            "printer": {"unit": "printer", "model": "TM-T88V", "firmware": "2.04"},
            "modem": {"unit": "modem", "model": "EC25", "firmware": "EC25EFAR06A01"},
            "keypad": {"unit": "keypad", "model": "", "firmware": ""},
        },
        "case": {"local": "482-719-365"} if faults else {},
        "support": support,
        **more,
    }
