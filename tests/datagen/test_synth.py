from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from datagen.sources.transparency import measure_transparency
from datagen.synth import (
    CELLS,
    draw_foreground,
    foreground_cells,
    make_background,
    make_foreground,
    write_sources,
)
from datagen.synth.backgrounds import SCENES, spectrum_slope
from datagen.synth.curves import ellipse, ribbon
from datagen.synth.paint import (
    blank,
    fill,
    lay,
    open_stencil,
    polygon_coverage,
    stencil_layer,
    straight,
    tinted,
    to_stencil,
)
from manifests.sources import Subject, Transparency

SIZE = 256
# A hard edge is one pixel wide at any size: too much of a solid body of less than about 300 px.
SOLID_SIZE = 400


# ---- coverage -----------------------------------------------------------------------------------


@pytest.mark.parametrize("radius", [0.3, 5.3, 40.7, 90.0])
def test_coverage_of_a_disc_is_its_area(radius: float) -> None:
    coverage = polygon_coverage([ellipse(100.3, 97.9, radius, radius, count=4000)], 200, 200)
    assert coverage.sum() == pytest.approx(np.pi * radius**2, rel=1e-5)
    assert coverage.max() <= 1
    assert coverage.min() >= 0


def test_coverage_equals_dense_sampling() -> None:
    shape = ellipse(20.2, 15.7, 13.1, 6.4, 0.7, 400)
    coverage = polygon_coverage([shape], 32, 40)
    fine = (np.arange(40 * 32) + 0.5) / 32
    x, y = np.meshgrid(fine, fine[: 32 * 32])
    c, s = np.cos(0.7), np.sin(0.7)
    u, v = c * (x - 20.2) + s * (y - 15.7), -s * (x - 20.2) + c * (y - 15.7)
    inside = (u / 13.1) ** 2 + (v / 6.4) ** 2 < 1
    sampled = inside.reshape(32, 32, 40, 32).mean(axis=(1, 3))
    np.testing.assert_allclose(coverage, sampled, atol=0.012)


def test_coverage_of_holes_overlaps_and_cut_off_shapes() -> None:
    outer, inner = ellipse(20, 20, 15, 15, count=800), ellipse(20, 20, 5, 5, count=800)
    ring = polygon_coverage([outer, inner[::-1]], 40, 40)
    assert ring.sum() == pytest.approx(np.pi * (225 - 25), rel=1e-4)
    np.testing.assert_allclose(polygon_coverage([outer, inner], 40, 40),
                               polygon_coverage([outer], 40, 40), atol=1e-6)  # fmt: skip
    box = np.array([[-9.0, -9.0], [3.25, -9.0], [3.25, 99.0], [-9.0, 99.0]])
    expected = np.tile([1, 1, 1, 0.25, 0, 0], (5, 1))
    np.testing.assert_allclose(polygon_coverage([box], 5, 6), expected, atol=1e-6)


def test_stencil_alpha_converges_to_the_exact_area() -> None:
    """The 4 x supersampling that draws hair and leaves, against the exact polygon."""
    path = np.array([[8.0, 50.0], [30.0, 20.0], [55.0, 44.0]])
    shape = ribbon(path, 7.0)
    stencil = open_stencil(64, 64)
    cv2.fillPoly(stencil, [to_stencil(shape)], (255, 255, 255, 255), cv2.LINE_8, 4)
    drawn = stencil_layer(stencil, 0.0)[..., 3]
    exact = polygon_coverage([shape], 64, 64)
    # a filled OpenCV polygon includes its outline, half a sample or an eighth of a pixel wide
    assert np.abs(drawn - exact).max() < 0.3
    assert drawn.sum() == pytest.approx(exact.sum(), rel=0.06)


# ---- layers and colours -------------------------------------------------------------------------


def test_over_is_the_formula_of_two_foregrounds() -> None:
    rng = np.random.default_rng(3)
    alpha = rng.random((2, 5, 5), np.float32)
    colour = rng.random((2, 5, 5, 3), np.float32)
    canvas = tinted(alpha[1], colour[1])
    lay(canvas, tinted(alpha[0], colour[0]))
    joint = alpha[0] + alpha[1] * (1 - alpha[0])
    mixed = alpha[0][..., None] * colour[0] + ((1 - alpha[0]) * alpha[1])[..., None] * colour[1]
    np.testing.assert_allclose(canvas[..., 3], joint, atol=1e-6)
    np.testing.assert_allclose(canvas[..., :3], mixed, atol=1e-6)


def test_paint_inside_leaves_alpha_alone() -> None:
    canvas = blank(30, 30)
    fill(canvas, ellipse(15, 15, 10, 10), (0.2, 0.4, 0.6), opacity=0.5)
    before = canvas[..., 3].copy()
    fill(canvas, ellipse(15, 15, 14, 6), (1, 0, 0), inside=True)
    np.testing.assert_array_equal(canvas[..., 3], before)
    assert straight(canvas)[15, 15, :3].tolist() == [255, 0, 0]


def test_colour_goes_on_beyond_a_disc() -> None:
    canvas = blank(64, 64)
    fill(canvas, ellipse(32, 32, 20.4, 20.4), (0.8, 0.3, 0.1))
    pixels = straight(canvas)
    assert np.ptp(pixels[..., :3].reshape(-1, 3), axis=0).max() <= 2
    assert set(np.unique(pixels[..., 3])) > {0, 255}


@pytest.mark.parametrize(
    ("subject", "transparency"), [CELLS[2], CELLS[3], CELLS[4], CELLS[6]], ids=str
)
def test_no_dark_rim_under_soft_pixels(subject: Subject, transparency: Transparency) -> None:
    """Faint and empty pixels are as bright as the opaque ones near them: nothing bleeds in."""
    pixels = make_foreground(3, subject, transparency, SOLID_SIZE, 0).astype(np.float32)
    alpha, light = pixels[..., 3], pixels[..., :3].mean(axis=2)
    body = (alpha == 255).astype(np.float32)
    reach = (0, 0), 4
    weight = cv2.GaussianBlur(body, *reach)
    near = cv2.GaussianBlur(light * body, *reach) / np.maximum(weight, 1e-6)
    rim = (weight > 0.05) & (alpha < 60)
    assert rim.sum() > 100
    assert np.abs(np.median((light - near)[rim])) < 25
    assert (light[rim] < 3).mean() < 0.02


# ---- foregrounds --------------------------------------------------------------------------------


def test_cells_are_equal() -> None:
    counts = Counter(foreground_cells(440))
    assert set(counts) == set(CELLS)
    assert set(counts.values()) == {55}
    for count in (0, 1, 7, 40, 43):
        parts = Counter(foreground_cells(count))
        assert sum(parts.values()) == count
        assert not parts or max(parts.values()) - min(parts[cell] for cell in CELLS) <= 1
    assert foreground_cells(43)[:40] == foreground_cells(40)
    with pytest.raises(ValueError, match="-1"):
        foreground_cells(-1)


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_label_is_what_alpha_says(cell: tuple[Subject, Transparency]) -> None:
    subject, transparency = cell
    size = SOLID_SIZE if transparency == Transparency.LITTLE else SIZE
    for number in (0, 9, 18):
        pixels = make_foreground(number, subject, transparency, size, seed=5)
        assert pixels.dtype == np.uint8
        assert max(pixels.shape[:2]) == size
        assert pixels.shape[2] == 4
        assert measure_transparency(pixels[..., 3]) == transparency
        assert (pixels[..., 3] > 0).mean() > 0.03


def test_a_foreground_depends_on_seed_number_and_cell_only() -> None:
    medium = (Subject.HUMAN, Transparency.MEDIUM)
    first = make_foreground(4, *medium, SIZE, 1)
    np.random.default_rng().random()
    np.testing.assert_array_equal(first, make_foreground(4, *medium, SIZE, 1))
    for other in (make_foreground(5, *medium, SIZE, 1), make_foreground(4, *medium, SIZE, 2)):
        assert other.shape != first.shape or (other != first).any()


def test_what_cannot_be_made_is_refused() -> None:
    with pytest.raises(ValueError, match="size 10 px"):
        make_foreground(0, Subject.HUMAN, Transparency.MEDIUM, 10, 0)
    with pytest.raises(ValueError, match="unlabelled"):
        draw_foreground(0, Subject.UNLABELLED, Transparency.MEDIUM, SIZE, 0)
    with pytest.raises(ValueError, match="larger size"):
        draw_foreground(0, Subject.HUMAN, Transparency.LITTLE, 64, 0)


# ---- backgrounds --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", range(len(SCENES)), ids=list(SCENES))
def test_background_spectrum_falls_like_a_photo(kind: int) -> None:
    slopes = []
    for number in (kind, kind + len(SCENES), kind + 2 * len(SCENES)):
        picture = make_background(number, 400, seed=1)
        assert picture.dtype == np.uint8
        assert max(picture.shape[:2]) == 400
        assert picture.std() > 8
        slopes.append(spectrum_slope(picture.mean(axis=2).astype(np.float32)))
    assert -2.7 < np.mean(slopes) < -1.6  # half of the real photos: -2.5 to -2.2


def test_background_channels_move_together() -> None:
    correlations = []
    for number in range(6):
        planes = make_background(number, 256, 0).reshape(-1, 3).T.astype(float)
        correlations.append(np.corrcoef(planes)[np.triu_indices(3, 1)].mean())
    assert np.median(correlations) > 0.75


def test_a_background_depends_on_seed_and_number_only() -> None:
    first = make_background(2, SIZE, 1)
    np.testing.assert_array_equal(first, make_background(2, SIZE, 1))
    assert (make_background(2, SIZE, 3).shape != first.shape) or (
        make_background(2, SIZE, 3) != first
    ).any()


# ---- folders ------------------------------------------------------------------------------------


def bytes_below(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.mark.slow
def test_folders_are_the_same_for_any_number_of_workers_and_again(tmp_path: Path) -> None:
    steps: list[int] = []
    write_sources(tmp_path / "a", 8, 3, SOLID_SIZE, 7, lambda: steps.append(1), workers=1)
    assert len(steps) == 11
    write_sources(tmp_path / "b", 8, 3, SOLID_SIZE, 7, workers=2)
    one_process = bytes_below(tmp_path / "a")
    assert one_process == bytes_below(tmp_path / "b")
    write_sources(tmp_path / "a", 8, 3, SOLID_SIZE, 7, workers=1)
    assert one_process == bytes_below(tmp_path / "a")

    with (tmp_path / "a/fgs/foregrounds.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["file", "subject", "transparency", "kind"]
    assert {(r["subject"], r["transparency"]) for r in rows} == {(str(s), str(t)) for s, t in CELLS}
    for row in rows:
        picture = cv2.imread(str(tmp_path / "a/fgs" / row["file"]), cv2.IMREAD_UNCHANGED)
        assert picture is not None
        assert measure_transparency(picture[..., 3].astype(np.uint8)) == row["transparency"]
    with (tmp_path / "a/bgs/backgrounds.csv").open(newline="") as file:
        assert [r["kind"] for r in csv.DictReader(file)] == list(SCENES)[:3]


def test_a_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "fgs").mkdir()
    (tmp_path / "fgs/mine.png").write_bytes(b"precious")
    with pytest.raises(FileExistsError, match=r"mine\.png"):
        write_sources(tmp_path, 1, 0, SIZE, workers=1)
    assert bytes_below(tmp_path) == {"fgs/mine.png": b"precious"}


def test_no_files_at_all_is_a_valid_order(tmp_path: Path) -> None:
    write_sources(tmp_path, 0, 0, workers=1)
    assert set(bytes_below(tmp_path)) == {"fgs/foregrounds.csv", "bgs/backgrounds.csv"}
