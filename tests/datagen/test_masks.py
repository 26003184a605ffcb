"""Masks of others become trimaps, whatever form they have."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from console.commands import DONE, FAILED, WRONG_USAGE
from manifests.pictures import read_trimap, write_trimap
from manifests.pixels import BACKGROUND, FOREGROUND, UNKNOWN
from tests.conftest import here
from tests.manifests.test_masks import disc, rle_of


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mask, masks = disc(), tmp_path / "masks"
    (masks / "inner").mkdir(parents=True)
    Image.fromarray(mask * 255).save(masks / "inner" / "a.png")
    (masks / "b.json").write_text(json.dumps(rle_of(mask)))
    files = ("--masks", str(masks), "--out", str(tmp_path / "trimaps"))
    options = ("trimap", *files, "--inner", "0.1", "--outer", "0.15")
    ran = here(capsys, *options)
    assert (ran.code, "2 trimaps, 0 failed" in ran.err) == (DONE, True)
    trimap = read_trimap(tmp_path / "trimaps" / "inner" / "a.png")
    assert np.array_equal(trimap, read_trimap(tmp_path / "trimaps" / "b.png"))
    away = np.hypot(*(np.mgrid[:90, :120] - np.array([40, 70])[:, None, None])) - 30
    side = np.sqrt(mask.sum())
    assert (trimap[away < -0.13 * side] == FOREGROUND).all()
    assert (trimap[away > 0.19 * side] == BACKGROUND).all()
    assert (trimap[abs(away) < 0.07 * side] == UNKNOWN).all()
    (masks / "b.png").write_bytes((masks / "inner" / "a.png").read_bytes())
    (masks / "c.png").write_text("no picture")
    ran = here(capsys, *options)
    assert ran.code == FAILED
    assert "b.png: has the trimap of b.json; rename one" in " ".join(ran.err.split())
    assert "c.png" in ran.err
    ran = here(capsys, "trimap", "--masks", str(tmp_path / "none"), "--out", str(tmp_path / "o"))
    assert ran.code != DONE


def test_what_was_painted_on_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    masks, trimaps = tmp_path / "masks", tmp_path / "trimaps"
    masks.mkdir()
    for name in ("a.png", "b.png"):
        Image.fromarray(disc() * 255).save(masks / name)
    options = ("trimap", "--masks", str(masks), "--out", str(trimaps))
    assert here(capsys, *options).code == here(capsys, *options).code == DONE
    painted = read_trimap(trimaps / "a.png")
    painted[:5] = UNKNOWN
    write_trimap(trimaps / "a.png", painted)
    (trimaps / "b.png").unlink()
    ran = here(capsys, *options)
    assert (ran.code, "1 trimap, 1 failed" in ran.err) == (FAILED, True)
    assert "a.png: is there already, and differs: it was painted on" in " ".join(ran.err.split())
    assert np.array_equal(read_trimap(trimaps / "a.png"), painted)
    assert (trimaps / "b.png").exists()


def test_no_mask_takes_the_place_of_another(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    masks = tmp_path / "masks"
    masks.mkdir()
    for size, ending in ((10, "bmp"), (30, "gif"), (40, "png")):
        Image.fromarray(np.uint8(255) * (np.mgrid[:60, :60].max(0) < size)).save(
            masks / f"a.{ending}"
        )
    options = ("trimap", "--masks", str(masks), "--out")
    ran = here(capsys, *options, str(tmp_path / "out"))
    assert (ran.code, "1 trimap, 2 failed" in ran.err) == (FAILED, True)
    assert np.count_nonzero(read_trimap(tmp_path / "out" / "a.png")) < 20**2  # of a.bmp
    before = (masks / "a.png").read_bytes()
    ran = here(capsys, *options, str(masks))
    assert (ran.code, "would overwrite" in ran.err) == (WRONG_USAGE, True)
    assert (masks / "a.png").read_bytes() == before
