"""The verbs of `posdiag center`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from importlib import import_module

from center import config, desk
from center.arguments import name_or_any, place, seconds
from center.settings import add_arguments


def add_commands(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Called by the command line of the agent through the entry point."""
    center = verbs.add_parser("center", help="the support center")
    what = center.add_subparsers(metavar="WHAT", required=True)
    run = what.add_parser("run", help="the support center itself: from the broker to the database, and the API")
    add_arguments(run)
    run.set_defaults(run=_later("center.run", "run_center"))
    _add_token(what)
    _add_backup(what)
    chain = what.add_parser(
        "verify-audit", help="is the chain of the audit whole, and what was kept of it still there?"
    )
    chain.add_argument("head", nargs="?", metavar="HEAD", help="a head that you kept, 64 hex digits")
    chain.add_argument("--heads", metavar="FILE", help="daily heads; default those of the center's directory")
    _add_settings(chain)
    chain.add_argument("--json", action="store_true")
    chain.set_defaults(run=_later("center.verify_audit", "run"))
    config.add_commands(what)
    desk.add_commands(what)
    schema = what.add_parser("schema", help="the contract as AsyncAPI 3 and JSON Schema")
    schema.add_argument("--message", metavar="NAME", help="one message's JSON Schema alone, such as FaultMessage")
    schema.set_defaults(run=_later("center.schema", "run_schema"))
    watch = what.add_parser("watch", help="an independent subscriber: the fault topics as a live table")
    watch.add_argument("--mqtt", default="mqtt://127.0.0.1:1883", metavar="URL")
    watch.add_argument("--estate", type=name_or_any, default="+", help="only this estate")
    watch.add_argument("--terminal", type=name_or_any, default="+", help="only this terminal")
    watch.add_argument("--json", action="store_true", help="one JSON object a message")
    watch.add_argument("--seconds", type=seconds, default=0, metavar="S", help="end after so long; 0 for never")
    watch.set_defaults(run=_later("center.watch", "run_watch"))
    scan = what.add_parser("scan", help="read the help code of a terminal's slip or screen")
    scan.add_argument("text", nargs="?", metavar="TEXT", help="what the QR code says; default standard input")
    scan.add_argument("--file", metavar="F", help="read the text from this file")
    scan.add_argument("--key", metavar="PUBKEY", help="the terminal's report_key, 64 hex digits")
    scan.add_argument("--keys", metavar="FILE", help="a line for each terminal: estate/terminal KEY")
    scan.add_argument("--json", action="store_true")
    scan.set_defaults(run=_later("center.scan", "run_scan"))
    verify = what.add_parser("verify-evidence", help="is a sealed evidence pack what was sealed?")
    verify.add_argument("packs", nargs="+", metavar="PACK")
    verify.add_argument("--key", metavar="KEY", help="the center's public key: 64 hex digits or a JWK file")
    verify.add_argument("--json", action="store_true")
    verify.set_defaults(run=_later("center.evidence_verify", "run"))
    audit = what.add_parser("audit", help="prove that every message of a terminal arrived or has a receipt")
    audit.add_argument("--mqtt", default="mqtt://127.0.0.1:1883", metavar="URL")
    audit.add_argument("--estate", type=name_or_any, default="+", help="only this estate")
    audit.add_argument("--terminal", type=name_or_any, default="+", help="only this terminal")
    audit.add_argument("--seconds", type=seconds, default=0, metavar="S", help="end after so long; 0 for never")
    audit.add_argument("--json", action="store_true", help="the whole account as one JSON object")
    audit.add_argument(
        "--store", metavar="FILE", help="keep a session and the account here, so that it can go on later"
    )
    audit.add_argument(
        "--from-start", action="store_true", help="it runs since before the terminals first spoke: count from 1"
    )
    audit.set_defaults(run=_later("center.audit", "run_audit"))


def _add_token(what: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    token = what.add_parser("token", help="make an API token, and print it this once")
    token.add_argument(
        "--role", required=True, help="viewer, agent, lead, technician, campaign_manager, compliance, admin"
    )
    token.add_argument("--name", default="", help="what audit calls it")
    token.add_argument("--account", metavar="NAME", help="whose it is; what two people must agree on needs it")
    token.add_argument("--days", type=float, metavar="N", help="good for so long; default until it is revoked")
    for each in ("estate", "region", "site"):
        token.add_argument(
            f"--{each}", type=place, action="append", metavar="NAME", help="only this one; may be given again"
        )
    _add_settings(token)
    token.add_argument("--json", action="store_true")
    token.set_defaults(run=_later("center.token", "run_token"))


def _add_backup(what: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    backup = what.add_parser("backup", help="all that the center is, while it runs, as one sealed file")
    backup.add_argument("file", metavar="FILE", help="written anew; age -d opens it, too")
    backup.add_argument(
        "--passphrase-file", metavar="F", help="seal it by the passphrase in the first line of this file"
    )
    backup.add_argument("--public-key", metavar="KEY", help="seal it for this key, age1…, as backup-key prints it")
    backup.add_argument("--plain", action="store_true", help="leave it in the clear")
    _add_settings(backup, "; the files that it names are backed up, too")
    backup.set_defaults(run=_later("center.backup", "run_backup"))
    key = what.add_parser("backup-key", help="make a key for backups: FILE opens them, what is printed seals them")
    key.add_argument("file", metavar="FILE", help="keep it away from the center")
    key.set_defaults(run=_later("center.backup", "run_key"))
    restore = what.add_parser("restore", help="a backup into an empty place, checked against its manifest")
    restore.add_argument("file", metavar="FILE")
    restore.add_argument("into", metavar="DIR", help="made, or empty: the center's directory from then on")
    restore.add_argument("--passphrase-file", metavar="F", help="as for backup")
    restore.add_argument("--key", metavar="FILE", help="what backup-key or age-keygen made")
    restore.add_argument("--db", metavar="URL", help="for a backup of PostgreSQL: an empty database, postgresql://…")
    restore.set_defaults(run=_later("center.restore", "run_restore"))


def _add_settings(verb: argparse.ArgumentParser, more: str = "") -> None:
    """For a verb that opens the center's own database."""
    verb.add_argument("--db", metavar="URL", help="default as for run")
    verb.add_argument("--config", metavar="FILE", help=f"as for run{more}")


def _later(module: str, name: str) -> Callable[[argparse.Namespace], int]:
    """The function of that name, whose module is loaded when it is run: each takes a moment that others do not need."""
    return lambda args: int(getattr(import_module(module), name)(args))
