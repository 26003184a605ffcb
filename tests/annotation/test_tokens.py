"""Tokens of a real server: of both kinds, and wrong ones."""

from __future__ import annotations

import httpx
import pytest

from annotation.server.client import Client
from annotation.server.find import existing_project
from annotation.server.project import Project
from tests.annotation.conftest import (
    HASTY,
    Running,
    annotate,
)


def personal_token(server: Running) -> str:
    """A personal access token, made as the account page makes it."""
    legacy = {"Authorization": f"Token {server.token}"}
    with httpx.Client(base_url=server.url, headers=legacy, trust_env=False) as http:
        settings = {"api_tokens_enabled": True, "legacy_api_tokens_enabled": True}
        http.post("/api/jwt/settings", json=settings).raise_for_status()
        return str(http.post("/api/token/").raise_for_status().json()["token"])


def test_personal_access_token(server: Running, pushed: Project) -> None:
    token = personal_token(server)
    assert token.count(".") == 2
    with Client(server.url, token, HASTY) as client:
        assert existing_project(client, pushed.title).id == pushed.id
        assert len(existing_project(client, pushed.title).summaries()) == 5


@pytest.mark.parametrize("token", ["0123456789abcdef" * 2, "aaaa.bbbb.cccc"])
def test_wrong_token(server: Running, token: str, title: str) -> None:
    ran = annotate(server, "status", "--project", title, "--token", token)
    assert ran.code == 1
    (line,) = [one for one in ran.err.splitlines() if one.startswith("error")]
    assert "401" in line
    assert "personal access token" in line
    assert token not in ran.out + ran.err
