"""What a process and its children cost, as the kernel accounts it."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Memory:
    """KiB. `pss` divides each page among all that map it; `alone` divides only with processes outside the bench.

    `alone` is what a terminal would see on which nothing else of the bench runs: the interpreter and libraries that
    the daemon shares with the bench count in full, those that the system itself has loaded count as shared.
    """

    pss: int = 0
    alone: int = 0
    private: int = 0
    rss: int = 0

    def __add__(self, other: Memory) -> Memory:
        mine, theirs = asdict(self), asdict(other)
        return Memory(**{name: mine[name] + theirs[name] for name in mine})


def family(pid: int) -> list[int]:
    """The process and its living descendants."""
    found = [pid]
    with suppress(FileNotFoundError, ProcessLookupError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += [p for child in (task / "children").read_text().split() for p in family(int(child))]
    return found


def cpu_s(pid: int) -> float:
    """Utime + stime of the process, of its living descendants and of all that were waited for; 10 ms steps."""
    # Children first: one that ends meanwhile is found in what its parent has waited for.
    return sum(_cpu_s(one) for one in reversed(family(pid)))


def _cpu_s(pid: int) -> float:
    with suppress(FileNotFoundError, ProcessLookupError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return sum(int(ticks) for ticks in fields[11:15]) * _TICK_S
    return 0.0


def written_bytes(pid: int) -> int:
    """What it and its children caused to be written to a disk: pages made dirty, each time anew, less those dropped."""
    lines = Path(f"/proc/{pid}/io").read_text().splitlines()
    counts = {name: int(number) for name, _, number in (line.partition(":") for line in lines)}
    return counts["write_bytes"] - counts["cancelled_write_bytes"]


def descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def threads(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


def pss_kib(pid: int) -> int:
    """Of one process; cheap."""
    return _numbers(Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]).get("Pss", 0)


def memory(pid: int, ours: int | None = None) -> Memory:
    """Of the process and its living descendants. `ours` is the root of everything that the bench runs."""
    foreign = _mapped_outside(ours or os.getpid())
    return sum((_memory(one, foreign) for one in family(pid)), Memory())


def _memory(pid: int, foreign: frozenset[str]) -> Memory:
    total = Memory()
    mapping: list[str] = []
    name = ""
    with suppress(FileNotFoundError, ProcessLookupError):  # a child that ended meanwhile
        for line in [*Path(f"/proc/{pid}/smaps").read_text().splitlines(), "0-0 end"]:
            head = line.split(maxsplit=5)
            if head[0].endswith(":"):
                mapping.append(line)
                continue
            numbers = _numbers(mapping)
            pss, rss = numbers.get("Pss", 0), numbers.get("Rss", 0)
            private = numbers.get("Private_Clean", 0) + numbers.get("Private_Dirty", 0)
            total += Memory(pss, pss if name in foreign else rss, private, rss)
            mapping, name = [], head[5] if len(head) > 5 else ""
    return total


def _numbers(lines: list[str]) -> dict[str, int]:
    parts = (line.split() for line in lines)
    return {part[0].rstrip(":"): int(part[1]) for part in parts if len(part) > 2 and part[2] == "kB"}


def _mapped_outside(ours: int) -> frozenset[str]:
    """Files that some process maps which is none of the bench's and runs another program than any of them."""
    inside = set(family(ours))
    programs = {_program(pid) for pid in inside}
    found: set[str] = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and int(entry.name) not in inside and _program(int(entry.name)) not in programs:
            with suppress(OSError):
                lines = (entry / "maps").read_text().splitlines()
                found |= {parts[5] for line in lines if len(parts := line.split(maxsplit=5)) > 5}
    return frozenset(found)


def _program(pid: int) -> str:
    try:
        return str(Path(f"/proc/{pid}/exe").readlink())
    except OSError:
        return ""
