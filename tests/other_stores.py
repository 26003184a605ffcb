"""What Azure's blob store, the Hugging Face Hub, and a large bucket of S3 answer, on loopback."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

_DATE = "Thu, 26 Nov 2026 12:00:00 GMT"
_PAGE = 2  # blobs in one answer of a listing, so that there are several


@dataclass
class Memory:
    """Files by their paths below the server's address, and the requests that came."""

    files: dict[str, bytes] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def served(kind: type[Handler]) -> Iterator[Memory]:
    """A server of `Azure`, `Hub` or `Large`."""
    memory = Memory()
    handler = type("Served", (kind,), {"memory": memory})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    memory.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield memory
    finally:
        server.shutdown()
        server.server_close()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    memory: Memory

    def do_GET(self) -> None:
        self.memory.requests.append(f"{self.command} {self.path}")
        self.found()

    do_HEAD = do_GET  # noqa: N815 (its name there)

    @property
    def file(self) -> str:
        return unquote(urlsplit(self.path).path).lstrip("/")

    @property
    def query(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers["Content-Length"] or 0))

    def found(self) -> None:
        """Send a file, or a part of it."""
        self.send_file(self.file)

    def send_file(self, name: str) -> None:
        if name not in self.memory.files:
            self.say(404, b"")
            return
        data = self.memory.files[name]
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers["Range"] or "")
        if wanted is None or not data:
            self.say(200, data)
            return
        begin, end = int(wanted[1]), min(int(wanted[2] or len(data)), len(data) - 1)
        self.say(206, data[begin : end + 1], f"bytes {begin}-{end}/{len(data)}")

    def say(self, status: int, data: bytes, part: str = "", kind: str = "text/plain") -> None:
        self.send_response(status)
        headers = {"ETag": '"one"', "Last-Modified": _DATE, "Content-Type": kind}
        headers |= {"Content-Range": part} if part else {}
        for name, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.more_headers()
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def more_headers(self) -> None:
        """Of one kind of server."""

    def log_message(self, format: str, *values: object) -> None:  # noqa: A002 (its name there)
        """Nothing: the tests look at `requests`."""


class Azure(Handler):
    """Blobs of one container."""

    def found(self) -> None:
        if self.query.get("comp") == "list":
            self.say(200, self.listing().encode(), kind="application/xml")
        else:
            self.send_file(self.file)

    def listing(self) -> str:
        container = f"{self.file}/"
        names = sorted(name.removeprefix(container) for name in self.memory.files)
        names = [n for n in names if n.startswith(self.query.get("prefix", ""))]
        begin = int(self.query.get("marker", "0"))
        rest = begin + _PAGE if begin + _PAGE < len(names) else ""
        blobs = "".join(
            f"<Blob><Name>{escape(name)}</Name><Properties><Last-Modified>{_DATE}</Last-Modified>"
            f"<Content-Length>{len(self.memory.files[container + name])}</Content-Length>"
            "<Etag>one</Etag><Content-Type>text/plain</Content-Type></Properties></Blob>"
            for name in names[begin : begin + _PAGE]
        )
        return (
            f'<?xml version="1.0" encoding="utf-8"?><EnumerationResults><Blobs>{blobs}</Blobs>'
            f"<NextMarker>{rest}</NextMarker></EnumerationResults>"
        )

    def do_PUT(self) -> None:
        self.memory.requests.append(f"PUT {self.path}")
        data = self.body()
        if self.headers["If-None-Match"] == "*" and self.file in self.memory.files:
            self.say(409, b"<Error><Code>BlobAlreadyExists</Code></Error>")
            return
        assert self.headers["x-ms-blob-type"] == "BlockBlob"
        self.memory.files[self.file] = data
        self.say(201, b"")

    def do_POST(self) -> None:
        """Several deletions, which is how the library asks even for one."""
        self.memory.requests.append(f"POST {self.path}")
        parts = []
        paths = re.findall(r"^DELETE (\S+) HTTP/1.1", self.body().decode(), re.MULTILINE)
        for number, path in enumerate(paths):
            there = self.memory.files.pop(unquote(path).lstrip("/"), None) is not None
            status = "202 Accepted" if there else "404 The specified blob does not exist."
            head = f"Content-Type: application/http\r\nContent-ID: {number}"
            answer = f"HTTP/1.1 {status}\r\nx-ms-version: 2020-10-02"
            parts.append(f"--part\r\n{head}\r\n\r\n{answer}\r\n\r\n\r\n")
        self.say(202, "".join([*parts, "--part--"]).encode(), kind="multipart/mixed; boundary=part")


class Hub(Handler):
    """Files of datasets/NAME/SET, as `datasets/NAME/SET/PATH`."""

    def found(self) -> None:
        dataset = re.fullmatch(r"api/(datasets/[^/]+/[^/]+)", self.file)
        tree = re.fullmatch(r"api/(datasets/[^/]+/[^/]+)/tree/main/?(.*)", self.file)
        if dataset is not None:
            self.answer(
                {"id": dataset[1].removeprefix("datasets/"), "sha": "0" * 40, "siblings": []}
            )
        elif tree is not None:
            self.answer(self.entries(tree[1], tree[2]))
        else:
            self.send_file(self.file.replace("/resolve/main/", "/", 1))

    def entries(self, dataset: str, folder: str) -> list[dict[str, object]]:
        """What a folder has, or all that is below it."""
        top = f"{dataset}/{folder}".rstrip("/") + "/"
        below = {n.removeprefix(top): d for n, d in self.memory.files.items() if n.startswith(top)}
        place = top.removeprefix(f"{dataset}/")
        found: dict[str, dict[str, object]] = {}
        for name, data in sorted(below.items()):
            for end in (at for at, letter in enumerate(name) if letter == "/"):
                found[name[:end]] = {"type": "directory", "path": place + name[:end]}
            found[name] = {"type": "file", "path": place + name, "size": len(data)}
        is_deep = self.query.get("recursive", "false").lower() == "true"
        return [{**one, "oid": "0" * 40} for n, one in found.items() if is_deep or "/" not in n]

    def answer(self, value: object) -> None:
        self.say(200, json.dumps(value).encode(), kind="application/json")

    def more_headers(self) -> None:
        self.send_header("X-Repo-Commit", "0" * 40)


class Large(Handler):
    """A bucket of S3 that only says which COUNT files it has below any folder, by the thousand."""

    COUNT, PAGE = 100_000, 1000

    def found(self) -> None:
        folder, begin = self.query["prefix"], int(self.query.get("continuation-token", "0"))
        end = min(begin + self.PAGE, self.COUNT)
        files = "".join(
            f"<Contents><Key>{folder}{number:06d}.jpg</Key><Size>{number}</Size>"
            "<LastModified>2026-11-26T12:00:00.000Z</LastModified></Contents>"
            for number in range(begin, end)
        )
        more = f"<NextContinuationToken>{end}</NextContinuationToken>" if end < self.COUNT else ""
        answer = f"<ListBucketResult>{files}{more}</ListBucketResult>"
        self.say(200, answer.encode(), kind="application/xml")
