"""What the pixels of each stream mean, and the codecs that put them on disk.

Colour arrays are H x W x 3 uint8, RGB; alpha is H x W uint8, 0..255; a trimap is H x W uint8 of
the codes below. Encoders are deterministic: the same pixels and library versions give the same
bytes, so that a data set can be compared by checksum.
"""

from __future__ import annotations

import hashlib
import io
from enum import StrEnum

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from manifests import jpeg, png

Pixels = NDArray[np.uint8]

BACKGROUND, UNKNOWN, FOREGROUND = 0, 1, 2

NOT_KEPT = 128  # JPEG stores a block of this grey in almost no bits

# Black, grey, white: viewers show the trimap in its usual colours, and readers of palette indices
# get 0, 1 and 2.
_TRIMAP_PALETTE = bytes((0, 0, 0, 128, 128, 128, 255, 255, 255))

# A few bytes can announce any size, and a decoder makes room for it first. So the decoders read
# the size from the header before that. No sample is larger than this.
STREAM_PIXELS = 4096 * 4096
STREAM_BYTES = (
    1 << 26
)  # an encoded stream: 48 MiB of colours that nothing compresses, and some more

# Of PNGs with colours. Level 1 takes a third of the time of level 6 and 10 % more bytes.
_PNG_LEVEL = 1


class ImageCodec(StrEnum):
    """How the colour streams are stored; alpha and trimaps are always lossless."""

    JPEG = "jpeg"
    PNG = "png"

    @property
    def extension(self) -> str:
        return "jpg" if self is ImageCodec.JPEG else "png"


def trimap_of(alpha: Pixels) -> Pixels:
    """Eq. (2): 2 exactly where alpha is 255, 0 exactly where it is 0, 1 elsewhere (H x W)."""
    return np.asarray((alpha > 0).view(np.uint8) + (alpha == 255).view(np.uint8), np.uint8)


def check_trimap(trimap: Pixels, name: str) -> None:
    """Raise ValueError, with `name` and the codes found, for codes other than 0, 1 and 2."""
    if trimap.size and trimap.max() > FOREGROUND:
        codes = np.unique(trimap).tolist()
        raise ValueError(f"{name}: trimap codes {codes}, expected only 0, 1, 2")


def pixels_sha256(pixels: Pixels) -> str:
    """sha256 of the shape and the values. It does not depend on how the pixels are stored."""
    digest = hashlib.sha256(repr(pixels.shape).encode())
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()


def encode_colour(pixels: Pixels, codec: ImageCodec, quality: int = 95) -> bytes:
    """H x W x 3 RGB -> JPEG (4:4:4: no colour is shared between pixels; in tiles) or PNG."""
    options = [cv2.IMWRITE_PNG_COMPRESSION, _PNG_LEVEL]
    if codec is ImageCodec.JPEG:
        options = [
            cv2.IMWRITE_JPEG_QUALITY,
            quality,
            cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
            cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
            cv2.IMWRITE_JPEG_RST_INTERVAL,
            jpeg.tile_blocks(pixels.shape[1]),
        ]
    bgr = _contiguous_bgr(pixels)
    return cv2.imencode(f".{codec.extension}", bgr, options)[1].tobytes()


def _contiguous_bgr(pixels: Pixels) -> Pixels:
    bgr = pixels[..., ::-1]  # a view if that is how the pixels lie in memory
    if bgr.flags.c_contiguous:
        return bgr
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), np.uint8)


def kept_blocks(pixels: Pixels, kept: NDArray[np.bool_]) -> Pixels:
    """H x W x 3, grey (128) but for some blocks of 8 x 8 pixels.

    kept: blocks down x across; a block at the border may be cut.
    """
    height, width = pixels.shape[:2]
    is_kept = kept.repeat(jpeg.BLOCK, axis=0).repeat(jpeg.BLOCK, axis=1)[:height, :width]
    return np.where(is_kept[..., None], pixels, np.uint8(NOT_KEPT))


def encode_layer(pixels: Pixels, kept: NDArray[np.bool_], codec: ImageCodec, quality: int) -> bytes:
    """The `kept_blocks` of H x W x 3 RGB -> JPEG or PNG.

    JPEG encodes each block separately, so that the border between the kept and the grey blocks
    causes no ringing.
    """
    if codec is ImageCodec.PNG:
        return encode_colour(kept_blocks(pixels, kept), codec)
    height, width = pixels.shape[:2]
    missing = (jpeg.BLOCK * kept.shape[0] - height, jpeg.BLOCK * kept.shape[1] - width)
    bgr = _contiguous_bgr(pixels)
    if any(missing):
        bgr = np.pad(bgr, ((0, missing[0]), (0, missing[1]), (0, 0)), "edge")
    return _encode_kept_tiles(bgr, kept, quality, height, width)


def _encode_kept_tiles(
    bgr: Pixels, kept: NDArray[np.bool_], quality: int, height: int, width: int
) -> bytes:
    """The same as encoding the whole layer, to the bit; grey tiles are encoded only once."""
    blocks, down = jpeg.tile_blocks(width), kept.shape[0]
    by_tile = kept.reshape(down, -1, blocks)
    is_used = by_tile.any(axis=2)
    across, used = is_used.shape[1], np.count_nonzero(is_used)
    # All tiles that are used, after a grey one; more grey ones fill the last row.
    rows = 1 + used // across
    tiles = np.full((rows * across, jpeg.BLOCK, blocks, 3 * jpeg.BLOCK), NOT_KEPT, np.uint8)
    tiles[1 : 1 + used] = bgr.reshape(down, jpeg.BLOCK, across, blocks, -1).swapaxes(1, 2)[is_used]
    tiles[1 : 1 + used].swapaxes(1, 2)[~by_tile[is_used]] = NOT_KEPT
    lines = tiles.reshape(rows, across, jpeg.BLOCK, -1).swapaxes(1, 2)
    picture = lines.reshape(rows * jpeg.BLOCK, -1, 3)
    data = encode_colour(picture[..., ::-1], ImageCodec.JPEG, quality)
    numbers = np.where(is_used, is_used.cumsum().reshape(is_used.shape), 0)
    return jpeg.rearranged(data, numbers, height, width)


def encode_alpha(alpha: Pixels) -> bytes:
    """H x W -> 8-bit grey PNG, lossless."""
    return png.write_grey(alpha)


def encode_cutout(cutout: Pixels) -> bytes:
    """H x W x 4, straight RGBA -> PNG, lossless."""
    buffer = io.BytesIO()
    Image.fromarray(cutout).save(buffer, "PNG", compress_level=_PNG_LEVEL)
    return buffer.getvalue()


def encode_trimap(trimap: Pixels) -> bytes:
    """H x W of the codes 0, 1, 2 -> 2-bit palette PNG, lossless."""
    check_trimap(trimap, "encode_trimap")
    return png.write_codes(trimap, _TRIMAP_PALETTE)


def decode_colour(data: bytes, max_pixels: int = STREAM_PIXELS) -> Pixels:
    """JPEG or PNG -> H x W x 3 RGB. Raises ValueError if the bytes are neither, or too large."""
    pixels = _decode(data, cv2.IMREAD_COLOR_RGB, max_pixels)
    if pixels is None:
        raise _not_colour(data)
    return np.asarray(pixels, np.uint8)


def check_colour(data: bytes, max_pixels: int = STREAM_PIXELS) -> tuple[int, int]:
    """The (height, width) of `decode_colour(data)`. Raises ValueError as it does.

    The whole file is read, but of a JPEG only one pixel in 64 is computed.
    """
    size = _size(data)
    if size is None or _decode(data, cv2.IMREAD_REDUCED_COLOR_8, max_pixels) is None:
        raise _not_colour(data)
    return size


def decode_colour_part(
    data: bytes, part: tuple[slice, slice], max_pixels: int = STREAM_PIXELS
) -> tuple[Pixels, tuple[int, int]]:
    """Some rows and columns of `decode_colour(data)`, and the (height, width) of the whole.

    part: slices with 0 <= start < stop. A JPEG in tiles is decoded no further than they need. What
    is wrong in the other tiles is not noticed then.
    """
    rows, columns = part
    size = _size(data)
    tiles = jpeg.part(data, rows, columns) if _has_size(data, max_pixels) else None
    if size is None or tiles is None:
        whole = decode_colour(data, max_pixels)
        return whole[part], (whole.shape[0], whole.shape[1])
    pixels, top, left = decode_colour(tiles.data, max_pixels), tiles.top, tiles.left
    inside = np.s_[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
    return pixels[inside], size


def decode_alpha(data: bytes, max_pixels: int = STREAM_PIXELS) -> Pixels:
    """8-bit grey PNG -> H x W. Raises ValueError for any other kind of image, or a larger one."""
    is_png = data.startswith(png.SIGNATURE)
    pixels: NDArray[np.generic] | None = None
    if is_png and _has_size(data, max_pixels):
        pixels = png.read_grey(data)
        if pixels is None:
            pixels = _decode(data, cv2.IMREAD_UNCHANGED, max_pixels)
    if pixels is None or pixels.dtype != np.uint8 or pixels.ndim != 2:
        raise ValueError(f"not an 8-bit grey PNG ({len(data)} bytes)")
    return np.asarray(pixels, np.uint8)


def decode_trimap(data: bytes, max_pixels: int = STREAM_PIXELS) -> Pixels:
    """2-bit palette PNG -> H x W of codes. Raises ValueError for other images or codes."""
    if not data.startswith(png.SIGNATURE) or not _has_size(data, max_pixels):
        raise ValueError(f"not a PNG image ({len(data)} bytes)")
    codes = png.read_codes(data)
    trimap = _palette_indices(data) if codes is None else codes
    check_trimap(trimap, "decode_trimap")
    return trimap


def _palette_indices(data: bytes) -> Pixels:
    """Any palette PNG -> H x W. Raises ValueError for other images."""
    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            if image.mode != "P":
                raise ValueError(f"a trimap is a palette PNG; this image has mode {image.mode}")
            return np.array(image, np.uint8)  # a copy: Pillow's own array is read-only
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"not a PNG image ({len(data)} bytes): {error}") from error


def _decode(data: bytes, flags: int, max_pixels: int) -> NDArray[np.generic] | None:
    if not _has_size(data, max_pixels):
        return None
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:  # a size that OpenCV refuses
        return None


def _has_size(data: bytes, max_pixels: int) -> bool:
    """Does the header of a PNG or JPEG state a size? Raises ValueError if it is too large."""
    size = _size(data)
    if size is None:
        return False
    height, width = size
    if height * width > max_pixels:
        raise ValueError(f"{height} x {width} px, at most {max_pixels} pixels are decoded")
    return True


def _size(data: bytes) -> tuple[int, int] | None:
    """(height, width) as the header of a PNG or JPEG says it; None if there is none."""
    return _png_size(data) if data.startswith(png.SIGNATURE) else jpeg.size(data)


def _not_colour(data: bytes) -> ValueError:
    return ValueError(f"not a JPEG or PNG image ({len(data)} bytes)")


def _png_size(data: bytes) -> tuple[int, int] | None:
    """(height, width); None if a chunk is incomplete or the first one is not the header."""
    start = png.header(data)
    return (start.height, start.width) if start is not None and png.is_whole(data) else None
