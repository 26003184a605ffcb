"""Pixels that can be used but were probably not meant like this: arrays -> warnings.

The thresholds were chosen so that they raise no false alarm on 279 real cut-outs and 1,476 real
photos. The comments say what was measured there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from manifests.containers import sniff_format
from manifests.pixels import Pixels

# In a real alpha that never reaches 255, the highest level covers at most 7 % of the subject. Where
# 255 was meant but scaled down, the highest level covers everything that is opaque.
TOP_SHARE = 0.25
LOW_TOP = 16  # 12 bits in a 16-bit file; real alphas reach at least 63, real colours 125
# Of 440 cut-outs with inverted alpha, 293 have so much opaque frame and so little opaque middle; as
# they are, one does, a forest around a hole of sky.
FRAME_SHARE, MIDDLE_SHARE = 0.6, 0.2
PREMULTIPLIED_PIXELS = 64  # needed as evidence; real premultiplied files have 1,950 or more
BLOCK = 8  # pixels, the side of a JPEG's blocks
BLOCK_RATIO = 1.2  # real alphas have at most 1.17
BLOCKS = 16  # fewer are no evidence; a mask enlarged by whole blocks has none

_GUESSES = {
    1: "a mask of 0 and 1, or 8-bit values in a 16-bit file",
    2: "trimap codes 0, 1 and 2",
    4: "10-bit values in a 16-bit file",
    LOW_TOP: "12-bit values in a 16-bit file",
    100: "percentages",
}


class Doubt(NamedTuple):
    """A warning: `kind` is a short fixed word, `reason` a text for people."""

    kind: str
    reason: str


def cutout_doubts(rgba: Pixels, lossy_format: str = "") -> list[Doubt]:
    """What is doubtful about a cut-out, H x W x 4 straight RGBA with some alpha above 0.

    lossy_format: if alpha is in a file of its own and that has a lossy format, its name. Kinds:
    'alpha-inverted', 'alpha-trimap', 'alpha-range', 'alpha-lossy', 'premultiplied', 'dark'.
    """
    found = alpha_doubts(np.ascontiguousarray(rgba[..., 3]), lossy_format)
    if is_premultiplied(rgba):
        reason = (
            "no colour is brighter than its alpha, so that the colours look premultiplied and soft "
            "pixels come out too dark; save it with straight colours"
        )
        found.append(Doubt("premultiplied", reason))
    return found + photo_doubts(rgba[..., :3])


def alpha_doubts(alpha: Pixels, lossy_format: str = "") -> list[Doubt]:
    """What is doubtful about an alpha, H x W: see `cutout_doubts`. Pure 0 is not doubted."""
    return [*_levels(alpha), *_lossy(alpha, lossy_format)] if alpha.any() else []


def lossy_format_of(head: bytes) -> str:
    """The format of an alpha file by its first 16 bytes if it is lossy, else "".

    (A lossy WebP is refused: it is not grey.)
    """
    found = sniff_format(head)
    return found if found in {"JPEG", "AVIF"} else ""


def photo_doubts(colour: Pixels) -> list[Doubt]:
    """What is doubtful about colours, H x W x 3: 'dark'."""
    if colour[::BLOCK, ::BLOCK].max() > LOW_TOP:  # true for nearly all photos, and quickly known
        return []
    top = int(colour.max())
    if not 0 < top <= LOW_TOP:  # pure black may be meant
        return []
    reason = f"its brightest level is {top} of 255; it looks like values of few bits in a file for "
    return [Doubt("dark", reason + "more; scale them to the whole range")]


def _levels(alpha: Pixels) -> Iterator[Doubt]:
    if _is_inverted(alpha):
        reason = "alpha is opaque at the frame, clear in the middle; it looks inverted: invert it"
        yield Doubt("alpha-inverted", reason)
        return
    if _only(alpha[::BLOCK, ::BLOCK]) and _only(alpha) and (alpha == 128).any():
        reason = "alpha has only the levels 0, 128 and 255; it looks like a trimap: give the alpha"
        yield Doubt("alpha-trimap", reason)
        return
    low, top = int(alpha.min()), int(alpha.max())
    effects = []
    if low > 0:
        effects.append("nothing is background")
    if top < 255:
        share = np.count_nonzero(alpha == top) / np.count_nonzero(alpha)
        if top <= LOW_TOP or share >= TOP_SHARE:
            effects.append(f"nothing is foreground ({share:.0%} of the subject is {top})")
    if effects:
        reason = f"alpha goes from {low} to {top}, not from 0 to 255: {' and '.join(effects)}; "
        guess = _GUESSES.get(top, "" if (low, top) != (16, 235) else "video levels")
        reason += f"it looks like {guess}; " if guess else ""
        yield Doubt("alpha-range", f"{reason}scale it to 0 to 255")


def _is_inverted(alpha: Pixels) -> bool:
    frame = np.concatenate([alpha[0], alpha[-1], alpha[:, 0], alpha[:, -1]]) == 255
    down, across = (side // 3 for side in alpha.shape)
    middle = alpha[down : alpha.shape[0] - down, across : alpha.shape[1] - across] == 255
    return bool(frame.mean() >= FRAME_SHARE and middle.mean() <= MIDDLE_SHARE * frame.mean())


def _only(alpha: Pixels) -> bool:
    """Does it have only the levels of a trimap?"""
    return bool(((alpha == 0) | (alpha == 128) | (alpha == 255)).all())


def _lossy(alpha: Pixels, lossy_format: str) -> Iterator[Doubt]:
    advice = "compression leaves false soft pixels around the subject; use a lossless original"
    if lossy_format:
        yield Doubt("alpha-lossy", f"alpha is a {lossy_format} file, whose {advice}")
    elif was_jpeg(alpha):
        yield Doubt("alpha-lossy", f"alpha looks as if it had been a JPEG, whose {advice}")


def is_premultiplied(rgba: Pixels) -> bool:
    """Do the colours, H x W x 4 RGBA, look multiplied by alpha already?

    If they are, no colour is above its alpha. The evidence is in the soft pixels whose alpha is
    lower than the usual brightness of the subject: straight colours would be above alpha there.
    """
    for part in (rgba[::BLOCK, ::BLOCK], rgba):  # a few pixels suffice for nearly all cut-outs
        if (part[..., :3].max(axis=2) > part[..., 3]).any():
            return False
    alpha, brightest = rgba[..., 3], rgba[..., :3].max(axis=2)
    usual = np.median(brightest[alpha >= 0.9 * alpha.max()])
    is_evidence = (alpha > 0) & (alpha < min(usual, 255))
    return int(np.count_nonzero(is_evidence)) >= PREMULTIPLIED_PIXELS


def was_jpeg(alpha: Pixels) -> bool:
    """Do the soft pixels of an alpha, H x W, keep to a JPEG's blocks?

    A JPEG spreads noise over the whole of each block that an edge crosses, and no further. So
    fewer blocks of its own grid have soft pixels than blocks of a shifted grid. This finds most
    JPEGs of subjects that have an outline, but not those of subjects that are soft everywhere.
    """
    half = BLOCK // 2
    height, width = ((side - half) // BLOCK * BLOCK for side in alpha.shape)
    if not height or not width:
        return False
    aligned = _soft_blocks(alpha[:height, :width])
    shifted = _soft_blocks(alpha[half : half + height, half : half + width])
    by_chance = 3 * (aligned + shifted) ** 0.5
    if aligned < BLOCKS:
        return False
    return shifted > BLOCK_RATIO * aligned and shifted - aligned > by_chance


def _soft_blocks(alpha: Pixels) -> int:
    """How many blocks have soft pixels and more than one level; the sides are whole blocks."""
    height, width = alpha.shape
    wrapped = alpha - np.uint8(1)  # 0 becomes 255, so that the soft levels are those below 254
    rows = wrapped.reshape(height // BLOCK, BLOCK, width)
    shape = (height // BLOCK, width // BLOCK, BLOCK)
    lowest = rows.min(axis=1).reshape(shape).min(axis=2)
    highest = rows.max(axis=1).reshape(shape).max(axis=2)
    return int(np.count_nonzero((lowest < 254) & (lowest != highest)))
