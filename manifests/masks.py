"""Masks of segmentation networks, in the forms in which these write them.

A mask is a grey picture (0 and 1, 0 and 255, or probabilities from 0 to 255), or a run-length
encoding as COCO and Segment Anything write it, in a JSON file.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from manifests.decoding import MAX_PIXELS
from manifests.documents import parse_json
from manifests.pictures import PictureError, is_picture, read_alpha, read_file
from manifests.pixels import Pixels


def is_mask(path: Path) -> bool:
    """Whether a file may be a mask, by its name or the beginning of its content."""
    return path.suffix.lower() == ".json" or is_picture(path)


def read_mask(path: Path) -> Pixels:
    """H x W uint8 of 0 and 1. Raises PictureError that names the file."""
    if path.suffix.lower() == ".json":
        content = read_file(path)
        try:
            return _of_json(parse_json(content))
        except (ValueError, TypeError, LookupError) as error:
            reason = f"no {error}" if isinstance(error, LookupError) else str(error)
            reason = f"is not a mask in run-length encoding: {reason}"
            raise PictureError("mask", reason, str(path)) from error
    levels = read_alpha(path)
    most = int(levels.max())
    if 1 < most < 128:
        reason = (
            f"has levels from 0 to {most}; if these are classes, save a mask of 0 and 255 "
            "for the one that is wanted"
        )
        raise PictureError("mask", reason, str(path))
    return (levels > 127 * (most > 1)).astype(np.uint8)


def _of_json(found: Any) -> Pixels:
    """One mask; in COCO's and Segment Anything's files it is inside an annotation."""
    if isinstance(found, dict) and "annotations" in found:
        found = found["annotations"]
    if isinstance(found, list):
        if len(found) != 1:
            raise ValueError(f"it holds {len(found)} masks; keep the one that is wanted")
        found = found[0]
    if isinstance(found, dict) and "segmentation" in found:
        found = found["segmentation"]
    if not isinstance(found, dict):
        raise ValueError(f"{json.dumps(found)[:80]} where size and counts are expected")
    height, width = (_whole(side) for side in found["size"])
    counts = found["counts"]
    runs = _runs(counts) if isinstance(counts, str) else [_whole(count) for count in counts]
    return decode_runs(runs, height, width)


def decode_runs(runs: Sequence[int], height: int, width: int) -> Pixels:
    """Lengths of runs of 0 and 1 in turn, down the columns -> H x W of 0 and 1."""
    if not (height > 0 and width > 0 and height * width <= MAX_PIXELS):
        raise ValueError(f"size {height} x {width}")
    if min(runs, default=0) < 0 or sum(runs) != height * width:
        raise ValueError(f"runs of {sum(runs)} pixels for {height} x {width}")
    values = np.arange(len(runs)) % 2
    mask: Pixels = np.repeat(values.astype(np.uint8), runs).reshape(width, height).T.copy()
    return mask


def _runs(text: str) -> list[int]:
    """COCO's text: groups of five bits, the lowest first; from the fourth number on each is the
    difference from the last but one."""
    runs: list[int] = []
    value, shift = 0, 0
    for letter in text.encode("ascii"):
        bits = letter - 48
        if not 0 <= bits < 64 or shift > 40:
            raise ValueError(f"{chr(letter)!r} in counts")
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            value -= (bits & 16) << (shift - 4)  # the sign
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value, shift = 0, 0
    if shift:
        raise ValueError("counts end inside a number")
    return runs


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{value!r} is not a whole number")
    return value
