"""The command line. Thin: each verb lives where its subject does; the other packages bring theirs by entry points."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

from agent import VERSION, pki_verb
from agent.exits import EXIT_CANNOT, EXIT_OK, fail

OWN = frozenset(
    {"run", "check", "status", "slip", "work-order", "discover", "config", "pki", "consent", "audit", "bundle"}
)
_DEFAULT_CONFIG = "/etc/posdiag/agent.toml"


class Parser(argparse.ArgumentParser):
    """Takes options before, between and after a verb's words, and tells in one line what is wrong with them.

    The parsers of its verbs are of this class, too.
    """

    _inside = False

    def error(self, message: str) -> NoReturn:
        print(f"posdiag: {message.removeprefix('argument ')}; see {self.prog} --help", file=sys.stderr)
        raise SystemExit(EXIT_CANNOT)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        words = self._get_positional_actions()
        if self._inside:
            return super().parse_known_args(args, namespace)
        if any(each.nargs in {argparse.PARSER, argparse.REMAINDER} for each in words):
            known, others = super().parse_known_args(args, namespace)
        else:
            self._inside = True  # what is called here calls this once for the options and once for the words
            try:
                known, others = self.parse_known_intermixed_args(args, namespace)
            finally:
                self._inside = False
        if others:  # told here, where the verb is known whose help says what there is
            self.error(f"unrecognized arguments: {' '.join(others)}")
        return known, others


Verbs: TypeAlias = "argparse._SubParsersAction[Parser]"  # noqa: SLF001 - it has no public name


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb. 0 healthy or done, 1 faults found or failed, 2 could not run."""
    words = list(sys.argv[1:] if argv is None else argv)
    parser = _parser(words)
    args = parser.parse_args(words)
    run: Callable[[argparse.Namespace], int] | None = getattr(args, "run", None)
    if run is None:
        parser.print_help()
        return EXIT_CANNOT
    try:
        return run(args)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # somebody read the first lines and left
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_OK


def _parser(words: list[str]) -> argparse.ArgumentParser:
    parser = Parser(
        prog="posdiag", description="What is wrong with this terminal, what explains it, who must act, what to do now."
    )
    parser.add_argument("--version", action="version", version=f"posdiag {VERSION}")
    verbs = parser.add_subparsers(metavar="VERB")
    _add_run(verbs)
    _add_check(verbs)
    _add_status(verbs)
    _add_slip(verbs)
    _add_work_order(verbs)
    _add_discover(verbs)
    _add_config(verbs)
    pki_verb.add_commands(verbs)
    _add_consent(verbs)
    _add_audit(verbs)
    _add_bundle(verbs)
    if not words or words[0] not in OWN:
        _add_others(verbs)
    return parser


def _add_others(verbs: Verbs) -> None:
    from importlib.metadata import entry_points  # noqa: PLC0415 - the agent's own verbs do without

    for point in sorted(entry_points(group="posdiag.commands"), key=lambda point: point.name):
        try:
            add_commands = point.load()
        except ImportError as error:
            _add_missing(verbs, point.name, str(error))
        else:
            add_commands(verbs)


def _add_missing(verbs: Verbs, name: str, why: str) -> None:
    extra = "center" if name == "center" else "simulator"
    verb = verbs.add_parser(name, help=f"needs the extra {extra}")
    verb.add_argument("rest", nargs=argparse.REMAINDER)
    verb.set_defaults(run=lambda _args: fail(f"{name} needs more: pip install 'posdiag[{extra}]' ({why})"))


def _add_run(verbs: Verbs) -> None:
    verb = verbs.add_parser("run", help="the daemon")
    verb.add_argument("--config", required=True, metavar="FILE")
    verb.add_argument("--log-level", default="info", choices=("debug", "info", "warning", "error"))
    verb.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    from agent import config_file  # noqa: PLC0415 - as `_later` does

    try:
        if not config_file.passed_before(args.config):
            config_file.check(args.config)
            config_file.note_passed(args.config)
    except config_file.ConfigError as error:
        return fail(error)
    # What checking and this command line took, the daemon must not hold for years; so it starts anew without it.
    command = [sys.executable, "-P", "-m", "agent.serve", args.config, args.log_level]
    command[1:1] = ["-O"] * sys.flags.optimize  # as the package's unit asks for it
    command[1:1] = ["-Xno_debug_ranges"] * ("no_debug_ranges" in sys._xoptions)  # noqa: SLF001 - it is in the manual
    sys.stdout.flush()
    os.execv(sys.executable, command)  # noqa: S606 - our own interpreter, no shell
    return EXIT_CANNOT  # execv does not return


def _add_check(verbs: Verbs) -> None:
    verb = verbs.add_parser("check", help="one health check now, without broker or daemon")
    verb.add_argument("--device", metavar="D", help="only this device")
    verb.add_argument(
        "--level",
        choices=("internal", "external", "interactive"),
        default="internal",
        help="external also prints a line, interactive also asks you to press each key of the keypad",
    )
    verb.add_argument("--report", action="store_true", help="add a readiness score with a to-do list")
    _add_common(verb)
    verb.set_defaults(run=_later("agent.check", "run_check"))


def _add_status(verbs: Verbs) -> None:
    verb = verbs.add_parser("status", help="what the running daemon knows")
    _add_common(verb)
    verb.set_defaults(run=_later("agent.status", "run_status"))


def _add_slip(verbs: Verbs) -> None:
    verb = verbs.add_parser("slip", help="print what to do now, and the whole report as a QR code")
    verb.add_argument("--text", action="store_true", help="show it on this screen, print nothing")
    verb.add_argument("--png", metavar="FILE", help="write the QR code as a picture, print nothing")
    _add_common(verb)
    verb.set_defaults(run=_later("agent.slip_verb", "run_slip"))


def _add_work_order(verbs: Verbs) -> None:
    verb = verbs.add_parser("work-order", help="announce a visit at this terminal, or say that it was inspected")
    verb.add_argument("what", choices=("open", "close", "inspected"))
    verb.add_argument("--hours", type=float, default=4.0, help="how long it is open (4)")
    _add_common(verb)
    verb.set_defaults(run=_later("agent.visit", "run_visit"))


def _add_discover(verbs: Verbs) -> None:
    verb = verbs.add_parser("discover", help="which devices on which ports, at which speed, and how sure")
    verb.add_argument("ports", nargs="*", metavar="PORT", help="ports to look at; none for all candidates")
    verb.add_argument("--json", action="store_true")
    verb.set_defaults(run=_later("agent.discovery", "run_discover"))


def _add_config(verbs: Verbs) -> None:
    verb = verbs.add_parser("config", help="check, show or describe the configuration")
    what = verb.add_subparsers(metavar="WHAT", required=True)
    for name, about, needs_file in (
        ("check", "say what is wrong with a file", True),
        ("show", "print it with every default filled in", True),
        ("schema", "print the JSON Schema", False),
    ):
        sub = what.add_parser(name, help=about)
        sub.add_argument("file", nargs=None if needs_file else "?", metavar="FILE")
        sub.add_argument("--json", action="store_true")
        sub.set_defaults(run=_later("agent.config_verb", "run_config"), what=name)


def _add_consent(verbs: Verbs) -> None:
    verb = verbs.add_parser("consent", help="list, give or refuse what waits for somebody at the terminal")
    verb.add_argument("what", choices=("list", "give", "refuse"))
    verb.add_argument("id", nargs="?", metavar="ID", help="of what waits; none needed for list")
    _add_common(verb)
    verb.set_defaults(run=_later("agent.command_verbs", "run_consent"))


def _add_audit(verbs: Verbs) -> None:
    verb = verbs.add_parser("audit", help="check the chain of decisions about commands")
    verb.add_argument("what", choices=("verify",))
    verb.add_argument("--state-dir", type=Path, metavar="DIR", help="instead of the configuration's")
    verb.add_argument("--head", metavar="N:HASH", help="a line that the center was told of; it must be in the chain")
    _add_common(verb)
    verb.set_defaults(run=_later("agent.command_verbs", "run_audit"))


def _add_bundle(verbs: Verbs) -> None:
    verb = verbs.add_parser("bundle", help="write the redacted diagnostics bundle to a file")
    verb.add_argument("--out", type=Path, metavar="FILE", help="none for posdiag-TERMINAL-TIME.tar.gz here")
    _add_common(verb)
    verb.set_defaults(run=_later("agent.command_verbs", "run_bundle"))


def _add_common(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--config", default=_DEFAULT_CONFIG, metavar="FILE")
    verb.add_argument("--json", action="store_true")


def _later(module: str, name: str) -> Callable[[argparse.Namespace], int]:
    """The function of that name, whose module is loaded when it is run: no verb waits for what another needs."""
    return lambda args: int(getattr(import_module(module), name)(args))


if __name__ == "__main__":
    sys.exit(main())
