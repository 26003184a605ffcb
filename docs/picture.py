"""Draws the pictures of the README and of docs/results.md: `make picture`.

    python docs/picture.py [FOLDER]

samples.jpg: one procedural sample for each transparency, from its two sources to its trimaps.
alphas.jpg: what the model that comes with this program makes of four others with crude trimaps.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

import datagen
from classical.methods import Method, solve
from datagen.library import OneSample
from datagen.synth import make_background, make_foreground
from manifests.pixels import Pixels
from manifests.sources import Subject, Transparency
from training import load_model

SIZE = 512  # side of the samples, pixels
CELL, GAP, LEFT, TOP = 150, 6, 112, 26  # of the picture, pixels
PAPER, INK = (255, 255, 255), (40, 40, 40)
LEVELS = np.array([0, 128, 255], np.uint8)  # how a trimap is shown


class Row(NamedTuple):
    """A sample: its cell, the numbers of its procedural sources, and its own seed."""

    transparency: Transparency
    subject: Subject
    foreground: int
    background: int
    seed: int


SAMPLES = (
    Row(Transparency.HIGHLY, Subject.NON_HUMAN, 9, 10, 1),
    Row(Transparency.STRONGLY, Subject.HUMAN, 26, 18, 2),
    Row(Transparency.MEDIUM, Subject.HUMAN, 36, 5, 3),
    Row(Transparency.LITTLE, Subject.NON_HUMAN, 7, 7, 4),
)
# The model has learned from procedural sources, too, but not from these numbers. It does not find
# the wires of the fence, which the trimap calls background.
ALPHAS = (
    Row(Transparency.HIGHLY, Subject.NON_HUMAN, 1000, 1000, 100),
    Row(Transparency.STRONGLY, Subject.NON_HUMAN, 1006, 1006, 106),
    Row(Transparency.MEDIUM, Subject.HUMAN, 1009, 1009, 109),
    Row(Transparency.LITTLE, Subject.HUMAN, 1015, 1015, 115),
)


def main(out: Path) -> None:
    of_samples = ("foreground", "background", "image", "alpha", "trimap", "crude trimap")
    draw(out / "samples.jpg", of_samples, SAMPLES, [from_sources(row) for row in SAMPLES])
    of_alphas = ("image", "crude trimap", "model", "truth", "closed-form")
    draw(out / "alphas.jpg", of_alphas, ALPHAS, [solved(row) for row in ALPHAS])


def draw(
    file: Path, columns: Sequence[str], rows: Sequence[Row], pictures: Sequence[list[Pixels]]
) -> None:
    height = TOP + len(rows) * (CELL + GAP)
    sheet = Image.new("RGB", (LEFT + len(columns) * (CELL + GAP), height), PAPER)
    ink, font = ImageDraw.Draw(sheet), ImageFont.load_default(15)
    for column, name in enumerate(columns):
        middle = LEFT + column * (CELL + GAP) + CELL / 2
        ink.text((middle, TOP / 2), name, INK, font, anchor="mm")
    for number, (row, shown) in enumerate(zip(rows, pictures, strict=True)):
        top = TOP + number * (CELL + GAP)
        text = f"{row.transparency}\ntransparent"
        ink.text((8, top + CELL / 2), text, INK, font, anchor="lm")
        for column, pixels in enumerate(shown):
            sheet.paste(fitted(pixels), (LEFT + column * (CELL + GAP), top))
    sheet.save(file, quality=88, subsampling=0)
    print(f"{file}: {file.stat().st_size / 1000:.0f} kB")


def from_sources(row: Row) -> list[Pixels]:
    """Foreground, background, image, alpha, trimap and crude trimap of a sample."""
    cutout, photo, sample = composed(row)
    trimaps = [LEVELS[codes] for codes in (sample.trimap, sample.crude_trimap)]
    return [on_checks(cutout), photo, sample.image, sample.alpha, *trimaps]


def solved(row: Row) -> list[Pixels]:
    """Image, crude trimap, the alpha of the model, the true one, and that of closed-form."""
    sample = composed(row)[2]
    image, crude = sample.image, sample.crude_trimap
    closed_form = solve(Method.CLOSED_FORM, image, crude)
    return [image, LEVELS[crude], load_model(device="cpu")(image, crude), sample.alpha, closed_form]


def composed(row: Row) -> tuple[Pixels, Pixels, OneSample]:
    """The two sources of a sample, and the sample."""
    cutout = make_foreground(row.foreground, row.subject, row.transparency, 640, seed=0)
    photo = make_background(row.background, 640, seed=0)
    with tempfile.TemporaryDirectory() as folder:
        fg, bg = Path(folder, "fg.png"), Path(folder, "bg.png")
        Image.fromarray(cutout).save(fg)
        Image.fromarray(photo).save(bg)
        return cutout, photo, datagen.compose_one(fg, bg, size=SIZE, seed=row.seed)


def on_checks(cutout: Pixels) -> Pixels:
    """A cut-out over the pattern that stands for transparency; H x W x 3."""
    height, width = cutout.shape[:2]
    rows, columns = np.mgrid[:height, :width] // (max(height, width) // 16)
    checks = np.where((rows + columns) % 2, 225, 250)[..., None]
    opacity = cutout[..., 3:] / 255
    seen = opacity * cutout[..., :3] + (1 - opacity) * checks
    return np.asarray(np.rint(seen), np.uint8)


def fitted(pixels: Pixels) -> Image.Image:
    """The middle of a picture, as large a square as it holds, as a cell."""
    height, width = pixels.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = np.ascontiguousarray(pixels[top : top + side, left : left + side])
    return Image.fromarray(cv2.resize(square, (CELL, CELL), interpolation=cv2.INTER_AREA))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
