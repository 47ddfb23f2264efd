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
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from ipaddress import ip_address
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, Final, Literal, TypeVar, get_args
from urllib.parse import urlsplit

Role = Literal["all", "ingest", "web"]
DEFAULT: Final = "default"
_WORD: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_ADDRESS: Final = re.compile("[!-~]{1,120}")  # with a merchant's token behind it, it is printed as a QR code
_HOST: Final = re.compile(r"[A-Za-z0-9.-]+(:[0-9]{1,5})?")  # it stands in a header
_TILES: Final = re.compile("[!-~]{1,500}")
_PLACES: Final = ("POSDIAG_CENTER_DIR", "XDG_STATE_HOME")
ROLES: Final[tuple[Role, ...]] = get_args(Role)


class SettingsError(Exception):
    """A setting that cannot be, in one line that names it."""


def state_dir() -> Path:
    """Where the center keeps its files: $POSDIAG_CENTER_DIR, else as the XDG directories have it."""
    told, base = (os.environ.get(name) for name in _PLACES)
    base = base or str(Path.home() / ".local" / "state")
    return Path(told) if told else Path(base) / "posdiag-center"


T = TypeVar("T")


def _is(default: T, meaning: str) -> T:
    """A setting with its default, and what it means in one line."""
    told: T = field(default=default, metadata={"meaning": meaning})
    return told


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings of one process of the center."""

    role: Role = _is("all", "what this process does: ingest takes messages in, web is API, pages and engines")  # noqa: RUF009 - it returns `field`
    db: str = _is("", "sqlite:///FILE or postgresql://…; empty for center.db in the state directory")
    mqtt: str = _is("mqtt://127.0.0.1:1883", "the broker, mqtt:// or mqtts://HOST:PORT")
    http: str = _is("127.0.0.1:8480", "HOST:PORT where the API and the pages are; port 0 takes a free one")
    name: str = _is("main", "this center's name at the broker: the same for all its processes, and no other center's")
    estates: tuple[str, ...] = _is((), "where the center shows itself as online; empty for each that it hears of")
    mqtt_without_tls: bool = _is(False, "mqtt:// also to another machine, on a closed network")
    mqtt_user: str = _is("", "the user at the broker")
    mqtt_password_file: str = _is("", "the file with that user's password")
    mqtt_ca_file: str = _is("", "who may have signed the broker's certificate, PEM; empty for the system's authorities")
    mqtt_certificate_file: str = _is("", "the center's own certificate for the broker, PEM")
    mqtt_key_file: str = _is("", "the private key of mqtt_certificate_file, PEM")
    group: str = _is("center", "the secret name of the group that workers share what is queued in; made at first start")
    """`load` gives one that nobody can guess where none is set: Mosquitto lets whoever knows the name join it, and then
    messages are lost (deploy/mosquitto/acl)."""
    alone: bool = _is(False, "one worker takes all, for brokers that know no shared subscriptions or fail at them")
    batch: int = _is(5000, "messages that wait for the database before reading stops")
    command_key_file: str = _is("", "the private key that signs commands, made by posdiag pki command-key")
    policy_file: str = _is("", "the rules of casework as TOML; empty for the defaults")
    hosts: tuple[str, ...] = _is((), "names under which the pages are asked for, beside localhost and addresses")
    public_url: str = _is("", "where people reach the center, such as https://pos.example.org")
    """For the merchants' links, logins elsewhere and safe cookies."""
    status_page: bool = _is(False, "show everybody at /status whether the service is disturbed, without any merchant")
    map_tiles: str = _is("", "where pictures for the map are, https://HOST/…{z}/{x}/{y}…; empty for a map without")
    map_attribution: str = _is("", "whose pictures they are, as their makers want it said on the map")
    oidc_issuer: str = _is("", "an OpenID Connect provider to log in by; its discovery document is below this URL")
    oidc_client_id: str = _is("", "what that provider calls the center")
    oidc_client_secret_file: str = _is("", "the file with the secret that the provider gave for oidc_client_id")
    oidc_roles_claim: str = _is("roles", "the claim of the ID token that lists roles; unknown ones count for nothing")
    heartbeat_url: str = _is(
        "", "fetched each minute while the center is well, for a service that alarms when it is not"
    )
    keep_events_days: int = _is(400, "how long events, results, gaps, outages and cleared faults are kept")
    keep_telemetry_days: int = _is(30, "how long each sample of telemetry is kept")
    keep_hours_days: int = _is(400, "how long hourly summaries of telemetry are kept")
    keep_days_days: int = _is(3650, "how long daily summaries of telemetry are kept")
    keep_feed_days: int = _is(7, "how long a reader of the event stream can be away and miss nothing")
    keep_quarantine_days: int = _is(30, "how long messages that could not be read are kept")
    keep_outbox_days: int = _is(30, "how long what was sent is kept, with its text and its contacts")
    keep_notifications_days: int = _is(400, "how long it is kept who was told what, broadcasts included")
    keep_cases_days: int = _is(1100, "how long closed cases, ended commands and replaced settings are kept")

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
    settings, origins = read(args)
    return replace(settings, group=_own_group()) if origins["group"] == DEFAULT else settings


def read(args: argparse.Namespace) -> tuple[Settings, dict[str, str]]:
    """The same and where each comes from; makes no file, so `group` may still be to be made. Raises SettingsError."""
    path: str = getattr(args, "config", None) or ""
    checked = _checked(_file(path), path) if path else {}
    given = {name: getattr(args, name, None) for name in ("db", "mqtt", "http", "role", "alone")}
    given = {name: value for name, value in given.items() if value is not None}
    settings = replace(Settings(), **{**checked, **given})
    host, _port, tls = broker(settings.mqtt)
    if not tls and not settings.mqtt_without_tls and not _is_here(host):
        raise SettingsError(
            f"{settings.mqtt!r}: without TLS only to this machine itself; use mqtts://,"
            " or mqtt_without_tls = true on a closed network"
        )
    listener(settings.http)
    _address("public_url", settings.public_url)
    _heartbeat_address(settings.heartbeat_url)
    tile_server(settings.map_tiles)
    origins = dict.fromkeys((spec.name for spec in fields(Settings)), DEFAULT)
    told = next((name for name in _PLACES if os.environ.get(name)), None)
    if told and not settings.db:
        origins["db"] = f"environment {told}"
    origins |= dict.fromkeys(checked, f"file {path}") | {name: f"flag --{name}" for name in given}
    return settings, origins


def _file(path: str) -> dict[str, Any]:
    try:
        return tomllib.loads(Path(path).read_text("utf-8"))
    except OSError as error:
        raise SettingsError(f"{path}: {(error.strerror or str(error)).lower()}") from error
    except UnicodeDecodeError:
        raise SettingsError(f"{path}: is no text") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path}: {error}") from error


def group_file() -> Path:
    """Where the group's name is kept that is made where none is set."""
    return state_dir() / "share_group"


def _own_group() -> str:
    """The group of every process with this state directory; made by the first. Raises SettingsError."""
    path = group_file()
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
    return _word(str(path), name)


def _word(where: str, name: str) -> str:
    if not _WORD.fullmatch(name):
        raise SettingsError(f"{where} is a word of letters, digits, - and _")
    return name


def _checked(values: Mapping[str, Any], path: str) -> dict[str, Any]:
    known = {spec.name: type(spec.default) for spec in fields(Settings)}
    checked: dict[str, Any] = {}
    for name, value in values.items():
        if name not in known:
            near = get_close_matches(name, known, n=1)
            guess = f"; is it {near[0]}?" if near else ""
            raise SettingsError(f"{path}: no setting is called {name!r}{guess} There are {', '.join(known)}")
        checked[name] = _value(f"{path}: {name}", known[name], value)
    for name in ("group", "name"):
        if name in checked:
            _word(f"{path}: {name}", checked[name])
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


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _heartbeat_address(url: str) -> None:
    """It goes out of the house, and whoever knows it can feign that all is well. Raises SettingsError."""
    _address("heartbeat_url", url)
    if url.startswith("http://") and not _is_here(urlsplit(url).hostname or ""):
        raise SettingsError("heartbeat_url goes by https:// to anywhere but this machine itself")


def _address(name: str, url: str) -> None:
    """Refuse what is not `http://HOST` or `https://HOST`, with a path at most; "" is none. Raises SettingsError."""
    try:
        parts = urlsplit(url)
        fits = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        fits = False
    extra = not fits or parts.query or parts.fragment or parts.username is not None or "?" in url or "#" in url
    if url and (extra or not _ADDRESS.fullmatch(url)):
        raise SettingsError(f"{name} {url!r} is not https://HOST, with nothing behind it but a path")


def tile_server(template: str) -> str:
    """The origin `https://HOST[:PORT]` of a template of tiles; "" for none. Raises SettingsError."""
    if not template:
        return ""
    plain = template.replace("{z}", "0").replace("{x}", "0").replace("{y}", "0")
    try:
        parts = urlsplit(plain)
        named = _HOST.fullmatch(parts.netloc) is not None and parts.port != 0
    except ValueError:
        named = False
    whole = all(template.count(each) == 1 for each in ("{z}", "{x}", "{y}")) and not set("{}") & set(plain)
    if not named or parts.scheme != "https" or not whole or not _TILES.fullmatch(template):
        raise SettingsError(f"map_tiles {template!r} is not https://HOST/…{{z}}/{{x}}/{{y}}…, each of them once")
    return f"https://{parts.netloc}"


def listener(text: str) -> tuple[str, int]:
    """Host and port of `HOST:PORT`; port 0 takes a free one. Raises SettingsError."""
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65_535:
        raise SettingsError(f"{text!r} is not HOST:PORT")
    return host.strip("[]"), int(port)
