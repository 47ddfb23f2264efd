"""`posdiag center config show|schema`: the settings that are in force, and those that there are."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import Field, fields
from typing import Any, Final
from urllib.parse import urlsplit

from center.exits import DONE, unable
from center.settings import DEFAULT, ROLES, Settings, SettingsError, add_arguments, group_file, read

_TYPES: Final[Mapping[type, dict[str, Any]]] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer", "minimum": 1},
    tuple: {"type": "array", "items": {"type": "string"}},
}
_WORDS: Final = {str: "text", bool: "true or false", int: "whole number above 0", tuple: "list of texts"}


def add_commands(what: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The verb `config`."""
    config = what.add_parser("config", help="the settings of the center: those in force, and those that there are")
    which = config.add_subparsers(metavar="WHAT", required=True)
    show = which.add_parser("show", help="the settings in force, each with where it comes from; makes no file")
    add_arguments(show)
    show.add_argument("--json", action="store_true", help="value and origin of each as one JSON object")
    show.set_defaults(run=run_show)
    every = which.add_parser("schema", help="every setting with type, default and meaning, as a file to start from")
    every.add_argument("--json", action="store_true", help="as JSON Schema")
    every.set_defaults(run=run_schema)


def run_show(args: argparse.Namespace) -> int:
    """The verb. 0 done, 2 for settings that cannot be, with one line."""
    try:
        settings, origins = read(args)
    except SettingsError as error:
        return unable(error)
    values = {spec.name: getattr(settings, spec.name) for spec in fields(settings)}
    values |= {"db": without_password(settings.database), "group": "***"}
    if origins["group"] == DEFAULT:
        there = "kept" if group_file().exists() else "to be made"
        origins["group"] = f"{there} in {group_file()}"
    if args.json:
        print(json.dumps({name: {"value": values[name], "from": origins[name]} for name in values}, ensure_ascii=False))
        return DONE
    for name, value in values.items():
        hidden = "# " if name == "group" else ""  # so that what is printed is a file that can be used
        print(f"{hidden}{name} = {_toml(value)}  # {origins[name]}")
    return DONE


def run_schema(args: argparse.Namespace) -> int:
    """The verb. Always 0."""
    if args.json:
        print(json.dumps(schema(), ensure_ascii=False, indent=2))
        return DONE
    for spec in fields(Settings):
        kind = f"one of {', '.join(ROLES)}" if spec.name == "role" else _WORDS[type(spec.default)]
        print(f"# {spec.metadata['meaning']} ({kind})")
        print(f'# {spec.name} = "…"' if spec.name == "group" else f"{spec.name} = {_toml(spec.default)}")
    return DONE


def schema() -> dict[str, Any]:
    """JSON Schema of the file."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "posdiag center",
        "type": "object",
        "additionalProperties": False,
        "properties": {spec.name: _property(spec) for spec in fields(Settings)},
    }


def _property(spec: Field[Any]) -> dict[str, Any]:
    told = {**_TYPES[type(spec.default)], "description": spec.metadata["meaning"]}
    if spec.name == "role":
        told["enum"] = list(ROLES)
    if spec.name in {"group", "name"}:
        told["pattern"] = "^[A-Za-z0-9_-]{1,64}$"
    return told if spec.name == "group" else {**told, "default": spec.default}


def _toml(value: Any) -> str:
    """As TOML, whose texts, numbers and lists of texts are JSON's."""
    return json.dumps(value, ensure_ascii=False)


def without_password(url: str) -> str:
    password = urlsplit(url).password
    return url.replace(f":{password}@", ":***@", 1) if password else url
