"""The terminal's own computer: trees in a folder, a real time server on loopback, real processes."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config import NetworkConfig, PathsConfig, SystemConfig
from agent.probes import sntp
from agent.probes.system import SystemProbe
from tests.wait import wait_until

WALL = 1_800_000_000.0


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class TimeServer:
    """SNTP on loopback. `ahead_s` is by how much the asker's clock (at WALL) runs ahead of it."""

    def __init__(self, ahead_s: float = 0.0, head: bytes = b"\x24\x02") -> None:
        self.ahead_s, self.head, self.asked = ahead_s, head, 0
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while (found := self._socket.recvfrom(200))[0] != b"stop":
            self.asked += 1
            data, peer = found
            seconds = int(WALL - self.ahead_s) + 2_208_988_800 & 0xFFFFFFFF
            stamp = struct.pack(">II", seconds, 0)
            self._socket.sendto(self.head + bytes(22) + data[40:48] + stamp + stamp, peer)

    def close(self) -> None:
        host, port = self.address.split(":")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
            link.sendto(b"stop", (host, int(port)))
        self._thread.join()
        self._socket.close()


@pytest.fixture
def server():
    found = TimeServer()
    yield found
    found.close()


def probe(root, clock=None, ntp="", **settings) -> SystemProbe:
    paths = PathsConfig(sys=str(root / "sys"), proc=str(root / "proc"), state_dir=str(root))
    return SystemProbe(SystemConfig(**settings), NetworkConfig(ntp=ntp), paths, clock or Clock(), lambda: WALL)


def write(root, name: str, content: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def plain(readings) -> dict[str, object]:
    return {name: r.value if r.value is not None else f"?{r.unknown}" for name, r in readings.items()}


def test_a_bare_machine_claims_nothing(tmp_path):
    found = plain(probe(tmp_path).run())
    assert found.pop("disk") == "ok"
    assert float(found.pop("disk_free_percent")) > 0
    assert int(found.pop("disk_free_bytes")) > 0
    assert set(found.values()) == {"?unsupported"}


def test_processor_time_is_a_difference(tmp_path):
    write(tmp_path, "proc/stat", "cpu  100 0 100 800 0 0 0 0 0 0\ncpu0 1 2 3 4\n")
    it = probe(tmp_path)
    assert plain(it.run())["cpu_percent"] == "?not_asked"
    write(tmp_path, "proc/stat", "cpu  160 0 120 810 10 0 0 0 0 0\n")
    assert it.run()["cpu_percent"].value == 80.0
    assert plain(it.run())["cpu_percent"] == "?not_asked"  # no time went by


def test_memory(tmp_path):
    write(tmp_path, "proc/meminfo", "MemTotal:  1000000 kB\nMemFree: 1 kB\nMemAvailable:  250000 kB\n")
    found = probe(tmp_path).run()
    assert found["memory_available_percent"].value == 25.0
    assert found["memory_available_bytes"].value == 256_000_000


def test_a_disk_that_cannot_be_asked_is_unknown(tmp_path):
    found = plain(probe(tmp_path, disk_path=str(tmp_path / "absent")).run())
    assert found["disk"] == "?failed"
    assert found["disk_free_percent"] == "?failed"


@pytest.mark.parametrize(("flags", "disk"), [(os.ST_RDONLY | os.ST_NOSUID, "readonly"), (os.ST_NOSUID, "ok")])
def test_a_full_and_a_readonly_file_system(tmp_path, monkeypatch, flags, disk):
    # Nobody may mount here, so the kernel's answer is put in its place: 4 KiB blocks, 1000 of them, 20 for users.
    answer = os.statvfs_result((4096, 4096, 1000, 50, 20, 100, 100, 100, flags, 255))
    monkeypatch.setattr(os, "statvfs", lambda _: answer)
    found = probe(tmp_path).run()
    assert found["disk"].value == disk
    assert (found["disk_free_percent"].value, found["disk_free_bytes"].value) == (2.0, 81_920)


def test_the_hottest_zone_counts(tmp_path):
    write(tmp_path, "sys/class/thermal/thermal_zone0/temp", "41000\n")
    write(tmp_path, "sys/class/thermal/thermal_zone1/temp", "66500\n")
    write(tmp_path, "sys/class/thermal/cooling_device0/temp", "99000\n")
    assert probe(tmp_path).run()["temperature_c"].value == 66.5


@pytest.mark.parametrize(
    ("files", "screen"),
    [
        ({"backlight/panel/bl_power": "0"}, "on"),
        ({"backlight/panel/bl_power": "4"}, "off"),
        ({"backlight/a/bl_power": "4", "backlight/b/bl_power": "0"}, "on"),
        ({"drm/card0-HDMI-A-1/status": "connected", "drm/card0-HDMI-A-1/dpms": "On"}, "on"),
        ({"drm/card0-HDMI-A-1/status": "connected", "drm/card0-HDMI-A-1/dpms": "Off"}, "off"),
        ({"drm/card0-HDMI-A-1/status": "disconnected", "drm/card0-HDMI-A-1/dpms": "Off"}, "?unsupported"),
        ({"backlight/panel/bl_power": "0", "drm/x/status": "connected", "drm/x/dpms": "Off"}, "on"),
    ],
)
def test_the_screen(tmp_path, files, screen):
    for name, content in files.items():
        write(tmp_path, f"sys/class/{name}", f"{content}\n")
    assert plain(probe(tmp_path).run())["screen"] == screen
    assert plain(probe(tmp_path, screen=False).run())["screen"] == "?unsupported"


# --- the payment application ---


def sleeper() -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)


@pytest.mark.parametrize("proc_is_real", [True, False])
def test_a_payment_application_by_its_pid_file(tmp_path, proc_is_real):
    if proc_is_real:
        (tmp_path / "proc").symlink_to("/proc")
    it = probe(tmp_path, payment_app=f"pidfile:{tmp_path}/app.pid")
    assert it.run()["payment_app"].value == "down"  # no file
    app = sleeper()
    try:
        write(tmp_path, "app.pid", f"{app.pid}\n")
        assert it.run()["payment_app"].value == "up"
        app.kill()
        if proc_is_real:  # not yet waited for: a zombie serves nobody
            wait_until(lambda: it.run()["payment_app"].value == "down")
    finally:
        app.kill()
        app.communicate()
    assert it.run()["payment_app"].value == "down"
    for nonsense in ("nonsense", "0", "9" * 30, ""):
        write(tmp_path, "app.pid", nonsense)
        assert it.run()["payment_app"].value == "down"


def test_a_payment_application_by_its_name(tmp_path):
    write(tmp_path, "proc/77/comm", "a-rather-long-n\n")
    write(tmp_path, "proc/77/stat", "77 (a-rather-long-n) S 1 1\n")
    it = probe(tmp_path, payment_app="process:a-rather-long-name")
    assert it.run()["payment_app"].value == "up"
    write(tmp_path, "proc/77/stat", "77 (a-rather (x) n) Z 1 1\n")
    assert it.run()["payment_app"].value == "down"
    assert probe(tmp_path, payment_app="process:other").run()["payment_app"].value == "down"


# --- the clock ---


@pytest.mark.parametrize("ahead", [0.0, 3600.0, -3600.0, 500_000_000.0, -900_000_000.0])
def test_a_clock_that_is_off(tmp_path, server, ahead):
    server.ahead_s = ahead
    found = probe(tmp_path, ntp=server.address).run()
    assert found["clock_offset_s"].value == ahead
    assert found["clock"].value == ("ok" if abs(ahead) < 120 else "wrong")
    assert found["clock_source"].value == "ntp"


def test_the_time_server_is_not_asked_at_every_poll(tmp_path, server):
    clock = Clock()
    it = probe(tmp_path, clock, ntp=server.address)
    for _ in range(12):
        it.run()
        clock.now += 5
    assert server.asked == 1
    it.run()
    assert server.asked == 2


def test_a_wrong_clock_is_compared_sooner(tmp_path, server):
    clock = Clock()
    server.ahead_s = 900.0
    it = probe(tmp_path, clock, ntp=server.address)
    it.run()
    server.ahead_s = 0.0
    clock.now += 16
    assert it.run()["clock_offset_s"].value == 0.0


def test_a_modem_that_disagrees_has_the_server_asked_at_once(tmp_path, server):
    clock = Clock()
    it = probe(tmp_path, clock, ntp=server.address)
    it.run()
    server.ahead_s = 900.0
    clock.now += 5
    it.told_by_modem("2027-01-15T07:45:00Z")  # 15 minutes before WALL
    assert it.run()["clock_offset_s"].value == 900.0
    assert server.asked == 2
    clock.now += 5
    it.run()
    assert server.asked == 2


def test_without_a_server_the_modem_is_believed_while_it_is_fresh(tmp_path):
    clock = Clock()
    it = probe(tmp_path, clock)
    it.told_by_modem("2027-01-15T08:05:00+00:00")
    found = it.run()
    assert (found["clock_offset_s"].value, found["clock_source"].value) == (-300.0, "modem")
    clock.now += 300
    assert plain(it.run())["clock_offset_s"] == "?unsupported"


@pytest.mark.parametrize("utc", ["", "nonsense", "2027-01-15T08:05:00", "80/01/06,00:00:00"])
def test_what_is_no_time_is_ignored(tmp_path, utc):
    it = probe(tmp_path)
    it.told_by_modem(utc)
    assert plain(it.run())["clock_offset_s"] == "?unsupported"


@pytest.mark.parametrize(
    "head", [b"\xe4\x02", b"\x24\x00", b"\x24\x10", b"\x23\x02"], ids=["unset", "go_away", "stratum_16", "no_server"]
)
def test_a_server_without_the_time_says_nothing(tmp_path, server, head):
    server.head = head
    assert plain(probe(tmp_path, ntp=server.address).run())["clock_offset_s"] == "?no_reply"


def test_a_reply_to_somebody_else_is_none():
    good = b"\x24\x02" + bytes(22) + b"ourtoken" + bytes(16)
    assert sntp.parse_reply(good, b"ourtoken", WALL, WALL) is not None
    assert sntp.parse_reply(good, b"another.", WALL, WALL) is None
    assert sntp.parse_reply(good[:47], b"ourtoken", WALL, WALL) is None


@given(st.binary(max_size=100))
def test_the_time_parser_is_total(data):
    sntp.parse_reply(data, data[24:32], WALL, WALL)
