"""Every reader of what comes from a file or a server, with small sound inputs for it."""

from __future__ import annotations

import io
import itertools
import random
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from manifests import open_shards
from manifests.annotations import annotations_path, read_annotations
from manifests.dataset import dataset_path, read_sources, sources_path, write_sources
from manifests.labels import read_rows
from manifests.pictures import PictureError, read_alpha, read_cutout, read_header, read_photo
from manifests.pictures import read_trimap as read_trimap_file
from manifests.pixels import ImageCodec, encode_colour
from manifests.samples import LABELS, decode_part, decode_stream
from manifests.shards import (
    ShardFormat,
    data_path,
    index_path,
    open_shard,
    read_alpha_histograms,
    read_index,
    read_index_columns,
    read_shard,
    read_shard_record,
)
from manifests.sources import Background, Foreground, Split
from tests import picture_files
from tests.annotation.pulled import add, write
from tests.annotation.pulled import trimap as rings
from tests.fuzz.campaign import Reader
from tests.fuzz.mutate import mutated, mutated_json, mutated_sealed
from tests.fuzz.server import (
    bitmask_seeds,
    brush_seeds,
    read_bitmask,
    read_brush,
    read_server_task,
    server_seeds,
)
from tests.fuzz.training import (
    read_run,
    read_state,
    read_tensors,
    run_seeds,
    state_seeds,
    tensor_seeds,
)
from tests.manifests.test_dataset import background, foreground
from tests.training.shard_sets import pixels_of, write_set

NAME = "train-00000"


def _shard_seeds(folder: Path, form: ShardFormat) -> list[bytes]:
    write_set(folder, {Split.TRAIN: [4]}, form, size=(8, 9))
    return [data_path(folder, NAME, form).read_bytes()]


def _read_shard(data: bytes, folder: Path, form: ShardFormat) -> None:
    path = folder / f"{NAME}.{form.extension}"
    path.write_bytes(data)
    _both(lambda: list(itertools.islice(read_shard(path), 100)), lambda: _read_open(path))


def _read_open(path: Path) -> None:
    shard = open_shard(path)
    try:
        for number in range(min(len(shard), 100)):
            shard.key(number)
            shard.row(number)
            shard.read(number, ("image", "alpha", "crude_trimap"))
    finally:
        shard.close()


def _both(*reads: Any) -> None:
    """Each of them, whether or not those before it raised what is expected."""
    errors = []
    for read in reads:
        try:
            read()
        except ValueError as error:
            errors.append(error)
    if errors:
        raise errors[0]


def tar_seeds(folder: Path) -> list[bytes]:
    ours = _shard_seeds(folder, ShardFormat.WEBDATASET)
    others = []
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        buffer = io.BytesIO()
        with (
            tarfile.open(fileobj=io.BytesIO(ours[0])) as tar,
            tarfile.open(fileobj=buffer, mode="w", format=form) as other,
        ):
            for member in tar:
                member.mtime = 1.5  # needs another kind of header
                other.addfile(member, tar.extractfile(member))
        others.append(buffer.getvalue())
    return ours + others


_TAR_SIZES = (b"\xff" * 12, b"\x80" + bytes(3) + b"\xff" * 8, b"77777777777\0", bytes(12))


def mutated_tar(rng: random.Random, seeds: Sequence[bytes]) -> bytes:
    """Half of the changes get a sound checksum of the header, so that they are read on."""
    data = bytearray(mutated(rng, seeds))
    if rng.random() < 0.5:
        for at in range(0, len(data) - 511, 512):
            if data[at + 257 : at + 262] == b"ustar":
                if rng.random() < 0.2:
                    data[at + 124 : at + 136] = rng.choice(_TAR_SIZES)
                data[at + 148 : at + 156] = b" " * 8
                data[at + 148 : at + 156] = b"%06o\0 " % sum(data[at : at + 512])
    return bytes(data)


def _read_tar(data: bytes, folder: Path) -> None:
    _read_shard(data, folder, ShardFormat.WEBDATASET)


def parquet_seeds(folder: Path) -> list[bytes]:
    (ours,) = _shard_seeds(folder, ShardFormat.PARQUET)
    table = pq.read_table(io.BytesIO(ours))
    number = table.schema.get_field_index("image")
    others = [
        table.set_column(number, "image", pa.array([None] * 4, table.schema.field(number).type)),
        table.drop_columns(["alpha"]),
        table.set_column(0, "key", pa.array([1, 2, 3, 4])),
    ]
    return [ours, *(_plain_parquet(other) for other in others)]


def _plain_parquet(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="none", use_dictionary=False)
    return buffer.getvalue()


def _read_parquet(data: bytes, folder: Path) -> None:
    _read_shard(data, folder, ShardFormat.PARQUET)


def index_seeds(folder: Path) -> list[bytes]:
    write_set(folder, {Split.TRAIN: [5]})
    return [index_path(folder, NAME).read_bytes()]


def _read_index(data: bytes, folder: Path) -> None:
    path = index_path(folder, NAME)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    _both(
        lambda: read_index(folder, NAME),
        lambda: read_index_columns(folder, NAME, ["key", "unknown_share"]),
        lambda: read_shard_record(folder, NAME, Split.TRAIN),
        lambda: read_alpha_histograms(folder, NAME),
    )


def dataset_seeds(folder: Path) -> list[bytes]:
    write_set(folder, {Split.TRAIN: [2, 1], Split.VAL: [1]})
    return [dataset_path(folder).read_bytes()]


def _read_dataset(data: bytes, folder: Path) -> None:
    if not (folder / "sources").exists():
        write_set(folder, {Split.TRAIN: [2, 1], Split.VAL: [1]})
    dataset_path(folder).write_bytes(data)
    with open_shards(folder) as shards:
        repr(shards)
        _ = shards.splits, shards.fingerprint
        if len(shards):
            _ = shards[0].image, shards[-1].key


def sources_seeds(folder: Path) -> list[bytes]:
    fgs = [foreground(f"{n}/ü.png", Split.TRAIN) for n in range(4)]
    bgs = [background(f"{n}.jpg", Split.VAL) for n in range(4)]
    write_sources(folder, Foreground, fgs)
    write_sources(folder, Background, bgs)
    return [sources_path(folder, kind).read_bytes() for kind in (Foreground, Background)]


def _read_sources(data: bytes, folder: Path) -> None:
    for kind in (Foreground, Background):
        path = sources_path(folder, kind)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
    try:
        read_sources(folder, Foreground)
    except ValueError:  # which says as much of the file as the other
        read_sources(folder, Background)


def picture_seeds(folder: Path) -> list[bytes]:
    image = Image.fromarray(picture_files.cutout(20, 30))
    grey, values = image.getchannel("A"), np.arange(600, dtype=np.uint16).reshape(20, 30, 1) * 100
    palette = Image.fromarray((np.arange(600) % 3).astype(np.uint8).reshape(20, 30), "P")
    palette.putpalette((0, 0, 0, 128, 128, 128, 255, 255, 255))
    turned = picture_files.exif(6)
    return [
        *(picture_files.save(image, form) for form in ("PNG", "WEBP", "TIFF", "AVIF")),
        *(picture_files.save(image.convert("RGB"), form) for form in ("JPEG", "BMP", "PPM", "GIF")),
        *(picture_files.save(grey, form) for form in ("PNG", "JPEG", "TIFF", "PPM")),
        picture_files.save(image.convert("RGB"), "JPEG", progressive=True, exif=turned),
        picture_files.save(image.convert("CMYK"), "JPEG"),
        picture_files.save(image.convert("RGB"), "TIFF", compression="tiff_lzw"),
        picture_files.save(image.convert("RGB"), "TIFF", compression="jpeg"),
        picture_files.save(palette, "PNG"),
        picture_files.save(palette, "GIF"),
        picture_files.adam7(picture_files.cutout(20, 30)),
        picture_files.png16(values, 0),
        picture_files.tiff16(np.repeat(values, 4, axis=2), extra=2),
    ]


def _read_picture(data: bytes, folder: Path) -> None:
    path = folder / "picture.png"
    path.write_bytes(data)
    errors = []
    for read in (read_header, read_photo, read_cutout, read_alpha, read_trimap_file):
        try:
            read(path)
        except PictureError as error:
            errors.append(error)
    if len(errors) == 5:
        raise errors[0]


def stream_seeds(folder: Path) -> list[bytes]:
    write_set(folder, {Split.TRAIN: [2]}, size=(8, 9))
    path = data_path(folder, NAME, ShardFormat.WEBDATASET)
    streams = [data for sample in read_shard(path) for data in sample.streams.values()]
    tiles = encode_colour(pixels_of(0, 24, 240)["image"], ImageCodec.JPEG)
    return [*streams, tiles, encode_colour(pixels_of(0, 24, 20)["image"], ImageCodec.JPEG)]


def _read_stream(data: bytes, folder: Path) -> None:
    errors = []
    for stream in ("image", *LABELS):
        try:
            decode_stream(stream, data)
        except ValueError as error:
            errors.append(error)
    try:
        decode_part("image", data, np.s_[3:20, 90:150])
    except ValueError as error:
        errors.append(error)
    if len(errors) == 5:
        raise errors[0]


def annotations_seeds(folder: Path) -> list[bytes]:
    write(folder, *(add(folder, file, rings()) for file in ("a.png", "b/c.png")))
    return [annotations_path(folder).read_bytes()]


def _read_annotations(data: bytes, folder: Path) -> None:
    path = annotations_path(folder)
    path.write_bytes(data)
    for row in read_annotations(path):
        for below in (row.path, row.photo_path):
            assert (folder / below).resolve().is_relative_to(folder.resolve()), below


def labels_seeds(folder: Path) -> list[bytes]:
    return [
        b"file,subject,transparency,licence\na.png,human,Highly,CC0\nb/c.png,non-human,,\n",
        b'\xef\xbb\xbffile,split\r\n"a ""b"".png",val\r\n"c\nd.png",train\r\n',
    ]


def _read_labels(data: bytes, folder: Path) -> None:
    read_rows(data, ("file",))


READERS = {
    reader.name: reader
    for reader in (
        Reader("tar", tar_seeds, _read_tar, mutate=mutated_tar),
        Reader("parquet", parquet_seeds, _read_parquet),
        Reader("index", index_seeds, _read_index, mutate=mutated_sealed),
        Reader("dataset", dataset_seeds, _read_dataset, mutate=mutated_json),
        Reader("sources", sources_seeds, _read_sources, mutate=mutated_sealed),
        Reader("pictures", picture_seeds, _read_picture, (PictureError,), megabytes=2300),
        Reader("streams", stream_seeds, _read_stream, names_file=False),
        Reader("annotations", annotations_seeds, _read_annotations),
        Reader("labels", labels_seeds, _read_labels, names_file=False),
        Reader("task", server_seeds, read_server_task, names_file=False, mutate=mutated_json),
        Reader("brush", brush_seeds, read_brush, names_file=False),
        Reader("bitmask", bitmask_seeds, read_bitmask, names_file=False),
        Reader("state", state_seeds, read_state, mutate=mutated_json),
        Reader("tensors", tensor_seeds, read_tensors),
        Reader("run", run_seeds, read_run, mutate=mutated_json),
    )
}
