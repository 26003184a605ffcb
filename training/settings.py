"""Everything that decides a training run; the defaults here are *the* defaults."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from training.choices import Area, Precision, TrimapChoice, Variant


@dataclass(frozen=True)
class LoaderSettings:
    """What decides the batches, and (`skip_bad`, `workers`, `cache`) how they are made."""

    shards: str = "shards"  # a folder or a URL
    batch_size: int = 16  # of each process
    crop_size: int = 512  # height and width of the crops, pixels
    trimap: TrimapChoice = TrimapChoice.CRUDE
    scale_min: float = 1 / 1.5  # a scaled window's side over the crop's: the smallest
    scale_max: float = 2.5  # and the largest
    scale_probability: float = 0.5  # that a window is scaled
    colour: float = 1.0  # how strongly colours are changed, 0..1; see docs/results.md
    layers: bool = True  # load foreground and background too, if the set has them
    seed: int = 0
    skip_bad: bool = False  # leave broken samples out and name them, instead of raising
    workers: int = 2  # loading processes for each training process; 0: it loads by itself
    cache: str = ""  # folder that keeps shards from URLs; "": a few at a time, temporarily

    def __post_init__(self) -> None:
        self._check(
            {
                "batch_size": (self.batch_size >= 1, "1 or more"),
                "crop_size": (self.crop_size >= 8, "8 pixels or more"),
                "scale_min": (0.1 <= self.scale_min <= self.scale_max, "0.1 to scale_max"),
                "scale_max": (self.scale_max <= 10, "10 or less"),
                "scale_probability": (0 <= self.scale_probability <= 1, "0 to 1"),
                "colour": (0 <= self.colour <= 1, "0 to 1"),
                "seed": (self.seed >= 0, "0 or more"),
                "workers": (self.workers >= 0, "0 (load in this process) or more"),
            }
        )

    def _check(self, rules: dict[str, tuple[bool, str]]) -> None:
        """rules: name of a setting -> (whether its value is allowed, the allowed values)."""
        for name, (is_allowed, expected) in rules.items():
            if not is_allowed:
                raise ValueError(f"{name} = {getattr(self, name)}, expected {expected}")


@dataclass(frozen=True)
class TrainSettings(LoaderSettings):
    """The paper's values where it gives them: Adam, 300,000 iterations, 1e-4 falling to 1e-6."""

    variant: Variant = Variant.AN_TW
    area: Area = Area.EVERYWHERE
    iterations: int = 300_000
    lr: float = 1e-4
    lr_end: float = 1e-6
    lr_power: float = 0.9
    weights_from: float = 0.1  # share of the iterations after which s1 and s2 are trained
    precision: Precision = Precision.FP32
    validate_every: int = 2_000  # iterations
    validation_samples: int = 64
    checkpoint_every: int = 500  # iterations
    keep: int = 3  # checkpoints
    log_every: int = 20  # iterations

    def __post_init__(self) -> None:
        super().__post_init__()
        counts = ("iterations", "validate_every", "validation_samples", "checkpoint_every", "keep")
        self._check(
            {
                **{
                    name: (getattr(self, name) >= 1, "1 or more") for name in (*counts, "log_every")
                },
                "lr": (0 < self.lr < math.inf, "a positive number"),
                "lr_end": (0 < self.lr_end <= self.lr, f"above 0 and at most lr = {self.lr}"),
            }
        )

    def learning_rate(self, iteration: int) -> float:
        """Falls polynomially from `lr` at iteration 0 to `lr_end` at `iterations`."""
        left = 1 - iteration / self.iterations
        return self.lr_end + (self.lr - self.lr_end) * float(left**self.lr_power)

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
    }
)
