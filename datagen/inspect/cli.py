"""The commands that look at a finished shard set."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from console.commands import DONE, FAILED
from console.messages import fail, say, show, show_json
from console.options import switch
from console.progress import progress
from console.texts import size_text
from datagen.options import (
    AddressOption,
    AlphaOption,
    BgOption,
    FgOption,
    JsonOption,
    ShardsOption,
    WorkersOption,
    for_workers,
    path_option,
    source_folders,
    workers_of,
)
from manifests.storage import location_of


def stats(
    shards: ShardsOption = "shards",
    by_transparency: Annotated[
        bool, switch("--by-transparency", "Also show a row for each subject and transparency.")
    ] = False,
    by_licence: Annotated[
        bool, switch("--by-licence", "Also show a row for each licence of the sources.")
    ] = False,
    plot: Annotated[
        Path | None, path_option("Picture of the statistics to draw.", "FILE.png")
    ] = None,
    json_: JsonOption = False,
) -> None:
    """Show statistics of a shard set, read from its index only."""
    from datagen.inspect.stats import read_stats
    from datagen.printing import print_stats
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


def preview(
    shards: ShardsOption = "shards",
    out: Annotated[Path, path_option("Picture to draw.", "FILE.png")] = Path("preview.png"),
    rows: Annotated[
        int, typer.Option(help="How many samples to draw.", min=1, max=64, metavar="N")
    ] = 8,
    key: Annotated[
        list[str] | None,
        typer.Option(help="Key of a sample to draw; may be repeated.", metavar="KEY"),
    ] = None,
    split: Annotated[
        str, typer.Option(help="Only samples of this split.", metavar="train|val")
    ] = "",
    worst: Annotated[
        bool, switch("--worst", "Draw the worst crude trimaps: first the worst of each foreground.")
    ] = False,
    layers: Annotated[
        bool, switch("--layers", "Also draw foreground and background of each sample.")
    ] = False,
) -> None:
    """Draw a few samples side by side: image, alpha, trimap, crude trimap."""
    from datagen.inspect.preview import FORMATS, chosen_keys, draw
    from manifests import open_shards

    if key and (split or worst):
        raise typer.BadParameter("--key says which samples to draw; leave --split and --worst out")
    if out.suffix.lower() not in FORMATS:
        raise typer.BadParameter(f"--out {out}: name a picture that ends with {', '.join(FORMATS)}")
    bad: list[str] = []
    with open_shards(shards, check=False) as opened:
        if layers and not opened.settings.layers:
            raise typer.BadParameter(f"{opened.root}: was composed with --no-layers")
        among = opened.split(split) if split else opened
        keys = draw(opened, out, key or chosen_keys(among, rows, worst), bad.append, layers)
    _end(bad, f"{out}: {', '.join(keys)}")


def report(
    shards: ShardsOption = "shards",
    out: Annotated[Path, path_option("Page to write.", "FILE.html")] = Path("report.html"),
    samples: Annotated[
        int, typer.Option(help="About how many samples to show.", min=16, max=1000, metavar="N")
    ] = 240,
) -> None:
    """Write one page to look at a shard set: counts, plots, samples, sources and licences."""
    from datagen.inspect.report import write_report
    from manifests import open_shards

    bad: list[str] = []
    with open_shards(shards, check=False) as opened:
        most = min(samples, len(opened))
        with progress("report", most, "samples") as advance:
            shown = write_report(opened, out, samples, bad.append, advance)
    _end(bad, f"{out}: {shown} samples, {size_text(out.stat().st_size)}")


def _end(bad: list[str], made: str) -> NoReturn:
    """Say which samples could not be read, and what was made of the others."""
    for reason in bad:
        fail(reason)
    say(made)
    raise typer.Exit(FAILED if bad else DONE)


def verify(
    shards: ShardsOption = "shards",
    workers: WorkersOption = None,
    ray_address: AddressOption = None,
    json_: JsonOption = False,
) -> None:
    """Check a shard set completely, and name what is wrong by shard and sample."""
    from datagen.inspect.verify import verify as run_verify
    from datagen.printing import print_findings
    from manifests import open_shards

    opened = open_shards(for_workers(location_of(shards), ray_address))
    findings, samples = [], 0
    total = len(opened)
    with workers_of(workers, ray_address) as ray, progress("verify", total, "samples") as advance:
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


def replay(
    key: Annotated[str, typer.Argument(help="Key of a sample, such as train-00000042.")],
    fg: FgOption,
    bg: BgOption,
    out: Annotated[Path, path_option("Folder to write the sample to.")],
    shards: ShardsOption = "shards",
    alpha: AlphaOption = None,
) -> None:
    """Compose one sample of a shard set again, and compare it byte for byte."""
    from datagen.inspect.replay import replay as run_replay
    from manifests import open_shards

    with open_shards(shards, check=False) as opened:
        found = run_replay(key, opened, source_folders(fg, bg, alpha), out)
    for path in found.files:
        say(str(path))
    if found.different:
        fail(f"{key}: {', '.join(found.different)} differ from what {opened.root} holds")
        raise typer.Exit(FAILED)
    show(f"{key}: matches, byte for byte")
