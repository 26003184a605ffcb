"""A user's picture file -> an array: the one reader that all commands use.

Still pictures of the named formats come in upright, with 8 bits, and as sRGB if they are colours;
formats are known by their content, never by the name of the file. Whatever cannot be read is a
PictureError; nothing else leaves these functions, and no warning.

Sizes are checked in the header, before anything is decoded. A reader then takes at most 2.3 GB of
memory: 12 bytes per pixel of at most 178 megapixels, or 24 of at most 89 for WebP, AVIF and
colours of 16 bits, and 100 MB, beside the bytes of the file, of which there may be 1 GiB. While
`read_cutout` reads an alpha file, it also holds the colours of the first, 3 bytes per pixel.
"""

from __future__ import annotations

import os
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from manifests.containers import PictureError, sniff_format
from manifests.decoding import (
    Header,
    Layers,
    header_of,
    layers_of,
    too_large,
)
from manifests.pixels import (
    BACKGROUND,
    FOREGROUND,
    UNKNOWN,
    Pixels,
    encode_alpha,
    encode_cutout,
    encode_trimap,
)
from manifests.storage import Location, Url, read_bytes, size_of, write_bytes

__all__ = [
    "ENDINGS",
    "Header",
    "PictureError",
    "is_picture",
    "read_alpha",
    "read_cutout",
    "read_file",
    "read_header",
    "read_photo",
    "read_trimap",
    "write_alpha",
    "write_cutout",
    "write_trimap",
]

MAX_FILE_BYTES = 1 << 30  # a film or an archive that strayed in must not fill the memory
ENDINGS = (
    *(".png", ".jpg", ".jpeg", ".jfif", ".webp", ".tif", ".tiff", ".bmp", ".avif"),
    *(".gif", ".ppm", ".pgm", ".pbm", ".pnm"),
)
# Only pictures begin like these. Raw photos begin like TIFF, and a text may begin like BMP or PPM.
_CLEAR = frozenset({"PNG", "JPEG", "WEBP", "AVIF", "GIF"})
_SHOWN = 8  # values in one message

File = Path | bytes


def read_photo(file: File) -> Pixels:
    """H x W x 3 uint8, RGB, sRGB, upright, of a path or of a file's bytes.

    Raises PictureError if it is not one whole opaque still picture ('transparent' if it has an
    alpha below 255: there is no colour behind it).
    """
    with _picture_errors(file):
        colour, alpha, *_ = layers_of(_bytes_of(file))
        if alpha is not None and alpha.min() < 255:
            share = float((alpha < 255).mean())
            reason = f"is a photo, but {share:.1%} of it is transparent; flatten it onto a colour"
            raise PictureError("transparent", reason)
    return colour


def read_cutout(file: File, alpha_file: File | None = None) -> Pixels:
    """H x W x 4 uint8, straight RGBA, sRGB, upright; alpha 255 is opaque.

    alpha_file: an alpha of the same upright size, as `read_alpha` reads it; it wins over an alpha
    channel in `file`. Raises PictureError: also 'no-alpha', 'alpha-empty' (0 everywhere),
    'alpha-opaque' (255 everywhere), 'size-mismatch', 'alpha-file' (the alpha file is coloured).
    """
    with _picture_errors(file):
        colour, alpha, *_ = layers_of(_bytes_of(file))
        if alpha_file is not None:
            alpha = _alpha_beside(alpha_file)
        if alpha is None:
            reason = "has no alpha channel; give RGBA images, or alpha files with --alpha DIR"
            raise PictureError("no-alpha", reason)
        if alpha.shape != colour.shape[:2]:
            reason = f"is {_size(colour)}, its alpha file {_size(alpha)} (upright)"
            raise PictureError("size-mismatch", f"{reason}; make them the same size")
        if not alpha.any():
            reason = "has an alpha of 0 everywhere, so nothing would be composited"
            raise PictureError("alpha-empty", reason)
        if alpha.min() == 255:
            reason = "has an alpha of 255 everywhere, so nothing was cut out"
            raise PictureError("alpha-opaque", reason)
        return np.dstack([colour, alpha])


def _alpha_beside(file: File) -> Pixels:
    try:
        return read_alpha(file)
    except PictureError as error:
        kind = "alpha-file" if error.kind == "coloured" else error.kind
        raise PictureError(kind, f"has an alpha file that {error.reason}") from error


def read_alpha(file: File) -> Pixels:
    """H x W uint8, 0..255, upright: a grey picture, or the alpha channel of a cut-out.

    The alpha channel counts unless it is opaque everywhere; then the grey levels do. Values are
    taken as they are, without regard to colour profiles. Raises PictureError ('coloured' if there
    is neither).
    """
    with _picture_errors(file):
        colour, alpha, *_ = layers_of(_bytes_of(file), managed=False)
        return alpha if alpha is not None and alpha.min() < 255 else _grey(colour, "an alpha")


def read_trimap(file: File) -> Pixels:
    """H x W uint8 of the codes 0, 1, 2 (background, unknown, foreground), upright.

    Files hold only the levels 0, 128, 255, or only the codes. What a palette shows counts first;
    if that is not a trimap, its indices may be the codes. Values are taken as they are, without
    regard to colour profiles. Raises PictureError, with the values found ('trimap-values').
    """
    with _picture_errors(file):
        return _codes(layers_of(_bytes_of(file), managed=False))


def _codes(layers: Layers) -> Pixels:
    colour, alpha, stored, has_palette = layers
    if alpha is not None and alpha.min() < 255:
        reason = "is a trimap with transparency; save it as grey without alpha"
        raise PictureError("transparent", reason)
    if stored is not None and stored.max() > FOREGROUND:
        stored = None
    # Codes in 16 bits, all of which are rounded to 0; or in the indices of a coloured palette
    if stored is not None and not (has_palette and _is_grey(colour)):
        return stored
    levels = _grey(colour, "a trimap")
    found = np.unique(levels).tolist()
    if set(found) <= {BACKGROUND, UNKNOWN, FOREGROUND}:
        return levels
    if set(found) <= {0, 128, 255}:
        return (levels // 127).astype(np.uint8)
    if stored is not None and _rises(stored, levels):
        return stored
    shown = ", ".join(map(str, found[:_SHOWN]))
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    raise PictureError(
        "trimap-values",
        f"has the trimap values {shown}{more}; expected only 0, 128, 255 or only 0, 1, 2 "
        "(background, unknown, foreground), in a lossless format",
    )


def _rises(codes: Pixels, levels: Pixels) -> bool:
    """Does a palette show a higher code as a lighter grey? Otherwise its order means nothing."""
    shown = [int(levels[codes == code][0]) for code in np.unique(codes)]
    return shown == sorted(set(shown))


def _grey(colour: Pixels, what: str) -> Pixels:
    """H x W x 3 -> H x W. Raises PictureError ('coloured')."""
    if not _is_grey(colour):
        raise PictureError("coloured", f"is coloured, but {what} is grey; save it as grey")
    return colour[..., 0].copy()


def _is_grey(colour: Pixels) -> bool:
    first = colour[..., 0]
    return bool((colour[..., 1] == first).all() and (colour[..., 2] == first).all())


def read_header(file: File) -> Header:
    """What the file says before it is decoded. Raises PictureError, as the readers do, but does
    not find damage in the pixels."""
    with _picture_errors(file):
        return header_of(_bytes_of(file))


def is_picture(path: Path) -> bool:
    """Is this a file to be read as a picture, in a folder that may hold others?

    It is if its name ends like a picture's, in any case, whatever is in it; or if it begins like
    PNG, JPEG, WebP, AVIF or GIF, whatever its name.
    """
    if path.suffix.lower() in ENDINGS:
        return True
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would wait for a writer
            return False
        with path.open("rb") as file:
            return sniff_format(file.read(16)) in _CLEAR
    except OSError:
        return False


def read_file(path: Location) -> bytes:
    """The bytes of a regular file. Raises PictureError if `path` is something else, is too large
    or cannot be read."""
    if isinstance(path, Url):
        return _read_url(path)
    with _picture_errors(path):
        # Without O_NONBLOCK, opening a pipe would wait for a writer for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                reason = "is a folder, pipe, socket or device; move it away"
                raise PictureError("not-a-file", reason)
            _refuse_large(found.st_size)
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                return file.read()
        finally:
            os.close(descriptor)


def _read_url(url: Url) -> bytes:
    try:
        _refuse_large(size_of(url))
        return read_bytes(url)
    except OSError as error:
        reason = str(error).removeprefix(f"{url}: ")
        raise PictureError("unreadable", f"cannot be read ({reason})", str(url)) from error


def _refuse_large(size: int) -> None:
    if size > MAX_FILE_BYTES:
        reason = f"has {size} bytes, more than {MAX_FILE_BYTES} are refused"
        raise PictureError("too-large", f"{reason}; make it smaller")


def write_alpha(path: Path, alpha: Pixels) -> None:
    """H x W uint8 -> 8-bit grey PNG; whole or not at all."""
    write_bytes(path, encode_alpha(alpha))


def write_trimap(path: Path, trimap: Pixels) -> None:
    """H x W of the codes 0, 1, 2 -> palette PNG that shows black, grey, white."""
    write_bytes(path, encode_trimap(trimap))


def write_cutout(path: Path, cutout: Pixels) -> None:
    """H x W x 4 uint8, straight RGBA -> PNG; whole or not at all."""
    write_bytes(path, encode_cutout(cutout))


def _bytes_of(file: File) -> bytes:
    return file if isinstance(file, bytes) else read_file(file)


def _size(array: Pixels) -> str:
    return f"{array.shape[0]} x {array.shape[1]} px"


@contextmanager
def _picture_errors(file: File) -> Iterator[None]:
    """Whatever a codec makes of damaged bytes, the caller sees a PictureError that names the file,
    and no warning."""
    try:
        with warnings.catch_warnings():
            # Codecs warn of odd metadata in sound pictures; of sizes MAX_PIXELS decides.
            warnings.simplefilter("ignore")
            yield
    except Exception as error:  # codecs raise at least nine types on damaged data
        found = _as_picture_error(error)
        name = (
            "" if isinstance(file, bytes) else os.fsencode(file).decode(errors="backslashreplace")
        )
        raise PictureError(found.kind, found.reason, name) from error


def _as_picture_error(error: Exception) -> PictureError:
    if isinstance(error, PictureError):
        return error
    if isinstance(error, Image.DecompressionBombError):
        return too_large(str(error).split(" pixels")[0].split("(")[-1])
    if isinstance(error, MemoryError):
        return PictureError("memory", "needs more memory to be decoded than there is")
    if isinstance(error, OSError) and error.errno:  # of the system; those of codecs have no number
        reason = f"cannot be read ({error.strerror}); check that it is there and its permissions"
        return PictureError("unreadable", reason)
    kind = "truncated" if "truncated" in str(error).lower() else "corrupt"
    what = f"cannot be decoded ({type(error).__name__}: {error})"
    return PictureError(kind, f"{what}; copy or export the file again")
