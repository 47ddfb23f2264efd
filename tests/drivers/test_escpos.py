"""The printer driver over a scripted line: exact questions, deadlines, pushes, and every way a line can lie."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from drivers.codecs.escpos_print import Slip
from drivers.errors import BadReply, LinkLost, NoReply, Refused, Unsupported, Yielded
from drivers.escpos import EscposDriver
from drivers.exchange import Channel
from drivers.reading import Level, Reading
from firmware_notes import load_golden
from tests.drivers.scripted import ManualClock, ScriptedLink

STATES: dict[str, list[bytes]] = {}
for golden in load_golden("escpos"):
    if "state" in golden.means:
        STATES.setdefault(str(golden.means["state"]), []).append(golden.data)

DELAY = 0.004
TEXTS = {65: b"1.06", 66: b"POSDIAG", 67: b"TM-X", 68: b"S123", 69: b"CHINA GB18030"}


class FakePrinter:
    """Answers from the golden frames. `distort` may change, delay or drop what it sends."""

    def __init__(self, state: str = "ready") -> None:
        self.state = state
        self.pushing = False
        self.texts = dict(TEXTS)
        self.counters = {148: 1200, 149: 1100, 178: 40, 198: 9}
        self.knows_pushes = True
        self.mute = False
        self.reply_delay = DELAY
        self.distort: Callable[[bytes], bytes] = bytes
        self.recovers_to = ""
        self.clock = ManualClock()
        self.link = ScriptedLink(self.respond, self.clock)

    def respond(self, request: bytes) -> list[tuple[float, bytes]]:
        replies = [] if self.mute else [self.distort(each) for each in self._replies(request)]
        return [(self.reply_delay, reply) for reply in replies if reply]

    def _replies(self, request: bytes) -> list[bytes]:
        if request.startswith(b"\x1d\x61") and self.knows_pushes:
            self.pushing = True
            return [STATES[self.state][4], STATES[self.state][0]]
        if request.startswith(b"\x10\x05\x02") and self.recovers_to:
            self.state = self.recovers_to
        if request[-3:-1] == b"\x10\x04" and request[-1] in (1, 2, 3, 4):
            return [STATES[self.state][request[-1] - 1]]
        if request[:2] == b"\x1d\x49":
            if request[2] == 1:
                return [b"\x20"] if self.texts else []
            return [b"\x5f" + self.texts[request[2]] + b"\0"] if request[2] in self.texts else []
        if request[:4] == b"\x1d\x67\x32\x00" and (number := int.from_bytes(request[4:], "little")) in self.counters:
            return [b"\x5f" + str(self.counters[number]).encode() + b"\0"]
        return []

    def change(self, state: str) -> bytes:
        """Go to another state; the packet that hardware would push now."""
        self.state = state
        return self.distort(STATES[state][4]) if self.pushing else b""

    def driver(self, **options: str | bool) -> EscposDriver:
        return EscposDriver(Channel(self.link, clock=self.clock), options)


def said(readings: dict[str, Reading], *names: str) -> dict[str, object]:
    return {
        name: reading.value if reading.unknown is None else reading.unknown
        for name, reading in readings.items()
        if not names or name in names
    }


STATUS_ROUND = [b"\x10\x04\x01", b"\x10\x04\x02", b"\x10\x04\x03", b"\x10\x04\x04"]
PUSHES_ON = b"\x1d\x61\x0f\x10\x04\x01"


def test_first_check_asks_two_rounds_and_then_turns_pushes_on():
    printer = FakePrinter()
    health = printer.driver().check_health()
    assert printer.link.written == [*STATUS_ROUND, *STATUS_ROUND, PUSHES_ON]
    assert set(health) == set(EscposDriver.READINGS)
    assert said(health, "online", "cover", "paper", "cutter", "head", "mechanism", "condition", "voltage") == {
        "online": True,
        "cover": "closed",
        "paper": "ok",
        "cutter": "ok",
        "head": "ok",
        "mechanism": "ok",
        "condition": "ok",
        "voltage": "unsupported",
    }


def test_an_unchanged_printer_costs_one_round():
    printer = FakePrinter()
    driver = printer.driver()
    driver.check_health()
    printer.link.written.clear()
    driver.check_health()
    assert printer.link.written == STATUS_ROUND
    assert driver.wants_check is False


def test_pushes_stay_off_when_told_so_and_zjiang_leaves_online_out():
    printer = FakePrinter()
    printer.driver(asb=False).check_health()
    assert printer.link.written == [*STATUS_ROUND, *STATUS_ROUND]
    printer = FakePrinter()
    printer.driver(profile="zjiang").check_health()
    assert printer.link.written[-1] == b"\x1d\x61\x0d\x10\x04\x01"


def test_pushes_are_not_asked_for_while_offline():
    printer = FakePrinter("cover open")
    driver = printer.driver()
    driver.check_health()
    assert PUSHES_ON not in printer.link.written
    printer.state = "ready"
    driver.check_health()
    assert printer.link.written[-1] == PUSHES_ON


def test_a_printer_without_pushes_is_asked_three_times():
    printer = FakePrinter()
    printer.knows_pushes = False
    driver = printer.driver()
    for _ in range(6):
        driver.check_health()
    assert printer.link.written.count(PUSHES_ON) == 3


def test_pushes_are_turned_on_again_after_silence():
    printer = FakePrinter()
    driver = printer.driver()
    driver.check_health()
    printer.mute = True
    with pytest.raises(NoReply):
        driver.check_health()
    printer.mute = False
    driver.check_health()
    assert printer.link.written.count(PUSHES_ON) == 2


def test_a_change_that_was_not_pushed_turns_pushes_on_again():
    printer = FakePrinter()
    driver = printer.driver()
    driver.check_health()
    printer.pushing = False  # the payment application sent ESC @
    printer.state = "near end"
    assert driver.check_health()["paper"].value == "near_end"
    assert printer.link.written.count(PUSHES_ON) == 2


@pytest.mark.parametrize("state", STATES)
def test_each_state_by_asking_is_confirmed_by_a_second_round(state: str):
    printer = FakePrinter()
    driver = printer.driver(asb=False)
    driver.check_health()
    printer.link.written.clear()
    printer.state = state
    health = driver.check_health()
    assert printer.link.written == (STATUS_ROUND if state == "ready" else STATUS_ROUND * 2)
    means = next(each.means for each in load_golden("escpos") if each.name == f"{state}, packet")
    assert said(health, *means) == {name: means[name] for name in health if name in means}


@pytest.mark.parametrize("state", STATES)
def test_each_state_by_push(state: str):
    printer = FakePrinter()
    driver = printer.driver()
    before = driver.check_health()
    changed = driver.receive(printer.change(state))
    means = next(each.means for each in load_golden("escpos") if each.name == f"{state}, packet")
    if "inconsistent" in means.values() or state == "cutter error and paper out":
        # The bits contradict each other, or one of two faults at once may be a flipped bit.
        assert changed == {}
        assert driver.wants_check is True
    else:
        told = said(changed)
        assert told == {name: means[name] for name in told}
        expected = {
            name for name in told.keys() | set(said(before)) if name in means and means[name] != said(before)[name]
        }
        assert set(told) == expected
        assert driver.wants_check is (state.startswith("feed held"))


def test_a_push_then_a_poll_that_agrees_costs_one_round():
    printer = FakePrinter()
    driver = printer.driver()
    driver.check_health()
    assert said(driver.receive(printer.change("paper out"))) == {"online": False, "paper": "out"}
    printer.link.written.clear()
    assert driver.check_health()["paper"].value == "out"
    assert printer.link.written == STATUS_ROUND


def test_a_push_split_into_single_bytes():
    printer = FakePrinter()
    driver = printer.driver()
    driver.check_health()
    *first, last = (bytes((byte,)) for byte in printer.change("cover open"))
    assert [driver.receive(byte) for byte in first] == [{}, {}, {}]
    assert said(driver.receive(last)) == {"online": False, "cover": "open", "paper": "masked"}


def test_a_push_before_the_first_check_asks_for_one():
    printer = FakePrinter()
    driver = printer.driver()
    assert driver.receive(STATES["paper out"][4]) == {}
    assert driver.wants_check is True


def test_a_push_with_an_undocumented_last_byte_is_not_believed_alone():
    printer = FakePrinter()
    driver = printer.driver()
    driver.check_health()
    assert driver.receive(b"\x18\x00\x0f\x05") == {}
    assert driver.wants_check is True


def test_a_push_on_a_noisy_line_is_not_believed_alone_until_the_line_was_clean_for_a_while():
    printer = FakePrinter()
    driver = printer.driver()
    driver.check_health()
    assert driver.receive(b"\x80") == {}
    assert driver.wants_check is True
    assert driver.receive(printer.change("paper out")) == {}
    assert driver.wants_check is True
    printer.clock.now += 6
    assert said(driver.receive(STATES["paper out"][4]))["paper"] == "out"


@pytest.mark.parametrize(
    ("before", "packet"),
    [("paper out", "18 08 0F 00"), ("cutter error", "38 08 00 00"), ("head hot", "18 48 00 00")],
)
def test_a_push_that_one_flipped_bit_could_have_made_is_asked_for(before: str, packet: str):
    printer = FakePrinter(before)
    driver = printer.driver()
    driver.check_health()
    assert driver.receive(bytes.fromhex(packet)) == {}
    assert driver.wants_check is True


def test_a_change_that_was_pushed_but_had_to_be_asked_for_leaves_pushes_alone():
    printer = FakePrinter()
    driver = printer.driver()
    driver.check_health()
    driver.receive(printer.change("cutter error and paper out"))
    assert driver.wants_check is True
    assert driver.check_health()["cutter"].value == "error"
    driver.receive(printer.change("ready"))
    driver.check_health()
    assert printer.link.written.count(PUSHES_ON) == 1


def test_single_bit_facts_of_a_push_are_asked_for():
    printer = FakePrinter()
    driver = printer.driver()
    driver.check_health()
    assert driver.receive(b"\x14\x00\x00\x00") == {}
    assert driver.wants_check is True


def test_a_push_to_a_custom_printer_only_calls_for_a_check():
    replies = {0x14: b"\x10\x0f\x00\x00\x00\x00"}
    printer = FakePrinter()
    inner = printer.link.respond
    printer.link.respond = lambda request: [(DELAY, replies[0x14])] if request[-1] == 0x14 else inner(request)
    driver = printer.driver(profile="custom")
    assert driver.check_health()["presenter"].value == "empty"
    assert printer.link.written[:5] == [*STATUS_ROUND, b"\x10\x04\x14"]
    assert driver.receive(printer.change("paper out")) == {}
    assert driver.wants_check is True


def test_a_push_during_a_check_that_says_otherwise_gives_way_to_two_rounds_and_is_asked_for_again():
    printer = FakePrinter()
    driver = printer.driver()
    driver.check_health()
    printer.link.written.clear()
    printer.link.push(STATES["paper out"][4], after_s=0.001)
    assert driver.check_health()["paper"].value == "ok"
    assert printer.link.written == [*STATUS_ROUND, *STATUS_ROUND, PUSHES_ON]


def test_nothing_is_asked_while_a_packet_is_under_way():
    printer = FakePrinter()
    driver = printer.driver()
    driver.check_health()
    packet = printer.change("near end")
    assert driver.receive(packet[:2]) == {}
    printer.link.push(packet[2:], after_s=0.02)
    assert driver.check_health()["paper"].value == "near_end"
    assert driver.specific()["malformed"] == 0


def test_half_a_packet_that_never_ends_does_not_stop_the_questions():
    printer = FakePrinter()
    driver = printer.driver()
    driver.check_health()
    driver.receive(b"\x10\x00")
    assert driver.check_health()["paper"].value == "ok"
    assert driver.specific()["malformed"] == 1


# Silence, lateness, noise


def test_replies_that_come_twice_are_not_believed():
    printer = FakePrinter()
    inner = printer.link.respond
    printer.link.respond = lambda request: [(delay, reply * 2) for delay, reply in inner(request)]
    with pytest.raises(BadReply):
        printer.driver().check_health()


def test_a_stray_reply_before_the_question_is_not_its_answer():
    printer = FakePrinter()
    driver = printer.driver(asb=False)
    printer.link.push(b"\x1a")
    assert driver.check_health()["online"].value is True
    assert printer.link.written == STATUS_ROUND * 4  # one round not used, three because of the stray byte


def test_a_dead_line_ends_after_one_question():
    printer = FakePrinter()
    printer.mute = True
    started = printer.clock.now
    with pytest.raises(NoReply):
        printer.driver().check_health()
    assert printer.clock.now - started < 0.5
    assert printer.link.written == [b"\x10\x04\x01"]


def test_late_replies_answer_no_later_question():
    printer = FakePrinter("paper out")
    driver = printer.driver()
    printer.reply_delay = 1.5
    for _ in range(5):
        with pytest.raises(NoReply):
            driver.check_health()
    printer.reply_delay = DELAY
    printer.state = "ready"
    assert driver.check_health()["paper"].value == "ok"


def test_a_slow_printer_still_ends_in_time():
    printer = FakePrinter()
    printer.reply_delay = 0.28
    driver = printer.driver()
    started = printer.clock.now
    with pytest.raises(BadReply, match="slow"):
        driver.check_health()
    assert printer.clock.now - started < 2.0


def test_an_echoing_line_is_a_bad_reply():
    printer = FakePrinter()
    inner = printer.link.respond
    printer.link.respond = lambda request: [(0.001, request), *inner(request)]
    with pytest.raises(BadReply):
        printer.driver().check_health()
    assert len(printer.link.written) <= 40


def test_an_echoing_line_without_a_printer_is_a_bad_reply():
    printer = FakePrinter()
    printer.link.respond = lambda request: [(0.001, request)]
    with pytest.raises(BadReply):
        printer.driver().check_health()


def test_a_babbling_line_is_a_bad_reply_in_time():
    printer = FakePrinter()
    chance = random.Random(3)
    printer.link.respond = lambda _request: [(0.05 * step, chance.randbytes(5)) for step in range(40)]
    driver = printer.driver()
    with pytest.raises((BadReply, NoReply)):
        driver.check_health()


@pytest.mark.parametrize("state", ["ready", "near end", "paper out", "cover open", "cutter error", "head hot"])
@pytest.mark.parametrize("chance_of_flip", [0.005, 0.05, 0.3])
def test_flipped_bits_never_make_another_state(state: str, chance_of_flip: float):
    chance = random.Random(len(state) * 1000 + int(chance_of_flip * 1000))

    def distort(reply: bytes) -> bytes:
        return bytes(byte ^ sum(1 << bit for bit in range(8) if chance.random() < chance_of_flip) for byte in reply)

    printer = FakePrinter(state)
    printer.distort = distort
    driver = printer.driver()
    truth = next(each.means for each in load_golden("escpos") if each.name == f"{state}, packet")
    answered = 0
    for _ in range(400):
        try:
            health = driver.check_health()
        except (BadReply, NoReply):
            pass
        else:
            answered += 1
            for name, value in said(health).items():
                if name in truth:
                    assert value in {truth[name], "inconsistent", "masked"}
        for name, value in said(driver.receive(distort(STATES[state][4]))).items():
            assert value in {truth[name], "masked"}
        printer.clock.now += 1.0
    assert answered > 0 or chance_of_flip > 0.1


def test_random_bytes_instead_of_replies_are_never_a_state():
    chance = random.Random(11)
    printer = FakePrinter()
    printer.distort = lambda reply: chance.randbytes(len(reply))
    driver = printer.driver()
    for _ in range(2000):
        with pytest.raises((BadReply, NoReply)):
            driver.check_health()
        assert driver.receive(chance.randbytes(8)) == {}


def test_a_state_between_two_rounds_is_not_reported():
    printer = FakePrinter()
    driver = printer.driver(asb=False)
    driver.check_health()
    inner = printer.link.respond
    flicker = iter(["paper out"] * 4 + ["ready"] * 100)

    def respond(request: bytes) -> list[tuple[float, bytes]]:
        printer.state = next(flicker)
        return inner(request)

    printer.link.respond = respond
    assert driver.check_health()["paper"].value == "ok"


def test_a_lost_line_and_a_sale_go_through():
    printer = FakePrinter()
    driver = printer.driver()
    driver.check_health()
    printer.link.lost = True
    with pytest.raises(LinkLost):
        driver.check_health()

    printer = FakePrinter()
    driver = EscposDriver(Channel(printer.link, clock=printer.clock, yield_now=lambda: True))
    with pytest.raises(Yielded):
        driver.check_health()


# Identity, counters, recovery, printing


def test_identity():
    printer = FakePrinter()
    identity = printer.driver().identify()
    assert (identity.manufacturer, identity.model, identity.serial, identity.firmware) == (
        "POSDIAG",
        "TM-X",
        "S123",
        "1.06",
    )
    assert dict(identity.extra) == {"model_id": "20", "font_language": "CHINA GB18030"}
    assert printer.link.written[:3] == [b"\x10\x04\x01", b"\x1d\x49\x43", b"\x1d\x49\x43"]


def test_identity_of_a_clone_without_texts_is_empty_and_costs_one_silence():
    printer = FakePrinter()
    printer.texts = {}
    driver = printer.driver()
    started = printer.clock.now
    identity = driver.identify()
    assert (identity.manufacturer, identity.model, identity.serial, identity.firmware) == ("", "", "", "")
    assert printer.clock.now - started < 1.0
    assert driver.check_health()["paper"].value == "ok"


def test_identity_without_serial_number():
    printer = FakePrinter()
    del printer.texts[68]
    identity = printer.driver().identify()
    assert (identity.model, identity.serial) == ("TM-X", "")


def test_identity_is_not_asked_while_offline():
    printer = FakePrinter("paper out")
    identity = printer.driver().identify()
    assert dict(identity.extra) == {"not_asked": "offline"}
    assert printer.link.written == [b"\x10\x04\x01"]


def test_identity_needs_a_printer():
    printer = FakePrinter()
    printer.mute = True
    with pytest.raises(NoReply):
        printer.driver().identify()


def test_a_garbled_text_is_no_identity():
    printer = FakePrinter()
    chance = random.Random(5)
    printer.distort = lambda reply: (
        reply[:2] + bytes((chance.randrange(0x30, 0x5A),)) + reply[3:] if reply[0] == 0x5F else reply
    )
    with pytest.raises(BadReply):
        printer.driver().identify()


def test_statistics():
    printer = FakePrinter()
    assert printer.driver().statistics() == {
        "ReceiptLineFeedCount": 1200,
        "PaperCutCount": 40,
        "HoursPoweredCount": 9,
        "PrintHeadEnergizedCount": 1100,
    }
    assert b"\x1d\x67\x32\x00\xb2\x00" in printer.link.written


def test_statistics_that_do_not_exist_or_cannot_be_had():
    printer = FakePrinter()
    printer.counters = {}
    with pytest.raises(Unsupported):
        printer.driver().statistics()
    with pytest.raises(Refused, match="offline"):
        FakePrinter("cover open").driver().statistics()


def test_a_counter_that_is_no_number_is_a_bad_reply():
    printer = FakePrinter()
    printer.distort = lambda reply: reply.replace(b"1200", b"12O0")
    with pytest.raises(BadReply):
        printer.driver().statistics()


@pytest.mark.parametrize("state", ["cutter error", "mechanical error"])
def test_recovery_of_what_can_be_recovered(state: str):
    printer = FakePrinter(state)
    printer.recovers_to = "ready"
    health = printer.driver().recover()
    assert (health["cutter"].value, health["mechanism"].value) == ("ok", "ok")
    assert printer.link.written.count(b"\x10\x05\x02\x10\x04\x01") == 1


def test_recovery_that_does_not_help_says_so():
    printer = FakePrinter("cutter error")
    started = printer.clock.now
    assert printer.driver().recover()["cutter"].value == "error"
    assert printer.clock.now - started < 6


@pytest.mark.parametrize("state", ["ready", "unrecoverable", "head hot", "paper out", "cover open"])
def test_recovery_is_refused_where_it_cannot_help(state: str):
    printer = FakePrinter(state)
    with pytest.raises(Refused):
        printer.driver().recover()
    assert not any(request.startswith(b"\x10\x05") for request in printer.link.written)


def test_external_check_prints_one_line_and_internal_none():
    printer = FakePrinter()
    driver = printer.driver()
    driver.check_health()
    assert all(request[0] in (0x10, 0x1D) for request in printer.link.written)
    printer.link.written.clear()
    driver.check_health(Level.EXTERNAL)
    assert b"posdiag test print\x1b\x64\x04\x10\x04\x01" in printer.link.written


def test_external_check_of_a_printer_that_cannot_print_prints_nothing():
    printer = FakePrinter("paper out")
    assert printer.driver().check_health(Level.EXTERNAL)["paper"].value == "out"
    assert all(request in STATUS_ROUND for request in printer.link.written)


def test_there_is_no_interactive_check():
    with pytest.raises(Unsupported):
        FakePrinter().driver().check_health(Level.INTERACTIVE)


def test_a_slip_goes_out_whole_and_pushes_come_back_after_it():
    printer = FakePrinter()
    driver = printer.driver()
    driver.check_health()
    slip = Slip(columns=48).text("打印机").cut()
    driver.print_slip(slip)
    assert slip + b"\x10\x04\x01" in printer.link.written
    driver.check_health()
    assert printer.link.written.count(PUSHES_ON) == 2


def test_a_slip_is_refused_by_a_printer_that_is_offline():
    printer = FakePrinter("cover open")
    with pytest.raises(Refused, match="offline"):
        printer.driver().print_slip(Slip().cut())
    assert printer.link.written == [b"\x10\x04\x01"]


def test_what_the_driver_tells_of_the_line():
    printer = FakePrinter("near end")
    driver = printer.driver()
    driver.check_health()
    driver.receive(b"\x13\x80")
    assert driver.specific() == {
        "profile": "epson",
        "status": "12 12 12 1e",
        "packet": "10 00 03 00",
        "pushes": True,
        "flow_stopped": True,
        "malformed": 1,
    }


def test_a_trusted_push_among_answers_is_told_before_the_round_ends():
    printer = FakePrinter()
    driver = printer.driver()
    driver.check_health()
    told: list[tuple[float, dict]] = []
    driver.tell = lambda readings: told.append((printer.clock.now, said(readings)))
    printer.link.push(printer.change("paper out"), after_s=0.001)
    health = driver.check_health()
    assert [readings["paper"] for _, readings in told] == ["out"]
    assert told[0][0] < printer.clock.now
    assert health["paper"].value == "out"
    assert driver.wants_check is False


Telling = tuple[FakePrinter, EscposDriver, list[dict[str, object]]]


@pytest.fixture
def telling() -> Telling:
    """A printer that was checked, its driver, and what that tells from now on."""
    printer = FakePrinter()
    driver = printer.driver()
    driver.check_health()
    told: list[dict[str, object]] = []
    driver.tell = lambda readings: told.append(said(readings))
    return printer, driver, told


@pytest.fixture
def going_offline(telling: Telling) -> Telling:
    """A printer that runs out of paper when it is asked for its maker, and does not answer that before it has paper."""
    printer, _driver, _told = telling
    answer = printer.link.respond

    def respond(request: bytes) -> list[tuple[float, bytes]]:
        if request == ASKS_MAKER and printer.state == "ready":
            return [(DELAY, printer.change("paper out"))]
        return [] if request[:1] == b"\x1d" and printer.state == "paper out" else answer(request)

    printer.link.respond = respond
    return telling


ASKS_MAKER = b"\x1d\x49\x42"


def test_a_printer_that_goes_offline_in_the_middle_of_its_identity_is_told_and_asked_no_more(going_offline):
    printer, driver, told = going_offline
    started = printer.clock.now
    assert dict(driver.identify().extra) == {"not_asked": "changed"}
    assert [readings["paper"] for readings in told] == ["out"]
    assert printer.link.written[-1] == ASKS_MAKER
    assert printer.clock.now - started < 0.1
    assert said(driver.check_health(), "paper", "online") == {"paper": "out", "online": False}
    assert printer.clock.now - started < 0.2  # no quiet time either


def test_counters_end_as_soon_as_it_goes_offline(going_offline):
    printer, driver, told = going_offline
    offline = printer.change("paper out")
    printer.state = "ready"
    answer = printer.link.respond
    printer.link.respond = lambda request: [(DELAY, offline)] if request[:1] == b"\x1d" else answer(request)
    with pytest.raises(Refused, match="offline"):
        driver.statistics()
    assert [readings["paper"] for readings in told] == ["out"]


def test_the_answer_that_was_given_up_is_not_taken_for_the_next_ones(going_offline):
    printer, driver, _told = going_offline
    driver.identify()
    late = b"\x5f" + TEXTS[66] + b"\0"
    back = printer.change("ready")
    printer.link.respond = printer.respond
    assert driver.receive(back)["paper"].value == "ok"
    printer.link.push(late, after_s=0.05)
    asked = len(printer.link.written)
    identity = driver.identify()
    assert (identity.manufacturer, identity.model) == ("POSDIAG", "TM-X")
    assert printer.link.written[asked + 1 : asked + 3] == [b"\x1d\x49\x43"] * 2  # twice, not thrice


def test_a_printer_that_threw_its_buffer_away_owes_no_answer_for_long(going_offline):
    printer, driver, _told = going_offline
    driver.identify()
    driver.receive(printer.change("ready"))
    printer.link.respond = printer.respond
    started = printer.clock.now
    assert driver.identify().serial == "S123"
    assert printer.clock.now - started < 1.0


def test_a_push_behind_an_answer_in_the_same_bytes_is_told_at_once(telling):
    printer, driver, told = telling
    answer = printer.link.respond

    def respond(request: bytes) -> list[tuple[float, bytes]]:
        printer.link.respond = answer
        [(delay, reply)] = answer(request)
        return [(delay, reply + printer.change("cover open"))]

    printer.link.respond = respond
    driver.identify()
    assert [readings["cover"] for readings in told] == ["open"]
