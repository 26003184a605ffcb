"""A server's bad days, on loopback: a proxy that delays, drops, cuts, and answers for itself."""

from __future__ import annotations

import re
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

_HOP = {"connection", "transfer-encoding", "keep-alive", "content-length", "server", "date"}


@dataclass
class Trouble:
    """What happens to the next `times` requests whose "METHOD path" matches `pattern`.

    kind: "answer" (with `status` and `body`, nothing reaches the server), "refuse" (the connection
    is closed before anything is sent on), "twice" (the server acts twice, as it does after
    "database is locked"), "lose" (the server acts, its answer never arrives), "cut" (the server
    acts, its answer arrives by half), "delay" (the server hears of it `seconds` late), "slow" (its
    answer comes `seconds` late).
    """

    kind: str
    pattern: str
    times: int = 1
    status: int = 500
    seconds: float = 0.0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b"{}"


@dataclass
class Proxy:
    """A running proxy: `troubles` may be added to at any time; `seen` is every request."""

    url: str
    troubles: list[Trouble] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def next_trouble(self, request: str) -> Trouble | None:
        with self.lock:
            self.seen.append(request)
            for trouble in self.troubles:
                if trouble.times > 0 and re.search(trouble.pattern, request):
                    trouble.times -= 1
                    return trouble
        return None


@contextmanager
def proxied(target: str, below: str = "", certificate: Path | None = None) -> Iterator[Proxy]:
    """A proxy before the server at the URL `target`; all its paths are below the path `below`.

    certificate: a PEM file with a certificate and its key; the proxy then speaks TLS.
    """
    host, port = urlsplit(target).hostname or "", urlsplit(target).port or 80

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._pass_on()

        def do_POST(self) -> None:
            self._pass_on()

        def do_PATCH(self) -> None:
            self._pass_on()

        def do_DELETE(self) -> None:
            self._pass_on()

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
            pass

        def _pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            trouble = proxy.next_trouble(f"{self.command} {self.path}")
            kind = trouble.kind if trouble else ""
            if not self.path.startswith(f"{below}/"):
                trouble = Trouble("answer", "", status=404, body=b"there is nothing here")
                kind = "answer"
            if trouble and kind == "answer":
                self._reply(trouble.status, list(trouble.headers.items()), trouble.body)
                return
            if kind == "refuse":
                self._hang_up()
                return
            if trouble and kind == "delay":
                time.sleep(trouble.seconds)
            if kind == "twice":
                self._ask(body)
            status, headers, data = self._ask(body)
            if trouble and kind == "slow":
                time.sleep(trouble.seconds)
            if kind == "lose":
                self._hang_up()
            elif kind == "cut":
                self._reply(status, headers, data, len(data) // 2)
                self._hang_up()
            else:
                self._reply(status, headers, data)

        def _ask(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
            connection = HTTPConnection(host, port, timeout=60)
            kept = {
                k: v for k, v in self.headers.items() if k.lower() not in {"host", "connection"}
            }
            try:
                path = self.path.removeprefix(below)
                connection.request(self.command, path, body, kept | {"Host": f"{host}:{port}"})
                answer = connection.getresponse()
                return answer.status, answer.getheaders(), answer.read()
            except OSError:  # the server is down: so is everything behind the proxy
                return 502, [], b""
            finally:
                connection.close()

        def _reply(
            self, status: int, headers: list[tuple[str, str]], data: bytes, sent: int | None = None
        ) -> None:
            self.send_response(status)
            for name, value in headers:
                if name.lower() not in _HOP:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            try:
                self.end_headers()
                self.wfile.write(data[:sent])
                self.wfile.flush()
            except OSError:
                self.close_connection = True  # the client did not wait

        def _hang_up(self) -> None:
            self.close_connection = True
            with suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        scheme = "http"
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
            scheme = "https"
        proxy = Proxy(f"{scheme}://127.0.0.1:{server.server_address[1]}{below}")
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            server.shutdown()
            thread.join()
