"""What tells: the store, the queue, the rules and the connection to the broker.

It stands before anything that looks is even loaded, so that a starting terminal is heard of at once, with what was
known of it when the agent last ran.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from agent import wire
from agent.budget import Budget
from agent.cards import CleanPublisher, clean_json
from agent.clock import Clock
from agent.conditions import conditions
from agent.config import Config
from agent.core import Core
from agent.groundwork import boot_number, device_info, hold_run_dir, json_object, kept_faults, open_store
from agent.model import Fault
from agent.outbox import Outbox
from agent.probes.boots import BootsProbe
from agent.rules import Rules
from agent.telemetry import Telemetry
from agent.uplink import Incoming, Uplink
from drivers.redact import redact_text

_EARLY: Final = 64  # messages that come before anybody takes them; the broker has at most a handful for a terminal


class Delivery:
    """Everything between a reading and the broker. Raises CannotRun."""

    def __init__(self, config: Config) -> None:
        support = replace(config.support, channel=redact_text(config.support.channel))
        self.config = config = replace(config, support=support)
        self.clock = Clock()
        self.run_dir = Path(config.paths.run_dir)
        self.waker = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._lock_file = hold_run_dir(self.run_dir)
        self.store = open_store(config, self.clock)
        self.boots = BootsProbe(config.paths, json_object(self.store.get("boots")))
        self.boots.boot = replace(self.boots.boot, number=boot_number(self.store, new=self.boots.boot.new))
        self.topics = wire.Topics(config.terminal.estate, config.terminal.id)
        self.outbox = Outbox(self.store, self.clock, self.boots.boot.number, config.store)
        self.budget = Budget(config.budget.daily_bytes, self.store.get("budget"), self.clock.wall)
        self.uplink = Uplink(
            config.mqtt,
            self.topics,
            store=self.store,
            outbox=self.outbox,
            clock=self.clock,
            on_message=self._incoming,
            state_payload=self._state_payload,
            budget=self.budget,
        )
        devices = [device_info(device) for device in config.device]
        self.units = {device.name: device.unit for device in devices}
        self.baselines: dict[str, str] = json_object(self.store.get("baselines")) or {}
        self.core = Core(
            config,
            self.clock,
            Rules(conditions(config, self.units), self.baselines),
            Telemetry(config.telemetry),
            self.outbox,
            CleanPublisher(self.uplink),
            boot=self.boots.boot.number,
            devices=devices,
            wake=self.wake,
        )
        self.restored: dict[str, Fault] = {}
        """The faults that stood when the agent last ran."""
        self._lock = threading.Lock()
        self._early: list[Incoming] = []
        self._take: Callable[[Incoming], None] = self._keep

    def start(self) -> None:
        """What was raised before goes on, and is told as soon as the broker answers."""
        # Before anybody hears of this boot: else an end within its first moment made another boot of the next start.
        self.store.keep("kv", {"boots": json.dumps(self.boots.remember())})
        self.restored = kept_faults(self.store)
        self.core.restore(self.restored)
        self.uplink.start()

    def wake(self) -> None:
        """There is something for the main thread to do; from any thread, and from a signal handler."""
        os.eventfd_write(self.waker, 1)

    def hand_to(self, take: Callable[[Incoming], None]) -> None:
        """From now on `take` gets what comes down, on the uplink's thread; what came before goes first, on this one."""
        with self._lock:
            for message in self._early:
                take(message)
            self._early.clear()
            self._take = take

    def _incoming(self, message: Incoming) -> None:
        with self._lock:
            self._take(message)

    def _keep(self, message: Incoming) -> None:
        if len(self._early) < _EARLY:
            self._early.append(message)

    def _state_payload(self, conn: int, status: str, reason: str) -> bytes:
        return clean_json(self.core.state_payload(conn, status, reason))
