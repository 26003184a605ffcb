"""From a click with Solve to the alpha: `python -m tests.bench.assist [--checkpoint C]`.

On a real server, with a photo of alphamatting.com that is enlarged to `--side` squared pixels and
its own trimap; of 20 such trimaps, the median has 11 % unknown pixels. The server gets what is
painted when the backend first asks for it, so that nothing is waited for but what is ours: a
browser saves it up to five seconds after a stroke. It takes about two minutes.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np

from annotation.assist import Assistant, listen, register
from annotation.form.tasks import prediction_of
from annotation.push import Sources, push
from annotation.serve import Service, serving
from annotation.server.client import Client
from annotation.server.find import existing_project
from annotation.server.project import Project
from annotation.solve import warm_solver
from annotation.worker import trained_model
from manifests.pictures import read_photo, read_trimap
from manifests.pixels import Pixels
from tests.annotation.conftest import PASSWORD, USER, quiet, server_venv, tasks_of, warmed_template
from tests.annotation.loop import ALPHAMATTING
from tests.ports import free_port

PHOTO, REPEATS = "GT11", 5
Result = TypeVar("Result")


class Watch:
    """Seconds of each part, by its name."""

    def __init__(self) -> None:
        self.seconds = defaultdict[str, float](float)

    def timed(self, part: str, work: Callable[..., Result]) -> Callable[..., Result]:
        def run(*arguments: Any) -> Result:
            begin = time.monotonic()
            try:
                return work(*arguments)
            finally:
                self.seconds[part] += time.monotonic() - begin

        return run


class Watched(Project):
    """A project that tells how long the requests of an assistant take.

    save: gives what is painted to the server; called when somebody first asks for it.
    """

    def __init__(self, project: Project, watch: Watch, save: Callable[[], None]) -> None:
        super().__init__(project.client, project.id, project.title)
        self.watch, self._save = watch, save
        self.is_saved = False

    def drafts(self, task: int) -> list[dict[str, Any]]:
        if not self.is_saved:
            self._save()
            self.is_saved = True
        return self.watch.timed("asking for drafts", super().drafts)(task)

    def add_prediction(self, task: int, prediction: Any) -> bool:
        return self.watch.timed("keeping the prediction", super().add_prediction)(task, prediction)


def sources(folder: Path, photo: str, side: int) -> Pixels:
    """Write the photo; its trimap."""
    image = read_photo(ALPHAMATTING / "input" / f"{photo}.png")
    trimap = read_trimap(ALPHAMATTING / "trimap1" / f"{photo}.png")
    scale = side / (image.shape[0] * image.shape[1]) ** 0.5
    height, width = (round(scale * n) for n in trimap.shape)
    shrunk = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    folder.mkdir()
    cv2.imwrite(str(folder / "photo.jpg"), shrunk[..., ::-1], (cv2.IMWRITE_JPEG_QUALITY, 95))
    return np.asarray(
        cv2.resize(trimap, (width, height), interpolation=cv2.INTER_NEAREST), np.uint8
    )


def measure(
    project: Project, task: int, trimap: Pixels, name: str, solve: Any, needs_trimap: bool
) -> Iterator[dict[str, float]]:
    """Each click's seconds, in all and of each part."""
    client, painted = project.client, {"result": prediction_of("", trimap=trimap)["result"]}
    draft, watch = client.post(f"/api/tasks/{task}/drafts", painted)["id"], Watch()
    seen = Watched(project, watch, lambda: client.patch(f"/api/drafts/{draft}/", painted))
    assistant = Assistant(seen, name, watch.timed("solving", solve), needs_trimap=needs_trimap)
    with listen(assistant, free_port()) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        register(project, f"http://127.0.0.1:{server.server_port}", name)
        (backend,) = client.get("/api/ml/", project=project.id)
        path = f"/api/ml/{backend['id']}/interactive-annotating"
        for _ in range(REPEATS):
            watch.seconds.clear()
            seen.is_saved = False
            begin = time.monotonic()
            answer = client.post(path, {"task": task, "context": {"result": []}})
            if "data" not in answer:
                raise SystemExit(f"no alpha: {answer}")
            yield {"from click to alpha": time.monotonic() - begin, **watch.seconds}
            time.sleep(2)  # the preview is drawn meanwhile
        server.shutdown()


@contextmanager
def methods(checkpoint: str | None) -> Iterator[list[tuple[str, Any, bool]]]:
    """Names, solvers, and whether they need a trimap."""
    found = [("closed-form", warm_solver(), True)]
    with ExitStack() as later:
        if checkpoint is not None:
            model = later.enter_context(trained_model(checkpoint))
            found.append((model.name, model.alpha, False))
        yield found


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark and print a table or JSON: the median of each part."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", help="Also measure a trained model.")
    parser.add_argument("--photo", default=PHOTO, help="GT01 to GT20.")
    parser.add_argument("--side", type=int, default=1000, help="Root of the photo's pixels.")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    venv = server_venv()
    template = warmed_template(venv)
    figures: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        shutil.copytree(template, root / "data")
        token = (root / "data" / "token").read_text()
        trimap = sources(root / "photos", options.photo, options.side)
        service = Service(root / "data", free_port(), venv, USER, PASSWORD, token)
        with (
            serving(service),
            Client(service.url, token) as client,
            methods(options.checkpoint) as found,
        ):
            for name, solve, needs_trimap in found:
                push(client, f"clicks {name}", Sources(root / "photos"), quiet)
                project = existing_project(client, f"clicks {name}")
                (task,) = tasks_of(project).values()
                clicks = [*measure(project, task, trimap, name, solve, needs_trimap)][1:]
                figures[name] = {
                    part: float(np.median([one.get(part, 0.0) for one in clicks]))
                    for part in clicks[0]
                }
    if options.json:
        print(json.dumps(figures, indent=1))
        return
    height, width = trimap.shape
    print(f"{width} x {height}, {(trimap == 1).mean():.1%} unknown; median of {REPEATS - 1} clicks")
    for name, parts in figures.items():
        for part, seconds in parts.items():
            print(f"{name:<24} {part:<24} {seconds:6.2f} s")


if __name__ == "__main__":
    main()
