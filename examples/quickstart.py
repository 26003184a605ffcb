"""The library in five steps, each a cell of a notebook: from sources to a batch for training.

    python examples/quickstart.py [FOLDER]

It takes about half a minute and leaves its files in FOLDER (default: quickstart/).
"""

import sys
from pathlib import Path

from torch.utils.data import DataLoader

import datagen
import manifests
import training
from datagen.synth import write_sources

# %% Sources: cut-outs with an alpha channel, and photos. Use folders of your own, or draw some.

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "quickstart")
write_sources(folder / "sources", foregrounds=8, backgrounds=6, size=320, workers=1)
cutouts, photos = folder / "sources" / "fgs", folder / "sources" / "bgs"

# %% One sample in memory. The seed decides every random choice.

cutout, photo = next(cutouts.glob("human-medium-*.png")), next(photos.glob("*.jpg"))
sample = datagen.compose_one(cutout, photo, size=256, seed=0)
print(f"image {sample.image.shape}, alpha {sample.alpha.min()} to {sample.alpha.max()}")
print(f"the subject was turned by {sample.recipe.foreground.rotation:.1f} degrees")

# %% A shard set: every foreground over every background, or as many samples as you ask for.
# Run this cell again, and it finds that everything is there.

result = datagen.compose(cutouts, photos, out=folder / "shards", samples=24, size=256, shard_size=8)
print(f"{result.samples} samples in {result.shards} shards, {result.bytes / 1e6:.1f} MB")

# %% Reading it: a sequence whose pixels are decoded when you look at them.

with manifests.open_shards(folder / "shards") as shards:
    unknown = [sample.row.unknown_share for sample in shards.split("train")]
    print(f"{len(shards)} samples, {sum(unknown) / len(unknown):.1%} of their pixels unknown")
    fourth = shards[3]
    print(f"{fourth.key}: {fourth.row.subject}, {fourth.row.transparency} transparent")
    assert (fourth.trimap == 2).sum() == (fourth.alpha == 255).sum()

# %% Training on it: a dataset for an ordinary DataLoader.

dataset = training.Samples(folder / "shards", split="train", crop=128)
for batch in DataLoader(dataset, batch_size=8, shuffle=True):
    image, alpha, crude = batch["image"], batch["alpha"], batch["crude_trimap"]
    print(f"a batch: image {tuple(image.shape)}, alpha and crude trimap {tuple(alpha.shape)}")
    assert alpha.shape == crude.shape
    break  # here your model learns
