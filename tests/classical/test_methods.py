"""The two classical methods and the colours under alpha, on toy pictures and on real ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from classical.colours import cutout_of
from classical.methods import Method, solve
from manifests.pictures import read_alpha, read_photo, read_trimap
from manifests.pixels import BACKGROUND, FOREGROUND, UNKNOWN, Pixels
from training.matte.metrics import measure

DATA = Path(__file__).parents[3] / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"the real data is not at {DATA}")
METHODS = pytest.mark.parametrize("method", Method)


def problem() -> tuple[Pixels, Pixels, Pixels]:
    """Orange over blue with a soft vertical edge: image, alpha, trimap; 24 x 40."""
    ramp = np.clip((np.arange(40) - 14.5) / 9, 0, 1)
    alpha = np.tile(np.rint(255 * ramp).astype(np.uint8), (24, 1))
    orange, blue = np.array([230.0, 140, 20]), np.array([20.0, 40, 180])
    opacity = alpha[..., None] / 255
    image = np.rint(opacity * orange + (1 - opacity) * blue).astype(np.uint8)
    trimap = np.full((24, 40), UNKNOWN, np.uint8)
    trimap[:, :10], trimap[:, 30:] = BACKGROUND, FOREGROUND
    return image, alpha, trimap


@METHODS
def test_a_soft_edge_is_found(method: Method) -> None:
    image, alpha, trimap = problem()
    solved = solve(method, image, trimap)
    assert solved.dtype == np.uint8
    assert (solved[trimap == FOREGROUND] == 255).all()
    assert not solved[trimap == BACKGROUND].any()
    hard = np.where(trimap == UNKNOWN, 128, alpha).astype(np.uint8)
    found, worse = measure(solved, alpha, trimap).sad, measure(hard, alpha, trimap).sad
    assert found is not None
    assert worse is not None
    assert found < worse / 3


@METHODS
@pytest.mark.parametrize(
    ("codes", "levels"),
    [
        ([0, 2, 0], [0, 255, 0]),
        ([0, 0, 0], [0, 0, 0]),
        ([2, 2, 2], [255, 255, 255]),
        ([0, 1, 1], [0, 0, 0]),
        ([1, 2, 1], [255, 255, 255]),
    ],
)
def test_trimaps_that_decide_by_themselves(
    method: Method, codes: list[int], levels: list[int]
) -> None:
    image = np.arange(27, dtype=np.uint8).reshape(3, 3, 3)
    trimap = np.tile(np.array(codes, np.uint8), (3, 1))
    assert solve(method, image, trimap).tolist() == [levels] * 3


@METHODS
def test_nothing_known_is_refused(method: Method) -> None:
    image = np.zeros((4, 4, 3), np.uint8)
    with pytest.raises(ValueError, match=f"{method}: the trimap is unknown everywhere"):
        solve(method, image, np.ones((4, 4), np.uint8))


def test_other_arrays_are_refused() -> None:
    image, alpha, trimap = problem()
    with pytest.raises(ValueError, match="24 x 40 x 3 uint8, 40 x 24 uint8: expected"):
        solve(Method.KNN, image, trimap.T)
    with pytest.raises(ValueError, match=r"codes \[0, 128, 255\]"):
        solve(Method.KNN, image, (trimap * 127.5 + 0.5).astype(np.uint8))
    with pytest.raises(ValueError, match="24 x 40 float32: expected"):
        cutout_of(image, alpha.astype(np.float32))


def test_the_old_background_is_taken_out_of_the_colours() -> None:
    image, alpha, _ = problem()
    cutout = cutout_of(image, alpha)
    assert cutout.shape == (24, 40, 4)
    np.testing.assert_array_equal(cutout[..., 3], alpha)
    np.testing.assert_array_equal(cutout[alpha == 255, :3], image[alpha == 255])
    soft = (alpha > 60) & (alpha < 200)
    away = np.abs(cutout[soft, :3].astype(float) - [230, 140, 20]).mean()
    assert away < np.abs(image[soft].astype(float) - [230, 140, 20]).mean() / 5


@pytest.mark.parametrize("level", [0, 255])
@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (6, 5)])
def test_colours_of_small_and_plain_pictures(level: int, shape: tuple[int, int]) -> None:
    image = np.full((*shape, 3), 77, np.uint8)
    cutout = cutout_of(image, np.full(shape, level, np.uint8))
    assert cutout.shape == (*shape, 4)
    assert level == 0 or (cutout[..., :3] == 77).all()


@pytest.mark.slow
@needs_data
@METHODS
def test_a_real_picture_as_others_solved_it(method: Method) -> None:
    """GT05 and `trimap1` beside the predictions that the golden metrics belong to: equal, but
    for a pixel whose alpha is between two levels."""
    folder = DATA / "alphamatting"
    trimap = read_trimap(folder / "trimap1" / "GT05.png")
    solved = solve(method, read_photo(folder / "input" / "GT05.png"), trimap)
    theirs = read_alpha(DATA / "metrics" / method.replace("-", "_") / "GT05.png")
    away = np.abs(solved.astype(int) - theirs)
    assert (int(away.max()) <= 1, np.count_nonzero(away) < 40) == (True, True)
