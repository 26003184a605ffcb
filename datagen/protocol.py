"""Test sets by somebody else's rule, so that figures can be compared with those of papers.

Adobe's Composition-1k: foreground i goes over the next 20 names of the list of backgrounds. A
background is enlarged only if it is too small, and cropped at its top left corner. Values are
truncated to whole levels. Files are decoded as they are, without a look at profiles or EXIF data,
because that is how the published images came to be.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from console.progress import progress
from datagen.cluster import Cluster
from datagen.plan import PlanError
from datagen.sources.folders import SourceFolders
from manifests.names import file_below
from manifests.pixels import Pixels, trimap_of
from manifests.storage import Location, read_bytes, writing

_EACH = 20  # backgrounds of a foreground
_LEVELS = np.array([0, 128, 255], np.uint8)


class Composition(NamedTuple):
    """One image to make: its sources, by the lists, and its name."""

    foreground: str
    background: str
    name: str


def make_comp1k(
    cluster: Cluster, folders: SourceFolders, foregrounds: Path, backgrounds: Path, out: Path
) -> tuple[int, list[str]]:
    """Write merged/, alpha_copy/ and trimaps/ below `out`; returns how many images there are, and
    what failed. Images that are there are left as they are.

    foregrounds, backgrounds: lists of names in the folders, one a line. The trimaps are exact:
    those that the papers used come with the data. Raises PlanError for lists that do not fit.
    """
    wanted = compositions(_names(foregrounds), _names(backgrounds))
    failed = []
    with progress("compose", len(wanted), "images") as advance:
        work = partial(_write, folders, out)
        for done, outcome in enumerate(cluster.run(work, wanted), start=1):
            if outcome.error:
                failed.append(f"{outcome.item.name}: {outcome.error}")
            advance(done)
    return len(wanted) - len(failed), failed


def compositions(foregrounds: Sequence[str], backgrounds: Sequence[str]) -> list[Composition]:
    """Every image in its order. Raises PlanError for too few backgrounds, or for names that would
    be those of two images."""
    needed = _EACH * len(foregrounds)
    if not foregrounds or len(backgrounds) < needed:
        raise PlanError(
            f"{len(foregrounds)} foregrounds need {needed} backgrounds, {_EACH} each; the lists "
            f"have {len(foregrounds)} and {len(backgrounds)} names"
        )
    found = [
        Composition(name, backgrounds[_EACH * number + k], f"{Path(name).stem}_{k}")
        for number, name in enumerate(foregrounds)
        for k in range(_EACH)
    ]
    names = [Path(name).stem for name in foregrounds]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise PlanError(f"the list of foregrounds has {', '.join(twice[:5])} more than once")
    return found


def blend_truncated(foreground: Pixels, alpha: Pixels, background: Pixels) -> Pixels:
    """H x W x 3 uint8: the composite in double precision, without its fractions."""
    opacity = alpha[..., None] / 255
    mixed: Pixels = (opacity * foreground + (1 - opacity) * background).astype(np.uint8)
    return mixed


def covering(photo: Image.Image, width: int, height: int) -> Image.Image:
    """The top left part of a photo in this size; the photo is enlarged first if it is smaller."""
    ratio = max(width / photo.width, height / photo.height)
    if ratio > 1:
        size = math.ceil(photo.width * ratio), math.ceil(photo.height * ratio)
        photo = photo.resize(size, Image.Resampling.BICUBIC)
    return photo.crop((0, 0, width, height))


def _names(file: Path) -> list[str]:
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
        return [file_below(line.strip()) for line in lines if line.strip()]
    except UnicodeDecodeError as error:
        raise PlanError(f"{file}: is not UTF-8; save it as UTF-8") from error
    except ValueError as error:
        raise PlanError(f"{file}: {error}") from error


def _write(folders: SourceFolders, out: Path, wanted: Composition) -> None:
    merged = out / "merged" / f"{wanted.name}.png"
    if merged.is_file():
        return
    foreground, alpha = _cutout(folders, wanted.foreground)
    height, width = alpha.shape
    with _opened(folders.backgrounds / wanted.background) as file:
        background = np.asarray(covering(file.convert("RGB"), width, height))
    pictures = {
        "alpha_copy": alpha,
        "trimaps": _LEVELS[trimap_of(alpha)],
        "merged": blend_truncated(foreground, alpha, background),  # the last: it says that all are
    }
    for folder, pixels in pictures.items():
        with writing(out / folder / merged.name) as part:
            Image.fromarray(pixels).save(part, "PNG")


def _opened(location: Location) -> Image.Image:
    return Image.open(io.BytesIO(read_bytes(location)))


def _cutout(folders: SourceFolders, name: str) -> tuple[Pixels, Pixels]:
    path = folders.foregrounds / name
    with _opened(path) as file:
        if folders.alphas is None and file.mode != "RGBA":
            raise ValueError(f"{path}: has no alpha; give the folder of the alphas with --alpha")
        foreground = np.asarray(file.convert("RGB"))
        alpha = np.asarray(file.getchannel("A")) if folders.alphas is None else None
    if folders.alphas is not None:
        with _opened(folders.alphas / name) as file:
            alpha = np.asarray(file.convert("L"))
    assert alpha is not None
    if alpha.shape != foreground.shape[:2]:
        raise ValueError(f"{path}: is {foreground.shape[:2]}, its alpha {alpha.shape}")
    return foreground, alpha
