"""Annotators with accounts of their own: each joins by the invitation, as a person does."""

from __future__ import annotations

import re
import ssl
from urllib.parse import urlsplit

import httpx

from tests.annotation.conftest import PASSWORD


def browser_of(trusted: ssl.SSLContext | None = None) -> httpx.Client:
    """What keeps cookies, as a browser does. trusted: whose certificates it believes."""
    return httpx.Client(timeout=60, trust_env=False, verify=trusted or True)


def join(browser: httpx.Client, invitation: str, email: str) -> str:
    """Make an account by the link; its token. The browser is logged in then."""
    page = browser.get(invitation).raise_for_status()
    hidden = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
    assert hidden, page.text[:2000]
    form = {"csrfmiddlewaretoken": hidden[1], "email": email, "password": PASSWORD}
    parts = urlsplit(invitation)
    sent = {"Referer": invitation, "Origin": f"{parts.scheme}://{parts.netloc}"}
    done = browser.post(invitation, data=form, headers=sent)
    assert done.status_code == 302, done.text[:2000]
    server = invitation.partition("/user/signup/")[0]
    found = browser.get(f"{server}/api/current-user/token").raise_for_status()
    return str(found.json()["token"])
