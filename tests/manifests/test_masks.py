"""Masks of others are read, whatever form they have."""

from __future__ import annotations

import json
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from manifests.masks import _runs, decode_runs, read_mask
from manifests.pictures import PictureError
from manifests.pixels import Pixels


def disc() -> Pixels:
    y, x = np.mgrid[:90, :120]
    return np.asarray(np.hypot(y - 40, x - 70) < 30, np.uint8)


def runs_of(mask: Pixels) -> list[int]:
    """Down the columns, beginning with zeros."""
    runs = [(value, len(list(group))) for value, group in groupby(mask.T.ravel().tolist())]
    return [0] * runs[0][0] + [length for _, length in runs]


def rle_of(mask: Pixels) -> dict[str, list[int]]:
    return {"size": list(mask.shape), "counts": runs_of(mask)}


def test_every_form_of_a_mask_is_read(tmp_path: Path) -> None:
    mask = disc()
    soft = np.where(mask, 140, 90).astype(np.uint8)
    forms = {"ones": mask, "full": mask * 255, "probabilities": soft}
    for name, pixels in forms.items():
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    rle = rle_of(mask)
    for name, found in {
        "plain": rle,
        "annotation": {"segmentation": rle, "area": 3},
        "sam": {"image": {}, "annotations": [{"segmentation": rle}]},
        "list": [{"segmentation": rle}],
    }.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(found))
    for path in tmp_path.iterdir():
        assert np.array_equal(read_mask(path), mask), path


@pytest.mark.parametrize(
    ("text", "runs"),
    [
        # One letter is five bits and the sign to go on, plus 48; from the fourth number on it is
        # the difference from the last but one.
        ("324", [3, 2, 4]),
        ("3245", [3, 2, 4, 7]),
        ("394I", [3, 9, 4, 2]),
        ("X1", [40]),
        ("", []),
    ],
)
def test_the_text_of_runs(text: str, runs: list[int]) -> None:
    assert _runs(text) == runs


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_runs_come_back(height: int, width: int, seed: int) -> None:
    mask = np.random.default_rng(seed).integers(0, 2, (height, width), np.uint8)
    assert np.array_equal(decode_runs(runs_of(mask), height, width), mask)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[]", "it holds 0 masks"),
        ('[{"a": 1}, {"a": 2}]', "it holds 2 masks"),
        ('{"size": [9, 9]}', "no 'counts'"),
        ('{"size": [9, 9], "counts": [80]}', "runs of 80 pixels for 9 x 9"),
        ('{"size": [9, 9], "counts": [90, -9]}', "runs of 81 pixels for 9 x 9"),
        ('{"size": [99999, 99999], "counts": [1]}', "size 99999 x 99999"),
        ('{"size": [9, 9.5], "counts": [1]}', "9.5 is not a whole number"),
        ('{"size": [9, 9], "counts": "~"}', "'~' in counts"),
        ('{"size": [9, 9], "counts": "X"}', "counts end inside a number"),
        ('{"size": [9, 9], "counts": "\\u00e9"}', "ascii"),
        ("3", "3 where size and counts are expected"),
        ("{", ""),
    ],
)
def test_what_is_no_mask(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(PictureError, match=r"a\.json: is not a mask") as error:
        read_mask(tmp_path / "a.json")
    assert reason in str(error.value)


def test_classes_are_not_taken_for_a_mask(tmp_path: Path) -> None:
    Image.fromarray(disc() * 15).save(tmp_path / "a.png")
    with pytest.raises(PictureError, match=r"a\.png: has levels from 0 to 15; if these"):
        read_mask(tmp_path / "a.png")
