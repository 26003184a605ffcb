"""Closed-form matting: against the layers that pictures come from, and the field's benchmark."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from classical.closed_form import check_solvable, closed_form, impose
from manifests.pictures import read_photo, read_trimap
from manifests.pixels import Pixels, trimap_of
from tests.annotation.pulled import photo_of, soft_alpha, trimap
from tests.strategies import few, trimaps

DATA = Path(__file__).parents[3] / "shared" / "data"


def test_a_soft_disc_is_found_again() -> None:
    alpha, painted = soft_alpha(), trimap()
    found = closed_form(photo_of(alpha), painted)
    assert found.dtype == np.uint8
    assert (found[painted == 0] == 0).all()
    assert (found[painted == 2] == 255).all()
    assert np.abs(found.astype(int) - alpha)[painted == 1].mean() < 4


def test_what_is_far_from_the_unknown_does_not_count() -> None:
    """The same picture in a larger frame, whatever is there, has the same alpha."""
    image, painted = photo_of(soft_alpha()), trimap()
    wide = np.pad(image, ((30, 50), (60, 20), (0, 0)), constant_values=99)
    found = closed_form(wide, np.pad(painted, ((30, 50), (60, 20))))
    inner = found[30:-50, 60:-20]
    assert np.abs(inner.astype(int) - closed_form(image, painted)).max() <= 1
    assert found.sum() == inner.sum()


@pytest.mark.slow
@pytest.mark.parametrize("tile", [128, 150])
def test_tiles_are_close_to_the_whole(tile: int) -> None:
    """A wide unknown band of noise over two colours, cut by several tiles."""
    rows, columns = np.mgrid[:220, :330]
    away = np.hypot(rows - 110, (columns - 160) / 1.4)
    alpha = np.clip((80 - away) / 40, 0, 1)
    noise = np.random.default_rng(3).normal(0, 4, (220, 330, 3))
    colours = np.array([200.0, 60, 90]) * alpha[..., None] + 40 * (1 - alpha[..., None])
    image = (colours + noise).clip(0, 255).astype(np.uint8)
    painted = np.where(away < 35, 2, np.where(away < 85, 1, 0)).astype(np.uint8)
    whole = closed_form(image, painted).astype(int)
    parts = closed_form(image, painted, whole=tile, tile=tile).astype(int)
    is_unknown = painted == 1
    assert (parts[~is_unknown] == whole[~is_unknown]).all()
    assert np.abs(parts - whole)[is_unknown].mean() < 2
    truth = 255 * alpha
    error, of_whole = (np.abs(found - truth)[is_unknown].mean() for found in (parts, whole))
    assert error < 1.2 * of_whole + 0.5


@pytest.mark.slow
def test_nothing_but_results_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    """pymatting prints when its preconditioner needs a second try, as with these stripes."""
    image = np.full((96, 96, 3), 5, np.uint8)
    image[:, np.arange(96) // 3 % 2 == 1] = 250
    painted = np.ones((96, 96), np.uint8)
    painted[:2], painted[-2:] = 0, 2
    closed_form(image, painted)
    assert capfd.readouterr() == ("", "")


@given(trimaps())
@few
def test_a_trimap_without_all_three_is_named(painted: Pixels) -> None:
    names = {0: "no background", 1: "no unknown", 2: "no foreground"}
    missing = [name for code, name in names.items() if not (painted == code).any()]
    if not missing:
        return check_solvable(painted)
    with pytest.raises(ValueError, match="the trimap has") as stop:
        closed_form(np.zeros((*painted.shape, 3), np.uint8), painted)
    assert all(name in str(stop.value) for name in missing)
    return None


@given(trimaps(), st.integers(0, 2**32 - 1))
@few
def test_known_pixels_are_kept(painted: Pixels, seed: int) -> None:
    alpha = np.random.default_rng(seed).integers(0, 256, painted.shape, np.uint8)
    found = impose(alpha, painted)
    assert (found[painted == 1] == alpha[painted == 1]).all()
    assert (found[painted == 0] == 0).all()
    assert (found[painted == 2] == 255).all()


@pytest.mark.skipif(
    not DATA.is_dir(), reason="the benchmark's pictures in ../shared/data are absent"
)
@pytest.mark.parametrize("name", ["GT01", "GT15"])
def test_the_benchmark(name: str) -> None:
    """Its SAD is that of the published method, within a fiftieth."""
    path = DATA / "alphamatting" / "trimap1" / f"{name}.png"
    image = read_photo(DATA / "alphamatting" / "input" / f"{name}.png")
    painted = read_trimap(path)
    alpha = closed_form(image, painted)
    truth = np.asarray(Image.open(DATA / "alphamatting" / "gt" / f"{name}.png").convert("L"))
    wrong = np.abs(alpha.astype(float) - truth)[painted == 1].sum() / 255 / 1000
    with (DATA / "metrics" / "golden.csv").open(newline="") as file:
        golden = {(row["method"], row["name"]): float(row["sad"]) for row in csv.DictReader(file)}
    assert wrong == pytest.approx(golden["closed_form", name], rel=0.02)
    assert (trimap_of(alpha)[painted != 1] == painted[painted != 1]).all()
