"""Webhooks: what is sent, and how its receiver knows that it is from us and new.

A POST of JSON with `X-Posdiag-Event`, `X-Posdiag-Delivery` (the same when it is sent again: keep it, and take nothing
twice) and `X-Posdiag-Signature: t=SECONDS,v1=HEX`, where HEX is the HMAC-SHA256 under the webhook's secret over
`SECONDS.BODY`. Any 2xx is taken; 410 ends the webhook; else it is sent again later.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import Final
from urllib.parse import urlsplit

import httpx

GONE: Final = 410
TIMEOUT_S: Final = 10.0


def problem(url: str) -> str:
    """Why it cannot be one; "" if it can."""
    try:
        parts = urlsplit(url)
        fine = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fine = False
    return "" if fine and url.isprintable() else "url: not an address of http or https"


def new_secret() -> str:
    return secrets.token_urlsafe(32)


def signature(secret: str, at_s: int, body: bytes) -> str:
    """The value of the header."""
    digest = hmac.new(secret.encode(), f"{at_s}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at_s},v1={digest}"


def send(url: str, secret: str, event: str, key: str, body: bytes, at_s: int) -> tuple[str, bool]:
    """Send once. Returns what went wrong, "" for nothing, and whether the receiver wants no more ever."""
    headers = {
        "content-type": "application/json",
        "x-posdiag-event": event,
        "x-posdiag-delivery": key,
        "x-posdiag-signature": signature(secret, at_s, body),
    }
    try:
        answer = httpx.post(url, content=body, headers=headers, timeout=TIMEOUT_S, follow_redirects=False)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return f"nobody answers there: {type(error).__name__}", False
    if answer.is_success:
        return "", False
    return f"answered {answer.status_code}", answer.status_code == GONE
