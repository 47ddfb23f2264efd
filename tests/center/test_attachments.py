from __future__ import annotations

import hashlib

import pytest

from center.access.scope import Scope
from center.db.engine import Database
from center.db.tables import attachments
from center.domain.cases_attachments import LARGEST, WARNING, Attachments
from center.domain.cases_book import CaseError, NoCase
from center.domain.cases_opening import NewCase
from tests.center.desk_world import AGENT, ESTATE, World, act

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)


@pytest.fixture
def world(database: Database) -> World:
    made = World(database)
    made.terminal()
    return made


@pytest.fixture
def case_id(world: World) -> str:
    return str(world.cases.open(act(), NewCase(estate=ESTATE, terminal="t1"))[0]["id"])


@pytest.fixture
def desk(world: World) -> Attachments:
    return Attachments(world.database, world.policy, lambda: world.now_ms)


def test_a_picture_is_kept_with_hash_time_and_warning(world: World, desk: Attachments, case_id: str) -> None:
    made = desk.add(AGENT, case_id, "C:\\photos\\slip.png", "image/png", PNG)
    assert (made.name, made.at_ms, made.warning) == ("slip.png", world.now_ms, WARNING)
    assert made.sha256 == hashlib.sha256(PNG).hexdigest()
    assert desk.body(AGENT.scope, case_id, made.id) == (made, PNG)
    assert desk.add(AGENT, case_id, "again.png", "image/png", PNG) == made
    assert world.steps(case_id) == ["opened", "attachment"]


def test_card_numbers_are_taken_out_of_texts(desk: Attachments, case_id: str) -> None:
    made = desk.add(AGENT, case_id, "log.txt", "text/plain", b"card 4111 1111 1111 1111 declined")
    assert desk.body(AGENT.scope, case_id, made.id)[1] == b"card <pan:16> declined"
    assert made.warning == ""


@pytest.mark.parametrize(
    ("name", "media_type", "body", "said"),
    [
        ("a.svg", "image/svg+xml", b"<svg/>", "attach one of"),
        ("a.png", "image/png", b"<html>", "no image/png"),
        ("a.png", "image/png", b"", "1 to"),
        ("a.png", "image/png", PNG + bytes(LARGEST), "1 to"),
        ("../..", "image/png", PNG, "a file's name"),
        ("a\n.png", "image/png", PNG, "a file's name"),
        ("a.txt", "text/plain", b"\xff", "UTF-8"),
    ],
)
def test_what_cannot_be_attached(
    world: World, desk: Attachments, case_id: str, name: str, media_type: str, body: bytes, said: str
) -> None:
    with pytest.raises(CaseError, match=said):
        desk.add(AGENT, case_id, name, media_type, body)
    assert world.rows(attachments) == []


def test_a_foreign_case_shows_no_attachment(desk: Attachments, case_id: str) -> None:
    made = desk.add(AGENT, case_id, "slip.png", "image/png", PNG)
    with pytest.raises(NoCase):
        desk.body(Scope(sites=("s2",)), case_id, made.id)
    with pytest.raises(NoCase):
        desk.add(act(scope=Scope(sites=("s2",))), case_id, "slip.png", "image/png", PNG)
