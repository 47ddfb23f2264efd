"""A process that fills an outbox until it is killed, and says on stdout what it was promised. Run by test_outbox."""

from __future__ import annotations

import sys
from pathlib import Path

from agent.clock import Clock
from agent.config import StoreConfig
from agent.outbox import Outbox
from agent.store import Store


def main(directory: str, boot: int) -> None:
    """Put rows of all classes; settle some; print `put CLASS SEQ` and `settle CLASS SEQ` after each promise."""
    clock = Clock()
    store = Store(Path(directory), 4 * 1024 * 1024, clock)
    outbox = Outbox(store, clock, boot, StoreConfig())
    print("ready", flush=True)
    step = 0
    while True:
        step += 1
        cls = ("event", "result", "telemetry")[step % 3]
        seq = outbox.put(cls, {"event": "test", "data": {"step": step}}, faults={f"unit/{step % 5}": str(step)})
        print("put", cls, seq, flush=True)
        if step % 7 == 0:
            row = outbox.after(0, 1)[0]
            print("settle", row.cls, row.boot, row.seq, flush=True)
            outbox.settle([row])


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
