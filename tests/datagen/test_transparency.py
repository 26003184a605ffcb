from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from datagen.sources.transparency import measure_transparency
from manifests.sources import Transparency

DATA = Path(__file__).parents[3] / "shared" / "data"


def with_shares(opaque: int, partial: int, faint: int) -> NDArray[np.uint8]:
    """An alpha of 100 subject pixels and 100 empty ones."""
    assert opaque + partial + faint == 100
    values = [255] * opaque + [128] * partial + [10] * faint + [0] * 100
    return np.array(values, np.uint8).reshape(10, 20)


@pytest.mark.parametrize(
    ("opaque", "partial", "faint", "expected"),
    [
        (100, 0, 0, Transparency.LITTLE),
        (99, 1, 0, Transparency.LITTLE),
        (98, 2, 0, Transparency.MEDIUM),
        (91, 9, 0, Transparency.MEDIUM),
        (90, 10, 0, Transparency.STRONGLY),
        (30, 70, 0, Transparency.STRONGLY),
        (29, 71, 0, Transparency.HIGHLY),
        (0, 0, 100, Transparency.HIGHLY),
        (60, 1, 39, Transparency.LITTLE),  # a faint haze is not softness
    ],
)
def test_classes_by_their_shares(
    opaque: int, partial: int, faint: int, expected: Transparency
) -> None:
    assert measure_transparency(with_shares(opaque, partial, faint)) == expected


def test_empty_surroundings_do_not_count() -> None:
    alpha = with_shares(85, 15, 0)
    assert measure_transparency(np.pad(alpha, 300)) == measure_transparency(alpha)


def test_one_pixel_is_enough() -> None:
    assert measure_transparency(np.array([[1]], np.uint8)) == Transparency.HIGHLY
    assert measure_transparency(np.array([[255]], np.uint8)) == Transparency.LITTLE


@pytest.mark.parametrize(
    "alpha", [np.zeros((4, 4), np.uint8), np.ones((4, 4), np.float32), np.ones((4, 4, 3), np.uint8)]
)
def test_what_is_no_subject_is_refused(alpha: NDArray[np.uint8]) -> None:
    with pytest.raises(ValueError, match="alpha"):
        measure_transparency(alpha)


@pytest.mark.skipif(not DATA.is_dir(), reason="the real cut-outs of ../shared/data are absent")
def test_agrees_with_labels_of_real_cutouts() -> None:
    with (DATA / "foregrounds.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    hits = 0
    for row in rows:
        with Image.open(DATA / "foregrounds" / row["file"]) as picture:
            alpha = np.asarray(picture.convert("RGBA"))[..., 3]
        hits += measure_transparency(alpha) == row["transparency"]
    assert hits >= 0.95 * len(rows)
