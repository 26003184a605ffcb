"""Decoding takes no more memory than is stated, and what would take more is refused before it."""

from __future__ import annotations

import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from manifests.decoding import BYTES_PER_PIXEL, WIDE_BYTES_PER_PIXEL
from manifests.pictures import PictureError, read_alpha, read_header, read_photo
from tests.picture_files import chunk, exif, png, png16, save, tiff16

HEIGHT, WIDTH = 4000, 6000
CONSTANT = 100_000_000

# Prints by how many bytes the reader raised the process's peak beyond what it held before.
PROGRAM = """
import sys
from pathlib import Path
from PIL import Image
from manifests import pictures

def status(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(name))

read = getattr(pictures, sys.argv[1])
read(Path(sys.argv[2]))  # libraries load what they need
before = status("VmRSS:")
read(Path(sys.argv[3]))
print(status("VmHWM:") - before)
"""


def flat(mode: str, size: tuple[int, int]) -> Image.Image:
    return Image.new(mode, size[::-1], (90, 90, 90, 90))


def jpeg(size: tuple[int, int]) -> bytes:
    image = flat("CMYK", size)
    return save(image, "JPEG", progressive=True, subsampling=0, quality=95)


def turned(size: tuple[int, int]) -> bytes:
    return save(flat("RGBA", size), compress_level=1, exif=exif(6))


def deep(size: tuple[int, int]) -> bytes:
    return png16(np.full((*size, 4), 30_000, np.uint16), 6)


def deep_tiff(size: tuple[int, int]) -> bytes:
    return tiff16(np.full((*size, 4), 30_000, np.uint16), extra=2)


def webp(size: tuple[int, int]) -> bytes:
    return save(flat("RGBA", size), "WEBP", lossless=True, method=0, quality=0)


def avif(size: tuple[int, int]) -> bytes:
    return save(flat("RGBA", size), "AVIF", speed=10, subsampling="4:4:4")


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="there is no /proc here")
@pytest.mark.parametrize(
    ("make", "read", "per_pixel"),
    [
        (jpeg, "read_photo", BYTES_PER_PIXEL),
        (turned, "read_cutout", BYTES_PER_PIXEL),
        (deep, "read_cutout", WIDE_BYTES_PER_PIXEL),
        (deep_tiff, "read_cutout", WIDE_BYTES_PER_PIXEL),
        (webp, "read_cutout", WIDE_BYTES_PER_PIXEL),
        (avif, "read_cutout", WIDE_BYTES_PER_PIXEL),
    ],
    ids=["jpeg", "turned", "deep", "deep_tiff", "webp", "avif"],
)
def test_decoding_keeps_its_bound(
    make: Callable[[tuple[int, int]], bytes], read: str, per_pixel: int, tmp_path: Path
) -> None:
    small, large = tmp_path / "small", tmp_path / "large"
    small.write_bytes(make((40, 60)))
    large.write_bytes(make((HEIGHT, WIDTH)))
    command = [sys.executable, "-c", PROGRAM, read, str(small), str(large)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    taken = int(ran.stdout) - large.stat().st_size
    assert taken < per_pixel * HEIGHT * WIDTH + CONSTANT


def vp8l(side: int) -> bytes:
    """A small lossless WebP whose header says that it is side x side."""
    data = bytearray(save(Image.new("RGB", (16, 16)), "WEBP", lossless=True))
    at = data.index(b"VP8L") + 9
    (bits,) = struct.unpack_from("<I", data, at)
    struct.pack_into("<I", data, at, bits >> 28 << 28 | (side - 1) << 14 | (side - 1))
    return bytes(data)


def tiled(side: int) -> bytes:
    """A TIFF of 16 x 16 pixels, the one tile of which is said to be side x side."""
    tags = [(256, 16), (257, 16), (258, 8), (259, 1), (262, 1), (277, 1)]
    tags += [(322, side), (323, side), (324, 8), (325, 256)]
    directory = struct.pack("<H", len(tags))
    directory += b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return struct.pack("<2sHI", b"II", 42, 264) + bytes(256) + directory + bytes(4)


@pytest.mark.parametrize(
    "data",
    [
        png((13_350, 13_350), 8, 0, b""),
        png((9_500, 9_500), 16, 2, b""),
        vp8l(9_500),
        vp8l(16_000),
        tiled(20_000),
    ],
    ids=["png", "deep", "webp", "large webp", "tile"],
)
def test_too_much_is_refused_in_the_header(data: bytes) -> None:
    for read in (read_photo, read_header):
        with pytest.raises(PictureError) as caught:
            read(data)
        assert caught.value.kind == "too-large"


def test_grey_of_16_bits_may_be_as_large_as_any() -> None:
    assert read_header(png((9_500, 9_500), 16, 0, b"")).height == 9_500


@pytest.mark.parametrize("late", [False, True])
def test_a_header_costs_no_decoding_but_for_late_metadata(late: bool) -> None:
    """A PNG's orientation may come after its pixels; then, and only then, they are decoded."""
    block = chunk(b"eXIf", exif(6).tobytes()[6:])
    data = png((2, 3), 8, 0, b"\0\1\2\3\0\4\5\6")
    end = data.index(b"IEND") - 4 if late else data.index(b"IDAT") - 4
    turned_data = data[:end] + block + data[end:]
    header = read_header(turned_data)
    assert (header.height, header.width, header.is_upright) == (3, 2, False)
    assert read_alpha(turned_data).tolist() == [[4, 1], [5, 2], [6, 3]]
    missing = png((2, 3), 8, 0, b"")
    assert read_header(missing).is_upright
