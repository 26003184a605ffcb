"""`annotate serve` for a team: who can reach it, TLS and a path by a proxy, the invitation."""

from __future__ import annotations

import datetime
import ipaddress
import shutil
import signal
import socket
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from annotation.serve import Service, environment
from annotation.server.client import Client
from annotation.team import address_of, database_settings, invitation, is_open, warning_of
from tests.annotation.conftest import HASTY, Running, start_annotate
from tests.annotation.people import browser_of, join
from tests.annotation.proxy import proxied
from tests.conftest import finish
from tests.ports import free_port


def certificate(folder: Path) -> Path:
    """A certificate of 127.0.0.1, by nobody else, and its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tests")])
    now = datetime.datetime.now(datetime.UTC)
    day = datetime.timedelta(days=1)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - day)
        .not_valid_after(now + day)
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(key, hashes.SHA256())
    )
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8)
    secret = key.private_bytes(*form, serialization.NoEncryption())
    path = folder / "certificate.pem"
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + secret)
    return path


def test_a_team_joins_through_tls_below_a_path(venv: Path, template: Path, tmp_path: Path) -> None:
    """The server listens on another address of loopback; browsers know only the proxy."""
    data = tmp_path / "data"
    shutil.copytree(template, data)
    token = (data / "token").read_text()
    host, port = "127.0.0.2", free_port()
    pem = certificate(tmp_path)
    with proxied(f"http://{host}:{port}", "/ls", pem) as proxy:
        options = ("--data", str(data), "--host", host, "--port", str(port), "--address", proxy.url)
        process = start_annotate("serve", *options, "--server-venv", str(venv))
        assert process.stdout is not None
        first, second = process.stdout.readline(), process.stdout.readline()
        assert first == f"http://{host}:{port}  user tests@localhost.local\n"
        link, _, what = second.partition("  ")
        assert what == "invites others\n"
        assert link.startswith(f"{proxy.url}/user/signup/?token=")
        with socket.socket() as other:
            assert other.connect_ex(("127.0.0.1", port)) != 0
        with browser_of(ssl.create_default_context(cafile=str(pem))) as browser:
            theirs = join(browser, link, "anna@example.org")
            assert all(cookie.secure for cookie in browser.cookies.jar)
            assert browser.get(f"{proxy.url}/projects/").status_code == 200
        with browser_of(ssl.create_default_context(cafile=str(pem))) as stranger:
            assert stranger.get(f"{proxy.url}/api/projects/").status_code == 401
        with Client(f"http://{host}:{port}", theirs, HASTY) as client:
            assert client.get("/api/current-user/whoami")["email"] == "anna@example.org"
        process.send_signal(signal.SIGINT)
        ran = finish(process)
    assert ran.code == 0, ran
    assert "Label Studio is starting ..." in ran.err
    assert "warning" not in ran.err
    assert token not in first + second + ran.out + ran.err


def test_the_invitation_is_the_same_with_and_without_a_token(
    server: Running, client: Client, tmp_path: Path
) -> None:
    data = server.service.data
    expected = client.get("/api/invite")["invite_url"]
    assert invitation(data, server.url, "") == expected
    assert invitation(tmp_path, server.url, server.token) == expected
    assert invitation(data, server.url, "of another server") == expected
    assert invitation(tmp_path, server.url, "") == ""


def test_a_warning_where_others_can_reach_the_server() -> None:
    assert [is_open(host) for host in ("127.0.0.1", "127.0.0.2", "0.0.0.0", "192.0.2.7")] == [
        *(False, False, True, True)
    ]
    assert warning_of("127.0.0.2", 8080) == ""
    assert "reach port 8081 of this machine" in warning_of("0.0.0.0", 8081)
    assert "unencrypted" in warning_of("192.0.2.7", 8080)


def test_where_people_find_the_server() -> None:
    assert address_of("0.0.0.0", 80, "") == f"http://{socket.gethostname()}:80"
    assert address_of("192.0.2.7", 8080, "") == "http://192.0.2.7:8080"
    assert address_of("127.0.0.1", 8080, "https://x.org/ls/") == "https://x.org/ls"
    assert Service(Path(), 8080, Path(), "", "", host="0.0.0.0").url == "http://127.0.0.1:8080"


def test_the_settings_of_a_database() -> None:
    found = database_settings("postgresql://an%40na@db.example.org:6000/labels", "s3cret")
    assert found == {
        "DJANGO_DB": "postgresql",
        "POSTGRE_HOST": "db.example.org",
        "POSTGRE_PORT": "6000",
        "POSTGRE_NAME": "labels",
        "POSTGRE_USER": "an@na",
        "POSTGRE_PASSWORD": "s3cret",
    }
    service = Service(Path(), 8080, Path(), "", "", database_password="s3cret")
    assert "s3cret" not in repr(service)
    assert environment(service)["DJANGO_DB"] == "sqlite"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--host", "example.org"), "is not an IPv4 address"),
        (("--host", "::1"), "is not an IPv4 address"),
        (("--database", "postgresql://anna:secret@localhost/labels"), "leave the password out"),
        (("--database", "mysql://anna@localhost/labels"), "is not of the form postgresql://"),
        (("--database", "postgresql://localhost/labels"), "is not of the form postgresql://"),
        (("--database", "postgresql://anna@localhost:port/labels"), "--database: Port could not"),
    ],
)
def test_wrong_options(options: tuple[str, str], reason: str) -> None:
    ran = finish(start_annotate("serve", *options))
    assert (ran.code, reason in " ".join(ran.err.split())) == (2, True), ran
    assert "secret" not in ran.err
