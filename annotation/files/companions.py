"""What comes with the photos: alphas, trimaps and labels in files named like them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from annotation.files.failures import Failure
from annotation.files.photos import Photo, list_files
from manifests.doubts import alpha_doubts, lossy_format_of
from manifests.labels import read_rows, value_of
from manifests.matching import composed, match_names
from manifests.pictures import PictureError, is_picture, read_header
from manifests.pixels import Pixels
from manifests.sources import Subject, Transparency

_COLUMNS = ("file", "subject", "transparency", "licence")  # in any case
Reader = Callable[[Path], Pixels]


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
) -> tuple[dict[str, Companions], list[Failure]]:
    """The companions of every photo, by its id, and what was left out.

    A file belongs to the photo with the same path below its folder but for the ending, or to the
    one whose id is its name. A file that belongs to none or to several photos is a failure, and
    so are an alpha and a trimap for one photo, since an annotator starts from one of them; such
    photos are left as they are without the file. Raises ValueError if a folder or the label file
    cannot be used.
    """
    failures: list[Failure] = []
    alpha_of = _match(photos, alphas, failures)
    trimap_of = _match(photos, trimaps, failures)
    label_of = _read_labels(labels, photos, failures) if labels else {}
    found = {}
    for photo in photos:
        alpha, trimap = alpha_of.get(photo.id), trimap_of.get(photo.id)
        if alpha and trimap:
            failures.append(Failure(photo.file, f"has an alpha and a trimap ({trimap}): give one"))
            trimap = None
        label = label_of.get(photo.id, Companions())
        found[photo.id] = replace(label, alpha=alpha, trimap=trimap)
    return found, failures


def _stem(file: str) -> str:
    return PurePosixPath(file).with_suffix("").as_posix()


def _match(
    photos: Sequence[Photo], folder: Path | None, failures: list[Failure]
) -> dict[str, Path]:
    """The file of a folder that belongs to each photo that has one, by the photo's id."""
    if folder is None:
        return {}
    owners: dict[str, list[Photo]] = defaultdict(list)
    for photo in photos:
        for name in {_stem(composed(photo.file)), photo.id}:
            owners[name].append(photo)
    claims: dict[str, list[str]] = defaultdict(list)
    files, unread = list_files(folder)
    failures += unread
    for file in files:
        if not is_picture(folder / file):
            continue
        name = composed(file)
        meant = owners.get(_stem(name), [])
        exact = [photo for photo in meant if composed(photo.file) == name]
        if len(exact or meant) == 1:
            claims[(exact or meant)[0].id].append(file)
        elif meant:
            names = ", ".join(photo.file for photo in meant)
            failures.append(Failure(str(folder / file), f"may belong to {names}; rename one"))
        else:
            failures.append(Failure(str(folder / file), "belongs to no photo; check its name"))
    for photo in photos:
        if len(claims[photo.id]) > 1:
            several = f"{', '.join(claims[photo.id])} in {folder} belong to it; leave one of them"
            failures.append(Failure(photo.file, several))
    return {name: folder / files[0] for name, files in claims.items() if len(files) == 1}


def _read_labels(
    path: Path, photos: Iterable[Photo], failures: list[Failure]
) -> dict[str, Companions]:
    """The labels of a CSV file with the columns file, and any of subject, transparency, licence."""
    try:
        rows = read_rows(path.read_bytes(), ("file",), _COLUMNS)
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from error
    ids = {photo.file: photo.id for photo in photos}
    files, unclear = match_names(list(dict.fromkeys(row.file for row in rows)), list(ids))
    labels: dict[str, Companions] = {}
    for row in rows:
        try:
            if row.fault:
                raise ValueError(row.fault)
            if row.file in unclear:
                meant = " or ".join(unclear[row.file])
                raise ValueError(f"could mean {meant}, or another line could; write the whole name")
            if row.file not in files:
                raise ValueError("names a photo that does not exist")
            labels[ids[files[row.file]]] = _label(row.cells)
        except ValueError as error:
            failures.append(Failure(f"{path} line {row.line}", f"{row.file}: {error}"))
    return labels


def _label(cells: Mapping[str, str]) -> Companions:
    subject = value_of(cells, "subject", Subject)
    return Companions(
        subject="" if subject is Subject.UNLABELLED else str(subject or ""),
        transparency=str(value_of(cells, "transparency", Transparency) or ""),
        licence=cells.get("licence", ""),
    )


def read_fitting(read: Reader, path: Path, height: int, width: int) -> Pixels:
    """`read_alpha` or `read_trimap` of a file that belongs to a photo of this upright size.

    Raises PictureError that names the file, also if its size is another; that is found before the
    file is decoded.
    """
    header = read_header(path)
    if (header.height, header.width) != (height, width):
        is_turned = (header.height, header.width) == (width, height)
        hint = "turn it upright like the photo" if is_turned else "make them the same size"
        found = f"is {header.height} x {header.width}, the upright photo {height} x {width}"
        raise PictureError("size-mismatch", f"{found}; {hint}", str(path))
    return read(path)


def doubts(alpha: Pixels, path: Path) -> list[Failure]:
    """Why the alpha of a file is probably not meant as it is: what `datagen lint` warns of, too."""
    with path.open("rb") as file:
        lossy = lossy_format_of(file.read(16))
    return [Failure(str(path), doubt.reason) for doubt in alpha_doubts(alpha, lossy)]
