"""One browser and one desk for all tests of the console; each test begins without open pages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests.peers.console import stage
from tests.peers.console.stage import Desk

CHROMIUM = Path("/usr/bin/chromium")
expect.set_options(timeout=1000 * stage.PATIENCE_S)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        pytest.skip("chromium is not installed")
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture(scope="session")
def shared_desk(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with stage.desk(tmp_path_factory.mktemp("desk"), browser) as made:
        yield made


@pytest.fixture
def desk(shared_desk: Desk) -> Iterator[Desk]:
    """A page that complains to the browser fails the test that opened it."""
    yield shared_desk
    errors = list(shared_desk.errors)
    shared_desk.close_pages()
    assert errors == []
