"""A folder of photos -> records, pixels, and the bytes that annotators are shown.

Photos are shown upright. A file that a browser shows as it is, is uploaded as it is; all others
(EXIF orientation, TIFF, CMYK, ...) are decoded and uploaded as PNG, which loses nothing.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import unicodedata
import warnings
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image, ImageCms, ImageOps

from manifests.pixels import ImageCodec, Pixels, encode_colour

MAX_SIDE = 4096  # 4K. The alpha has to fit the photo, so that larger ones are not shrunk here
_ENDINGS = {".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp"}
_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP")
_SHOWN = {"JPEG": "jpg", "PNG": "png"}  # what every browser and every reader of a pull folder takes
_ORIENTATION = 0x0112  # EXIF
_ID = re.compile(r"[A-Za-z0-9_-]{1,60}-[0-9a-f]{10}")


@dataclass(frozen=True)
class Photo:
    """`id` follows from `file` alone and is a file name without ending on every system; `file` is
    the path below the folder, with '/' between the parts; `sha256` that of the file's bytes.
    Sizes are those of the upright picture."""

    id: str
    file: str
    path: Path
    sha256: str
    height: int
    width: int
    is_upright: bool


@dataclass(frozen=True)
class Problem:
    """What is wrong with one file, for people."""

    file: str
    reason: str


def photo_id(file: str) -> str:
    """The id of the photo with this path below the folder.

    Readable letters of the path, then a hash of all of it: photos of the same name in two folders,
    or whose names differ in case alone, have different ids, and no id means anything to a file
    system: no dots, no slashes, no device names. A name's two ways of writing an accent are one.
    """
    name = unicodedata.normalize("NFC", file)
    plain = unicodedata.normalize("NFKD", name.rpartition(".")[0] or name)
    letters = "".join(letter for letter in plain if not unicodedata.combining(letter))
    readable = re.sub(r"[^A-Za-z0-9]+", "_", letters).strip("_")[-60:] or "photo"
    return f"{readable}-{hashlib.sha256(name.encode()).hexdigest()[:10]}"


def is_photo_id(text: object) -> bool:
    """Has it the form of an id of ours? What a server says is asked this before it names a file."""
    return isinstance(text, str) and _ID.fullmatch(text) is not None


def list_files(folder: Path) -> list[str]:
    """Paths of all files below a folder, '/' between the parts, sorted; names with a leading dot
    are left out. Raises ValueError if it is no folder."""
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder")
    found = []
    for top, folders, names in os.walk(folder, followlinks=False):
        folders[:] = [name for name in folders if not name.startswith(".")]
        below = PurePosixPath(Path(top).relative_to(folder).as_posix())
        found += [(below / name).as_posix() for name in names if not name.startswith(".")]
    return sorted(found)


def scan_photos(folder: Path) -> tuple[list[Photo], list[Problem]]:
    """Every photo below a folder, sorted by file; a Problem for each that cannot be annotated.

    Files with another ending than a picture's are passed over. Raises ValueError if `folder` is
    no folder.
    """
    photos: dict[str, Photo] = {}
    problems = []
    for file in list_files(folder):
        if PurePosixPath(file).suffix.lower() not in _ENDINGS:
            continue
        try:
            photo = _scan(folder / file, file)
        except (OSError, ValueError) as error:
            problems.append(Problem(_shown(file), str(error)))
            continue
        other = photos.setdefault(photo.id, photo)
        if other is not photo:
            reason = f"its name differs from that of {other.file} only in the writing of accents"
            problems.append(Problem(file, f"{reason}; rename one of them"))
    return list(photos.values()), problems


def _shown(file: str) -> str:
    return os.fsencode(file).decode("utf-8", "backslashreplace")


def _scan(path: Path, file: str) -> Photo:
    try:
        name = photo_id(file)
    except UnicodeEncodeError as error:
        raise ValueError("its name is not UTF-8; rename it") from error
    if path.exists() and not path.is_file():
        raise ValueError("it is a pipe, socket or device; move it away")  # reading would wait
    data = path.read_bytes()
    sha256 = hashlib.sha256(data).hexdigest()
    image = _open(data)
    try:
        turned = image.getexif().get(_ORIENTATION, 1)
    except Exception as error:  # Pillow's EXIF reader raises whatever damaged bytes lead it to
        raise ValueError(f"its EXIF data is damaged ({error}); export it again") from error
    height, width = _decode(image).shape[:2]
    return Photo(name, file, path, sha256, height, width, turned not in range(2, 9))


def _open(data: bytes) -> Image.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of large sizes and odd metadata: decided below
            image = Image.open(io.BytesIO(data), formats=_FORMATS)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        reason = "it is empty" if not data else f"no picture that can be read ({error})"
        raise ValueError(f"{reason}; export it again as JPEG or PNG") from error
    if max(image.size) > MAX_SIDE:
        size = f"{image.height} x {image.width}"
        raise ValueError(f"it has {size} pixels, at most {MAX_SIDE} a side; make it smaller first")
    if getattr(image, "n_frames", 1) > 1 and image.format != "MPO":
        raise ValueError("it has several frames or pages; save the one that is meant by itself")
    return image


def _decode(image: Image.Image) -> Pixels:
    """H x W x 3 uint8, RGB, sRGB, upright; of 16 bits a channel the high ones."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image.load()
            upright = ImageOps.exif_transpose(image)
    except Exception as error:  # codecs raise at least nine types on damaged data
        raise ValueError(f"it is damaged ({error}); copy or export it again") from error
    if upright.mode.startswith(("I", "F")):
        raise ValueError(
            f"its pixels are of the form {upright.mode}; save it with 8 bits a channel"
        )
    if upright.has_transparency_data:
        alpha = np.asarray(upright.convert("RGBA").getchannel("A"))
        if alpha.min() < 255:
            raise ValueError("it is partly transparent: give the photo, and a cut-out as --alphas")
    profile = image.info.get("icc_profile")
    if profile and upright.mode in ("RGB", "RGBA", "CMYK", "L"):
        upright = _to_srgb(upright.convert("RGB") if upright.mode == "RGBA" else upright, profile)
    return np.array(upright.convert("RGB"))


def _to_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if source.profile.xcolor_space.strip() == "RGB" and image.mode == "L":
            image = image.convert("RGB")  # grey stored under the profile of a colour picture
        found = ImageCms.profileToProfile(
            image, source, ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    except (ImageCms.PyCMSError, OSError, ValueError) as error:
        raise ValueError(f"its colour profile is unusable ({error}); convert it to sRGB") from error
    return image if found is None else found


def read_image(path: Path) -> Pixels:
    """The picture as people see it: H x W x 3 uint8, RGB, sRGB, upright.

    Raises ValueError that names the file if it is none, OSError if it cannot be read.
    """
    try:
        return _decode(_open(path.read_bytes()))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def image_bytes(photo: Photo) -> tuple[bytes, str]:
    """(the bytes to upload, "jpg" or "png"). Raises ValueError if the file changed since the scan,
    OSError if it cannot be read."""
    data = photo.path.read_bytes()
    if hashlib.sha256(data).hexdigest() != photo.sha256:
        raise ValueError(f"{photo.path}: it was changed while it was pushed; push again")
    image = _open(data)
    if photo.is_upright and image.format in _SHOWN and image.mode in ("RGB", "L", "P"):
        return data, _SHOWN[image.format]
    return encode_colour(_decode(image), ImageCodec.PNG), "png"
