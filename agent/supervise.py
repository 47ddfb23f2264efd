"""Which of the daemon's threads live and go round, and what is done about one that does not. No thread of its own."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

if TYPE_CHECKING:
    from agent.app import App

log = logging.getLogger("posdiag.supervise")
T = TypeVar("T")

_FIRST_S: Final = 5.0  # a thread that dies again at once is not started a thousand times an hour
_LONGEST_S: Final = 300.0
_STABLE_S: Final = 600.0  # so long without trouble, and what was is forgotten
_TOLD_S: Final = 60.0  # trouble that is over stays a fault for so long, or nobody would see it
_PROBE_S: Final = 120.0  # every question of the slowest probe, none of them answered
_COMMAND_S: Final = 60.0  # it judges only: a child that overran, and a disk that is slow
_UPLINK_S: Final = 180.0  # names, TCP and TLS on a line that answers nothing
_ABANDONED: Final = 3  # threads that hang for ever keep memory; with so many a new process is better


class Living(Protocol):
    """A thread, or what has one."""

    def is_alive(self) -> bool:
        """Whether it runs."""


@dataclass(slots=True)
class Post:
    """One thread and how it is watched. Times are monotonic seconds.

    `thread` and `turned_at` look at whichever holds the post now; `limit_s` is how long it may take to go round.
    `renew` gives up a thread that ended or hangs and starts another; without one only a new process helps.
    """

    name: str
    thread: Callable[[], Living]
    turned_at: Callable[[], float] | None = None
    limit_s: Callable[[], float] = lambda: 0.0
    renew: Callable[[], None] | None = None
    why: str = ""
    failures: int = 0
    failed_at: float = float("-inf")
    renew_at: float = float("inf")

    def trouble(self, now: float) -> str:
        """What is wrong now, "" for nothing."""
        if not self.thread().is_alive():
            return "its thread has ended"
        if self.turned_at is not None and now - self.turned_at() > self.limit_s():
            return f"it has hung for {now - self.turned_at():.0f} s"
        return ""


@dataclass(slots=True)
class Supervisor:
    """Looks after all posts from the main thread. `sale` is whether one goes on: then whoever waits is no case."""

    sale: Callable[[], bool]
    posts: list[Post] = field(default_factory=list)
    hung: int = 0
    """Threads given up while they hung."""
    _notes: dict[str, tuple[str, float]] = field(default_factory=dict)
    _counts: dict[str, int] = field(default_factory=dict)

    def look(self, now: float) -> None:
        """Notice what ended or hangs, and renew what is due."""
        selling = self.sale()
        for post in self.posts:
            if post.renew_at == float("inf"):
                why = post.trouble(now)
                if why and not (selling and post.thread().is_alive()):
                    self._fell(post, why, now)
                elif post.failures and now - post.failed_at > _STABLE_S:
                    post.failures = 0
            if now >= post.renew_at:
                self._renew(post)

    def _fell(self, post: Post, why: str, now: float) -> None:
        wait_s = 0.0 if post.failures == 0 else min(_LONGEST_S, _FIRST_S * 2.0 ** (post.failures - 1))
        if post.renew is None and post.why == why:
            return
        log.error("%s: %s%s", post.name, why, f"; begins anew in {wait_s:g} s" if post.renew else "")
        post.why, post.failed_at = why, now
        post.failures += 1
        if post.renew is not None:
            post.renew_at = now + wait_s

    def _renew(self, post: Post) -> None:
        assert post.renew is not None  # noqa: S101 - only such a post is ever due
        post.renew_at = float("inf")
        self.hung += post.thread().is_alive()
        post.renew()

    def overran(self, name: str, count: int, now: float) -> None:
        """So many children of this name have run out of time so far."""
        if count > self._counts.get(name, 0):
            self._notes[name] = ("a child overran its time and was ended", now)
        self._counts[name] = count

    def tried(self, name: str, work: Callable[[], T], now: float, otherwise: T) -> T:
        """What `work` gives, or `otherwise` when it fails: a mistake in one part of the main thread ends no other."""
        try:
            return work()
        except Exception as error:
            why = f"{type(error).__name__}: {error}"[:200]
            if self._notes.get(name, ("", 0.0))[0] != why:  # else the journal would fill with the same
                log.exception("%s failed", name)
            self._notes[name] = (why, now)
            return otherwise

    def failing(self, now: float) -> list[str]:
        """One line for each post, child or part of the main thread in trouble, now or a short while ago."""
        posts = [
            f"{post.name}: {post.why}" for post in self.posts if post.trouble(now) or now - post.failed_at < _TOLD_S
        ]
        return posts + [f"{name}: {why}" for name, (why, at) in self._notes.items() if now - at < _TOLD_S]

    def answers(self, now: float) -> bool:
        """Whether every thread has gone round in time, or will be renewed: only then may a watchdog be put off."""
        return self.hung < _ABANDONED and not any(
            post.trouble(now) and post.renew_at == float("inf") for post in self.posts
        )


def posts_of(app: App) -> list[Post]:
    """Everything that runs in the daemon beside its main thread."""
    return [
        *(_port(app, number) for number in range(len(app.workers))),
        *(_runner(app, number) for number in range(len(app.runners))),
        Post("uplink", lambda: app.uplink, lambda: app.uplink.turned_at, lambda: _UPLINK_S, _once_dead(app)),
        _commands(app),
        Post("control", lambda: app.control),
        Post("report", lambda: app.report),
    ]


def _port(app: App, number: int) -> Post:
    def renew() -> None:
        worker = app.workers[number] = app.workers[number].successor()
        app.deeds.replaced(worker)
        app.watchman.replaced(worker)
        worker.start()

    return Post(
        app.workers[number].name,
        lambda: app.workers[number],
        lambda: app.workers[number].turned_at,
        lambda: app.workers[number].patience_s,
        renew,
    )


def _runner(app: App, number: int) -> Post:
    def renew() -> None:
        app.runners[number] = app.runners[number].successor()
        app.runners[number].start()

    return Post(
        app.runners[number].name,
        lambda: app.runners[number],
        lambda: app.runners[number].turned_at,
        lambda: _PROBE_S + app.runners[number].rest_s,
        renew,
    )


def _once_dead(app: App) -> Callable[[], None]:
    """The uplink's thread holds the connection and the store's order: a second one beside it would send twice."""

    def renew() -> None:
        if not app.uplink.is_alive():
            app.uplink.start()

    return renew


def _commands(app: App) -> Post:
    def renew() -> None:
        app.commands = app.commands.successor()
        app.commands.start()

    return Post(
        "commands",
        lambda: app.commands,
        lambda: app.commands.busy_since,
        lambda: _COMMAND_S,
        renew,
    )
