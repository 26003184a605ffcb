"""Test sets as others lay out their folders: Adobe's Composition-1k, and alphamatting.com."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from manifests.pictures import PictureError
from training.choices import Layout
from training.matte.evaluate import Evaluation
from training.matte.metrics import figure, mean_of

COLUMNS = ("trimaps", "images", "SAD", "MSE (10^-3)", "Grad", "Conn")  # as papers print them


@dataclass(frozen=True)
class Part:
    """Pictures that are measured together. predictions: below the folder of a method."""

    name: str
    images: Path
    alphas: Path
    trimaps: Path
    predictions: str = "."


def parts_of(layout: Layout, root: Path) -> list[Part]:
    """The parts of a test set: one, or one for each kind of trimap.

    Raises PictureError that lists the names that a folder may have, if it is missing.
    """
    if layout is Layout.COMP1K:
        images = _first(root, ("merged", "image", "images"))
        alphas = _first(root, ("alpha_copy", "alpha", "alphas"))
        return [Part("trimaps", images, alphas, _first(root, ("trimaps", "trimap")))]
    images = _first(root, ("input", "input_training_lowres"))
    alphas = _first(root, ("alpha", "gt", "gt_training_lowres"))
    homes = (root, root / "trimap_training_lowres")
    trimaps = [home / f"Trimap{n}" for n in (1, 2, 3) for home in homes]
    if not any(folder.is_dir() for folder in trimaps):
        _first(root, ("Trimap1",))
    return [Part(one.name, images, alphas, one, one.name) for one in trimaps if one.is_dir()]


def paper_row(name: str, found: Evaluation) -> tuple[str, ...]:
    """A text for each of COLUMNS."""
    mean = mean_of([score.metrics for score in found.scores])
    mse = None if mean.mse is None else 1000 * mean.mse
    values = (mean.sad, mse, mean.grad, mean.conn)
    return (name, f"{len(found.scores)}", *(figure(value, 2) for value in values))


def _first(root: Path, names: Sequence[str]) -> Path:
    for name in names:
        if (root / name).is_dir():
            return root / name
    raise PictureError("folder", f"has no folder {' or '.join(names)}", str(root))
