"""Keys, consequences, the agent's view, and that nothing is left behind."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from agent.config_file import check
from simulator.device import Illegal
from simulator.terminal import Terminal
from simulator.world import KEYS, as_json, consequences, signal_cost
from tests.simulator.fakes import REGISTRY
from tests.simulator.hosts import Host
from tests.wait import wait_until

Make = Callable[..., Terminal]
UNITS = ("printer", "reader", "modem", "keypad")
HEALTHY = {
    **{name: key.default for name, key in KEYS.items()},
    **{f"{unit}.{name}": value for unit in UNITS for name, value in (("cable", "in"), ("power", "on"))},
    "modem.sim": "ready",
    "modem.registration": "home",
    "modem.data": "up",
    "modem.signal_dbm": "-85",
}


@pytest.fixture
def make(pos_terminal_factory: Make) -> Make:
    return partial(pos_terminal_factory, registry=REGISTRY)


def sys_file(pos: Terminal, name: str) -> str:
    return (pos.folder / "sys/class" / name).read_text().strip()


@pytest.mark.parametrize(
    ("changes", "fallen"),
    [
        ({}, set()),
        ({"modem.sim": "absent"}, {"link", "address", "gateway", "dns", "acquirer", "internet"}),
        ({"modem.registration": "searching"}, {"link", "address", "gateway", "dns", "acquirer", "internet"}),
        ({"modem.registration": "denied"}, {"link", "address", "gateway", "dns", "acquirer", "internet"}),
        ({"modem.registration": "roaming"}, set()),
        ({"modem.data": "down"}, {"link", "address", "gateway", "dns", "acquirer", "internet"}),
        ({"modem.cable": "out"}, {"link", "address", "gateway", "dns", "acquirer", "internet"}),
        ({"modem.power": "off"}, {"link", "address", "gateway", "dns", "acquirer", "internet"}),
        ({"modem.sim": "absent", "network.bearer": "ethernet"}, set()),
        ({"network.link": "down"}, {"link", "address", "gateway", "dns", "acquirer", "internet"}),
        ({"network.address": "down"}, {"address", "gateway", "dns", "acquirer", "internet"}),
        ({"network.gateway": "down"}, {"gateway", "dns", "acquirer", "internet"}),
        ({"network.dns": "down"}, {"dns"}),
        ({"network.acquirer": "down"}, {"acquirer"}),
        ({"power.mains": "off"}, set()),
        (
            {"power.mains": "off", "power.battery_percent": "0"},
            {"link", "address", "gateway", "dns", "acquirer", "internet"},
        ),
    ],
)
def test_what_falls_with_what(changes: dict[str, str], fallen: set[str]) -> None:
    now = consequences({**HEALTHY, **changes}, UNITS)
    rungs = ("link", "address", "gateway", "dns", "acquirer", "internet")
    assert {rung for rung in rungs if not getattr(now, rung)} == fallen


@pytest.mark.parametrize(
    ("changes", "dark"),
    [
        ({}, set()),
        ({"power.mains": "off"}, {"printer"}),
        ({"power.battery_percent": "0"}, set()),
        ({"power.mains": "off", "power.battery_percent": "0"}, set(UNITS)),
        ({"reader.power": "off"}, {"reader"}),
    ],
)
def test_who_has_power(changes: dict[str, str], dark: set[str]) -> None:
    assert set(UNITS) - consequences({**HEALTHY, **changes}, UNITS).powered == dark


def test_a_weaker_signal_never_costs_less() -> None:
    costs = [signal_cost(dbm) for dbm in range(-44, -141, -1)]
    assert costs == sorted(costs)
    assert costs[0] == (0.0, 0.0)
    assert costs[-1][1] >= 80
    weak = {**HEALTHY, "modem.signal_dbm": "-121"}
    assert 1500 < consequences(weak, UNITS).latency_ms < 2000
    assert consequences({**weak, "network.bearer": "ethernet"}, UNITS).latency_ms == 30


def test_all_keys_are_there_and_numbers_are_numbers(make: Make) -> None:
    values = make().get()
    assert set(HEALTHY) <= set(values)
    assert {f"{unit}.{name}" for unit in UNITS for name in ("cable", "power", "line", "owner")} <= set(values)
    assert values["modem.signal_dbm"] == -85
    assert values["printer.paper"] == "ok"
    assert as_json("system.clock_offset_s", "1.5") == 1.5


@pytest.mark.parametrize(("name", "key"), KEYS.items())
def test_each_value_of_each_key_can_be_set_and_read(pos: Terminal, name: str, key: object) -> None:
    values = KEYS[name].values or (KEYS[name].default,)
    for value in (*values, KEYS[name].default):
        pos.set({name: value})
        assert pos.get()[name] == as_json(name, value)
    with pytest.raises(Illegal, match=name):
        pos.set({name: "nonsense"})


@pytest.fixture(scope="module")
def pos(tmp_path_factory: pytest.TempPathFactory) -> object:
    with Terminal(tmp_path_factory.mktemp("pos"), registry=REGISTRY) as made:
        yield made


def test_nothing_is_applied_when_one_pair_is_wrong(make: Make) -> None:
    pos = make()
    for wrong in ({"printer.paper": "ouch"}, {"printer.papr": "out"}, {"reader.shutter": "error"}):
        with pytest.raises(Illegal):
            pos.set({"power.mains": "off", **wrong})
    assert pos.get()["power.mains"] == "on"
    with pytest.raises(Illegal, match=r"printer\.papr is not a key .*printer\.paper"):
        pos.set(printer_papr="out")
    with pytest.raises(Illegal, match="one of ok, near_end, out"):
        pos.set(printer_paper="ouch")


def test_a_family_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Illegal, match="crt571"):
        Terminal(tmp_path / "pos", families={"reader": "abacus"}, registry=REGISTRY)
    with pytest.raises(Illegal, match="printer, reader, modem, keypad"):
        Terminal(tmp_path / "pos", families={"toaster": "escpos"}, registry=REGISTRY)


def test_the_kernel_tells_of_the_power(make: Make) -> None:
    pos = make()
    assert sys_file(pos, "power_supply/AC/online") == "1"
    assert sys_file(pos, "power_supply/BAT0/status") == "Full"
    pos.set(
        {
            "power.mains": "off",
            "power.battery_percent": 14,
            "power.voltage_mv": 6500,
            "power.temperature_c": 61.5,
            "power.battery_health": 40,
        }
    )
    battery = {
        name: sys_file(pos, f"power_supply/BAT0/{name}")
        for name in ("status", "capacity", "voltage_now", "temp", "health")
    }
    assert battery == {
        "status": "Discharging",
        "capacity": "14",
        "voltage_now": "6500000",
        "temp": "615",
        "health": "Good",
    }
    full, design = (int(sys_file(pos, f"power_supply/BAT0/{name}")) for name in ("charge_full", "charge_full_design"))
    assert full / design == pytest.approx(0.40)
    assert sys_file(pos, "power_supply/AC/online") == "0"
    assert sys_file(pos, "hwmon/hwmon0/in0_lcrit_alarm") == "1"
    pos.set({"power.mains": "on", "power.charger": "fault", "power.battery_health": "dead"})
    assert sys_file(pos, "power_supply/BAT0/status") == "Not charging"
    assert sys_file(pos, "power_supply/BAT0/health") == "Dead"


def test_the_kernel_tells_of_the_link_and_the_address(make: Make) -> None:
    pos = make()
    route, trie = pos.folder / "proc/net/route", pos.folder / "proc/net/fib_trie"
    assert sys_file(pos, "net/wwan0/carrier") == "1"
    assert "wwan0\t00000000\t010C400A" in route.read_text()
    pos.set({"network.address": "down"})
    assert sys_file(pos, "net/wwan0/operstate") == "up"
    assert "wwan0" not in route.read_text()
    assert "10.64.12.7" not in trie.read_text()
    pos.set({"network.address": "up", "modem.sim": "absent"})
    assert sys_file(pos, "net/wwan0/carrier") == "0"
    assert pos.get()["network.link"] == "up"
    assert pos.get()["network.link_now"] == "down"
    changes = int(sys_file(pos, "net/wwan0/carrier_changes"))
    pos.set({"modem.sim": "ready"})
    pos.set({"modem.sim": "absent"})
    assert int(sys_file(pos, "net/wwan0/carrier_changes")) == changes + 2
    pos.set({"network.bearer": "ethernet"})
    assert sys_file(pos, "net/eth0/carrier") == "1"
    assert "eth0\t00000000" in route.read_text()


def test_the_board_tells_of_screen_heat_and_boots(make: Make) -> None:
    pos = make()
    boot = pos.folder / "proc/sys/kernel/random/boot_id"
    first = boot.read_text()
    pos.set({"system.screen": "off", "system.temperature_c": 91, "system.boot": "crash"})
    assert sys_file(pos, "backlight/panel/bl_power") == "4"
    assert sys_file(pos, "thermal/thermal_zone0/temp") == "91000"
    assert list((pos.folder / "sys/fs/pstore").iterdir())
    second = boot.read_text()
    pos.set({"system.boot": "power_loss"})
    third = boot.read_text()
    pos.set({"system.boot": "power_loss"})
    assert len({first, second, third, boot.read_text()}) == 4
    assert not list((pos.folder / "sys/fs/pstore").iterdir())


def test_a_reader_of_the_kernel_files_never_sees_half(make: Make) -> None:
    pos = make()
    seen: set[str] = set()
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            seen.add(sys_file(pos, "power_supply/BAT0/capacity"))

    thread = threading.Thread(target=look)
    thread.start()
    for percent in (100, 7) * 100:
        pos.set({"power.battery_percent": percent})
    stop.set()
    thread.join()
    assert seen <= {"100", "7"}


def test_the_payment_application_lives_and_dies(make: Make) -> None:
    pos = make()
    pid_file = pos.folder / "run/payment_app.pid"
    pid = int(pid_file.read_text())
    assert Path(f"/proc/{pid}/comm").read_text().strip() == "payment_app"
    pos.set({"system.payment_app": "down"})
    assert not pid_file.exists()
    assert not Path(f"/proc/{pid}").exists()
    pos.set({"system.payment_app": "up"})
    assert int(pid_file.read_text()) != pid


def test_a_sale_locks(make: Make) -> None:
    pos = make()
    lock = pos.folder / "run/busy.lock"
    pos.set({"system.sale": "yes"})
    with lock.open() as file:
        with pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        pos.set({"system.sale": "no"})
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_reads_are_told_to_the_agent(make: Make) -> None:
    pos = make()
    pos.set({"reader.reads": "1/1"})  # nobody listens yet
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as agent:
        folder = os.open(pos.folder / "run", os.O_PATH)
        agent.bind(f"/proc/self/fd/{folder}/report.sock")
        os.close(folder)
        agent.settimeout(20)
        pos.set({"reader.reads": "12/8"})
        assert json.loads(agent.recv(1024)) == {"reader": {"good": 12, "failed": 8, "attempts": 20}}


def test_a_device_knows_the_worlds_time(make: Make) -> None:
    pos = make()
    pos.set({"system.clock_offset_s": 86_400})
    with Host(pos.path("modem"), 115200) as host:
        assert int(host.ask(b"T", 11)) == pytest.approx(time.time() - 86_400, abs=3)


def test_the_agents_configuration_is_whole(make: Make) -> None:
    pos = make(seed=42, mqtt="mqtt://127.0.0.1:18830")
    config = check(pos.folder / "agent.toml")
    assert config.terminal.id == "sim-42"
    assert config.mqtt.url == "mqtt://127.0.0.1:18830"
    assert {d.name: (d.family, d.baud, d.powered_by) for d in config.device} == {
        "printer": ("escpos", 9600, "mains"),
        "reader": ("crt571", 19200, "battery"),
        "modem": ("quectel", 115200, "battery"),
        "keypad": ("zt588", 9600, "battery"),
    }
    assert all(Path(device.port).is_symlink() for device in config.device)
    for path in (config.paths.sys, config.paths.proc, config.paths.run_dir, config.paths.state_dir):
        assert Path(path).is_dir()


def test_a_terminal_may_lack_devices_and_a_battery(pos_terminal_factory: Make) -> None:
    pos = pos_terminal_factory(
        families={"modem": "none", "keypad": "none"},
        name="till-7",
        config={"terminal": {"language": "zh"}, "mqtt": {"commands": False}, "support": {"channel": "021-5555 0100"}},
    )
    config = check(pos.folder / "agent.toml")
    assert (config.terminal.id, config.terminal.estate, config.terminal.language) == ("till-7", "demo", "zh")
    assert (config.mqtt.url, config.mqtt.commands) == ("mqtt://127.0.0.1:1883", False)
    assert config.support.channel == "021-5555 0100"
    assert config.network.bearer == "ethernet"
    assert [device.name for device in config.device] == ["printer", "reader"]
    assert not (pos.folder / "modem").exists()
    assert pos.get()["network.acquirer_now"] == "up"
    with pytest.raises(Illegal, match=r"network\.bearer cannot be 'modem'; it is one of ethernet"):
        pos.set({"network.bearer": "modem"})
    with pytest.raises(Illegal, match=r"modem\.sim is not a key"):
        pos.set({"modem.sim": "absent"})
    assert sys_file(pos, "power_supply/BAT0/capacity") == "100"
    pos.set({"power.battery": "absent", "power.mains": "off"})
    assert not (pos.folder / "sys/class/power_supply/BAT0/capacity").exists()
    with Host(pos.path("reader"), pos.baud("reader")) as host:
        assert host.ask(b"?", 1, limit_s=0.3) == b"", "nothing feeds it"


def test_a_terminal_has_a_printer(tmp_path: Path) -> None:
    with pytest.raises(Illegal, match=r"none is not a family of printer; there are escpos$"):
        Terminal(tmp_path / "pos", families={"printer": "none"})


def _handles() -> set[tuple[str, str]]:
    """Open files of this process and what they lead to, less the one that reads the list."""
    return {(each.name, str(each.readlink())) for each in Path("/proc/self/fd").iterdir() if each.is_symlink()}


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    threads, handles = set(threading.enumerate()), _handles()
    with Terminal(tmp_path / "pos", registry=REGISTRY) as pos:
        pid = int((pos.folder / "run/payment_app.pid").read_text())
        pos.set({"printer.owner": "payment_app", "network.gateway": "down", "system.sale": "yes"})
    left = {path.name for path in (tmp_path / "pos").iterdir() if path.is_symlink() or not path.is_dir()}
    assert left == {"agent.toml", "acquirer_ca.pem"}
    assert not Path(f"/proc/{pid}").exists()
    assert set(threading.enumerate()) <= threads
    assert _handles() <= handles
    with Terminal(tmp_path / "pos", registry=REGISTRY) as again, Host(again.path("printer")) as host:
        assert host.ask(b"?", 3) == b"ok\n"


def test_a_deep_directory_still_has_room_for_sockets(tmp_path: Path) -> None:
    """A socket's address has 107 bytes; what the agent is told must fit, and be gone afterwards."""
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    for _ in range(2):
        with Terminal(deep, registry=REGISTRY) as pos:
            run = str(pos.describe()["run"])
            assert len(f"{run}/control.sock") <= 107
            assert f'run_dir = "{run}"' in (deep / "agent.toml").read_text()
            assert (deep / "run/payment_app.pid").exists(), "the name that people know leads there too"
        assert not Path(run).exists()
        assert not (deep / "run").is_symlink()


def test_two_terminals_do_not_share_a_directory(make: Make) -> None:
    pos = make()
    with pytest.raises(FileExistsError, match="already runs"), Terminal(pos.folder, registry=REGISTRY):
        pass
    with Host(pos.path("printer")) as host:
        assert host.ask(b"?", 3) == b"ok\n"


def test_an_idle_terminal_sleeps(make: Make) -> None:
    make()

    def slept_for_a_second() -> bool:
        """What other tests left to do in this process may cost a second or two; what polls costs every one."""
        cpu, end = time.process_time(), time.monotonic() + 1.0
        wait_until(lambda: time.monotonic() > end, every_s=0.5)
        return time.process_time() - cpu < 0.02

    wait_until(slept_for_a_second, 20)
