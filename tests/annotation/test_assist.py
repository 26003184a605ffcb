"""What an annotator paints at the moment is read, and the alpha takes its place."""

from __future__ import annotations

import json
import threading
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from annotation.assist import Assistant, listen
from annotation.form.drafts import in_place, read_drawn
from annotation.form.regions import BadAnnotationError, RegionLabel, read_content, stroke
from annotation.push import Sources, push
from annotation.server.client import Client
from annotation.server.find import existing_project
from annotation.solve import warm_solver
from manifests.annotations import Kind
from manifests.pixels import BACKGROUND, FOREGROUND, UNKNOWN, Pixels
from tests.annotation.conftest import quiet, save_photo, soft_alpha, tasks_of, trimap_of_rings
from tests.ports import free_port

SHAPE = (60, 80)


def touched(label: str, *touches: dict[str, Any], before: Pixels | None = None) -> dict[str, Any]:
    """A brush region of a draft: what it was, and strokes on it."""
    region = stroke(RegionLabel(label), np.zeros(SHAPE, np.uint8) if before is None else before)
    if before is None:
        del region["value"]["rle"]
    region["value"]["touches"] = list(touches)
    return region


def touch(kind: str, width: float, *points: tuple[float, float]) -> dict[str, Any]:
    """points: (row, column) in pixels, width: in pixels."""
    percent = [100 * p / n for row, column in points for p, n in ((column, 80), (row, 60))]
    return {"type": kind, "relativePoints": percent, "relativeStrokeWidth": 100 * width / 80}


def test_strokes_of_a_draft_are_drawn() -> None:
    before = np.zeros(SHAPE, np.uint8)
    before[40:50, 10:70] = 255
    result = [
        touched("Unknown", touch("add", 10, (20, 20), (20, 60))),
        touched("Foreground", touch("eraser", 6, (45, 40), (45, 41)), before=before),
    ]
    found = read_drawn(result, *SHAPE).trimap
    assert (found[16:24, 20:60] == UNKNOWN).all()
    assert (found[20, 16:20] == UNKNOWN).all()  # the ends are round
    assert (found[:14] == BACKGROUND).all()
    assert (found[42:48, 15:35] == FOREGROUND).all()
    assert found[45, 40] != FOREGROUND


@pytest.mark.parametrize(
    ("region", "reason"),
    [
        (touched("Unknown", {"type": "add"}), "a stroke cannot be drawn"),
        (touched("Unknown", touch("add", 3, (1, 1)) | {"relativePoints": [1]}), "malformed"),
        (touched("Unknown", touch("add", 9e9, (1, 1))), "its width"),
        (stroke(RegionLabel.ALPHA, np.full(SHAPE, 9, np.uint8)), "an alpha already"),
    ],
)
def test_what_cannot_be_solved_is_said(region: dict[str, Any], reason: str) -> None:
    with pytest.raises(BadAnnotationError, match=reason):
        read_drawn([region], *SHAPE)


def test_the_alpha_takes_the_place_of_all_regions() -> None:
    result = [
        touched("Unknown", touch("add", 3, (1, 1))) | {"id": "u"},
        {"id": "p", "from_name": "polygon"},
        {"id": "c", "from_name": "subject"},
    ]
    alpha = soft_alpha(3, *SHAPE)
    made = in_place(result, alpha)
    assert [region["id"] for region in made] == ["u", "p"]
    content = read_content(made, *SHAPE)
    assert content.kind is Kind.ALPHA
    assert (content.pixels == alpha).all()


def test_what_is_painted_on_an_alpha_corrects_it() -> None:
    """It stays as it was, hard edges too, but for the strokes and the gap around a Foreground."""
    alpha = soft_alpha(3, *SHAPE)
    alpha[:30, :40] = 0
    alpha[:10, :10] = 255
    result = [
        stroke(RegionLabel.ALPHA, alpha),
        touched("Unknown", touch("add", 6, (20, 10), (20, 30))),
        touched("Foreground", touch("add", 4, (5, 30), (5, 36))),
    ]
    drawn = read_drawn(result, *SHAPE)
    assert drawn.trimap[20, 20] == UNKNOWN
    assert (drawn.trimap[5, 31:36] == FOREGROUND).all()
    assert drawn.trimap[5, 39] == UNKNOWN  # beside what was painted
    assert drawn.trimap[12, 5] == BACKGROUND  # beside what the alpha has
    found = drawn.with_solution(np.full(SHAPE, 77, np.uint8))
    assert np.array_equal(found == 77, drawn.is_painted | (alpha == 77))
    assert np.array_equal(found[~drawn.is_painted], alpha[~drawn.is_painted])
    assert (found[20, 10:30] == 77).all()
    assert found[12, 5] == 0
    far = drawn.is_painted.copy()
    far[15:26, 4:36] = far[:10, 25:42] = False
    assert not far.any()


def test_a_submitted_trimap_is_solved_when_its_task_is_opened(
    client: Client, title: str, tmp_path: Path
) -> None:
    """By HTTP, as the server asks; a task without a trimap gets nothing, and no error."""
    save_photo(tmp_path / "photos", "a.png", 1)
    push(client, title, Sources(tmp_path / "photos"), quiet)
    project = existing_project(client, title)
    number = tasks_of(project)["a.png"]
    task = project.task(number)
    trimap = trimap_of_rings(60, 80)
    painted = [
        stroke(RegionLabel.UNKNOWN, (trimap == UNKNOWN) * np.uint8(255)),
        stroke(RegionLabel.FOREGROUND, (trimap == FOREGROUND) * np.uint8(255)),
    ]
    with listen(Assistant(project, "closed-form", warm_solver()), free_port()) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()

        def ask(path: str, body: object) -> Any:
            url = f"http://127.0.0.1:{server.server_port}{path}"
            with urllib.request.urlopen(
                urllib.request.Request(url, json.dumps(body).encode())
            ) as r:
                return json.load(r)

        assert ask("/setup", {}) == {"model_version": "closed-form"}
        assert ask("/webhook", {}) == {}
        assert ask("/predict", {"tasks": [task]}) == {"results": []}
        (found,) = ask("/predict", {"tasks": [task | {"annotations": [{"result": painted}]}]})[
            "results"
        ]
        alpha = read_content(found["result"], 60, 80).pixels
        assert found["model_version"] == "closed-form"
        assert (alpha[trimap == FOREGROUND] == 255).all()
        assert (alpha[trimap == BACKGROUND] == 0).all()
        server.shutdown()
