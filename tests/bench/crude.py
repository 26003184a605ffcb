"""Simulated crude masks beside real ones: `python -m tests.bench.crude [--json]`.

The real ones are ISNet's (and, for comparison only, MediaPipe's selfie network's) masks of the
photos that the shared foregrounds were cut from. Each simulated mask is made from, and compared
with, the alpha of the same foregrounds. The exit code is 1 if the `segmentation` preset misses a
requirement: medians inside the real quartiles, 5 % and 95 % points within a factor of two.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import astuple, fields
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from datagen.sample.crude import crude_mask, crude_trimap
from datagen.sample.crude_errors import CrudeErrors, crude_errors, joint_histogram
from datagen.sample.crude_recipe import Preset, draw_crude
from manifests.pixels import Pixels

DATA = Path(__file__).parents[3] / "shared" / "data"
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
STATISTICS = tuple(field.name for field in fields(CrudeErrors))
REQUIRED = ("iou", "missed_share", "edge_p95")  # false_share is only printed
DRAWS = 15

Table = dict[str, list[float]]  # statistic -> its quantiles at QUANTILES


def real_masks(network: str, data: Path = DATA) -> Iterator[tuple[str, Pixels, Pixels]]:
    """(name, alpha 0..255, mask 0 or 1), both H x W uint8: alpha and probability > 0.5."""
    for path in sorted((data / "segmentation" / network).glob("*.png")):
        probability = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        cutout = cv2.imread(str(data / "foregrounds" / path.name), cv2.IMREAD_UNCHANGED)
        if probability is None or cutout is None:
            raise FileNotFoundError(f"{path}: it or its foreground is missing")
        alpha = np.ascontiguousarray(cutout[..., 3], np.uint8)
        yield path.name, alpha, (probability > 127).astype(np.uint8)


def fitted(alpha: Pixels, longest: int) -> Pixels:
    """The alpha, shrunk so that its longer side has at most `longest` pixels; 0: unchanged."""
    scale = longest / max(alpha.shape)
    if longest == 0 or scale >= 1.0:
        return alpha
    size = (round(alpha.shape[1] * scale), round(alpha.shape[0] * scale))
    return np.asarray(cv2.resize(alpha, size, interpolation=cv2.INTER_AREA), np.uint8)


def pasted(alpha: Pixels, canvas: int, rng: np.random.Generator) -> Pixels:
    """The alpha on a square canvas, as compose places it: fitted, scaled by 0.8 to 1, moved."""
    left, top, width, height = cv2.boundingRect(alpha)
    cut = alpha[top : top + height, left : left + width]
    cut = fitted(np.ascontiguousarray(cut), round(canvas * (0.8 + 0.2 * float(rng.random()))))
    full = np.zeros((canvas, canvas), np.uint8)
    top, left = (int(rng.integers(canvas - side + 1)) for side in cut.shape)
    full[top : top + cut.shape[0], left : left + cut.shape[1]] = cut
    return full


def simulated(
    alphas: list[Pixels], preset: Preset, draws: int = DRAWS, seed: int = 0
) -> list[CrudeErrors]:
    """Errors of `draws` simulated masks of each alpha (H x W uint8)."""
    found = []
    for index, alpha in enumerate(alphas):
        for draw in range(draws):
            recipe = draw_crude(np.random.default_rng([seed, index, draw]), preset)
            mask = crude_mask(alpha, recipe)
            counts = joint_histogram(alpha, mask, crude_trimap(mask, recipe))
            found.append(crude_errors(alpha, mask, counts))
    return found


def table(errors: Iterable[CrudeErrors]) -> Table:
    """The quantiles of each statistic."""
    values: NDArray[np.float64] = np.array([astuple(one) for one in errors])
    quantiles = np.quantile(values, QUANTILES, axis=0)
    return {name: quantiles[:, i].tolist() for i, name in enumerate(STATISTICS)}


def verdicts(real: Table, simulation: Table) -> dict[str, bool]:
    """Each requirement as a sentence -> True if it is met."""
    found = {}
    for name in REQUIRED:
        (p5, p25, _, p75, p95), ours = real[name], simulation[name]
        found[f"median {name} {ours[2]:.4f} in [{p25:.4f}, {p75:.4f}]"] = p25 <= ours[2] <= p75
        called = "1 - iou" if name == "iou" else name
        for point, theirs, mine in (("5 %", p5, ours[0]), ("95 %", p95, ours[4])):
            ratio = (1.0 - mine) / (1.0 - theirs) if name == "iou" else mine / theirs
            found[f"{point} of {called}: {ratio:.2f} of the real one"] = 0.5 <= ratio <= 2.0
    return found


def measured(network: str) -> Table:
    """The table of the real masks, without the statistic of the trimap."""
    masks = [(alpha, mask) for _, alpha, mask in real_masks(network)]
    rows = [crude_errors(a, m, joint_histogram(a, m, np.ones_like(a))) for a, m in masks]
    return {name: values for name, values in table(rows).items() if name != "wrong_known_share"}


def _lines(title: str, found: Table) -> Iterator[str]:
    yield f"{title:34}" + "".join(f"{f'{round(100 * q)} %':>9}" for q in QUANTILES)
    for name, values in found.items():
        yield f"  {name:32}" + "".join(f"{value:9.4f}" for value in values)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--json", action="store_true", help="Print one JSON object on standard output."
    )
    parser.add_argument(
        "--longest",
        type=int,
        default=800,
        help="Longer side of the alphas in pixels; 0 keeps it (800).",
    )
    parser.add_argument("--draws", type=int, default=DRAWS, help=f"Masks per foreground ({DRAWS}).")
    parser.add_argument("--seeds", type=int, default=1, help="Number of seeds, from 0 on (1).")
    options = parser.parse_args()
    cv2.setNumThreads(1)

    real = {network: measured(network) for network in ("isnet", "selfie")}
    sources = [alpha for _, alpha, _ in real_masks("isnet")]
    alphas = [fitted(alpha, options.longest) for alpha in sources]
    rng = np.random.default_rng(0)
    canvases = [pasted(alpha, 800, rng) for alpha in sources]
    tables = {p.value: table(simulated(alphas, p, options.draws)) for p in Preset}
    tables["segmentation, on 800 x 800"] = table(
        simulated(canvases, Preset.SEGMENTATION, options.draws)
    )
    checks = {0: verdicts(real["isnet"], tables["segmentation"])}
    for seed in range(1, options.seeds):
        again = simulated(alphas, Preset.SEGMENTATION, options.draws, seed)
        checks[seed] = verdicts(real["isnet"], table(again))

    if options.json:
        found = {"quantiles": QUANTILES, "real": real, "simulated": tables, "verdicts": checks}
        print(json.dumps(found))
    else:
        for network, rows in real.items():
            print("\n".join(_lines(f"real: {network}", rows)))
        print(f"{len(alphas)} foregrounds x {options.draws} draws, longest side {options.longest}")
        for title, rows in tables.items():
            print("\n".join(_lines(f"simulated: {title}", rows)))
        for seed, check in checks.items():
            for words, holds in check.items():
                print(f"seed {seed}: {'holds' if holds else 'FAILS'}: {words}")
    return 0 if all(holds for check in checks.values() for holds in check.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
