"""What comes with the photos: alphas, trimaps and labels in files named like them."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from annotation.files.photos import Photo, Problem, list_files
from manifests.labels import read_rows, value_of
from manifests.pixels import BACKGROUND, FOREGROUND, UNKNOWN, Pixels
from manifests.sources import Subject, Transparency

_ENDINGS = {".png", ".tif", ".tiff", ".bmp"}  # lossless
_FORMATS = ("PNG", "TIFF", "BMP")
_LEVELS = {0: BACKGROUND, 128: UNKNOWN, 255: FOREGROUND}
_COLUMNS = ("file", "subject", "transparency", "licence")  # in any case


@dataclass(frozen=True)
class Companions:
    """What is known of a photo before it is annotated; None or "" where nothing is."""

    alpha: Path | None = None
    trimap: Path | None = None
    subject: str = ""
    transparency: str = ""
    licence: str = ""


def pair(
    photos: Sequence[Photo],
    alphas: Path | None = None,
    trimaps: Path | None = None,
    labels: Path | None = None,
) -> tuple[dict[str, Companions], list[Problem]]:
    """The companions of every photo, by its id, and what is wrong.

    A file belongs to the photo with the same path below its folder but for the ending, or to the
    one whose id is its name. A file that belongs to none or to several photos is a problem, and
    so are an alpha and a trimap for one photo, since an annotator starts from one of them; such
    photos are left as they are without the file. Raises ValueError if a folder or the label file
    cannot be used.
    """
    problems: list[Problem] = []
    alpha_of = _match(photos, alphas, problems)
    trimap_of = _match(photos, trimaps, problems)
    label_of = _read_labels(labels, photos, problems) if labels else {}
    found = {}
    for photo in photos:
        alpha, trimap = alpha_of.get(photo.id), trimap_of.get(photo.id)
        if alpha and trimap:
            problems.append(Problem(photo.file, f"has an alpha and a trimap ({trimap}): give one"))
            trimap = None
        label = label_of.get(photo.id, Companions())
        found[photo.id] = replace(label, alpha=alpha, trimap=trimap)
    return found, problems


def _composed(file: str) -> str:
    """A name's two ways of writing an accent are one, as for a photo's id."""
    return unicodedata.normalize("NFC", file)


def _stem(file: str) -> str:
    return PurePosixPath(file).with_suffix("").as_posix()


def _match(
    photos: Sequence[Photo], folder: Path | None, problems: list[Problem]
) -> dict[str, Path]:
    """The file of a folder that belongs to each photo that has one, by the photo's id."""
    if folder is None:
        return {}
    owners: dict[str, list[Photo]] = defaultdict(list)
    for photo in photos:
        for name in {_stem(_composed(photo.file)), photo.id}:
            owners[name].append(photo)
    claims: dict[str, list[str]] = defaultdict(list)
    for file in list_files(folder):
        if PurePosixPath(file).suffix.lower() not in _ENDINGS:
            continue
        name = _composed(file)
        meant = owners.get(_stem(name), [])
        exact = [photo for photo in meant if _composed(photo.file) == name]
        if len(exact or meant) == 1:
            claims[(exact or meant)[0].id].append(file)
        elif meant:
            names = ", ".join(photo.file for photo in meant)
            problems.append(Problem(str(folder / file), f"may belong to {names}; rename one"))
        else:
            problems.append(Problem(str(folder / file), "belongs to no photo; check its name"))
    for photo in photos:
        if len(claims[photo.id]) > 1:
            several = f"{', '.join(claims[photo.id])} in {folder} belong to it; leave one of them"
            problems.append(Problem(photo.file, several))
    return {name: folder / files[0] for name, files in claims.items() if len(files) == 1}


def _read_labels(
    path: Path, photos: Iterable[Photo], problems: list[Problem]
) -> dict[str, Companions]:
    """The labels of a CSV file with the columns file, and any of subject, transparency, licence."""
    try:
        rows = read_rows(path.read_bytes(), ("file",), _COLUMNS)
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from error
    by_file = {_composed(photo.file): photo.id for photo in photos}
    labels: dict[str, Companions] = {}
    for row in rows:
        try:
            if row.fault:
                raise ValueError(row.fault)
            photo = by_file.get(_composed(row.file))
            if photo is None:
                raise ValueError("names a photo that does not exist")
            if photo in labels:
                raise ValueError("names a photo of an earlier line again; leave one of them")
            labels[photo] = _label(row.cells)
        except ValueError as error:
            problems.append(Problem(f"{path} line {row.line}", f"{row.file}: {error}"))
    return labels


def _label(cells: Mapping[str, str]) -> Companions:
    subject = value_of(cells, "subject", Subject)
    return Companions(
        subject="" if subject is Subject.UNLABELLED else str(subject or ""),
        transparency=str(value_of(cells, "transparency", Transparency) or ""),
        licence=cells.get("licence", ""),
    )


def read_alpha(path: Path, height: int, width: int) -> Pixels:
    """The alpha in a grey picture, or in the alpha channel of a cut-out: H x W, 0..255.

    Raises ValueError that names the file if it is not an 8-bit picture of this size.
    """
    image = _read(path, height, width)
    if image.has_transparency_data:
        return np.array(image.convert("RGBA").getchannel("A"))
    return _grey(path, image)


def read_trimap(path: Path, height: int, width: int) -> Pixels:
    """A trimap in levels 0, 128, 255 or codes 0, 1, 2 -> H x W of codes.

    Raises ValueError that names the file if it is not an 8-bit picture of this size, or holds
    other levels.
    """
    image = _read(path, height, width)
    # A palette's indices are the codes; what it shows may be anything
    indices = np.array(image) if image.mode == "P" else None
    if indices is not None and indices.max() <= FOREGROUND:
        return indices
    levels = _grey(path, image)
    found = set(np.unique(levels).tolist())
    if found <= {BACKGROUND, UNKNOWN, FOREGROUND}:
        return levels
    if not found <= set(_LEVELS):
        some = sorted(found)[:8]
        raise ValueError(f"{path}: levels {some} in a trimap, expected 0, 128, 255 or 0, 1, 2")
    table = np.zeros(256, np.uint8)
    table[list(_LEVELS)] = list(_LEVELS.values())
    return np.asarray(table[levels], np.uint8)


def _read(path: Path, height: int, width: int) -> Image.Image:
    try:
        with Image.open(path, formats=_FORMATS) as image:
            if image.size != (width, height):
                found = f"{image.height} x {image.width}"
                turned = image.size == (height, width) and height != width
                hint = "turn it upright like the photo" if turned else "make them the same size"
                raise ValueError(f"it is {found}, the upright photo {height} x {width}; {hint}")
            # Of 16 bits Pillow would keep the high ones, without a word; the decoder's form tells.
            if image.mode.startswith(("I", "F")) or ";16" in str(image.tile):
                raise ValueError("it has more than 8 bits a channel, expected 8 bits")
            image.load()
            return image
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path}: {error}") from error


def _grey(path: Path, image: Image.Image) -> Pixels:
    """The levels of a picture without colours."""
    rgb = np.array(image.convert("RGB"))
    if (rgb != rgb[..., :1]).any():
        raise ValueError(f"{path}: it is coloured; save it as grey")
    return rgb[..., 0].copy()
