"""Models against a fair rival: classical methods that distrust the trimap just as much.

    python -m tests.bench.rival SHARDS --figures FILE [--models RUN ...] [--samples N]
                                [--tuning N] [--workers N]

Classical methods keep what a trimap calls known, so errors of a crude trimap stay. Here its unknown
band is first widened to both sides. The width is chosen for each method on samples of split train,
where it gives the least SAD of the whole image; all methods and the models are then measured on
samples of split val. So the gain of repair is told apart from the gain of a wider band.

Prints a table: mean SAD of the whole image, in thousands, with the interval that holds 95 % of the
means of resampled foregrounds (bootstrap), and, for each model, its mean divided by that of each
classical method, resampled in pairs. Closed-form matting takes a second a sample of 512 x 512, so
the errors of classical methods are kept in FILE.
"""

from __future__ import annotations

import argparse
import functools
import json
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from classical.methods import Method, solve
from console.messages import show
from manifests import open_shards
from manifests.pixels import BACKGROUND, FOREGROUND, UNKNOWN, Pixels
from manifests.shard_set import DecodedSample
from manifests.sources import Split
from manifests.storage import write_bytes
from tests.bench.bootstrap import Values, interval
from training.checkpoint import checkpoints
from training.loading.whole import whole_samples
from training.matte.metrics import errors_of
from training.matte.predict import load_model

# Widths that are tried: by how much the band grows to each side, over the image's short side
WIDTHS = (0.0, 0.01, 0.02, 0.04, 0.08)


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


def kept(file: Path, name: str, of: Callable[[], Any]) -> Any:
    """The value of that name in a JSON file; computed and added if it is not there."""
    found = json.loads(file.read_text()) if file.exists() else {}
    if name not in found:
        found[name] = of()
        write_bytes(file, json.dumps(found).encode())
    return found[name]


def classical(options: argparse.Namespace, method: Method) -> dict[str, Values]:
    """Errors on samples of split val: under the trimap as it is, and under the best wider one."""
    shards, file, workers = options.shards, options.figures, options.workers
    of_width = functools.partial(best_width, shards, method, options.tuning, workers)
    width = kept(file, f"{method}, best of {options.tuning}", of_width)
    found = {}
    for how in sorted({0.0, width}):
        name = f"{method}, widened by {how:g}" if how else str(method)
        of = functools.partial(classical_error, method, how)

        def figures(of: Callable[[DecodedSample], float] = of) -> list[float]:
            return list(errors(shards, Split.VAL, options.samples, of, workers))

        found[name] = np.array(kept(file, f"{name}, {options.samples}", figures))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="Models against classical methods, fairly.")
    parser.add_argument("shards", type=Path)
    parser.add_argument("--models", type=Path, nargs="*", default=[], help="Runs or checkpoints.")
    parser.add_argument("--samples", type=int, default=200, help="Samples of split val.")
    parser.add_argument("--tuning", type=int, default=40, help="Samples of split train.")
    parser.add_argument("--workers", type=int, default=1, help="Processes for classical methods.")
    parser.add_argument("--figures", type=Path, required=True, help="JSON that keeps the errors.")
    options = parser.parse_args()
    found: dict[str, Values] = {}
    for method in Method:
        found |= classical(options, method)
    rivals = list(found)
    for run in options.models:
        # The best checkpoint was chosen on samples that are measured here.
        model = load_model(max(checkpoints(run), default=run))

        def of_model(sample: DecodedSample, model: Callable[..., Pixels] = model) -> float:
            alpha = model(sample.image, sample.crude_trimap)
            return errors_of(alpha, sample.alpha, sample.trimap).sad_whole

        found[run.name] = errors(options.shards, Split.VAL, options.samples, of_model, 1)
    samples = whole_samples(open_shards(options.shards), Split.VAL, options.samples)
    foregrounds = [sample.row.foreground_id for sample in samples]
    show(f"| {options.samples} samples of split val | SAD whole |")
    show("| --- | --- |")
    for name, figures in found.items():
        show(f"| {name} | {interval([figures], lambda mean: mean, foregrounds)} |")
    if options.models:
        show("")
        show("| SAD of a model over that of | " + " | ".join(rivals) + " |")
        show("| --- |" + " --- |" * len(rivals))
    for run in options.models:
        ratios = (
            interval([found[run.name], found[rival]], lambda a, b: a / b, foregrounds)
            for rival in rivals
        )
        show(f"| {run.name} | " + " | ".join(ratios) + " |")


if __name__ == "__main__":
    main()
