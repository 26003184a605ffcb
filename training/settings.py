"""Everything that decides a training run; the defaults here are *the* defaults."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from console.settings import check_ranges, setting
from training.choices import Area, Precision, TrimapChoice, Variant


@dataclass(frozen=True)
class LoaderSettings:
    """What decides the batches, and (from `skip_bad` on) how they are made."""

    shards: str = setting("shards", "Shard set to train on: a folder or a URL.")
    batch_size: int = setting(16, "Number of samples in a batch, of each process.", low=1)
    crop_size: int = setting(512, "Height and width of the training crops, in pixels.", low=8)
    trimap: TrimapChoice = setting(
        TrimapChoice.CRUDE, "Which trimap of a sample the model is given; mixed draws one."
    )
    scale_min: float = setting(1 / 1.5, low=0.1)  # a scaled window's side over the crop's
    scale_max: float = setting(2.5, high=10)  # the same, at most
    scale_probability: float = setting(0.5, "Probability that a crop is scaled.", low=0, high=1)
    colour: float = setting(
        1.0, "How strongly colours are changed; 0 does not change them.", low=0, high=1
    )  # see docs/results.md
    layers: bool = True  # load foreground and background too, if the set has them
    seed: int = setting(0, "Number on which every random choice depends.", low=0)
    skip_bad: bool = setting(
        False, "Leave out samples that cannot be read, and name them, instead of stopping."
    )
    workers: int = setting(
        2, "Number of loading processes for each training process; 0 loads without any.", low=0
    )
    cache: str = setting(
        "",
        "Folder that keeps the shards fetched from a URL of --shards.",
        default="none, they are fetched again in each epoch",
    )
    decoded: str = setting(
        "",
        "Folder in memory (/dev/shm) or on a fast disk that keeps decoded samples, so that later "
        "epochs are loaded faster.",
        default="none, they are decoded again in each epoch",
    )

    def __post_init__(self) -> None:
        check_ranges(self)
        for name in ("cache", "decoded"):
            if "://" in getattr(self, name):
                raise ValueError(f"{name} = {getattr(self, name)}, expected a folder, not a URL")
        if not self.scale_min <= self.scale_max:
            raise ValueError(f"scale_min = {self.scale_min}, expected 0.1 to {self.scale_max}")


@dataclass(frozen=True)
class TrainSettings(LoaderSettings):
    """The paper's values where it gives them: Adam, 300,000 iterations, 1e-4 falling to 1e-6."""

    variant: Variant = setting(
        Variant.AN_TW,
        "base has no trimap decoder; an has one; an-tw also trains the weights of the losses.",
    )
    area: Area = setting(
        Area.EVERYWHERE, "Where alpha is trained: in the estimated unknown area, or everywhere."
    )
    iterations: int = setting(300_000, "Number of iterations to train.", low=1)
    lr: float = setting(1e-4, "Learning rate at the beginning, above 0.")
    lr_end: float = setting(1e-6, "Learning rate at the end, above 0 and at most --lr.")
    lr_power: float = 0.9
    weights_from: float = 0.1  # share of the iterations after which s1 and s2 are trained
    ema: float = setting(
        0.0,
        "How much of the mean of the weights is kept in each iteration, such as 0.999; the mean is "
        "what is validated and saved as the model. 0 takes no mean.",
        low=0,
        high=0.99999,
    )
    precision: Precision = setting(Precision.FP32, "Precision of the network's arithmetic.")
    validate_every: int = setting(
        2_000, "Number of iterations from one validation to the next.", low=1
    )
    validation_samples: int = setting(64, "Largest number of samples to validate on.", low=1)
    checkpoint_every: int = setting(
        500, "Number of iterations from one checkpoint to the next.", low=1
    )
    keep: int = setting(3, "Number of checkpoints to keep, besides the best.", low=1)
    log_every: int = setting(20, low=1)  # iterations

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.lr < math.inf:
            raise ValueError(f"lr = {self.lr}, expected a positive number")
        if not 0 < self.lr_end <= self.lr:
            raise ValueError(f"lr_end = {self.lr_end}, expected above 0 and at most {self.lr} (lr)")

    def learning_rate(self, iteration: int) -> float:
        """Falls polynomially from `lr` at iteration 0 to `lr_end` at `iterations`."""
        left = 1 - iteration / self.iterations
        return self.lr_end + (self.lr - self.lr_end) * float(left**self.lr_power)

    def averaging(self, iteration: int) -> float:
        """The share of the trained weights in their mean: large at first, then 1 - `ema`."""
        return max(1 - self.ema, 9 / (10 + iteration))

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {k: str(v) if isinstance(v, StrEnum) else v for k, v in asdict(self).items()}


# Settings that a resumed run may change, since they do not change what it computes.
FREE_TO_CHANGE = frozenset(
    {
        "shards",
        "skip_bad",
        "workers",
        "validate_every",
        "validation_samples",
        "checkpoint_every",
        "keep",
        "log_every",
        "cache",
        "decoded",
    }
)
