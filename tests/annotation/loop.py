"""The whole loop with the commands as people type them: photos -> annotators -> foregrounds."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from annotation.form.regions import choice
from annotation.server.client import Client
from annotation.server.find import existing_project
from manifests.annotations import annotations_path, read_annotations
from manifests.pixels import UNKNOWN, Pixels, decode_alpha
from tests.annotation.conftest import DATA, HASTY, Running, accept, annotate, paint, tasks_of
from tests.conftest import Ran

ALPHAMATTING = DATA / "alphamatting"
_CODES = np.zeros(256, np.uint8)
_CODES[[128, 255]] = 1, 2


@dataclass(frozen=True)
class Solution:
    """A solved alpha against the measured one: SAD / 1000 over the painted unknown pixels."""

    photo: str
    height: int
    width: int
    unknown: int
    sad: float


@dataclass(frozen=True)
class Loop:
    """What the loop left, and what each command printed."""

    foregrounds: Path
    solutions: tuple[Solution, ...]
    printed: tuple[tuple[str, Ran], ...]


def _read(kind: str, name: str, scale: float, resampling: int) -> Pixels:
    """A picture of the benchmark, shrunk."""
    flag = cv2.IMREAD_COLOR if kind == "input" else cv2.IMREAD_GRAYSCALE
    found = cv2.imread(str(ALPHAMATTING / kind / name), flag)
    if found is None:
        raise FileNotFoundError(f"{ALPHAMATTING / kind / name}")
    if scale == 1:
        return np.asarray(found, np.uint8)
    return np.asarray(cv2.resize(found, None, fx=scale, fy=scale, interpolation=resampling))


def run_loop(server: Running, folder: Path, title: str, names: Sequence[str], scale: float) -> Loop:
    """Push photos, paint their trimaps as an annotator would, pull, solve, push, approve, export.

    Raises AssertionError if a command fails.
    """
    photos, out, foregrounds = folder / "photos", folder / "pulled", folder / "fgs"
    shutil.rmtree(folder, ignore_errors=True)
    photos.mkdir(parents=True)
    for name in names:
        cv2.imwrite(str(photos / name), _read("input", name, scale, cv2.INTER_AREA))
    trimaps = {n: _CODES[_read("trimap1", n, scale, cv2.INTER_NEAREST)] for n in names}
    printed: list[tuple[str, Ran]] = []

    def run(*arguments: str) -> None:
        ran = annotate(server, *arguments, seconds=1200)
        printed.append((" ".join(("annotate", *arguments)), ran))
        assert ran.code == 0, ran

    project = ("--project", title)
    run("push", "--photos", str(photos), *project)
    with Client(server.url, server.token, HASTY) as client:
        found = existing_project(client, title)
        for name, task in tasks_of(found).items():
            subject = (choice("subject", "non-human"), choice("transparency", "Medium"))
            paint(found, task, trimaps[name], *subject)
        run("pull", *project, "--out", str(out))
        run("solve", "--out", str(out))
        run("push", *project, "--solved", str(out))
        for task in tasks_of(found).values():
            accept(found, task, choice("review", "approved"))
        run("pull", *project, "--out", str(out))
    run("export", "--pulled", str(out), "--out", str(foregrounds))
    run("status", *project, "--target", "16")
    solutions = []
    for row in read_annotations(annotations_path(out)):
        if not row.accepted:
            continue
        alpha = decode_alpha((out / row.path).read_bytes()).astype(float)
        truth = _read("gt", row.photo_file, scale, cv2.INTER_AREA).astype(float)
        is_unknown = trimaps[row.photo_file] == UNKNOWN
        sad = float(np.abs(alpha - truth)[is_unknown].sum() / 255 / 1000)
        size = (row.height, row.width)
        solutions.append(Solution(row.photo_file, *size, int(is_unknown.sum()), sad))
    return Loop(foregrounds, tuple(solutions), tuple(printed))
