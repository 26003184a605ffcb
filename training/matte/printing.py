"""What `matte evaluate` and `matte bench` print."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from console.messages import fail, say, show_json, show_pairs, show_table
from console.texts import size_text
from manifests.storage import write_bytes
from training.matte.evaluate import COLUMNS, Evaluation, mean_rows, to_json, without_unknown
from training.matte.layouts import COLUMNS as PAPER_COLUMNS
from training.matte.layouts import paper_row

if TYPE_CHECKING:  # it needs torch, which evaluations of files do without
    from training.matte.bench import Cost
    from training.matte.quantise import Exported


def show_evaluation(found: Evaluation, out: Path | None, as_json: bool) -> None:
    """Failures, and a table of means or a JSON object with all figures.

    out: a file for that object, too.
    """
    for failure in found.failed:
        fail(f"{failure.name}: {failure.reason}")
    if out is not None:
        write_bytes(out, (json.dumps(to_json(found), indent=1) + "\n").encode())
    if as_json:
        show_json(to_json(found))
        return
    if found.scores:
        show_table("", COLUMNS, mean_rows(found), left=2)
    if known := without_unknown([score.metrics for score in found.scores]):
        say(
            f"{known} of {len(found.scores)} images have no unknown pixels; the means of SAD, MSE, "
            "Grad and Conn are those of the others"
        )


def show_parts(found: Mapping[str, Evaluation], out: Path | None, as_json: bool) -> None:
    """The table of papers, a row for each part of a test set; as `show_evaluation` otherwise."""
    everything = {name: to_json(one) for name, one in found.items()}
    for name, one in found.items():
        for failure in one.failed:
            fail(f"{name}: {failure.name}: {failure.reason}")
    if out is not None:
        write_bytes(out, (json.dumps(everything, indent=1) + "\n").encode())
    if as_json:
        show_json(everything)
        return
    rows = [paper_row(name, one) for name, one in found.items() if one.scores]
    show_table("", PAPER_COLUMNS, rows)


def show_cost(cost: Cost, size: int, as_json: bool) -> None:
    """As a JSON object, or a line for each figure and a table of those that are computed."""
    if as_json:
        show_json(asdict(cost))
        return
    pairs = [
        ("device", cost.device),
        ("parameters", f"{cost.parameters / 1e6:.2f} M"),
        (f"multiply-adds at {size} x {size}", f"{cost.gmac:.3f} G"),
        (f"bytes moved at {size} x {size}, 32 bits", size_text(1e6 * cost.megabytes)),
        (f"latency at {size} x {size}", f"{cost.latency_ms:.1f} ms"),
        (f"frames/s at {size} x {size}", f"{cost.frames_per_second:.1f}"),
        ("frames/s at 1920 x 1080", f"{cost.frames_per_second_1080p:.1f}"),
    ]
    show_pairs(pairs)
    show_table(
        "Computed, not measured: the frames/s that the peaks of machines allow",
        ["", f"{size} x {size}", "1920 x 1080"],
        [
            [one.machine, f"{one.frames_per_second:.1f}", f"{one.frames_per_second_1080p:.1f}"]
            for one in cost.computed
        ],
    )


def show_exported(found: Sequence[Exported]) -> None:
    """A row for each precision: what it weighs, how long it takes, and its errors."""
    from training.matte.quantise import THREADS, TIMED

    for failure in found[0].errors.failed:
        fail(f"{failure.name}: {failure.reason}")
    rows = []
    for one in found:
        times = [f"{1000 * seconds:.0f} ms" for seconds in one.seconds]
        errors = mean_rows(one.errors)[-1][3:] if one.errors.scores else ()
        rows.append([f"{one.bits} bits", size_text(one.bytes), *times, *errors])
    threads = [f"{count} thread{'s' * (count > 1)}" for count in THREADS]
    show_table("", ["", "size", *threads, *COLUMNS[3:]], rows)
    height, width = TIMED
    say(
        f"times are of one image of {width} x {height}; errors are means over "
        f"{len(found[0].errors.scores)} samples of split val with crude trimaps"
    )
