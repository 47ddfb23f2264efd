"""Where the center's settings come from; the share group above all, whose name is a secret."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pytest

from center.settings import Settings, SettingsError, load, tile_server


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("POSDIAG_CENTER_DIR", str(tmp_path / "state"))
    return tmp_path / "state"


def loaded(folder: Path, text: str) -> Settings:
    path = folder / "center.toml"
    path.write_text(text, "utf-8")
    return load(argparse.Namespace(config=str(path)))


def test_the_group_cannot_be_guessed_and_is_the_same_for_every_process(tmp_path: Path, state: Path):
    first = loaded(tmp_path, "").group
    assert re.fullmatch(r"center-[0-9a-f]{32}", first)
    assert loaded(tmp_path, 'role = "ingest"').group == first
    assert (state / "share_group").stat().st_mode & 0o777 == 0o600
    (state / "share_group").unlink()
    assert loaded(tmp_path, "").group != first


def test_a_group_that_is_set_is_taken_and_none_is_made(tmp_path: Path, state: Path):
    assert loaded(tmp_path, 'group = "center-7f"').group == "center-7f"
    assert not state.exists()


@pytest.mark.parametrize("name", ["", "a/b", "a+", "#", "a b", "g" * 65])
def test_a_group_that_no_filter_can_carry_is_refused(tmp_path: Path, name: str):
    with pytest.raises(SettingsError, match="group is a word"):
        loaded(tmp_path, f'group = "{name}"')


def test_a_group_that_cannot_be_kept_is_one_line(tmp_path: Path, state: Path):
    state.write_text("a file in its place")
    with pytest.raises(SettingsError, match="share_group: cannot be kept") as caught:
        loaded(tmp_path, "")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("url", ["", "https://pos.example.org", "http://10.0.0.7:8480/", "https://example.org/pos"])
def test_an_address_that_people_can_go_to_is_taken(tmp_path: Path, url: str):
    assert loaded(tmp_path, f'public_url = "{url}"').public_url == url


@pytest.mark.parametrize(
    "url",
    [
        *("pos.example.org", "ftp://pos.example.org", "https://", "https://pos.example.org/?a=1", "https://h/#top"),
        *("https://ann:word@h", "https://h?", "https://h:0", "https://h:x", "https://h/a b", "https://" + "h" * 120),
    ],
)
def test_an_address_that_no_link_can_be_made_of_is_refused(tmp_path: Path, url: str):
    with pytest.raises(SettingsError, match=r"public_url .* is not https://HOST"):
        loaded(tmp_path, f'public_url = "{url}"')


@pytest.mark.parametrize(
    ("template", "origin"),
    [
        ("", ""),
        ("https://tiles.example.org/{z}/{x}/{y}.png", "https://tiles.example.org"),
        ("https://t.example.org:8443/a/{z}/{y}/{x}?key=k", "https://t.example.org:8443"),
    ],
)
def test_pictures_for_the_map_come_from_one_server(tmp_path: Path, template: str, origin: str):
    assert tile_server(loaded(tmp_path, f'map_tiles = "{template}"').map_tiles) == origin


@pytest.mark.parametrize(
    "template",
    [
        *("http://t.example.org/{z}/{x}/{y}.png", "https:///{z}/{x}/{y}", "https://t.example.org/{z}/{x}.png"),
        *("https://{s}.example.org/{z}/{x}/{y}", "https://ann:w@t.example.org/{z}/{x}/{y}", "/{z}/{x}/{y}.png"),
        *("https://t.example.org;script-src/{z}/{x}/{y}", "https://h/{z}/{x}/{y} ", "https://{z}/{x}/{y}/{z}"),
    ],
)
def test_a_template_that_names_no_server_or_no_place_is_refused(tmp_path: Path, template: str):
    with pytest.raises(SettingsError, match="map_tiles"):
        loaded(tmp_path, f'map_tiles = "{template}"')
