"""What is composited: foregrounds (cut-outs with a soft alpha) and backgrounds (photos)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from manifests.documents import parse_json

NOT_STATED = "not stated"  # the licence of a source whose labels name none


class Subject(StrEnum):
    HUMAN = "human"
    NON_HUMAN = "non-human"
    UNLABELLED = "unlabelled"


class Transparency(StrEnum):
    """How much of the subject lets the background through: alphamatting.com's four classes."""

    HIGHLY = "Highly"
    STRONGLY = "Strongly"
    MEDIUM = "Medium"
    LITTLE = "Little"


class Split(StrEnum):
    """A property of the source, never of the composite: a source is in one split only."""

    TRAIN = "train"
    VAL = "val"


@dataclass(frozen=True)
class Box:
    """A rectangle of pixels."""

    top: int
    left: int
    height: int
    width: int


@dataclass(frozen=True)
class Foreground:
    """One cut-out as scanned: RGBA in one file, or an RGB file and an alpha file.

    `id` is the file's path below its folder, with '/' between the parts; `sha256` is that of the
    file's bytes (followed by the alpha file's, if any). `pixels_sha256` is that of the decoded
    pixels, by which the same picture under two names is found. Sizes are those of the
    decoded, upright image; `box` is the smallest one that holds every pixel with alpha > 0.
    """

    id: str
    sha256: str
    pixels_sha256: str
    height: int
    width: int
    box: Box
    subject: Subject
    transparency: Transparency
    transparency_measured: bool  # True: by datagen's rule from alpha; False: from the labels
    soft_share: float  # share of the pixels with 0 < alpha < 255
    split: Split
    labels: str  # the other columns of the label file, as a JSON object
    alpha_id: str = ""  # the alpha file's path below its folder; "" if alpha is in the file itself


@dataclass(frozen=True)
class Background:
    """One photo as scanned; its fields have the same meaning as in `Foreground`."""

    id: str
    sha256: str
    pixels_sha256: str
    height: int
    width: int
    split: Split
    labels: str


def licence_of(source: Foreground | Background) -> str:
    """What the label file says in its column "licence" (or "license", in any case).

    NOT_STATED if the cell is empty, or if there is no such column.
    """
    try:
        labels = parse_json(source.labels.encode())
    except ValueError:
        return NOT_STATED
    cells = labels.items() if isinstance(labels, dict) else ()
    found = [text for name, text in cells if name.casefold() in ("licence", "license")]
    return next((text for text in found if text and isinstance(text, str)), NOT_STATED)


def count_licences(sources: Iterable[Foreground | Background]) -> dict[str, int]:
    """The number of sources under each licence, the most frequent one first."""
    counts = Counter(map(licence_of, sources))
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
