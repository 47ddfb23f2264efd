"""The command lines of the center as people run them: run, token, faults, terminals, case, send, schema."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import pty
import signal
import sqlite3
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jsonschema import Draft202012Validator
from sqlalchemy import select, update

from agent import cli, wire
from center.access import accounts, credentials
from center.db import tables
from center.db.engine import Database
from center.schema import asyncapi, message_schema
from tests.center import said
from tests.center.asking import Api, asking
from tests.center.fleet_rows import NOW, fill
from tests.mqtt.broker import Observer, Rumqttd
from tests.wait import wait_until

Desk = Callable[..., tuple[int, str, str]]


@pytest.fixture
def api(database: Database) -> Iterator[Api]:
    fill(database, 12)
    with asking(database) as running:
        yield running


@pytest.fixture
def desk(api: Api, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Desk:
    """Runs a verb as the lead; exit code, output and errors."""
    monkeypatch.setenv("POSDIAG_CENTER_TOKEN", api.token("admin", account_id="acc-1"))

    def run(verb: str, *words: str) -> tuple[int, str, str]:
        try:
            code = cli.main(["center", verb, "--url", f"http://127.0.0.1:{api.port}", *words])
        except SystemExit as end:  # what the parser refuses
            code = int(end.code or 0)
        told = capsys.readouterr()
        return code, told.out, told.err

    return run


def test_faults_are_shown_and_make_the_exit_code(desk: Desk) -> None:
    code, out, _ = desk("faults")
    assert code == 1
    assert out.count("printer/paper_out") == 3
    assert desk("faults", "--unit", "modem")[:2] == (0, "no fault is raised\n")
    assert [each["terminal"] for each in json.loads(desk("faults", "--json", "--terminal", "t000005")[1])] == [
        "t000005"
    ]


def test_lists_go_on_over_pages_up_to_the_limit(desk: Desk) -> None:
    assert len(json.loads(desk("terminals", "--json", "--limit", "7")[1])) == 7
    assert len(json.loads(desk("terminals", "--json")[1])) == 12
    assert "e/t000011" in desk("terminals")[1]
    assert "Paper out" in desk("incidents")[1]


def test_a_case_is_shown_and_worked_on(desk: Desk) -> None:
    assert "1005" in desk("case")[1]
    assert desk("case", "1005", "acknowledge")[0] == 0
    code, out, _ = desk("case", "1005", "note", "came", "by")
    assert (code, "acknowledged" in out) == (0, True)
    assert "note came by" in desk("case", "1005")[1]
    assert desk("case", "1005", "acknowledge") == (
        1,
        "",
        "posdiag: the case is acknowledged: it is acknowledged already\n",
    )
    assert desk("case", "9999")[0] == 2
    assert desk("case", "1005", "assign") == (2, "", "posdiag: assign takes OWNER [TEAM]\n")


@pytest.mark.parametrize("said", ["C-1005", "c-1005", "C1005", "727-410-695", "727410695", "case-00000005"])
def test_a_case_is_named_as_the_screens_and_the_slip_name_it(desk: Desk, api: Api, said: str) -> None:
    with api.database.begin() as connection:
        rows = tables.cases
        connection.execute(update(rows).where(rows.c.number.in_((1000, 1005))).values(local_number="727-410-695"))
    assert json.loads(desk("case", said, "--json")[1])["number"] == 1005
    assert desk("case", said, "note", "came", "by")[0] == 0
    assert desk("case", "727-410-696")[0] == 2


def test_a_case_is_given_to_who_is_known_or_to_somebody_else_on_purpose(desk: Desk, api: Api) -> None:
    with api.database.begin() as connection:
        accounts.create(connection, "bob", ["agent"], NOW)
    code, out, err = desk("case", "1005", "assign", "bbo")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "there is bob" in err
    assert "assigned  " in desk("case", "1005", "assign", "bob", "field")[1]
    assert desk("case", "1005", "note", "x", "--external", "Fixit")[0] == 2
    assert "Fixit Ltd" in desk("case", "1005", "assign", "--external", "Fixit Ltd")[1]


def test_when_it_is_expected_is_local_time_and_said_back(desk: Desk, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    api.clock_ms = time.time_ns() // 1_000_000
    monkeypatch.setenv("TZ", "Asia/Shanghai")
    time.tzset()
    try:
        code, out, _ = desk("case", "1005", "eta", "2035-01-02T18:30", "the", "part", "is", "late")
        code_wrong, _, err = desk("case", "1005", "eta", "soon")
    finally:
        monkeypatch.undo()
        time.tzset()
    assert (code, out.splitlines()[-1]) == (0, "expected 2035-01-02 18:30 CST, which is 2035-01-02T10:30Z")
    assert (code_wrong, err.count("\n"), "2026-11-22T18:30" in err) == (2, 1, True)


@pytest.mark.parametrize(("columns", "left_out"), [(80, False), (66, True)])
def test_a_narrow_terminal_shows_whole_words(api: Api, columns: int, left_out: bool) -> None:
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    words = [sys.executable, "-m", "agent.cli", "center", "faults", "--url", f"http://127.0.0.1:{api.port}"]
    environment = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "LINES"}}
    environment |= {"POSDIAG_CENTER_TOKEN": api.token("lead")}
    try:
        assert subprocess.run(words, stdout=slave, env=environment, check=False).returncode == 1
    finally:
        os.close(slave)
    told = []
    with os.fdopen(master, "rb", buffering=0) as screen, suppress(OSError):  # so Linux tells the end of it
        while piece := screen.read(4096):
            told.append(piece)
    shown = b"".join(told).decode().splitlines()
    assert max(map(len, shown)) <= columns
    assert sum("printer/paper_out" in line for line in shown) == 3
    assert shown[-1].startswith("too narrow for: since") == left_out
    assert len(shown) == 4 + left_out


@pytest.mark.parametrize(
    "words",
    [
        ("faults", "--limit", "0"),
        ("faults", "--limit", "x"),
        ("faults", "--severity", "huge"),
        ("faults", "--terminal", "t999999"),
        ("terminals", "--estate", "f"),
        ("terminals", "--token-file", "/no/such/file"),
        ("terminals", "--token-file", __file__),
        ("incidents", "--scope", "galaxy"),
        ("case", "--state", "nope"),
        ("case", ".."),
        ("case", "9999", "note", "x"),
        ("case", "1005", "frob"),
        ("case", "1005", "note"),
        ("case", "1005", "pause", "holiday", "sun"),
        ("case", "1005", "dismiss", "duplicate", "of what"),
        ("send", "e/t000001", "check", "--reason", "just so", "--wait", "-1"),
        ("send", "e/t000001", "check", "--reason", "just so", "--wait", "nan"),
        ("send", "e/t000001", "check"),
        ("faults", "--unit", "No Such"),
        ("send", "t000001", "check", "--reason", "just so"),
        ("send", "e/t000001", "check", "device", "--reason", "just so"),
        ("send", "e/t000001", "check", "--reason", "just so"),
        ("send", "e/t000001", "reboot", "--reason", "just so"),
        ("send", "e/t999999", "format", "--reason", "just so"),
    ],
)
def test_what_cannot_be_asked_is_one_line_and_exit_2(desk: Desk, words: tuple[str, ...]) -> None:
    code, out, err = desk(*words)
    assert (code, out) == (2, "")
    assert err.startswith("posdiag: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "words",
    [
        ("watch", "--mqtt", "mqtt://127.0.0.1:99999"),
        ("watch", "--mqtt", "mqtts://127.0.0.1"),
        ("watch", "--mqtt", "mqtt://127.0.0.1:1"),
        ("watch", "--estate", "a/#"),
        ("watch", "--seconds", "-1"),
        ("audit", "--mqtt", "mqtt://127.0.0.1:x"),
        ("audit", "--terminal", "#"),
        ("scan", "--file", "/no/such/file"),
        ("scan", "--file", sys.executable),
        ("scan", "--keys", sys.executable, "POSDIAG1-ABC"),
        ("verify-evidence", "/no/such/file"),
        ("schema", "--message", "Nope"),
        ("token",),
        ("token", "--role", "viewer", "--site", " "),
        ("run", "--role", "king"),
        ("run", "--config", sys.executable),
        ("config",),
        ("config", "show", "--http", "here"),
    ],
)
def test_wrong_arguments_are_one_line_and_exit_2(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSDIAG_CENTER_DIR", str(tmp_path / "state"))
    try:
        code = cli.main(["center", *words])
    except SystemExit as end:
        code = int(end.code or 0)
    told = capsys.readouterr()
    assert (code, told.out, told.err.count("\n")) == (2, "", 1)
    assert told.err.startswith("posdiag: ")
    assert not (tmp_path / "state").exists()


def test_nobody_there_or_no_token(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("POSDIAG_CENTER_TOKEN", raising=False)
    assert cli.main(["center", "faults"]) == 2
    assert "posdiag center token" in capsys.readouterr().err
    monkeypatch.setenv("POSDIAG_CENTER_TOKEN", "pdt_x")
    for url in ("http://127.0.0.1:1", "nonsense", "http://[::1"):
        assert cli.main(["center", "faults", "--url", url]) == 2
        assert capsys.readouterr().err.count("\n") == 1


def test_tokens_are_made_for_a_role_and_a_part_of_the_fleet(
    api: Api, capsys: pytest.CaptureFixture[str], database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSDIAG_CENTER_DIR", str(tmp_path))
    words = ["center", "token", "--db", database_url]
    assert cli.main([*words, "--role", "viewer", "--region", "north", "--json"]) == 0
    token = json.loads(capsys.readouterr().out)["token"]
    api.clock_ms = 4_000_000_000_000
    answer = api.client.get("/api/v1/terminals", headers={"authorization": f"Bearer {token}"})
    assert {each["region"] for each in answer.json()["items"]} == {"north"}
    for wrong in (["--role", "king"], ["--role", "viewer", "--days", "0"]):
        assert cli.main([*words, *wrong]) == 2
        assert capsys.readouterr().err.count("\n") == 1
    assert cli.main(["center", "token", "--role", "viewer", "--db", "mysql://h"]) == 2
    assert cli.main([*words, "--role", "viewer", "--account", "zoe"]) == 2
    assert "no account is called 'zoe'" in capsys.readouterr().err
    with api.database.begin() as connection:
        account_id = accounts.create(connection, "zoe", ["agent"], NOW)
    assert cli.main([*words, "--role", "viewer", "--account", "zoe"]) == 0
    with api.database.read() as connection:
        who = credentials.by_token(connection, capsys.readouterr().out.strip(), NOW)
    assert who is not None
    assert who.account_id == account_id


def test_a_token_is_made_only_where_there_is_a_center(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nowhere, strange, old = (tmp_path / name for name in ("none/center.db", "strange.db", "old.db"))
    sqlite3.connect(strange).close()
    with closing(sqlite3.connect(old)) as connection:
        connection.executescript(
            "CREATE TABLE alembic_version (version_num TEXT); INSERT INTO alembic_version VALUES ('0001')"
        )
    for file, told in (
        (nowhere, f"no database at {nowhere}; posdiag center run makes it"),
        (strange, "holds no center"),
        (old, "is of version 0001"),
    ):
        assert cli.main(["center", "token", "--role", "viewer", "--db", f"sqlite:///{file}"]) == 2
        err = capsys.readouterr().err
        assert told in err
        assert err.count("\n") == 1
    assert not nowhere.parent.exists()
    with closing(sqlite3.connect(strange)) as connection:
        assert connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)


def test_the_contract_is_printed_as_asyncapi_that_fits_what_is_sent() -> None:
    document = asyncapi()
    assert document["asyncapi"].startswith("3.")
    addresses = {channel["address"] for channel in document["channels"].values()}
    for topic in wire.Topics("{estate}", "{terminal}").subscriptions():
        assert topic.replace("+", "{id}") in addresses
    assert wire.Topics("{estate}", "{terminal}").fault("{unit}/{kind}") in addresses
    for operation in document["operations"].values():
        channel = document["channels"][operation["channel"]["$ref"].removeprefix("#/channels/")]
        for message in channel["messages"].values():
            name = message["$ref"].removeprefix("#/components/messages/")
            assert document["components"]["messages"][name]["payload"] == {"$ref": f"#/components/schemas/{name}"}
    assert set(wire.DELIVERY) - {"fault.cleared"} == {
        address.split("/", 4)[4].replace("/{unit}/{kind}", "").replace("/{id}", "")
        for operation in document["operations"].values()
        if operation["action"] == "receive"
        for address in [document["channels"][operation["channel"]["$ref"].removeprefix("#/channels/")]["address"]]
    }


@pytest.mark.parametrize(
    ("name", "payload"),
    [
        ("StateMessage", said.state()),
        ("FaultMessage", said.fault()),
        ("EventMessage", said.event(1)),
        ("TelemetryMessage", said.telemetry(1)),
        ("ResultMessage", said.result(1, "cmd-12345678")),
        ("InventoryMessage", said.inventory()),
        ("DigestMessage", said.digest("printer/paper_out")),
    ],
)
def test_a_message_fits_its_schema_and_a_wrong_one_does_not(name: str, payload: bytes) -> None:
    validator = Draft202012Validator(message_schema(name))
    Draft202012Validator.check_schema(message_schema(name))
    message = json.loads(payload)
    assert list(validator.iter_errors(message)) == []
    assert list(validator.iter_errors(message | {"boot": "one"}))
    del message["at"]
    assert list(validator.iter_errors(message))


# --- the whole of it ----------------------------------------------------------------------------------------------------


def _center(tmp_path: Path, *words: str) -> subprocess.Popen[str]:
    with (tmp_path / "center.log").open("a") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "agent.cli", "center", "run", *words],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=os.environ | {"POSDIAG_CENTER_DIR": str(tmp_path / "state")},
        )


def _key(path: Path) -> Path:
    key = Ed25519PrivateKey.generate()
    raw = {"d": key.private_bytes_raw(), "x": key.public_key().public_bytes_raw()}
    jwk = {name: _text(value) for name, value in raw.items()}
    path.write_text(json.dumps({"kty": "OKP", "crv": "Ed25519", "kid": "k1", **jwk}))
    path.chmod(0o600)
    return path


def _text(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def _one(database: Database, column: Any, where: Any) -> Any:
    with database.read() as connection:
        return connection.execute(select(column).where(where)).scalar()


@pytest.mark.timeout(180)
def test_a_fault_comes_to_the_desk_and_a_command_to_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = Rumqttd(tmp_path)
    broker.start()
    config = tmp_path / "center.toml"
    config.write_text(f'command_key_file = "{_key(tmp_path / "key.jwk")}"\nalone = true\n')
    url = f"sqlite:///{tmp_path / 'center.db'}"
    words = ("--config", str(config), "--db", url, "--mqtt", f"mqtt://127.0.0.1:{broker.port}")
    process = _center(tmp_path, *words, "--http", "127.0.0.1:0")
    started, database = [process], Database(url)
    try:
        assert process.stdout is not None
        assert "one-time password" in process.stdout.readline()
        log = tmp_path / "center.log"
        wait_until(lambda: "listening at http" in log.read_text() and "listening as" in log.read_text(), 60)
        assert f"first start: made the database {tmp_path}/center.db" in log.read_text()
        address = log.read_text().partition("listening at ")[2].split()[0]
        monkeypatch.setenv("POSDIAG_CENTER_DIR", str(tmp_path / "state"))
        assert cli.main(["center", "token", "--role", "admin", "--db", url]) == 0
        monkeypatch.setenv("POSDIAG_CENTER_TOKEN", capsys.readouterr().out.strip())
        with Observer(broker.port) as observer:
            observer.publish("pos/1/e/t/state", said.state(), retain=True)
            observer.publish("pos/1/e/t/inventory", said.inventory(), retain=True)
            observer.publish("pos/1/e/t/fault/printer/paper_out", said.fault(), retain=True)
            at = ("--url", address)
            known = tables.terminals.c  # what else it said may come after the fault: by another queue of the broker
            wait_until(lambda: _one(database, known.inventory, known.status == "online"))
            wait_until(lambda: cli.main(["center", "faults", *at]) == 1, every_s=0.2)
            assert "printer/paper_out" in capsys.readouterr().out
            send = ["center", "send", *at, "e/t", "check", "--reason", "just to see", "--wait", "0", "--json"]
            assert cli.main(send) == 0
            told = json.loads(capsys.readouterr().out.splitlines()[-1])
            (signed,) = wait_until(lambda: observer.of("t/command"))
            assert signed.count(b".") == 2
        sent, key = tables.outbox.c, f"command/{told['id']}"
        wait_until(lambda: _one(database, sent.state, sent.key == key) == "done")
        assert httpx.get(f"{address}/metrics", timeout=30).text.count("posdiag_faults_raised{") == 1
        assert told["id"].startswith("cmd-")
        busy = _center(tmp_path, *words, "--role", "web", "--http", address.removeprefix("http://"))
        started.append(busy)
        assert busy.wait(60) == 2
        assert "Address already in use" in log.read_text()
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        for each in started:
            each.kill()
            each.communicate()
        broker.kill()
        database.close()
    assert "Traceback" not in log.read_text()
