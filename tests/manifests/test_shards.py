"""Shards in both formats: what is written is read, always the same bytes, whole or not at all."""

from __future__ import annotations

import tarfile
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

from manifests.pixels import ImageCodec
from manifests.samples import EncodedSample
from manifests.shards import (
    Histogram,
    ShardFormat,
    ShardWriter,
    data_path,
    index_path,
    open_shard,
    read_alpha_histograms,
    read_index,
    read_index_columns,
    read_shard,
    read_shard_record,
)
from manifests.sources import Split
from manifests.storage import sha256_of
from tests.strategies import encoded_samples, few, many

NAME = "train-00000"
every_form = pytest.mark.parametrize("form", ShardFormat)


def levels(sample: EncodedSample) -> Histogram:
    """256 counts that tell samples apart."""
    return np.random.default_rng(list(sample.row.key.encode())).integers(0, 9, 256)


def write(
    root: Path,
    samples: list[EncodedSample],
    form: ShardFormat,
    codec: ImageCodec = ImageCodec.JPEG,
) -> Path:
    with ShardWriter(root, NAME, form, codec) as writer:
        for sample in samples:
            writer.add(sample, levels(sample))
    return data_path(root, NAME, form)


@pytest.fixture(scope="module")
def samples() -> list[EncodedSample]:
    once = settings(derandomize=True, phases=[Phase.generate])  # the first that comes
    return find(encoded_samples(least=3), lambda found: True, settings=once)


@every_form
@given(samples=encoded_samples(), codec=st.sampled_from(ImageCodec))
@few
def test_samples_come_back(
    form: ShardFormat, samples: list[EncodedSample], codec: ImageCodec
) -> None:
    with TemporaryDirectory() as folder:
        root = Path(folder)
        data = write(root, samples, form, codec)
        assert list(read_shard(data)) == samples
        assert read_index(root, NAME) == [sample.row for sample in samples]
        keys = read_index_columns(root, NAME, ["key"])
        assert keys.to_pydict() == {"key": [sample.row.key for sample in samples]}

        record = read_shard_record(root, NAME, Split.VAL)
        assert record is not None
        assert (record.name, record.split, record.samples) == (NAME, Split.VAL, len(samples))
        assert (record.bytes, record.sha256) == (data.stat().st_size, sha256_of(data))
        assert record.index_sha256 == sha256_of(index_path(root, NAME))

        again = write(root / "again", samples, form, codec)
        assert again.read_bytes() == data.read_bytes()
        indexes = [index_path(home, NAME).read_bytes() for home in (root, root / "again")]
        assert indexes[0] == indexes[1]


@pytest.mark.parametrize(("codec", "ending"), [(ImageCodec.JPEG, "jpg"), (ImageCodec.PNG, "png")])
@given(samples=encoded_samples())
@few
def test_the_members_of_a_tar(codec: ImageCodec, ending: str, samples: list[EncodedSample]) -> None:
    with TemporaryDirectory() as folder:
        path = write(Path(folder), samples, ShardFormat.WEBDATASET, codec)
        with tarfile.open(path) as tar:
            members = tar.getmembers()
    labels = {"alpha", "trimap", "crude_trimap"}
    assert [member.name for member in members] == [
        f"{sample.row.key}.{part}"
        for sample in samples
        for part in (*(f"{s}.{'png' if s in labels else ending}" for s in sample.streams), "json")
    ]
    for member in members:
        assert member.isreg()
        assert (member.mtime, member.uid, member.gid, member.mode) == (0, 0, 0, 0o644)
        assert (member.uname, member.gname) == ("", "")
        assert member.pax_headers == {}


@every_form
@given(samples=encoded_samples())
@few
def test_alpha_histograms_add_up(form: ShardFormat, samples: list[EncodedSample]) -> None:
    expected: dict[tuple[str, str], Any] = {}
    for sample in samples:
        cell = (sample.row.subject.value, sample.row.transparency.value)
        expected[cell] = expected.get(cell, 0) + levels(sample)
    with TemporaryDirectory() as folder:
        write(Path(folder), samples, form)
        found = read_alpha_histograms(Path(folder), NAME)
    assert {cell: counts.tolist() for cell, counts in found.items()} == {
        cell: counts.tolist() for cell, counts in expected.items()
    }


@every_form
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_failure_in_the_middle_leaves_nothing(
    tmp_path: Path, samples: list[EncodedSample], form: ShardFormat, error: type[BaseException]
) -> None:
    with pytest.raises(error), ShardWriter(tmp_path, NAME, form, ImageCodec.JPEG) as writer:
        writer.add(samples[0], levels(samples[0]))
        raise error
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert read_shard_record(tmp_path, NAME, Split.TRAIN) is None


@every_form
def test_the_index_is_written_last(
    tmp_path: Path, samples: list[EncodedSample], form: ShardFormat
) -> None:
    (tmp_path / "index").write_text("a file where the folder should be")
    with pytest.raises(OSError, match="index"):
        write(tmp_path, samples, form)
    assert list(read_shard(data_path(tmp_path, NAME, form))) == samples, "the data came first"
    (tmp_path / "index").unlink()
    assert read_shard_record(tmp_path, NAME, Split.TRAIN) is None, "no index: not finished"
    write(tmp_path, samples, form)
    assert read_shard_record(tmp_path, NAME, Split.TRAIN) is not None


def read_or_refuse(path: Path, read: Callable[[], Any], whole: Any) -> None:
    """Damaged is named, or nothing that matters was damaged."""
    try:
        found = read()
    except ValueError as error:
        assert str(path) in str(error)
        return
    is_whole = found == whole
    assert is_whole, "damaged, and read as if it were whole"


@pytest.fixture(scope="module")
def tar(samples: list[EncodedSample], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("tar"), samples, ShardFormat.WEBDATASET)


@pytest.fixture(scope="module")
def headers(tar: Path) -> list[int]:
    """Where each member begins, and where the last one ends."""
    with tarfile.open(tar) as opened:
        return [*(member.offset for member in opened), opened.offset]


@given(data=st.data())
@many
def test_a_truncated_tar(
    tar: Path, headers: list[int], samples: list[EncodedSample], data: st.DataObject
) -> None:
    end = data.draw(st.integers(0, tar.stat().st_size - 1) | st.sampled_from(headers))
    cut = tar.with_name("cut.tar")
    cut.write_bytes(tar.read_bytes()[:end])
    read_or_refuse(cut, lambda: list(read_shard(cut)), samples)


@given(data=st.data(), flip=st.integers(1, 255))
@many
def test_a_flipped_byte_in_a_header_of_a_tar(
    tar: Path, headers: list[int], samples: list[EncodedSample], data: st.DataObject, flip: int
) -> None:
    place = data.draw(st.sampled_from(headers[:-1])) + data.draw(st.integers(0, 511))
    bytes_ = bytearray(tar.read_bytes())
    bytes_[place] ^= flip
    damaged = tar.with_name("damaged.tar")
    damaged.write_bytes(bytes_)
    read_or_refuse(damaged, lambda: list(read_shard(damaged)), samples)


def header(name: str, size: int, kind: bytes = tarfile.REGTYPE, mode: int = 0o644) -> bytes:
    """A header whose size may be anything; the size is checked by the header's checksum only."""
    member = tarfile.TarInfo(name)
    member.type, member.mode = kind, mode
    block = bytearray(member.tobuf(tarfile.USTAR_FORMAT))
    block[124:136] = b"%011o\0" % size if size >= 0 else b"-%010o\0" % -size
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


@pytest.mark.parametrize("mode", [0o644, 0o600], ids=["a header as ours", "another header"])
@pytest.mark.parametrize("size", [-512, -1024, -1, 4096, 1 << 32])
@pytest.mark.parametrize("read", [lambda path: list(read_shard(path)), open_shard])
def test_a_size_that_no_member_has(
    tmp_path: Path, read: Callable[[Path], Any], size: int, mode: int
) -> None:
    """A negative size would lead back to the header itself, for ever."""
    path = tmp_path / "x.tar"
    path.write_bytes(header("a.alpha.png", size, mode=mode) + bytes(2048))
    with pytest.raises(ValueError, match=rf"{path}: not a whole tar file") as refused:
        read(path)
    if mode == 0o644:
        assert f"the header of a.alpha.png announces {size} bytes" in str(refused.value)


def test_headers_of_headers_without_end(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    path.write_bytes(header("a", 0, tarfile.GNUTYPE_LONGNAME) * 2000 + bytes(1024))
    with pytest.raises(ValueError, match=rf"{path}: not a whole tar file"):
        list(read_shard(path))


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_sample_without_its_row(
    tmp_path: Path, tar: Path, samples: list[EncodedSample], number: int
) -> None:
    key, path = samples[number].row.key, tmp_path / "x.tar"
    with tarfile.open(tar) as whole, tarfile.open(path, "w") as rest:
        for member in whole:
            if member.name != f"{key}.json":
                rest.addfile(member, whole.extractfile(member))
    with pytest.raises(ValueError, match=rf"x\.tar: sample {key} has no row"):
        list(read_shard(path))


@pytest.mark.parametrize("row", [b"", b"{", b"[]", b"\xff", b'{"key": "a"}'])
def test_a_row_that_is_none(tmp_path: Path, row: bytes) -> None:
    (tmp_path / "a.json").write_bytes(row)
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        tar.add(tmp_path / "a.json", "a.json")
    with pytest.raises(ValueError, match=r"x\.tar: sample a: "):
        list(read_shard(tmp_path / "x.tar"))


@pytest.fixture(scope="module")
def table(samples: list[EncodedSample], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("table"), samples, ShardFormat.PARQUET)


def damaged_copy(path: Path, data: bytes | bytearray, folder: str) -> Path:
    copy = path.parents[1] / "damaged" / folder / path.name
    copy.parent.mkdir(parents=True, exist_ok=True)
    copy.write_bytes(data)
    return copy


@given(share=st.floats(0, 1, exclude_max=True))
@many
def test_a_truncated_table(table: Path, share: float) -> None:
    data = table.read_bytes()
    cut = damaged_copy(table, data[: int(share * len(data))], "data")
    with pytest.raises(ValueError, match=str(cut)):
        list(read_shard(cut))


@pytest.mark.parametrize("change", ["column", "subject", "text"])
def test_a_table_of_something_else(
    tmp_path: Path, samples: list[EncodedSample], change: str
) -> None:
    path = write(tmp_path, samples, ShardFormat.PARQUET)
    data = path.read_bytes()
    subject, key = samples[0].row.subject.encode(), samples[0].row.key.encode()
    old, new = {
        "column": (b"foreground_sha256", b"foreground_sha257"),
        "subject": (subject, b"?" * len(subject)),
        "text": (key, b"\xff" * len(key)),
    }[change]
    assert old in data
    path.write_bytes(data.replace(old, new))
    with pytest.raises(ValueError, match=str(path)):
        list(read_shard(path))


READERS: list[Callable[[Path], Any]] = [
    lambda root: read_index(root, NAME),
    lambda root: read_index_columns(root, NAME, ["key", "recipe"]).num_rows,
    lambda root: read_shard_record(root, NAME, Split.TRAIN),
    lambda root: len(read_alpha_histograms(root, NAME)),
]


@pytest.mark.parametrize("read", READERS, ids=["rows", "columns", "record", "histograms"])
@given(place=st.floats(0, 1, exclude_max=True), truncate=st.booleans())
@many
def test_a_damaged_index(
    table: Path, read: Callable[[Path], Any], place: float, truncate: bool
) -> None:
    whole = index_path(table.parents[1], NAME)
    data = bytearray(whole.read_bytes())
    position = int(place * len(data))
    data[position] ^= 255
    damaged = damaged_copy(whole, data[:position] if truncate else data, "index")
    try:
        read(damaged.parents[1])
    except ValueError as error:
        assert str(damaged) in str(error)  # a flipped byte may do no harm, but a cut does
    else:
        assert not truncate
