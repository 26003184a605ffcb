"""Everything that decides a training run; the defaults here are *the* defaults."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from training.loading.order import TrimapChoice
from training.net.losses import Area
from training.net.model import Variant


class Precision(StrEnum):
    FP32 = "fp32"
    BF16 = "bf16"  # autocast: weights and sums stay in 32 bits


@dataclass(frozen=True)
class TrainSettings:
    """The paper's, where it says: Adam, 300,000 iterations of batch 16, 1e-4 falling to 1e-6."""

    shards: str = "shards"
    variant: Variant = Variant.AN_TW
    area: Area = Area.EVERYWHERE
    iterations: int = 300_000
    batch_size: int = 16  # of each process
    crop_size: int = 512
    lr: float = 1e-4
    lr_end: float = 1e-6
    lr_power: float = 0.9
    weights_from: float = 0.1  # share of the iterations after which s1 and s2 are trained
    trimap: TrimapChoice = TrimapChoice.CRUDE
    scale_probability: float = 0.5  # that a crop is scaled
    colour: float = 1.0  # how strongly colours are changed, 0..1; see docs/results.md
    precision: Precision = Precision.FP32
    workers: int = 2  # that load, for each process
    seed: int = 0
    skip_bad: bool = False
    validate_every: int = 2_000
    validation_samples: int = 64
    checkpoint_every: int = 500
    keep: int = 3  # checkpoints
    cache: str = ""  # where shards from elsewhere stay; "": fetched anew in each epoch
    log_every: int = 20

    def __post_init__(self) -> None:
        for name in (
            "iterations",
            "batch_size",
            "validate_every",
            "validation_samples",
            "checkpoint_every",
            "keep",
            "log_every",
        ):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, it must be at least 1")
        if not 0 < self.lr_end <= self.lr < math.inf:
            raise ValueError(
                f"learning rates: 0 < lr_end ({self.lr_end}) <= lr ({self.lr}) < inf must hold"
            )

    def learning_rate(self, iteration: int) -> float:
        """Polynomial fall from lr at iteration 0 to lr_end at the last."""
        left = 1 - iteration / self.iterations
        return self.lr_end + (self.lr - self.lr_end) * float(left**self.lr_power)

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {k: str(v) if isinstance(v, StrEnum) else v for k, v in asdict(self).items()}


# What may differ between a run and its resumption without changing what it computes.
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
    }
)
