"""One health check now: every device and probe side by side, judged at once, one sentence first.

Asks the running daemon when there is one, because it owns the ports; otherwise opens them itself.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from agent import wire
from agent.causes import Topology, explain, verdict
from agent.cli import EXIT_CANNOT, EXIT_FAULTS, EXIT_OK, fail
from agent.conditions import conditions
from agent.config import Config, DeviceConfig
from agent.model import Fault
from agent.probes.port import meaning
from agent.rules import Rules
from agent.sale import SaleLock
from agent.show import table
from agent.status import facts_line, fault_table, is_running, sentence
from agent.vocabulary import act_of
from drivers import catalog
from drivers.driver import Driver
from drivers.errors import DriverError, Unsupported
from drivers.reading import Cause, Identity, Level, Reading, known, unknown

LEVELS = {"internal": Level.INTERNAL, "external": Level.EXTERNAL, "interactive": Level.INTERACTIVE}
_ALL_S = 9.0  # the answer is promised in under ten seconds

Readings = dict[str, dict[str, Reading]]


def run_check(args: argparse.Namespace) -> int:
    """The verb. 0 healthy, 1 faults found, 2 it could not run."""
    from agent.config_file import ConfigError, check  # noqa: PLC0415 - pydantic, only here

    try:
        config = check(args.config)
    except ConfigError as error:
        return fail(error)
    names = [device.name for device in config.device]
    if args.device is not None and args.device not in names:
        return fail(f"no device is called {args.device!r}; there are {', '.join(names) or 'none'}")
    try:
        report = _ask_daemon(config, args) if is_running(Path(config.paths.run_dir)) else check_here(config, args)
    except Exception as error:
        from agent.control import ControlError  # noqa: PLC0415

        if isinstance(error, ControlError):
            return fail(error)
        raise
    if args.report:
        from agent import readiness  # noqa: PLC0415

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
    from agent.control import ask  # noqa: PLC0415

    request = {
        "cmd": "check",
        "args": {"level": args.level, **({"device": args.device} if args.device else {}), "report": args.report},
    }
    report: dict[str, Any] = ask(Path(config.paths.run_dir), request, _ALL_S + 3)
    return report


def check_here(config: Config, args: argparse.Namespace) -> dict[str, Any]:
    """Open the ports, ask every device and run every probe, all at the same time."""
    started = time.monotonic()
    level = LEVELS[args.level]
    questions: dict[str, Callable[[], dict[str, Reading]]] = {}
    identities: dict[str, Identity] = {}
    texts: dict[str, str] = {}
    sale = sale_watch(config)
    for device in config.device:
        if args.device in {None, device.name}:
            questions[device.name] = _device_question(device, level, identities, texts, sale)
    if args.device is None:
        for probe in _probes(config):
            questions[probe.name] = probe.run
    readings = gather(questions, _ALL_S)
    return build_report(config, readings, identities, texts, round((time.monotonic() - started) * 1000))


def gather(questions: Mapping[str, Callable[[], dict[str, Reading]]], limit_s: float) -> Readings:
    """Ask all at once; what has not answered by the limit is UNKNOWN, never waited for."""
    from concurrent.futures import Future, ThreadPoolExecutor, wait  # noqa: PLC0415 - a resting daemon does without

    if not questions:
        return {}
    pool = ThreadPoolExecutor(len(questions), thread_name_prefix="check")
    futures: dict[str, Future[dict[str, Reading]]] = {name: pool.submit(ask) for name, ask in questions.items()}
    wait(futures.values(), limit_s)
    pool.shutdown(wait=False, cancel_futures=True)
    return {
        name: future.result() if future.done() else {"reply": unknown(Cause.NO_REPLY)}
        for name, future in futures.items()
    }


def sale_watch(config: Config) -> Callable[[], bool]:
    """Tells whether a sale is going on; where no application has ever been told of a lock there is none to see."""
    path = Path(config.paths.run_dir) / "busy.lock"
    return SaleLock(path).held if path.exists() else lambda: False


def _device_question(
    device: DeviceConfig,
    level: Level,
    identities: dict[str, Identity],
    texts: dict[str, str],
    sale: Callable[[], bool],
) -> Callable[[], dict[str, Reading]]:
    def ask() -> dict[str, Reading]:
        try:
            driver = catalog.open_driver(
                device.family,
                device.port,
                device.options,
                baud=device.baud,
                flow=device.line_flow,
                yield_now=sale,
                share=True,
            )
            try:
                readings, texts[device.name] = _health(driver, level)
                with contextlib.suppress(DriverError):  # its health is known; in trouble it may not say who it is
                    identities[device.name] = driver.identify()
            finally:
                driver.channel.link.close()
        except DriverError as error:
            texts[device.name] = str(error)
            return failed_readings(device.family, error)
        return {**readings, "port": known("ok"), "reply": known("ok")}

    return ask


def _health(driver: Driver, level: Level) -> tuple[dict[str, Reading], str]:
    try:
        return driver.check_health(level), f"{level.name.capitalize()} CheckHealth: OK"
    except Unsupported as error:
        return driver.check_health(Level.INTERNAL), str(error)


def failed_readings(family: str, error: DriverError) -> dict[str, Reading]:
    """What a device that gave nothing leaves: its port, its silence, and the rest UNKNOWN with the cause."""
    readings = {name: unknown(error.cause) for name in catalog.family(family).driver.READINGS}
    readings["port"], readings["reply"] = meaning(error)
    return readings


def _probes(config: Config) -> Iterable[Any]:
    from agent.probes.network import NetworkProbe  # noqa: PLC0415 - opens sockets and loads ssl
    from agent.probes.power import PowerProbe  # noqa: PLC0415
    from agent.probes.system import SystemProbe  # noqa: PLC0415

    return (
        PowerProbe(config.power, config.paths),
        NetworkProbe(config.network, config.paths),
        SystemProbe(config.system, config.network, config.paths),
    )


def evaluate(config: Config, readings: Readings) -> dict[str, Fault]:
    """Judge readings at once, without the delays that a daemon uses against noise."""
    units = {device.name: catalog.family(device.family).unit for device in config.device}
    rules = Rules(
        [
            replace(condition, on_delay_s=0, polls=1, share=None)
            for condition in conditions(config, units)
            if not condition.remembers
        ]
    )
    now, wall = time.monotonic(), time.time()
    for source, values in readings.items():
        rules.observe(source, values, now, wall)
    topology = Topology(
        powered_by={units[device.name]: device.powered_by for device in config.device}, bearer=config.network.bearer
    )
    return explain(rules.raised().values(), topology)


def build_report(
    config: Config, readings: Readings, identities: Mapping[str, Identity], texts: Mapping[str, str], took_ms: int
) -> dict[str, Any]:
    """The answer as JSON values: verdict, sentence, faults, and every reading with what is unknown and why."""
    explained = evaluate(config, readings)
    units = {device.name: catalog.family(device.family).unit for device in config.device}
    essential = [name for name, unit in units.items() if unit in {"reader", "keypad"} and name in readings]
    blind = [name for name in essential if all(r.value is None for n, r in readings[name].items() if n != "port")]
    answer = verdict(explained, blind=blind)
    since = wire.timestamp(answer.since if answer.since is not None else time.time())
    said = wire.to_json(wire.Verdict(can_sell=answer.can_sell, cause=answer.cause, act=answer.act, since=since))
    return {
        "verdict": said,
        "sentence": sentence(said, config.terminal.language),
        "faults": [_fault(fault) for _, fault in sorted(explained.items())],
        "devices": {
            name: {
                "text": texts.get(name, ""),
                "identity": identities[name].as_statistics() if name in identities else {},
                "readings": {
                    key: value.value if value.value is not None else {"error": value.unknown}
                    for key, value in values.items()
                },
            }
            for name, values in readings.items()
        },
        "answered": any(value.value is not None for values in readings.values() for value in values.values()),
        "took_ms": took_ms,
    }


def _fault(fault: Fault) -> dict[str, Any]:
    return {
        "fault": fault.key,
        "severity": fault.severity,
        "cause": fault.cause,
        "symptoms": list(fault.symptoms),
        "first_at": wire.timestamp(fault.first_at),
        "device": fault.device,
        "evidence": dict(fault.evidence),
        "act": act_of(fault.key),
    }


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
