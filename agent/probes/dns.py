"""A DNS question asked by ourselves, so that it can be timed, counted as lost, and bound to one resolver.

Source: RFC 1035 (message format, compression) and RFC 3596 (AAAA).
"""

from __future__ import annotations

import os
import select
import socket
import struct
import time
from dataclasses import dataclass
from typing import Final

A: Final = 1
AAAA: Final = 28
_MOST_RECORDS = 64
_MOST_JUMPS = 16
_NEXT_MAY_KNOW = ("server_failure", "refused", "not_implemented")
_RCODES = {1: "format_error", 2: "server_failure", 3: "no_such_name", 4: "not_implemented", 5: "refused"}


class NotAnAnswer(ValueError):
    """Not a whole reply to the question that was asked."""


@dataclass(frozen=True, slots=True)
class Answer:
    """`addresses` is empty when `why` names a reason (a word) or the name has none of this type."""

    addresses: tuple[str, ...]
    why: str = ""


@dataclass(frozen=True, slots=True)
class Lookup:
    """`answer` None when no server answered. `ms` is the time of the question that was answered."""

    answer: Answer | None
    ms: float | None
    lost: int
    server: str = ""


def encode_query(name: str, number: int, kind: int = A) -> bytes:
    """A recursive question for one name. Raises ValueError for a name that DNS cannot carry."""
    ascii_name = name.rstrip(".")
    labels = ascii_name.encode("ascii" if ascii_name.isascii() else "idna").split(b".")  # the idna codec costs 1 MiB
    if not all(0 < len(label) < 64 for label in labels) or sum(map(len, labels)) + len(labels) > 254:
        raise ValueError(f"{name!r} is no host name")
    packed = b"".join(bytes([len(label)]) + label for label in labels)
    return struct.pack(">6H", number, 0x0100, 1, 0, 0, 0) + packed + b"\0" + struct.pack(">2H", kind, 1)


def parse_answer(data: bytes, query: bytes) -> Answer:
    """The addresses in a reply to `query`. Raises NotAnAnswer unless number, question and structure are right."""
    if len(data) < 12:
        raise NotAnAnswer("too short")
    number, flags, questions, answers, _, _ = struct.unpack_from(">6H", data)
    if number != int.from_bytes(query[:2], "big") or not flags & 0x8000 or questions != 1:
        raise NotAnAnswer("not a reply to this question")
    end = len(query)
    if data[12:end].lower() != query[12:].lower():
        raise NotAnAnswer("another name")
    if flags & 0x000F:
        return Answer((), _RCODES.get(flags & 0x000F, "error"))
    kind = int.from_bytes(query[-4:-2], "big")
    found = []
    at = end
    for _ in range(min(answers, _MOST_RECORDS)):
        at = _skip_name(data, at)
        if at + 10 > len(data):
            raise NotAnAnswer("cut short")
        rtype, rclass, _ttl, size = struct.unpack_from(">2HIH", data, at)
        at += 10
        if at + size > len(data):
            raise NotAnAnswer("cut short")
        if rtype == kind and rclass == 1 and size == (4 if kind == A else 16):
            found.append(socket.inet_ntop(socket.AF_INET if kind == A else socket.AF_INET6, data[at : at + size]))
        at += size
    return Answer(tuple(found), "" if found else "no_address")


def _skip_name(data: bytes, at: int) -> int:
    for _ in range(_MOST_JUMPS * 8):
        if at >= len(data):
            break
        size = data[at]
        if size & 0xC0 == 0xC0:
            return at + 2
        if size & 0xC0:
            break
        at += 1 + size
        if size == 0:
            return at
    raise NotAnAnswer("a name without an end")


def lookup(servers: list[tuple[str, int]], name: str, deadline: float, *, attempts: int = 2, kind: int = A) -> Lookup:
    """Ask one resolver after the other until one answers or `deadline` (monotonic) passes.

    The time is shared evenly, and a late reply to an earlier question counts as its answer, so that a slow network
    does not look like a lossy one. A reply that is not one is ignored; a resolver's own failure is the answer only
    when no other knows better. Raises ValueError for an impossible name.
    """
    turns = [servers[n % len(servers)] for n in range(max(attempts, len(servers)))]
    slot = max(0.0, deadline - time.monotonic()) / len(turns)
    asked: list[_Asked] = []
    failure: Lookup | None = None
    try:
        for server in turns:
            until = time.monotonic() + slot
            asked.append(_ask(server, encode_query(name, int.from_bytes(os.urandom(2), "big"), kind), asked))
            while (found := _wait(asked, until)) is not None:
                which, answer = found
                which.answered = True
                lost = sum(not each.answered and each is not asked[-1] for each in asked)
                result = Lookup(answer, (time.monotonic() - which.at) * 1000, lost, which.server[0])
                if answer.why not in _NEXT_MAY_KNOW:
                    return result
                failure = failure or result
                if which is asked[-1]:
                    break
        return failure or Lookup(None, None, len(asked))
    finally:
        for each in asked:
            if each.link is not None:
                each.link.close()


@dataclass(slots=True, eq=False)
class _Asked:
    server: tuple[str, int]
    query: bytes
    at: float
    link: socket.socket | None
    answered: bool = False


def _ask(server: tuple[str, int], query: bytes, before: list[_Asked]) -> _Asked:
    link = next((each.link for each in before if each.server == server), None)
    try:
        if link is None:
            link = socket.socket(socket.AF_INET6 if ":" in server[0] else socket.AF_INET, socket.SOCK_DGRAM)
            link.connect(server)
        link.send(query)
    except OSError:  # no route: nothing will come
        if link is not None:
            link.close()
        link = None
    return _Asked(server, query, time.monotonic(), link)


def _wait(asked: list[_Asked], until: float) -> tuple[_Asked, Answer] | None:
    """The next reply to any open question; None when the time is over or the last one asked is refused at once."""
    while (left := until - time.monotonic()) > 0:
        links = {each.link for each in asked if each.link is not None}
        if asked[-1].link is None and not links:
            return None
        ready, _, _ = select.select(links, [], [], left)
        for link in ready:
            try:
                data = link.recv(4096)
            except OSError:  # an ICMP refusal: no resolver runs there
                if link is asked[-1].link:
                    return None
                continue
            for each in asked:
                if each.link is link and not each.answered:
                    try:
                        return each, parse_answer(data, each.query)
                    except NotAnAnswer:
                        continue
    return None
