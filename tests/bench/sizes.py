"""What a second prediction, in the size of the samples, is worth for larger photos, as a table.

    python -m tests.bench.sizes [--checkpoint C]

The 20 photos of alphamatting.com are about 800 x 600, with trimaps from ISNet's masks and with
trimap1. GT01 to GT15, on which the rule was chosen, stand apart from GT16 to GT20, which are held
out. It takes a minute.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

from console.messages import show
from manifests.pictures import read_alpha, read_file, read_photo, read_trimap
from tests.bench.masks import BAND, LEAST, SURE
from tests.bench.real_masks import HELD_OUT, write_case
from training.checkpoint import load_network
from training.choices import BUILT_IN
from training.matte.metrics import errors_of
from training.matte.predict import matte
from training.net.model import MattingModel

NAMES = tuple(f"GT{number:02d}" for number in range(1, 21))
TRIMAPS = {"ISNet": "crude_trimaps", "trimap1": "trimaps"}


def errors(model: MattingModel, folder: Path, trimaps: str) -> tuple[float, float]:
    """Mean SAD of the whole image, in thousands: GT01 to GT15, and GT16 to GT20."""
    found = {}
    for name in NAMES:
        image, alpha, trimap = (
            read(read_file(folder / kind / f"{name}.png"))
            for read, kind in (
                (read_photo, "images"),
                (read_alpha, "alphas"),
                (read_trimap, trimaps),
            )
        )
        found[name] = errors_of(matte(model, image, trimap), alpha, trimap).sad_whole
    chosen = [error for name, error in found.items() if name not in HELD_OUT]
    return float(np.mean(chosen)), float(np.mean([found[name] for name in HELD_OUT]))


def main() -> None:
    parser = argparse.ArgumentParser(description="Large photos, predicted once and twice.")
    parser.add_argument("--checkpoint", type=Path, default=Path(BUILT_IN))
    model = load_network(parser.parse_args().checkpoint).without_trimap_decoder()
    seen = model.seen
    with tempfile.TemporaryDirectory() as folder:
        for name in NAMES:
            write_case(name, Path(folder), BAND, LEAST, SURE)
        show("| SAD whole: trimap, predicted | GT01 to GT15 | GT16 to GT20 |")
        show("| --- | --- | --- |")
        for kind, trimaps in TRIMAPS.items():
            for how, size in (("once", None), ("twice", seen)):
                model.seen = size
                before, held_out = errors(model, Path(folder), trimaps)
                show(f"| {kind}, {how} | {before:.2f} | {held_out:.2f} |")


if __name__ == "__main__":
    main()
