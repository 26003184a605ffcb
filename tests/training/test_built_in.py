"""The model that comes with this program."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from datagen.synth import foreground_cells, make_background, make_foreground
from manifests.pixels import UNKNOWN, Pixels, trimap_of
from tests.training.three_pictures import Capture, picture, read, run
from training import load_model
from training.checkpoint import BUILT_IN_FILE, find_model
from training.choices import Variant
from training.matte.metrics import errors_of
from training.matte.predict import TrainedModel

SIZE = 320


@pytest.fixture(scope="module")
def model() -> TrainedModel:
    return load_model(device="cpu")


def composite(number: int) -> tuple[Pixels, Pixels]:
    """A procedural subject over a procedural background that the model has never seen."""
    cutout = make_foreground(number, *foreground_cells(8)[number], SIZE, seed=90)
    height, width = cutout.shape[:2]
    photo = make_background(number, 2 * SIZE, seed=90)[:height, :width].astype(float)
    alpha = cutout[..., 3:] / 255
    image = np.rint(alpha * cutout[..., :3] + (1 - alpha) * photo).astype(np.uint8)
    return image, np.ascontiguousarray(cutout[..., 3])


def test_it_is_small_and_lean(model: TrainedModel) -> None:
    assert BUILT_IN_FILE.stat().st_size < 10e6
    assert model.network.trimap_decoder is None
    assert model.network.seen == 512
    assert sum(p.numel() for p in model.network.parameters()) == pytest.approx(4.60e6, rel=0.01)
    assert {p.dtype.itemsize for p in model.network.parameters()} == {4}


def test_it_solves_what_is_unknown(model: TrainedModel) -> None:
    """With wide trimaps its error is below that of one half, for each of eight subjects."""
    kernel = np.ones((15, 15), np.uint8)
    shares = []
    for number in range(8):
        image, alpha = composite(number)
        exact = trimap_of(alpha)
        wide = cv2.dilate((exact == UNKNOWN).astype(np.uint8), kernel)
        trimap = np.where(wide > 0, np.uint8(UNKNOWN), exact)
        half = np.array([0, 128, 255], np.uint8)[trimap]
        ours, of_half = (
            errors_of(found, alpha, trimap).sad_whole for found in (model(image, trimap), half)
        )
        shares.append(ours / of_half)
    assert max(shares) < 1, shares
    assert np.mean(shares) < 0.5, shares


def test_predict_needs_no_checkpoint(folders: Path, capsys: Capture, model: TrainedModel) -> None:
    trimaps = ("--trimaps", folders / "crude")
    ran = run(capsys, "predict", "--images", folders / "images", *trimaps, "--out", folders / "out")
    assert ran.code == 0, ran.err
    pixels = picture("hat")
    alpha = read(folders / "out" / "hat.png")
    photo = read(folders / "images" / "hat.png")
    assert (alpha == model(photo, pixels["crude_trimap"])).all()
    named = ("--checkpoint", "built-in", "--images", folders / "images", *trimaps)
    assert run(capsys, "predict", *named, "--out", folders / "named").code == 0
    assert (read(folders / "named" / "hat.png") == alpha).all()


def test_a_run_may_start_from_it() -> None:
    from training.checkpoint import load_weights

    for variant in Variant:
        found = load_weights(find_model(Path("built-in")), variant)
        assert not any(name.startswith("trimap_decoder.") for name in found)


def test_its_card_says_how_large_it_is(model: TrainedModel) -> None:
    card = (BUILT_IN_FILE.parent / "README.md").read_text()
    millions = sum(p.numel() for p in model.network.parameters()) / 1e6
    assert f"{millions:.2f} million parameters" in card
    assert f"{BUILT_IN_FILE.stat().st_size / 1e6:.1f} MB" in card
    for heading in ("Data", "Licences", "Figures", "Limits"):
        assert re.search(rf"^## {heading}$", card, re.MULTILINE), heading
