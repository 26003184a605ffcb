"""Painted trimaps -> alphas: against the layers they come from, and the field's own benchmark."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from annotation.closed_form import check_solvable, closed_form, impose
from annotation.files.companions import read_trimap
from annotation.files.photos import read_image
from annotation.solve import Solved, solve_folder
from manifests.annotations import (
    Kind,
    Origin,
    State,
    pixels_sha256,
    read_annotations,
    solved_path,
)
from manifests.pixels import Pixels, decode_alpha, encode_alpha, trimap_of
from tests.annotation.pulled import add, photo_of, soft_alpha, trimap, write
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


def test_a_folder_is_solved_once(tmp_path: Path) -> None:
    rows = [
        add(tmp_path, "a/x.jpg", trimap(), Kind.TRIMAP),
        add(tmp_path, "b/x.jpg", trimap(1), Kind.TRIMAP),
        add(tmp_path, "c.jpg", trimap(3), Kind.TRIMAP, accepted=False),
        add(tmp_path, "d.jpg", soft_alpha()),
        add(tmp_path, "e.jpg", trimap(3), Kind.TRIMAP, state=State.REJECTED),
    ]
    write(tmp_path, *rows)
    done = list[int]()
    assert solve_folder(tmp_path, on_done=done.append) == Solved(2, 0, ())
    assert done == [1, 2]
    made = {row.photo_file: row for row in read_annotations(solved_path(tmp_path))}
    assert sorted(made) == ["a/x.jpg", "b/x.jpg"]
    for row in rows[:2]:
        one = made[row.photo_file]
        alpha = decode_alpha((tmp_path / one.path).read_bytes())
        assert one.path == f"solved/{row.photo_id}.png"
        assert one.pixels_sha256 == pixels_sha256(alpha)
        assert (one.pushed_sha256, one.model, one.author) == (
            *(row.pixels_sha256, "closed-form", "closed-form"),
        )
        assert (one.kind, one.state, one.origin) == (Kind.ALPHA, State.SUBMITTED, Origin.PREDICTION)
        assert (one.author_kind, one.accepted, one.subject) == ("model", False, "non-human")

    before = (tmp_path / made["a/x.jpg"].path).stat().st_mtime_ns
    assert solve_folder(tmp_path) == Solved(0, 2, ())
    assert (tmp_path / made["a/x.jpg"].path).stat().st_mtime_ns == before
    write(tmp_path, add(tmp_path, "a/x.jpg", trimap(3), Kind.TRIMAP), rows[1])
    (tmp_path / made["b/x.jpg"].path).write_bytes(b"")
    assert solve_folder(tmp_path) == Solved(2, 0, ()), "another trimap, and a damaged result"
    assert decode_alpha((tmp_path / made["b/x.jpg"].path).read_bytes()).any()


def test_what_cannot_be_solved_is_named_and_the_rest_is_done(tmp_path: Path) -> None:
    no_photo = add(tmp_path, "a.jpg", trimap(), Kind.TRIMAP, photo_path="photos/none.png")
    small = add(tmp_path, "b.jpg", trimap(), Kind.TRIMAP)
    Image.fromarray(photo_of(soft_alpha())[1:]).save(tmp_path / small.photo_path)
    flat = add(tmp_path, "c.jpg", np.zeros((40, 52), np.uint8), Kind.TRIMAP)
    write(tmp_path, no_photo, small, flat, add(tmp_path, "d.jpg", trimap(), Kind.TRIMAP))
    found = solve_folder(tmp_path)
    assert (found.written, found.kept) == (1, 0)
    reasons = dict(found.failed)
    assert "none.png" in reasons["a.jpg"]
    assert "39 x 52" in reasons["b.jpg"]
    assert "no foreground: paint" in reasons["c.jpg"]
    assert "no unknown" in reasons["c.jpg"]


def test_alphas_of_a_model_count_where_the_trimap_is_unknown(tmp_path: Path) -> None:
    row = add(tmp_path, "a.jpg", trimap(), Kind.TRIMAP)
    write(tmp_path, row, add(tmp_path, "b.jpg", trimap(), Kind.TRIMAP))
    alpha = np.full((40, 52), 77, np.uint8)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / f"{row.photo_id}.png").write_bytes(encode_alpha(alpha))
    found = solve_folder(tmp_path, "net-3", alphas=tmp_path / "model")
    assert found.written == 1
    assert [file for file, _ in found.failed] == ["b.jpg"]
    (made,) = read_annotations(solved_path(tmp_path))
    assert (made.model, made.author) == ("net-3", "net-3")
    stored = decode_alpha((tmp_path / made.path).read_bytes())
    assert (stored == impose(alpha, trimap())).all()
    assert solve_folder(tmp_path, "net-3", alphas=tmp_path / "model").kept == 1
    assert read_annotations(solved_path(tmp_path)) == [made]
    (tmp_path / "model" / f"{row.photo_id}.png").write_bytes(encode_alpha(alpha + np.uint8(1)))
    assert solve_folder(tmp_path, "net-3", alphas=tmp_path / "model").written == 1


def test_wrong_use_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="annotate pull"):
        solve_folder(tmp_path)
    with pytest.raises(ValueError, match="method 'magic'"):
        solve_folder(tmp_path, "magic")
    with pytest.raises(ValueError, match="name of their model"):
        solve_folder(tmp_path, alphas=tmp_path)


def test_a_solved_row_points_to_its_trimap(tmp_path: Path) -> None:
    """By the hash of the pixels, so that a later approval of those pixels leads back to both."""
    row = add(tmp_path, "a.jpg", trimap(), Kind.TRIMAP)
    write(tmp_path, row)
    solve_folder(tmp_path)
    (made,) = read_annotations(solved_path(tmp_path))
    approved = replace(made, state=State.APPROVED, pushed_sha256=made.pixels_sha256)
    assert approved.pushed_sha256 == pixels_sha256(
        decode_alpha((tmp_path / made.path).read_bytes())
    )
    assert made.changed_share == pytest.approx((trimap() == 1).mean())


@pytest.mark.skipif(
    not DATA.is_dir(), reason="the benchmark's pictures in ../shared/data are absent"
)
@pytest.mark.parametrize("name", ["GT01", "GT15"])
def test_the_benchmark(name: str) -> None:
    """Its SAD is that of the published method, within a fiftieth."""
    path = DATA / "alphamatting" / "trimap1" / f"{name}.png"
    image = read_image(DATA / "alphamatting" / "input" / f"{name}.png")
    painted = read_trimap(path, *image.shape[:2])
    alpha = closed_form(image, painted)
    truth = np.asarray(Image.open(DATA / "alphamatting" / "gt" / f"{name}.png").convert("L"))
    wrong = np.abs(alpha.astype(float) - truth)[painted == 1].sum() / 255 / 1000
    with (DATA / "metrics" / "golden.csv").open(newline="") as file:
        golden = {(row["method"], row["name"]): float(row["sad"]) for row in csv.DictReader(file)}
    assert wrong == pytest.approx(golden["closed_form", name], rel=0.02)
    assert (trimap_of(alpha)[painted != 1] == painted[painted != 1]).all()
