"""A web server on loopback that serves a folder, and fails where a test asks it to."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit


@dataclass
class Web:
    """A folder behind a URL. `faults[path]` is what happens to the next requests of a path.

    A number is an HTTP status; "cut" ends the body half-way; "gone" closes without an answer.
    """

    url: str
    faults: dict[str, list[int | str]] = field(default_factory=lambda: defaultdict(list))
    requests: list[str] = field(default_factory=list)  # "GET /path" in the order of arrival

    @property
    def port(self) -> int:
        return urlsplit(self.url).port or 0


@contextmanager
def serving(folder: Path) -> Iterator[Web]:
    """The folder over HTTP, with ranges, as an object store answers."""
    web = Web("")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self.answer()

        def do_GET(self) -> None:
            self.answer()

        def answer(self) -> None:
            path = unquote(urlsplit(self.path).path)
            web.requests.append(f"{self.command} {path}")
            fault = web.faults[path].pop(0) if web.faults[path] else None
            file = folder / path.strip("/")
            if fault == "gone":
                self.close_connection = True
            elif isinstance(fault, int) or not file.is_file():
                self.send_response(fault if isinstance(fault, int) else 404)
                self.send_header("Content-Length", "0")
                self.end_headers()
            else:
                self.send(file.read_bytes(), cut=fault == "cut")

        def send(self, data: bytes, cut: bool) -> None:
            total, wanted = len(data), self.headers["Range"]
            if wanted:
                first, _, last = wanted.removeprefix("bytes=").partition("-")
                data = data[int(first) : int(last) + 1 if last else None]
            self.send_response(206 if wanted else 200)
            self.send_header("Content-Length", str(len(data)))
            self.send_header("Last-Modified", "Sun, 22 Nov 2026 12:00:00 GMT")
            if wanted:
                end = int(first) + len(data) - 1
                self.send_header("Content-Range", f"bytes {first}-{end}/{total}")
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(data[: len(data) // 2] if cut else data)
            self.close_connection = self.close_connection or cut

        def log_message(self, format: str, *values: object) -> None:  # noqa: A002 (its name there)
            """Nothing: the tests look at `requests`."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    web.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield web
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
