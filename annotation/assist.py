"""A Label Studio ML backend: solves the trimap that somebody paints, while it is painted.

Plain HTTP: /health, /setup, /predict and /webhook. Label Studio asks it when a task without a
prediction is opened, and when somebody clicks with the label Solve.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

from annotation.files.failures import failure
from annotation.files.shown import picture_path
from annotation.form.drafts import Drawn, in_place, read_drawn
from annotation.form.regions import BadAnnotationError
from annotation.form.taskdata import read_data, read_number
from annotation.form.tasks import prediction_of
from annotation.previews import show_alpha
from annotation.server.project import Project, TaskSummary
from manifests.pictures import read_photo
from manifests.pixels import UNKNOWN, Pixels

Json = Any
Solver = Callable[[Pixels, Pixels], Pixels]  # photo H x W x 3, trimap H x W -> alpha H x W

HOST = "127.0.0.1"
_UNSAVED = 5.6  # seconds after which the browser has surely saved what was painted before
_PAUSE = 0.3


class Assistant:
    """Answers what Label Studio asks for one project. `name` is that of the method or model.

    needs_trimap: whether `solve` can do nothing with a photo of which nobody painted anything, a
    trimap that is unknown everywhere.
    """

    def __init__(
        self, project: Project, name: str, solve: Solver, *, needs_trimap: bool = True
    ) -> None:
        self.project, self.name, self._solve = project, name, solve
        self._needs_trimap = needs_trimap
        self._lock = threading.Lock()  # one solution at a time: each takes all cores

    def predict(self, body: Json) -> Json:
        """The answer to /predict. Raises BadAnnotationError with what the person should do."""
        task = body["tasks"][0]
        context = (body.get("params") or {}).get("context")
        if not context:
            return {"results": self._begin(body["tasks"])}
        data, number = read_data(task), read_number(task, "id")
        with ThreadPoolExecutor(1) as meanwhile:  # the browser takes its time to save a draft
            fetched = meanwhile.submit(self._photo, task["data"])
            result = self._painted(task, number)
            photo = fetched.result()
        drawn = read_drawn(result, data.height, data.width)
        alpha = self._solution(photo, drawn)
        if drawn.alpha is None:
            # Before it is submitted: from this an annotation can be told to come. An alpha that was
            # corrected comes from the one before.
            self.project.add_prediction(number, prediction_of(self.name, alpha))
        threading.Thread(target=self._show, args=(number, task, photo, alpha), daemon=True).start()
        found = {"result": in_place(result, alpha), "score": 1.0, "model_version": self.name}
        return {"results": [found]}

    def _begin(self, tasks: Sequence[Json]) -> list[Json]:
        """Predictions for tasks that were opened and have none: of the trimap that somebody has
        submitted, if there is one."""
        found = []
        for task in tasks:
            try:
                data, result = read_data(task), _latest(task.get("annotations"))
                if result or self._needs_trimap:
                    drawn = read_drawn(result, data.height, data.width)
                else:
                    drawn = Drawn.alone(np.full((data.height, data.width), UNKNOWN, np.uint8))
                alpha = self._solution(self._photo(task["data"]), drawn)
            except BadAnnotationError:
                return []  # all or none: the server matches them by their order
            found.append(prediction_of(self.name, alpha) | {"score": 1.0})
        return found

    def _solution(self, photo: Pixels, drawn: Drawn) -> Pixels:
        with self._lock:
            return drawn.with_solution(self._solve(photo, drawn.trimap))

    def _photo(self, data: Mapping[str, Any]) -> Pixels:
        path = picture_path(data.get("image"), self.project.files)
        if path is None:
            raise BadAnnotationError("its picture is not where push puts pictures")
        return read_photo(self.project.client.get_bytes(path))

    def _show(self, number: int, task: Json, photo: Pixels, alpha: Pixels) -> None:
        """Beside the editor, while the person who waited for the alpha looks at it."""
        show_alpha(self.project, {}, TaskSummary(number, task["data"], "", 0, 0), photo, alpha)

    def _painted(self, task: Json, number: int) -> Json:
        """The regions on somebody's screen. The browser saves them as a draft some seconds after
        the last stroke, so that the draft on the server may lack it."""
        begin = datetime.now(UTC).isoformat()
        end = time.monotonic() + _UNSAVED
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
