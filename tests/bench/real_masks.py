"""Real pictures with trimaps made from a real network's masks, as folders for `matte evaluate`.

`python -m tests.bench.real_masks --out DIR [--names GT16 GT17 ...]` writes images/, alphas/,
trimaps/ (the careful trimap1) and crude_trimaps/ (ISNet's mask, then a band that follows the
subject's size). With `--methods closed-form knn` it also solves them from both trimaps and prints
the metrics. The unknown region is always that of trimap1, as in the benchmark of
alphamatting.com.
"""

from __future__ import annotations

import argparse
import functools
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from classical.methods import Method, solve
from console.messages import show, show_table
from manifests.pictures import (
    read_alpha,
    read_photo,
    read_trimap,
    write_alpha,
    write_trimap,
)
from manifests.pixels import (
    BACKGROUND,
    FOREGROUND,
    UNKNOWN,
    ImageCodec,
    Pixels,
    encode_colour,
)
from manifests.storage import write_bytes
from tests.bench.masks import BAND, LEAST, SURE, trimap_of_mask
from training.matte.evaluate import (
    COLUMNS,
    Evaluation,
    evaluate_method,
    folder_cases,
    mean_rows,
    to_json,
)
from training.matte.folders import check_sizes

DATA = Path(__file__).parents[3] / "shared" / "data"
HELD_OUT = ("GT16", "GT17", "GT18", "GT19", "GT20")
FOLDERS = ("images", "alphas", "trimaps", "crude_trimaps")


@dataclass(frozen=True)
class Coverage:
    """How a trimap fits an alpha: shares of all pixels; `soft_known`: of the soft pixels."""

    name: str
    unknown: float
    wrong_known: float  # background where alpha > 0, or foreground where alpha < 255
    far_known: float  # wrong by more than half, because the mask lost or added a piece
    soft_known: float


def coverage(name: str, alpha: Pixels, trimap: Pixels) -> Coverage:
    """Compare an alpha and a trimap; both are H x W uint8."""
    is_background, is_foreground = trimap == BACKGROUND, trimap == FOREGROUND
    is_soft = (alpha > 0) & (alpha < 255)
    wrong = (is_background & (alpha > 0)) | (is_foreground & (alpha < 255))
    far = (is_background & (alpha > 127)) | (is_foreground & (alpha < 128))
    shares = [float(mask.mean()) for mask in (trimap == UNKNOWN, wrong, far)]
    soft_known = float((trimap != UNKNOWN)[is_soft].mean()) if is_soft.any() else 0.0
    return Coverage(name, *(round(share, 4) for share in (*shares, soft_known)))


def write_case(name: str, out: Path, band: float, least: float, sure: float) -> Coverage:
    """Write one picture of alphamatting.com to the four folders; returns how its trimap fits."""
    source = DATA / "alphamatting"
    files = [source / kind / f"{name}.png" for kind in ("input", "gt", "trimap1")]
    mask_file = DATA / "segmentation" / "isnet" / f"alphamatting_train__{name}.png"
    image, alpha, trimap = read_photo(files[0]), read_alpha(files[1]), read_trimap(files[2])
    probability = read_alpha(mask_file)
    check_sizes(dict(zip([*files, mask_file], [image, alpha, trimap, probability], strict=True)))
    crude = trimap_of_mask(probability, band, least, sure)
    images, alphas, trimaps, crude_trimaps = (out / folder / f"{name}.png" for folder in FOLDERS)
    write_bytes(images, encode_colour(image, ImageCodec.PNG))
    write_alpha(alphas, alpha)
    write_trimap(trimaps, trimap)
    write_trimap(crude_trimaps, crude)
    return coverage(name, alpha, crude)


def evaluated(out: Path, method: Method, given: str, workers: int) -> Evaluation:
    """Evaluate a method; `given` is the folder of the trimaps that it gets."""
    cases = folder_cases(*(out / folder for folder in ("images", "alphas", "trimaps", given)))
    return evaluate_method(functools.partial(solve, method), cases, workers=workers)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--names", nargs="+", default=HELD_OUT, metavar="GT16")
    parser.add_argument(
        "--band",
        type=float,
        default=BAND,
        help=f"Width of the band over the subject's size ({BAND}).",
    )
    parser.add_argument("--least", type=float, default=LEAST, help=f"pixels ({LEAST})")
    parser.add_argument("--sure", type=float, default=SURE, help=f"probability ({SURE})")
    parser.add_argument("--methods", nargs="*", default=(), choices=list(Method), type=Method)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument(
        "--json", action="store_true", help="Print one JSON object on standard output."
    )
    options = parser.parse_args()
    band = (options.band, options.least, options.sure)
    fits = [write_case(name, options.out, *band) for name in options.names]
    evaluations = {
        (str(method), given): evaluated(options.out, method, given, options.workers)
        for method in options.methods
        for given in ("trimaps", "crude_trimaps")
    }
    if options.json:
        found = [
            {"method": method, "given": given} | to_json(one)
            for (method, given), one in evaluations.items()
        ]
        print(json.dumps({"coverage": [asdict(fit) for fit in fits], "evaluations": found}))
        return
    for fit in fits:
        show("  ".join(f"{name} {value}" for name, value in asdict(fit).items()))
    for (method, given), one in evaluations.items():
        show_table(f"{method}, {given}", COLUMNS, mean_rows(one), left=2)
        for failure in one.failed:
            show(f"{failure.name}: {failure.reason}")


if __name__ == "__main__":
    main()
