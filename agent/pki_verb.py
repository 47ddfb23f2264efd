"""`posdiag pki`: a development certificate authority, terminal certificates and command keys. No cryptography here."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agent.pki import Authority, Shown

DAYS = 365
_HOSTS = ["localhost", "127.0.0.1"]


def add_commands(verbs: Any) -> None:
    """Add the verb and its own verbs to the command line."""
    verb = verbs.add_parser("pki", help="a development certificate authority, terminal certificates, command keys")
    what = verb.add_subparsers(metavar="WHAT", required=True)
    sub = _verb(what, "init", "make an authority, and certificates for the broker and the center", _init, days=True)
    sub.add_argument("--host", action="append", metavar="NAME", help="the broker's name or address; may be repeated")
    sub = _verb(what, "terminal", "make a terminal's key and certificate", _terminal, days=True)
    sub.add_argument("id", nargs="+", metavar="ID")
    sub = _verb(what, "center", "make a certificate for one more worker of the center", _center, days=True)
    sub.add_argument("name", metavar="center-NAME")
    _verb(what, "command-key", "make a key that signs commands", _command_key)
    sub = _verb(what, "renew", "make a new key and certificate for server, a center or a terminal", _renew, days=True)
    sub.add_argument("name", metavar="NAME")
    sub.add_argument("--beside", type=Path, metavar="CERT_FILE", help="where a terminal's next pair is to wait")
    sub = _verb(what, "show", "what certificates say", _show)
    sub.add_argument("file", nargs="*", type=Path, metavar="FILE", help="none for all of the authority's")


def _verb(
    what: Any, name: str, about: str, run: Callable[[Authority, argparse.Namespace], int], *, days: bool = False
) -> argparse.ArgumentParser:
    sub: argparse.ArgumentParser = what.add_parser(name, help=about, description=about)
    sub.add_argument("dir", type=Path, metavar="DIR", help="the authority's folder")
    if days:
        sub.add_argument("--days", type=int, default=DAYS, help=f"how long the certificate holds ({DAYS})")
    sub.add_argument("--json", action="store_true")
    sub.set_defaults(run=lambda args: _guarded(run, args))
    return sub


def _guarded(run: Callable[[Authority, argparse.Namespace], int], args: argparse.Namespace) -> int:
    from agent.pki import Authority, PkiError  # noqa: PLC0415 - cryptography is heavy, and other verbs do without

    try:
        return run(Authority(args.dir), args)
    except PkiError as error:
        print(f"posdiag: {error}", file=sys.stderr)
        return 2


def _init(authority: Authority, args: argparse.Namespace) -> int:
    return _made(authority.init(args.host or _HOSTS, args.days), args)


def _terminal(authority: Authority, args: argparse.Namespace) -> int:
    return _made([path for each in args.id for path in authority.terminal(each, args.days)], args)


def _center(authority: Authority, args: argparse.Namespace) -> int:
    return _made(authority.center(args.name, args.days), args)


def _command_key(authority: Authority, args: argparse.Namespace) -> int:
    return _made(authority.command_key(), args)


def _renew(authority: Authority, args: argparse.Namespace) -> int:
    return _made(authority.renew(args.name, args.days, args.beside), args)


def _made(files: list[Path], args: argparse.Namespace) -> int:
    print(json.dumps({"files": [str(path) for path in files]}) if args.json else "\n".join(map(str, files)))
    return 0


def _show(authority: Authority, args: argparse.Namespace) -> int:
    """Exit 1 when one of them holds no longer, or not yet."""
    now = datetime.now(UTC)
    rows = [_row(shown, now) for shown in authority.show(args.file)]
    if args.json:
        print(json.dumps({"certificates": rows}, ensure_ascii=False))
    else:
        for row in rows:
            holds = f"{row['days_left']:g} days left" if row["holds"] else "does not hold now"
            print(f"{row['file']}\n  {row['name']}  [{', '.join(row['names'])}]  by {row['issuer']}")
            print(f"  {row['not_before']} to {row['not_after']}, {holds}\n  sha256 {row['sha256']}")
    return 0 if all(row["holds"] for row in rows) else 1


def _row(shown: Shown, now: datetime) -> dict[str, Any]:
    return {
        "file": shown.file,
        "name": shown.name,
        "names": list(shown.names),
        "issuer": shown.issuer,
        "authority": shown.authority,
        "not_before": shown.not_before.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "not_after": shown.not_after.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "days_left": round((shown.not_after - now).total_seconds() / 86_400, 1),
        "holds": shown.not_before <= now < shown.not_after,
        "sha256": shown.sha256,
    }
