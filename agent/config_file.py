"""From a TOML file to a `Config`: every mistake with its file, key, value and the nearest legal key.

`check` looks at everything and is what people and the launcher use. `build` makes the same dataclasses without looking,
for the daemon, which starts after the launcher has checked the file.
"""

from __future__ import annotations

import contextlib
import hashlib
import sys
import tomllib
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Final, get_args, get_origin, get_type_hints

from agent import VERSION
from agent.config import Config, PathsConfig

_LONGEST: Final = 1 << 20


class ConfigError(ValueError):
    """A configuration that cannot be used. `problems` holds one line for each mistake, with file and key.

    `reasons` is what is wrong by key, without the values, and short: for people elsewhere.
    """

    def __init__(self, problems: list[str], reasons: dict[str, str] | None = None) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems
        self.reasons = reasons or {}


def load_trusted(path: str | Path) -> Config:
    """Build the configuration from a file that `check` has passed. Raises ConfigError when it cannot be read."""
    return build(read_values(Path(path)))


def build(values: dict[str, Any]) -> Config:
    """The configuration of values that `check_values` has passed."""
    config: Config = _build(Config, values)
    return config


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
    """Look at a file's values; `origin` stands before each problem. Raises ConfigError with every mistake found."""
    from agent.config_sense import contradictions  # noqa: PLC0415 - only checking needs them
    from agent.config_shape import misshapen, sound  # noqa: PLC0415 - as above

    found = list(misshapen(Config, values))
    assumed: set[str] = set()
    config = build(sound(Config, values, assumed) if found else values)
    # What a wrong key was meant to say might be what another one of its table contradicts now.
    unclear = {table for table in ("mqtt.", "power.") if any(each.key.startswith(table) for each in found)}
    found += [
        each for each in contradictions(config) if each.key not in assumed and not each.key.startswith(tuple(unclear))
    ]
    if found:
        reasons = {each.key[:100]: each.why[:160] for each in found}
        raise ConfigError([f"{origin}: {each}" for each in found], reasons)
    return config


def schema() -> dict[str, Any]:
    """The JSON Schema of the file."""
    from pydantic import TypeAdapter  # noqa: PLC0415 - the resting daemon does not hold pydantic

    return TypeAdapter(Config).json_schema()


def read_values(path: Path) -> dict[str, Any]:
    """What stands in a TOML file. Raises ConfigError."""
    try:
        with path.open("rb") as file:
            data = file.read(_LONGEST + 1)
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read: {error.strerror}"]) from error
    if len(data) > _LONGEST:
        raise ConfigError([f"{path}: longer than {_LONGEST} bytes, so it is no configuration"])
    try:
        return tomllib.loads(data.decode("utf-8-sig"))  # some editors begin a file with a mark of its encoding
    except UnicodeDecodeError as error:
        raise ConfigError([f"{path}: not UTF-8 at byte {error.start}"]) from error
    except ValueError as error:  # also of a number with thousands of digits
        raise ConfigError([f"{path}: not TOML: {error}"]) from error
    except RecursionError as error:
        raise ConfigError([f"{path}: nested too deeply"]) from error


def members(kind: Any) -> dict[str, Any]:
    """A dataclass' fields and their types, with what stands beside these."""
    hints = get_type_hints(kind, include_extras=True)
    return {spec.name: hints[spec.name] for spec in fields(kind)}


def table_of(hint: Any) -> tuple[type, bool] | None:
    """The dataclass behind a field, and whether it is a list of them; None for a plain value."""
    if isinstance(hint, type) and is_dataclass(hint):
        return hint, False
    if get_origin(hint) is tuple and is_dataclass(get_args(hint)[0]):
        return get_args(hint)[0], True
    return None


def _build(kind: Any, value: Any) -> Any:
    if not isinstance(value, dict):
        return tuple(value) if isinstance(value, list) else value
    known = members(kind)
    out = {}
    for key, item in value.items():
        table = table_of(known[key])
        if table is None:
            out[key] = tuple(item) if isinstance(item, list) else item
        elif table[1]:
            out[key] = tuple(_build(table[0], entry) for entry in item)
        else:
            out[key] = _build(table[0], item)
    return kind(**out)
