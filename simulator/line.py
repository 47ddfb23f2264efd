"""What a serial line does to bytes: pace, gaps, flips, losses, echo, delay, the wrong speed. Pure: time is given."""

from __future__ import annotations

import random
from collections import deque
from typing import Final

FAULTS: Final = ("clean", "noisy", "slow", "garbled", "echo", "late", "mute")

FLIP: Final = 0.08  # of all bytes; with DROP a reply of 10 bytes arrives whole about every third time
DROP: Final = 0.04
GAP_S: Final = 0.1  # longer than any timeout between two bytes that hosts commonly use, shorter than one for a reply
LATE_S: Final = 1.5  # past the time most hosts grant a short reply, so that it meets the next question
SLICE_S: Final = (
    0.005  # bytes due within one slice are handed over together; keeps a long reply from waking us per byte
)
BITS: Final = 10  # start bit, eight data bits, stop bit
_KEEP: Final = 65_536  # a host that never reads: a real UART would have lost the bytes too


def resample(data: bytes, sent_baud: int, heard_baud: int) -> bytes:
    """What a UART at `heard_baud` makes of bytes sent without pauses at `sent_baud`; 8 data bits, no parity.

    A byte begins at a falling edge; each bit is read in its middle. A missing stop bit is not reported: a tty hands
    such a byte on like any other unless it is told not to.
    """
    wave = [bit for byte in data for bit in (0, *((byte >> i) & 1 for i in range(8)), 1)]
    step = sent_baud / heard_baud  # one heard bit, in sent bits
    heard = bytearray()
    at = 0.0
    while at < len(wave):
        start = int(at)
        while start < len(wave) and wave[start]:
            start += 1
        if start >= len(wave):
            break
        at = max(at, float(start))
        byte = 0
        for i in range(8):
            middle = int(at + (1.5 + i) * step)
            byte |= (wave[middle] if middle < len(wave) else 1) << i
        heard.append(byte)
        at += 9.5 * step  # from the middle of the stop bit on, the next edge counts
    return bytes(heard)


class Line:
    """The line between one host and one device. Each direction has its own seeded noise, so a run can be repeated.

    Faults: noisy flips and loses bytes both ways; slow leaves long gaps; late holds each reply back; echo returns what
    the host wrote; mute loses what the device sends; garbled lets the host hear the device at the wrong speed, while
    the device hears the host, so that there is something to mishear. A host at another speed is garbled both ways.

    `baud` is the device's speed, 0 for a link without one; `host_baud` is the host's, 0 when unknown.
    """

    def __init__(self, baud: int, seed: str, *, pace: bool = True) -> None:
        self.baud = baud
        self.fault = "clean"
        self._pace = pace and baud > 0
        self._noise_in = random.Random(f"{seed}:in")
        self._noise_out = random.Random(f"{seed}:out")
        self._out: deque[tuple[float, bytes]] = deque()
        self._waiting = 0
        self._free_at = 0.0

    def from_host(self, data: bytes, now: float, host_baud: int = 0) -> bytes:
        """What the device hears of what the host wrote."""
        if self.fault == "echo":
            self._put(data, now)
        if self.fault == "noisy":
            data = _noise(data, self._noise_in)
        return self._at_speeds(data, host_baud, self.baud)

    def from_device(self, data: bytes, now: float, host_baud: int = 0) -> None:
        """The device sends; the bytes come out of `due` when their time has come."""
        if self.fault == "mute":
            return
        if self.fault == "noisy":
            data = _noise(data, self._noise_out)
        if self.fault == "garbled":
            host_baud = 2 * self.baud
        self._put(self._at_speeds(data, self.baud, host_baud), now)

    def due(self, now: float) -> bytes:
        """The bytes that have reached the host by now, taken out of the line."""
        ready = bytearray()
        while self._out and self._out[0][0] <= now:
            ready += self._out.popleft()[1]
        self._waiting -= len(ready)
        return bytes(ready)

    def next_due(self) -> float | None:
        """When `due` has something, or None."""
        return self._out[0][0] if self._out else None

    def clear(self) -> None:
        """Lose what is under way: somebody pulled the cable or the power."""
        self._out.clear()
        self._waiting = 0
        self._free_at = 0.0

    def _at_speeds(self, data: bytes, sent_baud: int, heard_baud: int) -> bytes:
        if self.baud and heard_baud and sent_baud and heard_baud != sent_baud:
            return resample(data, sent_baud, heard_baud)
        return data

    def _put(self, data: bytes, now: float) -> None:
        if self._waiting + len(data) > _KEEP:
            return
        self._waiting += len(data)
        if self.fault == "late":
            now += LATE_S
        at = max(now, self._free_at)
        if self.fault == "slow":
            each, slice_bytes = GAP_S, 1
        elif self._pace:
            each = BITS / self.baud
            slice_bytes = max(1, int(SLICE_S / each))
        else:
            each, slice_bytes = 0.0, max(1, len(data))
        for i in range(0, len(data), slice_bytes):
            piece = data[i : i + slice_bytes]
            at += each * len(piece)
            self._out.append((at, piece))
        self._free_at = at


def _noise(data: bytes, random_: random.Random) -> bytes:
    """Two draws a byte, whatever comes of it, so that how the bytes were split does not matter."""
    heard = bytearray()
    for byte in data:
        chance, bit = random_.random(), random_.randrange(8)
        if chance < DROP:
            continue
        heard.append(byte ^ (1 << bit) if chance < DROP + FLIP else byte)
    return bytes(heard)
