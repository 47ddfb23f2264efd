"""SmartPIN frames: the golden ones both ways, any split, any garbage."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.codecs import smartpin
from drivers.codecs.malformed import Malformed
from drivers.codecs.smartpin import Question
from drivers.reading import Risk
from firmware_notes import Frame, load_golden
from tests.codecs.readers import fed, survived

GOLDEN = load_golden("smartpin")
ANSWERS = [frame for frame in GOLDEN if frame.direction == "from_device" and frame.means["kind"] != "noise"]


def by_name(frame: Frame) -> str:
    return frame.name


def decode(*chunks: bytes) -> list[smartpin.Answer | str]:
    return fed(smartpin.Decoder(), *chunks)


def check(frame: Frame, answer: smartpin.Answer | str) -> None:
    means = frame.means
    assert answer.good == (means["kind"] != "refusal")
    match means["kind"]:
        case "text":
            assert smartpin.decode_text(answer.data) == means["text"]
        case "keys":
            blocks = smartpin.decode_keys(answer.data)
            assert len(blocks) == means["blocks"]
            assert sorted({block.index for block in blocks if block.status == 1}) == means["present"]
            assert sorted({block.index for block in blocks if block.status == 0xFF}) == means["stopped"]
        case "removals":
            log = smartpin.decode_removals(answer.data)
            assert len(log.announced) == means["announced"]
            assert len(log.illegal) == means["illegal"]
            assert max((record.at for record in log.illegal), default=None) == means.get("last_illegal")
        case "refusal":
            assert answer.data.hex() == means["code"]
        case other:
            raise AssertionError(other)


@pytest.mark.parametrize("frame", ANSWERS, ids=by_name)
def test_a_golden_answer_is_understood_whole_and_byte_by_byte(frame: Frame):
    for chunks in ([frame.data], [bytes((byte,)) for byte in frame.data]):
        [answer] = decode(*chunks)
        check(frame, answer)


@pytest.mark.parametrize("frame", ANSWERS, ids=by_name)
def test_a_golden_answer_survives_garbage_around_it(frame: Frame):
    found = decode(b"\x00\xff" + frame.data + b"\x11\x02\x00\x00" + frame.data + b"\x03")
    answers = [each for each in found if each != "malformed"]
    assert len(answers) == 2
    for answer in answers:
        check(frame, answer)


@pytest.mark.parametrize("frame", [frame for frame in GOLDEN if frame.means["kind"] == "noise"], ids=by_name)
def test_noise_is_malformed_and_never_an_answer(frame: Frame):
    assert set(decode(frame.data)) == {"malformed"}


@pytest.mark.parametrize("frame", [frame for frame in GOLDEN if frame.direction == "to_device"], ids=by_name)
def test_the_questions_are_the_golden_ones(frame: Frame):
    question = Question[str(frame.means["question"]).upper()]
    assert smartpin.encode(question.value) == frame.data


def test_every_question_has_its_risk_and_none_disrupts():
    assert set(smartpin.RISK) == set(Question)
    assert {question for question, risk in smartpin.RISK.items() if risk != Risk.READ} == {Question.REMOVALS}
    assert max(smartpin.RISK.values()) == Risk.CONSUME


def test_a_slot_number_is_sent_high_byte_first():
    [frame] = [frame for frame in GOLDEN if frame.name == "keys, only the loading key"]
    [answer] = decode(frame.data)
    assert [block.slot for block in smartpin.decode_keys(answer.data) if block.index == 0x0A] == [0, 1000]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00",
        b"\x00\x00x",
        b"\x29" + b"\x00",
        b"\x01" + b"10-20261103-0910" + b"\x00\x00",
        b"\x01" + b"30-20261103-0910/" + b"\x00",
        b"\x00\x01" + b"10-20261103-0910/",
        b"\x01" + b"02-20261103-0910/" + b"\x00",
    ],
    ids=["empty", "one list", "tail", "41 records", "cut", "user 3", "legal among illegal", "illegal among legal"],
)
def test_a_log_that_cannot_be_is_malformed(data: bytes):
    with pytest.raises(Malformed):
        smartpin.decode_removals(data)


@pytest.mark.parametrize("data", [b"", b"\x01", b"\x01\x00", b"\x01\x00\x01\x00\x00\x01\x00", b"\x01\x00\x01\x00\x00"])
def test_key_blocks_of_another_length_than_told_are_malformed(data: bytes):
    with pytest.raises(Malformed):
        smartpin.decode_keys(data)


@pytest.mark.parametrize("data", [b"", b"ID\x01TECH", b"\xff"])
def test_a_text_that_cannot_be_shown_is_malformed(data: bytes):
    with pytest.raises(Malformed):
        smartpin.decode_text(data)


@pytest.mark.parametrize("bit", range(8))
def test_one_flipped_bit_anywhere_is_noticed(bit: int):
    [frame] = [frame for frame in GOLDEN if frame.name == "keys, DUKPT"]
    for place in range(len(frame.data)):
        broken = bytearray(frame.data)
        broken[place] ^= 1 << bit
        assert all(each == "malformed" for each in decode(bytes(broken))), place


@given(st.lists(st.binary(max_size=600), max_size=8))
def test_the_decoder_is_total_bounded_and_makes_progress(chunks: list[bytes]):
    survived(smartpin.Decoder(), chunks)


def test_hundreds_of_thousands_of_random_bytes():
    chance = random.Random(100)
    for _ in range(200):
        survived(smartpin.Decoder(), [chance.randbytes(chance.randrange(1, 2048)) for _ in range(2)])
