"""The diagnostics bundle: one tar.gz for whoever helps, without secrets and card data."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import platform
import re
import tarfile
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from agent import VERSION
from agent.audit_log import NAME
from agent.cards import clean
from agent.config_file import ConfigError, build, read_values
from agent.wire import loads, to_json_whole
from drivers.redact import redact_text

_SECRET: Final = re.compile(r"(?:.*_)?(?:password|passphrase|secret|token|pin|puk|key|username)", re.IGNORECASE)
_USER: Final = re.compile(r"(?<=://)[^/@\s]*@")
_PAGE: Final = re.compile(rb"(?<=/m/)[A-Za-z0-9_-]{16,}")  # whoever has it can answer as the merchant
_AUDIT_BYTES: Final = 64 * 1024
_PACKAGES: Final = ("pyserial", "paho-mqtt", "psutil", "pydantic", "cryptography", "pyjwt", "segno")


def without_secrets(value: Any, name: str = "") -> Any:
    """A JSON value whose secrets are `<hidden>`: told by their key's name, and what stands before @ in an address."""
    if isinstance(value, Mapping):
        return {key: without_secrets(each, str(key)) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [without_secrets(each, name) for each in value]
    if value not in {"", None} and not isinstance(value, bool) and _SECRET.fullmatch(name):
        return "<hidden>"
    return _USER.sub("<hidden>@", value) if isinstance(value, str) else value


def members(config_file: Path, facts: Mapping[str, Any]) -> dict[str, bytes]:
    """Name to content. `facts` are the daemon's, name to JSON value; `log` among them is a list of lines."""
    found = {f"{name}.json": _json(value) for name, value in facts.items() if name != "log"}
    if "log" in facts:
        found["log.txt"] = _text("\n".join(map(str, facts["log"])))
    try:
        config = build(read_values(config_file))
    except ConfigError as error:
        found["config.txt"] = _text(str(error))
    else:
        found["config.json"] = _json(without_secrets(to_json_whole(config)))
        found["audit.jsonl"] = _audit(Path(config.paths.state_dir))
    found["versions.json"] = _json(_versions())
    return found


def pack(content: Mapping[str, bytes], at: float) -> bytes:
    """The archive, its members in order of their names, with their SHA-256 in `manifest.json`."""
    sums = {name: hashlib.sha256(data).hexdigest() for name, data in sorted(content.items())}
    whole = {**content, "manifest.json": json.dumps({"sha256": sums}, indent=1).encode()}
    out = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=out, mode="wb", filename="", mtime=int(at)) as packed,
        tarfile.open(fileobj=packed, mode="w") as tar,
    ):
        for name, data in sorted(whole.items()):
            entry = tarfile.TarInfo(f"posdiag/{name}")
            entry.size, entry.mtime, entry.mode = len(data), int(at), 0o600
            tar.addfile(entry, io.BytesIO(data))
    return out.getvalue()


def _json(value: Any) -> bytes:
    return _PAGE.sub(b"<hidden>", json.dumps(clean(value), ensure_ascii=False, indent=1).encode())


def _text(text: str) -> bytes:
    return "\n".join(redact_text(line) for line in text.splitlines()).encode()


def _audit(state_dir: Path) -> bytes:
    """The newest lines of the chain. They hold hashes, which are no card numbers, so each is looked at as JSON."""
    try:
        lines = (state_dir / f"{NAME}.jsonl").read_bytes()[-_AUDIT_BYTES:].split(b"\n")
    except OSError:
        return b""
    kept = []
    for line in lines:
        try:
            kept.append(json.dumps(clean(loads(line)), separators=(",", ":")))
        except ValueError:
            continue  # the first may be cut
    return "\n".join(kept).encode()


def _versions() -> dict[str, Any]:
    packages = {}
    for name in _PACKAGES:
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            packages[name] = "absent"
    system = {"python": platform.python_version(), "kernel": platform.release(), "machine": platform.machine()}
    try:
        release = platform.freedesktop_os_release().get("PRETTY_NAME", "")
    except OSError:
        release = ""
    return {"posdiag": VERSION, **system, "os": release, "packages": packages}
