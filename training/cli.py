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
from console.options import switch, with_options
from console.progress import Advance, progress
from console.texts import rate_text
from training.options import DeviceOption
from training.settings import TrainSettings

_SHOWN = ("loss", "l1", "trimap")  # of the losses, on the progress bar

train_app = new_command()


@train_app.command()
@with_options(TrainSettings)
def train(
    context: typer.Context,
    settings: TrainSettings,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of the run.", metavar="DIR", show_default="runs/VARIANT"),
    ] = None,
    resume: Annotated[
        bool,
        switch("--resume", "Go on with the run in --out; more --iterations make it longer."),
    ] = False,
    init: Annotated[
        Path | None,
        typer.Option(
            help="Start from the weights of this trained model: a run, a checkpoint or a file.",
            metavar="C",
            show_default="random weights",
        ),
    ] = None,
    device: DeviceOption = None,
    version: VersionOption = False,
) -> None:
    """Train the matting model on a shard set; validate on its split val, if it has one.

    With several GPUs: torchrun --nproc-per-node 4 -m training --shards ...
    """
    from manifests.shard_set import ShardSet, open_shards
    from training.checkpoint import find_model, load_weights
    from training.processes import join, pick_device
    from training.runs import latest_iteration, open_run, planned_iterations
    from training.train import Stopped
    from training.train import train as train_model

    if resume and init is not None:
        raise typer.BadParameter("--init is for a new run, --resume goes on with its own weights")
    folder = out or Path("runs") / str(settings.variant)
    planned = planned_iterations(folder) if resume else None
    if planned is not None and not _is_given(context, "iterations"):
        settings = replace(settings, iterations=planned)
    with join(pick_device(device)) as processes:
        refused: OSError | ValueError | None = None
        opened: ShardSet | None = None
        weights: dict[str, Any] | None = None
        if processes.first:
            try:
                opened = open_shards(settings.shards, settings.cache or None)
                if init is not None:
                    init = find_model(init)
                    weights = load_weights(init, settings.variant)
                open_run(folder, opened, settings, resume, processes, init)
            except (OSError, ValueError) as error:
                refused = error
        if processes.any(refused is not None):  # and waits for the first
            raise refused or typer.Exit(FAILED)
        try:
            with ExitStack() as stack:
                if opened is None:
                    opened = open_shards(settings.shards, settings.cache or None)
                stack.enter_context(opened)
                tell: Callable[[Any], None] = functools.partial(_tell_bad, set())
                if processes.first:
                    total, first = settings.iterations, latest_iteration(folder)
                    if planned not in {None, total}:
                        say(_changed_length(folder, first, total))
                    advance = stack.enter_context(progress("train", total, "iterations", first))
                    tell = functools.partial(_tell, advance, time.monotonic(), set())
                is_stopping = stack.enter_context(interrupt_noted())
                train_model(opened, settings, folder, processes, tell, is_stopping, weights)
        except Stopped:
            raise KeyboardInterrupt from None
    if processes.first:
        say(f"{folder}: trained; `matte predict --checkpoint {folder}` uses its best checkpoint")


def _is_given(context: typer.Context, option: str) -> bool:
    source = context.get_parameter_source(option)
    return source is not None and source.name != "DEFAULT"


def _changed_length(run: Path, done: int, iterations: int) -> str:
    return (
        f"{run}: goes on from iteration {done:,} to {iterations:,}; the learning rate falls as in "
        f"a run of {iterations:,} iterations from here on"
    )


def _tell(advance: Advance, begin: float, known: set[str], news: Any) -> None:
    _tell_bad(known, news)
    if news.errors is not None:
        from training.matte.metrics import figure

        errors = news.errors
        say(
            f"iteration {news.iteration}: validation SAD {errors.sad_whole:.3f}, MSE "
            f"{errors.mse_whole:.5f}; unknown area {figure(errors.sad, 3)}, {figure(errors.mse, 5)}"
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


def train_main(arguments: Sequence[str] | None = None) -> None:
    """`train`; a user's mistake becomes one sentence and an exit code."""
    run(train_app, "train", arguments, "; training goes on with --resume where it stopped")
