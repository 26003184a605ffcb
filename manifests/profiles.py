"""The colours of a picture file -> sRGB, by its ICC profile or whatever else describes them.

That is cICP, gAMA and cHRM in a PNG, and the mark of Adobe RGB in a camera's EXIF data."""

from __future__ import annotations

import functools
import io
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms

from manifests.containers import PictureError

# A picture of the mode L, RGB or CMYK -> a picture of the same size in the mode RGB
Conversion = Callable[[Image.Image], Image.Image]
Doubles = NDArray[np.float64]

# Red, green, blue and white as (x, y), in the order of Pillow's `chromaticity` (white first).
_SRGB_CHROMATICITY = (0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
_SRGB_GAMMA = 1 / 2.2  # as a PNG states it: the exponent of encoding
# Writers round; what differs by less than this is sRGB, whose pixels stay as they are.
_GAMMA_SLACK, _CHROMATICITY_SLACK = 0.02, 0.005
# What a cICP chunk can say (ITU-T H.273): the primaries, and the exponent of encoding or None for
# the curve of sRGB, by which screens also show what has the camera curve of BT.709. The curves of
# high dynamic range are not among them: how to reduce their light is a matter of taste.
_CODED_PRIMARIES = {
    1: _SRGB_CHROMATICITY,
    9: (0.3127, 0.3290, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046),  # BT.2020
    12: (0.3127, 0.3290, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06),  # Display P3
}
_CODED_GAMMAS = {1: None, 4: 1 / 2.2, 8: 1.0, 13: None}
# What cameras mean that mark a picture as Adobe RGB (1998) by DCF 2.0, without a profile
_ADOBE_CHROMATICITY = (0.3127, 0.3290, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06)
_ADOBE_GAMMA = 256 / 563
_ADOBE_INDEX, _ADOBE_COLOUR_SPACE = "R03", 2
_GAMMAS = (0.1, 4.0)  # no camera or program writes others
# Response of the eye's cones to XYZ (Bradford), in which white is adapted.
_BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)
_STEPS = 65535  # of linear light, before it is encoded


def srgb_conversion(
    info: Mapping[Any, Any], mode: str, exif: Image.Exif, code: bytes | None = None
) -> Conversion:
    """How pictures of this mode (L, RGB or CMYK) become RGB in sRGB.

    info, exif: what Pillow read beside the pixels. code: the cICP chunk of a PNG, which comes
    before all others. A PNG without it, without ICC profile and without sRGB chunk is converted by
    its gAMA and cHRM chunks, as browsers do. Raises PictureError ('colour-profile') if a profile,
    or these chunks, cannot be used.
    """
    if code is not None:
        return _by_code(code)
    if "icc_profile" in info:
        return _by_profile(info["icc_profile"], mode)
    if "srgb" not in info and mode != "CMYK":
        gamma, chromaticity = info.get("gamma"), info.get("chromaticity")
        if _differs(gamma, chromaticity):
            return functools.partial(_by_chunks, gamma, chromaticity)
        if gamma is None and chromaticity is None and _is_adobe_rgb(exif):
            return functools.partial(_by_chunks, _ADOBE_GAMMA, _ADOBE_CHROMATICITY)
    return as_stored


def _by_code(code: bytes) -> Conversion:
    try:
        primaries, transfer, matrix, is_full = code
        if (matrix, is_full) != (0, 1):
            raise ValueError(f"matrix {matrix} and range {is_full}, expected 0 and 1")
        gamma, chromaticity = _CODED_GAMMAS[transfer], _CODED_PRIMARIES[primaries]
    except KeyError as error:
        reason = f"primaries {primaries}, transfer {transfer}: such colours are not known here"
        raise _unusable("cICP chunk", ValueError(reason)) from error
    except ValueError as error:
        raise _unusable("cICP chunk", error) from error
    if gamma is None and chromaticity == _SRGB_CHROMATICITY:
        return as_stored
    return functools.partial(_by_chunks, gamma, chromaticity)


def _is_adobe_rgb(exif: Image.Exif) -> bool:
    """Does EXIF data say so, by the interoperability index of DCF 2.0 or by the colour space 2?"""
    try:
        colour_space = exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.ColorSpace)
        index = exif.get_ifd(ExifTags.IFD.Interop).get(ExifTags.Interop.InteropIndex)
    except Exception:  # Pillow raises at least five types on damaged EXIF data, which says nothing
        return False
    return colour_space == _ADOBE_COLOUR_SPACE or str(index).strip("\0 ") == _ADOBE_INDEX


def as_stored(image: Image.Image) -> Image.Image:
    """The values as they are, without a change of colours; CMYK by Pillow's plain rule."""
    return image.convert("RGB")


def _by_profile(profile: bytes | None, mode: str) -> Conversion:
    try:
        if not profile:
            raise ValueError("damaged")
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        space = source.profile.xcolor_space.strip()
        if space == "RGB" and mode == "L":
            mode = "RGB"  # grey stored under the profile of a colour picture
        if {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}.get(space) != mode:
            raise ValueError(f"for {space} colours, but the picture is {mode}")
        transform = ImageCms.buildTransform(source, _srgb(), mode, "RGB")
    except (ImageCms.PyCMSError, OSError, ValueError) as error:
        raise _unusable("colour profile", error) from error
    return functools.partial(_transformed, transform, mode)


def _transformed(
    transform: ImageCms.ImageCmsTransform, mode: str, image: Image.Image
) -> Image.Image:
    found = ImageCms.applyTransform(image.convert(mode), transform)
    if found is None:
        raise TypeError("the colour conversion returned no picture")
    return found


@functools.cache
def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def _differs(gamma: float | None, chromaticity: tuple[float, ...] | None) -> bool:
    """Are these not the colours of sRGB, as far as they are stated?"""
    off_gamma = 0 if gamma is None else abs(gamma - _SRGB_GAMMA)
    pairs = zip(chromaticity or (), _SRGB_CHROMATICITY, strict=False)
    off_primaries = max((abs(one - other) for one, other in pairs), default=0)
    return off_gamma > _GAMMA_SLACK or off_primaries > _CHROMATICITY_SLACK


def _by_chunks(
    gamma: float | None, chromaticity: tuple[float, ...] | None, image: Image.Image
) -> Image.Image:
    """By gAMA (the exponent of encoding; sRGB's curve without it) and cHRM (sRGB's without it)."""
    curve = _srgb_to_linear() if gamma is None else _gamma_to_linear(gamma)
    linear = curve[np.asarray(image.convert("RGB"))]
    if chromaticity is not None:
        to_srgb = _srgb_from(chromaticity)
        linear = linear @ to_srgb.astype(np.float32).T
    steps = np.rint(linear.clip(0, 1) * _STEPS).astype(np.uint16)
    return Image.fromarray(_linear_to_srgb()[steps])


def _gamma_to_linear(gamma: float) -> NDArray[np.float32]:
    low, high = _GAMMAS
    if not low <= gamma <= high:
        raise _unusable("gAMA chunk", ValueError(f"gamma {gamma:g}, expected {low} to {high}"))
    return ((np.arange(256) / 255) ** (1 / gamma)).astype(np.float32)


@functools.cache
def _srgb_to_linear() -> NDArray[np.float32]:
    """Linear light of the 256 levels (IEC 61966-2-1)."""
    level = np.arange(256) / 255
    linear = np.where(level <= 0.04045, level / 12.92, ((level + 0.055) / 1.055) ** 2.4)
    return linear.astype(np.float32)


@functools.cache
def _linear_to_srgb() -> NDArray[np.uint8]:
    """The level of each step of linear light."""
    linear = np.arange(_STEPS + 1) / _STEPS
    level = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.asarray(np.rint(255 * level), np.uint8)


def _srgb_from(chromaticity: tuple[float, ...]) -> Doubles:
    """Linear RGB of these primaries and this white -> linear sRGB, 3 x 3; white stays white."""
    try:
        theirs, white = _to_xyz(chromaticity)
        ours, our_white = _to_xyz(_SRGB_CHROMATICITY)
        adapted = np.diag((_BRADFORD @ our_white) / (_BRADFORD @ white))
        found = np.linalg.inv(ours) @ np.linalg.inv(_BRADFORD) @ adapted @ _BRADFORD @ theirs
    except (ZeroDivisionError, np.linalg.LinAlgError) as error:
        raise _unusable("cHRM chunk", error) from error
    if not np.isfinite(found).all() or np.abs(found).max() > 100:
        raise _unusable("cHRM chunk", ValueError(f"chromaticities {chromaticity}"))
    return np.asarray(found, np.float64)


def _to_xyz(chromaticity: tuple[float, ...]) -> tuple[Doubles, Doubles]:
    """(linear RGB -> XYZ, 3 x 3; XYZ of white), for a white of luminance 1."""
    white, *primaries = (
        np.array([x / y, 1.0, (1 - x - y) / y])
        for x, y in zip(chromaticity[::2], chromaticity[1::2], strict=True)
    )
    columns = np.stack(primaries, axis=1)
    return columns * np.linalg.solve(columns, white), white


def _unusable(what: str, error: Exception) -> PictureError:
    return PictureError(
        "colour-profile", f"has an unusable {what} ({error}); convert it to sRGB or remove that"
    )
