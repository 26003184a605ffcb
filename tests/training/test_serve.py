"""`matte serve`: a line for each request, and the alphas of `matte predict`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from manifests.storage import sha256_of
from tests.training.conftest import lively
from tests.training.three_pictures import picture, read
from training.checkpoint import MODEL
from training.matte.predict import matte
from training.matte.serve import serve

pytestmark = pytest.mark.usefixtures("one_thread")


def answers(checkpoint: Path, *requests: str) -> list[dict[str, Any]]:
    """What is said first, and then to each request."""
    lines: list[str] = []
    serve(checkpoint, "cpu", requests, lines.append)
    assert not any("\n" in line for line in lines)
    return [json.loads(line) for line in lines]


def request(image: Path, trimap: Path, out: Path) -> str:
    return json.dumps({"image": str(image), "trimap": str(trimap), "out": str(out)}) + "\n"


def test_each_request_gets_its_alpha(folders: Path, checkpoint: Path) -> None:
    images, trimaps = folders / "images", folders / "crude"
    hello, *done = answers(
        checkpoint,
        request(images / "hat.png", trimaps / "hat.png", folders / "1.png"),
        request(images / "leaf.png", trimaps / "leaf.png", folders / "2.png"),
    )
    sha256 = sha256_of(checkpoint / MODEL)
    assert hello == {"model": f"{checkpoint.parents[1].name}-{sha256[:12]}", "sha256": sha256}
    assert done == [{"out": str(folders / "1.png")}, {"out": str(folders / "2.png")}]
    for name, file in (("hat", "1.png"), ("leaf", "2.png")):
        expected = matte(lively(), picture(name)["image"], picture(name)["crude_trimap"])
        assert np.array_equal(read(folders / file), expected)


def test_what_cannot_be_answered_is_said_and_the_next_is_answered(
    folders: Path, checkpoint: Path
) -> None:
    image, trimap = folders / "images" / "hat.png", folders / "crude" / "hat.png"
    out = folders / "out.png"
    wrong: Sequence[tuple[str, str]] = [
        ("{", "the request is no JSON object"),
        ("[]", "the request is no JSON object"),
        (json.dumps({"image": 3, "out": "x"}), "no file as image and trimap"),
        (request(folders / "none.png", trimap, out), "none.png"),
        (request(image, folders / "crude" / "leaf.png", out), "they must be of one size"),
        (request(image, image, out), "coloured"),
    ]
    _, *said, last = answers(checkpoint, *(one for one, _ in wrong), request(image, trimap, out))
    for answer, (_, reason) in zip(said, wrong, strict=True):
        assert list(answer) == ["error"]
        assert reason in answer["error"]
    assert last == {"out": str(out)}


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("", "an-tw"),
        ("best", "an-tw"),
        ("best/model.safetensors", "an-tw"),
        ("checkpoints/00002000", "an-tw"),
        ("other.safetensors", "other"),
    ],
)
def test_a_model_is_called_like_its_run(
    checkpoint: Path, tmp_path: Path, path: str, name: str
) -> None:
    run = tmp_path / "an-tw"
    file = run / path if path.endswith(".safetensors") else run / (path or "best") / MODEL
    file.parent.mkdir(parents=True)
    file.symlink_to(checkpoint / MODEL)
    (hello,) = answers(run / path)
    assert hello["model"].rpartition("-")[0] == name
