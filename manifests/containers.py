"""Is a picture's file whole? The checks of its container that the decoders leave out.

Pillow accepts a PNG with a wrong checksum in its image data or with rows missing at the end, and
a JPEG without its end marker. Such a file is damaged, so it is refused here.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable, Iterator

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_PNG_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
# Adam7: the first row and column of each pass, and the steps down and across.
_PNG_PASSES = (
    (0, 0, 8, 8),
    (0, 4, 8, 8),
    (4, 0, 8, 4),
    (0, 2, 4, 4),
    (2, 0, 4, 2),
    (0, 1, 2, 2),
    (1, 0, 2, 1),
)
# In entropy-coded data 0xFF is followed by 0 (a plain 0xFF), a restart marker or another 0xFF.
_JPEG_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)
_INFLATE_STEP = 1 << 20


class PictureError(ValueError):
    """A file that cannot be used as a picture.

    `kind` is a short fixed word for machines. `reason` says for people what was found and what to
    do about it; the file is its subject ("has 0 bytes; ..."). `file` is the file's name where one
    is known, otherwise "". As text it is the file and the reason.
    """

    def __init__(self, kind: str, reason: str, file: str = "") -> None:
        super().__init__(kind, reason, file)
        self.kind = kind
        self.reason = reason
        self.file = file

    def __str__(self) -> str:
        return f"{self.file}: {self.reason}" if self.file else self.reason


def _truncated(what: str) -> PictureError:
    return PictureError("truncated", f"{what}; it was cut short, so copy or export it again")


def _corrupt(what: str) -> PictureError:
    return PictureError("corrupt", f"{what}; it is damaged, so copy or export it again")


def sniff_format(data: bytes) -> str | None:
    """The format that the first bytes announce, by the name that Pillow gives it, or None."""
    if data[:8] == PNG_SIGNATURE:
        return "PNG"
    if data[:3] == b"\xff\xd8\xff":
        return "JPEG"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[4:12] in (b"ftypavif", b"ftypavis"):
        return "AVIF"
    if re.match(rb"P[1-6]\s", data):
        return "PPM"
    openings = {b"GIF8": "GIF", b"II*\0": "TIFF", b"MM\0*": "TIFF", b"BM": "BMP"}
    return next((name for opening, name in openings.items() if data.startswith(opening)), None)


def check_whole(data: bytes) -> None:
    """Raises PictureError ('truncated' or 'corrupt') if the container shows that the file is not
    whole. PPM and AVIF are not checked here: their decoders notice."""
    checks: dict[str, Callable[[bytes], None]] = {
        "PNG": _check_png,
        "JPEG": _check_jpeg,
        "WEBP": _check_riff,
        "GIF": _check_gif,
        "BMP": _check_bmp,
        "TIFF": _check_tiff,
    }
    check = checks.get(sniff_format(data) or "")
    if check is not None:
        check(data)


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(type, payload) of each chunk up to IEND, every checksum verified."""
    view = memoryview(data)
    at = len(PNG_SIGNATURE)
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        name = data[at + 4 : at + 8]
        if not name.isalpha():
            raise _corrupt(f"has a PNG chunk of the type {name!r} at byte {at}")
        end = at + 8 + length
        if end + 4 > len(data):
            break
        (stored,) = struct.unpack_from(">I", data, end)
        found = zlib.crc32(view[at + 4 : end])
        if stored != found:
            raise _corrupt(
                f"has a PNG chunk {name.decode('ascii')} at byte {at} with the checksum "
                f"{stored:08x}, but its bytes give {found:08x}"
            )
        yield name, data[at + 8 : end]
        if name == b"IEND":
            return
        at = end + 4
    raise _truncated(f"ends after {len(data)} bytes, within a PNG chunk or before IEND")


def png_colour_code(data: bytes) -> bytes | None:
    """The cICP chunk of a whole PNG, which Pillow does not read; None of any other file."""
    if sniff_format(data[:16]) != "PNG":
        return None
    at = len(PNG_SIGNATURE)
    while (name := data[at + 4 : at + 8]) not in {b"IDAT", b"IEND"}:
        (length,) = struct.unpack_from(">I", data, at)
        if name == b"cICP":
            return data[at + 8 : at + 8 + length]
        at += 12 + length
    return None


def has_late_metadata(data: bytes) -> bool:
    """Has a PNG EXIF data or texts after its pixels, where Pillow finds them only by decoding?"""
    names = [name for name, _ in _png_chunks(data)]
    late = names[names.index(b"IDAT") :] if b"IDAT" in names else []
    return not {b"eXIf", b"tEXt", b"zTXt", b"iTXt"}.isdisjoint(late)


def _check_png(data: bytes) -> None:
    header: tuple[int, ...] | None = None
    inflated, pixels = 0, zlib.decompressobj()
    expected = 0
    try:
        for name, payload in _png_chunks(data):
            if name == b"IHDR" and len(payload) == 13:
                header = struct.unpack(">IIBBBBB", payload)
                expected = _png_inflated_size(header)
            elif name == b"IDAT" and inflated < expected:
                inflated += _inflated(pixels, payload, expected - inflated)
    except zlib.error as error:
        raise _corrupt(f"has PNG image data that cannot be inflated ({error})") from error
    if header is None:
        raise _corrupt("has no PNG header (IHDR)")
    if inflated < expected:
        raise _truncated(f"holds {inflated} of {expected} bytes of PNG pixels")


def _inflated(inflater: zlib._Decompress, payload: bytes, wanted: int) -> int:
    """How many bytes `payload` inflates to. Stops at `wanted`, so that a bomb costs nothing."""
    total = 0
    while payload and total < wanted and not inflater.eof:
        total += len(inflater.decompress(payload, _INFLATE_STEP))
        payload = inflater.unconsumed_tail
    while total < wanted and not inflater.eof:
        step = len(inflater.decompress(b"", _INFLATE_STEP))
        if step == 0:
            break
        total += step
    return total


def _png_inflated_size(header: tuple[int, ...]) -> int:
    """Bytes of filtered rows that a PNG with this header holds (PNG specification, section 8)."""
    width, height, depth, colour, _, _, interlaced = header
    if depth not in _PNG_DEPTHS.get(colour, ()) or not width or not height:
        raise _corrupt(f"has a PNG header of {height} x {width} px, {depth} bits, type {colour}")
    bits = depth * _PNG_CHANNELS[colour]
    total = 0
    for top, left, down, across in _PNG_PASSES if interlaced else ((0, 0, 1, 1),):
        rows = (height - top + down - 1) // down
        columns = (width - left + across - 1) // across
        if rows > 0 and columns > 0:
            total += rows * (1 + (columns * bits + 7) // 8)
    return total


def _check_jpeg(data: bytes) -> None:
    """Walks the markers to the end marker. What follows it (a second picture, the video of some
    phones) does not matter."""
    at = 2
    while True:
        while data[at + 1 : at + 2] == b"\xff":  # fill bytes
            at += 1
        if len(data) < at + 2:
            raise _truncated(f"ends after {len(data)} bytes without the end marker of a JPEG")
        if data[at] != 0xFF:
            raise _corrupt(f"has no JPEG marker at byte {at}")
        marker = data[at + 1]
        if marker == 0xD9:
            return
        if marker == 0x01 or 0xD0 <= marker <= 0xD8:  # markers without a length
            at += 2
            continue
        if len(data) < at + 4:
            raise _truncated(f"ends after {len(data)} bytes, within a JPEG marker")
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == 0xDA:
            following = _JPEG_MARKER.search(data, at)
            if following is None:
                raise _truncated(f"ends after {len(data)} bytes without the end marker of a JPEG")
            at = following.start()


def _check_riff(data: bytes) -> None:
    announced = int.from_bytes(data[4:8], "little") + 8
    if len(data) < announced:
        raise _truncated(f"has {len(data)} of the {announced} bytes that its WebP header announces")


def _check_bmp(data: bytes) -> None:
    announced = int.from_bytes(data[2:6], "little")
    if len(data) < announced:
        raise _truncated(f"has {len(data)} of the {announced} bytes that its BMP header announces")


def _check_tiff(data: bytes) -> None:
    directory = int.from_bytes(data[4:8], "little" if data[:1] == b"I" else "big")
    if len(data) < directory + 2:
        raise _truncated(f"ends after {len(data)} bytes, its TIFF directory begins at {directory}")


def _check_gif(data: bytes) -> None:
    """Walks the blocks to the trailer (GIF 89a specification)."""
    at = 13 + _gif_palette(data[10:11])
    while at < len(data):
        if data[at] == 0x3B:
            return
        if data[at] == 0x2C:
            at += 10 + _gif_palette(data[at + 9 : at + 10]) + 1
        elif data[at] == 0x21:
            at += 2
        else:
            raise _corrupt(f"has an unknown GIF block {data[at]:#04x} at byte {at}")
        while at < len(data) and data[at] != 0:
            at += 1 + data[at]
        at += 1
    raise _truncated(f"ends after {len(data)} bytes without the trailer of a GIF")


def _gif_palette(flags: bytes) -> int:
    return 3 << ((flags[0] & 7) + 1) if flags and flags[0] & 0x80 else 0
