"""`train`: the command. It translates options and exit codes; it decides nothing."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import fields
from pathlib import Path
from typing import Annotated

import typer

from console.commands import VersionOption, new_command, run
from console.interrupts import exit_code, interrupt_noted
from console.messages import say
from console.options import switch, with_options
from console.progress import progress
from training.options import DeviceOption, written_location
from training.settings import TrainSettings

train_app = new_command()


@train_app.command()
@with_options(TrainSettings)
def train(
    context: typer.Context,
    settings: TrainSettings,
    out: Annotated[
        str | None,
        typer.Option(
            help="Folder or URL of the run.",
            metavar="DIR|URL",
            show_default="runs/VARIANT",
            callback=written_location,
        ),
    ] = None,
    resume: Annotated[
        bool,
        switch(
            "--resume",
            "Go on with the run in --out and with its options; more --iterations make it longer.",
        ),
    ] = False,
    init: Annotated[
        Path | None,
        typer.Option(
            help="Start from the weights of this trained model: the folder or URL of a run, of one "
            "of its checkpoints, a model.safetensors, or built-in.",
            metavar="C",
            show_default="random weights",
        ),
    ] = None,
    device: DeviceOption = None,
    version: VersionOption = False,
) -> None:
    """Train the matting model on a shard set; validate on its split val, if it has one.

    With several GPUs: torchrun --nproc-per-node 4 --no-python train --shards ...
    """
    from manifests.storage import exists, location_of
    from training.checkpoint import MODEL
    from training.printing import Bad, Teller, heading, length_text
    from training.processes import join, pick_device
    from training.runs import as_begun, begin, latest_iteration
    from training.train import Stopped
    from training.train import train as train_model

    if resume and init is not None:
        raise typer.BadParameter("--init is for a new run, --resume goes on with its own weights")
    folder = location_of(out or f"runs/{settings.variant}")
    with join(pick_device(device)) as processes, ExitStack() as stack:
        planned = None
        if resume:
            settings, planned = as_begun(folder, settings, _given(context), processes)
        begun = begin(folder, settings, resume, processes, init)
        stack.enter_context(begun.hold)
        shards, settings = stack.enter_context(begun.shards), begun.settings
        tell = Bad().tell
        if processes.first:
            total, first = settings.iterations, latest_iteration(folder)
            for line in heading(folder, shards, settings, processes):
                say(line)
            if planned not in {None, total}:
                say(length_text(folder, first, total))
            advance = stack.enter_context(progress("train", total, "iterations", first))
            tell = Teller(advance, total, processes.device).tell
        is_stopping = stack.enter_context(interrupt_noted())
        try:
            train_model(shards, settings, folder, processes, tell, is_stopping, begun.weights)
        except Stopped:
            # The first process says it
            raise (KeyboardInterrupt if processes.first else SystemExit(exit_code())) from None
    if processes.first:
        which = "best" if exists(folder / "best" / MODEL) else "last"
        say(f"{folder}: trained; `matte predict --checkpoint {folder}` uses its {which} checkpoint")


def _given(context: typer.Context) -> set[str]:
    """The settings that are among the options of the command line."""
    sources = {one.name: context.get_parameter_source(one.name) for one in fields(TrainSettings)}
    return {name for name, source in sources.items() if source and source.name != "DEFAULT"}


def train_main(arguments: Sequence[str] | None = None) -> None:
    """`train`; a user's mistake becomes one sentence and an exit code."""
    run(train_app, "train", arguments, "; training goes on with --resume where it stopped")
