"""The bytes of an image file -> arrays: upright, sRGB, 8 bits, or a SourceError that says why not.

Every way of writing a still picture down that a cut-out or a photo comes in is turned into the
same arrays here, and nowhere else. Nothing but SourceError leaves these functions, and no warning.
"""

from __future__ import annotations

import functools
import io
import warnings
from collections.abc import Callable
from typing import NamedTuple, ParamSpec, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from datagen.sources.container import SourceError, check_whole, sniff_format

__all__ = ["FORMATS", "MAX_PIXELS", "SourceError", "decode_cutout", "decode_photo"]

FORMATS = ("PNG", "JPEG", "TIFF", "WEBP", "AVIF", "BMP", "GIF", "PPM")
# Just below 2 x 89,478,485, where Pillow itself refuses; 150 megapixels is the largest camera.
MAX_PIXELS = 178_000_000

_ORIENTATION = 0x0112  # EXIF
_BITS_PER_SAMPLE, _PHOTOMETRIC, _EXTRA_SAMPLES = 258, 262, 338  # TIFF

Bytes = NDArray[np.uint8]
P = ParamSpec("P")
R = TypeVar("R")


class Layers(NamedTuple):
    """colour H x W x 3 uint8, sRGB, straight; alpha H x W uint8, or None where there is none."""

    colour: Bytes
    alpha: Bytes | None


def _only_source_errors(decode: Callable[P, R]) -> Callable[P, R]:
    """Whatever a codec makes of damaged bytes, the caller sees a SourceError and no warning."""

    @functools.wraps(decode)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            with warnings.catch_warnings():
                # Codecs warn of odd metadata in sound pictures; of sizes MAX_PIXELS decides.
                warnings.simplefilter("ignore")
                return decode(*args, **kwargs)
        except SourceError:
            raise
        except Image.DecompressionBombError as error:
            raise _too_large(str(error).split(" pixels")[0].split("(")[-1]) from error
        except MemoryError as error:
            raise SourceError("memory", "decoding needs more memory than there is") from error
        except Exception as error:  # codecs raise at least nine types on damaged data
            kind = "truncated" if "truncated" in str(error).lower() else "corrupt"
            what = f"cannot be decoded ({type(error).__name__}: {error})"
            raise SourceError(kind, f"{what}; copy or export the file again") from error

    return guarded


@_only_source_errors
def decode_photo(data: bytes) -> Bytes:
    """H x W x 3 uint8, RGB, sRGB, upright. Raises SourceError if `data` is not one whole opaque
    still picture ('transparent' where it has an alpha below 255: there is no colour behind it)."""
    colour, alpha = _decode(data)
    if alpha is not None and alpha.min() < 255:
        share = float((alpha < 255).mean())
        raise SourceError(
            "transparent",
            f"{share:.1%} of the background's pixels are not opaque; flatten it onto a colour",
        )
    return colour


@_only_source_errors
def decode_cutout(data: bytes, alpha_data: bytes | None = None) -> Bytes:
    """H x W x 4 uint8, straight RGBA, sRGB, upright; alpha 255 is opaque.

    alpha_data: an alpha file of the same upright size, whose values are taken as they are
    (no colour profile); it wins over an alpha channel in `data`. Raises SourceError: also
    'no-alpha', 'alpha-empty' (0 everywhere), 'alpha-opaque' (255 everywhere), 'size-mismatch',
    'alpha-file' (the alpha file is coloured or itself transparent).
    """
    colour, alpha = _decode(data)
    if alpha_data is not None:
        alpha = _decode_alpha(alpha_data)
    if alpha is None:
        raise SourceError(
            "no-alpha", "has no alpha channel; give RGBA images, or alpha files with --alpha DIR"
        )
    if alpha.shape != colour.shape[:2]:
        raise SourceError(
            "size-mismatch",
            f"the image is {_size(colour)}, its alpha file {_size(alpha)} (upright); "
            "make them the same size",
        )
    if not alpha.any():
        raise SourceError("alpha-empty", "alpha is 0 everywhere, so nothing would be composited")
    if alpha.min() == 255:
        raise SourceError("alpha-opaque", "alpha is 255 everywhere, so nothing was cut out")
    return np.dstack([colour, alpha])


def _decode_alpha(data: bytes) -> Bytes:
    """The levels of a separate alpha file, H x W uint8."""
    try:
        colour, alpha = _decode(data, managed=False)
    except SourceError as error:
        raise SourceError(error.kind, f"its alpha file: {error.reason}") from error
    if alpha is not None and alpha.min() < 255:
        raise SourceError("alpha-file", "its alpha file is itself transparent; save it as grey")
    levels = colour[..., 0]
    if not ((colour[..., 1] == levels).all() and (colour[..., 2] == levels).all()):
        raise SourceError("alpha-file", "its alpha file is coloured; save it as grey")
    return levels


def _decode(data: bytes, managed: bool = True) -> Layers:
    """Every form of picture -> Layers, upright; converted to sRGB if `managed`."""
    image = _open(data)
    image.load()
    orientation = image.getexif().get(_ORIENTATION, 1)  # Pillow has applied a TIFF's in load()
    base, alpha = _deep_layers(image, data) if _is_deep(image, data) else _layers(image, data)
    profiled = managed and "icc_profile" in image.info
    rgb = _to_srgb(base, image.info["icc_profile"]) if profiled else base.convert("RGB")
    return Layers(
        _upright(np.array(rgb), orientation),
        None if alpha is None else _upright(alpha, orientation),
    )


def _open(data: bytes) -> Image.Image:
    """The header only: known format, size within MAX_PIXELS, whole file, one frame."""
    if not data:
        raise _empty()
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError:
        raise
    except Exception as error:  # formats differ in what they raise on a damaged header
        check_whole(data)
        announced = sniff_format(data)
        if announced is not None:
            raise SourceError(
                "corrupt", f"begins as {announced}, but its header is damaged; export it again"
            ) from error
        raise SourceError(
            "not-an-image", f"is none of {', '.join(FORMATS)}; convert it, or move it away"
        ) from error
    if image.width * image.height > MAX_PIXELS:
        raise _too_large(f"{image.height} x {image.width}")
    check_whole(data)
    # Further pictures of an MPO are previews and gain maps of the first, which is the photo.
    frames = 1 if image.format == "MPO" else int(getattr(image, "n_frames", 1))
    if frames > 1:
        kind, unit = ("multi-page", "pages") if image.format == "TIFF" else ("animated", "frames")
        raise SourceError(kind, f"has {frames} {unit}; save the one that is meant by itself")
    return image


def _layers(image: Image.Image, data: bytes) -> tuple[Image.Image, Bytes | None]:
    """An 8-bit picture -> (L, RGB or CMYK image, alpha H x W or None)."""
    if image.mode in ("1", "L"):
        base = image.convert("L") if image.mode == "1" else image
        return base, _grey_key_alpha(image, data)
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
    raise SourceError(
        "unsupported",
        f"{image.format} with pixels of the form {image.mode}; save it as RGB or RGBA PNG",
    )


def _grey_key_alpha(image: Image.Image, data: bytes) -> Bytes | None:
    """Alpha of a grey picture one level of which is declared transparent."""
    key = image.info.get("transparency")
    if key is None:
        return None
    # Pillow stretches grey of 2 and 4 bits to 8, but gives the key as the file has it.
    depth = data[24] if image.format == "PNG" else 8
    level = key * {2: 85, 4: 17}.get(depth, 1)
    return np.where(np.array(image.convert("L")) == level, 0, 255).astype(np.uint8)


def _is_deep(image: Image.Image, data: bytes) -> bool:
    """More than 8 bits a channel, in a form of which Pillow would keep the high byte."""
    if image.format == "PNG":
        return data[24] == 16
    if image.format == "TIFF":
        bits = _tiff_tag(image, _BITS_PER_SAMPLE, (1,))
        return max(bits) > 8
    return image.mode.startswith("I")  # PPM of 16 bits, already stretched to 0..65535


def _deep_layers(image: Image.Image, data: bytes) -> tuple[Image.Image, Bytes | None]:
    """A 16-bit picture -> (L or RGB image, alpha H x W or None), rounded to 8 bits."""
    values, alpha = _deep_values(image, data)
    grey = values.ndim == 2
    key = image.info.get("transparency")
    if key is not None:
        is_key = values == key if grey else (values == np.array(key)).all(axis=2)
        alpha = np.where(is_key, 0, 65535).astype(np.uint16)
    eight = Image.fromarray(_to_8_bits(values), "L" if grey else "RGB")
    return eight, None if alpha is None else _to_8_bits(alpha)


def _deep_values(
    image: Image.Image, data: bytes
) -> tuple[NDArray[np.uint16], NDArray[np.uint16] | None]:
    """(H x W or H x W x 3, alpha H x W or None) of a 16-bit picture, uint16."""
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM")):
        values = np.array(image).astype(np.uint16)
        is_inverted = image.format == "TIFF" and _tiff_tag(image, _PHOTOMETRIC, (1,)) == (0,)
        return 65535 - values if is_inverted else values, None
    extra = _tiff_tag(image, _EXTRA_SAMPLES, ()) if image.format == "TIFF" else ()
    # OpenCV keeps all 16 bits. Pillow has decoded the file by now, so that it is mostly sound.
    channels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if channels is None:
        raise SourceError("corrupt", "cannot be decoded to its 16 bits; export it again as PNG")
    is_premultiplied = extra[:1] == (1,)
    if (
        image.mode not in ("RGB", "RGBA", "LA")
        or is_premultiplied
        or channels.dtype != np.uint16
        or channels.ndim != 3
    ):
        found = f"{'premultiplied ' if is_premultiplied else ''}{image.mode}, {channels.dtype}"
        raise SourceError(
            "unsupported", f"{image.format} with pixels {found}; save it as RGB or RGBA PNG"
        )
    colour = channels[..., 2::-1].astype(np.uint16)
    return colour, channels[..., 3].astype(np.uint16) if image.mode != "RGB" else None


def _to_8_bits(values: NDArray[np.uint16]) -> Bytes:
    """0..65535 -> 0..255, v / 257 rounded to nearest."""
    return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _tiff_tag(image: Image.Image, tag: int, default: tuple[int, ...]) -> tuple[int, ...]:
    value = getattr(image, "tag_v2", {}).get(tag, default)
    return tuple(value) if isinstance(value, tuple) else (int(value),)


def _to_srgb(base: Image.Image, profile: bytes | None) -> Image.Image:
    """The picture (L, RGB or CMYK) in the profile's colours -> RGB in sRGB."""
    try:
        if not profile:
            raise ValueError("damaged")
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        space = source.profile.xcolor_space.strip()
        if space == "RGB" and base.mode == "L":
            base = base.convert("RGB")  # grey stored under the profile of a colour picture
        if {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}.get(space) != base.mode:
            raise ValueError(f"for {space} colours, but the picture is {base.mode}")
        converted = ImageCms.profileToProfile(base, source, _srgb(), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError) as error:
        raise SourceError(
            "colour-profile",
            f"its colour profile is unusable ({error}); convert it to sRGB or remove the profile",
        ) from error
    if converted is None:
        raise TypeError("no picture came out of the colour conversion")
    return converted


@functools.cache
def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def _upright(array: Bytes, orientation: object) -> Bytes:
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


def _size(array: Bytes) -> str:
    return f"{array.shape[0]} x {array.shape[1]} px"


def _empty() -> SourceError:
    return SourceError("empty-file", "has 0 bytes; copy or export it again")


def _too_large(found: str) -> SourceError:
    return SourceError(
        "too-large", f"has {found} pixels, more than {MAX_PIXELS} are refused; make it smaller"
    )
