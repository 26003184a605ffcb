"""`matte`: the commands. They translate options and exit codes; they decide nothing."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from classical.band import INNER, OUTER
from console.commands import DONE, FAILED, new_app, run
from console.messages import fail, say, show, warn
from console.options import local_path, switch
from console.progress import progress
from console.texts import count_text, size_text
from training.choices import BUILT_IN
from training.matte.evaluate_cli import evaluate
from training.options import (
    CacheOption,
    DeviceOption,
    check_partners,
    exactly_one,
    needed,
    read_folder,
    sides_of,
)

matte_app = new_app("Use a trained model: predict alphas, measure them, export the model.")


def _width(side: str, usual: float) -> Any:
    return typer.Option(
        help=f"Width of the unknown band {side} the edge of --masks, over the root of their area.",
        min=0,
        max=1,
        metavar="X",
        show_default=str(usual),
    )


CheckpointOption = Annotated[
    Path,
    typer.Option(
        help="Trained model: the folder or URL of a run, of one of its checkpoints, or a "
        "model.safetensors.",
        metavar="C",
        show_default="the model that comes with this program",
    ),
]
_BUILT_IN = Path(BUILT_IN)


@matte_app.command()
def predict(
    *,
    checkpoint: CheckpointOption = _BUILT_IN,
    images: Annotated[
        Path, read_folder("Folder of photos; those without a trimap or a mask are left out.")
    ],
    out: Annotated[
        Path,
        typer.Option(
            help="Folder to write the alphas to, as 8-bit PNG.", metavar="DIR", callback=local_path
        ),
    ],
    trimaps: Annotated[
        Path | None,
        read_folder("Folder of trimaps, named like the photos, of the values 0/1/2 or 0/128/255."),
    ] = None,
    masks: Annotated[
        Path | None,
        read_folder("Instead: folder of masks of a segmentation network, pictures or RLE JSON."),
    ] = None,
    inner: Annotated[float | None, _width("inside", INNER)] = None,
    outer: Annotated[float | None, _width("outside", OUTER)] = None,
    foregrounds: Annotated[
        bool,
        switch(
            "--foregrounds",
            "Also write cut-outs with estimated colours, to the folder cutouts in --out.",
        ),
    ] = False,
    device: DeviceOption = None,
) -> None:
    """Predict the alphas of photos with trimaps, or with the masks of a segmentation network."""
    from training.checkpoint import load_network
    from training.matte.folders import by_stem, listed, match_folders
    from training.matte.photos import predict_folders
    from training.processes import pick_device

    exactly_one(trimaps=trimaps, masks=masks)
    check_partners("masks", masks, {"inner": inner, "outer": outer}, {})
    kind, given = ("masks", masks) if masks is not None else ("trimaps", needed("trimaps", trimaps))
    band = (INNER if inner is None else inner, OUTER if outer is None else outer)
    if out.exists() and not out.is_dir():
        raise typer.BadParameter(f"--out {out}: is a file; name a folder")
    cutouts = out / "cutouts" if foregrounds else None
    for written in (out, cutouts):
        if written is not None and written.resolve() in {images.resolve(), given.resolve()}:
            raise typer.BadParameter(f"{written}: the alphas would overwrite what is read there")
    model = load_network(checkpoint).without_trimap_decoder().to(pick_device(device))
    # Some photos may have no trimap: those for which `annotate pull` wrote an alpha instead, say
    matched = match_folders({kind: given, "images": images}, extras=True)
    without = by_stem("images", images).keys() - {pair.files[1].stem for pair in matched}
    if without:
        warn(f"no {kind[:-1]} for {len(without)} of the images: {listed(sorted(without))}")
    with progress("predict", len(matched), "images") as advance:
        failed = predict_folders(
            model, matched, out, cutouts, advance, fail, band if masks is not None else None
        )
    left = f", {len(without)} without a {kind[:-1]}" if without else ""
    say(f"{out}: {count_text(len(matched) - failed, 'alpha')}, {failed} failed{left}")
    raise typer.Exit(FAILED if failed else DONE)


@matte_app.command()
def serve(checkpoint: CheckpointOption = _BUILT_IN, device: DeviceOption = None) -> None:
    """Predict alphas for a program that asks for them one by one, until it ends.

    `annotate assist --checkpoint` starts this. A request is a line of JSON on standard input, and
    its answer one on standard output: see docs/train.md.
    """
    from training.matte.serve import serve as answer_all

    answer_all(checkpoint, device, sys.stdin, show)
    raise typer.Exit(DONE)


matte_app.command()(evaluate)


@matte_app.command()
def export(
    *,
    checkpoint: CheckpointOption = _BUILT_IN,
    out: Annotated[
        Path,
        typer.Option(
            help="File to write: .onnx, or .pte for ExecuTorch, which runs on phones.",
            metavar="FILE",
            callback=local_path,
        ),
    ],
    size: Annotated[
        str | None,
        typer.Option(
            help="Height and width of the images of a .pte, the only ones that it takes.",
            metavar="N|HxW",
            show_default="800",
        ),
    ] = None,
    fp16: Annotated[bool, switch("--fp16", "Use 16-bit weights and arithmetic.")] = False,
    int8: Annotated[
        bool,
        switch("--int8", "Use 8-bit weights and arithmetic, and measure size, time and errors."),
    ] = False,
    shards: Annotated[
        str | None,
        typer.Option(
            help="Shard set for --int8: split train gives the ranges, split val the errors.",
            metavar="S",
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            help="How many samples of each split --int8 uses.",
            min=1,
            metavar="N",
            show_default="32",
        ),
    ] = None,
    cache: CacheOption = "",
) -> None:
    """Export the model without its trimap decoder, and compare it with PyTorch."""
    from training.checkpoint import load_network

    if out.suffix.lower() not in {".onnx", ".pte"}:
        raise typer.BadParameter(f"--out {out}: name a file that ends with .onnx or .pte")
    is_pte = out.suffix.lower() == ".pte"
    if size is not None and not is_pte:
        raise typer.BadParameter("--size is for a .pte; an .onnx takes images of any size")
    if is_pte and (fp16 or int8):
        raise typer.BadParameter("a .pte has 32 bits: leave out --fp16 and --int8")
    sides = sides_of(size or "800")
    of_int8 = {"shards": shards, "limit": limit, "cache": cache or None}
    check_partners("int8", int8 or None, of_int8, {"fp16": fp16 or None})
    if int8:
        from manifests import open_shards
        from training.matte.printing import show_exported
        from training.matte.quantise import export_int8

        opened = open_shards(needed("shards", shards), cache or None)
        model = load_network(checkpoint)
        with progress("evaluate", None, "images") as advance:
            found = export_int8(model, out, opened, limit or 32, lambda done, _: advance(done))
        show_exported(found)
    else:
        if is_pte:
            from training.matte.phone import export_pte

            parities = export_pte(load_network(checkpoint), out, sides)
        else:
            from training.matte.export import export as export_model

            parities = export_model(load_network(checkpoint), out, fp16)
        for one in parities:
            say(
                f"{one.width} x {one.height}: alpha differs from PyTorch's by "
                f"{one.difference:.1e} at most"
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


def matte_main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; a user's mistake becomes one sentence and an exit code."""
    run(matte_app, "matte", arguments)
