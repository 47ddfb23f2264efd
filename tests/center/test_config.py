"""`posdiag center config`: what is in force and from where, and what there is to set."""

from __future__ import annotations

import argparse
import json
import tomllib
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from agent import cli
from center.settings import Settings, load

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("POSDIAG_CENTER_DIR", str(tmp_path / "state"))
    return tmp_path / "state"


def asked(capsys: Capture, *words: str) -> str:
    assert cli.main(["center", "config", *words]) == 0
    return capsys.readouterr().out


def test_each_setting_says_where_it_comes_from(tmp_path: Path, capsys: Capture, state: Path):
    file = tmp_path / "center.toml"
    file.write_text('http = "127.0.0.1:1"\nmqtt = "mqtts://elsewhere"\nbatch = 7\n')
    shown = json.loads(asked(capsys, "show", "--config", str(file), "--http", "127.0.0.1:2", "--json"))
    assert shown["http"] == {"value": "127.0.0.1:2", "from": "flag --http"}
    assert shown["batch"] == {"value": 7, "from": f"file {file}"}
    assert shown["db"] == {"value": f"sqlite:///{state}/center.db", "from": "environment POSDIAG_CENTER_DIR"}
    assert shown["name"] == {"value": "main", "from": "default"}
    assert f"to be made in {state}" in shown["group"]["from"]
    assert not state.exists()


def test_what_is_shown_is_a_file_that_gives_the_same(tmp_path: Path, capsys: Capture):
    file = tmp_path / "center.toml"
    file.write_text('estates = ["a", "b"]\nalone = true\ngroup = "a-secret"\n')
    text = asked(capsys, "show", "--config", str(file))
    assert "a-secret" not in text
    again = tmp_path / "again.toml"
    again.write_text(text)
    assert load(argparse.Namespace(config=str(again))).estates == ("a", "b")


def test_no_password_is_shown(capsys: Capture):
    text = asked(capsys, "show", "--db", "postgresql://center:hunter2@db.example/center")
    assert "hunter2" not in text
    assert "postgresql://center:***@db.example/center" in text


def test_the_schema_is_a_file_of_all_defaults_and_a_json_schema_of_it(tmp_path: Path, capsys: Capture):
    text = asked(capsys, "schema")
    file = tmp_path / "center.toml"
    file.write_text(text)
    assert load(argparse.Namespace(config=str(file), db=None)).batch == Settings().batch
    schema = json.loads(asked(capsys, "schema", "--json"))
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema).validate(tomllib.loads(text))
    assert all(each["description"] for each in schema["properties"].values())
    assert set(schema["properties"]) == set(tomllib.loads(text)) | {"group"}
    for wrong in ({"batch": 0}, {"role": "king"}, {"htpp": "x"}, {"estates": "a"}, {"alone": 1}):
        assert list(Draft202012Validator(schema).iter_errors(wrong))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('htpp = "127.0.0.1:1"', "no setting is called 'htpp'; is it http? There are role, db, mqtt, http"),
        ("batch = 0", "batch is a whole number above 0"),
        ('role = "king"', "role is one of all, ingest, web"),
        ('name = "a/b"', "name is a word of letters"),
        ('mqtt = "http://x"', "is not mqtt://host:port"),
        ('mqtt = "mqtt://192.0.2.1"', "without TLS only to this machine itself; use mqtts://, or mqtt_without_tls"),
        ("batch =", "Invalid value"),
    ],
)
def test_what_cannot_be_is_one_line_and_exit_2(tmp_path: Path, capsys: Capture, text: str, told: str):
    file = tmp_path / "center.toml"
    file.write_text(text)
    for verb in (("config", "show"), ("run",), ("token", "--role", "viewer")):
        assert cli.main(["center", *verb, "--config", str(file)]) == 2
        err = capsys.readouterr().err
        assert told in err
        assert err.count("\n") == 1


@pytest.mark.parametrize(
    "text",
    [
        'mqtt = "mqtt://[::1]"',
        'mqtt = "mqtts://192.0.2.1"',
        """mqtt = "mqtt://192.0.2.1"
mqtt_without_tls = true""",
    ],
)
def test_without_tls_to_this_machine_or_where_the_file_says_so(tmp_path: Path, text: str):
    file = tmp_path / "center.toml"
    file.write_text(text)
    assert load(argparse.Namespace(config=str(file))).mqtt.endswith(("]", "192.0.2.1"))


def test_no_such_file_is_one_line(tmp_path: Path, capsys: Capture):
    assert cli.main(["center", "config", "show", "--config", str(tmp_path / "none.toml")]) == 2
    assert capsys.readouterr().err == f"posdiag: {tmp_path}/none.toml: no such file or directory\n"
