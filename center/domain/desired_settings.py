"""Settings that are wished of a terminal: table to key to value, over the terminal's own file. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from agent import wire
from center.domain.refusal import Refusal
from center.ingest import cards

Settings = dict[str, dict[str, Any]]
_WORD: Final = re.compile(r"[a-z0-9_]{1,64}")
_MOST_BYTES: Final = 8192  # signed and in base64 it has to fit into one message


def check_patch(patch: object) -> Settings:
    """A change of settings; null for a key stands for the terminal's own value. Raises Refusal.

    Which keys there are, and which of them may be set from afar, a terminal decides, and tells in its report.
    """
    if not isinstance(patch, Mapping) or not patch:
        raise Refusal("invalid", "settings are tables of keys")
    found: Settings = {}
    for table, keys in patch.items():
        if not isinstance(table, str) or not _WORD.fullmatch(table) or not isinstance(keys, Mapping) or not keys:
            raise Refusal("invalid", "settings are tables of keys")
        for key in keys:
            if not isinstance(key, str) or not _WORD.fullmatch(key):
                raise Refusal("invalid", f"{table} has a key that is no word of a-z 0-9 _")
        found[table] = dict(keys)
    payload = wire.dumps(found)
    if len(payload) > _MOST_BYTES:
        raise Refusal("invalid", f"settings have {_MOST_BYTES} bytes at most")
    if cards.clean(payload)[1]:
        raise Refusal("invalid", "a setting looks like a card number")
    return found


def merged(settings: Mapping[str, Mapping[str, Any]], patch: Mapping[str, Mapping[str, Any]]) -> Settings:
    """The settings after a change. A table without keys is left out."""
    tables = sorted({*settings, *patch})
    whole = {table: {**settings.get(table, {}), **patch.get(table, {})} for table in tables}
    kept = {table: {key: value for key, value in keys.items() if value is not None} for table, keys in whole.items()}
    return {table: keys for table, keys in kept.items() if keys}


def diff(old: Mapping[str, Mapping[str, Any]], new: Mapping[str, Mapping[str, Any]]) -> dict[str, list[Any]]:
    """`table.key` to [before, after], null where only the terminal's own value counts."""
    keys = sorted({(table, key) for settings in (old, new) for table, keys in settings.items() for key in keys})
    pairs = {f"{table}.{key}": [each.get(table, {}).get(key) for each in (old, new)] for table, key in keys}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def state_of(
    version: int, was: str, known_hash: str, reported: Mapping[str, Any] | None, passed: bool
) -> tuple[str, str, str]:
    """State, error and hash of wished settings by what their terminal reports of them.

    `sent` nothing was heard; `tried` they are in force on trial; `applied` they have passed it (`passed`, from the
    event `config.applied`); `rejected` the terminal takes them not; `rolled_back` the trial failed; `drifted` they
    were applied and something else is in force now.
    """
    if not reported:
        return was, "", known_hash
    in_force, digest = reported.get("version") == str(version), str(reported.get("hash", ""))
    if was in ("applied", "drifted"):
        if not in_force:
            return "drifted", f"version {reported.get('version')} is in force", known_hash
        if digest != known_hash:
            return "drifted", "other settings are in force than when it was applied", known_hash
        return "applied", "", known_hash
    if in_force:
        return ("applied", "", digest) if passed else ("tried", "", "")
    if reported.get("refused") == str(version):
        why = "; ".join(f"{key}: {text}" for key, text in sorted((reported.get("rejected") or {}).items()))
        return ("rolled_back" if was in ("tried", "rolled_back") else "rejected"), why[:500], ""
    return was, "", ""
