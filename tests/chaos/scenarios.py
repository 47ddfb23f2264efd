"""The faults. Each takes a terminal and how often to hurt it, and ends with the agent running and the cause gone."""

from __future__ import annotations

import os
import random
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.store import FILE
from tests.chaos.bed import Place, pause
from tests.wait import wait_until

Scenario = Callable[[Place, int], None]
TRIED_AGAIN_S = 6.0  # by then a disk that refused has been tried once more
LONGEST_S = 1.6  # of a life before a random kill: the start, the first connection and the first faults


def killed_at_each_write(place: Place, times: int) -> None:
    """SIGKILL before each transaction, before each COMMIT and after it, one further each time; a few take long steps."""
    for turn in range(times):
        point = 1 + turn * (4 if times < 12 else 1)
        place.start("--die-at", str(point))
        if turn % 4 == 3:
            place.disturb()
        for _ in range(12):
            if place.ends(5):
                break
            place.disturb()  # left alone it writes a few dozen times and then hardly ever
        place.dead()
    recovered(place)


def killed_at_random(place: Place, times: int) -> None:
    """SIGKILL at any moment of the start, or of the life after it; every fifth time the terminal boots anew."""
    chance = place.bed.chance
    for turn in range(times):
        before = place.conn()
        place.start()
        place.chat()
        if turn % 3 == 0:
            place.disturb()
        if turn % 2:
            wait_until(lambda now=before: place.conn() > now, 60)
        pause(chance.uniform(0.05, LONGEST_S))
        place.kill()
        if turn % 5 == 4:
            place.bed.sim.set(system_boot="power_loss")
    recovered(place)


def killed_inside_a_write(place: Place, times: int) -> None:
    """Death when a file would pass a length: what was being written is torn."""
    chance = place.bed.chance
    place.start()
    wait_until(place.conn)
    place.kill()
    torn = 0
    for _ in range(times):
        _start_to_die_writing(place, chance.randint(1, 80_000))
        pause(chance.uniform(1, 2 * LONGEST_S))
        torn += place.kill() == -signal.SIGXFSZ
    if not torn:  # where a start takes longer than those pauses
        process = _start_to_die_writing(place, 1)
        wait_until(lambda: place.disturb() or process.poll() is not None, 120, every_s=0.5)
        torn += place.kill() == -signal.SIGXFSZ
    assert torn, "nobody died as planned"
    recovered(place)


def _start_to_die_writing(place: Place, room: int) -> subprocess.Popen[bytes]:
    """A life that ends when a file grows by more than `room` bytes, with something to write."""
    grown = max(each.stat().st_size for each in place.state_dir.iterdir())  # the store's log goes on where it was
    process = place.start("--die-writing", str(grown + room), log=Path(os.devnull))
    place.disturb()
    return process


def recovered(place: Place) -> None:
    before = place.conn()
    place.start()
    place.right(before)


def running(place: Place) -> None:
    place.start()
    place.right(0)


def broker_killed(place: Place, times: int) -> None:
    """The broker dies at any moment and comes back without memory; acknowledgements under way are lost with it."""
    bed = place.bed
    running(place)
    for _ in range(times):
        place.disturb()
        pause(bed.chance.uniform(0, 1))
        before = place.conn()
        bed.line.stalled = True  # so that what the broker has acknowledged has been heard before it dies
        pause(0.3)
        bed.restart_broker()
        place.disturb()
        bed.line.stalled = False
        bed.line.cut()
        place.right(before)


def broker_refusing(place: Place, times: int) -> None:
    """Connections are closed as soon as they are made."""
    bed = place.bed
    running(place)
    for _ in range(times):
        before = place.conn()
        bed.line.blocked = True
        bed.line.cut()
        place.disturb()
        pause(1.5)
        bed.line.blocked = False
        place.right(before)


def line_half_open(place: Place, times: int) -> None:
    """Bytes vanish both ways while TCP believes that all is well."""
    bed = place.bed
    running(place)
    for _ in range(times):
        before = place.conn()
        bed.line.stalled = True
        place.disturb()
        pause(bed.chance.uniform(2.5, 4))
        place.disturb()
        bed.line.stalled = False
        place.right(before)


def line_slow(place: Place, times: int) -> None:
    """64 bytes at a time, twenty milliseconds apart or so."""
    running(place)
    place.bed.line.slow = True
    try:
        for _ in range(times):
            place.disturb()
            wait_until(lambda: not place.wrong(), 75)  # the same connection: the digest may take its minute
    finally:
        place.bed.line.slow = False


def line_cut(place: Place, times: int) -> None:
    """The connection ends after any number of bytes."""
    bed = place.bed
    running(place)
    for turn in range(times):
        before = place.conn()
        bed.line.cut_after_bytes = bed.chance.randint(1, 1_500)
        if turn % 3 == 0:
            place.disturb()

        def cut() -> bool:
            place.chat()
            return bed.line.cut_after_bytes is None

        wait_until(cut, 30, every_s=0.5)
        wait_until(lambda now=before: place.conn() > now, 60)
    before = place.conn()
    bed.line.cut()
    place.right(before)


@contextmanager
def small_disk(place: Place) -> Iterator[None]:
    """The state directory on a file system of 1 MiB. Skips where nobody may mount one."""
    place.state_dir.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "posdiag-chaos", str(place.state_dir)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("needs to mount a file system")
    try:
        yield
    finally:
        place.kill()
        subprocess.run(["umount", str(place.state_dir)], check=True)


def _fill(folder: Path) -> None:
    with (folder / "ballast").open("wb", buffering=0) as ballast:
        try:
            while True:
                ballast.write(bytes(1024))
        except OSError:
            pass


def _empty(folder: Path) -> None:
    (folder / "ballast").unlink()


def disk_full(place: Place, times: int) -> None:
    """Not a byte more, while faults come and go and the line is away; then room again."""
    line = place.bed.line
    running(place)
    for turn in range(times):
        before = place.conn()
        _fill(place.state_dir)
        if turn % 2:
            line.blocked = True
            line.cut()
        for _ in range(3):
            place.disturb()
            pause(1.2)
        line.blocked = False
        if turn % 2 == 0:
            line.cut()
        place.right(before)
        _empty(place.state_dir)
        pause(TRIED_AGAIN_S)


def disk_readonly(place: Place, times: int) -> None:
    """The agent starts on a file system that takes nothing, tells what it sees, and can write again later."""

    def mount(how: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{how}", str(place.state_dir)], check=True)

    running(place)
    for _ in range(times):
        place.kill()
        mount("ro")
        recovered(place)
        place.disturb()
        pause(1.2)
        before = place.conn()
        place.bed.line.cut()
        place.right(before)
        mount("rw")
        pause(TRIED_AGAIN_S)


def killed_on_a_full_disk(place: Place, times: int) -> None:
    """What could only be said from memory has been said; then the agent dies and starts on the same full disk."""
    running(place)
    for _ in range(times):
        _fill(place.state_dir)
        for _ in range(3):
            place.disturb()
            pause(1.2)
        place.kill()
        recovered(place)
        place.disturb()
        pause(1.2)
        place.kill()
        _empty(place.state_dir)
        recovered(place)


def store_corrupt(place: Place, times: int) -> None:
    """Bytes of the file change, while the agent is down and while it runs."""
    for turn in range(times):
        before = place.conn()
        if turn % 2 == 0:
            if before:
                place.kill()
                _scribble(place.state_dir / FILE, place.bed.chance)
            place.start()
            place.right(before)
        else:
            _scribble(place.state_dir / FILE, place.bed.chance)
            place.disturb()
            pause(1.5)
            place.bed.line.cut()
            place.right(before)


def _scribble(path: Path, chance: random.Random) -> None:
    with path.open("r+b") as file:
        for page in range(path.stat().st_size // 4096):
            file.seek(page * 4096 + chance.randint(0, 60))
            file.write(chance.randbytes(64))


def clock_wrong(place: Place, times: int) -> None:
    """1970 at the start, then NTP comes late; a day ahead, a day behind; each while connected and while away."""
    wall = place.bed.folder / f"{place.terminal}.wall"
    wall.write_text("at 100")
    place.start("--live-in", str(wall))
    place.right(0)
    for turn in range(times):
        for offset in ("0", "86400", "-86400", "at 100", "0"):
            before = place.conn()
            place.bed.line.blocked = turn % 2 == 1
            place.bed.line.cut()
            part = wall.with_suffix(".part")  # the daemon reads it at any moment and must not find it empty
            part.write_text(offset)
            part.replace(wall)
            place.disturb()
            pause(1.2)
            place.bed.line.blocked = False
            place.right(before)


def cable_pulled(place: Place, times: int) -> None:
    """A device's cable goes at any moment, also inside a reply, and comes back."""
    bed = place.bed
    running(place)
    for turn in range(times):
        unit = ("printer", "reader", "keypad")[turn % 3]
        pause(bed.chance.uniform(0, 1))
        bed.sim.apply({f"{unit}.cable": "out"})
        wait_until(lambda unit=unit: f"{unit}/port_lost" in bed.account(place.terminal)["faults"], 60)
        place.disturb()
        bed.sim.apply({f"{unit}.cable": "in"})
        wait_until(lambda unit=unit: _over(place, f"{unit}/port_lost"), 60)
    before = place.conn()
    bed.line.cut()
    place.right(before)


def _over(place: Place, key: str) -> bool:
    """Cleared, or changed so often that the agent calls it flapping and waits for quiet."""
    return key not in place.bed.account(place.terminal)["faults"] or any(
        fault["fault"] == key and fault["state"] == "flapping" for fault in place.status().get("faults", ())
    )


def two_agents(place: Place, times: int) -> None:
    """A second daemon with the same directories, or only the same store, ends at once and harms nothing."""
    running(place)
    other = place.bed.folder / f"{place.terminal}-other.toml"
    other.write_text(place.config.read_text().replace(str(place.run_dir), f"{place.run_dir}-other"))
    first = place._process
    for turn in range(times):
        config, says = ((place.config, "another agent is running"), (other, "another agent is using"))[turn % 2]
        log = place.log.with_name(f"{place.terminal}-second.log")  # the first goes on writing in its own
        second = place.start(config=config, log=log)
        assert second.wait(60) == 2
        assert says in log.read_text().splitlines()[-1]
        place._process = first
        place.disturb()
        pause(1)
    before = place.conn()
    place.bed.line.cut()
    place.right(before)


ON_A_SMALL_DISK = (disk_full, disk_readonly, killed_on_a_full_disk)
SHORT: dict[Scenario, int] = {
    killed_at_each_write: 6,
    killed_at_random: 5,
    killed_inside_a_write: 2,
    broker_killed: 1,
    broker_refusing: 1,
    line_half_open: 1,
    line_slow: 1,
    line_cut: 2,
    disk_full: 1,
    disk_readonly: 1,
    killed_on_a_full_disk: 2,
    store_corrupt: 2,
    clock_wrong: 1,
    cable_pulled: 1,
    two_agents: 2,
}
LONG: dict[Scenario, int] = {
    killed_at_each_write: 45,
    killed_at_random: 500,
    killed_inside_a_write: 60,
    broker_killed: 20,
    broker_refusing: 10,
    line_half_open: 10,
    line_slow: 6,
    line_cut: 60,
    disk_full: 6,
    disk_readonly: 6,
    killed_on_a_full_disk: 4,
    store_corrupt: 10,
    clock_wrong: 3,
    cable_pulled: 12,
    two_agents: 6,
}


def play(place: Place, scenario: Scenario, times: int) -> dict[str, object]:
    """Hurt it, prove that nothing was lost, and return the terminal's account."""
    with place:
        if scenario in ON_A_SMALL_DISK:
            with small_disk(place):
                scenario(place, times)
                return place.prove()
        scenario(place, times)
        return place.prove()
