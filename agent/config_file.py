"""From a TOML file to a `Config`: every mistake with its file, key, value and the nearest legal key.

`check` validates with pydantic and is what people and the launcher use. `load_trusted` builds the same dataclasses
without it, for the daemon, which starts after the launcher has checked the file.
"""

from __future__ import annotations

import contextlib
import hashlib
import ipaddress
import os
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints
from urllib.parse import urlsplit

from agent import VERSION
from agent.config import Config, DeviceConfig, PathsConfig
from agent.wire import RESERVED_TERMINALS


class ConfigError(ValueError):
    """A configuration that cannot be used. `problems` holds one line for each mistake, with file and key."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def load_trusted(path: str | Path) -> Config:
    """Build the configuration from a file that `check` has passed. Raises ConfigError when it cannot be read."""
    return build(read_values(Path(path)))


def build(values: dict[str, Any]) -> Config:
    """The configuration of values that `check_values` has passed."""
    return _build(Config, values)  # type: ignore[no-any-return]


def check(path: str | Path) -> Config:
    """Read and validate the file. Raises ConfigError with every mistake found, each on a line of its own."""
    return check_values(read_values(Path(path)), str(path))


def passed_before(path: str | Path) -> bool:
    """Whether this version has passed this very file before. Raises ConfigError when it cannot be read."""
    stamp = _stamp_file(read_values(Path(path)))
    try:
        return stamp is not None and stamp.read_text("ascii") == _stamp(Path(path))
    except (OSError, UnicodeDecodeError):
        return False


def note_passed(path: str | Path) -> None:
    """Remember that the file passed, if the state directory takes it, so that the next start need not check again."""
    stamp = _stamp_file(read_values(Path(path)))
    with contextlib.suppress(OSError):
        if stamp is not None:
            stamp.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            stamp.write_text(_stamp(Path(path)), "ascii")


def _stamp_file(values: dict[str, Any]) -> Path | None:
    paths = values.get("paths", {})
    folder = paths.get("state_dir", PathsConfig().state_dir) if isinstance(paths, dict) else None
    return Path(folder) / "config.passed" if isinstance(folder, str) and "\0" not in folder else None


def _stamp(path: Path) -> str:
    return hashlib.sha256(f"{VERSION} {sys.version} ".encode() + path.read_bytes()).hexdigest()


def check_values(values: dict[str, Any], origin: str) -> Config:
    """Validate a file's values; `origin` stands before each problem. Raises ConfigError with every mistake found."""
    from pydantic import TypeAdapter, ValidationError  # noqa: PLC0415 - the resting daemon does not hold pydantic

    problems = [f"{origin}: {problem}" for problem in _unknown_keys(Config, values, "")]
    if problems:
        raise ConfigError(problems)
    try:
        config = TypeAdapter(Config).validate_python(values)
    except ValidationError as error:
        raise ConfigError([f"{origin}: {_explain(item)}" for item in error.errors(include_url=False)]) from error
    problems = [f"{origin}: {problem}" for problem in _contradictions(config)]
    if problems:
        raise ConfigError(problems)
    return config


def schema() -> dict[str, Any]:
    """The JSON Schema of the file."""
    from pydantic import TypeAdapter  # noqa: PLC0415

    return TypeAdapter(Config).json_schema()


def read_values(path: Path) -> dict[str, Any]:
    """What stands in a TOML file. Raises ConfigError."""
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read: {error.strerror}"]) from error
    except UnicodeDecodeError as error:
        raise ConfigError([f"{path}: not UTF-8 at byte {error.start}"]) from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([f"{path}: not TOML: {error}"]) from error
    except RecursionError as error:
        raise ConfigError([f"{path}: nested too deeply"]) from error


def _members(kind: type) -> dict[str, Any]:
    hints = get_type_hints(kind, include_extras=False)
    return {spec.name: hints[spec.name] for spec in fields(kind)}


def _table_of(hint: Any) -> tuple[type, bool] | None:
    """The dataclass behind a field, and whether it is a list of them; None for a plain value."""
    if is_dataclass(hint):
        return hint, False  # type: ignore[return-value]
    if get_origin(hint) is tuple and is_dataclass(get_args(hint)[0]):
        return get_args(hint)[0], True
    return None


def _unknown_keys(kind: type, values: object, where: str) -> Iterator[str]:
    if not isinstance(values, dict):
        return  # pydantic says what is wrong with it
    members = _members(kind)
    for key, value in values.items():
        here = f"{where}.{key}" if where else key
        if key not in members:
            import difflib  # noqa: PLC0415 - only a mistake needs it

            near = difflib.get_close_matches(key, members, n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]!r}?" if near else f"; legal keys are {', '.join(members)}"
            yield f"{here}: unknown key{hint}"
            continue
        table = _table_of(members[key])
        if table is not None:
            inner, many = table
            for number, item in enumerate(value if many and isinstance(value, list) else [value]):
                yield from _unknown_keys(inner, item, f"{here}[{number}]" if many else here)


def _explain(item: Any) -> str:
    where = ""
    for part in item["loc"]:
        where += f"[{part}]" if isinstance(part, int) else f".{part}" if where else str(part)
    if item["type"] == "missing":
        return f"{where}: missing"
    return f"{where} = {item['input']!r}: {item['msg']}"


def _build(kind: Any, value: Any) -> Any:
    if not isinstance(value, dict):
        return tuple(value) if isinstance(value, list) else value
    members = _members(kind)
    out = {}
    for key, item in value.items():
        table = _table_of(members[key])
        if table is None:
            out[key] = tuple(item) if isinstance(item, list) else item
        elif table[1]:
            out[key] = tuple(_build(table[0], entry) for entry in item)
        else:
            out[key] = _build(table[0], item)
    return kind(**out)


_SOURCES = frozenset(
    {"power", "nut", "network", "system", "boots", "firmware", "security", "agent", "trends", "report"}
)


def _contradictions(config: Config) -> Iterator[str]:
    """What no single field can know."""
    if config.terminal.id in RESERVED_TERMINALS:
        yield f"terminal.id = {config.terminal.id!r}: no terminal may be called that"
    yield from _bad_url(config)
    yield from _bad_run_dir(config.paths.run_dir)
    seen: dict[str, str] = {}
    units: dict[str, str] = {}
    for number, device in enumerate(config.device):
        where = f"device[{number}]"
        if device.name in _SOURCES:
            yield f"{where}.name = {device.name!r}: is the name of a probe"
        if device.name in seen:
            yield f"{where}.name = {device.name!r}: {seen[device.name]} is called that too"
        seen[device.name] = where
        yield from _bad_device(device, where, units)
    if config.power.critical_percent >= config.power.low_percent:
        yield f"power.critical_percent = {config.power.critical_percent}: must be below low_percent"
    if config.mqtt.commands and config.commands.keys_file:
        yield "mqtt.commands and commands.keys_file: unsigned commands are never taken beside signed ones"
    if not config.commands.reboot or not config.commands.reboot[0].startswith("/"):
        yield f"commands.reboot = {list(config.commands.reboot)}: begins with a program's whole path"


def _bad_url(config: Config) -> Iterator[str]:
    try:
        url = urlsplit(config.mqtt.url)
        port = url.port
    except ValueError:
        yield f"mqtt.url = {config.mqtt.url!r}: the port is not a number from 1 to 65535"
        return
    more = url.path.strip("/") or url.query or url.fragment or "@" in url.netloc
    if url.scheme not in {"mqtt", "mqtts"} or not url.hostname or port == 0 or more:
        yield f"mqtt.url = {config.mqtt.url!r}: must be mqtt://host:port or mqtts://host:port"
        return
    if url.scheme == "mqtt" and not config.mqtt.without_tls and not _is_here(url.hostname):
        yield (
            f"mqtt.url = {config.mqtt.url!r}: without TLS only to this machine itself; use mqtts://,"
            " or mqtt.without_tls = true on a closed test network"
        )
    if url.scheme == "mqtt" and (config.mqtt.cert_file or config.mqtt.ca_file):
        yield f"mqtt.url = {config.mqtt.url!r}: certificates are given, but only mqtts:// uses them"
    if bool(config.mqtt.cert_file) != bool(config.mqtt.key_file):
        yield "mqtt.cert_file and mqtt.key_file: one is given without the other"


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _bad_run_dir(run_dir: str) -> Iterator[str]:
    # unix(7): sun_path has 108 bytes, the last a zero.
    most = 107 - len("/control.sock")
    if len(os.fsencode(run_dir)) > most:
        yield f"paths.run_dir = {run_dir!r}: longer than {most} bytes, so that no socket can be made in it"
    if "\0" in run_dir:
        yield f"paths.run_dir = {run_dir!r}: holds a zero byte"


def _bad_device(device: DeviceConfig, where: str, units: dict[str, str]) -> Iterator[str]:
    from drivers import catalog  # noqa: PLC0415 - loads every driver, which only checking needs

    try:
        family = catalog.family(device.family)
    except catalog.UnknownFamily as error:
        yield f"{where}.family: {error}"
        return
    if family.unit in units:
        yield f"{where}.family = {device.family!r}: {units[family.unit]} is a {family.unit} already; one each"
    units[family.unit] = where
    try:
        catalog.check_options(family, device.options)
    except catalog.UnknownOption as error:
        yield f"{where}.options: {error}"
