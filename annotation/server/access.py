"""The server's address and the token for it, checked before anything is sent."""

from __future__ import annotations

import base64
import binascii
import json
import re
from urllib.parse import urlsplit

TOKEN_HELP = (
    "it takes a personal access token (Account & Settings > Personal Access Token) or, where the "
    "organisation allows them, a legacy token; give it as LABEL_STUDIO_API_KEY"
)


_PAGE = re.compile(r"/(projects/\d+|user/login)(/.*)?$")  # what stands in the bar of a browser


def access_ends(access: str) -> float:
    """When an access token (a JWT) expires, in seconds since 1970; 0 if it has no such field."""
    try:
        body = access.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        return float(claims["exp"])
    except (IndexError, KeyError, TypeError, ValueError, binascii.Error):
        return 0.0


def checked_url(url: str) -> str:
    """An address to which paths may be added. Raises ValueError if it is malformed,
    holds a password, or is the address of a page."""
    try:
        parts = urlsplit(url.strip())
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"--url: {error}") from None
    if "@" in parts.netloc:
        raise ValueError("--url: leave user and password out of the address; give a token")
    if parts.scheme not in {"http", "https"} or not host:
        raise ValueError(f"--url: {url!r} is not an http:// or https:// address")
    page = _PAGE.search(parts.path)
    if page:
        server = f"{parts.scheme}://{parts.netloc}{parts.path[: page.start()]}"
        raise ValueError(f"--url: {url!r} is a page; the address of its server is {server}")
    return f"{parts.scheme}://{parts.netloc}{parts.path}".rstrip("/")


def is_loopback(url: str) -> bool:
    """Whether an address is this machine's own."""
    host = urlsplit(url).hostname or ""
    return host in {"localhost", "::1"} or host.startswith("127.")


def checked_token(token: str) -> str:
    """A token as it is sent. Raises ValueError, without it, if it cannot be one."""
    bare = token.strip()
    if not bare:
        raise ValueError(f"there is no token; {TOKEN_HELP}")
    if not bare.isascii() or not bare.isprintable() or " " in bare:
        raise ValueError(f"the token holds characters that do not occur in tokens; {TOKEN_HELP}")
    return bare
