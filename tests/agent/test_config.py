"""Each mistake in the configuration: its file, its key, the nearest legal key, and nothing started."""

from __future__ import annotations

import json
import math
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import pytest

from agent.cli import main
from agent.config import Config
from agent.config_file import ConfigError, check, check_values, load_trusted, members, schema, table_of

GOOD = """
[terminal]
id = "t1"
estate = "demo"
[mqtt]
url = "mqtt://127.0.0.1:1883"
[[device]]
name = "printer"
family = "escpos"
port = "/dev/ttyS0"
baud = 19200
options = { profile = "citizen" }
[network]
dns = ["127.0.0.1:53"]
"""


def write(tmp_path, text):
    path = tmp_path / "agent.toml"
    path.write_text(text)
    return path


def problems(tmp_path, text):
    with pytest.raises(ConfigError) as caught:
        check(write(tmp_path, text))
    assert all(str(tmp_path / "agent.toml") in line for line in caught.value.problems)
    return "\n".join(caught.value.problems)


def test_a_good_file_gives_the_same_configuration_checked_or_not(tmp_path):
    path = write(tmp_path, GOOD)
    config = check(path)
    assert config == load_trusted(path)
    assert config.device[0].baud == 19200
    assert config.network.dns == ("127.0.0.1:53",)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("[network]", "[netwrk]", "netwrk: unknown key; did you mean 'network'?"),
        ("baud = 19200", "bauds = 19200", "device[0].bauds: unknown key; did you mean 'baud'?"),
        ("baud = 19200", 'baud = "fast"', "device[0].baud = 'fast': must be a whole number, without quotes"),
        ("baud = 19200", 'baud = "9600"', "device[0].baud = '9600': must be a whole number, without quotes"),
        ("baud = 19200", "baud = 9600.0", "device[0].baud = 9600.0: must be a whole number"),
        ("baud = 19200", "baud = true", "device[0].baud = true: must be a whole number"),
        ("baud = 19200", "baud = -1", "device[0].baud = -1: must be 0, or at least 50 and at most 4000000"),
        ("baud = 19200", "baud = 1000000000000", "device[0].baud = 1000000000000: must be 0, or at least 50"),
        ("baud = 19200", 'poll_s = "2"', "device[0].poll_s = '2': must be a number, without quotes"),
        ("baud = 19200", 'share = "idel"', 'must be "own", "idle" or "never"; did you mean "idle"?'),
        ("baud = 19200", "share = false", 'device[0].share = false: must be "own", "idle" or "never"'),
        ("[mqtt]", '[mqtt]\nwithout_tls = "no"', "mqtt.without_tls = 'no': must be true or false, without quotes"),
        ("[mqtt]", "[mqtt]\nusername = 7", "mqtt.username = 7: must be a text, in quotes"),
        ("[mqtt]", "[mqtt]\nusername = 2026-11-22", "mqtt.username = 2026-11-22: must be a text"),
        ('dns = ["127.0.0.1:53"]', 'dns = "127.0.0.1:53"', "network.dns = '127.0.0.1:53': must be a list of texts"),
        ('dns = ["127.0.0.1:53"]', 'dns = ["127.0.0.1", 5]', "network.dns = ['127.0.0.1', 5]: entry 2 must be a text"),
        ("[[device]]", "[device]", "device: there may be several: write [[device]], in double brackets"),
        ("[network]", "[[network]]", "network: is one table: write [network], in single brackets"),
        ("[terminal]", "terminal = 5\n[power]", "terminal: is one table: write [terminal]"),
        ('[mqtt]\nurl = "mqtt://127.0.0.1:1883"', "", "mqtt: missing; write [mqtt] and below it url = …"),
        ('{ profile = "citizen" }', '"citizen"', "device[0].options = 'citizen': is a table: write options ="),
        (
            '{ profile = "citizen" }',
            "{ asb = [1] }",
            "options = {'asb': [1]}: asb must be a text, a number, true or false",
        ),
        ('{ profile = "citizen" }', '{ profile = "citzen" }', "options.profile = 'citzen': is none of"),
        ('{ profile = "citizen" }', '{ profile = "citzen" }', 'perhaps "citizen"'),
        ("[network]", '"a\\nb" = 1\n[network]', "device[0].'a\\nb': unknown key"),
        ("19200", "0x" + "f" * 9000, "baud = a number of thousands of digits: must be 0, or at least 50"),
        ("19200", "9" * 9000, "not TOML"),
        ("[network]", "[power]\nlow_percent = 5\n[network]", "power.critical_percent = 7.0: must be below low_percent"),
        ("[mqtt]", '[mqtt]\ncert_file = "/c.pem"', "mqtt.key_file: missing, though mqtt.cert_file is given"),
        ("[network]", f"[paths]\nrun_dir = '/{'r' * 94}'\n[network]", "longer than 94 bytes"),
        ("[network]", f"[paths]\nrun_dir = '/{'界' * 31}x'\n[network]", "longer than 94 bytes"),
        ("[network]", '[paths]\nrun_dir = "/r\\u0000"\n[network]', "holds a control character"),
        ('id = "t1"', 'id = "T 1"', "terminal.id = 'T 1'"),
        ('id = "t1"', 'id = "center"', "no terminal may be called that"),
        ('id = "t1"', "", "terminal.id: missing"),
        ('family = "escpos"', 'family = "escpoos"', "'escpoos'; perhaps escpos"),
        (
            'profile = "citizen"',
            'profil = "citizen"',
            "device[0].options.profil = 'citizen': escpos has no such option; perhaps profile",
        ),
        ("mqtt://127.0.0.1:1883", "http://127.0.0.1", "must be mqtt://host:port or mqtts://host:port"),
        ("mqtt://127.0.0.1:1883", "mqtt://127.0.0.1:99999", "the port is not a number"),
        ("mqtt://127.0.0.1:1883", "mqtt://127.0.0.1@broker.example:1883", "must be mqtt://host:port"),
        ("mqtt://127.0.0.1:1883", "mqtt://127.0.0.1:1883?tls=no", "must be mqtt://host:port"),
        ("mqtt://127.0.0.1:1883", "mqtts://broker.example:8883#x", "must be mqtt://host:port"),
        ('name = "printer"', 'name = "network"', "is the name of a probe"),
        ("[terminal]", "[terminal", "not TOML"),
        (
            "[network]",
            '[[device]]\nname = "printer"\nfamily = "zt588"\nport = "/dev/ttyS1"\n[network]',
            "is called that too",
        ),
        (
            "[network]",
            '[[device]]\nname = "keypad"\nfamily = "zt588"\nport = "/dev/ttyS0"\n[network]',
            "device[1].port = '/dev/ttyS0': device[0] is at that port already",
        ),
        ("[network]", '[[device]]\nname = "kitchen"\nfamily = "escpos"\nport = "/dev/ttyS1"\n[network]', "one each"),
    ],
)
def test_a_mistake_is_named(tmp_path, old, new, says):
    assert says in problems(tmp_path, GOOD.replace(old, new, 1))


def _leaves(kind: type, where: str = "") -> Iterator[tuple[str, Any]]:
    """Each plain field of the configuration with its type; of devices those of the first."""
    for name, hint in members(kind).items():
        table = table_of(hint)
        if table is None:
            yield where + name, hint
        else:
            yield from _leaves(table[0], f"{where}{name}[0]." if table[1] else f"{where}{name}.")


def _is(hint: Any, *kinds: type) -> bool:
    return (get_args(hint)[0] if get_origin(hint) is Annotated else hint) in kinds


NUMBERS = [key for key, hint in _leaves(Config) if _is(hint, int, float)]
ZERO_IS_RIGHT = {
    "device[0].baud",
    *("power.min_voltage_mv", "budget.daily_bytes", "commands.disruptive_per_hour"),
    *(f"telemetry.{name}_s" for name in ("batch", "heartbeat", "health", "number")),
    *(f"trends.{name}" for name in ("head_life_km", "head_new_at_lines", "cutter_life_cuts", "cutter_new_at_cuts")),
}


def _values(key: str, value: object) -> dict[str, Any]:
    """The good file's values with one key set otherwise."""
    values: dict[str, Any] = tomllib.loads(GOOD)
    table, _, name = key.partition(".")
    if table == "device[0]":
        values["device"][0][name] = value
    else:
        values.setdefault(table, {})[name] = value
    return values


def _said(key: str, value: object) -> list[str]:
    try:
        check_values(_values(key, value), "file")
    except ConfigError as error:
        return error.problems
    return []


@pytest.mark.parametrize("key", NUMBERS)
@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, 1e300, 10**30, -1, 0, True, "5", None, [1]], ids=repr)
def test_a_number_is_within_bounds(key: str, value: object) -> None:
    said = _said(key, value)
    if value == 0 and value is not False and key in ZERO_IS_RIGHT:
        assert said == []
    else:
        assert len(said) == 1
        assert said[0].startswith(f"file: {key} = ")
        assert "must be" in said[0]


@pytest.mark.parametrize(("key", "hint"), [leaf for leaf in _leaves(Config) if _is(leaf[1], str)])
def test_every_text_is_asked_how_it_is_spelled(key: str, hint: Any) -> None:
    """No text of the file is free of a check: a bare `str` in the configuration fails here."""
    assert get_origin(hint) is Annotated
    assert len(_said(key, "a\nb")) == 1


WRONG_TEXTS = [
    ("network.acquirer", "a:abc", "the port is not a number from 1 to 65535"),
    ("network.acquirer", "a:", "the port is not a number"),
    ("network.acquirer", "a:70000", "the port is not a number"),
    ("network.acquirer", "https://pay.example", "without http:// before it"),
    ("network.acquirer", "10.0.0.300:443", "'10.0.0.300' is neither a host's name nor an address"),
    ("network.acquirer", "a b:443", "'a b' is neither"),
    ("network.acquirer", "-a.example", "neither"),
    ("network.acquirer", "ä" * 63, "neither"),
    ("network.acquirer", ".".join(["a" * 60] * 5), "neither"),
    ("network.acquirer", ":443", "'' is neither"),
    ("network.acquirer", "[::1", "in brackets is no IPv6 address"),
    ("network.acquirer", "[::1]x", "in brackets is no IPv6 address"),
    ("network.acquirer", "[a.example]:443", "in brackets is no IPv6 address"),
    ("network.gateway", "x:y:z", "'x:y:z' is neither"),
    ("network.gateway", "2001:db8::1", "write an IPv6 gateway as [address]:port"),
    ("network.ntp", "time.example:0", "the port is not a number"),
    ("network.dns", ["dns.example"], "entry 1 'dns.example' is no address"),
    ("network.dns", ["192.0.2.1", ""], "entry 2 must not be empty"),
    ("network.portal_check", "nonsense", "must be http://host/path"),
    ("network.portal_check", "https://portal.example/204", "must be http://host/path"),
    ("network.portal_check", "http://portal.example:x/204", "the port is not a number"),
    ("network.portal_check", "http://portal.example/a b", "must be http://host/path"),
    ("network.portal_check", "http:///204", "must be http://host/path"),
    ("network.interface", "../lo", "must be the name of a network interface"),
    ("network.interface", "..", "must be the name of a network interface"),
    ("network.interface", "a-name-too-long-for-it", "must be the name of a network interface"),
    ("power.nut", "ups", "must be ups@host or ups@host:port"),
    ("power.nut", "ups@", "must be ups@host"),
    ("power.nut", "@host", "must be ups@host"),
    ("power.nut", "ups@h:abc", "the port is not a number"),
    ("power.nut", "my ups@h", "must be ups@host"),
    ("system.payment_app", "foo", "must be pidfile:PATH or process:NAME"),
    ("system.payment_app", "pidfile:run/app.pid", "must be a whole path"),
    ("system.payment_app", "process:", "must be pidfile:PATH or process:NAME"),
    ("system.disk_path", "data", "must be a whole path"),
    ("paths.state_dir", "", "must not be empty"),
    ("paths.run_dir", "run", "must be a whole path, which begins with /"),
    ("device[0].port", "ttyS0", "must be a whole path"),
    ("mqtt.ca_file", "ca.pem", "must be a whole path"),
    ("mqtt.username", "x" * 300, "is 300 characters long, more than 256"),
    ("commands.upload_hosts", ["https://pos.example"], "entry 1 must be host or host:port, without http://"),
    ("commands.upload_hosts", ["POS.example"], "entry 1 must be in small letters"),
    ("commands.reboot", [], "begins with a program's whole path"),
    ("commands.reboot", ["reboot"], "begins with a program's whole path"),
    ("support.pages", ["[::1]:8443"], "entry 1 must be a host's name or an IPv4 address"),
    ("support.channel", "1" * 129, "is 129 characters long, more than 128"),
    ("mqtt.url", "mqtts://a b", "must be mqtt://host:port or mqtts://host:port"),
    ("mqtt.url", "mqtts://broker:", "the port is not a number"),
    ("mqtt.url", "mqtts://-x:1", "neither"),
    ("mqtt.url", "mqtts://h\t:1", "must be mqtt://host:port or mqtts://host:port"),
]


@pytest.mark.parametrize(("key", "value", "says"), WRONG_TEXTS)
def test_a_text_that_is_spelled_wrong_is_named(key: str, value: object, says: str) -> None:
    [said] = _said(key, value)
    assert said.startswith(f"file: {key} = ")
    assert said.count("\n") == 0
    assert says in said


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(
            ("network.acquirer", text)
            for text in ("pay.example", "pay.example.:443", "192.0.2.1:1", "[::1]:443", "::1")
        ),
        *(("network.acquirer", text) for text in ("zahlung.münchen.example", "a_b.example", "")),
        *(("network.gateway", text) for text in ("192.0.2.1", "router", "[2001:db8::1]:80", "")),
        ("network.dns", ["192.0.2.1", "192.0.2.2:5353", "[2001:db8::1]:53", "2001:db8::1"]),
        ("network.portal_check", "http://portal.example:8080/generate_204?x=1"),
        ("network.portal_check", "http://portal.example"),
        *(("power.nut", text) for text in ("ups@127.0.0.1", "ups@nut.example:3493", "ups@[::1]:3493", "")),
        *(("system.payment_app", text) for text in ("pidfile:/run/app.pid", "process:kasse 2", "")),
        *(("network.interface", text) for text in ("eth0", "enp0s31f6", "")),
        ("commands.upload_hosts", ["pos.example", "pos.example:8443", "192.0.2.1"]),
        *(("mqtt.url", text) for text in ("mqtts://broker.example", "mqtts://[2001:db8::1]:8883/", "mqtt://[::1]")),
    ],
)
def test_a_text_that_is_spelled_right_is_taken(key: str, value: object) -> None:
    assert _said(key, value) == []


@pytest.mark.parametrize("host", ["broker.example", "192.0.2.1", "[2001:db8::1]", "0.0.0.0", "localhost.example"])
def test_without_tls_nothing_leaves_the_machine_unless_the_file_says_so(tmp_path, host):
    plain = GOOD.replace("127.0.0.1:1883", f"{host}:1883")
    said = problems(tmp_path, plain)
    assert said.count("\n") == 0
    assert f"mqtt.url = 'mqtt://{host}:1883': without TLS only to this machine itself" in said
    assert "mqtt.without_tls = true" in said
    check(write(tmp_path, plain.replace("[mqtt]", "[mqtt]\nwithout_tls = true")))
    check(write(tmp_path, plain.replace("mqtt://", "mqtts://")))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.0.1", "localhost", "[::1]"])
def test_without_tls_this_machine_is_reached(tmp_path, host):
    check(write(tmp_path, GOOD.replace("127.0.0.1:1883", f"{host}:1883")))


@pytest.mark.parametrize(("old", "new"), [("estate", "estat"), ("[terminal]", "[terminl]")])
def test_a_key_that_was_mistyped_is_not_missing_as_well(tmp_path, old, new):
    assert problems(tmp_path, GOOD.replace(old, new, 1)).count("\n") == 0


def test_every_mistake_is_named_at_once(tmp_path):
    said = problems(tmp_path, GOOD.replace("baud = 19200", "bauds = 1").replace("[network]", "[netwrk]"))
    assert "bauds" in said
    assert "netwrk" in said


def test_mistakes_of_shape_hide_none_of_sense(tmp_path):
    wrong = GOOD.replace("estate", "estat").replace('family = "escpos"\nport = "/dev/ttyS0"', 'family = "escpo"')
    said = problems(tmp_path, wrong.replace("[network]", "[power]\nlow_percent = 5\n[network]"))
    assert [line.split(": ")[1] for line in said.splitlines()] == [
        "terminal.estat",
        "device[0].port",
        "device[0].family",
        "power.critical_percent = 7.0",
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        GOOD.replace("url", "urll"),
        GOOD.replace("127.0.0.1:1883", "broker.example:1883").replace("[[device]]", "without_tsl = true\n[[device]]"),
        GOOD.replace("family", "famly"),
        GOOD.replace("[network]", '[power]\nlow_percent = "5"\ncritical_percent = 20\n[network]'),
        GOOD.replace("[network]", '[[device]]\nname = "k"\nfamily = "zt588"\nprt = "/dev/ttyS1"\n[network]'),
    ],
)
def test_a_mistake_is_told_once_and_what_follows_from_it_is_not(tmp_path, wrong):
    assert problems(tmp_path, wrong).count("\n") == 0


def test_devices_are_counted_in_words(tmp_path, capsys):
    second = '[[device]]\nname = "k"\nfamily = "zt588"\nport = "/dev/ttyS1"\n[network]'
    for text, said in ((GOOD, "good; 1 device,"), (GOOD.replace("[network]", second), "good; 2 devices,")):
        assert main(["config", "check", str(write(tmp_path, text))]) == 0
        assert said in capsys.readouterr().out


def test_a_file_that_is_no_text_or_not_there(tmp_path):
    with pytest.raises(ConfigError, match="No such file"):
        check(tmp_path / "none.toml")
    (tmp_path / "agent.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="not UTF-8 at byte 0"):
        check(tmp_path / "agent.toml")
    with pytest.raises(ConfigError, match="Is a directory"):
        check(tmp_path)
    with pytest.raises(ConfigError, match="longer than 1048576 bytes"):
        check("/dev/zero")
    with pytest.raises(ConfigError, match=r"not TOML: .*line 3"):
        check(write(tmp_path, "\n\nid\n"))


def test_a_mark_of_the_encoding_and_other_line_ends_do_no_harm(tmp_path):
    (tmp_path / "agent.toml").write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    assert check(tmp_path / "agent.toml").terminal.id == "t1"


def test_the_schema_knows_every_section():
    assert {"terminal", "mqtt", "device", "network", "power"} <= set(schema()["properties"])


def test_the_command_says_it_on_one_line_and_exits_with_2(tmp_path):
    path = write(tmp_path, GOOD.replace("[network]", "[netwrk]"))
    for words in (["config", "check", path], ["run", "--config", path], ["check", "--config", path]):
        done = subprocess.run(
            [sys.executable, "-m", "agent.cli", *map(str, words)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 2
        assert done.stdout == ""
        assert done.stderr.count("\n") == 1
        assert "did you mean 'network'?" in done.stderr
    done = subprocess.run(
        [sys.executable, "-m", "agent.cli", "config", "check", str(path), "--json"], capture_output=True, check=False
    )
    assert json.loads(done.stdout)["ok"] is False


def test_the_longest_run_dir_can_hold_the_sockets(tmp_path):
    run_dir = f"{tmp_path}/{'r' * 200}"[:94]
    config = check(write(tmp_path, GOOD.replace("[network]", f"[paths]\nrun_dir = '{run_dir}'\n[network]")))
    Path(config.paths.run_dir).mkdir()
    for name in ("report.sock", "control.sock"):
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(f"{config.paths.run_dir}/{name}")


@pytest.mark.parametrize("verb", ["run", "status", "check"])
def test_a_run_dir_that_is_too_long_is_one_line(tmp_path, verb):
    path = write(tmp_path, GOOD.replace("[network]", f"[paths]\nrun_dir = '{tmp_path}/{'r' * 100}'\n[network]"))
    done = subprocess.run(
        [sys.executable, "-P", "-m", "agent.cli", verb, "--config", str(path)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "paths.run_dir" in done.stderr
