"""The library in five steps, each a cell of a notebook: from sources to a batch for training.

    python examples/quickstart.py [FOLDER]

It takes about half a minute and leaves its files in FOLDER (default: quickstart/).
"""

# %% Sources: cut-outs with an alpha channel, and photos. Use your own folders, or draw some.
import sys
from pathlib import Path

import datagen
from datagen.synth import write_sources

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "quickstart")
write_sources(folder, foregrounds=8, backgrounds=6, size=320, workers=1)
cutouts, photos = folder / "fgs", folder / "bgs"

# %% A shard set: every foreground over every background, or as many samples as you ask for.
# A second run with the same arguments finds everything made and returns at once.
result = datagen.compose(cutouts, photos, out=folder / "shards", samples=24, size=256, shard_size=8)
print(f"{result.samples} samples in {result.shards} shards, {result.bytes / 1e6:.1f} MB")

# %% One sample in memory, without a shard set. The seed decides every random choice.
cutout, photo = sorted(cutouts.glob("*.png"))[0], sorted(photos.glob("*.jpg"))[0]
sample = datagen.compose_one(cutout, photo, size=256, seed=0)
print(f"image {sample.image.shape}, alpha {sample.alpha.min()} to {sample.alpha.max()}")
print(f"rotated by {sample.recipe.foreground.rotation:.1f} degrees")
