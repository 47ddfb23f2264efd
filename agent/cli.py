"""The command line. Thin: each verb lives where its subject does; the other packages bring theirs by entry points."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from agent import VERSION
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
        if self._inside or any(each.nargs in {argparse.PARSER, argparse.REMAINDER} for each in words):
            return super().parse_known_args(args, namespace)
        self._inside = True  # what is called here calls this once for the options and once for the words
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self._inside = False


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
    _add_pki(verbs)
    _add_command_verbs(verbs)
    if not words or words[0] not in OWN:
        _add_others(verbs)
    return parser


Verbs = "argparse._SubParsersAction[argparse.ArgumentParser]"


def _add_others(verbs: Verbs) -> None:  # type: ignore[valid-type]
    from importlib.metadata import entry_points  # noqa: PLC0415 - the agent's own verbs do without

    for point in sorted(entry_points(group="posdiag.commands"), key=lambda point: point.name):
        try:
            add_commands = point.load()
        except ImportError as error:
            _add_missing(verbs, point.name, str(error))
        else:
            add_commands(verbs)


def _add_missing(verbs: Verbs, name: str, why: str) -> None:  # type: ignore[valid-type]
    extra = "center" if name == "center" else "simulator"
    verb = verbs.add_parser(name, help=f"needs the extra {extra}")  # type: ignore[attr-defined]
    verb.add_argument("rest", nargs=argparse.REMAINDER)
    verb.set_defaults(run=lambda _args: fail(f"{name} needs more: pip install 'posdiag[{extra}]' ({why})"))


def _add_run(verbs: Verbs) -> None:  # type: ignore[valid-type]
    verb = verbs.add_parser("run", help="the daemon")  # type: ignore[attr-defined]
    verb.add_argument("--config", required=True, metavar="FILE")
    verb.add_argument("--log-level", default="info", choices=("debug", "info", "warning", "error"))
    verb.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    from agent import config_file  # noqa: PLC0415

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


def _add_check(verbs: Verbs) -> None:  # type: ignore[valid-type]
    verb = verbs.add_parser("check", help="one health check now, without broker or daemon")  # type: ignore[attr-defined]
    verb.add_argument("--config", default=_DEFAULT_CONFIG, metavar="FILE")
    verb.add_argument("--device", metavar="D", help="only this device")
    verb.add_argument(
        "--level",
        choices=("internal", "external", "interactive"),
        default="internal",
        help="external also prints a line, interactive also asks you to press each key of the keypad",
    )
    verb.add_argument("--report", action="store_true", help="add a readiness score with a to-do list")
    verb.add_argument("--json", action="store_true")
    verb.set_defaults(run=_check)


def _check(args: argparse.Namespace) -> int:
    from agent.check import run_check  # noqa: PLC0415

    return run_check(args)


def _add_status(verbs: Verbs) -> None:  # type: ignore[valid-type]
    verb = verbs.add_parser("status", help="what the running daemon knows")  # type: ignore[attr-defined]
    verb.add_argument("--config", default=_DEFAULT_CONFIG, metavar="FILE")
    verb.add_argument("--json", action="store_true")
    verb.set_defaults(run=_status)


def _status(args: argparse.Namespace) -> int:
    from agent.status import run_status  # noqa: PLC0415

    return run_status(args)


def _add_slip(verbs: Verbs) -> None:  # type: ignore[valid-type]
    verb = verbs.add_parser("slip", help="print what to do now, and the whole report as a QR code")  # type: ignore[attr-defined]
    verb.add_argument("--config", default=_DEFAULT_CONFIG, metavar="FILE")
    verb.add_argument("--text", action="store_true", help="show it on this screen, print nothing")
    verb.add_argument("--png", metavar="FILE", help="write the QR code as a picture, print nothing")
    verb.add_argument("--json", action="store_true")
    verb.set_defaults(run=_slip)


def _slip(args: argparse.Namespace) -> int:
    from agent.slip_verb import run_slip  # noqa: PLC0415

    return run_slip(args)


def _add_work_order(verbs: Verbs) -> None:  # type: ignore[valid-type]
    verb = verbs.add_parser("work-order", help="announce a visit at this terminal, or say that it was inspected")  # type: ignore[attr-defined]
    verb.add_argument("what", choices=("open", "close", "inspected"))
    verb.add_argument("--config", default=_DEFAULT_CONFIG, metavar="FILE")
    verb.add_argument("--hours", type=float, default=4.0, help="how long it is open (4)")
    verb.add_argument("--json", action="store_true")
    verb.set_defaults(run=_work_order)


def _work_order(args: argparse.Namespace) -> int:
    from agent.visit import run_visit  # noqa: PLC0415

    return run_visit(args)


def _add_discover(verbs: Verbs) -> None:  # type: ignore[valid-type]
    verb = verbs.add_parser("discover", help="which devices on which ports, at which speed, and how sure")  # type: ignore[attr-defined]
    verb.add_argument("ports", nargs="*", metavar="PORT", help="ports to look at; none for all candidates")
    verb.add_argument("--json", action="store_true")
    verb.set_defaults(run=_discover)


def _discover(args: argparse.Namespace) -> int:
    from agent.discovery import run_discover  # noqa: PLC0415

    return run_discover(args)


def _add_config(verbs: Verbs) -> None:  # type: ignore[valid-type]
    verb = verbs.add_parser("config", help="check, show or describe the configuration")  # type: ignore[attr-defined]
    what = verb.add_subparsers(metavar="WHAT", required=True)
    for name, about, needs_file in (
        ("check", "say what is wrong with a file", True),
        ("show", "print it with every default filled in", True),
        ("schema", "print the JSON Schema", False),
    ):
        sub = what.add_parser(name, help=about)
        sub.add_argument("file", nargs=None if needs_file else "?", metavar="FILE")
        sub.add_argument("--json", action="store_true")
        sub.set_defaults(run=_config, what=name)


def _config(args: argparse.Namespace) -> int:
    import json  # noqa: PLC0415

    from agent import config_file  # noqa: PLC0415
    from agent.wire import to_json_whole  # noqa: PLC0415

    if args.what == "schema":
        print(json.dumps(config_file.schema(), indent=2, ensure_ascii=False))
        return EXIT_OK
    try:
        config = config_file.check(args.file)
    except config_file.ConfigError as error:
        if args.json:
            print(json.dumps({"ok": False, "problems": error.problems}, ensure_ascii=False))
            return EXIT_CANNOT
        return fail(error)
    if args.what == "show":
        print(json.dumps(to_json_whole(config), indent=2, ensure_ascii=False))
    elif args.json:
        print(json.dumps({"ok": True, "problems": []}))
    else:
        print(f"{args.file}: good; {len(config.device)} devices, broker {config.mqtt.url}")
    return EXIT_OK


def _add_pki(verbs: Verbs) -> None:  # type: ignore[valid-type]
    from agent.pki_verb import add_commands  # noqa: PLC0415

    add_commands(verbs)


def _add_command_verbs(verbs: Verbs) -> None:  # type: ignore[valid-type]
    from agent.command_verbs import add_commands  # noqa: PLC0415

    add_commands(verbs, _DEFAULT_CONFIG)


if __name__ == "__main__":
    sys.exit(main())
