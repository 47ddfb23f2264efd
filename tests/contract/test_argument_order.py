"""Options of every verb stand before, between or after its words, and mean the same."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

import pytest

from agent import cli
from tests.contract.test_command_line import config, posdiag, terminal  # noqa: F401 - fixtures

_NO_WORD = (argparse.PARSER, argparse.REMAINDER)


def _verbs(parser: argparse.ArgumentParser, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, verb in action.choices.items():
                yield from _verbs(verb, (*path, name))
            return
    if any(action.nargs not in _NO_WORD for action in parser._get_positional_actions()):
        yield path, parser


PARSER = cli._parser([])
VERBS = dict(_verbs(PARSER))


def _value(action: argparse.Action) -> str:
    return str(min(action.choices)) if action.choices else "7"


def _words(verb: argparse.ArgumentParser) -> list[str]:
    words = []
    for action in verb._get_positional_actions():
        words += [_value(action)] * (2 if action.nargs in {"+", "*"} else 1)
    return words


def _options(verb: argparse.ArgumentParser) -> list[str]:
    """Each option of the verb, with a value where it takes one."""
    options = []
    for action in verb._get_optional_actions():
        if action.nargs == 0:
            options += [action.option_strings[-1]] if not isinstance(action, argparse._HelpAction) else []
        else:
            options += [action.option_strings[-1], _value(action)]
    return options


def test_the_verbs_with_words_are_found():
    assert {("sim", "get"), ("sim", "set"), ("consent",), ("discover",), ("center", "case")} <= set(VERBS)


@pytest.mark.parametrize("path", VERBS, ids=" ".join)
def test_options_stand_anywhere_among_the_words(path):
    words, options = _words(VERBS[path]), _options(VERBS[path])
    meant = vars(PARSER.parse_args([*path, *options, *words]))
    for place in range(1, len(words) + 1):
        assert vars(PARSER.parse_args([*path, *words[:place], *options, *words[place:]])) == meant, place


def test_a_key_may_follow_an_option(terminal):  # noqa: F811 - the fixture
    said = {
        posdiag("sim", "get", terminal.folder, *order).stdout
        for order in (("--json", "modem.sim"), ("modem.sim", "--json"))
    }
    assert said == {'{"modem.sim": "ready"}\n'}


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (("audit", "verify", "--json", "more"), "unrecognized arguments: more; see posdiag audit --help"),
        (("consent", "list", "--jsn"), "unrecognized arguments: --jsn; see posdiag consent --help"),
        (("demo", "--foo"), "unrecognized arguments: --foo; see posdiag demo --help"),
        (("sim", "--foo", "get", "x"), "unrecognized arguments: --foo; see posdiag sim --help"),
        (("--foo", "status"), "unrecognized arguments: --foo; see posdiag --help"),
        (("sim",), "the following arguments are required: VERB; see posdiag sim --help"),
        (("sim", "play", "--json"), "the following arguments are required: dir, scenario; see posdiag sim play --help"),
        (
            ("center", "send", "a/b", "check", "--wait", "-1"),
            "--wait: -1 is no number of seconds; see posdiag center send --help",
        ),
    ],
)
def test_what_is_wrong_is_told_in_one_line(line, why, capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(line)
    assert end.value.code == 2
    assert capsys.readouterr().err == f"posdiag: {why}\n"


def test_help_is_the_same_as_without_words_between(capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(["consent", "--help"])
    assert end.value.code == 0
    assert "{list,give,refuse} [ID]" in " ".join(capsys.readouterr().out.split())
