"""What a team needs of `annotate serve`: who can reach the server, its database, the invitation."""

from __future__ import annotations

import ipaddress
import socket
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit

from annotation.server.client import Client
from annotation.server.faults import ServerError
from annotation.settings import Patience

_POSTGRES = ("postgresql", "postgres")
_PORT = 5432


def is_open(host: str) -> bool:
    """Whether other machines may reach a server that listens on this IPv4 address.

    Raises ValueError if it is none.
    """
    try:
        return not ipaddress.IPv4Address(host).is_loopback
    except ValueError:
        raise ValueError(
            f"--host: {host!r} is not an IPv4 address, such as 127.0.0.1 (this machine only) or "
            "0.0.0.0 (everybody who can reach it)"
        ) from None


def warning_of(host: str, port: int) -> str:
    """What to say of a server that others may reach; "" if nobody else can."""
    if not is_open(host):
        return ""
    return (
        f"everybody who can reach port {port} of this machine can open the server, and passwords, "
        "tokens and photos cross the network unencrypted; unless you trust the whole network, "
        "keep --host 127.0.0.1 and put a proxy with TLS before it (docs/annotate.md, A team)"
    )


def address_of(host: str, port: int, address: str) -> str:
    """Where people find the server: behind a proxy, or on this machine."""
    name = socket.gethostname() if ipaddress.IPv4Address(host).is_unspecified else host
    return address.rstrip("/") or f"http://{name}:{port}"


def database_settings(url: str, password: str) -> dict[str, str]:
    """The settings of Label Studio for a database; SQLite in the data folder for "".

    url: postgresql://USER@HOST:PORT/NAME. Raises ValueError if it is malformed or holds a password.
    """
    if not url:
        return {"DJANGO_DB": "sqlite"}
    parts = urlsplit(url)
    try:
        port = parts.port or _PORT
    except ValueError as error:
        raise ValueError(f"--database: {error}") from None
    if parts.password is not None:
        raise ValueError("--database: leave the password out of it; give it as PGPASSWORD")
    name = parts.path.strip("/")
    if parts.scheme not in _POSTGRES or not (parts.username and parts.hostname and name):
        raise ValueError(f"--database: {url!r} is not of the form postgresql://USER@HOST:PORT/NAME")
    return {
        "DJANGO_DB": "postgresql",
        "POSTGRE_HOST": parts.hostname,
        "POSTGRE_PORT": str(port),
        "POSTGRE_NAME": unquote(name),
        "POSTGRE_USER": unquote(parts.username),
        "POSTGRE_PASSWORD": password,
    }


def proxy_settings(address: str) -> dict[str, str]:
    """The settings of Label Studio for browsers that find it at another address, through a proxy:
    without them it takes their forms for forged ones."""
    parts = urlsplit(address)
    if not address:
        return {}
    found = {
        "LABEL_STUDIO_HOST": address,
        "CSRF_TRUSTED_ORIGINS": f"{parts.scheme}://{parts.netloc}",
    }
    return found | ({"SESSION_COOKIE_SECURE": "1"} if parts.scheme == "https" else {})


def invitation(data: Path, url: str, token: str) -> str:
    """The path of the page on which people with the link make their accounts; "" if it cannot be
    had. It is asked for with a token, or read from the database in the data folder."""
    if token:
        patience = Patience(first=2, outage=2)
        wrong = suppress(ServerError, ValueError, KeyError, TypeError)
        with wrong, Client(url, token, patience) as client:
            return str(client.get("/api/invite")["invite_url"])
    with suppress(sqlite3.Error):
        file = data / "label_studio.sqlite3"
        with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)) as database:
            found = database.execute("SELECT token FROM organization ORDER BY id").fetchone()
        return f"/user/signup/?token={found[0]}" if found else ""
    return ""
