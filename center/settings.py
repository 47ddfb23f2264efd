"""Settings of the center: the command line over a TOML file over defaults.

Keys of the file are the fields of `Settings`; units stand in their names. Secrets are files, never values.
"""

from __future__ import annotations

import argparse
import os
import re
import secrets
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, Final, Literal, get_args
from urllib.parse import urlsplit

Role = Literal["all", "ingest", "web"]
_GROUP: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
ROLES: Final[tuple[Role, ...]] = get_args(Role)


class SettingsError(Exception):
    """A setting that cannot be, in one line that names it."""


def state_dir() -> Path:
    """Where the center keeps its files: $POSDIAG_CENTER_DIR, else as the XDG directories have it."""
    told = os.environ.get("POSDIAG_CENTER_DIR")
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(told) if told else Path(base) / "posdiag-center"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings of one process of the center."""

    role: Role = "all"
    db: str = ""
    """Empty for `center.db` in the state directory."""
    mqtt: str = "mqtt://127.0.0.1:1883"
    http: str = "127.0.0.1:8480"
    name: str = "main"
    """This center's `{id}` in `center/{id}/state`; the same for all its processes."""
    estates: tuple[str, ...] = ()
    """Where the center shows itself as online; empty for each estate that it hears of."""
    mqtt_user: str = ""
    mqtt_password_file: str = ""
    mqtt_ca_file: str = ""
    mqtt_certificate_file: str = ""
    mqtt_key_file: str = ""
    group: str = "center"
    """The group that the workers share queued messages in. `load` gives one that nobody can guess where none is set:
    Mosquitto lets whoever knows the name join it, and then messages are lost (deploy/mosquitto/acl)."""
    alone: bool = False
    """One worker takes all that is queued: for brokers that know no shared subscriptions, or fail at them."""
    batch: int = 5000
    """Messages that wait for the database before reading stops."""
    command_key_file: str = ""
    policy_file: str = ""
    """The rules of casework as TOML (center/domain/cases_policy.py); the defaults without one."""
    hosts: tuple[str, ...] = ()
    """Names under which the web pages are asked for, beside localhost and addresses; anything else is refused."""
    public_url: str = ""
    """Where people reach the center, such as https://pos.example.org; for links, logins elsewhere and safe cookies."""
    oidc_issuer: str = ""
    """An OpenID Connect provider to log in by; its discovery document is below this URL."""
    oidc_client_id: str = ""
    oidc_client_secret_file: str = ""
    oidc_roles_claim: str = "roles"
    """The claim of the ID token that lists roles; those that the center does not know count for nothing."""
    keep_events_days: int = 400
    keep_telemetry_days: int = 30
    keep_hours_days: int = 400
    keep_days_days: int = 3650
    keep_feed_days: int = 7
    keep_quarantine_days: int = 30

    @property
    def database(self) -> str:
        """The URL of the database."""
        return self.db or f"sqlite:///{state_dir() / 'center.db'}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `posdiag center run`."""
    parser.add_argument("--config", metavar="FILE", help="settings as TOML; options below win over it")
    parser.add_argument(
        "--db", metavar="URL", help="sqlite:///FILE or postgresql://…; default a file of the state directory"
    )
    parser.add_argument("--mqtt", metavar="URL", help="mqtt:// or mqtts://HOST:PORT; default mqtt://127.0.0.1:1883")
    parser.add_argument("--http", metavar="HOST:PORT", help="default 127.0.0.1:8480")
    parser.add_argument(
        "--alone",
        action="store_true",
        default=None,
        help="one worker takes all, for a broker without shared subscriptions",
    )
    parser.add_argument("--role", choices=ROLES, help="what this process does; default all")


def load(args: argparse.Namespace) -> Settings:
    """The settings that the command line and its file give. Raises SettingsError."""
    values: dict[str, Any] = {}
    path: str = getattr(args, "config", None) or ""
    if path:
        try:
            values = tomllib.loads(Path(path).read_text("utf-8"))
        except OSError as error:
            raise SettingsError(f"{path}: {error.strerror}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise SettingsError(f"{path}: {error}") from error
    checked = _checked(values, path)
    settings = replace(Settings(), **checked)
    if "group" not in checked:
        settings = replace(settings, group=_own_group())
    given = {name: getattr(args, name, None) for name in ("db", "mqtt", "http", "role", "alone")}
    settings = replace(settings, **{name: value for name, value in given.items() if value is not None})
    broker(settings.mqtt)
    listener(settings.http)
    return settings


def _own_group() -> str:
    """The group of every process with this state directory; made by the first. Raises SettingsError."""
    path = state_dir() / "share_group"
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.exists():
            with NamedTemporaryFile("w", dir=path.parent) as file:  # which nobody else may read
                file.write(f"center-{secrets.token_hex(16)}")
                file.flush()
                with suppress(FileExistsError):  # another process was quicker
                    os.link(file.name, path)
        name = path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: cannot be kept: {error}") from error
    return _group(str(path), name)


def _group(where: str, name: str) -> str:
    if not _GROUP.fullmatch(name):
        raise SettingsError(f"{where} is a word of letters, digits, - and _")
    return name


def _checked(values: Mapping[str, Any], path: str) -> dict[str, Any]:
    known = {spec.name: type(spec.default) for spec in fields(Settings)}
    checked: dict[str, Any] = {}
    for name, value in values.items():
        if name not in known:
            near = get_close_matches(name, known, n=1)
            raise SettingsError(f"{path}: no setting is called {name!r}" + (f"; is it {near[0]}?" if near else ""))
        checked[name] = _value(f"{path}: {name}", known[name], value)
    if "group" in checked:
        _group(f"{path}: group", checked["group"])
    if checked.get("role", "all") not in ROLES:
        raise SettingsError(f"{path}: role is one of {', '.join(ROLES)}")
    return checked


def _value(where: str, kind: type, value: Any) -> Any:
    if kind is tuple:
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise SettingsError(f"{where} is a list of texts")
        return tuple(value)
    if kind is int and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise SettingsError(f"{where} is a whole number above 0")
    if kind is bool and not isinstance(value, bool):
        raise SettingsError(f"{where} is true or false")
    if kind is str and not isinstance(value, str):
        raise SettingsError(f"{where} is a text")
    return value


def broker(url: str) -> tuple[str, int, bool]:
    """Host, port and whether with TLS, of `mqtt://HOST[:PORT]` or `mqtts://HOST[:PORT]`. Raises SettingsError."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in {"mqtt", "mqtts"} or not parts.hostname or parts.path not in {"", "/"} or port == 0:
        raise SettingsError(f"{url!r} is not mqtt://host:port or mqtts://host:port")
    if parts.username or parts.password:
        raise SettingsError("a broker's user and password belong in mqtt_user and mqtt_password_file, not in its URL")
    tls = parts.scheme == "mqtts"
    return parts.hostname, port or (8883 if tls else 1883), tls


def listener(text: str) -> tuple[str, int]:
    """Host and port of `HOST:PORT`; port 0 takes a free one. Raises SettingsError."""
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65_535:
        raise SettingsError(f"{text!r} is not HOST:PORT")
    return host.strip("[]"), int(port)
