"""Where commands and desired settings meet the rest of the daemon: what they may do, and what is remembered of them."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from agent import desired, wire
from agent.audit_log import GENESIS, AuditLog
from agent.clock import Clock
from agent.collect import DEADLINE_S as COLLECT_S
from agent.collect import Collect
from agent.commands import Desk, Job, Refusal, Task, ask_child
from agent.config import Config
from agent.consent import Consents
from agent.core import Core
from agent.deeds import Deeds
from agent.live import LONGEST_S, Live
from agent.log_tail import log_tail
from agent.maintenance import Maintenance
from agent.outbox import Outbox
from agent.reboot import DEADLINE_S as REBOOT_S
from agent.reboot import Reboot
from agent.store import Store
from drivers.reading import known
from drivers.redact import redact_text

log = logging.getLogger("posdiag.office")

_AUDIT_HEAD: Final = "audit_head"
_PASSED_S: Final = 3.0  # so long with the broker, and settings have passed their trial
_ACCEPTED: Final = "accepted"
_REBOOTING: Final = "rebooting"
_RATE: Final = "command_rate"


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """What the office uses of the daemon."""

    topics: wire.Topics
    core: Core
    store: Store
    outbox: Outbox
    clock: Clock
    boot: int
    deeds: Deeds
    sale: Callable[[], bool]
    publish_live: Callable[[bytes], bool]
    publish_retained: Callable[[str, bytes, str], None]
    restart: Callable[[], None]
    """End this process and begin anew."""
    facts: Callable[[], dict[str, Any]]
    """What a bundle holds of the running daemon: name to JSON value."""
    trace: Callable[[], dict[str, Any]]
    """What goes over the devices' lines; takes seconds."""


class Office:
    """One for the daemon. Implements `agent.commands.Memory` and `Audit`."""

    def __init__(self, config: Config, config_file: Path, house: House) -> None:
        self._config = config
        self._file = config_file
        self._house = house
        self._state_dir = Path(config.paths.state_dir)
        number, _, head = house.store.get(_AUDIT_HEAD).partition(" ")
        self.audit_log = AuditLog(self._state_dir, house.clock.wall, (int(number or 0), head or GENESIS))
        self.consents = Consents(house.clock.wall, house.core.write_status)
        self.live = Live(
            house.core.header,
            house.publish_live,
            lambda: [*house.core.devices, *house.core.probe_readings()],
        )
        self.maintenance = Maintenance(house.store, house.clock.wall, house.core.maintenance, house.core.event)
        self._desired = desired.read(self._state_dir)
        self._began = house.clock.monotonic()
        self._connected_since: float | None = None

    @property
    def open(self) -> bool:
        """Whether this terminal takes commands at all."""
        return bool(self._config.commands.keys_file) or self._config.mqtt.commands

    @property
    def on_trial(self) -> bool:
        """Whether settings are being tried."""
        return self._desired.on_trial

    def desk(self) -> Desk:
        """What the command thread needs."""
        return Desk(
            topics=self._house.topics,
            protocol5=self._config.mqtt.protocol == "5",
            wall=self._house.clock.wall,
            put_result=self.put_result,
            memory=self,
            audit=self,
            config=self._config.commands,
            tasks=self.tasks(),
            take_settings=self.take_settings,
        )

    def tasks(self) -> dict[str, Task]:
        """By command name."""
        commands, house = self._config.commands, self._house
        deeds = {name: Task(run=_plain(action)) for name, action in house.deeds.actions().items()}
        reboot = Reboot(commands.reboot, commands.consent_s, self.consents, house.sale, self._rebooting)
        collect = Collect(commands, self._file, lambda: self._facts(trace=True))
        return {
            **deeds,
            "collect": Task(run=collect.run, deadline_s=COLLECT_S),
            "live": Task(run=self.live.run, deadline_s=LONGEST_S + 30),
            "maintenance": Task(run=_plain(self.maintenance.run)),
            "reboot": Task(run=reboot.run, deadline_s=commands.consent_s + REBOOT_S),
        }

    # --- start, and now and then

    def start(self) -> None:
        """Tell how commands ended that an earlier run did not, and which settings are in force."""
        for command_id, state in self._house.store.commands().items():
            word, first, at = (*state.split(), "", "", "")[:3]  # an older version kept less
            if word == _ACCEPTED:
                self._ended(command_id, first, at, "interrupted", error="the agent was restarted while it ran")
            elif word == _REBOOTING and int(first) != self._house.boot:
                self._ended(command_id, "reboot", at, "succeeded", output={"boot": self._house.boot})
            elif word == _REBOOTING:
                why = "the agent was restarted, the machine was not"
                self._ended(command_id, "reboot", at, "interrupted", error=why)
        self.report()

    def _ended(self, command_id: str, cmd: str, accepted_at: str, state: wire.ResultState, **more: Any) -> None:
        expires = float(self._house.store.kept("command")[command_id].partition(" ")[0])
        self.add(state, jti=command_id, why=str(more.get("error", "the machine has started anew")))
        self.end(command_id, expires)
        took_s = self._house.clock.wall() - float(accepted_at or "inf")
        self.put_result(cmd, wire.result_body(command_id, state, ms=round(1000 * max(0.0, took_s)), **more))

    def look(self, *, connected: bool) -> None:
        """Now and then, from the main thread."""
        self.maintenance.look()
        now = self._house.clock.monotonic()
        if not connected:
            self._connected_since = None
        elif self._connected_since is None:
            self._connected_since = now
        if self._desired.on_trial:
            if self._connected_since is not None and now - self._connected_since >= _PASSED_S:
                self._passed()
            elif now - self._began > self._config.commands.trial_s and not connected:
                self._roll_back("the broker was not reached with it")

    # --- what is remembered

    def knows(self, command_id: str) -> bool:
        return command_id in self._house.store.kept("command")

    def take(self, command_id: str, expires: int, cmd: str) -> bool:
        store = self._house.store
        with store.lock:
            new = store.note_command(command_id, expires, f"{_ACCEPTED} {cmd} {self._house.clock.wall():.3f}")
            return new and store.recover(at_once=True)

    def end(self, command_id: str, expires: float) -> None:
        self._house.store.keep("command", {command_id: f"{expires} done"}, now=False)

    def floor(self) -> float:
        return self._house.store.command_floor()

    def rate(self) -> tuple[list[float], list[float]]:
        every, _, disruptive = self._house.store.get(_RATE).partition(";")
        return [float(at) for at in every.split()], [float(at) for at in disruptive.split()]

    def keep_rate(self, every: list[float], disruptive: list[float]) -> None:
        text = ";".join(" ".join(f"{at:.1f}" for at in times) for times in (every, disruptive))
        self._house.store.keep("kv", {_RATE: text}, now=False)

    def _rebooting(self, command_id: str, expires: float) -> bool:
        store = self._house.store
        with store.lock:
            at = store.kept("command")[command_id].rpartition(" ")[2]
            store.keep("command", {command_id: f"{expires} {_REBOOTING} {self._house.boot} {at}"}, now=False)
            return store.recover(at_once=True)

    def add(self, decision: str, *, why: str = "", **facts: str | int) -> bool:
        """One decision into the chain; its head is kept elsewhere, too, and goes out with `health`."""
        done = self.audit_log.add(decision, why=why, **facts)
        head = self.audit_log.head
        self._house.store.keep("kv", {_AUDIT_HEAD: f"{head['n']} {head['head']}"}, now=False)
        return done

    def put_result(self, cmd: str, body: dict[str, Any]) -> None:
        """A step in the life of a command, on disk at return; with the event of its end, if that is one."""
        command_id, state = body["id"], body["state"]
        if redact_text(command_id) != command_id:
            return
        rows: list[tuple[wire.QueuedClass, dict[str, Any], str]] = [("result", body, f"result/{command_id}")]
        if cmd and state not in wire.UNENDED:
            rows.append(("event", wire.done_body(command_id, cmd, state), ""))
        self._house.outbox.put_all(rows)

    # --- for people

    def control(self, request: Mapping[str, Any]) -> dict[str, Any] | None:
        """Requests of somebody at the terminal; None when it is not one of these. Raises ValueError."""
        args = request.get("args") or {}
        if request.get("cmd") == "facts" and isinstance(args, dict):
            return self._facts(trace=args.get("trace") is True)
        if request.get("cmd") != "consent" or not isinstance(args, dict):
            return None
        answer = self.consents.control(args)
        if "consent" in answer:
            self.add(f"consent.{answer['consent']}", jti=answer["id"], cmd=answer["cmd"], why="at the terminal")
        return answer

    def extra(self) -> dict[str, Any]:
        """What status.json says of commands."""
        trial = {"version": self._desired.now.version, "trial": self._desired.on_trial}
        return {"consent": self.consents.waiting(), "maintenance": self.maintenance.status(), "settings": trial}

    def problems(self) -> list[str]:
        """One line for each that keeps commands from working."""
        keys_file = self._config.commands.keys_file
        lines = [self.audit_log.problem] if self.audit_log.problem else []
        if keys_file:
            try:
                empty = Path(keys_file).stat().st_size == 0
            except OSError as error:
                lines.append(f"commands are refused: {keys_file}: {(error.strerror or str(error)).lower()}")
            else:
                lines += [f"commands are refused: {keys_file}: is empty"] if empty else []
        return lines

    def _facts(self, *, trace: bool) -> dict[str, Any]:
        facts = {**self._house.facts(), "log": log_tail()}
        return {**facts, "lines": self._house.trace()} if trace else facts

    # --- desired settings

    def take_settings(self, payload: bytes) -> None:
        """What came on topic `config`; retained, so the same comes at each connect. Raises Refusal."""
        if not payload:  # nothing is wished any more; what is in force stays until something else is
            self._desired.why = {}
            self._keep_desired()
            self.report()
            return
        answer = ask_child("settings", payload, self._config.commands.keys_file, str(self._file))
        if "ok" not in answer:
            self._tell_config("rejected", str(answer["error"]))
            raise Refusal(str(answer["reason"]), str(answer["error"]))
        body = wire.SettingsBody(**answer["ok"])
        self._check_settings(body)
        if body.version in {self._desired.now.version, self._desired.refused}:
            self.report()
            return
        rejected: dict[str, str] = answer["rejected"]
        if rejected:
            self._desired.refuse(body.version, rejected)
            self._keep_desired()
            why = "; ".join(f"{key}: {text}" for key, text in rejected.items())
            self.add("settings.rejected", why=why, kid=answer["kid"], version=body.version)
            self.report()
            raise Refusal("settings", "settings that cannot be applied")
        self.add("settings.accepted", kid=answer["kid"], version=body.version, why=f"from {body.iss[:64]}")
        self._desired.begin(desired.Wish(body.version, {t: dict(keys) for t, keys in body.settings.items()}))
        if not self._keep_desired():
            self._desired.roll_back("the disk takes nothing")
            self.report()
            return
        log.info("settings %d are tried", body.version)
        self._house.restart()

    def _check_settings(self, body: wire.SettingsBody) -> None:
        topics = self._house.topics
        if body.aud != f"{topics.estate}/{topics.terminal}":
            raise Refusal("audience", "the settings are for another terminal")
        if body.version < max(self._desired.now.version, self._desired.refused):
            raise Refusal("replayed", "the settings are older than others that came")
        if self._house.clock.wall() < body.nbf - 30:
            raise Refusal("early", "the settings are not valid yet by this terminal's clock")

    def _keep_desired(self) -> bool:
        try:
            desired.write(self._state_dir, self._desired)
        except OSError as error:
            log.warning("settings cannot be kept: %s", error.strerror or error)
            return False
        return True

    def _passed(self) -> None:
        self._desired.keep()
        self._keep_desired()
        self._house.core.write_status()
        self.add("settings.kept", version=self._desired.now.version)
        self._house.core.event("config.applied", {"version": str(self._desired.now.version), "hash": self._hash()})
        self.report()

    def _roll_back(self, why: str) -> None:
        failed = self._desired.now.version
        self._desired.roll_back(why)
        self._keep_desired()
        self.add("settings.rolled_back", version=failed, why=why)
        log.warning("settings %d are rolled back: %s", failed, why)
        self._house.restart()

    def report(self) -> None:
        """Topic config/reported, and the fault for what was refused."""
        now = self._desired
        message = wire.ConfigReportedMessage(
            **self._house.core.header(),
            version=str(now.now.version) if now.now.version else "file",
            hash=self._hash(),
            rejected=now.why,
            refused=str(now.refused) if now.why else "",
        )
        self._house.publish_retained("config/reported", wire.encode(message), "config/reported")
        if now.why:
            self._tell_config("rejected", "; ".join(f"{key}: {text}" for key, text in now.why.items()))
        else:
            self._tell_config("ok", "none")

    def _hash(self) -> str:
        """Of all settings in force, the local file's and the desired ones."""
        text = json.dumps(wire.to_json_whole(self._config), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def _tell_config(self, word: str, why: str) -> None:
        self._house.core.observe("agent", {"config": known(word), "config_why": known(redact_text(why)[:120])})


def _plain(action: Callable[[Mapping[str, Any]], Any]) -> Callable[[Mapping[str, Any], Job], Any]:
    """A task that needs nothing but its arguments."""
    return lambda args, _job: action(args)
