"""The two pictures of the experiment: validation curves, and held-out samples side by side."""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from classical.methods import Method, solve
from manifests import open_shards
from manifests.sources import Split
from training.checkpoint import load_network
from training.loading.whole import whole_samples
from training.log import METRICS
from training.matte.predict import alpha_of, estimated_trimap, predict

COLUMNS = ("image", "crude trimap", "estimated trimap", "alpha", "truth", "closed-form")


def curves(runs: Path, names: list[str]) -> Figure:
    """Validation on held-out samples while the models are trained."""
    sheet, axis = plt.subplots(figsize=(6, 3.5))
    for name in names:
        lines = map(json.loads, (runs / name / METRICS).read_text().splitlines())
        found = [(line["iteration"], line["validation"]) for line in lines if "validation" in line]
        steps, values = zip(*((done, score["sad_whole"]) for done, score in found), strict=True)
        axis.plot(steps, values, marker="o", markersize=3, label=name)
    axis.set(xlabel="iteration", ylabel="whole-image SAD, held-out samples", ylim=(0, None))
    axis.legend(frameon=False)
    axis.spines[["top", "right"]].set_visible(False)
    sheet.tight_layout()
    return sheet


def figure(shards: Path, checkpoint: Path, count: int = 4) -> Figure:
    """`count` held-out samples, a row each: what was given, what was estimated, and the truth."""
    model = load_network(checkpoint)
    samples = list(whole_samples(open_shards(shards), Split.VAL, count))
    sheet, axes = plt.subplots(count, len(COLUMNS), figsize=(2 * len(COLUMNS), 2 * count))
    for number, (row, sample) in enumerate(zip(axes, samples, strict=True)):
        prediction = predict(model, sample.image, sample.crude_trimap)
        estimated = estimated_trimap(prediction)
        assert estimated is not None
        pictures = (
            sample.image,
            sample.crude_trimap * 127,
            estimated * 127,
            alpha_of(prediction),
            sample.alpha,
            solve(Method.CLOSED_FORM, sample.image, sample.crude_trimap),
        )
        for axis, picture, title in zip(row, pictures, COLUMNS, strict=True):
            axis.imshow(picture, cmap="gray", vmin=0, vmax=255, interpolation="antialiased")
            axis.set_axis_off()
            if number == 0:
                axis.set_title(title, fontsize=10)
    sheet.subplots_adjust(
        left=0, right=1, bottom=0, top=1 - 0.3 / (2 * count), wspace=0.03, hspace=0.03
    )
    return sheet
