"""The recorder keeps the end of a conversation, and no card data, however it is cut."""

from __future__ import annotations

import random

import pytest

from drivers.recorder import KEEP_BYTES, Recorder
from drivers.redact import redact
from tests.drivers.scripted import ScriptedLink

# Test numbers that card schemes publish; no account stands behind them.
PANS = ["4111111111111111", "5555555555554444", "378282246310005", "4222222222222", "6304000000000000000"]
SECRETS = [
    *PANS,
    "4111 1111 1111 1111",
    "5555-5555-5555-4444",
    "%B4111111111111111^DOE/JANE^26121010000000000?",
    ";4111111111111111=26121010000000000?",
]


def recorder(*answers: bytes) -> tuple[Recorder, ScriptedLink]:
    waiting = list(answers)
    link = ScriptedLink(lambda _request: [(0.0, waiting.pop(0))] if waiting else [])
    return Recorder(link, link.clock), link


def kept(recorder: Recorder) -> bytes:
    return b"".join(entry.data for entry in recorder.entries())


def test_it_is_a_link():
    tape, link = recorder(b"pong\n")
    tape.write(b"ping\n")
    assert tape.read(1) == b"pong\n"
    link.push(b"more\n")
    assert tape.drain() == b"more\n"
    assert [(entry.direction, entry.data) for entry in tape.entries()] == [
        ("to_device", b"ping\n"),
        ("from_device", b"pong\n"),
        ("from_device", b"more\n"),
    ]
    tape.wake()
    tape.close()
    assert link.lost


def test_it_keeps_the_last_kib():
    tape, link = recorder()
    for number in range(500):
        tape.write(b"line %d!" % number)
    assert len(kept(tape)) <= KEEP_BYTES
    assert kept(tape).endswith(b"line 499!")
    link.push(b"z" * 5000)
    tape.drain()
    assert kept(tape) == b"z" * KEEP_BYTES


@pytest.mark.parametrize("secret", SECRETS)
def test_card_data_is_told_by_its_kind_only(secret: str):
    safe = redact(b"<<" + secret.encode() + b">>")
    kind = {"%": b"track1", ";": b"track2"}.get(secret[0], b"pan:%d" % sum(letter.isdigit() for letter in secret))
    assert safe == b"<<<%s>>>" % kind


@pytest.mark.parametrize("secret", SECRETS)
def test_card_data_is_found_at_every_cut(secret: str):
    data = b"a=" + secret.encode() + b"\r\nOK\r\n"
    for cut in range(len(data)):
        tape, link = recorder()
        for chunk in (data[:cut], data[cut:]):
            link.push(chunk)
            tape.drain()
            assert not leaks(kept(tape), secret), cut
        assert kept(tape).endswith(b"\r\nOK\r\n")


@pytest.mark.parametrize("secret", SECRETS)
def test_card_data_byte_by_byte_with_our_own_questions_between(secret: str):
    tape, link = recorder()
    for byte in b"a=" + secret.encode() + b"\r\n":
        link.push(bytes((byte,)))
        tape.drain()
        tape.write(b"?")
        assert not leaks(kept(tape), secret)
    assert b"<pan:" in kept(tape) or b"<track" in kept(tape)


def leaks(data: bytes, secret: str) -> bool:
    """Whether as much as seven digits in a row of it stand there: what a card number's first six never may exceed."""
    digits = "".join(letter for letter in secret if letter.isdigit())
    seen = "".join(chr(byte) for byte in data if chr(byte).isdigit())
    return any(digits[place : place + 7] in seen for place in range(len(digits) - 6))


def test_an_unfinished_number_is_only_told_by_its_length():
    tape, link = recorder()
    link.push(b"a=411111111111")
    tape.drain()
    assert [entry.data for entry in tape.entries()] == [b"a=", b"<held:12>"]


def test_a_pan_inside_a_longer_run_counts():
    assert redact(b"x99" + b"4111111111111111" + b"2612y") == b"x<pan:22>y"


@pytest.mark.parametrize(
    "text",
    [
        b"2222222222222222",
        b"123456789012",
        b"0000000000000000",
        b"\x12\x12\x12\x12",
        b'+CREG: 0,1,"1A2B","01C3D4E5",7',
        b"AT+CPIN?;+CEREG?\r",
        b"100% cotton; 3 pieces",
    ],
)  # fmt: skip
def test_other_text_stays(text: bytes):
    assert redact(text) == text


def test_random_card_numbers_at_random_cuts():
    chance = random.Random(16)
    for _ in range(300):
        digits = str(chance.randrange(3, 7)) + "".join(str(chance.randrange(10)) for _ in range(14))
        digits += next(str(last) for last in range(10) if luhn(digits + str(last)))
        separator = chance.choice(["", " ", "-"])
        secret = separator.join(digits[place : place + 4] for place in range(0, 16, 4))
        data = b"id:" + secret.encode() + b";ok"
        tape, link = recorder()
        while data:
            cut = chance.randrange(1, 8)
            link.push(data[:cut])
            tape.drain()
            data = data[cut:]
        assert kept(tape) == b"id:<pan:16>;ok"


def luhn(number: str) -> bool:
    doubled = [int(each) * (1 + place % 2) for place, each in enumerate(reversed(number))]
    return sum(each - 9 if each > 9 else each for each in doubled) % 10 == 0
