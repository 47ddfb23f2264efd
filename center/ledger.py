"""What a subscriber can prove of what terminals sent: which numbers arrived, which have a receipt, which are missing.

Pure: the caller brings messages and a clock. Memory grows with terminals, boots and holes, not with messages.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Final

from agent import wire
from agent.packing import plain
from center.spans import Receipt, Span, Spans, unaccounted

DIGEST_S: Final = 75.0  # the digest may lag by the minute that the contract gives it
REMEMBERED: Final = 4096  # contents by key, a terminal; a duplicate of an older message cannot be compared any more
RECEIPTS: Final = 1024  # a stream; beyond that the oldest two become one that says less
FINDINGS: Final = 50  # kept in words, a terminal; all are counted
ENDLESS: Final = 2**62

_CLASSES: Final[Mapping[str, type[wire.Queued]]] = {
    "event": wire.EventMessage,
    "telemetry": wire.TelemetryMessage,
    "result": wire.ResultMessage,
}


@dataclass(slots=True)
class Stream:
    """One class within one boot of a terminal."""

    heard: Spans = field(default_factory=Spans)
    receipts: list[Receipt] = field(default_factory=list)
    messages: int = 0
    late: int = 0
    whole: bool = False
    """Whether it counts from 1: the audit has listened since before the stream began."""

    def receipt(self, new: Receipt) -> None:
        self.receipts.append(new)
        if len(self.receipts) > RECEIPTS:
            one, other = self.receipts.pop(0), self.receipts.pop(0)
            both = Receipt(min(one.first, other.first), max(one.last, other.last), one.n + other.n, other.why)
            self.receipts.insert(0, both)


@dataclass(slots=True)
class Account:
    """Everything known of one terminal. `streams` by (boot, class)."""

    streams: dict[tuple[int, str], Stream] = field(default_factory=dict)
    joined_boot: int | None = None
    resets: list[tuple[int, int]] = field(default_factory=list)
    """(boot, event number) of each `store.reset`: what waited then is gone, and nobody can say what it was."""
    forgot: bool = False
    """Whether it told that it lost what it remembered; then it may tell again what it had told."""
    repeated: list[str] = field(default_factory=list)
    duplicates: int = 0
    uncompared: int = 0
    ignored: int = 0
    """State messages of an older connection: wills that came after the terminal was back."""
    status: str = "unknown"
    boot: int = 0
    conn: int = 0
    raised: set[str] = field(default_factory=set)
    digest: frozenset[str] | None = None
    differs_since: float | None = None
    violations: int = 0
    findings: list[str] = field(default_factory=list)
    contents: OrderedDict[str, bytes] = field(default_factory=OrderedDict)

    def stream(self, boot: int, cls: str) -> Stream:
        """The stream, begun if need be."""
        begins = self.joined_boot is None or boot > self.joined_boot
        return self.streams.setdefault((boot, cls), Stream(whole=begins))

    def violated(self, what: str) -> None:
        self.violations += 1
        if len(self.findings) < FINDINGS:
            self.findings.append(what)

    def remember(self, key: str, content: bytes) -> bytes | None:
        """What was known under the key before, if it is still known."""
        before = self.contents.get(key)
        if before is None:
            self.contents[key] = content
            if len(self.contents) > REMEMBERED:
                self.contents.popitem(last=False)
        return before


class Ledger:
    """Takes messages as they come and says at any time what is proven. `from_start` counts every boot from 1."""

    def __init__(self, *, from_start: bool = False) -> None:
        self.accounts: dict[str, Account] = {}
        self.refused = 0
        self._from_start = from_start

    # --- in ----------------------------------------------------------------------------------------------------------

    def take(self, topic: str, payload: bytes, now: float) -> None:
        """Take in one message. `now` is monotonic seconds. What is no topic of a terminal is counted as refused."""
        try:
            parsed = wire.parse_topic(topic)
        except wire.WireError:
            self.refused += 1
            return
        account = self.accounts.setdefault(f"{parsed.estate}/{parsed.terminal}", Account())
        try:
            payload = plain(payload)
            if parsed.kind in _CLASSES:
                self._queued(account, parsed.kind, payload)
            elif parsed.kind == "state" and payload:
                self._state(account, wire.decode(wire.StateMessage, payload), now)
            elif parsed.kind == "faults" and payload:
                account.digest = frozenset(wire.decode(wire.DigestMessage, payload).faults)
            elif parsed.kind == "fault" and len(parsed.rest) == 3:
                self._fault(account, "/".join(parsed.rest[1:]), payload)
        except wire.WireError as error:
            account.violated(f"{'/'.join(parsed.rest)}: {error}")
        self._reconcile(account, now)

    def _joined(self, account: Account, boot: int) -> None:
        if account.joined_boot is None:
            account.joined_boot = -1 if self._from_start else boot

    def _queued(self, account: Account, cls: str, payload: bytes) -> None:
        message = wire.decode(_CLASSES[cls], payload)
        self._joined(account, message.boot)
        stream = account.stream(message.boot, cls)
        values = json.loads(payload)
        values.pop("late", None)  # the same row says so or not, depending on when it is sent
        key = f"{message.boot} {cls} {message.seq}"
        before = account.remember(key, _hash(values))
        if not stream.heard.add(message.seq):
            account.duplicates += 1
            if before is None:
                account.uncompared += 1
            elif before != _hash(values):
                account.violated(f"boot {message.boot} {cls} {message.seq} came with two different contents")
            return
        stream.messages += 1
        stream.late += message.late
        if isinstance(message, wire.EventMessage):
            self._event(account, message)

    def _event(self, account: Account, message: wire.EventMessage) -> None:
        data = message.data
        if message.event == "store.reset":
            account.resets.append((message.boot, message.seq))
            account.forgot = True
        elif message.event == "store.gap":
            self._gap(account, data)
        elif message.event in {"fault.raised", "fault.cleared"}:
            # Its beginning names one raising of a fault, whatever else changed since.
            said = f"{message.event} {data.get('fault')} {data.get('first_at')}"
            number = f"boot {message.boot} event {message.seq}"
            before = account.remember(said, number.encode())
            if before is not None:
                account.repeated.append(f"{number} says {said} again, after {before.decode()}")
                del account.repeated[FINDINGS:]

    @staticmethod
    def _gap(account: Account, data: Mapping[str, Any]) -> None:
        cls, boot, first, last, n = (data.get(name) for name in ("class", "boot", "first", "last", "n"))
        if (
            not isinstance(cls, str)
            or cls not in _CLASSES
            or not (isinstance(boot, int) and isinstance(first, int) and isinstance(last, int) and isinstance(n, int))
            or not 1 <= first <= last
            or n < 1
        ):
            account.violated(f"a store.gap that names no rows: {dict(data)}")
            return
        account.forgot |= data.get("why") == "memory"
        account.stream(boot, cls).receipt(Receipt(first, last, n, str(data.get("why"))))

    def _state(self, account: Account, message: wire.StateMessage, now: float) -> None:
        self._joined(account, message.boot)
        if (message.boot, message.conn) < (account.boot, account.conn):
            if message.reason != "connection_lost":
                account.violated(f"connection {message.conn} of boot {message.boot} after {account.conn}")
            account.ignored += 1
            return
        if message.conn > account.conn and account.differs_since is not None:
            account.differs_since = now  # a new connection has its own time to tell everything
        account.boot, account.conn, account.status = message.boot, message.conn, message.status

    @staticmethod
    def _fault(account: Account, key: str, payload: bytes) -> None:
        if payload and wire.decode(wire.FaultMessage, payload).state != "cleared":
            account.raised.add(key)
        else:
            account.raised.discard(key)

    @staticmethod
    def _reconcile(account: Account, now: float) -> None:
        if account.digest is None or account.digest == account.raised:
            account.differs_since = None
        elif account.differs_since is None:
            account.differs_since = now

    # --- out ---------------------------------------------------------------------------------------------------------

    def report(self, now: float) -> dict[str, Any]:
        """What is proven, as JSON values. `complete` is true when nothing is missing and nothing was violated."""
        terminals = {name: _told(account, now) for name, account in sorted(self.accounts.items())}
        return {
            "complete": all(told["complete"] for told in terminals.values()),
            "terminals": terminals,
            "refused": self.refused,
        }

    def dump(self) -> dict[str, Any]:
        """What a later audit needs to go on, as JSON values. Contents are left out."""
        return {name: _saved(account) for name, account in self.accounts.items()}

    def load(self, saved: Mapping[str, Any]) -> None:
        """The inverse of `dump`. Raises ValueError, TypeError or KeyError for anything else."""
        self.accounts = {name: _loaded(values) for name, values in saved.items()}


def _hash(values: object) -> bytes:
    return blake2b(json.dumps(values, sort_keys=True).encode(), digest_size=8).digest()


def _told(account: Account, now: float) -> dict[str, Any]:
    streams = [_stream(account, boot, cls) for boot, cls in sorted(account.streams)]
    differs_s = None if account.differs_since is None else round(now - account.differs_since, 1)
    problems = account.findings + ([] if account.forgot else account.repeated)
    if differs_s is not None and differs_s > DIGEST_S and account.status != "offline":
        assert account.digest is not None  # noqa: S101 - else nothing differs
        problems.append(
            f"for {differs_s:g} s the digest has been without {sorted(account.raised - account.digest) or 'nothing'}"
            f" and with {sorted(account.digest - account.raised) or 'nothing'} that no fault topic says"
        )
    messages = sum(stream["arrived"] for stream in streams)
    return {
        "complete": not problems and not any(stream["missing"] for stream in streams),
        "status": account.status,
        "conn": account.conn,
        "ignored_states": account.ignored,
        "messages": messages,
        "duplicates": account.duplicates,
        "uncompared": account.uncompared,
        "late_share": round(sum(s["late"] for s in streams) / messages, 4) if messages else 0.0,
        "faults": sorted(account.raised),
        "digest": None if account.digest is None else sorted(account.digest),
        "digest_differs_s": differs_s,
        "violations": account.violations + len(problems) - len(account.findings),
        "findings": problems,
        "streams": streams,
    }


def _stream(account: Account, boot: int, cls: str) -> dict[str, Any]:
    """One stream's proof. A stream that was joined late, or of which only receipts are known, begins where heard."""
    stream = account.streams[boot, cls]
    missing: list[Span] = []
    explained: dict[str, int] = {}
    arrived = stream.heard.count()
    if arrived:
        first = 1 if stream.whole else stream.heard.first()
        holes = stream.heard.holes(first, stream.heard.last())
        missing, explained = unaccounted(holes, [*stream.receipts, *_lost_with_a_file(account, boot, cls)])
    return {
        "boot": boot,
        "class": cls,
        "first": stream.heard.first() if arrived else None,
        "last": stream.heard.last() if arrived else None,
        "arrived": arrived,
        "late": stream.late,
        "receipts": explained,
        "missing": [list(span) for span in missing],
    }


def _lost_with_a_file(account: Account, boot: int, cls: str) -> list[Receipt]:
    """What `store.reset` explains: what was numbered before it, as far as the numbers can tell before from after."""
    found = []
    for reset_boot, number in account.resets:
        if boot <= reset_boot:
            last = number - 1 if (boot, cls) == (reset_boot, "event") else ENDLESS
            found.append(Receipt(1, last, ENDLESS, "store.reset"))
    return found


_PLAIN: Final = (
    *("joined_boot", "forgot", "repeated", "duplicates", "uncompared", "ignored"),
    *("status", "boot", "conn", "violations", "findings"),
)


def _saved(account: Account) -> dict[str, Any]:
    return {
        **{name: getattr(account, name) for name in _PLAIN},
        "resets": account.resets,
        "raised": sorted(account.raised),
        "digest": None if account.digest is None else sorted(account.digest),
        "streams": [
            {
                "key": key,
                "heard": stream.heard.runs(),
                "receipts": [[r.first, r.last, r.n, r.why] for r in stream.receipts],
                "counts": [stream.messages, stream.late],
                "whole": stream.whole,
            }
            for key, stream in account.streams.items()
        ],
    }


def _loaded(values: Mapping[str, Any]) -> Account:
    rest = dict(values)
    streams, raised, digest, resets = (rest.pop(name) for name in ("streams", "raised", "digest", "resets"))
    account = Account(**rest)
    account.raised = set(raised)
    account.digest = None if digest is None else frozenset(digest)
    account.resets = [(boot, number) for boot, number in resets]
    for saved in streams:
        boot, cls = saved["key"]
        messages, late = saved["counts"]
        account.streams[int(boot), cls] = Stream(
            Spans(saved["heard"]), [Receipt(*each) for each in saved["receipts"]], messages, late, saved["whole"]
        )
    return account
