"""A folder as `annotate pull` leaves it, made by hand."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from annotation.files.photos import photo_id
from manifests.annotations import (
    Annotation,
    Author,
    Kind,
    Origin,
    State,
    annotations_path,
    write_annotations,
)
from manifests.pixels import Pixels, encode_alpha, encode_trimap, pixels_sha256, trimap_of
from manifests.sources import Subject
from manifests.storage import write_bytes

SHAPE = (40, 52)


def soft_alpha(number: int = 0) -> Pixels:
    """A disc with a soft border, another for each number."""
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    away = np.hypot(rows - 20, columns - 24 - number)
    alpha: Pixels = np.rint(255 * np.clip((16 - away) / 8, 0, 1)).astype(np.uint8)
    return alpha


def layers() -> tuple[Pixels, Pixels]:
    """(foreground, background): smooth, and far apart in colour."""
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    foreground = np.dstack([200 + rows, 180 + columns, 90 + rows]).astype(np.uint8)
    background = np.dstack([20 + columns, 10 + rows, 120 + columns]).astype(np.uint8)
    return foreground, background


def photo_of(alpha: Pixels) -> Pixels:
    foreground, background = layers()
    opacity = alpha[..., None] / 255
    return np.rint(opacity * foreground + (1 - opacity) * background).astype(np.uint8)


def add(out: Path, file: str, pixels: Pixels, kind: Kind = Kind.ALPHA, **fields: Any) -> Annotation:
    """Writes a photo and its alpha or trimap; the row for the table."""
    name = photo_id(file)
    path = f"{kind}s/{name}.png"
    data = encode_alpha(pixels) if kind is Kind.ALPHA else encode_trimap(pixels)
    write_bytes(out / path, data)
    photo = out / "photos" / f"{name}.png"
    photo.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(photo_of(soft_alpha())).save(photo)
    row = Annotation(
        photo_id=name,
        photo_file=file,
        photo_sha256=hashlib.sha256(photo.read_bytes()).hexdigest(),
        photo_path=f"photos/{name}.png",
        height=pixels.shape[0],
        width=pixels.shape[1],
        kind=kind,
        path=path,
        sha256=hashlib.sha256(data).hexdigest(),
        pixels_sha256=pixels_sha256(pixels),
        state=State.APPROVED if kind is Kind.ALPHA else State.SUBMITTED,
        accepted=True,
        author_kind=Author.PERSON,
        author="anna@example.org",
        time="2026-11-22T11:30:00.000000Z",
        origin=Origin.MANUAL,
        model="",
        pushed_sha256="",
        changed_share=1.0,
        subject=Subject.NON_HUMAN,
        transparency="Medium",
        licence="CC BY 4.0",
        project="Discs",
        project_id=3,
        task_id=7,
        annotation_id=21,
    )
    return replace(row, **fields)


def trimap(margin: int = 2) -> Pixels:
    """The trimap of the disc, its unknown band wider by some pixels on both sides."""
    import cv2

    exact = trimap_of(soft_alpha())
    kernel = np.ones((2 * margin + 1, 2 * margin + 1), np.uint8)
    is_unknown = cv2.dilate((exact == 1).astype(np.uint8), kernel) > 0
    exact[is_unknown] = 1
    return exact


def write(out: Path, *rows: Annotation) -> None:
    write_annotations(annotations_path(out), rows)
