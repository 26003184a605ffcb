"""`train`: the command. It translates options and exit codes; it decides nothing."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from console.commands import FAILED, VersionOption, new_command, run
from console.interrupts import interrupt_noted
from console.messages import say, warn
from console.progress import Advance, progress
from console.texts import rate_text
from training.choices import Area, Precision, TrimapChoice, Variant
from training.options import CacheOption, DeviceOption
from training.settings import TrainSettings

_DEFAULT = TrainSettings()
_SHOWN = ("loss", "l1", "trimap")  # of the losses, on the progress bar

train_app = new_command()


@train_app.command()
def train(
    shards: Annotated[str, typer.Option(help="The shard set: a folder or a URL.")] = "shards",
    out: Annotated[
        Path | None, typer.Option(help="Folder of the run.", show_default="runs/VARIANT")
    ] = None,
    variant: Annotated[
        Variant,
        typer.Option(help="base: no trimap decoder; an: with it; an-tw: with trainable weights."),
    ] = _DEFAULT.variant,
    area: Annotated[
        Area,
        typer.Option(help="Where alpha is trained: the estimated unknown area, or everywhere."),
    ] = _DEFAULT.area,
    iterations: Annotated[int, typer.Option(min=1)] = _DEFAULT.iterations,
    batch_size: Annotated[int, typer.Option(help="Of each process.", min=1)] = _DEFAULT.batch_size,
    crop_size: Annotated[
        int, typer.Option(help="Side of the training crops.", min=64)
    ] = _DEFAULT.crop_size,
    lr: Annotated[
        float, typer.Option(help=f"Learning rate at first; falls to {_DEFAULT.lr_end:g}.")
    ] = _DEFAULT.lr,
    workers: Annotated[
        int, typer.Option(help="Processes that load; 0: none.", min=0)
    ] = _DEFAULT.workers,
    precision: Annotated[Precision, typer.Option()] = _DEFAULT.precision,
    device: DeviceOption = None,
    trimap: Annotated[
        TrimapChoice, typer.Option(help="What the model is given.")
    ] = _DEFAULT.trimap,
    scale_probability: Annotated[
        float, typer.Option(help="Share of the crops that are scaled.", min=0, max=1)
    ] = _DEFAULT.scale_probability,
    colour: Annotated[
        float, typer.Option(help="How strongly colours are changed; 0: not.", min=0, max=1)
    ] = _DEFAULT.colour,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    seed: Annotated[int, typer.Option(min=0)] = _DEFAULT.seed,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Leave out samples that cannot be read, and count.")
    ] = False,
    checkpoint_every: Annotated[
        int, typer.Option(help="Iterations.", min=1)
    ] = _DEFAULT.checkpoint_every,
    validate_every: Annotated[
        int, typer.Option(help="Iterations.", min=1)
    ] = _DEFAULT.validate_every,
    validation_samples: Annotated[int, typer.Option(min=1)] = _DEFAULT.validation_samples,
    keep: Annotated[int, typer.Option(help="How many checkpoints stay.", min=1)] = _DEFAULT.keep,
    cache: CacheOption = _DEFAULT.cache,
    version: VersionOption = False,
) -> None:
    """Train on split train of a shard set; validate on val where there is one.

    With several GPUs: torchrun --nproc-per-node 4 -m training --shards ...
    """
    from manifests.shard_set import ShardSet, open_shards
    from training.processes import join, pick_device
    from training.runs import open_run
    from training.train import Stopped
    from training.train import train as train_model

    try:
        settings = replace(
            _DEFAULT,
            shards=shards,
            variant=variant,
            area=area,
            iterations=iterations,
            batch_size=batch_size,
            crop_size=crop_size,
            lr=lr,
            lr_end=min(lr, _DEFAULT.lr_end),
            workers=workers,
            precision=precision,
            trimap=trimap,
            scale_probability=scale_probability,
            colour=colour,
            seed=seed,
            skip_bad=skip_bad,
            checkpoint_every=checkpoint_every,
            validate_every=validate_every,
            validation_samples=validation_samples,
            keep=keep,
            cache=cache,
        )
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    folder = out or Path("runs") / str(variant)
    with join(pick_device(device)) as processes:
        refused: OSError | ValueError | None = None
        opened: ShardSet | None = None
        if processes.first:
            try:
                opened = open_shards(shards, cache or None)
                open_run(folder, opened, settings, resume, processes)
            except (OSError, ValueError) as error:
                refused = error
        if processes.any(refused is not None):  # and waits for the first
            raise refused or typer.Exit(FAILED)
        try:
            with ExitStack() as stack:
                if opened is None:
                    opened = open_shards(shards, cache or None)
                stack.enter_context(opened)
                tell: Callable[[Any], None] = functools.partial(_tell_bad, set())
                if processes.first:
                    shown = progress("train", iterations, "iterations", latest_iteration(folder))
                    advance = stack.enter_context(shown)
                    tell = functools.partial(_tell, advance, time.monotonic(), set())
                is_stopping = stack.enter_context(interrupt_noted())
                train_model(opened, settings, folder, processes, tell, is_stopping)
        except Stopped:
            raise KeyboardInterrupt from None
    if processes.first:
        say(f"{folder}: trained; `matte predict --checkpoint {folder}` uses its best checkpoint")


def _tell(advance: Advance, begin: float, known: set[str], news: Any) -> None:
    _tell_bad(known, news)
    if news.errors is not None:
        errors = news.errors
        say(
            f"iteration {news.iteration}: validation SAD {errors.sad_whole:.3f}, MSE "
            f"{errors.mse_whole:.5f}; unknown area {errors.sad:.3f}, {errors.mse:.5f}"
        )
    if news.losses is not None:
        rate = rate_text(news.samples / max(time.monotonic() - begin, 1e-9), "samples")
        shown = ", ".join(
            f"{name} {news.losses[name]:.4f}" for name in _SHOWN if name in news.losses
        )
        bad = f"{len(known)} bad, " if known else ""
        advance(news.iteration, note=f"{bad}{shown}, {rate}")


def _tell_bad(known: set[str], news: Any) -> None:
    for reason in news.bad:
        if reason not in known:
            known.add(reason)
            warn(f"bad: {reason}")


def latest_iteration(run: Path) -> int:
    """How far a run is."""
    from training.checkpoint import checkpoints

    saved = checkpoints(run)
    return int(saved[-1].name) if saved else 0


def train_main(arguments: Sequence[str] | None = None) -> None:
    """`train`; a user's mistake becomes one sentence and an exit code."""
    run(train_app, "train", arguments, "; training goes on with --resume where it stopped")
