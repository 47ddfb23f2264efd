"""Bytes that are nearly right: golden frames with something done to them, and plain noise. Seeded, so a failure repeats."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from agent.wire import MAX_PACKET_BYTES


class Mutator:
    """Endless pieces made from `corpus`. `fed` counts their bytes."""

    def __init__(self, corpus: Sequence[bytes], seed: int) -> None:
        self._corpus = corpus
        self._random = random.Random(seed)
        self.fed = 0

    def pieces(self, total: int) -> Iterator[bytes]:
        """Pieces of at least `total` bytes together."""
        end = self.fed + total
        while self.fed < end:
            piece = self.piece()
            self.fed += len(piece)
            yield piece

    def piece(self) -> bytes:
        """One to four frames, most of them damaged, cut at any place; or noise."""
        draw = self._random
        if draw.random() < 0.15:
            return draw.randbytes(draw.randint(1, 600))
        data = b"".join(self._frame() for _ in range(draw.randint(1, 4)))
        return data[: draw.randint(1, len(data))] if draw.random() < 0.5 else data

    def _frame(self) -> bytes:
        draw = self._random
        frame = bytearray(draw.choice(self._corpus))
        for _ in range(draw.choice((0, 0, 1, 1, 2, 5))):
            at = draw.randrange(len(frame) + 1)
            match draw.randrange(6):
                case 0 if at < len(frame):
                    frame[at] ^= 1 << draw.randrange(8)
                case 1 if at < len(frame):
                    frame[at] = draw.choice((0x00, 0xFF, 0x7F, 0x0D, 0x22, 0x2C, draw.randrange(256)))
                case 2:
                    del frame[at : at + draw.randint(1, 4)]
                case 3:
                    frame[at:at] = draw.randbytes(draw.randint(1, 4))
                case 4:
                    frame[at:at] = frame[at : at + 8] * draw.randint(1, 3)
                case _:
                    other = draw.choice(self._corpus)
                    frame[at:] = other[draw.randrange(len(other)) :]
            if not frame:
                frame += b"\0"
        return bytes(frame)


FLOODS = [
    filler * (size // len(filler))
    for filler in (
        b"\x00", b"\xff", b"\x02", b"[", b"{", b'{"a":', b'[{"x":[', b"9", b"1111111111 ", b'"', b"\\", b'"\\', b"'", b"b'",
        b"<", b";4", b"%B4^", b"\x57\x13", b"a=", b"\n", b"|", b"POSDIAG1-", b"BEGIN LIST VAR ups\n", b'VAR ups a "b"\n',
        b"\xa3\xb0", b"\xef\xbc\x90", b"-----BEGIN CERTIFICATE-----", b"\x30\x82", b"4 1-", b"a.b.c.", b"+CEREG: 1,",
    )
    for size in (1000, MAX_PACKET_BYTES - 1)
]  # fmt: skip
FLOODS += [b"a=" + b"[" * 9000, b"a=" + b"{b=" * 3000]
"""One thing again and again, up to the largest packet: what makes a careless reader slow, deep or large."""
