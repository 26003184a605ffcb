"""A Label Studio ML backend: solves the trimap that somebody paints, while it is painted.

Plain HTTP: /health, /setup, /predict and /webhook. Label Studio asks it when a task without a
prediction is opened, and when somebody clicks with the label Solve.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from annotation.files.failures import failure
from annotation.files.shown import picture_path
from annotation.form.drafts import in_place, read_trimap_of
from annotation.form.regions import BadAnnotationError
from annotation.form.taskdata import TaskData, read_data, read_number
from annotation.form.tasks import prediction_of
from annotation.previews import show_alpha
from annotation.server.project import Project, TaskSummary
from manifests.pictures import read_photo
from manifests.pixels import Pixels

Json = Any
Solver = Callable[[Pixels, Pixels], Pixels]  # photo H x W x 3, trimap H x W -> alpha H x W

HOST = "127.0.0.1"
_UNSAVED = 5.6  # seconds after which the browser has surely saved what was painted before
_PAUSE = 0.3


class Assistant:
    """Answers what Label Studio asks for one project. `name` is that of the method or model."""

    def __init__(self, project: Project, name: str, solve: Solver) -> None:
        self.project, self.name, self._solve = project, name, solve
        self._lock = threading.Lock()  # one solution at a time: each takes all cores

    def predict(self, body: Json) -> Json:
        """The answer to /predict. Raises BadAnnotationError with what the person should do."""
        task = body["tasks"][0]
        context = (body.get("params") or {}).get("context")
        if not context:
            return {"results": self._begin(body["tasks"])}
        data, result = read_data(task), self._painted(task)
        alpha = self._alpha(task, data, result)
        self._keep(read_number(task, "id"), data, task, alpha)
        found = {"result": in_place(result, alpha), "score": 1.0, "model_version": self.name}
        return {"results": [found]}

    def _begin(self, tasks: Sequence[Json]) -> list[Json]:
        """Predictions for tasks that were opened and have none: there is a trimap to solve only if
        somebody has submitted one."""
        found = []
        for task in tasks:
            try:
                result = _latest(task.get("annotations"))
                alpha = self._alpha(task, read_data(task), result)
            except BadAnnotationError:
                return []  # all or none: the server matches them by their order
            found.append(prediction_of(self.name, alpha) | {"score": 1.0})
        return found

    def _alpha(self, task: Json, data: TaskData, result: Json) -> Pixels:
        trimap = read_trimap_of(result, data.height, data.width)
        with self._lock:
            return self._solve(self._photo(task["data"]), trimap)

    def _photo(self, data: Mapping[str, Any]) -> Pixels:
        path = picture_path(data.get("image"), self.project.files)
        if path is None:
            raise BadAnnotationError("its picture is not where push puts pictures")
        return read_photo(self.project.client.get_bytes(path))

    def _painted(self, task: Json) -> Json:
        """The regions on somebody's screen. The browser saves them as a draft some seconds after
        the last stroke, so that the draft on the server may lack it."""
        begin = datetime.now(UTC).isoformat()
        end = time.monotonic() + _UNSAVED
        number = read_number(task, "id")
        while True:
            drafts = self.project.drafts(number)
            latest = max(drafts, key=lambda one: str(one.get("updated_at")), default=None)
            if latest is not None and str(latest.get("updated_at")) >= begin[:23]:
                return latest["result"]
            if time.monotonic() > end:
                break
            time.sleep(_PAUSE)
        if latest is not None:
            return latest["result"]
        result = _latest(task.get("annotations")) or _latest(task.get("predictions"))
        if not result:
            raise BadAnnotationError(
                "nothing is painted yet, or Label Studio has not saved it: wait a moment, and "
                "click again"
            )
        return result

    def _keep(self, number: int, data: TaskData, task: Json, alpha: Pixels) -> None:
        """The alpha as a prediction of the task, from which an annotation can be told to come, and
        its preview; afterwards, because somebody waits for the alpha."""
        self.project.add_prediction(number, prediction_of(self.name, alpha))

        def show() -> None:
            row = TaskSummary(number, task["data"], "", 0, 0)
            show_alpha(self.project, {}, row, self._photo(task["data"]), alpha)

        threading.Thread(target=show, daemon=True).start()


def _latest(found: Json) -> Json:
    """The regions of the latest of some annotations or predictions; [] if there is none."""
    listed = [one for one in found or () if isinstance(one, Mapping) and one.get("result")]
    latest = max(listed, key=_time, default=None)
    return latest["result"] if latest else []


def _time(one: Mapping[str, Any]) -> str:
    return str(one.get("updated_at") or one.get("created_at"))


def listen(assistant: Assistant, port: int) -> ThreadingHTTPServer:
    """A server on loopback that answers for an assistant; its `serve_forever` runs it.

    Raises OSError if the port cannot be used.
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._reply(200, {"status": "UP", "model_class": assistant.name})

        def do_POST(self) -> None:
            try:
                length = int(self.headers.get("content-length") or 0)
                body = json.loads(self.rfile.read(length) or b"{}")
                self._reply(200, self._answer(body))
            except BadAnnotationError as error:
                self._reply(422, {"detail": f"Solve: {error}"})
            except Exception as error:
                self._reply(500, {"detail": f"Solve: {failure('', error).reason}"})

        def _answer(self, body: Json) -> Json:
            if self.path == "/predict":
                return assistant.predict(body)
            if self.path == "/setup":
                return {"model_version": assistant.name}
            return {}

        def _reply(self, status: int, answer: Json) -> None:
            data = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
            pass

    try:
        return ThreadingHTTPServer((HOST, port), Handler)
    except OSError as error:
        raise OSError(f"port {port} cannot be used ({error.strerror}); choose another") from error


def register(project: Project, url: str, name: str) -> None:
    """Let a project ask the backend at `url`, for its tasks and for clicks with Solve; once."""
    client = project.client
    listed = client.get("/api/ml/", project=project.id) or ()
    known = [one for one in listed if isinstance(one, dict) and one.get("url") == url]
    body = {"project": project.id, "url": url, "title": name, "is_interactive": True}
    if known:
        client.patch(f"/api/ml/{known[0]['id']}", body)
    else:
        client.post("/api/ml/", body)
