"""`matte evaluate`: the command."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from classical.methods import Method
from console.commands import DONE, FAILED
from console.options import existing_folder, local_path, switch
from console.progress import progress
from manifests.sources import Split
from training.choices import Layout, TrimapChoice
from training.options import (
    CacheOption,
    DeviceOption,
    check_partners,
    exactly_one,
    needed,
    read_folder,
)

if TYPE_CHECKING:
    from training.matte.evaluate import Evaluation
    from training.matte.layouts import Part


def evaluate(
    predictions: Annotated[Path | None, read_folder("Measure these alphas: a folder.")] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            help="Measure a trained model: the folder or URL of a run, of one of its checkpoints, "
            "a model.safetensors, or built-in, the model that comes with this program.",
            metavar="C",
        ),
    ] = None,
    method: Annotated[
        Method | None,
        typer.Option(help="Measure a classical method.", metavar="|".join(Method)),
    ] = None,
    alphas: Annotated[Path | None, read_folder("Folder of the true alphas.")] = None,
    trimaps: Annotated[
        Path | None, read_folder("Folder of trimaps: errors are measured where they are unknown.")
    ] = None,
    given_trimaps: Annotated[
        Path | None,
        read_folder("Folder of crude trimaps for the model or method to use instead of --trimaps."),
    ] = None,
    images: Annotated[
        Path | None, read_folder("Folder of photos for --checkpoint or --method.")
    ] = None,
    shards: Annotated[
        str | None,
        typer.Option(
            help="Measure on the samples of this shard set (a folder or a URL) instead of folders.",
            metavar="S",
        ),
    ] = None,
    split: Annotated[
        Split | None,
        typer.Option(
            help="Which split of --shards to measure on.",
            metavar="|".join(Split),
            show_default="val",
        ),
    ] = None,
    trimap: Annotated[
        TrimapChoice | None,
        typer.Option(
            help="Which trimaps of --shards to use.", metavar="crude|exact", show_default="crude"
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            help="Largest number of samples of --shards to measure on.", min=1, metavar="N"
        ),
    ] = None,
    layout: Annotated[
        Layout | None,
        typer.Option(
            help="Measure on a test set with these folders, as papers do, and print their table.",
            metavar="|".join(Layout),
        ),
    ] = None,
    set_: Annotated[
        Path | None,
        typer.Option(
            "--set", help="Folder of the test set.", metavar="DIR", callback=existing_folder
        ),
    ] = None,
    cache: CacheOption = "",
    workers: Annotated[
        int | None,
        typer.Option(
            help="How many processes measure; not with --checkpoint.",
            min=1,
            metavar="N",
            show_default="1",
        ),
    ] = None,
    device: DeviceOption = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="File to write the figures to as JSON, image by image.",
            metavar="FILE",
            callback=local_path,
        ),
    ] = None,
    json_: Annotated[bool, switch("--json", "Print JSON on standard output.")] = False,
) -> None:
    """Measure alphas: SAD, MSE, Grad and Conn where trimaps are unknown, SAD and MSE overall.

    Alphas in files: --predictions with --alphas and --trimaps.

    A model or method on a shard set: --checkpoint or --method with --shards.

    A model or method on files: the same with --images, --alphas and --trimaps.

    Any of them on a test set of others: with --layout and --set.
    """
    from training.matte.evaluate import evaluate_folders, folder_cases
    from training.matte.layouts import parts_of
    from training.matte.printing import show_evaluation, show_parts

    exactly_one(predictions=predictions, checkpoint=checkpoint, method=method)
    if trimap is TrimapChoice.MIXED:
        raise typer.BadParameter("--trimap is crude or exact here")
    files = {"alphas": alphas, "trimaps": trimaps, "images": images, "given_trimaps": given_trimaps}
    of_shards = {"split": split, "trimap": trimap, "limit": limit, "cache": cache or None}
    not_read = {"shards": shards, "images": images, "given_trimaps": given_trimaps}
    check_partners("predictions", predictions, {}, not_read)
    check_partners("shards", shards, of_shards, files)
    check_partners("layout", layout, {"set": set_}, {"shards": shards, **files})
    check_partners("checkpoint", checkpoint, {"device": device}, {"workers": workers})
    measured: Any = functools.partial(_measured, checkpoint, method, workers or 1, device)
    if layout is not None:
        parts = parts_of(layout, needed("set", set_))
        by_part = {
            part.name: _measured_part(part, predictions, measured, workers or 1) for part in parts
        }
        show_parts(by_part, out, json_)
        is_whole = all(one.scores and not one.failed for one in by_part.values())
        raise typer.Exit(DONE if is_whole else FAILED)
    with progress("evaluate", None, "images") as advance:

        def tell(done: int, _: int) -> None:
            advance(done)

        measured = functools.partial(measured, tell)
        if predictions is not None:
            truth = needed("alphas", alphas), needed("trimaps", trimaps)
            found = evaluate_folders(predictions, *truth, tell, workers or 1)
        elif shards is not None:
            from manifests import open_shards
            from training.matte.cases import ShardCases

            kinds = split or Split.VAL, limit, trimap or TrimapChoice.CRUDE
            found = measured(ShardCases(open_shards(shards, cache or None), *kinds))
        else:
            truth = needed("alphas", alphas), needed("trimaps", trimaps)
            found = measured(folder_cases(needed("images", images), *truth, given_trimaps))
    show_evaluation(found, out, json_)
    raise typer.Exit(FAILED if found.failed or not found.scores else DONE)


def _measured(
    checkpoint: Path | None,
    method: Method | None,
    workers: int,
    device: str | None,
    tell: Callable[[int, int], None],
    cases: Any,
) -> Evaluation:
    """What a model or a method makes of some cases."""
    from training.matte.evaluate import evaluate_method

    if method is not None:
        from classical.methods import solve

        return evaluate_method(functools.partial(solve, method), cases, tell, workers)
    from training.checkpoint import load_network
    from training.matte.predict import matte
    from training.processes import pick_device

    assert checkpoint is not None
    model = load_network(checkpoint).without_trimap_decoder().to(pick_device(device))
    return evaluate_method(functools.partial(matte, model), cases, tell)


def _measured_part(
    part: Part,
    predictions: Path | None,
    measured: Callable[[Any, Any], Evaluation],
    workers: int,
) -> Evaluation:
    """A part of a test set: predictions on disk, or what is made of its images."""
    from training.matte.evaluate import evaluate_folders, folder_cases

    with progress(part.name, None, "images") as advance:

        def tell(done: int, _: int) -> None:
            advance(done)

        if predictions is not None:
            mine = predictions / part.predictions
            return evaluate_folders(mine, part.alphas, part.trimaps, tell, workers)
        return measured(tell, folder_cases(part.images, part.alphas, part.trimaps))
