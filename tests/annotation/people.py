"""Annotators with accounts of their own: each joins by the invitation, as a person does."""

from __future__ import annotations

import re

import httpx

from annotation.server.client import Client
from tests.annotation.conftest import HASTY, PASSWORD, Running


def join(server: Running, invitation: str, email: str) -> Client:
    """Make an account by the invitation link; a session of it, which the caller closes."""
    with httpx.Client(timeout=60, trust_env=False) as browser:
        page = browser.get(invitation).raise_for_status()
        hidden = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
        assert hidden, page.text[:2000]
        form = {"csrfmiddlewaretoken": hidden[1], "email": email, "password": PASSWORD}
        done = browser.post(invitation, data=form, headers={"Referer": invitation})
        assert done.status_code == 302, done.text[:2000]
        found = browser.get(f"{server.url}/api/current-user/token").raise_for_status().json()
    return Client(server.url, found["token"], HASTY)
