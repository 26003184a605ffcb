"""A folder of painted trimaps -> alphas: once, and what cannot be solved is named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from annotation.printing import print_solved
from annotation.solve import Solved, solve_folder
from classical.closed_form import impose
from manifests.annotations import (
    Kind,
    Origin,
    State,
    read_annotations,
    solved_path,
)
from manifests.pixels import decode_alpha, encode_alpha, pixels_sha256
from tests.annotation.pulled import add, photo_of, soft_alpha, trimap, write

DATA = Path(__file__).parents[3] / "shared" / "data"


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
    reasons = {one.file: one.reason for one in found.failed}
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
    assert [one.file for one in found.failed] == ["b.jpg"]
    (made,) = read_annotations(solved_path(tmp_path))
    assert (made.model, made.author) == ("net-3", "net-3")
    stored = decode_alpha((tmp_path / made.path).read_bytes())
    assert (stored == impose(alpha, trimap())).all()
    assert solve_folder(tmp_path, "net-3", alphas=tmp_path / "model").kept == 1
    assert read_annotations(solved_path(tmp_path)) == [made]
    (tmp_path / "model" / f"{row.photo_id}.png").write_bytes(encode_alpha(alpha + np.uint8(1)))
    assert solve_folder(tmp_path, "net-3", alphas=tmp_path / "model").written == 1


def test_a_models_alpha_that_misses_its_range_is_solved_with_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [add(tmp_path, f"{name}.jpg", trimap(), Kind.TRIMAP) for name in "ab"]
    write(tmp_path, *rows)
    (tmp_path / "model").mkdir()
    for row, levels in zip(rows, (1, 128), strict=True):
        path = tmp_path / "model" / f"{row.photo_id}.png"
        path.write_bytes(encode_alpha(soft_alpha() // levels))
    for _ in range(2):
        found = solve_folder(tmp_path, "net-3", alphas=tmp_path / "model")
        (warning,) = found.warnings
        assert warning.file == str(path)
        assert "alpha goes from 0 to 1" in warning.reason
        assert (found.written + found.kept, found.failed) == (2, ())
    print_solved(found)
    assert f"warning: {path}: " in " ".join(capsys.readouterr().err.split())
    assert solve_folder(tmp_path).warnings == ()


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
