"""Shards read in any order: what a reader of the whole finds, and no damage goes unnamed."""

from __future__ import annotations

import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

from manifests.samples import EncodedSample, stream_names
from manifests.shards import OpenShard, ShardFormat, open_shard
from manifests.storage import Url
from tests.manifests.test_shards import read_or_refuse, write
from tests.manifests.test_store import open_files
from tests.strategies import encoded_samples, few, many

every_form = pytest.mark.parametrize("form", ShardFormat)


@pytest.fixture(scope="module")
def samples() -> list[EncodedSample]:
    once = settings(derandomize=True, phases=[Phase.generate])  # the first that comes
    return find(encoded_samples(least=3, most=3), lambda found: True, settings=once)


def everything(
    opened: OpenShard, streams: tuple[str, ...], order: list[int]
) -> list[EncodedSample]:
    """Each sample, read in the order given, listed in its own."""
    found = {n: EncodedSample(opened.row(n), opened.read(n, streams)) for n in order}
    assert [opened.key(n) for n in sorted(found)] == [found[n].row.key for n in sorted(found)]
    return [found[n] for n in sorted(found)]


def read_all(path: Path) -> list[EncodedSample]:
    """What `read_shard` gives, by numbers from the last to the first."""
    opened = open_shard(path)
    try:
        return everything(opened, stream_names(has_layers(opened)), list(range(len(opened)))[::-1])
    finally:
        opened.close()


def has_layers(opened: OpenShard) -> bool:
    try:
        opened.read(0, ["foreground"])
    except ValueError as error:
        if "no stream" in str(error):
            return False
        raise
    return True


@every_form
@given(samples=encoded_samples(most=8), data=st.data())
@few
def test_samples_come_in_any_order(
    form: ShardFormat, samples: list[EncodedSample], data: st.DataObject
) -> None:
    order = data.draw(st.permutations(range(len(samples))))
    streams = tuple(samples[0].streams)
    with TemporaryDirectory() as folder:
        opened = open_shard(write(Path(folder), samples, form))
        try:
            assert len(opened) == len(samples)
            assert everything(opened, streams, order) == samples
            wanted = data.draw(st.sets(st.sampled_from(streams)))
            for number, sample in enumerate(samples):
                assert opened.read(number, wanted) == {w: sample.streams[w] for w in wanted}
        finally:
            opened.close()


@every_form
def test_a_stream_that_is_not_there(
    tmp_path: Path, form: ShardFormat, samples: list[EncodedSample]
) -> None:
    path = write(tmp_path, samples, form)
    opened = open_shard(path)
    with pytest.raises(ValueError, match=rf"{path}: .*no stream.* depth, only image, alpha"):
        opened.read(1, ["image", "depth"])
    opened.close()


@every_form
def test_errors_name_what_a_copy_is_a_copy_of(
    tmp_path: Path, form: ShardFormat, samples: list[EncodedSample]
) -> None:
    path = write(tmp_path, samples, form)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(ValueError, match=r"^http://host/shards: not a whole"):
        open_shard(path, Url("http://user:secret@host/shards?signature=1"))


@pytest.fixture(scope="module")
def tar(samples: list[EncodedSample], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("tar"), samples, ShardFormat.WEBDATASET)


@pytest.fixture(scope="module")
def headers(tar: Path) -> list[int]:
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
    read_or_refuse(cut, lambda: read_all(cut), samples)


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
    read_or_refuse(damaged, lambda: read_all(damaged), samples)


def test_a_tar_cut_after_it_was_opened(tmp_path: Path, samples: list[EncodedSample]) -> None:
    path = write(tmp_path, samples, ShardFormat.WEBDATASET)
    opened = open_shard(path)
    with path.open("r+b") as file:
        file.truncate(600)
    key = samples[-1].row.key
    with pytest.raises(ValueError, match=rf"{path}: sample {key}: alpha: unexpected end"):
        opened.read(len(samples) - 1, ["alpha"])
    opened.close()


def test_a_member_that_is_no_file(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    with tarfile.open(path, "w") as tar:
        member = tarfile.TarInfo("a.alpha.png")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/hostname"
        tar.addfile(member)
    with pytest.raises(
        ValueError, match=r"x\.tar: not a whole tar file.*a\.alpha\.png is not a file"
    ):
        open_shard(path)


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
        open_shard(path)


@given(share=st.floats(0, 1, exclude_max=True))
@many
def test_a_truncated_table(
    samples: list[EncodedSample], tmp_path_factory: pytest.TempPathFactory, share: float
) -> None:
    path = write(tmp_path_factory.mktemp("table"), samples, ShardFormat.PARQUET)
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(ValueError, match=str(path)):
        read_all(path)


def test_a_table_of_several_row_groups(tmp_path: Path, samples: list[EncodedSample]) -> None:
    """A row group ends with the sample with which it has 64 MiB: four samples of 16 MiB."""
    alphas = [b"%d" % n for n in range(13)]
    large = [
        EncodedSample(
            samples[n % 3].row,
            {"image": bytes([n]) * ((16 << 20) - len(alpha)), "alpha": alpha},
        )
        for n, alpha in enumerate(alphas)
    ]
    path = write(tmp_path, large, ShardFormat.PARQUET)
    metadata = pq.read_metadata(path)
    groups = [metadata.row_group(n).num_rows for n in range(metadata.num_row_groups)]
    assert groups == [4, 4, 4, 1]
    opened = open_shard(path)
    for number in (5, 4, 7, 6, 12, 0, 9, 3, 8):
        assert opened.read(number, ["image", "alpha"]) == large[number].streams
    opened.close()


def test_a_table_stores_pixels_once_and_as_they_are(
    tmp_path: Path, samples: list[EncodedSample]
) -> None:
    """They are compressed already, and in a dictionary they would be stored a second time."""
    group = pq.read_metadata(write(tmp_path, samples, ShardFormat.PARQUET)).row_group(0)
    for number in range(group.num_columns):
        column = group.column(number)
        assert (column.compression, column.has_dictionary_page) == ("UNCOMPRESSED", False)


def test_a_table_of_something_else_is_not_left_open(tmp_path: Path) -> None:
    path = tmp_path / "other.parquet"
    pq.write_table(pa.table({"number": [1, 2]}), path)
    with pytest.raises(ValueError, match=str(path)):
        open_shard(path)
    assert open_files("other.parquet") == []
