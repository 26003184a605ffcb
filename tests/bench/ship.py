"""Make a trained model the one that comes with this program, and tell what that costs.

    python -m tests.bench.ship RUN SHARDS [--samples N]

Writes training/built_in/model.safetensors: the last checkpoint of RUN without its trimap decoder,
its convolutions in 16 bits. Prints the size of the file, and the SAD of the whole image of samples
of split val, before and after, in thousands. Its model card is training/built_in/README.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from console.messages import show
from manifests import open_shards
from manifests.sources import Split
from training.checkpoint import BUILT_IN_FILE, checkpoints, load_network, write_model
from training.choices import Variant
from training.loading.whole import whole_samples
from training.matte.metrics import errors_of
from training.matte.predict import matte
from training.net.model import MattingModel


def errors(model: MattingModel, shards: Path, count: int) -> float:
    """Mean SAD of the whole image, with crude trimaps."""
    samples = whole_samples(open_shards(shards), Split.VAL, count)
    found = [
        errors_of(matte(model, s.image, s.crude_trimap), s.alpha, s.trimap).sad_whole
        for s in samples
    ]
    return float(np.mean(found))


def main() -> None:
    parser = argparse.ArgumentParser(description="Ship a trained model.")
    parser.add_argument("run", type=Path)
    parser.add_argument("shards", type=Path)
    parser.add_argument("--samples", type=int, default=200)
    options = parser.parse_args()
    trained = load_network(max(checkpoints(options.run))).without_trimap_decoder()
    before = errors(trained, options.shards, options.samples)
    for parameter in trained.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.half()
    BUILT_IN_FILE.parent.mkdir(exist_ok=True)
    write_model(trained, Variant.BASE, BUILT_IN_FILE)
    after = errors(load_network(BUILT_IN_FILE), options.shards, options.samples)
    show(f"{BUILT_IN_FILE.name}: {BUILT_IN_FILE.stat().st_size / 1e6:.2f} MB")
    show(f"SAD of {options.samples} samples of split val: {before:.4f} before, {after:.4f} after")


if __name__ == "__main__":
    main()
