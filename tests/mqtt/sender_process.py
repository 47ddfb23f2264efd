"""An agent's delivering half that puts events until it is killed, and says on stdout what it was promised."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tests.mqtt.agent import Agent


def main(directory: str, port: int) -> None:
    """Print `BOOT SEQ` after each put has returned."""
    agent = Agent(Path(directory), port)
    agent.uplink.start()
    n = 0
    while True:
        n += 1
        seq = agent.event(n)
        os.write(sys.stdout.fileno(), f"{agent.boot} {seq}\n".encode())  # whole or not at all, whenever it is killed


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
