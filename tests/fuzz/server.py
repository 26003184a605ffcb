"""What a Label Studio server sends: tasks with annotations, brush regions and bitmasks."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from annotation.files.photos import Photo, photo_id
from annotation.form.bitmask import decode_bitmask
from annotation.form.brush import decode_brush, encode_brush
from annotation.form.regions import BadAnnotationError, RegionLabel, choice, stroke
from annotation.form.results import read_chosen, read_result
from annotation.form.tasks import read_task, task_of
from manifests.documents import parse_json
from manifests.pixels import Pixels

SIZE = 8, 9


def _alpha() -> Pixels:
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    alpha: Pixels = np.clip(300 - 60 * np.hypot(y - 4, x - 4), 0, 255).astype(np.uint8)
    return alpha


def _trimap() -> Pixels:
    alpha = _alpha()
    return np.where(alpha == 255, 2, alpha > 0).astype(np.uint8)


def server_seeds(folder: Path) -> list[bytes]:
    """Tasks as the server sends them, painted in each way, and judged."""
    photo = Photo(photo_id("a b.jpg"), "a b.jpg", Path("a b.jpg"), "ab" * 32, *SIZE, True)
    hard = np.where(_trimap() == 2, 255, 0).astype(np.uint8)
    soft = np.where(_trimap() == 1, 255, 0).astype(np.uint8)
    regions = [stroke(RegionLabel.FOREGROUND, hard), stroke(RegionLabel.UNKNOWN, soft)]
    results: list[list[dict[str, Any]]] = [
        [stroke(RegionLabel.ALPHA, _alpha()), choice("subject", "human")],
        [*regions, choice("review", "approved")],
        [choice("review", "rejected"), choice("transparency", "Highly")],
    ]
    made = []
    for alpha, trimap in ((_alpha(), None), (None, _trimap())):
        task = task_of(photo, "/data/upload/3/x.jpg", "cd" * 32, alpha=alpha, trimap=trimap)
        task |= {"id": 7, "project": 3, "updated_at": "2026-11-22T10:00:00.000000Z"}
        for prediction in task["predictions"]:
            prediction |= {"id": 40, "created_at": "2026-11-22T09:00:00.000000Z"}
        task["annotations"] = [
            {
                "id": 21 + number,
                "result": [{"origin": "manual", **region} for region in result],
                "completed_by": {"id": 1, "email": "anna@example.org"},
                "created_at": "2026-11-22T11:00:00.000000Z",
                "was_cancelled": False,
                "parent_prediction": 40,
            }
            for number, result in enumerate(results)
        ]
        made.append(json.dumps(task).encode())
    return made


def read_server_task(data: bytes, folder: Path) -> None:
    """As pull reads it. BadAnnotationError is a ValueError."""
    found = parse_json(data)
    if not isinstance(found, dict):  # the client refuses it
        return
    task = read_task(found)
    for annotation in task.annotations:
        for read in (read_chosen, read_result):
            try:
                read(task, annotation)
            except BadAnnotationError:
                continue


def brush_seeds(folder: Path) -> list[bytes]:
    """Brush regions, as the bytes of their list."""
    return [bytes(encode_brush(_alpha())), bytes(encode_brush(np.zeros(SIZE, np.uint8)))]


def read_brush(data: bytes, folder: Path) -> None:
    """Of the size that the task's data states."""
    assert decode_brush(list(data), *SIZE).shape == SIZE


def bitmask_seeds(folder: Path) -> list[bytes]:
    """PNGs with alpha."""
    buffers = [io.BytesIO(), io.BytesIO()]
    Image.fromarray(np.dstack([_alpha()] * 4)).save(buffers[0], "PNG")
    Image.fromarray(np.dstack([_alpha()] * 2)).save(buffers[1], "PNG")
    return [buffer.getvalue() for buffer in buffers]


def read_bitmask(data: bytes, folder: Path) -> None:
    """As the data URL of a region."""
    url = "data:image/png;base64," + base64.b64encode(data).decode()
    assert decode_bitmask(url, *SIZE).shape == SIZE
