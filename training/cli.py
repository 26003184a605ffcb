"""`train`: the command. It translates options and exit codes; it decides nothing."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from console.commands import FAILED, VersionOption, new_command, run
from console.interrupts import exit_code, interrupt_noted
from console.messages import say
from console.options import local_path, switch, with_options
from console.progress import progress
from training.options import DeviceOption
from training.settings import TrainSettings

train_app = new_command()


@train_app.command()
@with_options(TrainSettings)
def train(
    context: typer.Context,
    settings: TrainSettings,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the run.",
            metavar="DIR",
            show_default="runs/VARIANT",
            callback=local_path,
        ),
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
            callback=local_path,
        ),
    ] = None,
    device: DeviceOption = None,
    version: VersionOption = False,
) -> None:
    """Train the matting model on a shard set; validate on its split val, if it has one.

    With several GPUs: torchrun --nproc-per-node 4 --no-python train --shards ...
    """
    from manifests.shard_set import ShardSet, open_shards
    from training.checkpoint import find_model, load_weights
    from training.printing import Bad, Teller, heading, length_text
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
                tell = Bad().tell
                if processes.first:
                    total, first = settings.iterations, latest_iteration(folder)
                    for line in heading(folder, opened, settings, processes):
                        say(line)
                    if planned not in {None, total}:
                        say(length_text(folder, first, total))
                    advance = stack.enter_context(progress("train", total, "iterations", first))
                    tell = Teller(advance, total, processes.device).tell
                is_stopping = stack.enter_context(interrupt_noted())
                train_model(opened, settings, folder, processes, tell, is_stopping, weights)
        except Stopped:
            # The first process says it
            raise (KeyboardInterrupt if processes.first else SystemExit(exit_code())) from None
    if processes.first:
        which = "best" if (folder / "best").is_dir() else "last"
        say(f"{folder}: trained; `matte predict --checkpoint {folder}` uses its {which} checkpoint")


def _is_given(context: typer.Context, option: str) -> bool:
    source = context.get_parameter_source(option)
    return source is not None and source.name != "DEFAULT"


def train_main(arguments: Sequence[str] | None = None) -> None:
    """`train`; a user's mistake becomes one sentence and an exit code."""
    run(train_app, "train", arguments, "; training goes on with --resume where it stopped")
