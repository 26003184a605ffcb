"""What `train` prints: what it is going to do, how it goes, and how long it will take."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from console.messages import say, warn
from console.progress import Advance
from console.texts import count_text, rate_text, time_text
from manifests.shard_set import ShardSet
from manifests.sources import Split
from manifests.storage import Location
from training.choices import Variant
from training.matte.metrics import figure
from training.net.model import MattingModel
from training.processes import Processes, device_name
from training.settings import TrainSettings
from training.train import News

_SHOWN = ("loss", "l1", "trimap")  # of the losses, beside the progress bar
_MEASURED_SECONDS = 5.0  # from the first iteration on, before a speed is measured
_LONG = 2 * 86_400  # seconds


def heading(
    run: Location, shards: ShardSet, settings: TrainSettings, processes: Processes
) -> list[str]:
    """Two lines before the first iteration: the model and its device, the samples and batches."""
    with torch.device("meta"):  # to be counted, without memory
        model = MattingModel(trimap_decoder=settings.variant is not Variant.BASE)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    samples = len(shards.split(Split.TRAIN))
    held_out = len(shards.split(Split.VAL)) if Split.VAL in shards.splits else 0
    size, side, world = settings.batch_size, settings.crop_size, processes.world
    visits = settings.iterations * size * world / samples
    each = f" in each of {world} processes" if world > 1 else ""
    return [
        f"{run}: variant {settings.variant}, {parameters / 1e6:.1f} million parameters, on "
        f"{device_name(processes.device)}",
        f"{shards.root}: {count_text(samples, 'sample')} to train on, "
        f"{min(held_out, settings.validation_samples):,} to validate on; {settings.iterations:,} "
        f"batches of {size} (crops of {side} x {side}){each}, so each sample {visits:,.1f} times",
    ]


def length_text(run: Location, done: int, iterations: int) -> str:
    """What it means that a run gets another number of iterations after `done` of them."""
    return (
        f"{run}: goes on from iteration {done:,} to {iterations:,}; the learning rate falls as in "
        f"a run of {iterations:,} iterations from here on"
    )


class Bad:
    """Names each bad sample and shard once."""

    def __init__(self) -> None:
        self._known = set[str]()

    def __len__(self) -> int:
        return len(self._known)

    def tell(self, news: News) -> None:
        for reason in news.bad:
            if reason not in self._known:
                self._known.add(reason)
                warn(f"bad: {reason}")


class Teller:
    """Prints the news of the first process. `clock` returns seconds."""

    def __init__(
        self,
        advance: Advance,
        iterations: int,
        device: torch.device,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._advance, self._clock, self._begin, self._bad = advance, clock, clock(), Bad()
        self._pace, self._device = Pace(iterations), device
        self._losses = ""

    def tell(self, news: News) -> None:
        self._bad.tell(news)
        if news.errors is not None:
            errors = news.errors
            say(
                f"iteration {news.iteration}: validation SAD {errors.sad_whole:.3f}, MSE "
                f"{errors.mse_whole:.5f}; unknown area {figure(errors.sad, 3)}, "
                f"{figure(errors.mse, 5)}"
            )
            return
        now = self._clock()
        if news.losses is not None:
            rate = rate_text(news.samples / max(now - self._begin, 1e-9), "samples")
            shown = [f"{name} {news.losses[name]:.4f}" for name in _SHOWN if name in news.losses]
            self._losses = ", ".join([*shown, rate])
        bad = [f"{len(self._bad)} bad"] if self._bad else []
        self._advance(news.iteration, note=", ".join([*bad, self._losses]).strip(", "))
        left = self._pace.left(news.iteration, now)
        if left is not None:
            _tell_length(left, self._device)


class Pace:
    """How long a training takes, measured over its first iterations."""

    def __init__(self, iterations: int) -> None:
        self._iterations = iterations
        self._first: tuple[int, float] | None = None
        self._is_told = False

    def left(self, done: int, now: float) -> float | None:
        """The seconds that all iterations after `done` will take; None unless it is time to say so.

        That is once, when they are known. The first iteration does not count: it waits for the
        first batch.
        """
        if self._first is None:
            self._first = done, now
            return None
        first, begin = self._first
        if self._is_told or done == first or now - begin < _MEASURED_SECONDS:
            return None
        self._is_told = True
        return (now - begin) / (done - first) * (self._iterations - done)


def _tell_length(seconds: float, device: torch.device) -> None:
    text = f"the rest of the training takes about {time_text(seconds)} at this speed"
    if seconds < _LONG:
        say(text)
        return
    gpu = "; a GPU is many times as fast" if device.type == "cpu" else ""
    warn(f"{text}{gpu}; fewer --iterations or a smaller --crop-size shorten it")
