"""Guidance: what a fault means to the merchant and what to do now, in zh and en. The texts are data: one file a unit.

A file has one table for each kind: `stop_now` where the terminal must not be used at all; then, each as `.en`
and `.zh`, `title`, `meaning`, `never` (a list), `stop_using` and `sell_on`; and its `steps`, whose `proof` is one for
both languages. Nothing is read before a fault asks for it.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Literal, Protocol

from agent.vocabulary import VOCABULARY, Act
from drivers.reading import Reading, Value

Language = Literal["en", "zh"]

_HERE: Final = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Proof:
    """The reading that shows a step was done: `reading` is source.name, a device standing under its unit's name.

    `value` None: the reading has limits that are configured, and shows it by no longer raising the fault.
    """

    reading: str
    value: Value | None = None

    def holds(self, reading: Reading, *, raised: bool) -> bool | None:
        """Whether it shows that now; None when the reading is unknown. `raised`: the fault itself still stands."""
        if reading.value is None:
            return None
        return not raised if self.value is None else reading.value == self.value


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do, in one breath. Without a proof only the merchant can say that it was done."""

    text: str
    proof: Proof | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Guidance:
    """One fault in one language. Sentences end with a full stop, the title does not. "" and () say that there is none.

    `stop_using` says when to stop using the terminal; with `stop_now` that is at once, until support releases it.
    `sell_on` says how to go on selling meanwhile.
    """

    key: str
    title: str
    meaning: str
    steps: tuple[Step, ...]
    never: tuple[str, ...]
    act: Act
    stop_now: bool
    stop_using: str
    sell_on: str


@lru_cache(maxsize=32)  # more than ever stand at once
def guidance(key: str, language: Language) -> Guidance:
    """What to tell about the fault `key`. Raises KeyError for no key of the vocabulary, OSError if the file is gone."""
    table = _table(key)

    def text(name: str) -> str:
        return str(table.get(name, {}).get(language, ""))

    return Guidance(
        key=key,
        title=text("title"),
        meaning=text("meaning"),
        steps=tuple(
            Step(step[language], Proof(**step["proof"]) if "proof" in step else None) for step in table["steps"]
        ),
        never=tuple(table.get("never", {}).get(language, ())),
        act=VOCABULARY[key].act,
        stop_now=table.get("stop_now", False),
        stop_using=text("stop_using"),
        sell_on=text("sell_on"),
    )


def _table(key: str) -> dict[str, Any]:
    kind = VOCABULARY[key]
    path = _HERE / f"{kind.unit}.toml"
    table: dict[str, Any] = tomllib.loads(path.read_text("utf-8"))[kind.kind]
    return table


# --- the answer in one sentence --------------------------------------------------------------------------------------


class VerdictLike(Protocol):
    """The fields of a verdict that a sentence needs; `agent.wire.Verdict` and `agent.causes.Answer` have them."""

    @property
    def can_sell(self) -> Literal["yes", "degraded", "no", "unknown"]: ...
    @property
    def cause(self) -> str | None: ...
    @property
    def act(self) -> Act: ...


_SENTENCE: Final[dict[Language, dict[str, str]]] = {
    "en": {
        "yes": "This terminal can take payments",
        "note": "This terminal can take payments, but note",
        "degraded": "This terminal can take payments, but not everything works",
        "no": "This terminal cannot take payments",
        "unknown": "It is not known yet whether this terminal can take payments",
        "stop": "Do not use this terminal",
        "keep": "Keep it and call support.",
        "merchant": "You can fix it: ",
        "support": "Call support.",
        "technician": "Call support; a technician must come.",
        "operator": "The network operator must act; call support.",
        "none": "It should pass by itself.",
        "colon": ": ",
        "end": ".",
        "gap": " ",
    },
    "zh": {
        "yes": "本机可以收款",
        "note": "本机可以收款，但请注意",
        "degraded": "本机可以收款，但部分功能不正常",
        "no": "本机现在不能收款",
        "unknown": "目前还不清楚本机能不能收款",
        "stop": "请停用本机",
        "keep": "请看管好本机，并联系客服。",
        "merchant": "您可以自己处理：",
        "support": "请联系客服。",
        "technician": "请联系客服，需要维修人员上门。",
        "operator": "需要运营商处理，请联系客服。",
        "none": "一般会自行恢复。",
        "colon": "：",
        "end": "。",
        "gap": "",
    },
}


def verdict_sentence(verdict: VerdictLike, language: Language) -> str:
    """The whole answer to be read aloud: can it sell, why not, who acts and what comes first.

    A cause outside the vocabulary, as an older version may have stored, is not named. Raises OSError if the texts are
    gone.
    """
    words = _SENTENCE[language]
    if verdict.cause is None:
        return f"{words[verdict.can_sell]}{words['end']}"
    if verdict.cause not in VOCABULARY:
        return f"{words[verdict.can_sell]}{words['end']}{words['gap']}{words['support']}"
    told = guidance(verdict.cause, language)
    if told.stop_now:
        opening, who = words["stop"], words["keep"]
    else:
        opening = words["note"] if verdict.can_sell == "yes" else words[verdict.can_sell]
        who = words[verdict.act]
        if verdict.act == "merchant":
            who += _inside(told.steps[0].text)
    return f"{opening}{words['colon']}{_inside(told.title)}{words['end']}{words['gap']}{who}"


def _inside(sentence: str) -> str:
    """As it stands after a colon: every text begins with a plain word, so its capital goes."""
    return sentence[0].lower() + sentence[1:]
