"""`matte`: the commands. They translate options and exit codes; they decide nothing."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from classical.methods import Method
from console.commands import DONE, FAILED, new_app, run
from console.messages import fail, say
from console.options import existing_folder, local_path, switch
from console.progress import progress
from console.texts import size_text
from manifests.sources import Split
from training.choices import TrimapChoice
from training.options import CacheOption, DeviceOption

matte_app = new_app("Use a trained model: predict alphas, measure them, export the model.")


def _folder(help_: str) -> Any:
    return typer.Option(help=help_, metavar="DIR", callback=existing_folder)


CheckpointOption = Annotated[
    Path,
    typer.Option(
        help="Trained model: the folder of a run, one of its checkpoints, or a model.safetensors.",
        metavar="C",
        callback=local_path,
    ),
]


@matte_app.command()
def predict(
    checkpoint: CheckpointOption,
    images: Annotated[Path, _folder("Folder of photos; those without a trimap are left out.")],
    trimaps: Annotated[
        Path, _folder("Folder of trimaps, named like the photos, of the values 0/1/2 or 0/128/255.")
    ],
    out: Annotated[
        Path,
        typer.Option(
            help="Folder to write the alphas to, as 8-bit PNG.", metavar="DIR", callback=local_path
        ),
    ],
    foregrounds: Annotated[
        bool,
        switch(
            "--foregrounds",
            "Also write cut-outs with estimated colours, to the folder cutouts in --out.",
        ),
    ] = False,
    device: DeviceOption = None,
) -> None:
    """Predict the alphas of photos with trimaps."""
    from training.checkpoint import load_network
    from training.matte.folders import by_stem, listed, match_folders
    from training.matte.photos import predict_folders
    from training.processes import pick_device

    cutouts = out / "cutouts" if foregrounds else None
    for written in (out, cutouts):
        if written is not None and written.resolve() in {images.resolve(), trimaps.resolve()}:
            raise typer.BadParameter(f"{written}: the alphas would overwrite what is read there")
    model = load_network(checkpoint).without_trimap_decoder().to(pick_device(device))
    # Some photos may have no trimap: those for which `annotate pull` wrote an alpha instead, say
    matched = match_folders({"trimaps": trimaps, "images": images}, extras=True)
    without = by_stem("images", images).keys() - {pair.files[1].stem for pair in matched}
    if without:
        say(f"no trimap for {len(without)} of the images: {listed(sorted(without))}")
    with progress("predict", len(matched), "images") as advance:
        failed = predict_folders(model, matched, out, cutouts, advance, fail)
    say(f"{out}: {len(matched) - failed} alphas, {failed} failed")
    raise typer.Exit(FAILED if failed else DONE)


@matte_app.command()
def evaluate(
    predictions: Annotated[Path | None, _folder("Measure these alphas: a folder.")] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            help="Measure a trained model: a run, one of its checkpoints, or a model.safetensors.",
            metavar="C",
            callback=local_path,
        ),
    ] = None,
    method: Annotated[
        Method | None,
        typer.Option(help="Measure a classical method.", metavar="|".join(Method)),
    ] = None,
    alphas: Annotated[Path | None, _folder("Folder of the true alphas.")] = None,
    trimaps: Annotated[
        Path | None, _folder("Folder of trimaps: errors are measured where they are unknown.")
    ] = None,
    given_trimaps: Annotated[
        Path | None,
        _folder("Folder of crude trimaps for the model or method to use instead of --trimaps."),
    ] = None,
    images: Annotated[
        Path | None, _folder("Folder of photos for --checkpoint or --method.")
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
    """
    from training.matte.evaluate import evaluate_folders, evaluate_method, folder_cases
    from training.matte.printing import show_evaluation

    _exactly_one(predictions=predictions, checkpoint=checkpoint, method=method)
    if trimap is TrimapChoice.MIXED:
        raise typer.BadParameter("--trimap is crude or exact here")
    if predictions is not None:
        _unused("predictions", shards=shards, images=images, given_trimaps=given_trimaps)
    if shards is not None:
        folders = {"alphas": alphas, "trimaps": trimaps, "images": images}
        _unused("shards", **folders, given_trimaps=given_trimaps)
    else:
        of_shards = {"split": split, "trimap": trimap, "limit": limit, "cache": cache or None}
        _unused_without("shards", **of_shards)
    if checkpoint is not None:
        _unused("checkpoint", workers=workers)
    else:
        _unused_without("checkpoint", device=device)
    with progress("evaluate", None, "images") as advance:

        def tell(done: int, _: int) -> None:
            advance(done)

        if predictions is not None:
            found = evaluate_folders(
                predictions,
                _needed("alphas", alphas),
                _needed("trimaps", trimaps),
                tell,
                workers or 1,
            )
        else:
            if shards is not None:
                from manifests import open_shards
                from training.matte.cases import ShardCases

                kinds = split or Split.VAL, limit, trimap or TrimapChoice.CRUDE
                cases: Any = ShardCases(open_shards(shards, cache or None), *kinds)
            else:
                truth = _needed("alphas", alphas), _needed("trimaps", trimaps)
                cases = folder_cases(_needed("images", images), *truth, given_trimaps)
            if method is not None:
                from classical.methods import solve

                solver = functools.partial(solve, method)
                found = evaluate_method(solver, cases, tell, workers or 1)
            else:
                from training.checkpoint import load_network
                from training.matte.predict import matte
                from training.processes import pick_device

                assert checkpoint is not None
                model = load_network(checkpoint).without_trimap_decoder().to(pick_device(device))
                found = evaluate_method(functools.partial(matte, model), cases, tell)
    show_evaluation(found, out, json_)
    raise typer.Exit(FAILED if found.failed or not found.scores else DONE)


@matte_app.command()
def export(
    checkpoint: CheckpointOption,
    out: Annotated[
        Path, typer.Option(help="File to write, .onnx.", metavar="FILE", callback=local_path)
    ],
    fp16: Annotated[bool, switch("--fp16", "Use 16-bit weights and arithmetic.")] = False,
) -> None:
    """Export the model without its trimap decoder to ONNX, and compare it with PyTorch."""
    from training.checkpoint import load_network
    from training.matte.export import export as export_model

    for size in export_model(load_network(checkpoint), out, fp16):
        say(
            f"{size.width} x {size.height}: alpha differs from PyTorch's by {size.difference:.1e} "
            "at most"
        )
    say(f"{out}: {size_text(out.stat().st_size)}")


@matte_app.command()
def bench(
    size: Annotated[
        int, typer.Option(help="Height and width of the image, in pixels.", min=32, metavar="N")
    ] = 800,
    device: DeviceOption = None,
    json_: Annotated[bool, switch("--json", "Print JSON on standard output.")] = False,
) -> None:
    """Measure what the model costs: parameters, multiply-adds, time."""
    from training.matte.bench import measure_cost
    from training.matte.printing import show_cost
    from training.processes import pick_device

    show_cost(measure_cost(size, pick_device(device)), size, json_)


def _exactly_one(**given: object) -> None:
    if sum(value is not None for value in given.values()) != 1:
        names = ", ".join(f"--{name}" for name in given)
        raise typer.BadParameter(f"give exactly one of {names}")


def _unused(beside: str, **given: object) -> None:
    if names := _named(given):
        raise typer.BadParameter(f"{names} cannot be used with --{beside}")


def _unused_without(missing: str, **given: object) -> None:
    if names := _named(given):
        raise typer.BadParameter(f"{names} cannot be used without --{missing}")


def _named(given: Mapping[str, object]) -> str:
    return ", ".join(f"--{n.replace('_', '-')}" for n, value in given.items() if value is not None)


def _needed(name: str, value: Path | None) -> Path:
    if value is None:
        raise typer.BadParameter(f"--{name} is needed here")
    return value


def matte_main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; a user's mistake becomes one sentence and an exit code."""
    run(matte_app, "matte", arguments)
