"""Card data in every spelling is found, at every cut; what only looks like it is let through, and how often it is not is measured."""

from __future__ import annotations

import itertools
import random
import tomllib
from pathlib import Path

import pytest

from drivers.redact import LABEL, Redactor, redact, redact_text

# Test numbers that card schemes publish; no account stands behind them.
PANS = ["4111111111111111", "5105105105105100", "378282246310005", "6011000990139424", "3530111333300000", "6222020200112233446"]  # fmt: skip
NOTES = Path(__file__).parents[2] / "firmware_notes"


def packed(digits: str) -> bytes:
    return bytes.fromhex(digits + "f" * (len(digits) % 2))


def fours(pan: str, separator: str) -> str:
    return separator.join(pan[place : place + 4] for place in range(0, len(pan), 4))


def wide(pan: str) -> str:
    return "".join(chr(0xFF10 + int(digit)) for digit in pan)


def spellings(pan: str) -> dict[str, bytes]:
    track = packed(f"{pan}d26121010000000")
    return {
        "ascii": b"id:" + pan.encode() + b";",
        "spaces": fours(pan, " ").encode(),
        "dashes": fours(pan, "-").encode(),
        "dots": b"x" + fours(pan, ".").encode(),
        "in a longer run": b"99" + pan.encode() + b"261",
        "GB 18030": "卡号".encode("gb18030") + wide(pan).encode("gb18030") + "。".encode("gb18030"),
        "GB 18030 in groups": fours(wide(pan), "\u3000").encode("gb18030"),
        "UTF-8 wide": wide(pan).encode(),
        "BCD": b"\x02\xc0\x0e" + packed(pan) + b"\xfe\x03",
        "BCD in the low halves": bytes.fromhex("02f" + pan + "c" * (1 - len(pan) % 2)),
        "BCD behind a zero": b"\xc1" + bytes.fromhex("0" * (len(pan) % 2) + pan) + b"\xff",
        "track 1": b"%B" + pan.encode() + b"^DOE/JANE^26121010000000000?",
        "track 1 bare": b"B" + pan.encode() + b"^DOE/JANE^26121010000000000",
        "track 2": b";" + pan.encode() + b"=26121010000000000?",
        "track 2 bare": pan.encode() + b"D26121010000000000",
        "EMV 57": b"\x70\x20\x57" + bytes([len(track)]) + track + b"\x9f\x1e",
        "EMV 9F6B": b"\x9f\x6b" + bytes([len(track)]) + track + b"\xe0",
        "EMV 5A": b"\x5a" + bytes([len(packed(pan))]) + packed(pan) + b"\x5f\x24\x03",
        "hex of BCD": packed(pan).hex().encode(),
        "hex of ASCII": pan.encode().hex().encode(),
        "hex with spaces": (b"\xa5" + packed(pan) + b"\xee").hex(" ").encode(),
        "bytes as Python spells them": repr(b"\xfe" + packed(pan)).encode(),
    }  # fmt: skip


CASES = [(pan, name) for pan in PANS for name in spellings(PANS[0])]


def leaks(data: bytes, pan: str) -> bool:
    """Whether seven digits in a row of it stand there in any spelling: six may be shown."""
    spelled = {
        "".join(chr(byte) for byte in data if chr(byte).isdigit()),
        data.hex(),
        "".join(
            str(ord(letter) - 0xFF10) for letter in data.decode("gb18030", "ignore") if 0 <= ord(letter) - 0xFF10 < 10
        ),
        "".join(
            str(ord(letter) - 0xFF10) for letter in data.decode("utf-8", "ignore") if 0 <= ord(letter) - 0xFF10 < 10
        ),
    }
    return any(pan[place : place + 7] in text for place in range(len(pan) - 6) for text in spelled)


@pytest.mark.parametrize(("pan", "name"), CASES)
def test_no_digit_stays(pan: str, name: str):
    data = spellings(pan)[name]
    assert leaks(data, pan) or name in {"hex of ASCII", "bytes as Python spells them", "hex with spaces", "hex of BCD"}
    safe = redact(data) if "Python" not in name else redact_text(data.decode()).encode()
    assert not leaks(safe, pan), safe
    assert LABEL.search(safe.decode("latin-1"))
    assert b"DOE" not in safe
    assert redact(safe) == safe


@pytest.mark.parametrize(("pan", "name"), [case for case in CASES if "Python" not in case[1]])
def test_no_digit_stays_wherever_the_stream_is_cut(pan: str, name: str):
    data = b"\r\n" + spellings(pan)[name] + b"\r\n\xff\r\n"
    for cut in range(1, len(data)):
        stream = Redactor()
        safe = stream.feed(data[:cut])
        assert not leaks(safe + stream.pending, pan), (cut, safe)
        safe += stream.feed(data[cut:])
        assert not leaks(safe + stream.pending, pan), (cut, safe)
        assert safe == redact(safe)
        assert b"DOE" not in safe
    stream = Redactor()
    safe = b"".join(stream.feed(bytes((byte,))) for byte in data)
    assert not leaks(safe, pan), safe


@pytest.mark.parametrize(
    ("tag", "value"),
    [
        ("57", "4111111111111112d2612101000000000f"),
        ("9F6B", "4111111111111112d2612101000000000f"),
        ("5A", "4111111111111112"),
        ("5A", "411111111111111f"),
        ("5F20", b"DOE/JANE".hex()),
    ],
)
def test_a_tag_says_what_it_is_whatever_the_check_digit_says(tag: str, value: str):
    data = b"\x70\x99" + bytes.fromhex(f"{tag}{len(value) // 2:02x}{value}") + b"\xe0\r\n"
    safe = b"\x70\x99<emv:%s>\xe0\r\n" % tag.encode()
    assert redact(data) == safe
    for cut in range(1, len(data)):
        stream = Redactor()
        assert stream.feed(data[:cut]) + stream.feed(data[cut:]) == safe, cut


def test_names_and_pins():
    assert redact(bytes.fromhex("5f200a444f452f4a414e452020")) == b"<emv:5F20>"
    assert redact_text("5F200A444F452F4A414E452020") == "<emv:5F20>"
    for field in (
        "041234ffffffffff",
        "241234ffffffffff",
        "2612345 6ffffffff".replace(" ", ""),
        "341234abcdefabcd",
        "441234aaaaaaaaaa0123456789abcdef",
    ):
        assert redact(b"\xa0" + bytes.fromhex(field) + b"\xa1") == b"\xa0<pin>\xa1"
        assert redact_text(f"block {field}.") == "block <pin>."
        stream = Redactor()
        safe = b"".join(stream.feed(bytes((byte,))) for byte in b"\xa0" + bytes.fromhex(field) + b"\xa1")
        assert safe + stream.pending == b"\xa0<pin>\xa1"
    assert redact_text('{"pin_block": "0123456789ABCDEF"}') == '{"<pin>"}'
    assert redact(b"\x99\x08\x01\x02\x03\x04\x05\x06\x07\x08") == b"<pin>"


def test_a_stream_of_digits_without_end_is_dropped_not_kept():
    stream = Redactor()
    kept = stream.feed(b"a=")
    for _ in range(100):
        kept += stream.feed(PANS[0].encode())
        assert len(stream.pending) < 20
    kept += stream.feed(b"\r\nOK\r\n")
    assert kept.startswith(b"a=<long:")
    assert kept.endswith(b"\nOK\r\n")
    assert not leaks(kept, PANS[0])


@pytest.mark.parametrize(
    "text",
    [
        "20261121220841", "1795298921123", "1795298921123456", "1795298921123456789", "2026-11-21T22:08:41.123Z",
        "355000000000010", "862636050000005", "89860025128306012474", "8944500612345678901",
        "550e8400-e29b-41d4-a716-446655440000", "AT+CEREG=2;+CSQ\r\n", "100% cotton; 3 pieces", "192.168.100.101 255.255.255.0",
        "+CGSN: 490154203237518", "12 33 4 0 19", "SN-0000000000000", "UUUUUUDD is a word",
    ],
)  # fmt: skip
def test_what_is_something_else_by_its_shape_stays(text: str):
    assert redact_text(text) == text


def corpus() -> dict[str, list[str]]:
    """Numbers as terminals tell them, 4000 of each kind."""
    chance = random.Random(16)

    def digits(count: int) -> str:
        return "".join(str(chance.randrange(10)) for _ in range(count))

    def checked(number: str) -> str:
        return next(number + str(last) for last in range(10) if check(number + str(last)))

    every = range(4000)
    return {
        "counters": [str(chance.randrange(10 ** chance.randrange(1, 13))) for _ in every],
        "serials with letters": [chance.choice(["SN", "X4", "P0"]) + digits(10) for _ in every],
        "serials of 10 to 12 digits": [digits(chance.randrange(10, 13)) for _ in every],
        "IMEI": [checked(chance.choice(["35", "86", "01"]) + digits(12)) for _ in every],
        "ICCID": [checked("8986" + digits(15)) for _ in every],
        "ICCID without check digit": ["8986" + digits(16) for _ in every],
        "milliseconds": [str(1_700_000_000_000 + chance.randrange(10**11)) for _ in every],
        "nanoseconds": [str(1_700_000_000_000_000_000 + chance.randrange(10**17)) for _ in every],
        "moments": [f"2026{chance.randrange(1, 13):02}{chance.randrange(1, 29):02}{chance.randrange(24):02}{chance.randrange(60):02}{chance.randrange(60):02}" for _ in every],
        "status bytes in hex": [chance.randbytes(chance.randrange(1, 17)).hex() for _ in every],
        "digests": [chance.randbytes(32).hex() for _ in every],
        "serials of 13 to 19 digits": [digits(chance.randrange(13, 20)) for _ in every],
    }  # fmt: skip


def check(number: str) -> bool:
    doubled = [int(each) * (1 + place % 2) for place, each in enumerate(reversed(number))]
    return sum(each - 9 if each > 9 else each for each in doubled) % 10 == 0


MOST = {"digests": 0.02, "status bytes in hex": 0.005, "serials of 13 to 19 digits": 0.35}


def test_false_alarms(capsys: pytest.CaptureFixture[str]):
    """None on what has a shape of its own; rare on random bytes. A bare number as long as a card's is a card's one time in ten."""
    rates = {kind: sum(redact_text(text) != text for text in texts) / len(texts) for kind, texts in corpus().items()}
    with capsys.disabled():
        print("\nfalse alarms: " + ", ".join(f"{kind} {100 * rate:.2f} %" for kind, rate in rates.items()))
    assert {kind: rate for kind, rate in rates.items() if rate > MOST.get(kind, 0.0)} == {}


def texts(value: object) -> list[str]:
    if isinstance(value, dict | list):
        return list(itertools.chain(*map(texts, value.values() if isinstance(value, dict) else value)))
    return [value] if isinstance(value, str) else []


def test_false_alarms_on_the_devices_own_frames(capsys: pytest.CaptureFixture[str]):
    frames = []
    for path in NOTES.glob("*/golden.toml"):
        for text in texts(tomllib.loads(path.read_text("utf-8"))):
            try:
                frames.append(bytes.fromhex(text))
            except ValueError:
                continue
    hit = [frame for frame in frames if redact(frame) != frame]
    with capsys.disabled():
        print(f"\nfalse alarms on {len(frames)} golden frames: {len(hit)}")
    assert len(frames) > 500
    assert len(hit) <= 12
