"""One health check now: every device and probe side by side, judged at once, one sentence first.

Asks the running daemon when there is one, because it owns the ports; otherwise opens them itself.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent import faults, readiness, wire
from agent.asking import HEALTHY, Answer, Question, Verb, gather, of_device, person_s
from agent.causes import Topology, explain, verdict
from agent.conditions import conditions
from agent.config import Config, DeviceConfig
from agent.config_file import ConfigError, check
from agent.control import ControlError, ask
from agent.exits import EXIT_CANNOT, EXIT_FAULTS, EXIT_OK, fail
from agent.inventory import entry
from agent.key_prompt import Screen, following, progress
from agent.model import Fault
from agent.opening import opened, sale_watch
from agent.probes.runner import Probe
from agent.rules import Rules
from agent.show import table
from agent.status import facts_line, fault_table, is_running, sentence
from agent.status_file import plain
from drivers import catalog
from drivers.errors import DriverError
from drivers.reading import Identity, Level, Reading

if TYPE_CHECKING:
    import argparse

LEVELS = {"internal": Level.INTERNAL, "external": Level.EXTERNAL, "interactive": Level.INTERACTIVE}
_IDENTIFY_S = 3.0  # four questions to a slow modem
ALL_S = 8.0  # the answer is promised in under ten seconds, the start of a process on a slow terminal included


def run_check(args: argparse.Namespace) -> int:
    """The verb. 0 healthy, 1 faults found, 2 it could not run."""
    try:
        config = check(args.config)
    except ConfigError as error:
        return fail(error)
    names = [device.name for device in config.device]
    if args.device is not None and args.device not in names:
        return fail(f"no device is called {args.device!r}; there are {', '.join(names) or 'none'}")
    try:
        report = _ask_daemon(config, args) if is_running(Path(config.paths.run_dir)) else check_here(config, args)
    except ControlError as error:
        return fail(error)
    if args.report:
        report["readiness"] = readiness.readiness(report, config.terminal.language)
    if args.json:
        print(json.dumps(report, ensure_ascii=False, indent=2))
    else:
        print(render(report))
        if args.report:
            print("\n" + readiness.render(report["readiness"], config.terminal.language))
    if not report["answered"]:
        return EXIT_CANNOT
    return EXIT_FAULTS if report["faults"] else EXIT_OK


def _ask_daemon(config: Config, args: argparse.Namespace) -> dict[str, Any]:
    run_dir = Path(config.paths.run_dir)
    waits_s = person_s(LEVELS[args.level])
    request = {
        "cmd": "check",
        "args": {"level": args.level, **({"device": args.device} if args.device else {}), "report": args.report},
    }
    with following(run_dir, Screen(config.terminal.language)) if waits_s else contextlib.nullcontext():
        report: dict[str, Any] = ask(run_dir, request, ALL_S + waits_s + 3)
    return report


def check_here(config: Config, args: argparse.Namespace) -> dict[str, Any]:
    """Open the ports, ask every device and run every probe, all at the same time."""
    started = time.monotonic()
    level = LEVELS[args.level]
    limit_s = ALL_S + person_s(level)
    identities: dict[str, Identity] = {}
    sale = sale_watch(config)
    devices = [device for device in config.device if args.device in {None, device.name}]
    screen = Screen(config.terminal.language)
    questions = {
        device.name: of_device(
            device,
            level,
            _opened(device, identities, sale, started + limit_s - _IDENTIFY_S),
            lambda *done, name=device.name: screen.show(progress(name, *done)),
        )
        for device in devices
    }
    if args.device is None:
        questions |= {probe.name: Question(partial(_run, probe)) for probe in _probes(config)}
    answers = gather(questions, limit_s)
    screen.end()
    identified = dict(identities)  # what still hangs may yet answer
    if args.device is None:
        answers["firmware"] = _firmware(devices, identified)
    return build_report(config, answers, identified, round((time.monotonic() - started) * 1000))


def _opened(
    device: DeviceConfig, identities: dict[str, Identity], sale: Callable[[], bool], identify_by: float
) -> Callable[[Verb], Answer]:
    """Runs a verb on the device with its port opened for it, and notes who the device says it is, if in time.

    Its health is the answer, which must not come too late for a name.
    """

    def run(verb: Verb) -> Answer:
        with opened(device, sale) as driver:
            answer = verb(driver)
            if time.monotonic() < identify_by:
                with contextlib.suppress(DriverError):  # in trouble it may not say who it is
                    identities[device.name] = driver.identify()
        return answer

    return run


def _probes(config: Config) -> list[Probe]:
    from agent.probes.network import NetworkProbe  # noqa: PLC0415 - opens sockets and loads ssl
    from agent.probes.nut import NutProbe  # noqa: PLC0415 - none of them is needed beside a daemon
    from agent.probes.power import PowerProbe  # noqa: PLC0415 - as above
    from agent.probes.system import SystemProbe  # noqa: PLC0415 - as above

    probes: list[Probe] = [
        PowerProbe(config.power, config.paths),
        NetworkProbe(config.network, config.paths, certificate_days=config.security.certificate_days),
        SystemProbe(config.system, config.network, config.paths),
    ]
    if config.power.nut:
        probes.append(NutProbe(config.power))
    return probes


def _run(probe: Probe) -> Answer:
    try:
        return Answer(dict(probe.run()))
    finally:
        getattr(probe, "close", lambda: None)()


def _firmware(devices: Iterable[DeviceConfig], identities: Mapping[str, Identity]) -> Answer:
    """What is known of the firmware of those that have said who they are."""
    from agent.groundwork import device_info  # noqa: PLC0415 - loads the store
    from agent.probes.firmware import FirmwareProbe  # noqa: PLC0415 - loads `firmware_notes`

    rows = [replace(device_info(device), identity=identities.get(device.name)) for device in devices]
    known = {row.name: entry(row) for row in rows if row.identity is not None}
    return _run(FirmwareProbe(lambda: known))


def evaluate(config: Config, answers: Mapping[str, Answer]) -> dict[str, Fault]:
    """Judge readings at once, without the delays that a daemon uses against noise."""
    units = {device.name: catalog.family(device.family).unit for device in config.device}
    rules = Rules(
        [
            replace(condition, on_delay_s=0, polls=1, share=None)
            for condition in conditions(config, units)
            if not condition.remembers
        ]
    )
    rules.finer = lambda source: answers[source].specific
    now, wall = time.monotonic(), time.time()
    for source, answer in answers.items():
        rules.observe(source, answer.readings, now, wall)
    topology = Topology(
        powered_by={units[device.name]: device.powered_by for device in config.device}, bearer=config.network.bearer
    )
    return explain(rules.raised().values(), topology)


def build_report(
    config: Config, answers: Mapping[str, Answer], identities: Mapping[str, Identity], took_ms: int
) -> dict[str, Any]:
    """The answer as JSON values: verdict, sentence, faults, and every reading with what is unknown and why."""
    explained = evaluate(config, answers)
    units = {device.name: catalog.family(device.family).unit for device in config.device}
    essential = [name for name, unit in units.items() if unit in {"reader", "keypad"} and name in answers]
    if config.network.acquirer and "network" in answers:
        essential.append("network")
    answer = verdict(explained, blind=[name for name in essential if not _knows(answers[name].readings)])
    since = wire.timestamp(answer.since if answer.since is not None else time.time())
    said = wire.to_json(wire.Verdict(can_sell=answer.can_sell, cause=answer.cause, act=answer.act, since=since))
    return {
        "verdict": said,
        "sentence": sentence(said, config.terminal.language),
        "faults": [faults.body(fault) for _, fault in sorted(explained.items())],
        "devices": {
            name: {
                "text": _judged(
                    answer.text, [key for key in sorted(explained) if key.startswith(f"{units.get(name)}/")]
                ),
                "identity": identities[name].as_statistics() if name in identities else {},
                "readings": {key: plain(reading) for key, reading in answer.readings.items()},
            }
            for name, answer in answers.items()
        },
        "answered": any(each.value is not None for answer in answers.values() for each in answer.readings.values()),
        "took_ms": took_ms,
    }


def _judged(text: str, wrong: list[str]) -> str:
    """What a device's check says, with its faults by kind where its readings raise some."""
    if not wrong or not text.endswith(HEALTHY):
        return text
    return text.removesuffix("OK") + ", ".join(key.partition("/")[2] for key in wrong)


def _knows(readings: Mapping[str, Reading]) -> bool:
    """Whether anything is known of a device but that it has a port and answers."""
    return any(reading.value is not None for name, reading in readings.items() if name not in {"port", "reply"})


def render(report: dict[str, Any]) -> str:
    """The report for people: the sentence, the faults, then what was read."""
    lines = [report["sentence"]]
    if report["faults"]:
        lines += ["", fault_table(report["faults"], time.time())]
    rows = []
    for name, device in report["devices"].items():
        facts = facts_line(device["readings"])
        model = device["identity"].get("ModelName", "-")
        rows.append((name, model, device["text"] or "-", facts or "-"))
    lines += [
        "",
        table(("what", "model", "check", "readings"), rows),
        "",
        f"answered in {report['took_ms'] / 1000:.1f} s",
    ]
    return "\n".join(lines)
