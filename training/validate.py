"""The errors of a model on held-out samples with crude trimaps, during training."""

from __future__ import annotations

from collections.abc import Callable

import torch

from manifests.pixels import Pixels
from manifests.shard_set import ShardSet
from manifests.sources import Split
from training.choices import Precision
from training.loading.whole import whole_samples
from training.matte.metrics import Errors, errors_of, mean_of
from training.matte.predict import alpha_of, estimated_trimap, predict
from training.net.model import MattingModel
from training.panels import panel
from training.settings import TrainSettings

_PANELS = 4

Show = Callable[[str, Pixels], None]


def validate(
    model: MattingModel,
    shards: ShardSet,
    settings: TrainSettings,
    show: Show,
    skipped: dict[str, str] | None = None,
) -> Errors | None:
    """Mean errors of the model on the validation samples; a few are also shown.

    The model is put back into the mode in which it was. show: takes a name and a picture
    (see `panel`). skipped: as for `whole_samples`, whose errors are raised.

    Returns None if the set has no held-out samples: then a few training samples are shown, but not
    measured.
    """
    held_out = Split.VAL in shards.splits
    split, limit = (Split.VAL, settings.validation_samples) if held_out else (Split.TRAIN, _PANELS)
    precision = torch.bfloat16 if settings.precision is Precision.BF16 else torch.float32
    was_training = model.training
    model.eval()
    found = []
    for number, sample in enumerate(whole_samples(shards, split, limit, skipped)):
        prediction = predict(model, sample.image, sample.crude_trimap, precision)
        alpha = alpha_of(prediction)
        found.append(errors_of(alpha, sample.alpha, sample.trimap))
        if number < _PANELS:
            estimated = estimated_trimap(prediction)
            show(
                f"{'validation' if held_out else 'training'}/{sample.key}",
                panel(sample.image, sample.crude_trimap, estimated, alpha, sample.alpha),
            )
    model.train(was_training)
    if not found or not held_out:
        return None  # all were skipped, or all are training samples
    return mean_of(found)
