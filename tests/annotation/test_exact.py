"""Real alphas and noise come back from a real server without losing a grey level."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from annotation.push import Sources, push
from annotation.server.client import Client
from annotation.server.find import existing_project
from manifests.annotations import Origin, annotations_path, read_annotations
from manifests.pixels import Pixels, decode_alpha
from tests.annotation.conftest import (
    DATA,
    USER,
    accept,
    pulled,
    quiet,
    save_alpha,
    save_photo,
    tasks_of,
)


def real_alphas() -> list[tuple[str, Pixels]]:
    """20 of the real cut-outs, RGBA, the smaller ones: (name, H x W x 4)."""
    paths = sorted((DATA / "foregrounds").glob("*.png"), key=lambda path: path.stat().st_size)
    if not paths:
        pytest.skip(f"the real cut-outs are not at {DATA / 'foregrounds'}")
    read = [(path.name, cv2.imread(str(path), cv2.IMREAD_UNCHANGED)) for path in paths[:20]]
    return [(name, np.asarray(cutout, np.uint8)) for name, cutout in read if cutout is not None]


def exact(client: Client, title: str, folder: Path, alphas: dict[str, Pixels]) -> None:
    """Alphas through push, a submission untouched, and pull: the same."""
    sources = Sources(folder / "photos", folder / "alphas")
    assert push(client, title, sources, quiet).created == len(alphas)
    project = existing_project(client, title)
    for task in tasks_of(project).values():
        accept(project, task)
    assert pulled(project, folder / "out") == (len(alphas), [])
    rows = read_annotations(annotations_path(folder / "out"))
    assert {row.photo_file for row in rows} == set(alphas)
    for row in rows:
        found = decode_alpha((folder / "out" / row.path).read_bytes())
        assert np.array_equal(found, alphas[row.photo_file]), row.photo_file
        assert (row.origin, row.changed_share, row.author) == (Origin.PREDICTION, 0.0, USER)
        assert row.model == "pushed"
        assert row.pushed_sha256 == row.pixels_sha256


def test_real_alphas_come_back_bit_for_bit(client: Client, title: str, tmp_path: Path) -> None:
    alphas = {}
    for name, cutout in real_alphas():
        save_alpha(tmp_path / "alphas", name, cutout[..., 3])
        (tmp_path / "photos").mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / "photos" / name), cutout[..., :3])
        alphas[name] = cutout[..., 3]
    assert len(alphas) == 20
    exact(client, title, tmp_path, alphas)


def test_noise_comes_back_bit_for_bit(client: Client, title: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    alphas = {}
    for number, size in enumerate([(1, 1), (1, 257), (63, 1), (301, 200), (37, 41)]):
        name = f"noise {number}.png"
        alphas[name] = rng.integers(0, 256, size).astype(np.uint8)
        save_photo(tmp_path / "photos", name, number, *size)
        save_alpha(tmp_path / "alphas", name, alphas[name])
    exact(client, title, tmp_path, alphas)
