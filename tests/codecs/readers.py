"""What every decoder must stand: any split, noise around frames, anything at all."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from drivers.codecs.malformed import Malformed


def drain(decoder: Any, most: int = 20_000) -> list[Any]:
    """Every message, with Malformed in place of what is none; fails when the decoder does not come to an end."""
    found: list[Any] = []
    for _ in range(most):
        try:
            message = decoder.next()
        except Malformed:
            found.append(Malformed)
            continue
        if message is None:
            return found
        found.append(message)
    raise AssertionError("the decoder makes no progress")


def decode(make: Callable[[], Any], data: bytes, step: int = 0) -> list[Any]:
    """Messages in `data`, fed at once or in pieces of `step` bytes."""
    decoder = make()
    found: list[Any] = []
    for at in range(0, len(data), step or len(data)):
        decoder.feed(data[at : at + (step or len(data))])
        found += drain(decoder)
    return found


def fed(decoder: Any, *chunks: bytes) -> list[Any]:
    """Messages in these chunks, and "malformed" in place of what is none."""
    found: list[Any] = []
    for chunk in chunks:
        decoder.feed(chunk)
        found += ["malformed" if message is Malformed else message for message in drain(decoder)]
    return found


def survived(decoder: Any, chunks: list[bytes]) -> list[Any]:
    """Messages in these chunks; fails unless each step takes something from a buffer that stays small."""
    found: list[Any] = []
    fed_bytes = 0
    for chunk in chunks:
        decoder.feed(chunk)
        fed_bytes += len(chunk)
        for _ in range(2 * fed_bytes + 2):
            before = len(decoder._buffer)
            assert before <= 4096
            try:
                message = decoder.next()
            except Malformed:
                assert len(decoder._buffer) < before
                continue
            if message is None:
                break
            assert len(decoder._buffer) < before
            found.append(message)
        else:
            raise AssertionError("the decoder does not come to an end")
    decoder.feed(bytes(10_000))
    assert len(decoder._buffer) <= 4096, "of a flood only the newest are kept"
    return found


def good(found: list[Any]) -> list[Any]:
    return [message for message in found if message is not Malformed]


def stands_anything(make: Callable[[], Any], frames: list[bytes], kept_limit: int, total: int = 300_000) -> None:
    """Random bytes, mixed with whole and damaged frames in random pieces: total, bounded, progressing; still alive."""
    chance = random.Random(20261121)
    decoder = make()
    fed = 0
    while fed < total:
        kind = chance.random()
        if kind < 0.5:
            piece = chance.randbytes(chance.randint(1, 700))
        else:
            frame = bytearray(chance.choice(frames))
            if kind < 0.75:
                frame[chance.randrange(len(frame))] ^= 1 << chance.randrange(8)
            piece = bytes(frame[: chance.randint(1, len(frame))])
        fed += len(piece)
        decoder.feed(piece)
        drain(decoder)
        assert len(decoder._kept) <= kept_limit
    decoder.feed(b"\xff" * 5000)
    drain(decoder)
    decoder.feed(frames[0])
    assert good(drain(decoder)), "after a flood of noise a whole frame is found again"
