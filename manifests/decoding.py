"""The bytes of a picture file -> arrays: upright, 8 bits, sRGB, or a PictureError.

Pillow decodes; of more than 8 bits a channel it keeps the high byte alone, so that OpenCV decodes
those. Everything after the decoder is done in strips, which keeps the memory bounded: at most
`BYTES_PER_PIXEL` (or `WIDE_BYTES_PER_PIXEL`) per pixel and 100 MB, beside the file itself.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from manifests.containers import (
    PictureError,
    check_whole,
    has_late_metadata,
    png_colour_code,
    sniff_format,
)
from manifests.pixels import Pixels
from manifests.profiles import Conversion, as_stored, srgb_conversion

FORMATS = ("PNG", "JPEG", "TIFF", "WEBP", "AVIF", "BMP", "GIF", "PPM")
# Just below 2 x 89,478,485, where Pillow itself refuses; 150 megapixels is the largest camera.
MAX_PIXELS = 178_000_000
# Bytes of memory per pixel, of the decoder and the arrays. More are taken by those that hold the
# whole picture several times: the decoders of WebP and AVIF, and colours of 16 bits.
BYTES_PER_PIXEL, WIDE_BYTES_PER_PIXEL = 12, 24

_STRIP = 1 << 20  # pixels
_ORIENTATION = 0x0112  # EXIF
# TIFF
_BITS_PER_SAMPLE, _PHOTOMETRIC, _TILE_WIDTH, _TILE_LENGTH, _EXTRA_SAMPLES = 258, 262, 322, 323, 338


class Header(NamedTuple):
    """What a file says before it is decoded: the format and the mode by Pillow's names, the size
    of the upright picture, and whether it is stored upright."""

    format: str
    mode: str
    height: int
    width: int
    is_upright: bool


class Layers(NamedTuple):
    """colour H x W x 3 uint8, straight. alpha H x W uint8, or None if the file has none.

    stored: H x W uint8, what the file stores where that is not what `colour` shows: the indices of
    a palette, or the values of 16-bit grey (those above 255 as 255); otherwise None.
    """

    colour: Pixels
    alpha: Pixels | None
    stored: Pixels | None
    has_palette: bool


class _Strip(NamedTuple):
    """Some rows: a picture of the mode L, RGB or CMYK, and their alpha and stored values."""

    base: Image.Image
    alpha: Pixels | None
    stored: Pixels | None


def header_of(data: bytes) -> Header:
    """The header alone. What Pillow raises on damaged EXIF data leaves this function as it is."""
    image = _open(data)
    # A PNG's own getexif decodes the pixels first, for what may come after them
    is_simple = image.format == "PNG" and not has_late_metadata(data)
    exif = Image.Image.getexif(image) if is_simple else image.getexif()
    turned = exif.get(_ORIENTATION, 1)
    height, width = image.height, image.width
    if turned in range(5, 9) and image.format != "TIFF":  # Pillow gives a TIFF's size upright
        height, width = width, height
    return Header(str(image.format), image.mode, height, width, turned not in range(2, 9))


def layers_of(data: bytes, managed: bool = True) -> Layers:
    """Every form of picture, upright; colours are converted to sRGB if `managed`.

    Raises PictureError, and whatever a codec makes of damaged bytes.
    """
    layers, orientation = _layers_as_stored(data, managed)
    turn = functools.partial(_upright, orientation=orientation)
    colour, alpha, stored, has_palette = layers
    del layers  # a turned layer is a copy: each is given up when it is turned
    colour = turn(colour)
    alpha = None if alpha is None else turn(alpha)
    return Layers(colour, alpha, None if stored is None else turn(stored), has_palette)


def _layers_as_stored(data: bytes, managed: bool) -> tuple[Layers, object]:
    """(the layers, the EXIF orientation in which they lie)."""
    image = _open(data)
    check_whole(data)
    _check_single(image)
    image.load()
    exif = image.getexif()
    orientation = exif.get(_ORIENTATION, 1)  # Pillow has applied a TIFF's in load()
    size = height, width = image.height, image.width
    strip_of = _deep_strips(image, data) if _is_deep(image, data) else _strips(image, data)

    @functools.cache
    def conversion(mode: str) -> Conversion:
        if not managed:
            return as_stored
        return srgb_conversion(image.info, mode, exif, png_colour_code(data))

    colour = np.empty((*size, 3), np.uint8)
    alpha = stored = None
    rows_per_strip = max(1, _STRIP // width)
    for top in range(0, height, rows_per_strip):
        rows = slice(top, min(top + rows_per_strip, height))
        strip = strip_of(rows)
        colour[rows] = np.asarray(conversion(strip.base.mode)(strip.base))
        alpha = _put(alpha, rows, strip.alpha, size)
        stored = _put(stored, rows, strip.stored, size)
    return Layers(colour, alpha, stored, image.mode == "P"), orientation


def _put(
    whole: Pixels | None, rows: slice, strip: Pixels | None, size: tuple[int, int]
) -> Pixels | None:
    if strip is None:
        return whole
    whole = np.empty(size, np.uint8) if whole is None else whole
    whole[rows] = strip
    return whole


def _open(data: bytes) -> Image.Image:
    """The header only: a known format, and a size that may be decoded."""
    if not data:
        raise PictureError("empty-file", "has 0 bytes; copy or export it again")
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except (Image.DecompressionBombError, MemoryError):
        raise
    except Exception as error:  # formats differ in what they raise on a damaged header
        check_whole(data)
        announced = sniff_format(data)
        if announced is not None:
            reason = f"begins as {announced}, but its header is damaged; export it again"
            raise PictureError("corrupt", reason) from error
        known = ", ".join(FORMATS)
        raise PictureError(
            "not-an-image", f"is not a picture ({known}); convert it, or move it away"
        ) from error
    limit = MAX_PIXELS * BYTES_PER_PIXEL // bytes_per_pixel(image, data)
    if image.width * image.height > limit:
        raise too_large(f"{image.height} x {image.width}", limit)
    tile = _tag(image, _TILE_WIDTH, (0,))[0] * _tag(image, _TILE_LENGTH, (0,))[0]
    if tile > limit:
        raise too_large(f"a tile of {tile}", limit)
    return image


def bytes_per_pixel(image: Image.Image, data: bytes) -> int:
    """What decoding takes at most, beside a constant."""
    is_wide = image.format in ("WEBP", "AVIF") or (image.mode[0] != "I" and _is_deep(image, data))
    return WIDE_BYTES_PER_PIXEL if is_wide else BYTES_PER_PIXEL


def too_large(found: str, limit: int = MAX_PIXELS) -> PictureError:
    return PictureError(
        "too-large", f"has {found} pixels, more than {limit} are refused; make it smaller"
    )


def _check_single(image: Image.Image) -> None:
    # Further pictures of an MPO are previews and gain maps of the first, which is the photo.
    frames = 1 if image.format == "MPO" else int(getattr(image, "n_frames", 1))
    if frames > 1:
        kind, unit = ("multi-page", "pages") if image.format == "TIFF" else ("animated", "frames")
        raise PictureError(kind, f"has {frames} {unit}; save the one that is meant by itself")


def _strips(image: Image.Image, data: bytes) -> Callable[[slice], _Strip]:
    """The rows of an 8-bit picture."""
    # Pillow stretches grey of 2 and 4 bits to 8, but gives a transparent level as the file has it.
    depth = data[24] if image.format == "PNG" else 8
    key_scale = {2: 85, 4: 17}.get(depth, 1)

    def strip_of(rows: slice) -> _Strip:
        part = image.crop((0, rows.start, image.width, rows.stop))
        stored = np.asarray(part, np.uint8) if part.mode == "P" else None
        return _Strip(*_base_and_alpha(part, key_scale), stored)

    return strip_of


def _base_and_alpha(image: Image.Image, key_scale: int) -> tuple[Image.Image, Pixels | None]:
    """An 8-bit picture -> (one of the mode L, RGB or CMYK, alpha H x W or None)."""
    if image.mode in ("1", "L"):
        grey, key = image.convert("L"), image.info.get("transparency")
        if key is None:
            return grey, None
        return grey, np.where(np.asarray(grey) == key * key_scale, 0, 255).astype(np.uint8)
    if image.mode in ("La", "RGBa"):
        image = image.convert(image.mode.upper())
    elif image.mode in ("P", "PA", "RGB") and image.has_transparency_data:
        image = image.convert("RGBA")
    if image.mode == "LA":
        return image.getchannel("L"), np.array(image.getchannel("A"))
    if image.mode == "RGBA":
        return image.convert("RGB"), np.array(image.getchannel("A"))
    if image.mode == "CMYK":
        return image, None
    if image.mode in ("P", "RGB", "RGBX", "YCbCr"):
        return image.convert("RGB"), None
    raise _unsupported(image, image.mode)


def _is_deep(image: Image.Image, data: bytes) -> bool:
    """More than 8 bits a channel, in a form of which Pillow would keep the high byte."""
    if image.format == "PNG":
        return data[24] == 16
    if image.format == "TIFF":
        return max(_tag(image, _BITS_PER_SAMPLE, (1,))) > 8
    return image.mode.startswith("I")  # PPM of 16 bits, already stretched to 0..65535


def _deep_strips(image: Image.Image, data: bytes) -> Callable[[slice], _Strip]:
    """The rows of a 16-bit picture, rounded to 8 bits."""
    values_of = _deep_values(image, data)
    key = image.info.get("transparency")

    def strip_of(rows: slice) -> _Strip:
        values, alpha = values_of(rows)
        is_grey = values.ndim == 2
        if key is not None:
            is_key = values == key if is_grey else (values == np.array(key)).all(axis=2)
            alpha = np.where(is_key, 0, 65535).astype(np.uint16)
        return _Strip(
            Image.fromarray(_to_8_bits(values), "L" if is_grey else "RGB"),
            None if alpha is None else _to_8_bits(alpha),
            np.minimum(values, 255).astype(np.uint8) if is_grey else None,
        )

    return strip_of


Deep = NDArray[np.uint16]


def _deep_values(image: Image.Image, data: bytes) -> Callable[[slice], tuple[Deep, Deep | None]]:
    """The rows of a 16-bit picture: (grey H x W or colour H x W x 3, alpha H x W or None)."""
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM")):
        is_inverted = image.format == "TIFF" and _tag(image, _PHOTOMETRIC, (1,)) == (0,)

        def grey(rows: slice) -> tuple[Deep, None]:
            part = image.crop((0, rows.start, image.width, rows.stop))
            values = np.asarray(part).astype(np.uint16)
            return 65535 - values if is_inverted else values, None

        return grey
    extra = _tag(image, _EXTRA_SAMPLES, ()) if image.format == "TIFF" else ()
    is_premultiplied = extra[:1] == (1,)
    if image.mode not in ("RGB", "RGBA", "LA") or is_premultiplied:
        raise _unsupported(image, f"{'premultiplied ' if is_premultiplied else ''}{image.mode}")
    size = image.height, image.width
    image.close()  # Pillow has shown that the file is sound; its pixels are not needed any more
    channels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if channels is None or channels.shape[:2] != size:
        raise PictureError("corrupt", "cannot be decoded to its 16 bits; export it again as PNG")
    if channels.dtype != np.uint16 or channels.ndim != 3:
        raise _unsupported(image, f"{image.mode}, {channels.dtype}")
    has_alpha = image.mode != "RGB"

    def colour(rows: slice) -> tuple[Deep, Deep | None]:
        part = channels[rows].astype(np.uint16)
        return part[..., 2::-1], part[..., 3] if has_alpha else None

    return colour


def _to_8_bits(values: Deep) -> Pixels:
    """0..65535 -> 0..255, v / 257 rounded to nearest."""
    return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _tag(image: Image.Image, tag: int, default: tuple[int, ...]) -> tuple[int, ...]:
    """A tag of a TIFF; the default for other formats and where it is absent."""
    value = getattr(image, "tag_v2", {}).get(tag, default)
    return tuple(value) if isinstance(value, tuple) else (int(value),)


def _unsupported(image: Image.Image, found: str) -> PictureError:
    return PictureError(
        "unsupported",
        f"is {image.format} with pixels of the form {found}; save it as 8-bit RGB or RGBA PNG",
    )


def _upright(array: Pixels, orientation: object) -> Pixels:
    """Undoes the camera's rotation; EXIF orientations 1 to 8, anything else is taken as 1."""
    turned = {
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.swapaxes(0, 1),
        6: lambda a: a[::-1].swapaxes(0, 1),
        7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
        8: lambda a: a[:, ::-1].swapaxes(0, 1),
    }
    if not isinstance(orientation, int) or orientation not in turned:
        return array
    return np.ascontiguousarray(turned[orientation](array))
