"""What the first user of a new server logs in with."""

from __future__ import annotations

import getpass
import os
import sys

from console.messages import plain


def new_password(user: str) -> str:
    """LABEL_STUDIO_PASSWORD, or what is typed. Raises ValueError if it is too short."""
    given = os.environ.get("LABEL_STUDIO_PASSWORD", "")
    if not given and sys.stdin.isatty():
        given = getpass.getpass(f"New password for {plain(user)} (8 letters or more): ")
        if getpass.getpass("Again: ") != given:
            raise ValueError("the two passwords differ")
    if len(given) < 8:
        raise ValueError("a password of 8 letters or more is needed: LABEL_STUDIO_PASSWORD")
    return given


def legacy_token() -> str:
    """LABEL_STUDIO_API_KEY if it is a legacy token, which the user then gets; else ""."""
    token = os.environ.get("LABEL_STUDIO_API_KEY", "").strip()
    is_legacy = len(token) == 40 and all(letter in "0123456789abcdef" for letter in token)
    return token if is_legacy else ""
