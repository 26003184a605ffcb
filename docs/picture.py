"""Draws docs/samples.jpg, the picture in the README, or another FILE: `make picture`.

    python docs/picture.py [FILE]

One procedural sample for each transparency, from its two sources to its trimaps.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

import datagen
from datagen.synth import make_background, make_foreground
from manifests.pixels import Pixels
from manifests.sources import Subject, Transparency

OUT = Path(__file__).with_name("samples.jpg")
SIZE = 512  # side of the samples, pixels
CELL, GAP, LEFT, TOP = 150, 6, 112, 26  # of the picture, pixels
COLUMNS = ("foreground", "background", "image", "alpha", "trimap", "crude trimap")
PAPER, INK = (255, 255, 255), (40, 40, 40)
LEVELS = np.array([0, 128, 255], np.uint8)  # how a trimap is shown

# Transparency, subject, number of the foreground, number of the background, seed of the sample.
ROWS = (
    (Transparency.HIGHLY, Subject.NON_HUMAN, 9, 10, 1),
    (Transparency.STRONGLY, Subject.HUMAN, 26, 18, 2),
    (Transparency.MEDIUM, Subject.HUMAN, 36, 5, 3),
    (Transparency.LITTLE, Subject.NON_HUMAN, 7, 7, 4),
)


def main(out: Path) -> None:
    height = TOP + len(ROWS) * (CELL + GAP)
    sheet = Image.new("RGB", (LEFT + len(COLUMNS) * (CELL + GAP), height), PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(15)
    for column, name in enumerate(COLUMNS):
        middle = LEFT + column * (CELL + GAP) + CELL / 2
        draw.text((middle, TOP / 2), name, INK, font, anchor="mm")
    for row, (transparency, subject, foreground, background, seed) in enumerate(ROWS):
        top = TOP + row * (CELL + GAP)
        draw.text((8, top + CELL / 2), f"{transparency}\ntransparent", INK, font, anchor="lm")
        cutout = make_foreground(foreground, subject, transparency, 640, seed=0)
        photo = make_background(background, 640, seed=0)
        for column, pixels in enumerate(pictures(cutout, photo, seed)):
            sheet.paste(fitted(pixels), (LEFT + column * (CELL + GAP), top))
    sheet.save(out, quality=88, subsampling=0)
    print(f"{out}: {out.stat().st_size / 1000:.0f} kB")


def pictures(cutout: Pixels, photo: Pixels, seed: int) -> list[Pixels]:
    """What a row shows, in the order of the columns."""
    with tempfile.TemporaryDirectory() as folder:
        fg, bg = Path(folder, "fg.png"), Path(folder, "bg.png")
        Image.fromarray(cutout).save(fg)
        Image.fromarray(photo).save(bg)
        sample = datagen.compose_one(fg, bg, size=SIZE, seed=seed)
    trimaps = [LEVELS[codes] for codes in (sample.trimap, sample.crude_trimap)]
    return [on_checks(cutout), photo, sample.image, sample.alpha, *trimaps]


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
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else OUT)
