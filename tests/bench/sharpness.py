"""How near is the two-step resampling to one ideal resampling of the full-resolution alpha?

    python -m tests.bench.sharpness [--canvas 400] [--quick] [--json]

For every real foreground larger than the canvas, in four views (--quick: one): the root mean square
error in the soft region (levels of 255), of alpha and of what the foreground adds to an image; the
gradient energy kept, and how far any point of the subject is from where it should be (pixels); then
the worst of all. The reference is Lanczos-3 of premultiplied colour in float64, its kernel
stretched by the down-scale, under the same affine map. Its lobes are clipped to 0..1 and not
corrected otherwise.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datagen.sample.place import place, source_to_canvas
from datagen.sample.working_copies import fit_factor, prepare_cutout
from datagen.settings import Settings
from manifests.pictures import read_cutout
from manifests.pixels import Pixels
from manifests.samples import Placement
from manifests.sources import Box

SHARED = Path(__file__).parents[3] / "shared" / "data"
Plane = NDArray[np.float64]

VIEWS = ((0.87, 8.0), (0.8, -9.5), (0.94, 4.0), (1.0, 3.0))  # down-scale and degrees

RMS_LEVELS, GRADIENT_LOW, GRADIENT_HIGH, GEOMETRY = 6.0, 0.95, 1.03, 0.05


@dataclass(frozen=True)
class Sharpness:
    """One foreground: errors in levels, gradient energy over the ideal's, geometry in pixels."""

    file: str
    rms: float  # of alpha
    colour: float  # rms of alpha times straight colour, both as a shard stores them
    gradient: float
    geometry: float


def ideal(cutout: Pixels, to_canvas: Plane, rows: slice, columns: slice) -> Plane:
    """Lanczos-3 of an H x W x 4 cut-out under a 2 x 3 map, for one part of the canvas.

    Returns h x w x 4 in 0..1, straight colour and alpha.
    """
    linear, shift = to_canvas[:, :2], to_canvas[:, 2]
    inverse = np.linalg.inv(linear)
    padded_by = int(np.ceil(3 * np.abs(inverse).sum(axis=1).max())) + 1
    source = np.pad(cutout.astype(np.float64) / 255, ((padded_by,) * 2, (padded_by,) * 2, (0, 0)))
    source[..., :3] *= source[..., 3:]
    offsets = np.arange(-padded_by, padded_by + 1)
    result = np.empty((rows.stop - rows.start, columns.stop - columns.start, 4))
    for row in range(rows.start, rows.stop):
        x = np.arange(columns.start, columns.stop) + 0.5
        centre = inverse @ (np.stack([x, np.full(x.shape, row + 0.5)]) - shift[:, None])
        nearest = np.floor(centre).astype(int)
        dx = nearest[0][:, None] + offsets + 0.5 - centre[0][:, None]  # N x K, source pixels
        dy = nearest[1][:, None] + offsets + 0.5 - centre[1][:, None]
        along_x = linear[0, 0] * dx[:, None, :] + linear[0, 1] * dy[:, :, None]  # canvas pixels
        along_y = linear[1, 0] * dx[:, None, :] + linear[1, 1] * dy[:, :, None]
        weights = _lanczos(along_x) * _lanczos(along_y)
        taken_y = np.clip(nearest[1][:, None] + offsets + padded_by, 0, source.shape[0] - 1)
        taken_x = np.clip(nearest[0][:, None] + offsets + padded_by, 0, source.shape[1] - 1)
        values = source[taken_y[:, :, None], taken_x[:, None, :]]
        total = np.einsum("nyx,nyxc->nc", weights, values)
        result[row - rows.start] = total / weights.sum((1, 2))[:, None]
    result[..., :3] /= np.maximum(result[..., 3:], 1e-6)
    return np.clip(result, 0, 1)


def _lanczos(x: Plane) -> Plane:
    return np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0.0)


def compare(file: str, found: Plane, ideal: Plane) -> Sharpness:
    """Two h x w x 4 of straight colour and alpha, in 0..1, of the same part of the canvas."""
    alphas = (found[..., 3], ideal[..., 3])
    is_soft = (alphas[1] > 0.5 / 255) & (alphas[1] < 254.5 / 255)
    added = [(one[..., :3] * one[..., 3:])[is_soft] for one in (found, ideal)]
    energies = [sum((np.diff(a, axis=axis) ** 2).sum() for axis in (0, 1)) for a in alphas]
    return Sharpness(
        file,
        _rms(alphas[0][is_soft], alphas[1][is_soft]),
        _rms(*added),
        round(float(energies[0] / energies[1]), 4),
        _offset(*alphas),
    )


def _rms(found: Plane, ideal: Plane) -> float:
    return round(float(255 * np.sqrt(((found - ideal) ** 2).mean())), 2)


def _offset(found: Plane, ideal: Plane) -> float:
    """The largest displacement, at any corner, of the affine map that best explains `found`."""
    slope_y, slope_x = np.gradient(ideal)
    height, width = ideal.shape
    y, x = np.mgrid[:height, :width]
    y, x = 2 * y / height - 1, 2 * x / width - 1
    terms = [slope * place for slope in (slope_x, slope_y) for place in (np.ones_like(x), x, y)]
    design = np.stack([term.ravel() for term in terms], axis=1)
    solved = np.linalg.lstsq(design, (ideal - found).ravel(), rcond=None)[0].reshape(2, 3)
    corners = np.array([[1, a, b] for a in (-1, 1) for b in (-1, 1)])
    return round(float(np.hypot(*(solved @ corners.T)).max()), 4)


def measure(file: str, cutout: Pixels, canvas: int, scale: float, rotation: float) -> Sharpness:
    """Place a cut-out in the middle of a canvas, once as datagen does and once ideally."""
    alpha = cutout[..., 3]
    rows, columns = np.flatnonzero(alpha.any(axis=1)), np.flatnonzero(alpha.any(axis=0))
    top, left = int(rows[0]), int(columns[0])
    box = Box(top, left, int(rows[-1]) - top + 1, int(columns[-1]) - left + 1)
    middle = canvas / 2 + 0.3  # off the grid
    placement = Placement("", False, fit_factor(box, canvas), scale, rotation, middle, middle)
    settings = Settings(size=canvas)
    subject = place(prepare_cutout(cutout, box, settings), placement, box, canvas)
    to_canvas = source_to_canvas(placement, box)
    found = np.dstack([subject.colour, subject.alpha]) / 255
    return compare(file, found, ideal(cutout, to_canvas, subject.rows, subject.columns))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--canvas", type=int, default=400)
    parser.add_argument("--quick", action="store_true", help="Use the first view only.")
    parser.add_argument("--most", type=int, default=1000, help="Largest number of foregrounds.")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found: list[Sharpness] = []
    pictures = 0
    for path in sorted((SHARED / "foregrounds").glob("*.png")):
        cutout = read_cutout(path.read_bytes())
        if fit_factor(_whole(cutout), options.canvas) == 1 or pictures == options.most:
            continue
        pictures += 1
        for scale, rotation in VIEWS[:1] if options.quick else VIEWS:
            found.append(one := measure(path.name, cutout, options.canvas, scale, rotation))
            if not options.json:
                errors = f"{one.rms:6.2f} {one.colour:6.2f}"
                print(f"{errors} {one.gradient:7.4f} {one.geometry:7.4f}  {one.file}")
    worst = {
        "rms": max(s.rms for s in found),
        "colour": max(s.colour for s in found),
        "gradient_low": min(s.gradient for s in found),
        "gradient_high": max(s.gradient for s in found),
        "geometry": max(s.geometry for s in found),
    }
    if options.json:
        print(json.dumps({"worst": worst, "foregrounds": [asdict(s) for s in found]}, indent=1))
    else:
        print(f"worst of {pictures} foregrounds: {worst}")


def _whole(cutout: Pixels) -> Box:
    alpha = cutout[..., 3]
    rows, columns = np.flatnonzero(alpha.any(axis=1)), np.flatnonzero(alpha.any(axis=0))
    return Box(0, 0, int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1)


if __name__ == "__main__":
    main()
