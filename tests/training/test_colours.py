"""New colours: any hue, and composites of the layers as before."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.strategies import few
from training.loading.colours import NUMBERS, colour_maps, recoloured

SAME = np.eye(3, 4, dtype=np.float32)
MANY = np.random.default_rng(0).random((400, NUMBERS))


def test_some_samples_keep_their_colours_and_the_others_get_any() -> None:
    maps = colour_maps(MANY, 1.0)
    assert maps.shape == (400, 3, 4)
    assert maps.dtype == np.float32
    is_same = (maps == SAME).all(axis=(1, 2))
    assert 50 < is_same.sum() < 110
    red = maps[~is_same] @ np.array([1.0, 0.0, 0.0, 1.0])
    assert min(np.bincount(red.argmax(axis=1), minlength=3)) > 70, "red becomes any hue"
    grey = maps @ np.array([0.5, 0.5, 0.5, 1.0])
    assert 0.25 < grey.min() < grey.max() < 0.75, "what is grey stays nearly so"
    contrast = (maps @ np.array([1.0, 1.0, 1.0, 0.0])).mean(axis=1)
    assert 0.5 < contrast.min() < 0.65
    assert 1.5 < contrast.max() < 1.9


def test_a_map_is_its_own_numbers() -> None:
    """Whatever else is in the batch."""
    maps = colour_maps(MANY, 1.0)
    for n in (0, 1, 399):
        assert np.array_equal(colour_maps(MANY[n : n + 1], 1.0)[0], maps[n])


def test_at_strength_0_no_colour_changes_and_near_0_by_little() -> None:
    assert (colour_maps(MANY, 0.0) == SAME).all()
    assert np.abs(colour_maps(MANY, 0.01) - SAME).max() < 0.05


@given(seed=st.integers(0, 2**32 - 1))
@few
def test_new_colours_are_a_composite_of_new_layers(seed: int) -> None:
    rng = np.random.default_rng(seed)
    maps = colour_maps(rng.random((2, NUMBERS)), 1.0).astype(np.float64)
    foreground, background = rng.random((2, 2, 3, 5, 7))
    alpha = rng.random((2, 1, 5, 7))

    def changed(colours: NDArray[np.float64]) -> NDArray[np.float64]:
        found = recoloured(torch.from_numpy(colours), torch.from_numpy(maps))
        assert found.is_contiguous(memory_format=torch.channels_last)
        return np.asarray(found)

    expected = np.einsum("nij,njhw->nihw", maps[..., :3], foreground) + maps[..., 3, None, None]
    np.testing.assert_allclose(changed(foreground), expected, atol=1e-12)
    image = alpha * foreground + (1 - alpha) * background
    again = alpha * changed(foreground) + (1 - alpha) * changed(background)
    np.testing.assert_allclose(changed(image), again, atol=1e-12)
