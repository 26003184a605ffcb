"""Pictures that are larger than the samples that a model has learned from."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.training.conftest import lively
from training.checkpoint import load_network, write_model
from training.choices import Variant
from training.matte.predict import _agreed, matte
from training.net.model import MattingModel, Prediction

SIDE = 64


class Believer(MattingModel):
    """Alpha is the red of a picture; but in a large one a part of the left half is lost.

    It stands for a network that does not know subjects larger than those it has learned from.
    """

    def forward(self, image: Tensor, trimap: Tensor) -> Prediction:
        alpha, width = image[:, :1].clone(), image.shape[-1]
        if width > SIDE:
            alpha[..., width // 16 : width * 7 // 16] = 0
        return Prediction(alpha, None)


@pytest.mark.parametrize(("seen", "middle"), [(None, 0), (SIDE, 0), (SIDE - 1, 255)])
def test_pictures_of_about_that_size_are_predicted_once(seen: int | None, middle: int) -> None:
    """Up to 1.25 times the size of the samples."""
    image, trimap = np.full((80, 80, 3), 255, np.uint8), np.ones((80, 80), np.uint8)
    model = Believer()
    model.seen = seen
    assert matte(model, image, trimap)[40, 20] == middle


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_what_is_lost_in_a_large_picture_is_found_in_a_small_one(factor: int) -> None:
    """Where both pictures agree on average, single pixels stay."""
    height, width = SIDE * factor // 2, SIDE * factor
    image, trimap = np.full((height, width, 3), 255, np.uint8), np.ones((height, width), np.uint8)
    image[::2, width * 11 // 16 :: 2] = 0
    model = Believer()
    model.seen = None
    assert matte(model, image, trimap)[1, width // 4] == 0
    model.seen = SIDE
    alpha = matte(model, image, trimap)
    assert (alpha[:, width // 4] == 255).all()
    details = slice(width * 12 // 16, width)
    assert (alpha[:, details] == image[:, details, 0]).all()


def test_both_alphas_count_where_they_begin_to_differ() -> None:
    fine = np.full((90, 90), 100, np.float32)
    for apart, expected in ((13, 100), (19.5, 109.75), (26, 126), (100, 200)):
        found = _agreed(fine, fine + np.float32(apart), 1.0)
        assert np.allclose(found, expected, atol=1e-3), apart


def test_a_file_says_what_a_model_has_seen(tmp_path: Path) -> None:
    file, old = tmp_path / "model.safetensors", tmp_path / "old.safetensors"
    model = copy.deepcopy(lively())
    for side in (None, 512):
        model.seen = side
        write_model(model, Variant.AN, file)
        assert load_network(file).seen == side
        assert load_network(file).without_trimap_decoder().seen == side
    save_file(load_file(file), old, {"variant": "an"})  # as files were before
    found = load_network(old)
    assert found.seen is None
    assert all(torch.equal(v, lively().state_dict()[n]) for n, v in found.state_dict().items())
