"""Where a bundle may be uploaded to. Apart from the upload, because the daemon judges addresses and never uploads."""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import SplitResult, urlsplit


def check_url(url: object, hosts: Collection[str]) -> SplitResult:
    """The parts of an address that may be uploaded to. Raises ValueError, and does not repeat the address."""
    if not isinstance(url, str) or len(url) > 2048 or not url.isascii() or not url.isprintable():
        raise ValueError("url is an https:// address")
    try:
        parts = urlsplit(url)
        port = parts.port or 443
    except ValueError:
        raise ValueError("url is an https:// address") from None
    if parts.scheme != "https" or not parts.hostname or "@" in parts.netloc or parts.fragment or " " in url:
        raise ValueError("url is an https:// address without a user")
    allowed = {host if ":" in host else f"{host}:443" for host in hosts}
    if f"{parts.hostname}:{port}" not in allowed:
        raise ValueError("url names a host that is not in commands.upload_hosts")
    return parts
