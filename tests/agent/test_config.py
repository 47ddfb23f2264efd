"""Each mistake in the configuration: its file, its key, the nearest legal key, and nothing started."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from agent.config_file import ConfigError, check, load_trusted, schema

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


def test_a_good_file_gives_the_same_configuration_with_and_without_pydantic(tmp_path):
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
        ("baud = 19200", 'baud = "fast"', "device[0].baud = 'fast'"),
        ("baud = 19200", "baud = -1", "device[0].baud = -1"),
        ("[network]", f"[paths]\nrun_dir = '/{'r' * 94}'\n[network]", "longer than 94 bytes"),
        ("[network]", f"[paths]\nrun_dir = '/{'界' * 31}x'\n[network]", "longer than 94 bytes"),
        ("[network]", '[paths]\nrun_dir = "/r\\u0000"\n[network]', "holds a zero byte"),
        ('id = "t1"', 'id = "T 1"', "terminal.id = 'T 1'"),
        ('id = "t1"', 'id = "center"', "no terminal may be called that"),
        ('id = "t1"', "", "terminal.id: missing"),
        ('family = "escpos"', 'family = "escpoos"', "'escpoos'; perhaps escpos"),
        ('profile = "citizen"', 'profil = "citizen"', "no option 'profil'; perhaps profile"),
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
        ("[network]", '[[device]]\nname = "kitchen"\nfamily = "escpos"\nport = "/dev/ttyS1"\n[network]', "one each"),
    ],
)
def test_a_mistake_is_named(tmp_path, old, new, says):
    assert says in problems(tmp_path, GOOD.replace(old, new, 1))


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


def test_every_mistake_is_named_at_once(tmp_path):
    said = problems(tmp_path, GOOD.replace("baud = 19200", "bauds = 1").replace("[network]", "[netwrk]"))
    assert "bauds" in said
    assert "netwrk" in said


def test_a_file_that_is_no_text_or_not_there(tmp_path):
    with pytest.raises(ConfigError, match="No such file"):
        check(tmp_path / "none.toml")
    (tmp_path / "agent.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="not UTF-8 at byte 0"):
        check(tmp_path / "agent.toml")


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
