"""The statistics as a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from datagen.inspect.stats import CELLS, CRUDE_ERRORS, Stats
from manifests.sources import Transparency
from manifests.storage import writing

_COLOURS = {"human": "#d1495b", "non-human": "#30638e", "unlabelled": "#8d99ae"}
_SHADES = ("#7b2d8b", "#d1495b", "#00798c", "#edae49")  # from Highly to Little transparent


def plot_stats(found: Stats, path: Path) -> None:
    """Draw samples by cell, alpha by transparency and the crude trimaps' errors into a PNG."""
    figure = Figure(figsize=(15, 4.6), layout="constrained")
    cells, alpha, crude = figure.subplots(1, 3)
    _plot_cells(cells, found)
    _plot_alpha(alpha, found)
    _plot_crude(crude, found)
    for axes in (cells, alpha, crude):
        axes.spines[["top", "right"]].set_visible(False)
    with writing(path) as part:
        figure.savefig(part, format="png", dpi=110)


def _plot_cells(axes: Axes, found: Stats) -> None:
    subjects = list(dict.fromkeys(cell.subject for cell in found.cells))
    width = 0.8 / len(subjects)
    for place, subject in enumerate(subjects):
        samples = {
            cell.transparency: cell.samples for cell in found.cells if cell.subject == subject
        }
        heights = [samples.get(str(transparency), 0) for transparency in Transparency]
        places = np.arange(len(heights)) + (place - (len(subjects) - 1) / 2) * width
        bars = axes.bar(places, heights, width * 0.94, label=subject, color=_COLOURS[subject])
        numbers = axes.bar_label(bars, [f"{n:,}" for n in heights], fontsize=8, padding=3)
        for number in numbers:  # so that the line of the equal share does not cross it out
            number.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 1})
    equal = found.samples / len(CELLS)
    axes.axhline(equal, color="#444", linestyle="--", linewidth=1, label="equal share")
    axes.set_xticks(range(len(Transparency)), [str(transparency) for transparency in Transparency])
    axes.set(title="Samples by subject and transparency", ylabel="samples")
    axes.margins(y=0.12)
    axes.legend(frameon=False, fontsize=9, ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.08))


def _plot_alpha(axes: Axes, found: Stats) -> None:
    for transparency, colour in zip(Transparency, _SHADES, strict=True):
        counts = [h for (_, name), h in found.histograms.items() if name == transparency]
        if counts:
            soft = np.sum(counts, axis=0)[1:255]
            axes.plot(
                np.arange(1, 255), soft / max(1, soft.sum()), label=transparency, color=colour
            )
    axes.set(
        title="Soft alpha by transparency", xlabel="alpha (1 to 254)", ylabel="share of pixels"
    )
    axes.set_yscale("log")
    axes.legend(frameon=False, fontsize=9)


def _plot_crude(axes: Axes, found: Stats) -> None:
    boxes = []
    for name in CRUDE_ERRORS:
        p5, p25, p50, p75, p95 = found.crude[name]
        label = "1 - IoU" if name == "iou" else name.replace("_", " ")
        points = (
            [1 - p95, 1 - p75, 1 - p50, 1 - p25, 1 - p5] if name == "iou" else found.crude[name]
        )
        keys = ("whislo", "q1", "med", "q3", "whishi")
        boxes.append({"label": label, **dict(zip(keys, points, strict=True))})
    axes.bxp(
        boxes,
        orientation="horizontal",
        showfliers=False,
        patch_artist=True,
        boxprops={"facecolor": "#dbe5ee", "edgecolor": "#30638e"},
        medianprops={"color": "#d1495b", "linewidth": 2},
    )
    axes.invert_yaxis()
    axes.set(title="Errors of the crude trimaps (5 to 95 %)", xlabel="share")
