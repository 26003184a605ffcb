"""How good a model is on held-out samples with crude trimaps, while it is trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from manifests.dataset import read_dataset
from manifests.pixels import Pixels
from manifests.sources import Split
from manifests.storage import location_of
from training.loading.batches import validation_samples
from training.matte.predict import alpha_of, predict, trimap_of
from training.net.model import MattingModel
from training.settings import Precision, TrainSettings

_PANELS = 4

Show = Callable[[str, Pixels], None]


@dataclass(frozen=True)
class Score:
    """Means over the validation samples; SAD / 1000."""

    sad: float  # on the unknown area of the exact trimap
    sad_whole: float
    mse: float
    mse_whole: float


def validate(
    model: MattingModel,
    settings: TrainSettings,
    show: Show,
    skipped: dict[str, str] | None = None,
    folder: Path | None = None,
) -> Score | None:
    """The model stays in the mode that it was in. `skipped`, `folder`: as for validation_samples.

    None if the set holds nothing out: then a few training samples are shown, and none is measured.
    """
    held_out = has_validation(settings.shards)
    split, limit = (Split.VAL, settings.validation_samples) if held_out else (Split.TRAIN, _PANELS)
    precision = torch.bfloat16 if settings.precision is Precision.BF16 else torch.float32
    was_training = model.training
    model.eval()
    rows = []
    samples = validation_samples(settings.shards, split, limit, skipped, settings.cache, folder)
    for number, sample in enumerate(samples):
        prediction = predict(model, sample.image, sample.crude_trimap, precision)
        alpha = alpha_of(prediction)
        rows.append(_errors(alpha, sample.alpha))
        if number < _PANELS:
            estimated = trimap_of(prediction)
            show(
                f"{'validation' if held_out else 'training'}/{sample.key}",
                panel(sample.image, sample.crude_trimap, estimated, alpha, sample.alpha),
            )
    model.train(was_training)
    if not rows or not held_out:
        return None  # each was skipped, or has been learned from
    sad, mse, sad_whole, mse_whole = np.mean(rows, axis=0).tolist()
    return Score(sad, sad_whole, mse, mse_whole)


def has_validation(shards: str) -> bool:
    dataset = read_dataset(location_of(shards))
    return any(shard.split is Split.VAL and shard.samples for shard in dataset.shards)


def panel(
    image: Pixels, crude: Pixels, estimated: Pixels | None, alpha: Pixels, truth: Pixels
) -> Pixels:
    """H x 5W x 3: image, crude trimap, estimated trimap, alpha, truth."""
    blank = np.full_like(crude, 1)
    greys = [crude * 127, (blank if estimated is None else estimated) * 127, alpha, truth]
    return np.hstack([image, *(np.repeat(grey[..., None], 3, axis=2) for grey in greys)])


def _errors(alpha: Pixels, truth: Pixels) -> tuple[float, float, float, float]:
    """sad, mse on the unknown area (0 if there is none), then on the whole image."""
    error = np.abs(alpha.astype(np.float64) - truth) / 255
    unknown = error[(truth > 0) & (truth < 255)]
    inside = (unknown.sum() / 1000, (unknown**2).mean()) if unknown.size else (0.0, 0.0)
    return (*inside, error.sum() / 1000, (error**2).mean())
