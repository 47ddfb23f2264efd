"""`posdiag demo --without-center`: one simulated terminal, its agent, and a live table of its faults."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Final

from simulator.demo_parts import Part, Parts, watching

_BREAK: Final = {
    "en": """
Break the terminal from another window:
  {me} sim set {folder} printer.paper=out        (and printer.paper=ok to put a roll in)
  {me} sim set {folder} printer.cable=out        (or modem.sim=absent, power.mains=off …)
  {me} status --config {config}
""",
    "zh": """
在另一个窗口中弄坏终端：
  {me} sim set {folder} printer.paper=out        （装纸：printer.paper=ok）
  {me} sim set {folder} printer.cable=out        （或 modem.sim=absent、power.mains=off 等）
  {me} status --config {config}
""",
}


def run(args: argparse.Namespace, folder: Path, me: str) -> None:
    """Until the time is up. Raises DemoError."""
    config = folder / "agent.toml"
    status = folder / "run" / "status.json"
    with Parts(folder, args.language) as parts:
        url = parts.broker_at(args.broker, folder)
        sim = parts.start("simulator", "sim", "run", "--dir", str(folder), "--mqtt", url, "--json")
        sim.wait(lambda: _described(sim))
        parts.say(en="simulated terminal", zh="模拟终端")
        status.unlink(missing_ok=True)  # of an earlier demo in this folder
        agent = parts.start("agent", "run", "--config", str(config))
        agent.wait(status.exists)
        parts.say(en="agent", zh="代理程序")
        print(_BREAK[args.language].format(me=me, folder=folder, config=config), file=sys.stderr, flush=True)
        with watching(url, as_json=args.json, seconds=args.seconds) as watcher:
            parts.stay(0, watcher)


def _described(sim: Part) -> bool:
    """Whether the simulator has printed its line."""
    try:
        return isinstance(json.loads(sim.said().splitlines()[0]), dict)
    except (ValueError, IndexError):
        return False
