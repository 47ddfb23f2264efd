"""Why an exchange with a device gave no fact. The type says whether asking again can help."""

from __future__ import annotations

from typing import ClassVar


class DriverError(Exception):
    """Base of everything a driver raises on purpose.

    `cause` is the word that travels in a reading; `retry` says whether the same question may be asked again.
    """

    cause: ClassVar[str] = "failed"
    retry: ClassVar[bool] = False


class LinkLost(DriverError):
    """The port is gone: unplugged, never there, or the kernel reports an input/output error."""

    cause = "port_lost"


class PortBusy(DriverError):
    """Somebody else holds the port. `owner` is what could be learned of them, for people."""

    cause = "port_busy"
    retry = True

    def __init__(self, port: str, owner: str) -> None:
        super().__init__(f"{port} is held by {owner}")
        self.port = port
        self.owner = owner


class PortDenied(DriverError):
    """This user may not open the port; being in the port's group would help."""

    cause = "port_denied"


class NoReply(DriverError):
    """Nothing that answers the question came before the deadline. `partial` is what did come."""

    cause = "no_reply"
    retry = True

    def __init__(self, asked: str, partial: bytes = b"") -> None:
        super().__init__(f"no reply to {asked}" + (f", only {len(partial)} bytes" if partial else ""))
        self.asked = asked
        self.partial = partial


class BadReply(DriverError):
    """Bytes came, and they are not what this device can say: wrong speed, noise, another device. `raw` is bounded."""

    cause = "bad_reply"
    retry = True

    def __init__(self, asked: str, raw: bytes, why: str) -> None:
        super().__init__(f"bad reply to {asked}: {why}")
        self.asked = asked
        self.raw = raw[:64]
        self.why = why


class Refused(DriverError):
    """The device understood and said no. `code` is its own word for why."""

    cause = "refused"

    def __init__(self, asked: str, code: str) -> None:
        super().__init__(f"{asked} refused: {code}")
        self.asked = asked
        self.code = code


class Yielded(DriverError):
    """A sale began; the exchange was given up at once so that the payment application has the device."""

    cause = "sale"
    retry = True


class Stopped(Yielded):
    """Who asks this device for everybody is ending; nobody looked."""

    cause = "not_asked"


class Unsupported(DriverError):
    """This device family has no such verb."""

    cause = "unsupported"
