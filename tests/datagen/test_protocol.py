"""Composition-1k: our arrays give the images that a loop over pixels by Adobe's rule gives."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from console.commands import DONE, WRONG_USAGE
from datagen.plan import PlanError
from datagen.protocol import blend_truncated, compositions, make_comp1k
from manifests.pixels import Pixels
from tests.conftest import LocalSources, datagen, folders, here
from tests.datagen.in_process import InProcess

SIZES = [(30, 22), (50, 17), (12, 41)]  # height, width: larger, too low, too narrow for 26 x 21


def by_pixels(foreground: Image.Image, alpha: Image.Image, photo: Image.Image) -> Image.Image:
    """The rule, one pixel after the other."""
    width, height = foreground.size
    wide, high = width / photo.width, height / photo.height
    ratio = wide if wide > high else high
    if ratio > 1:
        size = math.ceil(photo.width * ratio), math.ceil(photo.height * ratio)
        photo = photo.resize(size, Image.Resampling.BICUBIC)
    out = Image.new("RGB", (width, height))
    for y in range(height):
        for x in range(width):
            a = alpha.getpixel((x, y)) / 255  # type: ignore[operator]
            both = zip(foreground.getpixel((x, y)), photo.getpixel((x, y)), strict=True)  # type: ignore[arg-type]
            out.putpixel((x, y), tuple(int(a * f + (1 - a) * b) for f, b in both))
    return out


@pytest.fixture
def given_sources(tmp_path: Path) -> LocalSources:
    rng = np.random.default_rng(5)
    for name in ("fg", "alpha", "bg"):
        (tmp_path / name).mkdir()
    for name in ("one.png", "two.jpg.png"):
        Image.fromarray(rng.integers(0, 256, (26, 21, 3), np.uint8)).save(tmp_path / "fg" / name)
        levels = rng.choice(np.array([0, 255, 128, 77, 254], np.uint8), (26, 21))
        Image.fromarray(levels).save(tmp_path / "alpha" / name)
    names = [f"{n}.png" for n in range(41)]
    for number, name in enumerate(names):
        size = SIZES[number % 3]
        Image.fromarray(rng.integers(0, 256, (*size, 3), np.uint8)).save(tmp_path / "bg" / name)
    (tmp_path / "fgs.txt").write_text("two.jpg.png\none.png\n\n")
    (tmp_path / "bgs.txt").write_text("\n".join(reversed(names)))
    return LocalSources(tmp_path / "fg", tmp_path / "bg", tmp_path / "alpha")


def test_every_image_is_that_of_the_rule(given_sources: LocalSources, tmp_path: Path) -> None:
    lists, out = (tmp_path / "fgs.txt", tmp_path / "bgs.txt"), tmp_path / "test set"
    assert make_comp1k(InProcess(), given_sources, *lists, out) == (40, [])
    assert len(list((out / "merged").iterdir())) == 40
    for foreground, name, number in (("two.jpg.png", "two.jpg", 0), ("one.png", "one", 20)):
        cutout, alpha = (Image.open(tmp_path / kind / foreground) for kind in ("fg", "alpha"))
        for k in range(4):
            photo = Image.open(tmp_path / "bg" / f"{40 - number - k}.png")
            expected = by_pixels(cutout, alpha, photo)
            with Image.open(out / "merged" / f"{name}_{k}.png") as found:
                assert np.array_equal(np.asarray(found), np.asarray(expected))
            with Image.open(out / "alpha_copy" / f"{name}_{k}.png") as found:
                assert np.array_equal(np.asarray(found), np.asarray(alpha))
            with Image.open(out / "trimaps" / f"{name}_{k}.png") as found:
                assert set(np.unique(np.asarray(found))) == {0, 128, 255}
                assert np.array_equal(np.asarray(found) == 255, np.asarray(alpha) == 255)
    before = (out / "merged" / "one_3.png").stat().st_mtime_ns
    (out / "merged" / "one_4.png").unlink()
    assert make_comp1k(InProcess(), given_sources, *lists, out) == (40, [])
    assert (out / "merged" / "one_3.png").stat().st_mtime_ns == before
    assert (out / "merged" / "one_4.png").exists()


def test_what_fails_has_a_name(given_sources: LocalSources, tmp_path: Path) -> None:
    (tmp_path / "bg" / "40.png").unlink()
    Image.new("L", (3, 3)).save(tmp_path / "alpha" / "one.png")
    lists = tmp_path / "fgs.txt", tmp_path / "bgs.txt"
    made, failed = make_comp1k(InProcess(), given_sources, *lists, tmp_path / "out")
    assert made == 19
    assert len(failed) == 21
    assert "two.jpg_0: " in failed[0]
    assert "one.png: is (26, 21), its alpha (3, 3)" in failed[1]


LEVELS = st.integers(0, 255)


@given(LEVELS, LEVELS, LEVELS)
def test_levels_are_truncated(foreground: int, alpha: int, background: int) -> None:
    f, a, b = (np.array([[level]], np.uint8) for level in (foreground, alpha, background))

    def rgb(level: Pixels) -> Pixels:
        return np.dstack([level] * 3)

    share = alpha / 255
    expected = int(share * foreground + (1 - share) * background)
    assert blend_truncated(rgb(f), a, rgb(b)).tolist() == [[[expected] * 3]]


def test_lists_that_do_not_fit() -> None:
    photos = [f"{n}.jpg" for n in range(40)]
    with pytest.raises(PlanError, match="3 foregrounds need 60 backgrounds, 20 each"):
        compositions(["a.png", "b.png", "c.png"], photos)
    with pytest.raises(PlanError, match="0 foregrounds"):
        compositions([], photos)
    with pytest.raises(PlanError, match="has a more than once"):
        compositions(["a.png", "a.jpg"], photos)
    made = compositions(["b.png", "a.png"], photos)
    assert [one.name for one in made[19:21]] == ["b_19", "a_0"]
    assert [one.background for one in made] == photos


def test_names_stay_below_their_folders(given_sources: LocalSources, tmp_path: Path) -> None:
    (tmp_path / "bgs.txt").write_text("../../victim.png\n" * 40)
    with pytest.raises(PlanError, match=r"bgs\.txt: '\.\./\.\./victim\.png' is not a name"):
        lists = tmp_path / "fgs.txt", tmp_path / "bgs.txt"
        make_comp1k(InProcess(), given_sources, *lists, tmp_path / "out")


def test_wrong_usage(sources: LocalSources, capsys: pytest.CaptureFixture[str]) -> None:
    for options, reason in {
        ("--protocol", "comp1k"): "--protocol needs --fg-list and --bg-list",
        ("--fg-list", __file__): "cannot be used without --protocol",
        ("--protocol", "comp1k", "--fg-list", __file__, "--bg-list", __file__, "--hue", "3"): (
            "leave the settings out"
        ),
    }.items():
        ran = here(capsys, "compose", *folders(sources), *options)
        assert ran.code == WRONG_USAGE
        assert reason in " ".join(ran.err.replace("│", " ").split())


@pytest.mark.slow
def test_the_command(given_sources: LocalSources, tmp_path: Path) -> None:
    ran = datagen(
        *("compose", *folders(given_sources), "--alpha", str(given_sources.alphas)),
        *("--protocol", "comp1k", "--fg-list", "fgs.txt", "--bg-list", "bgs.txt"),
        *("--out", "set", "--workers", "1"),
        cwd=tmp_path,
    )
    assert ran.code == DONE, ran
    assert "set: 40 images" in ran.out
    assert (tmp_path / "set" / "merged" / "one_19.png").exists()
