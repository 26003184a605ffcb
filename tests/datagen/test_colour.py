"""The hue and the middle of the contrast against independent definitions."""

from __future__ import annotations

import cmath
import colorsys
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datagen.sample.colour import colour_matrix
from manifests.samples import Colour


@given(
    st.tuples(*[st.integers(90, 165)] * 3), st.floats(-180, 180)
)  # muted, so that every turn stays a colour
def test_hue_turns_the_plane_of_the_two_chrominances(
    rgb: tuple[int, int, int], degrees: float
) -> None:
    """The standard library's YIQ, whose digits differ slightly."""
    y, i, q = colorsys.rgb_to_yiq(*rgb)
    turned = complex(i, q) * cmath.exp(1j * math.radians(degrees))
    expected = np.multiply(colorsys.yiq_to_rgb(y / 255, turned.real / 255, turned.imag / 255), 255)
    found = colour_matrix(Colour(1.0, 1.0, 1.0, degrees))[:, :3] @ np.array(rgb)
    assert np.abs(found - expected).max() < 2.5


@pytest.mark.parametrize("contrast", [0.0, 0.5, 2.0])
def test_contrast_leaves_the_middle_between_0_and_255_where_it_is(contrast: float) -> None:
    matrix = colour_matrix(Colour(1.0, contrast, 1.0, 0.0))
    assert (matrix @ np.array([127.5, 127.5, 127.5, 1.0]) == 127.5).all()
