"""What may be set from afar, as far as it hangs on the terminal's own file."""

from __future__ import annotations

import math
from pathlib import Path
from typing import get_type_hints

import pytest

from agent.config import Config
from agent.config_file import load_trusted
from agent.desired import REMOTE, Desired, Wish, problems, read, start, write

FILE = """[terminal]
id = "till-1"
estate = "demo"
[mqtt]
url = "{url}"
ca_file = "{ca_file}"
"""


def asked(folder: Path, now: str, wished: str, ca_file: str = "") -> dict[str, str]:
    path = folder / "agent.toml"
    path.write_text(FILE.format(url=now, ca_file=ca_file))
    return problems(path, {"mqtt": {"url": wished}})


@pytest.mark.parametrize("wished", ["mqtt://127.0.0.1:1883", "mqtt://192.0.2.1:1883"])
def test_tls_is_not_switched_off(tmp_path: Path, wished: str) -> None:
    assert asked(tmp_path, "mqtts://a.example:8883", wished).keys() == {"mqtt.url"}
    assert asked(tmp_path, "mqtts://a.example:8883", wished, "/ca.pem").keys() == {"mqtt.url"}


def test_without_tls_no_broker_elsewhere_is_wished(tmp_path: Path) -> None:
    said = asked(tmp_path, "mqtt://127.0.0.1:1883", "mqtt://192.0.2.1:1883")
    assert said["mqtt.url"].startswith("without TLS only to this machine itself")
    assert asked(tmp_path, "mqtt://127.0.0.1:1883", "mqtt://127.0.0.1:1884") == {}


def test_another_broker_is_wished_only_where_the_terminal_names_its_authorities(tmp_path: Path) -> None:
    now, other = "mqtts://a.example:8883", "mqtts://b.example:8883"
    assert asked(tmp_path, now, other, "/etc/posdiag/tls/ca.pem") == {}
    assert "takes an mqtt.ca_file" in asked(tmp_path, now, other)["mqtt.url"]
    assert asked(tmp_path, "mqtt://127.0.0.1:1883", other).keys() == {"mqtt.url"}
    assert asked(tmp_path, now, now) == {}


NUMBERS = [
    (table, key)
    for table, keys in REMOTE.items()
    for key in sorted(keys)
    if get_type_hints(get_type_hints(Config)[table])[key] in {int, float}
]


@pytest.mark.parametrize(("table", "key"), NUMBERS)
def test_no_number_out_of_bounds_comes_from_afar(tmp_path: Path, table: str, key: str) -> None:
    path = tmp_path / "agent.toml"
    path.write_text(FILE.format(url="mqtt://127.0.0.1:1883", ca_file=""))
    for value in (math.inf, -math.inf, math.nan, 1e300, 10**400, -1, "5", True, None, {}):
        why = problems(path, {table: {key: value}})
        assert why.keys() == {f"{table}.{key}"}, value
        assert why[f"{table}.{key}"].startswith("must be"), value
    assert NUMBERS


def test_what_an_older_version_took_is_looked_at_once_more(tmp_path: Path) -> None:
    """It was in force and no trial, so that nothing else would ever take it back."""
    path = tmp_path / "agent.toml"
    path.write_text(
        FILE.format(url="mqtt://127.0.0.1:1883", ca_file="").replace('ca_file = ""', "")
        + f'[paths]\nstate_dir = "{tmp_path}"\n'
    )
    write(tmp_path, Desired(now=Wish(3, {"store": {"telemetry_hours": 24}})))
    assert start(path).store.telemetry_hours == 24
    write(tmp_path, Desired(now=Wish(4, {"store": {"telemetry_hours": math.inf}})))
    assert start(path) == load_trusted(path)
    kept = read(tmp_path)
    assert (kept.now.version, kept.refused) == (0, 4)
    assert kept.why["store.telemetry_hours"].startswith("must be at least 1")
