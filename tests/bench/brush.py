"""python -m tests.bench.brush: the brush codec against the SDK's, on real alphas and on noise.

It runs on one core and measures processor time; --quick uses every tenth alpha. Peak memory is
that of a process that only encodes and decodes one 4K picture.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from annotation.form.brush import decode_brush, encode_brush
from manifests.pixels import Pixels

DATA = Path(__file__).parents[3] / "shared" / "data"


def real_alphas() -> Iterator[tuple[str, Pixels]]:
    """100 real alphas: of the cut-outs, of alphamatting.com, and masks of a network."""
    cutouts = sorted((DATA / "foregrounds").glob("*.png"))
    greys = sorted((DATA / "alphamatting" / "gt").glob("*.png"))
    masks = sorted((DATA / "segmentation" / "isnet").glob("*.png"))
    for path in cutouts:
        yield path.name, np.array(Image.open(path).getchannel("A"))
    for path in (*greys, *masks[: 100 - len(cutouts) - len(greys)]):
        yield path.name, np.array(Image.open(path).convert("L"))


def seconds(work: Callable[[], object]) -> float:
    begin = time.process_time()
    work()
    return time.process_time() - begin


def best(work: Callable[[], object], times: int) -> float:
    return min(seconds(work) for _ in range(times))


def compare(alphas: list[Pixels]) -> dict[str, float]:
    """Seconds per megapixel of both codecs. Raises AssertionError if their results differ."""
    from label_studio_sdk.converter import (
        brush as sdk,
    )  # not imported in the process that peak() measures

    megapixels = sum(alpha.size for alpha in alphas) / 1e6
    spent = {"encode": 0.0, "encode_sdk": 0.0, "decode": 0.0, "decode_sdk": 0.0}
    for alpha in alphas:
        rle = encode_brush(alpha)
        assert rle == partial(sdk.mask2rle, alpha)()  # the SDK has no types
        assert (decode_brush(rle, *alpha.shape) == alpha).all()
        work: dict[str, Callable[[], object]] = {
            "encode": partial(encode_brush, alpha),
            "decode": partial(decode_brush, rle, *alpha.shape),
            "encode_sdk": partial(sdk.mask2rle, alpha),
            "decode_sdk": partial(sdk.decode_rle, rle),
        }
        for name, function in work.items():
            spent[name] += best(function, 1 if name.endswith("sdk") else 3)
    figures = {name: round(value / megapixels, 4) for name, value in spent.items()}
    return {
        "alphas": len(alphas),
        "megapixels": round(megapixels, 2),
        **{f"{name}_s_per_mp": value for name, value in figures.items()},
        "encode_times_faster": round(spent["encode_sdk"] / spent["encode"], 1),
        "decode_times_faster": round(spent["decode_sdk"] / spent["decode"], 1),
    }


def noise(height: int, width: int) -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (height, width), np.uint8)


def hair(height: int, width: int) -> Pixels:
    """The finest of the real alphas, placed side by side."""
    alpha = max(
        (alpha for _, alpha in real_alphas()), key=lambda a: float(((a > 0) & (a < 255)).mean())
    )
    reps = (-(-height // alpha.shape[0]), -(-width // alpha.shape[1]))
    return np.ascontiguousarray(np.tile(alpha, reps)[:height, :width])


def peak(kind: str) -> float:
    """Peak memory (MB) of a process that handles one 4K picture."""
    command = [sys.executable, "-m", "tests.bench.brush", "--peak", kind]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def peak_here(kind: str) -> float:
    """Peak memory in MB; kind "nothing" measures only the interpreter and its libraries."""
    pictures = {"noise": noise, "hair": hair}
    if kind in pictures:
        alpha = pictures[kind](2160, 3840)
        assert (decode_brush(encode_brush(alpha), *alpha.shape) == alpha).all()
    # getrusage is not used, because its peak is inherited from the parent process.
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description="Speed and memory of the brush codec, as JSON.")
    parser.add_argument("--quick", action="store_true", help="Use every tenth alpha only.")
    parser.add_argument("--peak", choices=["nothing", "hair", "noise"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peak:
        print(peak_here(options.peak))
        return
    if not DATA.is_dir():
        raise SystemExit(f"{DATA}: the real alphas are missing")
    alphas = [alpha for _, alpha in real_alphas()][:: 10 if options.quick else 1]
    figures: dict[str, object] = {
        "real": compare(alphas),
        "noise": compare([noise(500, 1000)]),
        "peak_mb_4k": {kind: round(peak(kind)) for kind in ("nothing", "hair", "noise")},
    }
    big = noise(2160, 3840)
    rle = encode_brush(big)
    figures["noise_4k_s"] = {
        "encode": round(best(lambda: encode_brush(big), 2), 2),
        "decode": round(best(lambda: decode_brush(rle, *big.shape), 2), 2),
    }
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
