"""What no single field of a configuration can know: keys that contradict each other, and what families allow."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterator

from agent.config import Config, DeviceConfig, MqttConfig
from agent.config_shape import Problem, problem
from agent.spelling import host_of
from agent.wire import RESERVED_TERMINALS

_SOURCES = frozenset(
    {"power", "nut", "network", "system", "boots", "firmware", "security", "agent", "trends", "report"}
)


def contradictions(config: Config) -> Iterator[Problem]:
    """Every one, of a configuration whose single values are right."""
    if config.terminal.id in RESERVED_TERMINALS:
        yield problem("terminal.id", config.terminal.id, "no terminal may be called that")
    yield from _broker(config.mqtt)
    # unix(7): sun_path has 108 bytes, the last a zero.
    most = 107 - len("/control.sock")
    if len(os.fsencode(config.paths.run_dir)) > most:
        why = f"longer than {most} bytes, so that no socket can be made in it"
        yield problem("paths.run_dir", config.paths.run_dir, why)
    yield from _devices(config.device)
    if config.power.critical_percent >= config.power.low_percent:
        yield problem("power.critical_percent", config.power.critical_percent, "must be below low_percent")
    if config.mqtt.commands and config.commands.keys_file:
        why = "unsigned commands are never taken beside signed ones, and commands.keys_file is given"
        yield Problem("mqtt.commands", "true", why)
    if not config.commands.reboot or not config.commands.reboot[0].startswith("/"):
        yield problem("commands.reboot", list(config.commands.reboot), "begins with a program's whole path")


def _broker(mqtt: MqttConfig) -> Iterator[Problem]:
    scheme, _, peer = mqtt.url.rstrip("/").partition("://")
    if scheme == "mqtt" and not mqtt.without_tls and not _is_here(host_of(peer)):
        why = (
            "without TLS only to this machine itself; use mqtts://, or mqtt.without_tls = true on a closed test network"
        )
        yield problem("mqtt.url", mqtt.url, why)
    if scheme == "mqtt" and (mqtt.cert_file or mqtt.ca_file):
        yield problem("mqtt.url", mqtt.url, "certificates are given, but only mqtts:// uses them")
    given, lacking = ("cert_file", "key_file") if mqtt.cert_file else ("key_file", "cert_file")
    if bool(mqtt.cert_file) != bool(mqtt.key_file):
        yield Problem(f"mqtt.{lacking}", "", f"missing, though mqtt.{given} is given")


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _devices(devices: tuple[DeviceConfig, ...]) -> Iterator[Problem]:
    from drivers import catalog  # noqa: PLC0415 - loads a driver for each word, which only checking needs

    names: dict[str, str] = {}
    ports: dict[str, str] = {}
    units: dict[str, str] = {}
    for number, device in enumerate(devices):
        where = f"device[{number}]"
        if device.name in _SOURCES:
            yield problem(f"{where}.name", device.name, "is the name of a probe")
        if device.name in names:
            yield problem(f"{where}.name", device.name, f"{names[device.name]} is called that too")
        if device.port in ports:
            yield problem(f"{where}.port", device.port, f"{ports[device.port]} is at that port already")
        names[device.name] = ports[device.port] = where
        try:
            family = catalog.family(device.family)
        except (catalog.UnknownFamily, catalog.BrokenFamily) as error:
            yield Problem(f"{where}.family", "", str(error))
            continue
        if family.unit in units:
            why = f"{units[family.unit]} is a {family.unit} already; one each"
            yield problem(f"{where}.family", device.family, why)
        units[family.unit] = where
        for name, why in catalog.wrong_options(family, device.options):
            yield problem(f"{where}.options.{name}", device.options[name], why)
