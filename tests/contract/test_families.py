"""Every device family has notes, golden frames, models, a driver and a simulated device; every bit and enum has a frame.

The tables of bits and values are spelled here a second time, from the makers' tables; codes that a driver knows by name
are taken from it, since one without a golden frame was never held against anything.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest

import firmware_notes
from drivers import catalog, crt571, neo
from drivers.codecs import at_replies, at_requests, ccid_serial, creator, escpos, evdev, smartpin, szzt, vivotech2
from drivers.codecs.at import Request as AtRequest
from drivers.driver import Driver
from drivers.family import Family
from drivers.reading import Risk
from firmware_notes import Frame, load_golden, load_models
from simulator.devices import DEVICES

FAMILIES = catalog.families()
EACH = pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.word)
NOTES = Path(firmware_notes.__file__).parent


# --- everything that makes a family ------------------------------------------------------------------------------------


@EACH
def test_a_family_is_whole(family: Family):
    folder = NOTES / family.word
    assert len((folder / "notes.md").read_text(encoding="utf-8")) > 500
    assert (folder / "models.toml").is_file()
    assert {frame.direction for frame in load_golden(family.word)} >= {"from_device"}
    device = DEVICES[family.word]
    assert (device.family, device.unit) == (family.word, family.unit)
    assert device.baud == family.baud
    assert issubclass(family.driver, Driver)


def test_there_is_nothing_besides():
    words = {family.word for family in FAMILIES}
    assert set(firmware_notes.families()) == words
    assert set(DEVICES) == words
    assert {model.family for model in load_models()} <= words


@EACH
def test_every_golden_frame_says_what_it_means_and_who_says_so(family: Family):
    frames = load_golden(family.word)
    assert len({frame.name for frame in frames}) == len(frames)
    for frame in frames:
        assert frame.data, frame.name
        assert frame.means, frame.name
        assert len(frame.source) >= len("derived"), frame.name


@EACH
def test_a_verb_that_is_left_out_says_so(family: Family):
    """Statistics and recovery are either the family's own or refused as unsupported; identity and health are always."""
    own = {name for name, _ in inspect.getmembers(family.driver, inspect.isfunction)}
    assert {"identify", "check_health", "statistics", "recover", "receive", "specific"} <= own
    assert not inspect.isabstract(family.driver)


# --- requests ----------------------------------------------------------------------------------------------------------


def _requests() -> Iterator[tuple[str, bytes, Risk]]:
    """Each question that a codec can form, with what it may do."""
    yield from (("crt571", creator.encode(each), each.risk) for each in creator.Request)
    yield from (("neo", vivotech2.encode(each), each.risk) for each in vivotech2.Request)
    for sequence, each in enumerate((ccid_serial.Request.SLOT_STATUS, ccid_serial.Request.FIRMWARE)):
        yield "gempc", ccid_serial.encode(each, sequence), each.risk
    yield from (("smartpin", smartpin.encode(each.value), smartpin.RISK[each]) for each in smartpin.Question)
    yield "zt588", szzt.encode_identity_question(), szzt.RISK[szzt.IDENTITY_QUESTION]
    printer = [
        *map(escpos.encode_status_request, (1, 2, 3, 4)),
        *map(escpos.encode_text_request, range(65, 70)),
        *map(escpos.encode_counter_request, (148, 149, 178, 198)),
        escpos.encode_full_status_request(),
        escpos.encode_model_id_request(),
    ]
    yield from (("escpos", each.data, each.risk) for each in printer)
    for name, value in vars(at_requests).items():
        maker = name.partition("_")[0].lower()
        family = maker if maker in {"quectel", "simcom"} else "at"
        found = (each for each in (value if isinstance(value, tuple) else (value,)) if isinstance(each, AtRequest))
        yield from ((family, each.encoded, each.risk) for each in found)


@pytest.mark.parametrize(("family", "data", "risk"), [*_requests()], ids=str)
def test_every_question_is_a_golden_frame(family: str, data: bytes, risk: Risk):
    assert data in {frame.data for frame in load_golden(family) if frame.direction == "to_device"}
    assert isinstance(risk, Risk)


def test_nothing_is_asked_twice_for_the_same_and_disruption_is_rare():
    asked = list(_requests())
    assert len(asked) > 50
    disrupting = {data for _, data, risk in asked if risk is Risk.DISRUPT}
    assert disrupting == {b"AT+CFUN=1,1\r", creator.encode(creator.Request.INITIALISE_KEEP)}
    assert {data for _, data, risk in asked if risk is Risk.CONSUME} == {smartpin.encode(smartpin.Question.REMOVALS)}


# --- bits ---------------------------------------------------------------------------------------------------------------

STATUS = {1: (0x04, 0x08, 0x20, 0x40), 2: (0x04, 0x08, 0x20, 0x40), 3: (0x04, 0x08, 0x20, 0x40)}
STATUS[4] = (0x04, 0x08, 0x20, 0x40)
PACKET = ((0x04, 0x08, 0x20, 0x40), (0x01, 0x02, 0x04, 0x08, 0x20, 0x40), (0x01, 0x02, 0x04, 0x08), ())
FULL_STATUS = ((0x01, 0x04, 0x20, 0x40), (0x01, 0x02, 0x08, 0x20), (0x01, 0x08, 0x20, 0x40), (0x01, 0x04, 0x08, 0x40))


def _bytes_with_bits() -> Iterator[tuple[str, int, list[int]]]:
    frames = [frame for frame in load_golden("escpos") if frame.direction == "from_device"]
    for number, bits in STATUS.items():
        said = [f.data[0] for f in frames if f.means.get("reply") == "status" and f.means.get("n") == number]
        yield from ((f"status {number}", bit, said) for bit in bits)
    for place, bits in enumerate(PACKET):
        said = [f.data[place] for f in frames if f.means.get("reply") == "packet"]
        yield from ((f"packet {place}", bit, said) for bit in bits)
    for place, bits in enumerate(FULL_STATUS):
        said = [f.data[2 + place] for f in frames if f.means.get("reply") == "full_status"]
        yield from ((f"full status {place}", bit, said) for bit in bits)
    settings = [f for f in load_golden("zt588") if f.means["kind"] == "identity"]
    at = 4 + 1 + 50 + 48  # behind header, status, user and scan codes, as two hex digits
    yield from (("zt588 settings", bit, [int(f.data[at : at + 2], 16) for f in settings]) for bit in (1, 2, 4))
    slots = [f.data[9] for f in load_golden("gempc") if f.means.get("command") == "slot_status" and len(f.data) == 13]
    yield from (("gempc slot status", bit, slots) for bit in (0x01, 0x02, 0x40, 0x80))
    words = [f.means["sensors"] for f in load_golden("crt571") if "sensors" in f.means]
    assert {"0", "1"} <= set("".join(map(str, words)))


@pytest.mark.parametrize(("where", "bit", "said"), [*_bytes_with_bits()], ids=lambda each: str(each)[:24])
def test_every_bit_is_seen_at_0_and_at_1(where: str, bit: int, said: list[int]):
    assert {bool(byte & bit) for byte in said} == {False, True}


# --- values and codes --------------------------------------------------------------------------------------------------


def _needed() -> Iterator[tuple[str, str, set[object]]]:
    """Family, field of `means`, and the values that some golden frame must have in it."""
    yield (
        "escpos",
        "reply",
        {"status", "packet", "full_status", "model_id", "text", "counter", "notice", "flow", "malformed"},
    )
    yield "escpos", "stop", {True, False}
    yield "escpos", "paper", {"ok", "near_end", "out", "masked"}
    yield "escpos", "head", {"ok", "hot", "masked"}
    yield "crt571", "card", {"absent", "gate", "present", "jammed"}
    yield "crt571", "stacker", {"ok", "few", "empty"}
    yield "crt571", "bin", {"ok", "full"}
    yield "crt571", "shutter", {"error"}
    yield "crt571", "sensor", {"error"}
    yield "crt571", "self_test", {"failed"}
    yield "crt571", "control", {"ack", "nak"}
    yield "crt571", "error", {*crt571._ERRORS, *crt571._ERROR_TEXTS, *crt571._NOT_UNDERSTOOD}
    codes = (neo._TAMPER, *neo._SELF_TEST_FAILED, *neo._NOT_THIS_MODEL, vivotech2.OK)
    yield "neo", "status", {f"{code:02X}" for code in codes}
    yield "neo", "chip_mode", set(neo._CHIP_MODES)
    yield "neo", "tamper", {"no", "yes"}
    yield "gempc", "icc", {"active", "inactive", "absent", "reserved"}
    yield "gempc", "card", {"absent", "present"}
    yield "gempc", "slot_change", {"absent", "present"}
    yield "gempc", "self_test", {"ok", "failed"}
    yield "gempc", "busy", {True}
    yield "gempc", "reserved", {True}
    yield "gempc", "nak", {True}
    yield "zt588", "code", {f"{code:02X}" for code in szzt.ERRORS}
    yield "zt588", "key", set(szzt.LABELS)
    yield "zt588", "battery", {"ok", "low"}
    yield "zt588", "keys", {"loaded", "missing"}
    yield "smartpin", "keys", {"loaded", "missing"}
    yield "smartpin", "tamper", {"no", "yes"}
    yield "smartpin", "kind", {"question", "text", "keys", "removals", "refusal", "noise"}
    yield "evdev", "state", {"up", "down", "repeat"}
    yield "evdev", "meaning", {"report", "dropped"}
    yield "at", "sim", {"ready", "absent", "pin", "puk", "failure", "unknown"}
    yield "at", "registration", {"home", "roaming", "searching", "denied", "none", "unknown stat"}
    yield "at", "access", set(at_replies.ACCESS.values())
    yield "at", "data", {"up", "down"}
    yield "at", "error", {code for code in at_replies._SIM_ERRORS if code.isdigit()}
    yield "at", "push", {True}
    yield "quectel", "access", {"LTE", "LTE-M", "NB-IoT", "GSM", "UMTS", "EN-DC", "NR"}
    yield "simcom", "access", {"LTE", "LTE-M", "NB-IoT", "GSM", "UMTS", "NR"}


@pytest.mark.parametrize(
    ("family", "field", "values"), [*_needed()], ids=lambda each: each if isinstance(each, str) else ""
)
def test_every_value_has_a_golden_frame(family: str, field: str, values: set[object]):
    seen = {frame.means[field] for frame in load_golden(family) if field in frame.means}
    assert values - seen == set()


def _lines(family: str, start: str) -> set[str]:
    lines = (line for frame in load_golden(family) for line in frame.data.decode("latin-1").splitlines())
    return {line for line in lines if line.startswith(start)}


def test_every_registration_number_and_access_number_has_a_line():
    rows = [
        line.partition(":")[2].replace(" ", "").split(",") for line in _lines("at", "+CEREG:") | _lines("at", "+CREG:")
    ]
    stats = {row[1] for row in rows if len(row) > 1 and row[1].isdigit()}
    assert stats >= {str(number) for number in range(12)}
    access = {row[-1] for row in rows if len(row) >= 5}
    assert access >= {str(number) for number in at_replies.ACCESS}


def test_the_edges_of_every_signal_scale_have_a_line():
    strengths = {line.partition(":")[2].split(",")[0].strip() for line in _lines("at", "+CSQ:")}
    assert strengths >= {"0", "1", "2", "30", "31", "99", "100", "101", "190", "191", "199"}
    rows = [line.partition(":")[2].replace(" ", "").split(",") for line in _lines("at", "+CESQ:")]
    for place, edges in ((0, "0 63 99"), (2, "0 96 255"), (3, "0 49 255"), (4, "0 34 255"), (5, "0 97 255")):
        assert {row[place] for row in rows if len(row) == 6} >= set(edges.split()), place


def test_every_key_of_a_pin_pad_is_seen_absent_present_and_stopped():
    """Key indexes by what a status block can say of them."""
    blocks: dict[int, set[int]] = {}
    for frame in load_golden("smartpin"):
        if frame.means.get("kind") == "keys":
            data = frame.data[6:-3]
            for at in range(0, len(data), 4):
                blocks.setdefault(data[at], set()).add(data[at + 3])
    assert blocks.keys() >= {key.value for key in smartpin.Key}
    deciding = (smartpin.Key.PIN_DUKPT, smartpin.Key.PIN_MASTER, smartpin.Key.PIN_SESSION)
    assert all(blocks[key] >= {0x00, 0x01} for key in deciding)
    assert 0xFF in blocks[smartpin.Key.PIN_DUKPT]


def test_every_kind_of_removal_record_is_seen():
    logs = b"".join(frame.data for frame in load_golden("smartpin") if frame.means.get("kind") == "removals")
    assert all(start in logs for start in (b"10-", b"20-", b"11-", b"21-", b"02-"))


def test_every_kernel_question_can_be_answered_both_ways():
    for question in evdev.Question:
        assert evdev.RISK[question] is Risk.READ
        for data, error in ((b"x" * 8, 0), (b"", 25)):
            decoder = evdev.Decoder()
            decoder.feed(evdev.encode_answer(question, data, error))
            assert decoder.next() == evdev.Answer(question, data, error)


@EACH
def test_readings_that_a_frame_names_are_readings_of_the_driver(family: Family):
    """A value in `means` that the driver's reading of that name cannot have would be judged by nobody."""
    known = {name for name, spec in family.driver.READINGS.items() if spec.values}
    for frame in load_golden(family.word):
        if family.word == "escpos" and "state" not in frame.means:
            continue  # single bits have names of their own there, some of them the same
        for name in known & frame.means.keys():
            value = frame.means[name]
            if value == "unknown stat":  # the modem's word for a state, unlike one that is not known
                value = "unknown"
            legal = family.driver.READINGS[name].values
            assert value in legal or value in {"unknown", "masked", "inconsistent", "unsupported"}, _where(frame, name)


def _where(frame: Frame, name: str) -> str:
    return f"{frame.name}: {name} = {frame.means[name]!r}"
