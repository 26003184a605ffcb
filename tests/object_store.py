"""A real object store on loopback, moto's server, behind a proxy that makes bad weather."""

from __future__ import annotations

import http.client
import logging
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from moto.server import ThreadedMotoServer

BUCKET = "bucket"
SECRET = "a-secret-key-that-nobody-prints"
_SIGNED = (
    "AWS4-HMAC-SHA256 Credential=name/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, "
    "Signature=0"
)
_HOP = {"connection", "keep-alive", "transfer-encoding", "date", "server"}


@dataclass
class Store:
    """A store and its weather. Each request is delayed; a share of them is answered by errors.

    `requests` are those that arrived, as "GET /path?query".
    """

    port: int
    latency: float = 0.0  # seconds
    errors: float = 0.0  # share of the requests that are answered by 500, or closed unanswered
    throttled: float = 0.0  # share that is answered by 503 SlowDown
    cut: float = 0.0  # share of the bodies that end half-way
    stale: float = 0.0  # share of the listings that are those of the last time
    gone_from: float = 0.0  # on the monotonic clock; from then
    gone_until: float = 0.0  # until then every connection is closed
    requests: list[str] = field(default_factory=list)
    dice: random.Random = field(default_factory=lambda: random.Random(0))

    @property
    def environment(self) -> dict[str, str]:
        """What a program needs to find the store and to be let in."""
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
            "AWS_ACCESS_KEY_ID": "name",
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "us-east-1",
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
        }

    def count(self, method: str, part: str = "") -> int:
        """How many requests of a method had this in their address."""
        return sum(r.startswith(f"{method} ") and part in r for r in list(self.requests))


@contextmanager
def object_store() -> Iterator[Store]:
    """A store with one bucket, which is empty."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    moto = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    moto.start()
    behind = moto.get_host_and_port()
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    store = Store(server.server_address[1])
    server.RequestHandlerClass = _proxy(store, behind)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    asked = http.client.HTTPConnection(*behind)
    asked.request("PUT", f"/{BUCKET}")
    asked.getresponse().read()
    asked.close()
    try:
        yield store
    finally:
        server.shutdown()
        server.server_close()
        moto.stop()


def _proxy(store: Store, behind: tuple[str, int]) -> type[BaseHTTPRequestHandler]:
    listings: dict[str, bytes] = {}  # the last ones

    class Proxy(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def pass_on(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"] or 0))
            store.requests.append(f"{self.command} {self.path}")
            time.sleep(store.latency)
            roll = store.dice.random()
            if store.gone_from <= time.monotonic() < store.gone_until or roll < store.errors / 2:
                self.close_connection = True
            elif roll < store.errors:
                self.refuse(500, "InternalError")
            elif roll < store.errors + store.throttled:
                self.refuse(503, "SlowDown")
            else:
                self.answer(body)

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = pass_on  # noqa: N815 (its names there)

        def refuse(self, status: int, code: str) -> None:
            text = f"<Error><Code>{code}</Code></Error>".encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(text)

        def answer(self, body: bytes) -> None:
            asked = http.client.HTTPConnection(*behind)
            headers = {name.lower(): value for name, value in self.headers.items()}
            if not headers.get("authorization", "").startswith("AWS4"):
                headers["authorization"] = _SIGNED  # by gs://, whose form moto does not know
            asked.request(self.command, self.path, body, headers)
            answer = asked.getresponse()
            data = answer.read()
            if self.command == "GET" and "list-type=" in self.path:
                last, listings[self.path] = listings.get(self.path, data), data
                data = last if store.dice.random() < store.stale else data
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in {*_HOP, "content-length"}:
                    self.send_header(name, value)
            length = answer.getheader("Content-Length") if self.command == "HEAD" else len(data)
            self.send_header("Content-Length", str(length or 0))
            self.end_headers()
            if data and self.command == "GET" and store.dice.random() < store.cut:
                data = data[: len(data) // 2]
                self.close_connection = True
            self.wfile.write(data)
            asked.close()

        def log_message(self, format: str, *values: object) -> None:  # noqa: A002 (its name there)
            """Nothing: the tests look at `requests`."""

    return Proxy
