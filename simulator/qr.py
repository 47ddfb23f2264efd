"""QR codes, drawn as the printer draws them: bytes -> rows of modules (ISO/IEC 18004, versions 1 to 17).

Alphanumeric mode where the data allows it, as printers choose it, else byte mode.
"""

from __future__ import annotations

from typing import Final

_BLOCKS: Final[dict[str, tuple[tuple[int, int], ...]]] = {
    "L": (
        (7, 1),
        (10, 1),
        (15, 1),
        (20, 1),
        (26, 1),
        (18, 2),
        (20, 2),
        (24, 2),
        (30, 2),
        (18, 4),
        (20, 4),
        (24, 4),
        (26, 4),
        (30, 4),
        (22, 6),
        (24, 6),
        (28, 6),
    ),
    "M": (
        (10, 1),
        (16, 1),
        (26, 1),
        (18, 2),
        (24, 2),
        (16, 4),
        (18, 4),
        (22, 4),
        (22, 5),
        (26, 5),
        (30, 5),
        (22, 8),
        (22, 9),
        (24, 9),
        (24, 10),
        (28, 10),
        (28, 11),
    ),
    "Q": (
        (13, 1),
        (22, 1),
        (18, 2),
        (26, 2),
        (18, 4),
        (24, 4),
        (18, 6),
        (22, 6),
        (20, 8),
        (24, 8),
        (28, 8),
        (26, 10),
        (24, 12),
        (20, 16),
        (30, 12),
        (24, 17),
        (28, 16),
    ),
    "H": (
        (17, 1),
        (28, 1),
        (22, 2),
        (16, 4),
        (22, 4),
        (28, 4),
        (26, 5),
        (26, 6),
        (24, 8),
        (28, 8),
        (24, 11),
        (28, 11),
        (22, 16),
        (24, 16),
        (24, 18),
        (30, 16),
        (28, 19),
    ),
}
"""For each version: error correction bytes in a block, and how many blocks."""
_LEVEL_BITS: Final = {"L": 1, "M": 0, "Q": 3, "H": 2}
_ALIGNMENT: Final = (
    (),
    (6, 18),
    (6, 22),
    (6, 26),
    (6, 30),
    (6, 34),
    (6, 22, 38),
    (6, 24, 42),
    (6, 26, 46),
    (6, 28, 50),
    (6, 30, 54),
    (6, 32, 58),
    (6, 34, 62),
    (6, 26, 46, 66),
    (6, 26, 48, 70),
    (6, 26, 50, 74),
    (6, 30, 54, 78),
)
_ALPHANUMERIC: Final = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"

Grid = list[list[int | None]]


def _field() -> tuple[list[int], list[int]]:
    """Powers and logarithms of GF(256) with polynomial 11D."""
    power, log, value = [0] * 255, [0] * 256, 1
    for exponent in range(255):
        power[exponent], log[value] = value, exponent
        value = value << 1 ^ (0x11D if value & 0x80 else 0)
    return power, log


_POWER, _LOG = _field()


def _times(left: int, right: int) -> int:
    return _POWER[(_LOG[left] + _LOG[right]) % 255] if left and right else 0


def _correction(data: bytes, count: int) -> bytes:
    """Reed-Solomon remainder of `count` bytes."""
    generator = [1]
    for exponent in range(count):
        root = _POWER[exponent]
        shifted = [*generator, 0]
        for index, factor in enumerate(generator):
            shifted[index + 1] ^= _times(factor, root)
        generator = shifted
    rest = [*data, *[0] * count]
    for index in range(len(data)):
        lead = rest[index]
        for offset, factor in enumerate(generator):
            rest[index + offset] ^= _times(factor, lead)
    return bytes(rest[len(data) :])


def _modules(version: int) -> int:
    """Modules that carry data bits."""
    total = (16 * version + 128) * version + 64
    if version >= 2:
        count = version // 7 + 2
        total -= (25 * count - 10) * count - 55
        if version >= 7:
            total -= 36
    return total


def _capacity(version: int, level: str) -> int:
    check, blocks = _BLOCKS[level][version - 1]
    return _modules(version) // 8 - check * blocks


def _bits(data: bytes, version: int) -> str:
    """Mode, length and data."""
    if all(byte in _ALPHANUMERIC for byte in data):
        digits = [_ALPHANUMERIC.index(byte) for byte in data]
        pairs = (digits[at : at + 2] for at in range(0, len(digits), 2))
        body = "".join(f"{p[0] * 45 + p[1]:011b}" if len(p) == 2 else f"{p[0]:06b}" for p in pairs)
        return f"0010{len(data):0{9 if version < 10 else 11}b}" + body
    return f"0100{len(data):0{8 if version < 10 else 16}b}" + "".join(f"{byte:08b}" for byte in data)


def _codewords(data: bytes, version: int, level: str) -> bytes:
    """Mode, length, data, padding, split into blocks and interleaved with their correction bytes."""
    bits = _bits(data, version) + "0000"
    room = _capacity(version, level)
    bits = bits[: room * 8]
    bits += "0" * (-len(bits) % 8)
    content = bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits), 8))
    content += (b"\xec\x11" * room)[: room - len(content)]
    check, count = _BLOCKS[level][version - 1]
    short, longer = divmod(room, count)
    blocks, at = [], 0
    for index in range(count):
        size = short + (index >= count - longer)
        blocks.append(content[at : at + size])
        at += size
    mixed = [block[index] for index in range(short + 1) for block in blocks if index < len(block)]
    checks = [_correction(block, check) for block in blocks]
    return bytes(mixed + [part[index] for index in range(check) for part in checks])


def _square(grid: Grid, row: int, column: int, rings: str) -> None:
    """A centred square pattern: `rings` says dark (1) or light (0) from the middle outwards."""
    reach = len(rings) - 1
    for down in range(-reach, reach + 1):
        for across in range(-reach, reach + 1):
            at_row, at_column = row + down, column + across
            if 0 <= at_row < len(grid) and 0 <= at_column < len(grid):
                grid[at_row][at_column] = int(rings[max(abs(down), abs(across))])


def _patterns(version: int) -> Grid:
    """Everything that is not data; None where data goes."""
    size = 17 + 4 * version
    grid: Grid = [[None] * size for _ in range(size)]
    for index in range(size):
        grid[6][index] = grid[index][6] = (index + 1) % 2
    for row, column in ((3, 3), (3, size - 4), (size - 4, 3)):
        _square(grid, row, column, "11010")
    centres = _ALIGNMENT[version - 1]
    for row in centres:
        for column in centres:
            if (row, column) not in ((6, 6), (6, size - 7), (size - 7, 6)):
                _square(grid, row, column, "101")
    _format(grid, 0)
    if version >= 7:
        _version(grid, version)
    return grid


def _format(grid: Grid, bits: int) -> None:
    """Level and mask, twice, beside the finder patterns, and the module that is always dark."""
    size = len(grid)
    near = [(index if index < 6 else index + 1, 8) for index in range(8)] + [
        (8, 7 if index == 8 else 14 - index) for index in range(8, 15)
    ]
    far = [(8, size - 1 - index) for index in range(8)] + [(size - 15 + index, 8) for index in range(8, 15)]
    for index in range(15):
        for row, column in (near[index], far[index]):
            grid[row][column] = bits >> index & 1
    grid[size - 8][8] = 1


def _version(grid: Grid, version: int) -> None:
    rest = version << 12
    for shift in range(5, -1, -1):
        if rest >> shift + 12 & 1:
            rest ^= 0x1F25 << shift
    bits, size = version << 12 | rest, len(grid)
    for index in range(18):
        row, column = index // 3, size - 11 + index % 3
        grid[row][column] = grid[column][row] = bits >> index & 1


def _masked(row: int, column: int, mask: int) -> bool:
    product = row * column
    return (
        (row + column) % 2,
        row % 2,
        column % 3,
        (row + column) % 3,
        (row // 2 + column // 3) % 2,
        product % 2 + product % 3,
        (product % 2 + product % 3) % 2,
        ((row + column) % 2 + product % 3) % 2,
    )[mask] == 0


def _filled(version: int, level: str, words: bytes, mask: int) -> Grid:
    """Data in columns of two from the right, up and down in turn."""
    grid = _patterns(version)
    size, bits = len(grid), iter("".join(f"{word:08b}" for word in words))
    for pair, right in enumerate(column - (column <= 6) for column in range(size - 1, 0, -2)):
        rows = range(size) if pair % 2 else range(size - 1, -1, -1)
        for row in rows:
            for column in (right, right - 1):
                if grid[row][column] is None:
                    grid[row][column] = int(next(bits, "0")) ^ _masked(row, column, mask)
    told = _LEVEL_BITS[level] << 3 | mask
    rest = told << 10
    for shift in range(4, -1, -1):
        if rest >> shift + 10 & 1:
            rest ^= 0x537 << shift
    _format(grid, (told << 10 | rest) ^ 0x5412)
    return grid


def _penalty(rows: tuple[str, ...]) -> int:
    """ISO/IEC 18004 8.8.2: long runs, squares, finder look-alikes, and too much of one colour."""
    total, size = 0, len(rows)
    columns = ["".join(part) for part in zip(*rows, strict=True)]
    for line in (*rows, *columns):
        run = 1
        for before, after in zip(line, line[1:] + " ", strict=True):
            if before == after:
                run += 1
                continue
            total += run - 2 if run >= 5 else 0
            run = 1
        for start in range(size - 10):
            total += 40 * (line[start : start + 11] in ("10111010000", "00001011101"))
    for row in range(size - 1):
        for column in range(size - 1):
            corner = rows[row][column : column + 2] + rows[row + 1][column : column + 2]
            total += 3 * (corner in ("0000", "1111"))
    dark = sum(row.count("1") for row in rows)
    return total + 10 * (abs(20 * dark - 10 * size * size) // (size * size))


def encode(data: bytes, level: str = "L") -> tuple[str, ...]:
    """Rows of 0 and 1 without the quiet zone; no rows when the data is too long for version 17."""
    for version in range(1, len(_ALIGNMENT) + 1):
        if len(_bits(data, version)) <= 8 * _capacity(version, level):
            break
    else:
        return ()
    words = _codewords(data, version, level)
    masks = [_filled(version, level, words, mask) for mask in range(8)]
    drawn = [tuple("".join(map(str, row)) for row in grid) for grid in masks]
    return min(drawn, key=_penalty)
