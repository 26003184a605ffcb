"""`datagen`: the commands. They translate options and exit codes; they decide nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from console.commands import DONE, FAILED, WRONG_USAGE, new_app, run
from console.interrupts import silent_stdout
from console.messages import fail, say, show, show_json, warn
from console.options import existing_folder, local_path, switch, with_options
from console.progress import progress
from datagen.printing import (
    print_estimate,
    print_findings,
    print_problems,
    print_result,
    print_stats,
)
from datagen.settings import Settings

app = new_app("Compose foregrounds over backgrounds, into shards for training a matting model.")


def _folder(name: str, help_: str) -> Any:
    return typer.Option(name, help=help_, metavar="DIR", callback=existing_folder)


def _path(help_: str, metavar: str = "DIR") -> Any:
    return typer.Option(help=help_, metavar=metavar, callback=local_path)


def _about(help_: str, metavar: str = "TEXT") -> Any:
    panel = "Said in README.md of the set, beside what card.toml says"
    return typer.Option(help=help_, metavar=metavar, show_default=False, rich_help_panel=panel)


FgOption = Annotated[
    Path, _folder("--fg", "Folder of foregrounds: RGBA cut-outs, or RGB images with --alpha.")
]
BgOption = Annotated[Path, _folder("--bg", "Folder of backgrounds: photos.")]
AlphaOption = Annotated[
    Path | None,
    _folder("--alpha", "Folder of the alphas of the foregrounds, if those are RGB images."),
]
ShardsOption = Annotated[Path, _path("Folder of the shard set.")]
JsonOption = Annotated[bool, switch("--json", "Print JSON on standard output.")]
WorkersOption = Annotated[
    int | None,
    typer.Option(
        help="How many processes work at a time.",
        min=1,
        metavar="N",
        show_default="one per core",
    ),
]
AddressOption = Annotated[
    str | None, typer.Option(help="Address of a running Ray cluster to use.", metavar="HOST:PORT")
]


@app.command()
def synth(
    out: Annotated[Path, _path("Folder in which fgs and bgs are made.")],
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
    from datagen.sources.folders import SourceFolders

    with _cluster(workers) as ray:
        found = scan_sources(ray, SourceFolders(fg, bg, alpha))
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


@app.command()
@with_options(Settings)
def compose(
    fg: FgOption,
    bg: BgOption,
    settings: Settings,
    alpha: AlphaOption = None,
    out: Annotated[Path, _path("Folder of the shard set to make.")] = Path("shards"),
    skip_bad: Annotated[
        bool, switch("--skip-bad", "Leave out sources that cannot be used, and list them.")
    ] = False,
    plan: Annotated[
        bool, switch("--plan", "Only estimate the time and space that it would take.")
    ] = False,
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
    title: Annotated[str, _about("Name of the set, for its README.md.")] = "",
    licence: Annotated[str, _about("Licence of the set, such as CC-BY-4.0.")] = "",
    url: Annotated[str, _about("Where more about the set is to be found.", "URL")] = "",
    citation: Annotated[str, _about("How the set is cited, such as BibTeX.")] = "",
    json_: JsonOption = False,
) -> None:
    """Compose every foreground over every background into a shard set."""
    from datagen.job import make_shard_set
    from datagen.resume import check_beginning
    from datagen.sources.folders import SourceFolders
    from manifests.card import About

    fg, bg, out = (_for_workers(path, ray_address) for path in (fg, bg, out))
    licences = tuple(filter(None, map(str.strip, licence_allow.split(","))))
    sources = SourceFolders(fg, bg, alpha and _for_workers(alpha, ray_address), licences)
    about = About(title, licence, url, citation)
    if plan:
        raise typer.Exit(_plan(sources, settings, out, skip_bad, workers, json_))
    beginning = check_beginning(out, settings)  # before seconds are spent on starting workers
    with _cluster(workers, ray_address) as ray:
        result = make_shard_set(ray, sources, settings, out, skip_bad, beginning, about)
    if json_:
        show_json(asdict(result))
    else:
        print_result(result, out)
    raise typer.Exit(FAILED if result.failed else DONE)


@contextmanager
def _cluster(workers: int | None, address: str | None = None) -> Iterator[Any]:
    """Ray, whose output does not reach standard output."""
    from datagen.cluster import cluster

    with silent_stdout(), cluster(workers, address) as ray:
        yield ray


def _for_workers(path: Path, ray_address: str | None) -> Path:
    """The path as workers can use it: those of a cluster run in folders of their own."""
    return path if ray_address is None else path.absolute()


def _plan(
    sources: Any, settings: Settings, out: Path, skip_bad: bool, workers: int | None, json_: bool
) -> int:
    from datagen.estimate import estimate, too_large
    from datagen.prepare import scan_and_split
    from datagen.room import free_bytes

    with _cluster(workers) as ray:
        found = scan_and_split(ray, sources, settings, skip_bad)
    expected = estimate(sources, settings, found, ray.workers)
    if json_:
        show_json(asdict(expected) | {"free_bytes": free_bytes(out)})
    else:
        print_estimate(expected, out)
    return FAILED if too_large(expected, out) else DONE


@app.command()
def stats(
    shards: ShardsOption = Path("shards"),
    by_transparency: Annotated[
        bool, switch("--by-transparency", "Also show a row for each subject and transparency.")
    ] = False,
    by_licence: Annotated[
        bool, switch("--by-licence", "Also show a row for each licence of the sources.")
    ] = False,
    plot: Annotated[Path | None, _path("Picture of the statistics to draw.", "FILE.png")] = None,
    json_: JsonOption = False,
) -> None:
    """Show statistics of a shard set, read from its index only."""
    from datagen.inspect.stats import read_stats
    from manifests import open_shards

    found = read_stats(open_shards(shards))
    if plot is not None:
        from datagen.inspect.plot import plot_stats

        plot_stats(found, plot)
        say(f"{plot}: written")
    if json_:
        fields = asdict(replace(found, histograms={}))
        del fields["histograms"]
        show_json(fields)
    else:
        print_stats(found, by_transparency, by_licence)


@app.command()
def preview(
    shards: ShardsOption = Path("shards"),
    out: Annotated[Path, _path("Picture to draw.", "FILE.png")] = Path("preview.png"),
    rows: Annotated[
        int, typer.Option(help="How many samples to draw.", min=1, max=64, metavar="N")
    ] = 8,
) -> None:
    """Draw a few samples side by side: image, alpha, trimap, crude trimap."""
    from datagen.inspect.preview import preview as run_preview
    from manifests import open_shards

    bad: list[str] = []
    with open_shards(shards, check=False) as opened:
        keys = run_preview(opened, out, rows, bad.append)
    for reason in bad:
        fail(reason)
    say(f"{out}: {', '.join(keys)}")
    raise typer.Exit(FAILED if bad else DONE)


@app.command()
def verify(
    shards: ShardsOption = Path("shards"),
    workers: WorkersOption = None,
    ray_address: AddressOption = None,
    json_: JsonOption = False,
) -> None:
    """Check a shard set completely, and name what is wrong by shard and sample."""
    from datagen.inspect.verify import verify as run_verify
    from manifests import open_shards

    opened = open_shards(_for_workers(shards, ray_address))
    findings, samples = [], 0
    total = len(opened)
    with _cluster(workers, ray_address) as ray, progress("verify", total, "samples") as advance:
        for shard, found in run_verify(ray, opened):
            samples += shard.samples
            findings += found
            advance(samples)
    findings.sort(key=lambda finding: (finding.shard, finding.sample))
    if json_:
        show_json({"samples": total, "findings": [asdict(finding) for finding in findings]})
    else:
        print_findings(findings, total, len(opened.shards))
    raise typer.Exit(FAILED if findings else DONE)


@app.command()
def replay(
    key: Annotated[str, typer.Argument(help="Key of a sample, such as train-00000042.")],
    fg: FgOption,
    bg: BgOption,
    out: Annotated[Path, _path("Folder to write the sample to.")],
    shards: ShardsOption = Path("shards"),
    alpha: AlphaOption = None,
) -> None:
    """Compose one sample of a shard set again, and compare it byte for byte."""
    from datagen.inspect.replay import replay as run_replay
    from datagen.sources.folders import SourceFolders
    from manifests import open_shards

    with open_shards(shards, check=False) as opened:
        found = run_replay(key, opened, SourceFolders(fg, bg, alpha), out)
    for path in found.files:
        say(str(path))
    if found.different:
        fail(f"{key}: {', '.join(found.different)} differ from what {shards} holds")
        raise typer.Exit(FAILED)
    show(f"{key}: matches, byte for byte")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; a user's mistake becomes one sentence and an exit code."""
    hint = "; what is finished is kept, and the same command goes on from there"
    run(app, "datagen", arguments, hint, _explain)


def _explain(error: Exception) -> int | None:
    from datagen.plan import PlanError
    from datagen.prepare import BadSourcesError
    from datagen.resume import RefusedError

    if isinstance(error, BadSourcesError):
        for problem in error.problems:
            fail(f"{problem.file}: {problem.reason} [{problem.kind}]")
        warn(
            f"{len(error.problems)} problems; fix them, or leave these sources out with --skip-bad"
        )
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
