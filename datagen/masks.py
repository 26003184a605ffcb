"""Masks of any segmentation network -> trimaps, with the band that crude trimaps have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from classical.band import mask_trimap
from datagen.sources.scan import list_images
from manifests.masks import read_mask
from manifests.pictures import PictureError, read_trimap, write_trimap

_DIFFERS = (
    "is there already, and differs: it was painted on, or made of another mask or with other "
    "options; remove it, or name another --out"
)


def write_trimaps(
    masks: Path,
    out: Path,
    widths: tuple[float, float],
    on_file: Callable[[int, int], None],
    on_bad: Callable[[str], None],
) -> int:
    """A trimap for each mask below a folder, under its name with .png; returns how many.

    A trimap that is there already and differs is kept, and named: somebody may have painted on it.

    widths: of the unknown band inside and outside the mask's edge. on_file: is told how many are
    done, and of how many. on_bad: is told what is wrong with a file. Raises PictureError if there
    is no mask.
    """
    names, problems = list_images(masks)
    for problem in problems:
        on_bad(f"{problem.file}: {problem.reason}")
    if not names:
        raise PictureError("folder", "holds no mask", str(masks))
    taken: dict[Path, str] = {}
    for done, name in enumerate(names, start=1):
        path = (out / name).with_suffix(".png")
        try:
            if path in taken:
                raise ValueError(f"{masks / name}: has the trimap of {taken[path]}; rename one")
            trimap = mask_trimap(read_mask(masks / name), *widths)
            if not path.exists():
                write_trimap(path, trimap)
            elif not np.array_equal(read_trimap(path), trimap):
                raise ValueError(f"{path}: {_DIFFERS}")
            taken[path] = name
        except (PictureError, ValueError) as error:
            on_bad(str(error))
        on_file(done, len(names))
    return len(taken)
