"""Alphas and colours that look wrong raise a warning, and real ones do not."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from datagen.sources.scan import Scan, scan
from manifests.doubts import cutout_doubts, is_premultiplied, photo_doubts, was_jpeg
from manifests.pictures import read_cutout, read_photo
from tests.picture_files import colours, png16, save
from tests.strategies import few

DATA = Path(__file__).parents[3] / "shared/data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"the real data is not at {DATA}")

# Cut-outs of ../shared/data/full whose colours really are premultiplied.
PREMULTIPLIED = {
    *(f"magic123_data__{number:03}.png" for number in (6, 7, 8, 10, 11, 12, 13, 16, 17, 18)),
    *(f"rembg_examples__{number:03}.png" for number in (4, 6, 7, 8, 9)),
}


def disc(size: int = 200, radius: float = 70.3, softness: float = 2.0) -> NDArray[np.uint8]:
    """An alpha with a soft outline."""
    rows, columns = np.mgrid[:size, :size] - size / 2 + 0.3
    away = np.hypot(rows, columns * 1.13)
    levels = np.clip((radius - away) / softness + 0.5, 0, 1) * 255
    return np.asarray(levels.round(), np.uint8)


def cutout(alpha: NDArray[np.uint8], colour: tuple[int, int, int] = (90, 140, 60)) -> Image.Image:
    """A cut-out with straight colours everywhere."""
    height, width = alpha.shape
    layer = np.full((height, width, 3), colour, np.int16) + (np.arange(width) % 7)[:, None] * 5
    return Image.fromarray(np.dstack([layer.astype(np.uint8), alpha]))


def doubted(alpha: NDArray[np.uint8]) -> dict[str, str]:
    return dict(cutout_doubts(np.asarray(cutout(alpha))))


def as_jpeg(alpha: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    file = io.BytesIO(save(alpha, "JPEG", quality=quality))
    return np.asarray(Image.open(file))


def test_a_sound_cutout_is_not_doubted() -> None:
    assert doubted(disc()) == {}


@pytest.mark.parametrize(
    ("alpha", "parts"),
    [
        (disc() // 255, ["goes from 0 to 1", "a mask of 0 and 1, or 8-bit values in a 16-bit"]),
        ((disc() // 2.55).astype(np.uint8), ["goes from 0 to 100", "percentages"]),
        ((disc() * (254 / 255)).astype(np.uint8), ["goes from 0 to 254", "is 254)"]),
        ((disc() / 255 * 16).astype(np.uint8), ["goes from 0 to 16", "12-bit values"]),
        ((disc() / 255 * 2).round().astype(np.uint8), ["goes from 0 to 2", "codes 0, 1 and 2"]),
        ((16 + disc() / 255 * 219).astype(np.uint8), ["16 to 235", "video levels"]),
        (np.maximum(disc(), 1), ["goes from 1 to 255", "nothing is background"]),
    ],
)
def test_an_alpha_that_does_not_reach_its_range(alpha: NDArray[np.uint8], parts: list[str]) -> None:
    found = doubted(alpha)
    assert set(found) == {"alpha-range"}
    assert all(part in found["alpha-range"] for part in parts), found
    assert ("nothing is foreground" in found["alpha-range"]) is bool(alpha.max() < 255)


def test_a_subject_without_an_opaque_pixel_may_be_meant() -> None:
    """As in smoke, where few pixels have the highest level."""
    assert doubted(disc(softness=140.0) // 4 * 3) == {}


def test_an_inverted_alpha() -> None:
    assert set(doubted(255 - disc())) == {"alpha-inverted"}
    cut_by_the_frame = disc(radius=130.0)[60:, :]
    assert (cut_by_the_frame[-1] == 255).any()
    assert doubted(cut_by_the_frame) == {}
    portrait = disc(radius=60.0)[:140]
    assert (portrait[-1] == 255).any()
    assert doubted(portrait) == {}
    assert set(doubted(255 - portrait)) == {"alpha-inverted"}


def test_a_trimap_given_as_alpha() -> None:
    trimap = np.select([disc(radius=60) == 255, disc(radius=75) == 0], [255, 0], 128)
    assert set(doubted(trimap.astype(np.uint8))) == {"alpha-trimap"}


@pytest.mark.parametrize("colour", [(90, 140, 60), (235, 230, 225), (40, 30, 35)])
def test_premultiplied_colours(colour: tuple[int, int, int]) -> None:
    picture = np.asarray(cutout(disc(softness=6.0), colour)).copy()
    assert not is_premultiplied(picture)
    opacity = picture[..., 3:] / 255
    picture[..., :3] = (picture[..., :3] * opacity).round()
    assert [kind for kind, _ in cutout_doubts(picture)] == ["premultiplied"]


@pytest.mark.parametrize("colour", [(0, 0, 0), (6, 3, 0)])
def test_a_black_subject_proves_nothing(colour: tuple[int, int, int]) -> None:
    alpha = disc(softness=6.0)
    layer = np.full((*alpha.shape, 3), colour, np.uint8) * (alpha > 6)[..., None]
    assert not (layer.max(axis=2) > alpha).any()
    assert not is_premultiplied(np.dstack([layer, alpha]))


def test_a_hard_mask_proves_nothing() -> None:
    alpha = disc() // 255 * 255
    picture = np.asarray(cutout(alpha)) * (alpha > 0)[..., None]
    assert not is_premultiplied(picture.astype(np.uint8))


@given(st.floats(40, 90), st.floats(1, 5), st.sampled_from([50, 75, 90, 95]))
@few
def test_an_alpha_that_was_a_jpeg(radius: float, softness: float, quality: int) -> None:
    alpha = disc(256, radius, softness)
    assert not was_jpeg(alpha)
    assert was_jpeg(as_jpeg(alpha, quality))


def test_pictures_smaller_than_a_block_are_not_doubted() -> None:
    for shape in ((1, 1), (3, 200), (11, 11), (12, 12)):
        alpha = np.linspace(1, 255, shape[0] * shape[1]).astype(np.uint8).reshape(shape)
        assert not was_jpeg(alpha)
        cutout_doubts(np.dstack([np.full((*shape, 3), 200, np.uint8), alpha]))


def test_blocks_of_a_hard_or_enlarged_mask_are_not_a_jpeg() -> None:
    tiles = np.random.default_rng(5).choice(np.array([0, 90, 255], np.uint8), (40, 40))
    assert not was_jpeg(np.kron(tiles, np.ones((8, 8), np.uint8)))
    assert not was_jpeg(np.kron(tiles // 255 * 255, np.ones((8, 8), np.uint8)))


def test_colours_of_few_bits() -> None:
    dark = colours(300, 300) // 16
    ((kind, reason),) = photo_doubts(dark)
    assert (kind, "brightest level is 15 of 255" in reason) == ("dark", True)
    assert photo_doubts(colours(300, 300)) == []
    assert photo_doubts(np.zeros((40, 40, 3), np.uint8)) == []  # black is meant


# --- in files ------------------------------------------------------------------------------------


def of_kind(result: Scan, kind: str) -> set[str]:
    return {Path(warning.file).name for warning in result.warnings if warning.kind == kind}


@pytest.fixture
def bgs(tmp_path: Path) -> Path:
    (tmp_path / "bgs").mkdir()
    (tmp_path / "bgs" / "photo.png").write_bytes(save(colours(300, 400)))
    return tmp_path / "bgs"


def test_the_scan_warns_with_the_file(tmp_path: Path, bgs: Path) -> None:
    fgs = tmp_path / "fgs"
    fgs.mkdir()
    cutout(disc()).save(fgs / "sound.png")
    cutout(disc() // 255).save(fgs / "mask.png")
    rgba = np.asarray(cutout(disc())).astype(np.uint16)
    rgba[..., :3] *= 257
    (fgs / "low16.png").write_bytes(png16(rgba, 6))  # alpha of 8 bits in 16
    dark = np.full((300, 300, 3), 4095, np.uint16)  # 12 bits in 16
    (bgs / "dark.png").write_bytes(png16(dark, 2))
    result = scan(fgs, bgs)
    assert result.problems == ()
    assert of_kind(result, "alpha-range") == {"mask.png", "low16.png"}
    assert of_kind(result, "dark") == {"dark.png"}
    assert len(result.foregrounds) == 3


@pytest.mark.parametrize("form", ["JPEG", "AVIF", "PNG"])
def test_an_alpha_file_of_a_lossy_format(form: str, tmp_path: Path, bgs: Path) -> None:
    fgs, alphas = tmp_path / "fgs", tmp_path / "alphas"
    fgs.mkdir()
    alphas.mkdir()
    cutout(disc()).convert("RGB").save(fgs / "a.png")
    (alphas / "a.png").write_bytes(save(disc(softness=40.0), form))
    result = scan(fgs, bgs, alphas)
    assert of_kind(result, "alpha-lossy") == ({"a.png"} if form != "PNG" else set())
    if form != "PNG":
        assert f"is a {form} file" in " ".join(warning.reason for warning in result.warnings)


# It stands around a hole of sky, and nobody could tell that from an inverted alpha.
FOREST = ("stellarium_rgba__landscapes_trees_trees_512.png", "alpha-inverted")


@pytest.mark.slow
@needs_data
@pytest.mark.parametrize(
    ("folder", "count", "expected"),
    [("foregrounds", 63, set()), ("full/foregrounds", 216, PREMULTIPLIED)],
)
def test_no_real_cutout_is_doubted_wrongly(folder: str, count: int, expected: set[str]) -> None:
    files = sorted((DATA / folder).glob("*.png"))
    assert len(files) == count
    found = {(file.name, kind) for file in files for kind, _ in cutout_doubts(read_cutout(file))}
    assert found - {FOREST} == {(name, "premultiplied") for name in expected}


@pytest.mark.slow
@needs_data
def test_no_real_photo_is_doubted() -> None:
    files = sorted((DATA / "backgrounds").glob("*.jpg"))[::4]
    files += sorted((DATA / "full/backgrounds").glob("*.jpg"))[::4]
    assert len(files) > 300
    assert [file.name for file in files if photo_doubts(read_photo(file))] == []
