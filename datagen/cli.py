"""`datagen`: the commands. They translate options and exit codes; they decide nothing."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from classical.band import INNER, OUTER
from console.commands import DONE, FAILED, WRONG_USAGE, new_app, run
from console.messages import fail, say, show, show_json, warn
from console.options import existing_file, switch, with_options
from console.progress import progress
from console.texts import count_text
from datagen.inspect.cli import preview, replay, report, stats, verify
from datagen.options import (
    AddressOption,
    AlphaOption,
    BgOption,
    FgOption,
    JsonOption,
    Protocol,
    WorkersOption,
    about_option,
    folder_option,
    for_workers,
    location_option,
    path_option,
    source_folders,
    workers_of,
)
from datagen.settings import Settings
from manifests.storage import Location, location_of

app = new_app("Compose foregrounds over backgrounds, into shards for training a matting model.")


@app.command()
def synth(
    out: Annotated[Path, path_option("Folder in which fgs and bgs are made.")],
    fg: Annotated[int, typer.Option(help="How many foregrounds to make.", min=1, metavar="N")],
    bg: Annotated[int, typer.Option(help="How many backgrounds to make.", min=1, metavar="N")],
    size: Annotated[
        int, typer.Option(help="Long side of each image, in pixels.", min=64, max=4096, metavar="N")
    ] = 800,
    seed: Annotated[
        int, typer.Option(help="Number on which every random choice depends.", min=0, metavar="N")
    ] = 0,
    workers: WorkersOption = None,
) -> None:
    """Make procedural sources with exact alphas, as many of each kind."""
    from datagen.synth import write_sources

    with progress("synth", fg + bg, "images") as advance:
        done = 0

        def on_image() -> None:
            nonlocal done
            done += 1
            advance(done)

        write_sources(out, fg, bg, size, seed, progress=on_image, workers=workers)
    say(f"{out}/fgs: {fg} foregrounds, {out}/bgs: {bg} backgrounds, each with its labels")


@app.command()
def lint(
    fg: FgOption,
    bg: BgOption,
    alpha: AlphaOption = None,
    workers: WorkersOption = None,
    json_: JsonOption = False,
) -> None:
    """Find every problem in the sources, before hours are spent on composing them."""
    from datagen.prepare import scan_sources
    from datagen.printing import print_problems

    with workers_of(workers) as ray:
        found = scan_sources(ray, source_folders(fg, bg, alpha))
    if json_:
        show_json(
            {
                "problems": [asdict(problem) for problem in found.problems],
                "warnings": [asdict(warning) for warning in found.warnings],
                "foregrounds": len(found.foregrounds),
                "backgrounds": len(found.backgrounds),
            }
        )
    else:
        print_problems(found)
    raise typer.Exit(FAILED if found.problems else DONE)


_PROTOCOL = "Test sets"


def _width(side: str) -> Any:
    return typer.Option(
        help=f"Width of the unknown band {side} the mask's edge, over the root of its area.",
        min=0,
        max=1,
        metavar="X",
    )


def _list_option(kind: str) -> Any:
    return typer.Option(
        help=f"File with the names of the {kind}, one a line, in their order.",
        metavar="FILE",
        callback=existing_file,
        rich_help_panel=_PROTOCOL,
    )


@app.command()
@with_options(Settings)
def compose(
    fg: FgOption,
    bg: BgOption,
    settings: Settings,
    alpha: AlphaOption = None,
    out: Annotated[
        str, location_option("Folder or URL of the shard set to make.", is_written=True)
    ] = "shards",
    skip_bad: Annotated[
        bool, switch("--skip-bad", "Leave out sources that cannot be used, and list them.")
    ] = False,
    plan: Annotated[
        bool, switch("--plan", "Only estimate the time and space that it would take.")
    ] = False,
    cache: Annotated[
        Path | None,
        path_option(
            "Folder in which the working copies of the sources stay, for other sets of the same "
            "sources; they are removed with the run if none is named."
        ),
    ] = None,
    cache_size: Annotated[
        int | None,
        typer.Option(
            help="Gigabytes of working copies that each machine keeps at a time, in a folder of "
            "its own.",
            min=1,
            metavar="N",
            show_default="all in one folder, which all machines share; 100 if --out is a URL",
        ),
    ] = None,
    workers: WorkersOption = None,
    ray_address: AddressOption = None,
    licence_allow: Annotated[
        str,
        typer.Option(
            help="Leave out sources whose licence, in the label files, is not in this list.",
            metavar="NAME,NAME",
            show_default="sources of any licence",
        ),
    ] = "",
    title: Annotated[str, about_option("Name of the set, for its README.md.")] = "",
    licence: Annotated[str, about_option("Licence of the set, such as CC-BY-4.0.")] = "",
    url: Annotated[str, about_option("Where more about the set is to be found.", "URL")] = "",
    citation: Annotated[str, about_option("How the set is cited, such as BibTeX.")] = "",
    protocol: Annotated[
        Protocol | None,
        typer.Option(
            help="Make a test set by somebody else's rule instead: folders of PNG files.",
            metavar="|".join(Protocol),
            rich_help_panel=_PROTOCOL,
        ),
    ] = None,
    fg_list: Annotated[Path | None, _list_option("foregrounds")] = None,
    bg_list: Annotated[Path | None, _list_option("backgrounds")] = None,
    json_: JsonOption = False,
) -> None:
    """Compose every foreground over every background into a shard set."""
    from datagen.job import make_shard_set
    from datagen.printing import print_result
    from datagen.resume import check_beginning
    from manifests.card import About

    root = for_workers(location_of(out), ray_address)
    cache = cache and for_workers(cache, ray_address)
    licences = tuple(filter(None, map(str.strip, licence_allow.split(","))))
    sources = source_folders(fg, bg, alpha, licences, ray_address)
    if protocol is not None:
        if not isinstance(root, Path):
            raise typer.BadParameter("--protocol makes a folder; --out cannot be a URL")
        raise typer.Exit(_by_protocol(sources, settings, (fg_list, bg_list), root, workers))
    if fg_list or bg_list:
        raise typer.BadParameter("--fg-list and --bg-list cannot be used without --protocol")
    about = About(title, licence, url, citation)
    if plan:
        raise typer.Exit(_plan(sources, settings, root, cache, skip_bad, workers, json_))
    beginning = check_beginning(root, settings)  # before seconds are spent on starting workers
    with workers_of(workers, ray_address) as ray:
        what = sources, settings, root, skip_bad, beginning, about, cache
        result = make_shard_set(ray, *what, (cache_size or 0) * 10**9)
    if json_:
        show_json(asdict(result))
    else:
        print_result(result, root)
    raise typer.Exit(FAILED if result.failed else DONE)


def _by_protocol(
    sources: Any,
    settings: Settings,
    lists: tuple[Path | None, Path | None],
    out: Path,
    workers: int | None,
) -> int:
    from datagen.protocol import make_comp1k

    foregrounds, backgrounds = lists
    if foregrounds is None or backgrounds is None:
        raise typer.BadParameter("--protocol needs --fg-list and --bg-list")
    if settings != Settings():
        raise typer.BadParameter("--protocol has a recipe of its own; leave the settings out")
    with workers_of(workers) as ray:
        made, failed = make_comp1k(ray, sources, foregrounds, backgrounds, out)
    for reason in failed:
        fail(reason)
    show(f"{out}: {made} images in merged, alpha_copy and trimaps")
    return FAILED if failed else DONE


def _plan(
    sources: Any,
    settings: Settings,
    out: Location,
    cache: Path | None,
    skip_bad: bool,
    workers: int | None,
    json_: bool,
) -> int:
    from datagen.cache import copies_folder
    from datagen.estimate import estimate, too_large
    from datagen.prepare import scan_and_split
    from datagen.printing import print_estimate
    from datagen.room import free_bytes

    with workers_of(workers) as ray:
        found = scan_and_split(ray, sources, settings, skip_bad)
    copies = copies_folder(out, cache)
    expected = estimate(sources, settings, found, ray.workers, copies)
    if json_:
        free = free_bytes(out) if isinstance(out, Path) else None
        show_json(asdict(expected) | {"free_bytes": free})
    else:
        print_estimate(expected, out, cache)
    return FAILED if too_large(expected, out, copies) else DONE


@app.command()
def trimap(
    masks: Annotated[
        Path, folder_option("--masks", "Folder of masks: grey pictures, or RLE JSON.")
    ],
    out: Annotated[Path, path_option("Folder to write the trimaps to, as PNG.")],
    inner: Annotated[float, _width("inside")] = INNER,
    outer: Annotated[float, _width("outside")] = OUTER,
) -> None:
    """Make trimaps of the masks of a segmentation network, for `matte predict`."""
    from datagen.masks import write_trimaps

    if out.exists() and not out.is_dir():
        raise typer.BadParameter(f"--out {out}: is a file; name a folder")
    if out.resolve() == masks.resolve():
        raise typer.BadParameter(f"{out}: the trimaps would overwrite the masks")
    bad: list[str] = []
    with progress("trimap", None, "masks") as advance:
        made = write_trimaps(masks, out, (inner, outer), lambda done, _: advance(done), bad.append)
    for reason in bad:
        fail(reason)
    say(f"{out}: {count_text(made, 'trimap')}, {len(bad)} failed")
    raise typer.Exit(FAILED if bad else DONE)


for _command in (stats, preview, report, verify, replay):
    app.command()(_command)


_GO_ON = {"compose", "synth"}  # the commands that keep what they have made


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; a user's mistake becomes one sentence and an exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    hint = "; what is finished is kept, and the same command goes on from there"
    run(app, "datagen", arguments, hint if given[:1] and given[0] in _GO_ON else "", _explain)


def _explain(error: Exception) -> int | None:
    from datagen.plan import PlanError
    from datagen.prepare import BadSourcesError
    from datagen.resume import RefusedError

    if isinstance(error, BadSourcesError):
        for problem in error.problems:
            fail(f"{problem.file}: {problem.reason} [{problem.kind}]")
        if error.are_swapped:
            warn("are --fg and --bg swapped?")
        elif not error.nothing_left:
            warn("fix what is wrong, or leave out what cannot be used with --skip-bad")
        return FAILED
    if isinstance(error, KeyError):
        fail(str(error.args[0]))
        return FAILED
    if isinstance(error, RefusedError | PlanError):
        fail(str(error))
        return WRONG_USAGE
    return None


if __name__ == "__main__":
    main()
