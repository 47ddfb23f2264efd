"""Of how many cases the merchant is asked to rate the help."""

from __future__ import annotations

import pytest

from center.db.engine import Database
from center.db.tables import cases
from center.domain.cases_book import CaseError
from center.domain.cases_policy import Policy, parse
from center.domain.merchant import MerchantDesk
from tests.center.fleet_rows import NOW, case, put


def test_a_share_of_cases_is_asked_and_always_the_same() -> None:
    names = [f"case-{number:08}" for number in range(1000)]
    tenth = parse({"survey_percent": 10})
    asked = [name for name in names if tenth.surveys(name)]
    assert 60 < len(asked) < 140
    assert asked == [name for name in asked if parse({"survey_percent": 20}).surveys(name)]
    assert all(Policy().surveys(name) for name in names)
    assert not any(parse({"survey_percent": 0}).surveys(name) for name in names)


@pytest.mark.parametrize("wrong", [101, -1, "10", 0.5, True])
def test_a_share_that_is_none_is_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match="survey_percent is "):
        parse({"survey_percent": wrong})


def test_who_is_not_asked_cannot_rate(database: Database) -> None:
    closed = {"state": "closed", "outcome": "confirmed", "closed_ms": NOW, "merchant_token": "secret"}
    put(database, cases, **(case(1) | closed))
    few = MerchantDesk(database, parse({"survey_percent": 0}), lambda: NOW)
    assert not few.page("secret").may_rate
    with pytest.raises(CaseError):
        few.rate("secret", 5)
    assert MerchantDesk(database, Policy(), lambda: NOW).rate("secret", 5).may_rate is False
