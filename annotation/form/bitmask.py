"""Label Studio's BitmaskLabels regions -> alpha: PNGs as data URLs, whose alpha channel counts."""

from __future__ import annotations

import base64
import warnings

from manifests.decoding import layers_of
from manifests.pictures import read_header
from manifests.pixels import Pixels

_START = "data:image/png;base64,"
_BIT_DEPTH = 24  # position in a PNG's bytes


def decode_bitmask(url: object, height: int, width: int) -> Pixels:
    """A data URL -> H x W alpha. Raises ValueError if it is not a PNG with alpha of this size.

    The header is checked before anything is decoded, so that what it takes is bounded by the size
    of the photo.
    """
    if not isinstance(url, str) or not url.startswith(_START):
        raise ValueError(f"a bitmask is a data URL of a PNG, not {str(url)[:40]!r}")
    try:
        data = base64.b64decode(url[len(_START) :], validate=True)
        header = read_header(data)
    except ValueError as error:
        raise ValueError(f"the bitmask is not a complete PNG: {error}") from error
    if (header.height, header.width) != (height, width):
        found = f"{header.height} x {header.width}"
        raise ValueError(f"the bitmask is {found}, the photo {height} x {width}")
    if header.format != "PNG" or header.mode not in ("LA", "RGBA") or data[_BIT_DEPTH] != 8:
        found = f"{header.format}, mode {header.mode}"
        raise ValueError(f"the bitmask has no 8-bit alpha channel ({found})")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd metadata: pixels count
            alpha = layers_of(data, managed=False).alpha
    except Exception as error:  # codecs raise whatever damaged bytes lead them to
        raise ValueError(f"the bitmask is not a complete PNG: {error}") from error
    if alpha is None:
        raise ValueError("the bitmask has no alpha channel")
    return alpha
