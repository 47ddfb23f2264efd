"""What terminals say, for tests: payloads with sensible values wherever a test does not care."""

from __future__ import annotations

from typing import Any

from agent import wire

AT_MS = 1_790_000_000_000  # 2026-09-21


def header(at_ms: int = AT_MS, *, boot: int = 1, up_ms: int = 1000, clock: Any = "synced") -> dict[str, Any]:
    return {"boot": boot, "at": wire.timestamp(at_ms / 1000), "up_ms": up_ms, "clock": clock}


def state(
    status: Any = "online", *, conn: int = 1, reason: str = "running", can_sell: Any = "yes", **more: Any
) -> bytes:
    head = header(**more)
    verdict = None if status == "offline" else wire.Verdict(can_sell=can_sell, cause=None, act="none", since=head["at"])
    return wire.encode(wire.StateMessage(**head, status=status, conn=conn, reason=reason, verdict=verdict))


def will(*, conn: int = 1, **more: Any) -> bytes:
    return state("offline", conn=conn, reason="connection_lost", **more)


def fault(key: str = "printer/paper_out", told: Any = "raised", evidence: Any = None, **more: Any) -> bytes:
    return wire.encode(wire.FaultMessage(**header(**more), **body(key, told, evidence)))


def body(key: str, told: Any = "raised", evidence: Any = None) -> dict[str, Any]:
    at = wire.timestamp(AT_MS / 1000)
    return {
        "fault": key,
        "state": told,
        "severity": "major",
        "cause": None,
        "symptoms": (),
        "first_at": at,
        "last_at": at,
        "count": 1,
        "device": key.partition("/")[0],
        "evidence": {"paper": "out"} if evidence is None else evidence,
        "advice": key.replace("/", "."),
        "act": "merchant",
        "basis": "measured",
    }


def digest(*keys: str, **more: Any) -> bytes:
    return wire.encode(wire.DigestMessage(**header(**more), faults=keys))


def event(seq: int, name: str = "fault.raised", data: Any = None, *, late: bool = False, **more: Any) -> bytes:
    return wire.encode(wire.EventMessage(**header(**more), seq=seq, late=late, event=name, data=data or {}))


def result(seq: int, command: str, told: Any = "succeeded", output: Any = None, **more: Any) -> bytes:
    return wire.encode(wire.ResultMessage(**header(**more), seq=seq, id=command, state=told, output=output))


def telemetry(seq: int, *samples: tuple[int, dict[str, Any]], late: bool = False, **more: Any) -> bytes:
    told = samples or ((0, {"modem.rsrp_dbm": -97}),)
    return wire.encode(wire.TelemetryMessage(**header(**more), seq=seq, late=late, samples=told))


def inventory(model: str = "TM-T20", **more: Any) -> bytes:
    printer = wire.DeviceEntry(name="printer", unit="printer", family="escpos", model=model)
    return wire.encode(
        wire.InventoryMessage(
            **header(**more),
            hash="a1",
            agent={"version": "1.0"},
            devices=(printer,),
            metrics={},
            commands=("check",),
            language="zh",
        )
    )
