"""A folder of photos -> records, pixels, and the bytes that annotators are shown.

Photos are shown upright. A file that a browser shows as it is, is uploaded as it is; all others
(EXIF orientation, TIFF, CMYK, ...) are decoded and uploaded as PNG, which loses nothing.
"""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from annotation.files.failures import Failure, failure
from manifests.pictures import PictureError, is_picture, read_file, read_header, read_photo
from manifests.pixels import ImageCodec, encode_colour

MAX_SIDE = 4096  # 4K. The alpha has to fit the photo, so that larger ones are not shrunk here
_SHOWN = {"JPEG": "jpg", "PNG": "png"}  # what every browser and every reader of a pull folder takes
_ID = re.compile(r"[A-Za-z0-9_-]{1,60}-[0-9a-f]{10}")


@dataclass(frozen=True)
class Photo:
    """`id` follows from `file` only, and is a file name without ending on every system; `file` is
    the path below the folder, with '/' between the parts; `sha256` that of the file's bytes.
    Sizes are those of the upright picture."""

    id: str
    file: str
    path: Path
    sha256: str
    height: int
    width: int
    is_upright: bool


def photo_id(file: str) -> str:
    """The id of the photo with this path below the folder.

    Readable letters of the path, then a hash of all of it: photos of the same name in two folders,
    or whose names differ only in case, have different ids, and no id means anything to a file
    system: no dots, no slashes, no device names. A name's two ways of writing an accent are one.
    """
    name = unicodedata.normalize("NFC", file)
    plain = unicodedata.normalize("NFKD", name.rpartition(".")[0] or name)
    letters = "".join(letter for letter in plain if not unicodedata.combining(letter))
    readable = re.sub(r"[^A-Za-z0-9]+", "_", letters).strip("_")[-60:] or "photo"
    return f"{readable}-{hashlib.sha256(name.encode()).hexdigest()[:10]}"


def is_photo_id(text: object) -> bool:
    """Whether this is an id as `photo_id` makes them. It is checked before a server's text names a
    file."""
    return isinstance(text, str) and _ID.fullmatch(text) is not None


def list_files(folder: Path) -> tuple[list[str], list[Failure]]:
    """(paths of all files below a folder, '/' between the parts, sorted; the folders below it that
    cannot be read, or that a link would bring in twice). Names with a leading dot are left out.

    Raises ValueError if `folder` is not a folder, OSError if it cannot be read itself.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder")
    found: list[str] = []
    failures: list[Failure] = []

    def refuse(error: OSError) -> None:
        if error.filename == str(folder):
            raise error
        failures.append(Failure(_shown(str(error.filename)), f"cannot be read ({error.strerror})"))

    seen = set[tuple[int, int]]()
    waiting = [folder]  # links last, so that a folder is found by its own name
    while waiting:
        for top, folders, names in os.walk(waiting.pop(0), onerror=refuse):
            below = PurePosixPath(Path(top).relative_to(folder).as_posix())
            status = Path(top).stat()
            if (status.st_dev, status.st_ino) in seen:
                reason = "is a link to a folder that is read already; remove it"
                failures.append(Failure(_shown(str(below)), reason))
                folders.clear()
                continue
            seen.add((status.st_dev, status.st_ino))
            folders[:] = [name for name in folders if not name.startswith(".")]
            waiting += [path for path in (Path(top, name) for name in folders) if path.is_symlink()]
            found += [(below / name).as_posix() for name in names if not name.startswith(".")]
    return sorted(found), failures


def scan_photos(folder: Path) -> tuple[list[Photo], list[Failure]]:
    """(every photo below a folder, sorted by file; a Failure for each that cannot be annotated).

    Pixels are not decoded: a photo that has its task already costs only its hash. Files that are
    not pictures by `is_picture` are passed over. Raises ValueError if `folder` is not a folder.
    """
    photos: dict[str, Photo] = {}
    files, failures = list_files(folder)
    for file in files:
        if not is_picture(folder / file):
            continue
        try:
            photo = _scan(folder / file, file)
        except PictureError as error:
            failures.append(Failure(_shown(file), error.reason))
        except Exception as error:
            failures.append(failure(_shown(file), error))
        else:
            other = photos.setdefault(photo.id, photo)
            if other is not photo:
                reason = (
                    f"its name differs from that of {other.file} only in the writing of accents"
                )
                failures.append(Failure(file, f"{reason}; rename one of them"))
    return list(photos.values()), failures


def _shown(file: str) -> str:
    return os.fsencode(file).decode("utf-8", "backslashreplace")


def _scan(path: Path, file: str) -> Photo:
    try:
        name = photo_id(file)
    except UnicodeEncodeError as error:
        raise ValueError("its name is not UTF-8; rename it") from error
    data = read_file(path)
    header = read_header(data)
    height, width = header.height, header.width
    if max(height, width) > MAX_SIDE:
        found = f"has {height} x {width} pixels, at most {MAX_SIDE} a side are annotated"
        raise ValueError(f"{found}; make it smaller first")
    sha256 = hashlib.sha256(data).hexdigest()
    return Photo(name, file, path, sha256, height, width, header.is_upright)


def image_bytes(photo: Photo) -> tuple[bytes, str]:
    """(the bytes to upload, "jpg" or "png"). Raises PictureError or ValueError if the file cannot
    be decoded, or has changed since the scan."""
    data = read_file(photo.path)
    if hashlib.sha256(data).hexdigest() != photo.sha256:
        raise ValueError(f"{photo.path}: it was changed while it was pushed; push again")
    header, pixels = read_header(data), read_photo(data)
    if photo.is_upright and header.format in _SHOWN and header.mode in ("RGB", "L", "P"):
        return data, _SHOWN[header.format]
    return encode_colour(pixels, ImageCodec.PNG), "png"
