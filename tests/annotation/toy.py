"""A toy of a Label Studio server on loopback: tasks that a test may change, delete and spoil.

It knows nothing but what pull, status and the making of a project ask; the real server has its
own tests.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from PIL import Image

from annotation.files.photos import Photo, photo_id
from annotation.form.tasks import prediction_of, task_of
from manifests.pixels import Pixels
from tests.annotation.pulled import SHAPE, photo_of, soft_alpha

TITLE = "Discs"
Json = dict[str, Any]


@dataclass
class Toy:
    """`tasks` by id; `pictures` by their path; what `gone` names is listed, but not to be had;
    with `is_gone` the project itself is not to be had; `deleted_after_page` are tasks that go, one
    after each page of the list; `asked` is every request; `later` are answers for the next ones,
    (status, headers)."""

    url: str
    title: str = TITLE
    number: int = 3
    settings: Json = field(default_factory=dict)
    tasks: dict[int, Json] = field(default_factory=dict)
    pictures: dict[str, bytes] = field(default_factory=dict)
    gone: set[int] = field(default_factory=set)
    is_gone: bool = False
    page_size: int = 1000
    deleted_after_page: list[int] = field(default_factory=list)
    strangers: set[int] = field(default_factory=set)
    hides_people: bool = False
    asked: list[str] = field(default_factory=list)
    later: list[tuple[int, dict[str, str]]] = field(default_factory=list)

    def add(self, number: int, file: str = "x.png") -> Json:
        """A task for a photo."""
        buffer = io.BytesIO()
        Image.fromarray(photo_of(soft_alpha())).save(buffer, "PNG")
        url, sha256 = f"/data/upload/{number}.png", hashlib.sha256(buffer.getvalue()).hexdigest()
        photo = Photo(photo_id(file), file, Path(file), sha256, *SHAPE, True)
        self.pictures[url] = buffer.getvalue()
        task = task_of(photo, url, sha256)
        self.tasks[number] = task | {"id": number, "annotations": [], "updated_at": ""}
        return self.tasks[number]

    def annotate(
        self, task: int, alpha: Pixels | None = None, *choices: Json, author: str = "anna", **w: Any
    ) -> int:
        """Submit an alpha, or with None only choices; the annotation's id."""
        result = [] if alpha is None else prediction_of("", alpha=alpha)["result"]
        return self.submit(task, [*result, *choices], author, **w)

    def submit(self, task: int, result: Sequence[Json], author: str = "anna", **more: Any) -> int:
        found = self.tasks[task]
        number = 100 + sum(len(one["annotations"]) for one in self.tasks.values())
        time = f"2026-11-22T11:{number - 100:02d}:00.000000Z"
        one = {
            "id": number,
            "completed_by": person(author),
            "updated_at": time,
            "result": list(result),
        }
        found["annotations"].append(one | more)
        found["updated_at"] = time
        return number

    def answer(self, method: str, path: str) -> tuple[int, Any]:
        """(status, JSON or bytes) for a request."""
        url = urlsplit(path)
        if url.path == "/api/projects/" and method == "GET":
            titles = parse_qs(url.query).get("title", [""])
            found = [{"id": self.number, "title": self.title}] if titles[0] in self.title else []
            return 200, {"results": found, "count": len(found)}
        if url.path == f"/api/projects/{self.number}/" and not self.is_gone:
            return (200, self.settings) if method == "GET" else (400, "no such model version")
        if url.path == "/api/users/":
            return (403, "not allowed") if self.hides_people else (200, self._people())
        if url.path in ("/api/tasks/", "/api/dm/views/"):
            return 200, [] if "views" in url.path else self._list(
                {name: found[0] for name, found in parse_qs(url.query).items()}
            )
        task = re.fullmatch(r"/api/tasks/(\d+)/", url.path)
        if task and int(task[1]) not in self.gone:
            return 200, self.tasks[int(task[1])]
        picture = self.pictures.get(path)
        return (404, "not found") if picture is None else (200, picture)

    def _people(self) -> list[Json]:
        everything = [one for task in self.tasks.values() for one in task["annotations"]]
        people = [one["completed_by"] for one in everything if one.get("completed_by")]
        return [one for one in people if one["id"] not in self.strangers]

    def _list(self, given: dict[str, str]) -> Json:
        """A page of the list of tasks; with all fields, as the real server has them."""
        query, is_whole = json.loads(given["query"]), given.get("fields") == "all"
        found = [self.tasks[number] for number in sorted(self.tasks)]
        for item in query.get("filters", {}).get("items", []):
            fits = _FILTERS[item["filter"].removeprefix("filter:tasks:"), item["operator"]]
            found = [task for task in found if fits(task, item["value"])]
        if "selectedItems" in query:
            chosen = set(query["selectedItems"]["included"]) - self.gone
            found = [task for task in found if task["id"] in chosen]
        assert given["page"] == "1"
        some = found[: min(self.page_size, int(given["page_size"]))]
        if self.deleted_after_page:
            del self.tasks[self.deleted_after_page.pop()]
        return {"tasks": [*map(_whole if is_whole else _listed, some)], "total": len(found)}


_FILTERS: dict[tuple[str, str], Callable[[Json, Any], bool]] = {
    ("id", "greater"): lambda task, value: task["id"] > value,
    ("annotators", "empty"): lambda task, value: bool(task["annotations"]) is (value == "false"),
    ("total_annotations", "equal"): lambda task, value: _counts(task)["total_annotations"] == value,
    ("cancelled_annotations", "equal"): lambda task, value: value == 0,
}


def person(author: str) -> Json:
    """An account, as the server shows it."""
    return {"id": zlib.crc32(author.encode()), "email": f"{author}@example.org"}


def _listed(task: Json) -> Json:
    """A task as in a list, without its annotations."""
    return _counts(task) | {key: value for key, value in task.items() if key != "annotations"}


def _counts(task: Json) -> Json:
    counts = {"total_annotations": len(task["annotations"]), "cancelled_annotations": 0}
    return counts | {key: task[key] for key in counts if key in task}


def _whole(task: Json) -> Json:
    """A task as in a list with all fields: of people it has only the numbers."""

    def numbered(one: Any) -> Any:
        who = one.get("completed_by") if isinstance(one, dict) else None
        return one | {"completed_by": who["id"]} if isinstance(who, dict) else one

    annotations = task["annotations"]
    is_list = isinstance(annotations, list)
    return task | {"annotations": [*map(numbered, annotations)] if is_list else annotations}


@contextmanager
def serving_toy() -> Iterator[Toy]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer()

        def do_PATCH(self) -> None:
            self._answer()

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
            pass

        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("content-length") or 0))
            toy.asked.append(f"{self.command} {self.path}")
            headers: dict[str, str] = {}
            if toy.later:
                (status, headers), content = toy.later.pop(0), b""
            else:
                status, content = toy.answer(self.command, self.path)
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        toy = Toy(f"http://127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield toy
        finally:
            server.shutdown()
            thread.join()
