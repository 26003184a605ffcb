"""Procedural sources for matting with exact alpha: `make_foreground`, `make_background`, folders.

A picture depends only on (seed, number) and its size. So files can be made in any order, by any
number of processes, and again later with the same bytes.
"""

from __future__ import annotations

import csv
import io
import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from console.cores import cores
from datagen.sources.transparency import measure_transparency
from datagen.synth.backgrounds import SCENES, paint_background
from datagen.synth.fur import paint_animal
from datagen.synth.paint import Array, straight
from datagen.synth.people import make_person
from datagen.synth.plants import OPEN_THINGS
from datagen.synth.solids import SOLIDS
from datagen.synth.vapours import SHEER_THINGS
from manifests.sources import Subject, Transparency

SUBJECTS = (Subject.HUMAN, Subject.NON_HUMAN)
CELLS = tuple((subject, transparency) for transparency in Transparency for subject in SUBJECTS)
FOREGROUND_ASPECTS = (0.8, 1.0, 0.75, 0.88)  # short side over long side, by number
BACKGROUND_ASPECTS = (0.75, 0.6667, 0.8)
SMALLEST = 64  # px; smaller pictures have no room for strands
ATTEMPTS = 12
JPEG_QUALITY = 95

# Streams of random numbers; a foreground and a background of the same number share none.
FOREGROUND_STREAM, BACKGROUND_STREAM = 1, 2


@dataclass(frozen=True)
class Cutout:
    """A cut-out: straight RGBA, H x W x 4, 0..255, and what it shows."""

    pixels: NDArray[np.uint8]
    kind: str


def foreground_cells(count: int) -> list[tuple[Subject, Transparency]]:
    """The cell of each of `count` foregrounds: all 8 in turn, so that they differ by 1 at most."""
    if count < 0:
        raise ValueError(f"{count} foregrounds, expected 0 or more")
    return [CELLS[number % len(CELLS)] for number in range(count)]


def draw_foreground(
    number: int, subject: Subject, transparency: Transparency, size: int, seed: int
) -> Cutout:
    """One cut-out with a long side of `size` px, whose measured transparency is `transparency`.

    A draw whose measured class differs (a doily with wide holes, hair that is hardly soft) is
    discarded, and another one is drawn. Raises ValueError for a size below 64, for an unlabelled
    subject, or if no draw has the class. The rim counts as soft, so that very small solid
    pictures cannot be Little transparent.
    """
    if size < SMALLEST:
        raise ValueError(f"size {size} px, expected at least {SMALLEST}")
    if subject not in SUBJECTS:
        raise ValueError(f"subject {subject}, expected human or non-human")
    cell = CELLS.index((subject, transparency))
    for attempt in range(ATTEMPTS):
        rng = np.random.default_rng([seed, FOREGROUND_STREAM, number, cell, attempt])
        height, width = frame(rng, subject, size, number)
        turn = number // len(CELLS) + attempt
        canvas, kind = paint_foreground(
            rng, height, width, subject, transparency, turn, 0.85**attempt
        )
        pixels = straight(canvas)
        if pixels[..., 3].any() and measure_transparency(pixels[..., 3]) == transparency:
            return Cutout(pixels, kind)
    raise ValueError(
        f"foreground {number}: {ATTEMPTS} draws of {subject}, {transparency} at {size} px "
        "all measured as another transparency; try a larger size"
    )


def make_foreground(
    number: int, subject: Subject, transparency: Transparency, size: int, seed: int
) -> NDArray[np.uint8]:
    """The pixels of `draw_foreground`: straight RGBA, H x W x 4, long side `size` px."""
    return draw_foreground(number, subject, transparency, size, seed).pixels


def frame(rng: np.random.Generator, subject: Subject, size: int, number: int) -> tuple[int, int]:
    """(height, width); people are always upright, things may be wider than high."""
    short = round(size * FOREGROUND_ASPECTS[number // len(CELLS) % len(FOREGROUND_ASPECTS)])
    lying = subject == Subject.NON_HUMAN and rng.random() < 0.4
    return (short, size) if lying else (size, short)


def paint_foreground(
    rng: np.random.Generator,
    height: int,
    width: int,
    subject: Subject,
    transparency: Transparency,
    turn: int,
    shag: float,
) -> tuple[Array, str]:
    """A premultiplied canvas and its kind. The kind follows from the number; `shag` scales fur."""
    if subject == Subject.HUMAN:
        return make_person(rng, height, width, transparency)
    if transparency == Transparency.MEDIUM:
        return paint_animal(rng, height, width, shag)
    painters = {
        Transparency.LITTLE: SOLIDS,
        Transparency.STRONGLY: OPEN_THINGS,
        Transparency.HIGHLY: SHEER_THINGS,
    }[transparency]
    return painters[turn % len(painters)](rng, height, width)


def background_kind(number: int) -> str:
    return list(SCENES)[number % len(SCENES)]


def make_background(number: int, size: int, seed: int) -> NDArray[np.uint8]:
    """One background, RGB, H x W x 3, long side `size` px; its kind follows from the number."""
    if size < SMALLEST:
        raise ValueError(f"size {size} px, expected at least {SMALLEST}")
    rng = np.random.default_rng([seed, BACKGROUND_STREAM, number])
    short = round(size * BACKGROUND_ASPECTS[number % len(BACKGROUND_ASPECTS)])
    height, width = (size, short) if rng.random() < 0.25 else (short, size)
    return paint_background(rng, height, width, background_kind(number))


# ---- folders ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Order:
    """One file to make. `cell` is None for a background."""

    path: Path
    number: int
    cell: tuple[Subject, Transparency] | None
    size: int
    seed: int


def foreground_orders(folder: Path, count: int, size: int, seed: int) -> list[Order]:
    orders = []
    for number, cell in enumerate(foreground_cells(count)):
        name = f"{cell[0]}-{cell[1].lower()}-{number:04d}.png"
        orders.append(Order(folder / name, number, cell, size, seed))
    return orders


def background_orders(folder: Path, count: int, size: int, seed: int) -> list[Order]:
    if count < 0:
        raise ValueError(f"{count} backgrounds, expected 0 or more")
    return [
        Order(folder / f"{background_kind(number)}-{number:04d}.jpg", number, None, size, seed)
        for number in range(count)
    ]


def fill_order(order: Order) -> str:
    """Make one file, whole or not at all; returns its kind."""
    if order.cell is None:
        picture = cv2.cvtColor(
            make_background(order.number, order.size, order.seed), cv2.COLOR_RGB2BGR
        )
        settings = [
            cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY,
            cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
        ]  # fmt: skip
        write_whole(order.path, encoded(".jpg", picture, settings))
        return background_kind(order.number)
    subject, transparency = order.cell
    cutout = draw_foreground(order.number, subject, transparency, order.size, order.seed)
    picture = cv2.cvtColor(cutout.pixels, cv2.COLOR_RGBA2BGRA)
    write_whole(order.path, encoded(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, 3]))
    return cutout.kind


def encoded(suffix: str, picture: cv2.typing.MatLike, settings: list[int]) -> bytes:
    done, data = cv2.imencode(suffix, picture, settings)
    if not done:
        raise OSError(f"OpenCV could not encode a {suffix} of {picture.shape}")
    return data.tobytes()


def write_whole(path: Path, data: bytes) -> None:
    """Write to a temporary file of this process, then rename it."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_bytes(data)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def refuse_others(folder: Path, expected: Iterable[str]) -> None:
    """Raise FileExistsError if the folder holds files that this run will not write."""
    if not folder.exists():
        return
    others = sorted({entry.name for entry in folder.iterdir()} - set(expected))
    if others:
        shown = ", ".join(others[:3]) + (", ..." if len(others) > 3 else "")
        raise FileExistsError(
            f"{folder} holds {len(others)} files that this run would not write ({shown}); "
            "name an empty folder, or remove them"
        )


def one_thread() -> None:
    """Turn threads off in a worker process: there is already one process per core."""
    cv2.setNumThreads(1)


@contextmanager
def mapping(workers: int) -> Iterator[Callable[[list[Order]], Iterator[tuple[Order, str]]]]:
    """A function that makes orders, here or in `workers` processes, and yields (order, kind)."""
    if workers <= 1:
        yield lambda orders: ((order, fill_order(order)) for order in orders)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=one_thread) as pool:

        def run(orders: list[Order]) -> Iterator[tuple[Order, str]]:
            waiting = {pool.submit(fill_order, order): order for order in orders}
            try:
                for future in as_completed(waiting):
                    yield waiting[future], future.result()
            finally:
                for future in waiting:
                    future.cancel()

        yield run


def table(header: list[str], rows: list[list[str]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue().encode()


def write_sources(
    out: Path,
    foregrounds: int,
    backgrounds: int,
    size: int = 800,
    seed: int = 0,
    progress: Callable[[], None] | None = None,
    workers: int | None = None,
) -> None:
    """Write out/fgs/*.png and out/bgs/*.jpg, and then their label files.

    `progress` is called once per file. `workers` is the number of processes; None means one per
    core. The bytes do not depend on it. A second run writes the same bytes again. If the folders
    hold other files, FileExistsError is raised before anything is written.
    """
    if size < SMALLEST:
        raise ValueError(f"size {size} px, expected at least {SMALLEST}")
    front, back = out / "fgs", out / "bgs"
    cutouts = foreground_orders(front, foregrounds, size, seed)
    scenes = background_orders(back, backgrounds, size, seed)
    refuse_others(out, ["fgs", "bgs"])
    refuse_others(front, [o.path.name for o in cutouts] + ["foregrounds.csv"])
    refuse_others(back, [o.path.name for o in scenes] + ["backgrounds.csv"])
    for folder in (front, back):
        folder.mkdir(parents=True, exist_ok=True)
    (front / "foregrounds.csv").unlink(missing_ok=True)  # written last: if it exists, all files do
    (back / "backgrounds.csv").unlink(missing_ok=True)
    orders = cutouts + scenes
    kinds: dict[Path, str] = {}
    with mapping(min(workers or cores(), max(len(orders), 1))) as run:
        for order, kind in run(orders):
            kinds[order.path] = kind
            if progress is not None:
                progress()
    rows = [
        [o.path.name, str(o.cell[0]), str(o.cell[1]), kinds[o.path]]
        for o in cutouts
        if o.cell is not None
    ]
    write_whole(front / "foregrounds.csv", table(["file", "subject", "transparency", "kind"], rows))
    scene_rows = [[o.path.name, kinds[o.path]] for o in scenes]
    write_whole(back / "backgrounds.csv", table(["file", "kind"], scene_rows))
