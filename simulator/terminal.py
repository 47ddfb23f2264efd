"""A whole terminal that is not there, as a context manager: devices, power, network, and the agent's view of them."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Self

from simulator import configuration, sysfs
from simulator.control import ControlServer, is_running
from simulator.device import Device, Illegal, Key
from simulator.devices import DEVICES
from simulator.loop import Loop, Timer
from simulator.network import Network
from simulator.payment import PaymentApp
from simulator.station import Station, checked
from simulator.world import KEYS, Consequences, as_json, consequences

UNITS: Final = ("printer", "reader", "modem", "keypad")
DEFAULT_FAMILIES: Final[Mapping[str, str]] = {
    "printer": "escpos",
    "reader": "crt571",
    "modem": "quectel",
    "keypad": "zt588",
}
ESTATE: Final = "demo"
DEFAULT_MQTT: Final = "mqtt://127.0.0.1:1883"
_BEARER: Final = "network.bearer"
_NONE: Final = "none"
_SOCKET_NAME_MOST: Final = 107  # unix(7): sun_path has 108 bytes, the last a zero
_REPORT_S: Final = 5.0  # the payment application repeats its counters, so that an agent that starts later hears them


class Terminal:
    """A running terminal in `folder`; everything it offers lies there. Methods may be called from any thread.

    `families` maps unit to family word where it is not the default, or to `none` where there is no such device; `seed`
    makes noise and loss repeatable; `pace` False lets bytes arrive at once; `config` is laid over the agent's
    configuration, table by table; `values` are the keys it is built with. Raises Illegal for a family that is not
    there, and at the start for a key; FileExistsError then when another simulator runs in `folder`.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        families: Mapping[str, str] | None = None,
        seed: int | None = None,
        mqtt: str = DEFAULT_MQTT,
        pace: bool = True,
        registry: Mapping[str, type[Device]] | None = None,
        name: str = "",
        config: Mapping[str, Mapping[str, object]] | None = None,
        values: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = Path(folder).absolute()
        words = {**DEFAULT_FAMILIES, **(families or {})}
        self._kinds = _kinds(words, registry or DEVICES)
        self.families = {unit: words[unit] for unit in self._kinds}
        self.seed = seed or 0
        self.mqtt = mqtt
        self.terminal_id = name or (f"sim-{seed}" if seed is not None else "sim-" + _segment(self.folder.name))
        self.config = config or {}
        self._built_with = values or {}
        self._pace = pace
        self._loop = Loop()
        self._own_keys = dict(KEYS)
        if "modem" not in self._kinds:
            self._own_keys[_BEARER] = Key("ethernet", values=("ethernet",))
        self._values = {name: key.default for name, key in self._own_keys.items()}
        self._boot_id = str(uuid.uuid4())
        self._sys: sysfs.Tree = {}
        self._proc: sysfs.Tree = {}
        self._report: Timer | None = None
        self._reads_matter = False  # until somebody sets them, nothing is told of reads
        self._closing = contextlib.ExitStack()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Make everything appear. On an error nothing is left behind."""
        for name in ("state", "sys", "proc"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        if is_running(self.folder):
            raise FileExistsError(f"a simulator already runs in {self.folder}")
        self._make_run()
        self._loop.start()
        self._closing.callback(self._loop.close)
        try:
            self._loop.call(self._build)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End its processes; remove links and sockets. Raises RuntimeError when the simulator had a defect."""
        self._closing.close()

    def _make_run(self) -> None:
        """DIR/run; a link to a directory with a short name where DIR lies too deep for a socket's address."""
        run = self.folder / "run"
        if run.is_symlink() and not run.exists():  # of a simulator that was killed
            run.unlink()
        if run.exists() or len(os.fsencode(run / "control.sock")) <= _SOCKET_NAME_MOST:
            run.mkdir(exist_ok=True)
            return
        short = tempfile.mkdtemp(prefix="posdiag-run-")
        self._closing.callback(shutil.rmtree, short, ignore_errors=True)
        run.symlink_to(short)
        self._closing.callback(run.unlink, missing_ok=True)

    # --- what people and tests use ------------------------------------------------------------------------------------

    def set(self, values: Mapping[str, object] | None = None, /, **more: object) -> None:
        """Change keys: `set({"printer.paper": "out"})` or `set(printer_paper="out")` with the first `_` for the dot.

        All are checked before any is applied. Raises Illegal naming the legal ones.
        """
        wanted = {**(values or {}), **{name.replace("_", ".", 1): value for name, value in more.items()}}
        self._loop.call(lambda: self._set(wanted))

    def get(self) -> dict[str, str | int | float]:
        """Every key with its value, numbers as numbers; and what can only be read, such as violations and output."""
        return self._loop.call(self._get)

    def path(self, unit: str) -> Path:
        """What a host opens for a device: DIR/printer and so on."""
        return self._stations[unit].path

    def baud(self, unit: str) -> int:
        """The speed of a device's line; 0 for one without."""
        return self._stations[unit].baud

    def feed(self, unit: str) -> str:
        """What keeps a device alive: mains or battery. A printer draws too much for any battery."""
        return "mains" if unit == "printer" or self._values["power.battery"] == "absent" else "battery"

    def violations(self) -> dict[str, dict[str, int]]:
        """By unit: what hosts did against the protocol, reason to count. Units without any are absent."""
        return self._loop.call(
            lambda: {name: dict(s.device.violations) for name, s in self._stations.items() if s.device.violations}
        )

    def printed(self) -> bytes:
        """The bytes the printer printed."""
        return self._loop.call(lambda: bytes(self._stations["printer"].device.output))

    def world_time(self) -> float:
        """Seconds since 1970 outside the terminal, whose own clock is the machine's."""
        return time.time() - float(self._values["system.clock_offset_s"])

    def describe(self) -> dict[str, Any]:
        """Where everything is, for the line that `sim run --json` prints."""
        return {
            "dir": str(self.folder),
            "terminal": self.terminal_id,
            "estate": ESTATE,
            "seed": self.seed,
            "families": dict(self.families),
            **{unit: str(self.path(unit)) for unit in self._stations},
            "sys": str(self.folder / "sys"),
            "proc": str(self.folder / "proc"),
            "run": str((self.folder / "run").resolve()),
            "state": str(self.folder / "state"),
            "acquirer_ca": str(self._network.ca_file),
            "config": str(self.folder / "agent.toml"),
            "mqtt": self.mqtt,
            **self._network.addresses(),
        }

    # --- inside the loop's thread -------------------------------------------------------------------------------------

    def _build(self) -> None:
        closing = self._closing
        seed = f"{self.seed}:{self.terminal_id}"
        self._network = Network(self._loop, self.folder, seed, self.world_time)
        closing.callback(self._in_loop(self._network.close))
        self._stations: dict[str, Station] = {}
        for unit, kind in self._kinds.items():
            station = Station(self._loop, self.folder, kind, seed, self.world_time, pace=self._pace)
            closing.callback(self._in_loop(station.close))
            self._stations[unit] = station
        self._keys: dict[str, Key] = dict(self._own_keys)
        for station in self._stations.values():
            self._keys.update(station.keys())
        self._payment = PaymentApp(self.folder / "run")
        closing.callback(self._payment.close)
        self._payment.set_up(True)
        sysfs.link_real_proc(self.folder / "proc")
        self._set(self._built_with)
        configuration.write(self)
        control = ControlServer(self._loop, self.folder, {"get": self._answer_get, "set": self._answer_set})
        closing.callback(self._in_loop(control.close))

    def _in_loop(self, act: Callable[[], None]) -> Callable[[], None]:
        return lambda: self._loop.call(act)

    def _set(self, wanted: Mapping[str, object]) -> None:
        values = {
            name: checked(self._keys, name, None if value is None else str(value)) for name, value in wanted.items()
        }
        for name, value in values.items():
            unit, _, key = name.partition(".")
            if unit in self._stations:
                self._stations[unit].set(key, value)
            else:
                self._values[name] = value
                if name == "system.boot":
                    self._boot_id = str(uuid.uuid4())
        self._apply()

    def _everything(self) -> dict[str, str]:
        everything = dict(self._values)
        for station in self._stations.values():
            everything.update(station.values())
        return everything

    def _apply(self) -> None:
        """Make the whole terminal agree with its keys. Doing it again changes nothing."""
        values = self._everything()
        now = consequences(values, tuple(self._stations))
        for name, station in self._stations.items():
            station.set_powered(name in now.powered)
        self._network.apply(now)
        sys_tree = sysfs.sys_tree(values, now, self._sys)
        proc_tree = sysfs.proc_tree(values, now, self._boot_id)
        sysfs.write_tree(self.folder / "sys", sys_tree, self._sys)
        sysfs.write_tree(self.folder / "proc", proc_tree, self._proc)
        self._sys, self._proc = sys_tree, proc_tree
        self._payment.set_up(values["system.payment_app"] == "up")
        self._payment.set_sale(values["system.sale"] == "yes")
        self._tell_reads()

    def _tell_reads(self) -> None:
        if self._report is not None:
            self._report.cancel()
            self._report = None
        reads = self._everything().get("reader.reads", "0/0")
        self._reads_matter = self._reads_matter or reads != "0/0"
        if self._reads_matter and self._values["system.payment_app"] == "up":
            self._payment.report_reads(reads)
            self._report = self._loop.after(_REPORT_S, self._tell_reads)

    def _get(self) -> dict[str, str | int | float]:
        values = self._everything()
        shown: dict[str, str | int | float] = {name: as_json(name, value) for name, value in values.items()}
        shown.update(_reachable(consequences(values, tuple(self._stations))))
        for name, station in self._stations.items():
            violations = station.device.violations
            shown[f"{name}.violations"] = sum(violations.values())
            shown[f"{name}.violations_detail"] = "; ".join(f"{why} ({n})" for why, n in sorted(violations.items()))
            shown[f"{name}.family"] = self.families[name]
        self._stations["printer"].save_output()
        shown["printer.output"] = str(self._stations["printer"].printed)
        shown["printer.output_bytes"] = len(self._stations["printer"].device.output)
        return dict(sorted(shown.items()))

    def _answer_get(self, _request: Mapping[str, Any]) -> dict[str, Any]:
        return {"values": self._get()}

    def _answer_set(self, request: Mapping[str, Any]) -> dict[str, Any]:
        values = request.get("values")
        if not isinstance(values, dict):
            return {"error": "set needs values, an object of keys and values"}
        try:
            self._set(values)
        except (Illegal, RuntimeError) as error:
            return {"error": str(error)}
        return {}


def _reachable(now: Consequences) -> dict[str, str | int | float]:
    """What works right now, whatever its own key says, because something before it may not."""
    rungs = ("link", "address", "gateway", "dns", "acquirer", "internet")
    return {
        **{f"network.{rung}_now": "up" if getattr(now, rung) else "down" for rung in rungs},
        "network.latency_now_ms": round(now.latency_ms),
        "network.loss_now_percent": round(now.loss_percent, 1),
    }


def _kinds(families: Mapping[str, str], registry: Mapping[str, type[Device]]) -> dict[str, type[Device]]:
    """The device class for each unit that there is. Raises Illegal naming the legal units or families."""
    kinds = {}
    for unit, family in families.items():
        if unit not in UNITS:
            raise Illegal(f"{unit} is not a device of the terminal; there are {', '.join(UNITS)}")
        legal = sorted(word for word, kind in registry.items() if kind.unit == unit)
        if unit != "printer":  # what was printed is part of every terminal
            legal.append(_NONE)
        if family not in legal:
            raise Illegal(f"{family} is not a family of {unit}; there are {', '.join(legal)}")
        if family != _NONE:
            kinds[unit] = registry[family]
    return kinds


def _segment(text: str) -> str:
    """Something that may stand in a topic and says where it comes from."""
    return re.sub(r"[^a-z0-9_-]+", "-", text.lower())[:56].strip("-") or "terminal"
