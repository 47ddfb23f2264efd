"""Why somebody's wish is not carried out."""

from __future__ import annotations

from typing import Literal

Why = Literal["forbidden", "not_found", "invalid", "conflict", "unavailable"]


class Refusal(Exception):
    """One line for people. `why` is the kind: who may not, what is not there, what is wrong, or not so now."""

    def __init__(self, why: Why, text: str) -> None:
        super().__init__(text)
        self.why = why
