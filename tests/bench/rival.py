"""Models against a fair rival: classical methods that distrust the trimap just as much.

    python -m tests.bench.rival SHARDS [--models RUN ...] [--samples N] [--tuning N] [--workers N]

Classical methods keep what a trimap calls known, so errors of a crude trimap stay. Here its unknown
band is first widened to both sides. The width is chosen for each method on samples of split train,
where it gives the least SAD of the whole image; all methods and the models are then measured on
samples of split val. So the gain of repair is told apart from the gain of a wider band.

Prints a table: mean SAD of the whole image, in thousands, with the interval that holds 95 % of the
means of resampled samples (bootstrap), and, for each model, its mean divided by that of each
classical method, resampled in pairs. Closed-form matting takes a second a sample of 512 x 512.
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable, Iterable
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from classical.methods import Method, solve
from console.messages import show
from manifests import open_shards
from manifests.pixels import BACKGROUND, FOREGROUND, UNKNOWN, Pixels
from manifests.shard_set import DecodedSample
from manifests.sources import Split
from training.loading.whole import whole_samples
from training.matte.metrics import errors_of
from training.matte.predict import load_model

Values = NDArray[np.float64]
# Widths that are tried: by how much the band grows to each side, over the image's short side
WIDTHS = (0.0, 0.01, 0.02, 0.04, 0.08)
RESAMPLED, SEED = 10_000, 0


def widened(trimap: Pixels, width: float) -> Pixels:
    """The trimap with its unknown band grown by `width` times the short side, to both sides.

    If nothing would be left of the foreground or of the background, it grows only half as much.
    """
    radius = round(width * min(trimap.shape))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    band = cv2.dilate((trimap == UNKNOWN).astype(np.uint8), kernel)
    grown = np.where(band > 0, np.uint8(UNKNOWN), trimap)
    lost = {BACKGROUND, FOREGROUND} & set(np.unique(trimap).tolist()) - set(np.unique(grown))
    return widened(trimap, width / 2) if lost and radius else grown


def classical_error(method: Method, width: float, sample: DecodedSample) -> float:
    alpha = solve(method, sample.image, widened(sample.crude_trimap, width))
    return errors_of(alpha, sample.alpha, sample.trimap).sad_whole


def errors(
    shards: Path, split: Split, count: int, of: Callable[[DecodedSample], float], workers: int
) -> Values:
    """SAD of the whole image, of `count` samples spread evenly over a split."""
    samples = whole_samples(open_shards(shards), split, count)
    if workers == 1:
        return np.array([of(sample) for sample in samples])
    with get_context("spawn").Pool(workers) as pool:
        return np.array(list(pool.imap(of, samples)))


def best_width(shards: Path, method: Method, count: int, workers: int) -> float:
    """The width with the least mean error on samples of split train."""
    means = {
        width: errors(
            shards, Split.TRAIN, count, functools.partial(classical_error, method, width), workers
        ).mean()
        for width in WIDTHS
    }
    tried = ", ".join(f"{width:g}: {mean:.3f}" for width, mean in means.items())
    show(f"{method}: SAD of {count} samples of split train by width: {tried}")
    return min(means, key=lambda width: means[width])


def interval(figures: Iterable[Values], of: Callable[..., Values]) -> str:
    """`of` the means of each row of figures, and its interval of 95 % over resampled samples."""
    rows = np.stack(list(figures))
    drawn = np.random.default_rng(SEED).integers(rows.shape[1], size=(RESAMPLED, rows.shape[1]))
    low, high = np.quantile(of(*rows[:, drawn].mean(axis=2)), (0.025, 0.975))
    return f"{of(*rows.mean(axis=1)):.3f} ({low:.3f} to {high:.3f})"


def main() -> None:
    parser = argparse.ArgumentParser(description="Models against classical methods, fairly.")
    parser.add_argument("shards", type=Path)
    parser.add_argument("--models", type=Path, nargs="*", default=[], help="Runs or checkpoints.")
    parser.add_argument("--samples", type=int, default=200, help="Samples of split val.")
    parser.add_argument("--tuning", type=int, default=40, help="Samples of split train.")
    parser.add_argument("--workers", type=int, default=1, help="Processes for classical methods.")
    options = parser.parse_args()
    found: dict[str, Values] = {}
    for method in Method:
        width = best_width(options.shards, method, options.tuning, options.workers)
        for how in sorted({0.0, width}):
            name = f"{method}, widened by {how:g}" if how else str(method)
            error = functools.partial(classical_error, method, how)
            found[name] = errors(options.shards, Split.VAL, options.samples, error, options.workers)
    rivals = list(found)
    for run in options.models:
        model = load_model(run)

        def of_model(sample: DecodedSample, model: Callable[..., Pixels] = model) -> float:
            alpha = model(sample.image, sample.crude_trimap)
            return errors_of(alpha, sample.alpha, sample.trimap).sad_whole

        found[run.name] = errors(options.shards, Split.VAL, options.samples, of_model, 1)
    show(f"| {options.samples} samples of split val | SAD whole |")
    show("| --- | --- |")
    for name, figures in found.items():
        show(f"| {name} | {interval([figures], lambda mean: mean)} |")
    if options.models:
        show("")
        show("| SAD of a model over that of | " + " | ".join(rivals) + " |")
        show("| --- |" + " --- |" * len(rivals))
    for run in options.models:
        ratios = (
            interval([found[run.name], found[rival]], lambda ours, theirs: ours / theirs)
            for rival in rivals
        )
        show(f"| {run.name} | " + " | ".join(ratios) + " |")


if __name__ == "__main__":
    main()
