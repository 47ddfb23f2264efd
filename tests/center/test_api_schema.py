"""What schemathesis sends by the API's own description: never a 500, and always the answer that was described.

The long form is `python -m tests.center.test_api_schema [EXAMPLES [PATH]]`, of operations whose path holds PATH.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from center.access.limits import Rate
from center.db.engine import Database
from center.db.migrate import migrate
from tests.center.asking import Api, asking
from tests.center.fleet_rows import fill

_CHECKS: list[Any] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
_LEFT_OUT = {"/api/v1/stream"}  # it does not end by itself; tests/center/test_stream.py listens


def _attack(api: Api, examples: int, part: str = "") -> tuple[int, int]:
    """Send so many cases to each operation; how many operations and requests."""
    url = f"http://127.0.0.1:{api.port}"
    schema = schemathesis.openapi.from_url(f"{url}/api/v1/openapi.json")
    token = api.token("admin")
    headers = {"authorization": f"Bearer {token}"}
    operations = sent = 0
    for found in schema.get_all_operations():
        operation = found.ok()
        if operation.path in _LEFT_OUT or part not in operation.path:
            continue
        operations += 1

        @settings(
            max_examples=examples,
            deadline=None,
            database=None,
            derandomize=examples < 50,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def attack(case: Any) -> None:
            nonlocal sent
            sent += 1
            api.clock_ms += 1000
            case.call_and_validate(base_url=url, headers=headers, checks=_CHECKS)

        schemathesis_given(operation, attack)
    return operations, sent


def schemathesis_given(operation: Any, attack: Any) -> None:
    """Run it with cases of this operation, what fits its description and what does not."""
    from hypothesis import given, strategies  # noqa: PLC0415 - named beside its use

    modes = [schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE]
    cases = strategies.one_of([operation.as_strategy(generation_mode=mode) for mode in modes])
    given(case=cases)(attack)()


@pytest.mark.timeout(300)  # a quarter of a minute where nothing else runs
def test_no_request_breaks_the_api(database: Database) -> None:
    fill(database, 8)
    with asking(database, rate=Rate(1e6, 1e6), refused=Rate(1e6, 1e6)) as api:
        operations, sent = _attack(api, 2)
        assert operations > 60
        assert sent >= operations
        assert api.asks("viewer").get("terminals")["items"]


def main() -> int:
    examples = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    part = sys.argv[2] if len(sys.argv) > 2 else ""
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{Path(folder) / 'center.db'}")
        migrate(database)
        fill(database, 200)
        with asking(database, rate=Rate(1e6, 1e6), refused=Rate(1e6, 1e6)) as api:
            operations, sent = _attack(api, examples, part)
        database.close()
    print(f"{sent} requests to {operations} operations, none broke anything")
    return 0


if __name__ == "__main__":
    sys.exit(main())
