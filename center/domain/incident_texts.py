"""What an incident is called, in zh and en, and what is handed to an operator: no name and no contact of a merchant."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import Connection, func, select

from center.access.scope import Scope
from center.db.tables import incident_members, incidents, terminals
from center.domain.grouping import OFFLINE
from center.domain.refusal import Refusal
from center.domain.texts import fault_title, language_of

_WHERE: Final[Mapping[str, Mapping[str, str]]] = {
    "site": {"en": "Site {key}", "zh": "门店 {key}"},
    "cell": {"en": "Cell {key}", "zh": "小区 {key}"},
    "operator": {"en": "Operator {key}", "zh": "运营商 {key}"},
    "power": {"en": "Power district {key}", "zh": "供电区 {key}"},
    "host": {"en": "Host {key}", "zh": "主机 {key}"},
    "release": {"en": "Release {key}", "zh": "版本 {key}"},
    "estate": {"en": "Estate {key}", "zh": "整个机构 {key}"},
    "center": {"en": "This center", "zh": "本客服中心"},
}
_WHAT: Final[Mapping[str, Mapping[str, str]]] = {
    "reach": {"en": "terminals are out of reach or have trouble with the network", "zh": "多台终端失联或网络异常"},
    "power": {"en": "terminals are without mains power", "zh": "多台终端断电"},
    "host": {"en": "terminals cannot reach the host", "zh": "多台终端无法连接主机"},
}
_CENTER: Final[Mapping[str, Mapping[str, str]]] = {
    "worker": {"en": "a worker gives no sign of life", "zh": "工作进程无心跳"},
    "broker": {"en": "a worker is away from the broker", "zh": "与消息服务器断开"},
    "name": {"en": "another center has this one's name", "zh": "另一个客服中心使用了相同的名称"},
    "engine": {"en": "an engine fails", "zh": "处理引擎出错"},
    "lag": {"en": "engines are behind", "zh": "处理滞后"},
    "outbox": {"en": "messages wait to be sent", "zh": "待发消息积压"},
    "disk": {"en": "the disk is nearly full", "zh": "磁盘空间不足"},
    "certificate": {"en": "a certificate expires soon", "zh": "证书即将到期"},
    "aside": {"en": "something could not be dealt with and was put aside", "zh": "有数据无法处理，已被搁置"},
    "gaps": {"en": "messages of terminals are missing", "zh": "终端消息有缺失"},
}
_OFFLINE: Final = {"en": "Out of reach", "zh": "终端失联"}
_SEPARATOR: Final = {"en": ": ", "zh": "："}


def title(scope: str, key: str, family: str, fault: str, language: str) -> str:
    """One line for people: where, and what."""
    spoken = language_of(language)
    if scope == "terminal":
        return fault_name(fault, spoken)
    where = _WHERE[scope][spoken].format(key=key.replace("|", " ").strip())
    if scope == "center":
        what = _CENTER[key.partition(":")[0]][spoken]
    elif family in _WHAT:
        what = _WHAT[family][spoken]
    else:
        what = fault_name(family.partition(":")[2] or fault, spoken)
    return where + _SEPARATOR[spoken] + what


def fault_name(fault: str, language: str) -> str:
    """A fault in plain words, the center's own among them."""
    return _OFFLINE[language_of(language)] if fault == OFFLINE else fault_title(fault, language)


_LINES: Final[Mapping[str, Mapping[str, str]]] = {
    "subject": {"en": "Trouble report {id}: {title}", "zh": "故障通报 {id}：{title}"},
    "since": {"en": "Since {opened} UTC; state: {state}.", "zh": "开始时间：{opened}（UTC），状态：{state}。"},
    "numbers": {
        "en": "Terminals affected now: {now}; at most: {peak}, at {sites} sites.",
        "zh": "当前受影响终端：{now} 台；最多时：{peak} 台；涉及门店：{sites} 家。",
    },
    "share": {
        "en": "When it was found, {affected} of {population} terminals were affected ({share}), elsewhere {outside}.",
        "zh": "发现时 {population} 台中有 {affected} 台受影响（{share}），其他范围为 {outside}。",
    },
    "faults": {"en": "What was seen: {list}.", "zh": "现象：{list}。"},
    "cells": {"en": "Cells, by terminals affected:", "zh": "按小区统计受影响终端："},
    "cell": {"en": "  {cell}: {n}, first {first} UTC", "zh": "  {cell}：{n} 台，最早 {first}（UTC）"},
    "ask": {
        "en": "Please check your network for this period and tell us cause and expected end, quoting {id}.",
        "zh": "请核查该时段的网络情况，并告知原因和预计恢复时间，回复时请注明编号 {id}。",
    },
}
_STATES: Final[Mapping[str, Mapping[str, str]]] = {
    "open": {"en": "going on", "zh": "进行中"},
    "acknowledged": {"en": "going on", "zh": "进行中"},
    "resolved": {"en": "over since {resolved} UTC", "zh": "已于 {resolved}（UTC）恢复"},
}
_MOST_CELLS: Final = 50


def operator_text(connection: Connection, scope: Scope, incident_id: str, language: str) -> tuple[str, str]:
    """Subject and text to hand to an operator, with numbers, cells, times and evidence. Raises Refusal."""
    spoken = language_of(language)
    found = select(incidents).where(incidents.c.id == incident_id, scope.where(incidents))
    row = connection.execute(found).mappings().first()
    if row is None:
        raise Refusal("not_found", f"there is no incident {incident_id}")
    cells, sites = _where_it_is(connection, incident_id)
    why = row["why"] or {}

    def say(name: str, **facts: Any) -> str:
        return _LINES[name][spoken].format(**facts)

    named = title(row["scope"], row["scope_key"], row["family"], row["fault"] or "", spoken)
    state = _STATES[row["state"]][spoken].format(resolved=_moment(row["resolved_ms"]))
    lines = [
        say("since", opened=_moment(why.get("from_ms") or row["opened_ms"]), state=state),
        say("numbers", now=row["terminals_n"], peak=row["peak_n"], sites=sites),
    ]
    if "population" in why:
        shares = {"share": f"{why['share']:.1%}", "outside": f"≤ {why['outside_share']:.1%}"}
        lines.append(say("share", affected=why["affected"], population=why["population"], **shares))
        seen = ", ".join(f"{fault_name(fault, spoken)} × {n}" for fault, n in why["faults"].items())
        lines.append(say("faults", list=seen))
    if cells:
        lines.append(say("cells"))
        lines += [say("cell", cell=cell, n=n, first=_moment(first)) for cell, n, first in cells]
    lines.append(say("ask", id=incident_id))
    return say("subject", id=incident_id, title=named), "\n".join(lines) + "\n"


def _where_it_is(connection: Connection, incident_id: str) -> tuple[list[tuple[str, int, int]], int]:
    """Cells with terminals and first moment, most first; and the number of sites."""
    member, at = incident_members, terminals
    joined = member.join(at, (at.c.estate == member.c.estate) & (at.c.terminal == member.c.terminal))
    n = func.count(member.c.terminal.distinct())
    rows = (
        select(at.c.cell, n.label("n"), func.min(member.c.joined_ms).label("first_ms"))
        .select_from(joined)
        .where(member.c.incident_id == incident_id, at.c.cell.is_not(None))
        .group_by(at.c.cell)
        .order_by(n.desc(), at.c.cell)
        .limit(_MOST_CELLS)
    )
    sites = select(func.count(at.c.site.distinct())).select_from(joined).where(member.c.incident_id == incident_id)
    found = [(row.cell, row.n, row.first_ms) for row in connection.execute(rows)]
    return found, int(connection.execute(sites).scalar_one())


def _moment(at_ms: int | None) -> str:
    return "" if at_ms is None else datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
