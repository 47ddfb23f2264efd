"""Upload one archive to a one-time address by HTTPS, in parts, going on after a break where the server says.

Each part is a PUT with `Content-Range: bytes a-b/total`. The server answers 200, 201 or 204 when it has all, and 308
when it wants more, with `Range: bytes=0-n` for what it has; an empty PUT with `Content-Range: bytes */total` asks it.
Google Cloud Storage's resumable uploads work like this.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import re
import ssl
import time
from collections.abc import Callable
from typing import Final
from urllib.parse import SplitResult

PART_BYTES: Final = 16 * 1024  # what a break costs: a quarter of a minute of a bad modem line
_DONE: Final = frozenset({200, 201, 204})
_MORE: Final = 308
_RETRY: Final = frozenset({408, 429, 500, 502, 503, 504})
_REQUEST_S: Final = 60.0
_FIRST_WAIT_S: Final = 1.0
_LONGEST_WAIT_S: Final = 30.0


class Refused(Exception):
    """The server does not take it, or no time is left; one line."""


class _Broken(Exception):
    """This attempt failed; another may not."""


class Upload:
    """One archive on its way. `told(sent, total)` is called after each part that the server has."""

    def __init__(
        self, url: SplitResult, ca_file: str, data: bytes, end: float, told: Callable[[int, int], None]
    ) -> None:
        """`end` is a monotonic time."""
        self._url = url
        self._context = ssl.create_default_context(cafile=ca_file or None)
        self._data = data
        self._end = end
        self._told = told
        self._digest = base64.b64encode(hashlib.sha256(data).digest()).decode()
        self.breaks = 0
        """How often it had to be taken up again."""

    def run(self) -> None:
        """Raises Refused."""
        wait_s, sent, why = _FIRST_WAIT_S, 0, ""
        while True:
            try:
                sent = self._attempt(ask=self.breaks > 0, sent=sent)
            except (OSError, http.client.HTTPException, _Broken) as error:
                why = str(error) if isinstance(error, _Broken) else _explain(error)
            else:
                return
            self.breaks += 1
            if time.monotonic() + wait_s >= self._end:
                raise Refused(f"the upload was given up: {why}")
            time.sleep(wait_s)
            wait_s = min(_LONGEST_WAIT_S, 2 * wait_s)

    def _attempt(self, *, ask: bool, sent: int) -> int:
        """One connection. How much the server has at its end, which is all."""
        total = len(self._data)
        timeout_s = max(1.0, min(_REQUEST_S, self._end - time.monotonic()))
        link = http.client.HTTPSConnection(
            self._url.hostname or "", self._url.port or 443, timeout=timeout_s, context=self._context
        )
        try:
            if ask:
                sent = self._put(link, b"", f"bytes */{total}", 0)
            while sent < total:
                if time.monotonic() >= self._end:
                    raise Refused("the upload was given up: no time is left")
                part = self._data[sent : sent + PART_BYTES]
                sent = self._put(link, part, f"bytes {sent}-{sent + len(part) - 1}/{total}", sent + len(part))
                self._told(sent, total)
        finally:
            link.close()
        return sent

    def _put(self, link: http.client.HTTPSConnection, part: bytes, content_range: str, after: int) -> int:
        """One part. How much the server has now; `after` where it does not say. Raises _Broken, Refused."""
        path = (self._url.path or "/") + (f"?{self._url.query}" if self._url.query else "")
        headers = {
            "Content-Type": "application/gzip",
            "Content-Range": content_range,
            "Repr-Digest": f"sha-256=:{self._digest}:",  # RFC 9530: of the whole archive
        }
        link.request("PUT", path, body=part, headers=headers)
        answer = link.getresponse()
        answer.read(4096)
        if answer.status in _DONE:
            return len(self._data)
        if answer.status == _MORE:
            had = re.fullmatch(r"bytes=0-(\d{1,12})", answer.getheader("Range") or "")
            count = int(had[1]) + 1 if had else after if part else 0
            return min(count, len(self._data) - 1)  # who wants more has not all
        if answer.status in _RETRY:
            raise _Broken(f"the server answered {answer.status}")
        raise Refused(f"the server answered {answer.status}")


def _explain(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the server's certificate is not accepted: {error.verify_message}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error) or type(error).__name__
