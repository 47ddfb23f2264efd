"""`posdiag center faults|terminals|incidents|case|send`: the desk's command line, over the center's API."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NoReturn, Self
from urllib.parse import quote

from center import local_time
from center.arguments import count, seconds
from center.exits import DONE, FAILED, UNABLE
from center.listing import Columns, show

_TOKEN: Final = "POSDIAG_CENTER_TOKEN"  # noqa: S105 - the name of a variable
_ENDED: Final = frozenset({"succeeded", "failed", "rejected", "expired", "interrupted"})
_TIMEOUT_S: Final = 30.0
_LOOK_S: Final = 0.5
_ERRNO: Final = re.compile(r"^\[Errno -?\d+\] ")
_CASE: Final = re.compile(r"[A-Za-z0-9-]{1,64}")
_WRONG_ASKING: Final = frozenset({400, 401, 403, 404, 413, 422, 503})


class Unable(Exception):
    """Why it could not be asked, in one line; `code` is the exit code."""

    def __init__(self, text: str, code: int = UNABLE) -> None:
        super().__init__(text)
        self.code = code


def _eta(words: Sequence[str]) -> dict[str, Any]:
    try:
        at = local_time.parse(words[0], datetime.now(UTC).astimezone())
    except (ValueError, OverflowError):
        raise Unable(f"{words[0]!r} is no time such as {local_time.FORMS}") from None
    return {"eta": at.astimezone(UTC).isoformat(), "reason": " ".join(words[1:])}


_CASE_BODIES: Final[Mapping[str, Callable[[Sequence[str]], dict[str, Any]]]] = {
    "acknowledge": lambda _words: {},
    "undo": lambda _words: {},
    "note": lambda words: {"text": " ".join(words)},
    "message": lambda words: {"text": " ".join(words)},
    "answer": lambda words: {"text": " ".join(words)},
    "resume": lambda words: {"text": " ".join(words)},
    "assign": lambda words: {"owner": words[0]} | ({"team": words[1]} if len(words) > 1 else {}),
    "eta": _eta,
    "pause": lambda words: {"reason": words[0], "text": " ".join(words[1:])},
    "repaired": lambda words: {"remedy": words[0], "text": " ".join(words[1:])},
    "dismiss": lambda words: {"outcome": words[0], "reason": " ".join(words[1:])},
}
_CASE_WORDS: Final = {
    "note": "TEXT",
    "message": "TEXT",
    "answer": "TEXT",
    "assign": "OWNER [TEAM]",
    "eta": f"TIME [WHY], TIME such as {local_time.FORMS}",
    "pause": "merchant|part|operator WHY",
    "repaired": "REMEDY [TEXT]",
    "dismiss": "false_alarm WHY",
}


def add_commands(what: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The verbs of the desk."""
    faults = _verb(what, "faults", "faults that are raised now, as the center knows them", _faults)
    _filters(faults, "unit", "kind", "severity", "site", "region", "operator")
    terminals = _verb(what, "terminals", "terminals and whether they can sell, or retire one", _terminals)
    terminals.add_argument("act", nargs="?", choices=["retire"], metavar="retire", help="take one out of the fleet")
    terminals.add_argument("which", nargs="?", metavar="ESTATE/TERMINAL", help="which to retire")
    terminals.add_argument("--reason", help="why it is retired; it is written down")
    terminals.add_argument("--successor", metavar="NAME", help="the terminal that stands in its place now")
    _filters(terminals, "status", "can_sell", "site", "region", "operator", "unit", "kind")
    incidents = _verb(what, "incidents", "what one cause did to one terminal or many", _incidents)
    _filters(incidents, "state", "severity", "scope")
    case = _verb(what, "case", "list cases, show one, or work on one", _case)
    _filters(case, "state", "owner", "team")
    case.add_argument(
        "case", nargs="?", metavar="CASE", help="a case's number (C-1042, 1042 or the one on the slip) or id"
    )
    case.add_argument("act", nargs="?", choices=sorted(_CASE_BODIES), metavar="VERB", help=", ".join(_CASE_BODIES))
    case.add_argument("words", nargs="*", metavar="WORD", help="what the verb takes, as below")
    case.add_argument("--external", metavar="NAME", help="assign it to somebody without an account: assign [TEAM]")
    case.formatter_class = argparse.RawDescriptionHelpFormatter
    case.epilog = "verbs:\n" + "\n".join(f"  {verb} {_CASE_WORDS.get(verb, '')}".rstrip() for verb in _CASE_BODIES)
    send = _verb(what, "send", "send a signed command to a terminal, and wait for its result", _send)
    send.add_argument("to", metavar="ESTATE/TERMINAL")
    send.add_argument("cmd", metavar="COMMAND", help="check, identify, statistics, collect, print_slip, recover …")
    send.add_argument("args", nargs="*", metavar="NAME=VALUE", help="its arguments, such as device=printer")
    send.add_argument("--reason", required=True, help="why; it is written down")
    send.add_argument("--wait", type=seconds, default=60, metavar="S", help="wait so long for the end; 0 to not wait")


def _verb(
    what: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    told: str,
    run: Callable[[argparse.Namespace, Desk], int],
) -> argparse.ArgumentParser:
    parser = what.add_parser(name, help=told)
    parser.add_argument("--url", default="http://127.0.0.1:8480", help="where the center is; default %(default)s")
    parser.add_argument("--token-file", metavar="FILE", help=f"the API token; default the variable {_TOKEN}")
    parser.add_argument("--json", action="store_true", help="what the API answers")
    parser.set_defaults(run=lambda args: _run(args, run))
    return parser


def _filters(parser: argparse.ArgumentParser, *names: str) -> None:
    for name in ("estate", "terminal", *names):
        parser.add_argument(f"--{name.replace('_', '-')}", dest=f"where_{name}", metavar=name.upper())
    parser.add_argument("--limit", type=count, default=100, help="at most so many; default %(default)s")


def _run(args: argparse.Namespace, verb: Callable[[argparse.Namespace, Desk], int]) -> int:
    try:
        with Desk(args.url, _token(args.token_file)) as desk:
            return verb(args, desk)
    except Unable as error:
        print(f"posdiag: {error}", file=sys.stderr)
        return error.code


def _token(path: str | None) -> str:
    try:
        token = Path(path).read_text("utf-8").strip() if path else os.environ.get(_TOKEN, "").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Unable(f"{path}: {(getattr(error, 'strerror', None) or 'is no text').lower()}") from error
    if path and (not token or not token.isascii() or not token.isprintable()):
        raise Unable(f"{path}: holds no API token, as posdiag center token prints one")
    if not token or not token.isascii() or not token.isprintable():
        raise Unable(f"no API token: make one by posdiag center token, and give it by --token-file or {_TOKEN}")
    return token


class Desk:
    """A connection to the API. Raises Unable."""

    def __init__(self, url: str, token: str) -> None:
        import httpx  # noqa: PLC0415 - other verbs need none of it

        self._httpx = httpx
        self._url = url.rstrip("/")
        if not url.startswith(("http://", "https://")):
            raise Unable(f"{url!r} is not http://HOST:PORT or https://HOST:PORT")
        headers = {"authorization": f"Bearer {token}"}
        try:
            self._client = httpx.Client(base_url=f"{self._url}/api/v1/", headers=headers, timeout=_TIMEOUT_S)
        except (httpx.InvalidURL, ValueError):
            raise Unable(f"{url!r} is not http://HOST:PORT or https://HOST:PORT") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def ask(self, method: str, path: str, **more: Any) -> Any:
        """What it answers."""
        try:
            answer = self._client.request(method, path, **more)
        except (self._httpx.HTTPError, self._httpx.InvalidURL) as error:
            why = _ERRNO.sub("", str(error)) or type(error).__name__
            raise Unable(f"no center at {self._url}: {why}") from error
        try:
            told = answer.json() if answer.content else None
        except ValueError:
            self._strange(answer.status_code)
        if answer.is_success:
            return told
        if not isinstance(told, dict) or "error" not in told:
            self._strange(answer.status_code)
        raise Unable(str(told["error"]), UNABLE if answer.status_code in _WRONG_ASKING else FAILED)

    def _strange(self, status: int) -> NoReturn:
        raise Unable(f"{self._url} is no center of posdiag: it answers {status}")

    def all(self, path: str, params: Mapping[str, Any], limit: int) -> list[Any]:
        """The first `limit` items of a list, through as many pages as that takes."""
        found: list[Any] = []
        cursor: str | None = None
        while len(found) < limit:
            page = {**params, "limit": min(1000, limit - len(found))} | ({"cursor": cursor} if cursor else {})
            answer = self.ask("GET", path, params=page)
            found += answer["items"]
            cursor = answer["next"]
            if cursor is None:
                break
        return found


def _found(args: argparse.Namespace, desk: Desk, what: str) -> list[Any]:
    """The list; nothing at a terminal that is not there is no answer."""
    given = {name[6:]: value for name, value in vars(args).items() if name.startswith("where_")}
    asked = {name: value for name, value in given.items() if value is not None}
    found = desk.all(what, asked, args.limit)
    place = {name: value for name, value in asked.items() if name in {"estate", "terminal"}}
    if not found and place and not desk.all("terminals", place, 1):
        named = f" {place['terminal']!r}" if "terminal" in place else ""
        raise Unable(f"there is no terminal{named}" + (f" of estate {place['estate']!r}" if "estate" in place else ""))
    return found


def _faults(args: argparse.Namespace, desk: Desk) -> int:
    found = _found(args, desk, "faults")
    columns = {
        "terminal": lambda it: f"{it['estate']}/{it['terminal']}",
        "fault": lambda it: it["fault"] + (" (flapping)" if it["state"] == "flapping" else ""),
        "severity": lambda it: it["severity"],
        "because of": lambda it: it["cause"] or "",
        "who acts": lambda it: it["act"],
        "since": lambda it: local_time.shown(it["first_at"]),
    }
    _show(args, found, columns, "no fault is raised", drop=("since", "severity", "because of", "who acts"))
    return FAILED if found else DONE


def _terminals(args: argparse.Namespace, desk: Desk) -> int:
    if args.act is not None:
        return _retire(args, desk)
    if args.reason or args.successor:
        raise Unable("--reason and --successor go with retire")
    found = _found(args, desk, "terminals")
    columns = {
        "terminal": lambda it: f"{it['estate']}/{it['terminal']}",
        "status": lambda it: it["status"] or "never heard",
        "can sell": lambda it: (it["verdict"] or {}).get("can_sell", "unknown"),
        "because of": lambda it: (it["verdict"] or {}).get("cause") or "",
        "site": lambda it: it["site"] or "",
        "last contact": lambda it: local_time.shown(it["last_contact_at"]) or "never",
    }
    _show(args, found, columns, "no terminal", drop=("last contact", "site", "status"), cut="because of")
    return DONE


def _retire(args: argparse.Namespace, desk: Desk) -> int:
    estate, slash, terminal = (args.which or "").partition("/")
    if not slash or not args.reason:
        raise Unable("retire takes ESTATE/TERMINAL and --reason WHY")
    body = {"reason": args.reason, "successor": args.successor}
    path = "/".join(quote(part, safe="") for part in ("terminals", estate, terminal, "retire"))
    told = desk.ask("POST", path, json=body)
    if args.json:
        print(json.dumps(told, ensure_ascii=False))
    else:
        print(f"{args.which} is out of the fleet" + (f"; {args.successor} stands for it" if args.successor else ""))
    return DONE


def _incidents(args: argparse.Namespace, desk: Desk) -> int:
    found = _found(args, desk, "incidents")
    columns = {
        "incident": lambda it: it["id"],
        "state": lambda it: it["state"],
        "severity": lambda it: it["severity"],
        "what": lambda it: it["title"],
        "terminals": lambda it: str(it["terminals_n"]),
        "cannot sell": lambda it: str(it["cannot_sell_n"]),
        "since": lambda it: local_time.shown(it["opened_at"]),
    }
    _show(args, found, columns, "no incident", drop=("since", "severity", "cannot sell", "terminals"), cut="what")
    return DONE


def _case(args: argparse.Namespace, desk: Desk) -> int:
    if args.case is None:
        found = _found(args, desk, "cases")
        _show(args, found, _CASE_COLUMNS, "no case", **_CASE_NARROW)
        return DONE
    if not _CASE.fullmatch(args.case):
        raise Unable(f"{args.case!r} is no case's number or id")
    path = f"cases/{args.case}"
    if args.act is None:
        _show_case(args, desk.ask("GET", path))
        return DONE
    if args.external is not None and args.act != "assign":
        raise Unable("--external goes with assign")
    words = args.words if args.external is None else [args.external, *args.words]
    try:
        body = _CASE_BODIES[args.act](words)
    except IndexError:
        raise Unable(f"{args.act} takes {_CASE_WORDS[args.act]}") from None
    if args.external is not None:
        body["external"] = True
    case = desk.ask("POST", f"{path}/{args.act}", json=body or None)
    _show(args, [case], _CASE_COLUMNS, "", **_CASE_NARROW)
    if args.act == "eta" and not args.json:
        print(f"expected {local_time.shown(case['eta'], '%Y-%m-%d %H:%M %Z')}, which is {case['eta'][:16]}Z")
    return DONE


_CASE_COLUMNS: Final[Columns] = {
    "case": lambda it: str(it["number"]),
    "state": lambda it: it["state"],
    "severity": lambda it: it["severity"],
    "what": lambda it: it["title"],
    "where": lambda it: f"{it['estate']}/{it['terminal'] or it['site'] or ''}",
    "owner": lambda it: it["owner"] or it["team"] or "",
    "expected": lambda it: local_time.shown(it["eta"], "%Y-%m-%d %H:%M"),
}


_CASE_NARROW: Final[dict[str, Any]] = {"drop": ("severity", "expected", "where"), "cut": "what"}


def _show_case(args: argparse.Namespace, case: Any) -> None:
    if args.json:
        print(json.dumps(case, ensure_ascii=False))
        return
    _show(args, [case], _CASE_COLUMNS, "", **_CASE_NARROW)
    for step in case["steps"]:
        at = local_time.shown(step["at"])
        print(" ".join(part for part in (at, step["by"], step["kind"], " ".join(step["text"].split())) if part))


def _send(args: argparse.Namespace, desk: Desk) -> int:
    estate, slash, terminal = args.to.partition("/")
    if not slash:
        raise Unable(f"{args.to!r} is not ESTATE/TERMINAL")
    body = {
        "estate": estate,
        "terminal": terminal,
        "cmd": args.cmd,
        "args": dict(map(_argument, args.args)),
        "reason": args.reason,
    }
    command = desk.ask("POST", "commands", json=body)
    end = time.monotonic() + args.wait
    while command["state"] not in _ENDED and command["state"] != "waiting_approval" and time.monotonic() < end:
        time.sleep(_LOOK_S)
        command = desk.ask("GET", f"commands/{command['id']}")
    if args.json:
        print(json.dumps(command, ensure_ascii=False))
    else:
        print(f"{command['id']}: {_state(command)}")
        if command["output"] is not None:
            print(json.dumps(command["output"], ensure_ascii=False, indent=2))
    if args.wait <= 0 or command["state"] in {"succeeded", "waiting_approval"}:
        return DONE
    return FAILED


def _state(command: Mapping[str, Any]) -> str:
    if command["state"] == "waiting_approval":
        return "waits for a second person"
    return f"{command['state']}: {command['error']}" if command["error"] else str(command["state"])


def _argument(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise Unable(f"{text!r} is not NAME=VALUE")
    if value in {"true", "false"}:
        return name, value == "true"
    return name, int(value) if value.isascii() and value.isdigit() and len(value) < 10 else value


def _show(args: argparse.Namespace, found: Sequence[Any], columns: Columns, nothing: str, **narrow: Any) -> None:
    if args.json:
        print(json.dumps(found, ensure_ascii=False))
    elif found:
        show(columns, found, **narrow)
    else:
        print(nothing)
