"""Folders of pictures on disk: images, alphas and trimaps of the same names, read and written.

Nothing but PictureError leaves the readers: it names the file, what was found and what to do. All
pictures are turned upright (EXIF) and brought to 8 bits.
"""

from __future__ import annotations

import io
import warnings
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from manifests.pixels import (
    BACKGROUND,
    FOREGROUND,
    UNKNOWN,
    Pixels,
    encode_alpha,
    encode_trimap,
)
from manifests.storage import write_bytes

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".avif")
_SHOWN = 8  # values or names in one message


class PictureError(ValueError):
    """A file or folder that cannot be used, as one sentence with its name."""


@dataclass(frozen=True)
class Matched:
    """Files that belong together: one of each folder, all with the stem `name`."""

    name: str
    files: tuple[Path, ...]  # in the order of the folders


def match_folders(folders: Mapping[str, Path], extras: bool = False) -> list[Matched]:
    """Pictures of the same stem in all the folders, sorted by stem.

    folders: what they hold ("images", "trimaps") -> where; the first one decides.
    extras: whether the others may hold more than the first does.
    Raises PictureError for a folder without pictures, two files of one stem in a folder, and stems
    that are missing in one of them. Looked at are files directly in the folder whose suffix is one
    of SUFFIXES, in any case, and whose name does not begin with a dot.
    """
    found = {kind: by_stem(kind, folder) for kind, folder in folders.items()}
    first, *others = folders
    for other in others:
        _check_partners(found[first].keys() - found[other].keys(), first, other, folders)
        if not extras:
            _check_partners(found[other].keys() - found[first].keys(), other, first, folders)
    return [
        Matched(stem, tuple(files[stem] for files in found.values()))
        for stem in sorted(found[first])
    ]


def by_stem(kind: str, folder: Path) -> dict[str, Path]:
    """Stem -> file of the pictures in a folder; `kind` names them in PictureErrors."""
    stems: dict[str, list[Path]] = defaultdict(list)
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        raise PictureError(f"{folder}: cannot be read as a folder of {kind} ({error})") from error
    for path in paths:
        if path.suffix.lower() in SUFFIXES and path.name[0] != "." and path.is_file():
            stems[path.stem].append(path)
    for files in stems.values():
        if len(files) > 1:
            names = ", ".join(path.name for path in files)
            raise PictureError(f"{folder}: {names} have the same stem; keep one of the {kind}")
    if not stems:
        raise PictureError(f"{folder}: no {kind} in it, that is files {', '.join(SUFFIXES)}")
    return {stem: files[0] for stem, files in stems.items()}


def _check_partners(missing: set[str], kind: str, other: str, folders: Mapping[str, Path]) -> None:
    if missing:
        raise PictureError(
            f"{folders[other]}: no {other} for {len(missing)} of the {kind} in {folders[kind]}: "
            f"{listed(sorted(missing))}"
        )


def listed(values: Sequence[object]) -> str:
    shown = ", ".join(map(str, values[:_SHOWN]))
    return f"{shown} and {len(values) - _SHOWN} more" if len(values) > _SHOWN else shown


def check_sizes(pictures: Mapping[Path, Pixels]) -> None:
    """Raise PictureError with the files and their sizes, if heights or widths differ."""
    if len({pixels.shape[:2] for pixels in pictures.values()}) > 1:
        sizes = ", ".join(f"{path} is {p.shape[0]} x {p.shape[1]}" for path, p in pictures.items())
        raise PictureError(f"{sizes} (height x width); they must be of one size")


def read_image(path: Path) -> Pixels:
    """A photo -> H x W x 3 uint8 RGB. Grey, palette and CMYK are converted; a transparent picture
    is refused, since there is no colour behind it."""
    colour, opacity = _layers(path)
    if opacity.min() < 255:
        share = float((opacity < 255).mean())
        raise PictureError(f"{path}: {share:.1%} of it is transparent; flatten it onto a colour")
    return colour


def read_alpha(path: Path) -> Pixels:
    """An alpha as a grey picture, or a cut-out with its own -> H x W uint8, 0..255.

    The opacity of a picture is its alpha unless it is opaque everywhere; then its grey levels are.
    """
    colour, opacity = _layers(path)
    if opacity.min() < 255:
        return opacity
    return _grey(path, colour, "alpha")


def read_trimap(path: Path) -> Pixels:
    """A trimap of the levels 0, 128, 255 or of the codes 0, 1, 2 -> H x W uint8 of the codes.

    A palette counts as what it shows. Any other level is refused with those found: it would be
    taken for something that nobody meant.
    """
    colour, opacity = _layers(path)
    if opacity.min() < 255:
        raise PictureError(f"{path}: a trimap with transparency; save it as grey without alpha")
    levels = _grey(path, colour, "trimap")
    found = np.unique(levels).tolist()
    if set(found) <= {BACKGROUND, UNKNOWN, FOREGROUND}:
        return levels
    if set(found) <= {0, 128, 255}:
        return (levels // 127).astype(np.uint8)
    raise PictureError(
        f"{path}: trimap values {listed(found)}; expected only 0, 128, 255 or only 0, 1, 2 "
        "(background, unknown, foreground), in a lossless format"
    )


def write_alpha(path: Path, alpha: Pixels) -> None:
    """H x W uint8 -> 8-bit grey PNG; whole or not at all."""
    write_bytes(path, encode_alpha(alpha))


def write_trimap(path: Path, trimap: Pixels) -> None:
    """H x W of the codes 0, 1, 2 -> palette PNG that shows black, grey, white."""
    write_bytes(path, encode_trimap(trimap))


def write_cutout(path: Path, cutout: Pixels) -> None:
    """H x W x 4 uint8, straight RGBA -> PNG."""
    buffer = io.BytesIO()
    Image.fromarray(cutout).save(buffer, "PNG", compress_level=1)
    write_bytes(path, buffer.getvalue())


def _layers(path: Path) -> tuple[Pixels, Pixels]:
    """Colour (H x W x 3) and opacity (H x W) of any picture, upright, 8 bits."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # codecs warn of odd metadata in sound pictures
            with Image.open(path) as image:
                frames = 1 if image.format == "MPO" else int(getattr(image, "n_frames", 1))
                upright = ImageOps.exif_transpose(_eight_bits(image))
                rgba = np.array(upright.convert("RGBA"))
    except MemoryError as error:
        raise PictureError(f"{path}: reading it needs more memory than there is") from error
    except Exception as error:  # codecs raise at least nine types on damaged data
        raise PictureError(
            f"{path}: cannot be read as a picture ({type(error).__name__}: {error}); "
            "copy or export the file again"
        ) from error
    if frames > 1:
        raise PictureError(f"{path}: has {frames} frames; save the one that is meant by itself")
    return np.ascontiguousarray(rgba[..., :3]), np.ascontiguousarray(rgba[..., 3])


def _eight_bits(image: Image.Image) -> Image.Image:
    """Grey pictures of 16 bits, which Pillow would clip at 255; RGB ones it converts itself."""
    if image.mode.startswith("I;16"):
        levels = np.asarray(image).astype(np.uint32)
        grey = Image.fromarray(((levels + 128) // 257).astype(np.uint8))
        grey.info = image.info
        return grey
    if image.mode in ("I", "F"):
        raise ValueError(f"mode {image.mode}, 32 bits; save it with 8 or 16")
    return image


def _grey(path: Path, colour: Pixels, kind: str) -> Pixels:
    levels = np.ascontiguousarray(colour[..., 0])
    if not ((colour[..., 1] == levels).all() and (colour[..., 2] == levels).all()):
        raise PictureError(f"{path}: the {kind} is coloured; save it as grey")
    return levels
