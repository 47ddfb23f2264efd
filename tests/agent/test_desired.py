"""What may be set from afar, as far as it hangs on the terminal's own file."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.desired import problems

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
