"""Three pictures as files, and `matte` run on them in this process."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from manifests.pixels import Pixels
from tests.conftest import Ran
from tests.training.runs import called
from tests.training.shard_sets import pixels_of
from training.matte.cli import matte_main

SIZES = {"hat": (40, 48), "fur": (33, 70), "leaf": (5, 9)}
Capture = pytest.CaptureFixture[str]


def picture(name: str) -> dict[str, Pixels]:
    return pixels_of(list(SIZES).index(name), *SIZES[name])


def levels(codes: Pixels) -> Pixels:
    return np.array([0, 128, 255], np.uint8)[codes]


def run(capsys: Capture, *arguments: object) -> Ran:
    """`matte` in this process."""
    return called(capsys, matte_main, *map(str, arguments))


def predicting(folders: Path, checkpoint: Path, out: str = "out") -> list[object]:
    """All of `matte predict`, on crude trimaps."""
    sources = ("--images", folders / "images", "--trimaps", folders / "crude")
    return ["predict", "--checkpoint", checkpoint, *sources, "--out", folders / out]


def read(path: Path) -> Pixels:
    with Image.open(path) as image:
        return np.asarray(image)


def errors(ran: Ran) -> list[str]:
    return [line for line in ran.err.splitlines() if line.startswith("error: ")]


def in_a_line(text: str) -> str:
    """What a box of typer's broke over lines."""
    return " ".join(text.replace("│", " ").split())
