"""A sample: one composite with its streams, and the row that records how it was made.

The row holds the whole recipe: with it and the two sources a sample is rebuilt byte for byte.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from manifests.pixels import (
    ImageCodec,
    Pixels,
    decode_alpha,
    decode_colour,
    decode_colour_part,
    decode_trimap,
)
from manifests.sources import Split, Subject, Transparency


@dataclass(frozen=True)
class Colour:
    """A linear colour jitter; 1, 1, 1, 0 leaves colours as they are."""

    brightness: float  # factor on every channel
    contrast: float  # factor on the distance from mid grey
    saturation: float  # factor on the distance from the pixel's own grey
    hue: float  # turn of the chrominance plane, degrees


@dataclass(frozen=True)
class Placement:
    """Where a foreground is placed on the canvas: flipped, then scaled, rotated and moved.

    The centre of the subject's box in the source goes to (`centre_y`, `centre_x`) on the canvas,
    in pixels from its top left corner. A foreground id of "" means: no foreground.
    """

    foreground_id: str
    flip: bool  # mirrored left to right
    fit: float  # factor <= 1 that makes the subject's box fit the canvas
    scale: float  # factor <= 1 drawn on top of it
    rotation: float  # degrees, counter-clockwise as seen
    centre_y: float
    centre_x: float


@dataclass(frozen=True)
class Crop:
    """Which part of the background fills the canvas."""

    scale: float  # factor from the source to the working copy; above 1 if it was enlarged
    top: int  # of the crop, in pixels of the working copy
    left: int
    flip: bool


class Piece(NamedTuple):
    """A piece of the picture that the network gets wrong as a whole; stored as a list of numbers.

    share: its area over the subject's; 0: there is no such piece.
    place: where on the subject's edge it grows from, 0..1 of the edge's cells in reading order.
    away: how far from there its centre is, over the subject's size.
    angle: of its long axis, radians; the centre moves away along it.
    length: its long axis over its short one.
    ragged: how much noise disturbs its outline; at 1 the reach of a direction varies by half.
    """

    share: float
    place: float
    away: float
    angle: float
    length: float
    ragged: float


@dataclass(frozen=True)
class CrudeRecipe:
    """Every random choice for one crude trimap, already drawn. Lengths over the subject's size.

    stride: side of a cell in pixels for a subject of size 640.
    soft: share of the subject's own peak alpha above which soft alpha counts as subject.
    blur: standard deviation of the smoothing, in cells.
    shift: (down, right).
    warp: largest local displacement.
    level: what is added to the opinion (0..255, threshold 128): above 0 the mask swells.
    noise: largest local change of the opinion, in the same levels.
    noise_seed: seed of the fields behind `warp`, `noise` and the outlines of the pieces.
    hole_share: holes up to this share of the subject's area are filled.
    lost, swallowed: a piece of the subject that the mask misses, and a piece of the background
        that it includes.
    inner, outer: width of the unknown band inside and outside the mask's edge, over the square
        root of the mask's area.
    """

    stride: float
    soft: float
    blur: float
    shift: tuple[float, float]
    warp: float
    level: float
    noise: float
    noise_seed: int
    hole_share: float
    lost: Piece
    swallowed: Piece
    inner: float
    outer: float


@dataclass(frozen=True)
class Recipe:
    """Every random choice for one sample, already drawn."""

    foreground: Placement
    second: Placement  # a foreground behind the first, if its id is not ""
    foreground_colour: Colour
    background: Crop
    background_colour: Colour
    crude: CrudeRecipe


@dataclass(frozen=True)
class Sample:
    """One row of the index, and the KEY.json of the sample."""

    key: str
    split: Split
    shard: str
    foreground_id: str
    background_id: str
    foreground_sha256: str
    background_sha256: str
    subject: Subject
    transparency: Transparency
    seed: int
    height: int
    width: int
    unknown_share: float  # share of the exact trimap's pixels that are unknown
    crude_iou: float  # of the crude mask with alpha > 0.5
    crude_missed_share: float  # of the pixels with alpha > 0, outside the mask
    crude_false_share: float  # of the mask, where alpha < 0.5
    crude_edge_p95: float  # 95th percentile of the edge's distance from the true one / diagonal
    crude_wrong_known_share: float  # of all pixels, wrongly known in the crude trimap
    recipe: Recipe


@dataclass(frozen=True)
class EncodedSample:
    """A sample as it is stored in a shard: `streams` maps stream names to encoded bytes."""

    row: Sample
    streams: dict[str, bytes]


LAYERS = ("foreground", "background")
LABELS = ("alpha", "trimap", "crude_trimap")


def stream_names(layers: bool) -> tuple[str, ...]:
    """The streams of a sample, in the order in which a shard holds them."""
    return ("image", *LABELS, *(LAYERS if layers else ()))


_DECODERS = {"alpha": decode_alpha, "trimap": decode_trimap, "crude_trimap": decode_trimap}


def decode_stream(stream: str, data: bytes) -> Pixels:
    """The pixels of a stream, as `manifests.pixels` describes them. Raises ValueError if `data` is
    not an image of the stream's kind."""
    return _DECODERS.get(stream, decode_colour)(data)


def decode_part(
    stream: str, data: bytes, part: tuple[slice, slice]
) -> tuple[Pixels, tuple[int, int]]:
    """Some rows and columns of `decode_stream(stream, data)`, and the (height, width) of the whole.

    part: slices with 0 <= start < stop. Raises ValueError as `decode_stream`, but may not notice
    what is wrong with the rest.
    """
    if stream not in _DECODERS:
        return decode_colour_part(data, part)
    whole = decode_stream(stream, data)
    return whole[part], (whole.shape[0], whole.shape[1])


def decode_member(name: str, data: bytes) -> Pixels | None:
    """A handler for webdataset: `WebDataset(...).decode(manifests.decode)`.

    name: what follows the key of a sample, such as ".trimap.png". Streams become arrays as
    `decode_stream` makes them, so that trimaps hold their codes; None for anything else, the row
    for example, which webdataset then decodes by itself. Raises ValueError as `decode_stream`.
    """
    stream, _, extension = name.removeprefix(".").partition(".")
    is_stream = stream in stream_names(layers=True) and extension in ("png", "jpg")
    return decode_stream(stream, data) if is_stream else None


def extension_of(stream: str, codec: ImageCodec) -> str:
    """`jpg` or `png`: alpha and trimaps are PNG whatever the codec of the colours."""
    return "png" if stream in LABELS else codec.extension
