"""The pictures of one sample in a report, small enough to be part of a page."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

from manifests.pixels import BACKGROUND, FOREGROUND, Pixels
from manifests.shard_set import DecodedSample

LARGE, SMALL = 400, 200  # pixels of the longer side
_GREY = (0, 0, 0, 128, 128, 128, 255, 255, 255)
# Of the error map: right, unknown in the crude trimap, lost, taken for the subject
_ERRORS = (236, 236, 236, 150, 150, 150, 202, 46, 85, 0, 96, 190)


@dataclass(frozen=True)
class Pictures:
    """data: URLs. `cutout` has the colours of the foreground, and alpha."""

    image: str
    cutout: str
    trimap: str
    crude_trimap: str
    errors: str


def pictures_of(sample: DecodedSample) -> Pictures:
    """Raises ValueError if a stream is damaged."""
    colours = sample.image if sample.foreground is None else sample.foreground
    straight = np.where(sample.alpha[..., None] == 255, sample.image, colours)
    rgba = np.dstack([straight, sample.alpha])
    return Pictures(
        image=_url(_reduced(Image.fromarray(sample.image), LARGE), "WEBP", quality=78, method=2),
        cutout=_url(_reduced(Image.fromarray(rgba), LARGE), "WEBP", quality=70, method=2),
        trimap=_codes(sample.trimap, _GREY),
        crude_trimap=_codes(sample.crude_trimap, _GREY),
        errors=_codes(error_map(sample.trimap, sample.crude_trimap), _ERRORS),
    )


def error_map(trimap: Pixels, crude: Pixels) -> Pixels:
    """What a crude trimap says, H x W: 0 right, 1 unknown, 2 a part of the subject is called
    background, 3 a part of the background is called foreground."""
    errors = np.zeros_like(crude)
    errors[(crude != BACKGROUND) & (crude != FOREGROUND)] = 1
    errors[(crude == BACKGROUND) & (trimap != BACKGROUND)] = 2
    errors[(crude == FOREGROUND) & (trimap != FOREGROUND)] = 3
    return errors


def _codes(codes: Pixels, palette: tuple[int, ...]) -> str:
    picture = Image.fromarray(codes)
    picture.putpalette(palette)
    size = _size(picture, SMALL)
    return _url(picture.resize(size, Image.Resampling.NEAREST), "PNG", bits=2)


def _reduced(picture: Image.Image, side: int) -> Image.Image:
    return picture.resize(_size(picture, side), Image.Resampling.BOX, reducing_gap=None)


def _size(picture: Image.Image, side: int) -> tuple[int, int]:
    factor = min(1.0, side / max(picture.size))
    return round(picture.width * factor), round(picture.height * factor)


def _url(picture: Image.Image, form: str, **options: int) -> str:
    content = io.BytesIO()
    picture.save(content, form, **options)
    text = base64.b64encode(content.getvalue()).decode()
    return f"data:image/{form.lower()};base64,{text}"
