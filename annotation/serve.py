"""A Label Studio server for a team without one, in its own virtual environment.

The server pins the versions of many packages (1 GB), so it has an environment of its own.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from annotation.server.client import is_up
from annotation.team import database_settings, proxy_settings
from manifests.storage import write_bytes

HOST, _ALL = "127.0.0.1", "0.0.0.0"  # the second is every address of this machine
REQUIREMENTS = Path(__file__).with_name("server-requirements.txt")
LOG = "server.log"
_USER = "user.txt"  # written once the user was made
_OWN = ("label_studio.sqlite3*", ".env", "media", "export", "test_data")  # of Label Studio

_START_SECONDS = 240.0  # a fresh data folder: 22 to 50 s of migrations on an idle machine
_STOP_SECONDS = 15.0


class ServeError(RuntimeError):
    """The server cannot be started, and why."""


@dataclass(frozen=True)
class Service:
    """What to serve, and to whom. `password` is used when the data folder is new.

    host: the IPv4 address to listen on. database: the URL of a PostgreSQL database, whose password
    is `database_password`; "": SQLite in the data folder.
    """

    data: Path
    port: int
    venv: Path
    user: str
    password: str
    token: str = ""  # a legacy token for the user, 40 hex digits; "": the server makes one
    files: Path | None = None  # the root of local files, if there are any
    address: str = ""  # where browsers find it, if that is not `url`: behind a proxy
    host: str = HOST
    database: str = ""
    database_password: str = field(default="", repr=False)

    @property
    def url(self) -> str:
        """Where this machine finds it."""
        return f"http://{HOST if self.host == _ALL else self.host}:{self.port}"


def executable(venv: Path) -> Path:
    """Label Studio's command in a virtual environment. Raises ServeError if it is not there."""
    path = venv / "bin" / "label-studio"
    if not path.is_file():
        raise ServeError(
            f"{venv}: no Label Studio there; make it with `annotate serve --install` (1 GB), or "
            "name another environment with --server-venv or LABEL_STUDIO_VENV"
        )
    return path


def install(venv: Path) -> None:
    """Make the server's environment, with pinned versions. Raises ServeError if pip fails."""
    python = venv / "bin" / "python"
    pip = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "--quiet"]
    for command in (
        [sys.executable, "-m", "venv", str(venv)],
        [*pip, "--no-deps", "-r", str(REQUIREMENTS)],
    ):
        if subprocess.run(command, check=False).returncode:
            raise ServeError(f"{venv}: `{' '.join(command)}` failed")


def is_new(data: Path) -> bool:
    """Whether a data folder has never been served to the point of being ready."""
    return not (data / _USER).exists()


def user_of(data: Path) -> str:
    """The first user of a data folder that is not new."""
    return (data / _USER).read_text(encoding="utf-8").strip()


@contextmanager
def serving(service: Service, wait: float = _START_SECONDS) -> Iterator[subprocess.Popen[bytes]]:
    """The running server, ready for requests; ended with all that it started on the way out.

    Raises ServeError if the port is taken, or the server ends or is not ready within `wait` s.
    """
    command = executable(service.venv)
    settings = environment(service)
    _refuse_taken_port(service.host, service.port)
    service.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    _close_to_others(service.data)
    log = service.data / LOG
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    with os.fdopen(os.open(log, flags, 0o600), "wb") as output:
        process = subprocess.Popen(
            [
                command,
                "start",
                "--no-browser",
                "--internal-host",
                service.host,
                "--port",
                str(service.port),
            ],
            env=settings,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # so that it can be ended as a whole
            umask=0o077,  # what it keeps is only its user's: photos, people, tokens
        )
    try:
        _wait_until_ready(service, process, log, wait)
        if is_new(service.data):
            write_bytes(service.data / _USER, f"{service.user}\n".encode())
        yield process
    finally:
        _end(process)


def _close_to_others(data: Path) -> None:
    """Take the access of other users from what a server wrote into the folder before."""
    for name in (*_OWN, LOG, _USER):
        for path in data.glob(name):
            path.chmod(path.stat().st_mode & 0o700)


def environment(service: Service) -> dict[str, str]:
    """The settings of the server: no questions, nothing sent to anybody. Of the caller's
    environment it gets only what every process needs, not the token, for example. Raises
    ValueError if its database is malformed."""
    kept = {
        k: os.environ[k] for k in ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR") if k in os.environ
    }
    chosen = {
        "LABEL_STUDIO_BASE_DATA_DIR": str(service.data.resolve()),
        "LABEL_STUDIO_USERNAME": service.user,
        "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
        "LABEL_STUDIO_DISABLE_SIGNUP_WITHOUT_LINK": "true",
        "COLLECT_ANALYTICS": "false",
        "LATEST_VERSION_CHECK": "false",
        "SENTRY_DSN": "",
        "FRONTEND_SENTRY_DSN": "",
        "DEBUG": "false",
        "LOG_LEVEL": "WARNING",
        "USE_NGINX_FOR_UPLOADS": "false",
        "USE_NGINX_FOR_EXPORT_DOWNLOADS": "false",
    }
    if service.host == HOST:  # nobody else can make it ask `annotate assist`, or this machine
        chosen |= {"SSRF_PROTECTION_ENABLED": "false", "ML_BLOCK_LOCAL_IP": "false"}
    if service.password:
        chosen["LABEL_STUDIO_PASSWORD"] = service.password
    if service.token:
        chosen["LABEL_STUDIO_USER_TOKEN"] = service.token
    chosen |= database_settings(service.database, service.database_password)
    chosen |= proxy_settings(service.address)
    if service.files is not None:
        chosen["LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED"] = "true"
        chosen["LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT"] = str(service.files.resolve())
    return kept | chosen


def _refuse_taken_port(host: str, port: int) -> None:
    """Label Studio itself would start on the next free port, without a message."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ServeError(
                f"port {port} of {host} cannot be used ({error.strerror}); another server may be "
                "running there: end it, or choose another with --port; --host has to be an "
                "address of this machine"
            ) from None


def _wait_until_ready(
    service: Service, process: subprocess.Popen[bytes], log: Path, wait: float
) -> None:
    end = time.monotonic() + wait
    while time.monotonic() < end:
        if process.poll() is not None:
            raise ServeError(f"the server ended at once: {_last_line(log)} (see {log})")
        if is_up(service.url):
            return
        time.sleep(0.2)
    raise ServeError(f"the server was not ready within {wait:.0f} s (see {log})")


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "the log is empty")


def _end(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM to the server and all that it started, then SIGKILL to what is left."""
    for number, seconds in ((signal.SIGTERM, _STOP_SECONDS), (signal.SIGKILL, 5.0)):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            break
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            continue
    process.wait()
