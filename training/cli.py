"""`train` and `matte`: the commands. They translate options and exit codes; they decide nothing."""

from __future__ import annotations

import functools
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from manifests.sources import Split
from manifests.storage import write_bytes
from training.classical import Method
from training.losses import Area
from training.model import Variant
from training.order import TrimapChoice
from training.progress import Advance, notes, progress
from training.settings import Precision, TrainSettings

DONE, FAILED, WRONG_USAGE, INTERRUPTED = 0, 1, 2, 130

_DEFAULT = TrainSettings()
_SHOWN = ("loss", "l1", "trimap")  # of the losses, on the progress bar
# Typer carries its own copy of click and gives this class no public name.
_UsageError: type[Exception] = typer.BadParameter.__mro__[1]


def _app(help_: str) -> typer.Typer:
    return typer.Typer(
        help=help_,
        no_args_is_help=False,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
    )


train_app = _app("Train the matting model on a shard set.")
matte_app = _app("Mattes of pictures, how good they are, and the model for other programs.")


def _folder(help_: str) -> Any:
    return typer.Option(help=help_, metavar="DIR", exists=True, file_okay=False)


CheckpointOption = Annotated[
    Path, typer.Option(help="A run, one of its checkpoints, or a model.safetensors.", metavar="C")
]
CacheOption = Annotated[
    str,
    typer.Option(
        help="Where shards that --shards names by URL stay, once fetched.",
        metavar="DIR",
        show_default="fetched anew each time",
    ),
]
DeviceOption = Annotated[
    str | None, typer.Option(help="cpu, cuda, cuda:1, ...", show_default="the fastest")
]


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
) -> None:
    """Train on split train of a shard set; validate on val where there is one.

    With several GPUs: torchrun --nproc-per-node 4 -m training --shards ...
    """
    from training.processes import join, pick_device
    from training.train import Stopped, open_run
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
    run = out or Path("runs") / str(variant)
    with join(pick_device(device)) as processes:
        refused: OSError | ValueError | None = None
        if processes.first:
            try:
                open_run(run, settings, resume, processes)
            except (OSError, ValueError) as error:
                refused = error
        if processes.any(refused is not None):  # and waits for the first
            raise refused or typer.Exit(FAILED)
        try:
            if processes.first:
                with progress("train", iterations, "iterations", latest_iteration(run)) as advance:
                    tell = functools.partial(_tell, advance, time.monotonic(), set())
                    train_model(settings, run, processes, tell)
            else:
                train_model(settings, run, processes, functools.partial(_tell_bad, set()))
        except Stopped:
            raise KeyboardInterrupt from None
    if processes.first:
        name = _literal(str(run))
        notes.print(
            f"{name}: trained; `matte predict --checkpoint {name}` uses its best checkpoint"
        )


def _tell(advance: Advance, begin: float, known: set[str], news: Any) -> None:
    _tell_bad(known, news)
    if news.score is not None:
        score = news.score
        notes.print(
            f"iteration {news.iteration}: validation SAD {score.sad_whole:.3f}, MSE "
            f"{score.mse_whole:.5f}; unknown area {score.sad:.3f}, {score.mse:.5f}"
        )
    if news.losses is not None:
        rate = news.samples / max(time.monotonic() - begin, 1e-9)
        shown = "  ".join(
            f"{name} {news.losses[name]:.4f}" for name in _SHOWN if name in news.losses
        )
        bad = f"  {len(known)} bad" if known else ""
        advance(news.iteration, f"{rate:.1f} samples/s  {shown}{bad}")


def _tell_bad(known: set[str], news: Any) -> None:
    for reason in news.bad:
        if reason not in known:
            known.add(reason)
            notes.print(f"[bold yellow]bad:[/] {_literal(reason)}")


def latest_iteration(run: Path) -> int:
    """How far a run is."""
    from training.checkpoint import checkpoints

    saved = checkpoints(run)
    return int(saved[-1].name) if saved else 0


@matte_app.command()
def predict(
    checkpoint: CheckpointOption,
    images: Annotated[Path, _folder("Photos; those without a trimap are left alone.")],
    trimaps: Annotated[Path, _folder("Trimaps of the same names: 0/1/2 or 0/128/255.")],
    out: Annotated[Path, typer.Option(help="Where the alphas go, as 8-bit PNG.", metavar="DIR")],
    foregrounds: Annotated[
        bool,
        typer.Option("--foregrounds", help="Also cut-outs with estimated colours, in DIR/cutouts."),
    ] = False,
    device: DeviceOption = None,
) -> None:
    """Alphas of photos with trimaps."""
    from training.checkpoint import load_model
    from training.classical import foreground_of
    from training.pictures import (
        by_stem,
        check_sizes,
        listed,
        match_folders,
        read_image,
        read_trimap,
        write_alpha,
        write_cutout,
    )
    from training.predict import matte
    from training.processes import pick_device

    for written in (out, out / "cutouts")[: 2 if foregrounds else 1]:
        if written.resolve() in {images.resolve(), trimaps.resolve()}:
            raise typer.BadParameter(f"{written}: the alphas would overwrite what is read there")
    model = load_model(checkpoint).without_trimap_decoder().to(pick_device(device))
    # Nobody may have made a trimap for some photos: `annotate pull` brings those of alphas too
    matched = match_folders({"trimaps": trimaps, "images": images}, extras=True)
    alone = by_stem("images", images).keys() - {pair.name for pair in matched}
    if alone:
        notes.print(f"no trimap for {len(alone)} of the images: {_literal(listed(sorted(alone)))}")
    failed = 0
    with progress("predict", len(matched), "images") as advance:
        for done, pair in enumerate(matched, start=1):
            try:
                trimap, image = read_trimap(pair.files[0]), read_image(pair.files[1])
                check_sizes(dict(zip(pair.files, (trimap, image), strict=True)))
                alpha = matte(model, image, trimap)
                write_alpha(out / f"{pair.name}.png", alpha)
                if foregrounds:
                    write_cutout(out / "cutouts" / f"{pair.name}.png", foreground_of(image, alpha))
            except ValueError as error:
                failed += 1
                fail(str(error))
            advance(done, "")
    notes.print(f"{_literal(str(out))}: {len(matched) - failed} alphas, {failed} failed")
    raise typer.Exit(FAILED if failed else DONE)


@matte_app.command()
def evaluate(
    predictions: Annotated[Path | None, _folder("Alphas of any method.")] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="Or those of a trained model.", metavar="C")
    ] = None,
    method: Annotated[Method | None, typer.Option(help="Or of a classical method.")] = None,
    alphas: Annotated[Path | None, _folder("The truth.")] = None,
    trimaps: Annotated[
        Path | None, _folder("Trimaps whose unknown region is measured, and that methods see.")
    ] = None,
    given_trimaps: Annotated[
        Path | None, _folder("Other trimaps for the method to see: crude ones.")
    ] = None,
    images: Annotated[Path | None, _folder("Photos, for --checkpoint and --method.")] = None,
    shards: Annotated[
        str | None, typer.Option(help="Or the samples of a shard set, with their crude trimaps.")
    ] = None,
    split: Annotated[Split | None, typer.Option(help="Of --shards.", show_default="val")] = None,
    trimap: Annotated[
        TrimapChoice | None,
        typer.Option(help="Of --shards: crude or exact.", show_default="crude"),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(help="At most so many samples of --shards.", min=1)
    ] = None,
    cache: CacheOption = "",
    workers: Annotated[
        int | None,
        typer.Option(help="Processes; not for --checkpoint.", min=1, show_default="1"),
    ] = None,
    device: DeviceOption = None,
    json_: Annotated[
        Path | None, typer.Option("--json", help="Write the figures here; - is standard output.")
    ] = None,
) -> None:
    """SAD, MSE, Grad and Conn on the unknown region, SAD and MSE on the whole image.

    Either --predictions with --alphas and --trimaps; or --checkpoint or --method with --shards, or
    with --images, --alphas and --trimaps.
    """
    from training.evaluate import evaluate_folders, evaluate_method, folder_cases

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
    with progress("evaluate", 0, "images") as advance:

        def tell(done: int, _: int) -> None:
            advance(done, "")

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
                from training.cases import ShardCases

                kinds = split or Split.VAL, limit, trimap or TrimapChoice.CRUDE
                cases: Any = ShardCases(shards, *kinds, cache)
            else:
                truth = _needed("alphas", alphas), _needed("trimaps", trimaps)
                cases = folder_cases(_needed("images", images), *truth, given_trimaps)
            if method is not None:
                from training.classical import solve

                solver = functools.partial(solve, method)
                found = evaluate_method(solver, cases, tell, workers or 1)
            else:
                from training.checkpoint import load_model
                from training.predict import matte
                from training.processes import pick_device

                assert checkpoint is not None
                model = load_model(checkpoint).without_trimap_decoder().to(pick_device(device))
                found = evaluate_method(functools.partial(matte, model), cases, tell)
    _show(found, json_)


def _show(found: Any, json_: Path | None) -> None:
    from rich.console import Console

    from training.evaluate import table_of, to_json

    for failure in found.failed:
        fail(f"{failure.name}: {failure.reason}")
    text = json.dumps(to_json(found), indent=1) + "\n"
    if json_ is not None and str(json_) == "-":
        sys.stdout.write(text)
    else:
        Console(width=None if sys.stdout.isatty() else 120).print(table_of(found))
        if json_ is not None:
            write_bytes(json_, text.encode())
    raise typer.Exit(FAILED if found.failed or not found.scores else DONE)


@matte_app.command()
def export(
    checkpoint: CheckpointOption,
    out: Annotated[Path, typer.Option(help="The .onnx file.", metavar="FILE")],
    fp16: Annotated[bool, typer.Option("--fp16", help="16-bit weights and arithmetic.")] = False,
) -> None:
    """The model without its trimap decoder as ONNX, checked against PyTorch."""
    from training.checkpoint import load_model
    from training.export import export as export_model

    for size in export_model(load_model(checkpoint), out, fp16):
        notes.print(
            f"{size.width} x {size.height}: alpha differs from PyTorch's by {size.difference:.1e} "
            "at most"
        )
    notes.print(f"{_literal(str(out))}: {out.stat().st_size / 1e6:.1f} MB")


@matte_app.command()
def bench(
    size: Annotated[int, typer.Option(help="Side of the image, pixels.", min=32)] = 800,
    device: DeviceOption = None,
    json_: Annotated[bool, typer.Option("--json", help="JSON on standard output.")] = False,
) -> None:
    """What the model costs: parameters, multiply-adds, time."""
    from training.bench import measure
    from training.processes import pick_device

    show_cost(measure(size, pick_device(device)), size, json_)


def show_cost(cost: Any, size: int, as_json: bool) -> None:
    """As a JSON object, or a line for each figure."""
    if as_json:
        print(json.dumps(asdict(cost)))
        return
    for name, value in (
        ("device", cost.device),
        ("parameters", f"{cost.parameters / 1e6:.2f} M"),
        (f"multiply-adds at {size} x {size}", f"{cost.gmac:.3f} G"),
        (f"latency at {size} x {size}", f"{cost.latency_ms:.1f} ms"),
        (f"frames/s at {size} x {size}", f"{cost.frames_per_second:.1f}"),
        ("frames/s at 1920 x 1080", f"{cost.frames_per_second_1080p:.1f}"),
    ):
        print(f"{name:32}{value}")


def fail(message: str) -> None:
    """One clear sentence on standard error."""
    notes.print(f"[bold red]error:[/] {_literal(message)}")


def _literal(text: str) -> str:
    """As it stands: what is in brackets is no markup."""
    return text.replace("[", r"\[")


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


def train_main(arguments: Sequence[str] | None = None) -> None:
    """`train`; a user's mistake becomes one sentence and an exit code."""
    hint = "; training goes on with --resume where it stopped"
    sys.exit(_guarded(lambda: train_app(args=arguments, standalone_mode=False), hint))


def matte_main(arguments: Sequence[str] | None = None) -> None:
    """`matte`, likewise."""
    sys.exit(_guarded(lambda: matte_app(args=arguments, standalone_mode=False)))


def _guarded(command: Callable[[], Any], on_interrupt: str = "") -> int:
    try:
        code = command() or DONE
    except typer.Exit as stop:
        code = stop.exit_code
    except _UsageError as error:
        error.show()  # type: ignore[attr-defined]
        return WRONG_USAGE
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except (OSError, ValueError, RuntimeError, FloatingPointError, MemoryError) as error:
        fail(str(error) or "out of memory")
        return FAILED
    if code == INTERRUPTED:  # typer makes an exit of the interrupt
        fail(f"interrupted{on_interrupt}")
    return int(code)


if __name__ == "__main__":
    train_main()
