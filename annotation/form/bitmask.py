"""Label Studio's BitmaskLabels regions -> alpha: PNGs as data URLs, whose alpha channel counts."""

from __future__ import annotations

import base64
import io
import warnings

import numpy as np
from PIL import Image

from manifests.pixels import Pixels

_START = "data:image/png;base64,"


def decode_bitmask(url: object, height: int, width: int) -> Pixels:
    """A data URL -> H x W alpha. Raises ValueError if it is not a PNG with alpha of this size."""
    if not isinstance(url, str) or not url.startswith(_START):
        raise ValueError(f"a bitmask is a data URL of a PNG, not {str(url)[:40]!r}")
    try:
        data = base64.b64decode(url[len(_START) :], validate=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of large sizes and odd metadata: pixels count
            image = Image.open(io.BytesIO(data), formats=["PNG"])
            if image.size == (width, height):
                image.load()
    except Exception as error:  # Pillow raises whatever damaged bytes lead it to
        raise ValueError(f"the bitmask is not a complete PNG: {error}") from error
    if image.size != (width, height):
        found = f"{image.height} x {image.width}"
        raise ValueError(f"the bitmask is {found}, the photo {height} x {width}")
    if image.mode not in ("LA", "RGBA") or data[24] != 8:
        raise ValueError(f"the bitmask has no 8-bit alpha channel (mode {image.mode})")
    return np.array(image.getchannel("A"))
