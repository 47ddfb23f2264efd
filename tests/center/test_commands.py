from __future__ import annotations

import base64
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from agent.wire import TIERS
from center.access import audit
from center.access.scope import Scope
from center.db.engine import Database
from center.db.tables import changes, commands, outbox
from center.domain import commands_engine
from center.domain.commands import APPROVAL_MS, Commands
from center.domain.commands_engine import GRACE_MS, LONGEST_MS, CommandEngine, told
from center.domain.commands_key import Signer
from center.domain.commands_order import Order, check_order
from center.domain.refusal import Refusal
from tests.center.actions import NOW, Line, command_of, fleet, new_key, person

ANN = person("ann", "agent")
LEA = person("lea", "lead")
CAM = person("cam", "campaign_manager")


class Desk:
    """Everything that takes part."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database = database
        private, public = new_key(folder)
        self.key_file = folder / "command.jwk"
        self.key_file.symlink_to(private)
        self.folder = folder
        self.commands = Commands(database, Signer(self.key_file), "main", many=3)
        self.engine = CommandEngine(database)
        self.line = Line(database, public)
        fleet(database, ["t1", "t2"], site="s1", region="north")

    def give(self, cmd: str = "check", terminal: str = "t1", who: Any = ANN, **args: Any) -> str:
        order = Order(estate="e", terminal=terminal, cmd=cmd, args=args, reason="the merchant rang")
        return self.commands.give(who, order, NOW)

    def row(self, command_id: str) -> Any:
        with self.database.read() as connection:
            return connection.execute(select(commands).where(commands.c.id == command_id)).one()

    def step(self, now_ms: int = NOW) -> None:
        for _ in range(100):
            if not self.engine.step(now_ms):
                return
        raise AssertionError("the engine finds no end")


@pytest.fixture
def desk(database: Database, tmp_path: Path) -> Desk:
    return Desk(database, tmp_path)


def refused(desk: Desk, why: str, **order: Any) -> str:
    with pytest.raises(Refusal) as caught:
        desk.give(**order)
    assert caught.value.why == why
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_command_goes_out_as_a_terminal_wants_it(desk: Desk) -> None:
    command_id = desk.give("check", level="internal", device="printer")
    [message] = desk.line.take()
    body = command_of(message)
    assert message["topic"] == "pos/1/e/t1/command"
    assert message["response_topic"] == f"pos/1/e/t1/result/{command_id}"
    assert base64.b64decode(message["correlation"]) == command_id.encode()
    assert (message["qos"], message["retain"], message["until_ms"]) == (1, False, body.exp * 1000)
    assert (body.aud, body.jti, body.cmd, body.tier) == ("e/t1", command_id, "check", 0)
    assert body.args == {"level": "internal", "device": "printer"}
    assert body.exp - body.nbf == 300
    assert body.nbf * 1000 <= NOW < body.exp * 1000
    assert body.iss == "main/ann"


@pytest.mark.parametrize(
    ("states", "ends"),
    [
        (["accepted"], "accepted"),
        (["accepted", "running"], "running"),
        (["accepted", "running", "succeeded"], "succeeded"),
        (["accepted", "failed"], "failed"),
        (["rejected"], "rejected"),
        (["accepted", "interrupted"], "interrupted"),
        (["accepted", "expired"], "expired"),
        (["accepted", "succeeded", "failed"], "succeeded"),
    ],
)
def test_the_state_is_what_the_terminal_said(states: list[str], ends: str) -> None:
    answers = [{"state": state, "output": None, "error": ""} for state in states]
    assert told(answers)["state"] == ends


def test_a_life_from_the_outbox_to_its_end(desk: Desk) -> None:
    command_id = desk.give()
    desk.step()
    assert desk.row(command_id).state == "queued"
    desk.line.take()
    desk.step()
    assert desk.row(command_id).state == "sent"
    desk.line.answer(command_id, "accepted", "running", output={"percent": 10})
    desk.step()
    assert (desk.row(command_id).state, desk.row(command_id).output) == ("running", {"percent": 10})
    desk.line.answer(command_id, "succeeded", output={"faults": []})
    desk.step()
    assert (desk.row(command_id).state, desk.row(command_id).output) == ("succeeded", {"faults": []})


def test_a_page_that_is_dealt_with_again_changes_nothing(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    command_id = desk.give()
    desk.line.answer(command_id, "accepted", "succeeded", output=1)
    with monkeypatch.context() as patched:
        patched.setattr(commands_engine.feed, "append", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):  # killed before the commit
            desk.engine.step(NOW)
    assert desk.row(command_id).state == "queued"
    desk.step()
    before = desk.row(command_id)
    desk.line.answer(command_id, "accepted")  # as after a lost acknowledgement: later in the feed, known of old
    desk.step(NOW + 5)
    assert tuple(desk.row(command_id)) == tuple(before)


def test_another_terminals_answer_is_none(desk: Desk) -> None:
    command_id = desk.give()
    desk.line.answer(command_id, "succeeded", terminal="t2")
    desk.step()
    assert desk.row(command_id).state == "queued"


def test_silence_is_told_as_such_and_a_late_word_stands_over_it(desk: Desk) -> None:
    command_id = desk.give()
    desk.line.take()
    desk.step()
    end_ms = desk.row(command_id).exp_ms
    desk.step(end_ms + GRACE_MS - 1)
    assert desk.row(command_id).state == "sent"
    desk.step(end_ms + GRACE_MS + 1)
    assert (desk.row(command_id).state, desk.row(command_id).error) == ("expired", "no answer came")
    desk.line.answer(command_id, "accepted")
    desk.step(end_ms + GRACE_MS + 2)
    assert desk.row(command_id).state == "accepted"
    desk.step(end_ms + LONGEST_MS + 1)
    assert (desk.row(command_id).state, "nothing was heard" in desk.row(command_id).error) == ("expired", True)
    desk.line.answer(command_id, "succeeded", output=2)
    desk.step(end_ms + LONGEST_MS + 2)
    assert (desk.row(command_id).state, desk.row(command_id).error) == ("succeeded", "")


@pytest.mark.parametrize(
    ("role", "cmd", "args", "may"),
    [
        ("viewer", "check", {}, False),
        ("compliance", "check", {}, False),
        ("agent", "check", {}, True),
        ("agent", "print_slip", {}, True),
        ("agent", "recover", {"device": "modem"}, False),
        ("technician", "recover", {"device": "modem"}, True),
        ("technician", "reboot", {}, False),
        ("lead", "recover", {"device": "modem"}, True),
        ("lead", "reboot", {}, False),
        ("campaign_manager", "reboot", {}, True),
        ("admin", "reboot", {}, True),
    ],
)
def test_who_may_give_what(desk: Desk, role: Any, cmd: str, args: dict[str, Any], may: bool) -> None:
    who = person("p", role)
    if may:
        desk.give(cmd, who=who, **args)
    else:
        assert f"command.{TIERS[cmd]}" in refused(desk, "forbidden", cmd=cmd, who=who, **args)
        assert desk.line.take() == []


@pytest.mark.parametrize(
    ("cmd", "args", "said"),
    [
        ("erase", {}, "the commands are check"),
        ("check", {"level": "deep"}, "internal, external or interactive"),
        ("check", {"level": []}, "internal, external or interactive"),
        ("check", {"shell": "ls"}, "not 'shell'"),
        ("check", {"spread_s": 5}, "not 'spread_s'"),
        ("reboot", {"now": True}, "no arguments"),
        ("recover", {}, "recover needs device"),
        ("recover", {"device": "../x"}, "the name of a device"),
        ("collect", {"url": "http://h/x"}, "an https:// address"),
        ("live", {"seconds": 301}, "1 to 300"),
        ("live", {"seconds": True}, "1 to 300"),
        ("maintenance", {"on": True}, "maintenance needs until"),
        ("maintenance", {"on": False, "reason": "4111 1111 1111 1111"}, "card number"),
    ],
)
def test_what_no_terminal_would_take_is_not_sent(cmd: str, args: dict[str, Any], said: str) -> None:
    with pytest.raises(Refusal, match=said) as caught:
        check_order(cmd, args)
    assert caught.value.why == "invalid"


@pytest.mark.parametrize("reason", ["", "  ", "no", "x" * 501])
def test_no_command_without_a_reason(desk: Desk, reason: str) -> None:
    with pytest.raises(Refusal, match="a reason of"):
        desk.commands.give(ANN, Order(estate="e", terminal="t1", cmd="check", reason=reason), NOW)


def test_what_is_outside_of_the_scope_is_not_there(desk: Desk) -> None:
    assert refused(desk, "not_found", terminal="t9") == "no such terminal"
    south = person("sue", "agent", scope=Scope(regions=("south",)))
    assert refused(desk, "not_found", who=south) == "no such terminal"
    desk.give(who=person("nor", "agent", scope=Scope(regions=("north",))))


def test_a_terminal_that_takes_no_such_command_is_told_before(desk: Desk) -> None:
    assert "this terminal takes check, identify" in refused(desk, "conflict", cmd="live")


def test_a_reboot_waits_for_a_second_person(desk: Desk) -> None:
    command_id = desk.give("reboot", who=CAM)
    assert (desk.row(command_id).state, desk.line.take()) == ("waiting_approval", [])
    for who, why in (
        (CAM, "forbidden"),
        (replace(CAM, name="token cam's script", roles=frozenset({"admin"}), token_id="tok-1"), "forbidden"),
        (replace(LEA, account_id=None), "forbidden"),
        (ANN, "forbidden"),
        (person("s", "lead", scope=Scope(sites=("x",))), "not_found"),
    ):
        with pytest.raises(Refusal) as caught:
            desk.commands.approve(who, command_id, NOW)
        assert caught.value.why == why
    desk.commands.approve(LEA, command_id, NOW + 60_000)
    [message] = desk.line.take()
    assert command_of(message).nbf * 1000 > NOW + 40_000
    assert command_of(message).iss == "main/cam+lea"
    assert desk.row(command_id).approved_by == "lea"
    with pytest.raises(Refusal, match="no such command waits"):
        desk.commands.approve(LEA, command_id, NOW)


def test_what_needs_two_people_is_not_asked_for_without_an_account(desk: Desk) -> None:
    with pytest.raises(Refusal, match="needs two people"):
        desk.give("reboot", who=replace(CAM, account_id=None))
    desk.give(who=replace(CAM, account_id=None))


def test_a_command_that_nobody_could_sign_is_refused_at_once(desk: Desk) -> None:
    order = Order(estate="e", terminal="t1", cmd="reboot", reason="nothing else helps")
    with pytest.raises(Refusal, match="posdiag pki command-key"):
        Commands(desk.database, Signer(""), "main").give(CAM, order, NOW)


def test_what_nobody_approves_ends(desk: Desk) -> None:
    command_id = desk.give("reboot", who=CAM)
    desk.step(NOW + APPROVAL_MS)
    assert desk.row(command_id).state == "waiting_approval"
    desk.step(NOW + APPROVAL_MS + 1)
    assert (desk.row(command_id).state, desk.line.take()) == ("expired", [])


def test_what_is_declined_is_never_sent(desk: Desk) -> None:
    command_id = desk.give("reboot", who=CAM)
    desk.commands.decline(LEA, command_id, "not at noon", NOW)
    assert (desk.row(command_id).state, desk.row(command_id).error) == ("rejected", "lea declined: not at noon")
    assert desk.line.take() == []


def test_to_a_whole_estate_goes_tier_0_with_a_spread(desk: Desk) -> None:
    assert "make it a campaign" in refused(desk, "invalid", cmd="print_slip", terminal="all", spread_s=60)
    assert "make it a campaign" in refused(
        desk, "invalid", cmd="collect", terminal="all", url="https://h/x", spread_s=9
    )
    assert "spread_s" in refused(desk, "invalid", terminal="all")
    scoped = person("nor", "agent", scope=Scope(estates=("e",), regions=("north",)))
    assert "not all of it is yours" in refused(desk, "not_found", terminal="all", who=scoped, spread_s=60)
    command_id = desk.give(terminal="all", spread_s=60)
    [message] = desk.line.take()
    assert message["topic"] == "pos/1/e/all/command"
    assert command_of(message).aud == "e/all"
    desk.step()
    desk.line.answer(command_id, "accepted", "succeeded", terminal="t1")
    desk.line.answer(command_id, "accepted", "failed", terminal="t2")
    desk.step()
    assert desk.row(command_id).state == "sent"
    desk.step(desk.row(command_id).exp_ms + LONGEST_MS + 1)
    assert desk.row(command_id).state == "succeeded"
    assert desk.row(command_id).output == {"terminals": {"succeeded": 1, "failed": 1}}


def test_to_many_terminals_needs_a_second_person(desk: Desk) -> None:
    fleet(desk.database, ["t3", "t4"])
    assert desk.row(desk.give(terminal="all", spread_s=60)).state == "waiting_approval"


def test_each_decision_is_in_the_audit_and_in_the_feed(desk: Desk) -> None:
    command_id = desk.give("reboot", who=CAM)
    desk.commands.approve(LEA, command_id, NOW)
    with desk.database.read() as connection:
        lines = [(row.who, row.what, row.target, row.detail["command"]) for row in audit.every(connection)]
        told_of = connection.execute(select(changes.c.key).where(changes.c.kind == "command")).scalars().all()
        assert audit.verify(connection).broken_id is None
    assert lines == [
        ("cam", "command.give", "e/t1", command_id),
        ("lea", "command.approve", "e/t1", command_id),
    ]
    assert told_of == [command_id] * 2


# --- the key


def test_a_new_key_signs_the_next_command(desk: Desk) -> None:
    desk.give()
    private, _public = new_key(desk.folder)
    desk.key_file.unlink()
    desk.key_file.symlink_to(private)
    desk.give()
    old, new = desk.line.take()
    assert old["kid"] != new["kid"] == private.stem


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda key: key.unlink(), "no such file"),
        (lambda key: key.chmod(0o644), "others may read this private key"),
        (lambda key: key.write_text("{}"), "not a private Ed25519 key"),
        (lambda key: key.write_text(key.read_text().replace('"d": "', '"d": "AAAA')), "not a private Ed25519 key"),
        (lambda key: key.write_text("[" * 3000), "not a private Ed25519 key"),
    ],
)
def test_without_a_good_key_nothing_is_given(desk: Desk, change: Any, said: str) -> None:
    desk.give()
    change(desk.key_file.resolve())
    assert said in refused(desk, "unavailable")
    with desk.database.read() as connection:
        assert connection.execute(select(func.count()).select_from(commands)).scalar() == 1
        assert connection.execute(select(func.count()).select_from(outbox)).scalar() == 1


def test_without_a_setting_there_is_no_key() -> None:
    with pytest.raises(Refusal, match="command_key_file names it"):
        Signer("").sign({})
