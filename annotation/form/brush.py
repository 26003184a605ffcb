"""Label Studio's brush strokes <-> alpha.

A brush region is thi.ng's rle-pack of a picture's RGBA bytes: 32 bits with the number of values, 5
with the bits of a value less one, four times 4 with the bits of a length less one; then tokens of 1
bit (run or literal), 2 bits (which kind of length), the length less one, and one value (run) or as
many as the length says (literal). Alpha is channel 3 as it is read, and all four as it is written:
the browser's encoder may lose the last value of a run whose length is not a multiple of four.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from manifests.pixels import Pixels

Integers = NDArray[np.int64]

_HEADER, _WORD, _SIZES = 53, 8, np.array([3, 4, 8, 16])  # bits
_TOKENS = 1 << 18  # encoded at a time, and
_BYTES = 1 << 17  # decoded at a time: what keeps the memory of a 4K picture low


def encode_brush(alpha: Pixels) -> list[int]:
    """H x W, 0..255 -> the bytes of a brush region, those that the SDK's `mask2rle` gives."""
    flat = np.ascontiguousarray(alpha).reshape(-1)
    if alpha.dtype != np.uint8 or alpha.ndim != 2 or not flat.size:
        raise ValueError(f"alpha is {alpha.dtype} {alpha.shape}, expected uint8 H x W")
    ends = np.append(np.flatnonzero(flat[1:] != flat[:-1]).astype(np.int32), flat.size - 1)
    packed = np.zeros(16 + 27 * (len(ends) + (flat.size >> 14)) // 8, np.uint8)
    head = 4 * flat.size << 24 | (_WORD - 1) << 19 | 0x237F << 3  # 0x237F: the sizes less one
    packed[:7] = list(head.to_bytes(7, "big"))
    position, begin = _HEADER, np.int32(-1)
    for first in range(0, len(ends), _TOKENS):
        some = ends[first : first + _TOKENS]
        lengths = 4 * np.diff(some, prepend=begin).astype(np.int64)
        position, begin = _pack(packed, position, lengths, flat[some]), some[-1]
    found: list[int] = packed[: position // 8 + 1].tolist()  # one bit of padding or more
    return found


def _pack(packed: Pixels, position: int, lengths: Integers, values: Pixels) -> int:
    """Writes runs at a bit position; returns the position after them."""
    kind = np.searchsorted([8, 16, 256], lengths)
    more = (lengths - 1) >> 16  # runs of 65536 before the rest of a longer one
    if more.any():
        run, last = np.repeat(np.arange(len(lengths)), more + 1), np.cumsum(more + 1) - 1
        rest, lengths = lengths - (more << 16), np.full(len(run), 1 << 16)
        lengths[last], values, kind = rest, values[run], kind[run]
    bits = 3 + _SIZES[kind] + _WORD
    ends = position + np.cumsum(bits)
    first = (ends - bits) >> 3
    token = (4 | kind) << (bits - 3) | (lengths - 1) << _WORD | values
    token <<= 40 - (ends - bits & 7) - bits  # at most 27 bits after at most 7: five bytes
    for number in range(5):
        # Tokens have 14 bits or more, so that no two begin in the same byte.
        packed[first + number] |= (token >> (32 - 8 * number) & 255).astype(np.uint8)
    return int(ends[-1])


def decode_brush(rle: Sequence[int] | Pixels, height: int, width: int) -> Pixels:
    """The bytes of a brush region -> H x W alpha. Raises ValueError if they are malformed."""
    data, count = _bytes_of(rle), 4 * height * width
    bits = 8 * len(data) - _HEADER
    if bits < 0 or count <= 0:
        raise ValueError(f"{len(data)} bytes for {height} x {width} pixels are not a brush region")
    head = int.from_bytes(data[:7], "big") >> 3
    word, sizes = (head >> 16 & 31) + 1, [(head >> shift & 15) + 1 for shift in (12, 8, 4, 0)]
    if head >> 21 != count or word > 8:
        found = f"{head >> 21} values of {word} bits"
        raise ValueError(f"it holds {found}, {height} x {width} RGBA pixels are {count} of 8")
    if count > max(bits // word, *((bits << size) // (3 + size + word) for size in sizes)):
        raise ValueError(f"{len(data)} bytes cannot hold {count} values: it was cut short")
    return _unpack(data, count, word, np.array(sizes))[3::4].reshape(height, width).copy()


def _bytes_of(rle: object) -> bytes:
    try:
        if isinstance(rle, np.ndarray) and rle.dtype == np.uint8 and rle.ndim == 1:
            return rle.tobytes()
        if isinstance(rle, list | tuple | bytes):
            return bytes(rle)
        raise TypeError(f"it is {type(rle).__name__}")
    except (TypeError, ValueError) as error:
        raise ValueError(f"a brush region is a list of bytes: {error}") from error


def _unpack(data: bytes, count: int, word: int, sizes: Integers) -> Pixels:
    """The `count` values of a stream."""
    padded, end = np.frombuffer(data + bytes(8), np.uint8), 8 * len(data)
    # From a run to the next token, by ten bits of data (a byte and what may follow it) and the
    # position in that byte; 0 for a literal, whose step depends on its length.
    top = np.arange(1024)[:, None] >> np.arange(7, -1, -1) & 7
    table = np.where(top > 3, 3 + sizes[top & 3] + word, 0).astype(np.uint8)
    values, filled, position = np.empty(count, np.uint8), 0, _HEADER
    while filled < count:
        if position >= end:
            raise ValueError(f"it ends after {filled} of {count} values")
        first, stop = position >> 3, min((position >> 3) + _BYTES, len(data))
        ten = padded[first:stop].astype(np.uint16) << 2 | padded[first + 1 : stop + 1] >> 6
        at, position = _tokens(data, table[ten].tobytes(), position, word, sizes.tolist())
        head = _read(padded, at, 3)
        lengths = _read(padded, at + 3, sizes[head & 3]) + 1
        at += 3 + sizes[head & 3]
        if head.min() < 4:  # literals become runs of one
            many = np.where(head > 3, 1, lengths)
            token, last = np.repeat(np.arange(len(at)), many), np.cumsum(many)
            at = at[token] + (np.arange(len(token)) - (last - many)[token]) * word
            lengths = np.where(head > 3, lengths, 1)[token]
        total = filled + np.cumsum(lengths)
        needed = int(np.searchsorted(total, count)) + 1  # what follows is padding
        at, lengths, total = at[:needed], lengths[:needed], total[:needed]
        if at[-1] + word > end:
            raise ValueError(f"it ends before value {total[-1]} of {count}")
        if total[-1] > count:
            raise ValueError(f"its last run goes {total[-1] - count} values past {count}")
        runs = _read(padded, at, word).astype(np.uint8)
        values[filled : total[-1]] = np.repeat(runs, lengths)
        filled = int(total[-1])
    return values


def _tokens(
    data: bytes, steps: bytes, position: int, word: int, sizes: list[int]
) -> tuple[Integers, int]:
    """(bit positions of the tokens that begin within `steps`, the position after them)."""
    at, base, found = position & 7, position & ~7, list[int]()
    take, stop = found.append, len(steps)
    while at < stop:
        take(at)
        step = steps[at]
        if not step:
            byte = (base + at) >> 3
            head = int.from_bytes(data[byte : byte + 4].ljust(4, b"\0"), "big") << (at & 7)
            size = sizes[head >> 29 & 3]
            step = 3 + size + ((head >> (29 - size) & ((1 << size) - 1)) + 1) * word
        at += step
    return np.array(found) + base, base + at


def _read(padded: Pixels, at: Integers, size: Integers | int) -> Integers:
    """The integers of `size` bits (at most 17) at bit positions."""
    byte = at >> 3
    window = padded[byte].astype(np.int64) << 16 | padded[byte + 1].astype(np.int64) << 8
    found: Integers = (window | padded[byte + 2]) >> (24 - (at & 7) - size) & ((1 << size) - 1)
    return found
