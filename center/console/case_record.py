"""The written record of a case: one page to print, in zh or en, and the hash of what it was made from.

The hash is SHA-256 over the case's facts and steps as canonical JSON (`content`), so that whoever holds the data can
show that a printed record was not changed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import jinja2
from sqlalchemy import Connection, select

from center.access.scope import Scope
from center.console.sentences import told
from center.console.words import word_or
from center.db.tables import cases, sites
from center.domain.cases import timeline
from center.domain.cases_book import NoCase, number_text
from center.domain.knowledge import part_in
from center.domain.texts import fault_title, language_of, local_time, progress

_FACTS: Final = (
    *("id", "number", "estate", "terminal", "site", "kind", "title", "fault", "model", "firmware", "operator"),
    *("severity", "channel", "root_cause", "part", "outcome", "local_number", "created_ms", "acked_ms", "solved_ms"),
    *("closed_ms", "eta_ms", "reopened", "visits"),
)
_INTERNAL: Final = frozenset({"note", "tagged"})
"""Steps between colleagues, which a merchant's record leaves out."""
_OWN: Final = frozenset(
    {"watching", "watch_extended", "asking", "answered", "closed", "reported", "reopened", "recurred", "undone"}
)
"""Steps whose text the center wrote, unless a person gave a reason."""


@dataclass(frozen=True, slots=True)
class Record:
    """`html` is a whole page without scripts; `digest` the hash that stands on it, in hex; `content` what it is of."""

    html: str
    digest: str
    content: bytes


def record(
    connection: Connection,
    scope: Scope,
    case_id: str,
    language: str,
    now_ms: int,
    *,
    internal: bool = True,
    printed: Callable[[str], str] | None = None,
) -> Record:
    """The record of a case as it is now; without colleagues' notes where not `internal`. Raises NoCase.

    `printed` gives the line below the title, from the local time at which it is made.
    """
    case = connection.execute(select(cases).where(cases.c.id == case_id, scope.where(cases))).mappings().first()
    if case is None:
        raise NoCase(f"there is no case {case_id!r}")
    where = (sites.c.estate == case["estate"], sites.c.site == case["site"])
    site = connection.execute(select(sites.c.name, sites.c.address, sites.c.timezone).where(*where)).mappings().first()
    steps, after = [], 0
    while page := timeline(connection, scope, case_id, after):
        steps += [each for each in page if internal or each["kind"] not in _INTERNAL]
        after = page[-1]["id"]
    facts = {name: case[name] for name in _FACTS}
    content = canonical(facts, steps)
    digest = hashlib.sha256(content).hexdigest()
    return Record(render(facts, steps, dict(site or {}), language, digest, now_ms, printed), digest, content)


def canonical(facts: Mapping[str, Any], steps: list[dict[str, Any]]) -> bytes:
    """What the hash is over: sorted keys, no blanks, UTF-8."""
    kept = [{name: step[name] for name in ("id", "at_ms", "by", "kind", "text", "data")} for step in steps]
    whole = {"case": dict(facts), "steps": kept}
    return json.dumps(whole, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()


def render(
    facts: Mapping[str, Any],
    steps: list[dict[str, Any]],
    site: Mapping[str, Any],
    language: str,
    digest: str,
    now_ms: int,
    printed: Callable[[str], str] | None = None,
) -> str:
    """The page. Pure."""
    spoken = language_of(language)
    words = _WORDS[spoken]
    timezone = str(site.get("timezone") or "UTC")
    shown = [
        {
            "time": local_time(step["at_ms"], timezone),
            "by": step["by"],
            "what": _what(step, spoken, timezone),
            "text": _said(step, spoken),
        }
        for step in steps
    ]
    return _template().render(
        language=spoken,
        words=words,
        number=number_text(facts["number"]),
        facts=_shown(facts, site, spoken, timezone),
        steps=shown,
        timezone=timezone,
        made=local_time(now_ms, timezone),
        printed=printed(local_time(now_ms, timezone)) if printed is not None else "",
        digest=digest,
    )


@cache
def _template() -> jinja2.Template:
    source = Path(__file__).with_name("case_record.html").read_text("utf-8")
    return jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(source)


def _shown(facts: Mapping[str, Any], site: Mapping[str, Any], spoken: str, timezone: str) -> list[tuple[str, str]]:
    words = _WORDS[spoken]
    title = fault_title(facts["fault"], spoken) if facts["fault"] else facts["title"]
    place = ", ".join(filter(None, [site.get("name"), site.get("address")])) or facts["site"] or ""
    known: dict[str, Any] = {
        "what": title,
        "terminal": f"{facts['estate']}/{facts['terminal']}" if facts["terminal"] else facts["estate"],
        "place": place,
        "device": f"{facts['model']} {facts['firmware']}".strip(),
        "local_number": facts["local_number"],
        "root_cause": _word(spoken, "cause.", facts["root_cause"]),
        "part": part_in(spoken, facts["part"] or ""),
        "outcome": _word(spoken, "case.outcome_", facts["outcome"]),
    }
    moments = ("created_ms", "acked_ms", "solved_ms", "closed_ms")
    known |= {name: local_time(facts[name], timezone) for name in moments if facts[name] is not None}
    return [(words[name], str(value)) for name, value in known.items() if value]


def _what(step: Mapping[str, Any], spoken: str, timezone: str) -> str:
    name = _STEPS[spoken].get(step["kind"], step["kind"])
    data = step["data"] or {}
    if step["kind"] in {"watching", "asking", "closed"}:
        return progress(step["kind"], None, spoken).rstrip("。.")
    if step["kind"] == "eta":
        return f"{name} {local_time(data['eta_ms'], timezone)}"
    if step["kind"] == "repaired":
        part = data.get("part") or {}
        named = part_in(spoken, part.get("name") or "")
        serials = f" ({named} {part.get('old', '')} → {part.get('new', '')})" if part else ""
        return f"{name}: {_word(spoken, 'remedy.', data['remedy'])}{serials}"
    if step["kind"] == "root_cause":
        return f"{name}: {_word(spoken, 'cause.', data.get('root_cause'))}"
    if step["kind"] == "answered" and data.get("by_phone"):
        return f"{name}{_BY_PHONE[spoken]} ({data['with_whom']})"
    if step["kind"] == "command":
        done = f"{_word(spoken, 'terminal.do_', data['cmd'])}, {_word(spoken, 'case.cmd_state_', data['state'])}"
        return f"{name}: {done}"
    if step["kind"] == "clock":
        level = "breached" if data.get("level") == "breach" else data.get("level")
        return f"{name}: {_word(spoken, 'case.', data.get('clock'))}, {_word(spoken, 'case.', level)}"
    return str(name)


def _said(step: Mapping[str, Any], spoken: str) -> str:
    """What somebody wrote, as it is; what the center wrote itself, in the language, unless `_what` says it."""
    diagnosis = (step["data"] or {}).get("diagnosis")
    if step["kind"] == "clock":
        return ""
    if isinstance(diagnosis, Mapping):  # of an announced visit, told in each language
        return str(diagnosis.get(spoken, step["text"]))
    return told(spoken, step["text"]) if step["kind"] in _OWN else str(step["text"])


def _word(spoken: str, table: str, name: str | None) -> str:
    """A stable name as people say it; the name itself where it is of a version that this one does not know."""
    return word_or(spoken, f"{table}{name}", name) if name else ""


_BY_PHONE: Final = {"en": ", by phone", "zh": "（电话）"}
_WORDS: Final = {
    "en": {
        "title": "Record of case",
        "timeline": "What happened",
        "time": "Time",
        "who": "Who",
        "what": "What",
        "times": "Times in",
        "made": "Made",
        "hash": "Hash of the facts and steps behind this record:",
        "terminal": "Terminal",
        "place": "Place",
        "device": "Device",
        "local_number": "Number on the slip",
        "root_cause": "Cause",
        "part": "Part",
        "outcome": "Outcome",
        "created_ms": "Opened",
        "acked_ms": "Taken on",
        "solved_ms": "Solved",
        "closed_ms": "Closed",
    },
    "zh": {
        "title": "工单记录",
        "timeline": "处理过程",
        "time": "时间",
        "who": "经手人",
        "what": "内容",
        "times": "时区",
        "made": "打印时间",
        "hash": "本记录所依据数据的哈希值：",
        "terminal": "终端",
        "place": "地点",
        "device": "设备",
        "local_number": "小票上的编号",
        "root_cause": "原因",
        "part": "配件",
        "outcome": "结果",
        "created_ms": "受理",
        "acked_ms": "接手",
        "solved_ms": "解决",
        "closed_ms": "结案",
    },
}
_STEPS: Final = {
    "en": {
        "opened": "Opened",
        "reported": "Reported again",
        "acknowledged": "Taken on",
        "assigned": "Assigned",
        "undone": "Taken back",
        "handed_over": "Handed over",
        "note": "Note",
        "call": "Call",
        "message": "Message",
        "eta": "Expected to be solved by",
        "paused": "Waiting",
        "resumed": "Waiting no more",
        "root_cause": "Cause found",
        "repaired": "Done",
        "dispatched": "Visit announced",
        "visit_cancelled": "Visit cancelled",
        "visit_announced": "The terminal knows of the visit",
        "visit_ended": "The terminal knows that the visit is over",
        "checked_in": "Technician arrived",
        "checked_out": "Technician left",
        "inspected": "Terminal inspected",
        "device_swapped": "A part was exchanged",
        "boot": "The terminal started",
        "config_applied": "The terminal took new settings",
        "clock_step": "The terminal's clock was set",
        "store_gap": "The terminal dropped messages",
        "store_reset": "The terminal's store was begun anew",
        "fault_raised": "The terminal reports the fault",
        "fault_cleared": "The terminal reports that the fault is gone",
        "fault_flapping": "The terminal reports that the fault comes and goes",
        "reopened": "Opened again",
        "recurred": "It came back",
        "watch_extended": "Watched for longer",
        "answered": "Answer of the merchant",
        "rated": "Rated by the merchant",
        "clock": "Deadline",
        "command": "Remote action",
        "attachment": "Attachment",
        "grouped": "Part of an incident",
        "link_withdrawn": "The merchant's link was withdrawn",
        "link_made": "The merchant got a new link",
        "merged": "Another case is the same",
        "problem": "Part of a problem",
        "tagged": "Tags",
    },
    "zh": {
        "opened": "受理",
        "reported": "再次报告",
        "acknowledged": "接手",
        "assigned": "分派",
        "undone": "撤回",
        "handed_over": "转交",
        "note": "备注",
        "call": "通话",
        "message": "消息",
        "eta": "预计解决时间",
        "paused": "等待",
        "resumed": "继续处理",
        "root_cause": "查明原因",
        "repaired": "处理",
        "dispatched": "安排上门",
        "visit_cancelled": "取消上门",
        "visit_announced": "终端已获知上门安排",
        "visit_ended": "终端已获知上门结束",
        "checked_in": "维修人员到达",
        "checked_out": "维修人员离开",
        "inspected": "终端已检查",
        "device_swapped": "更换了部件",
        "boot": "终端启动",
        "config_applied": "终端已应用新设置",
        "clock_step": "终端校准时钟",
        "store_gap": "终端丢弃了消息",
        "store_reset": "终端存储已重建",
        "fault_raised": "终端报告故障",
        "fault_cleared": "终端报告故障消失",
        "fault_flapping": "终端报告故障时有时无",
        "reopened": "重新打开",
        "recurred": "故障再次出现",
        "watch_extended": "延长观察",
        "answered": "商户答复",
        "rated": "商户评价",
        "clock": "时限",
        "command": "远程操作",
        "attachment": "附件",
        "grouped": "归入事件",
        "link_withdrawn": "商户链接已撤销",
        "link_made": "已生成新的商户链接",
        "merged": "合并了相同工单",
        "problem": "归入问题",
        "tagged": "标签",
    },
}
