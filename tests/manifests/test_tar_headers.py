"""The headers of a tar that are parsed here: the same members as tarfile finds, or none at all."""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifests.pixels import STREAM_BYTES
from manifests.samples import EncodedSample
from manifests.shards import ShardFormat, open_shard, read_shard
from manifests.tar_shards import _header, _plain_member
from tests.manifests.test_shards import header, samples, tar, write
from tests.manifests.test_store import open_files

__all__ = ["samples", "tar"]  # fixtures

names = st.text("abcXYZ019._-", min_size=1, max_size=100).map(lambda name: name.strip("/"))
sizes = st.integers(0, 8**11 - 1)


def keys_in_any_order(path: Path) -> list[str]:
    with closing(open_shard(path)) as opened:
        return [opened.key(number) for number in range(len(opened))]


def keys_in_order(path: Path) -> list[str]:
    return [sample.row.key for sample in read_shard(path)]


readers = pytest.mark.parametrize("read", [keys_in_order, keys_in_any_order])


@given(names, sizes)
def test_a_header_of_ours_is_parsed_here(name: str, size: int) -> None:
    """Otherwise tarfile would read it, which takes several times as long."""
    for text in (name, "n" * 100):
        assert _plain_member(header(text, size), 1024) == (text, 1024 + 512, size)


@given(st.one_of(names, st.text("aé/", min_size=1, max_size=150)), sizes)
def test_a_header_is_the_one_that_tarfile_makes(name: str, size: int) -> None:
    member = tarfile.TarInfo(name)
    member.size = size
    try:
        expected = member.tobuf(tarfile.USTAR_FORMAT)
    except ValueError:
        with pytest.raises(ValueError, match="name is too long"):
            _header(name, size)
    else:
        assert _header(name, size) == expected


def checksummed(block: bytearray) -> bytes:
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


@given(names, sizes, st.integers(0, 511), st.integers(1, 255))
def test_any_other_header_is_left_to_tarfile(name: str, size: int, place: int, flip: int) -> None:
    block = bytearray(header(name, size))
    block[place] ^= flip
    assert _plain_member(bytes(block), 0) is None, "the sum is another one"
    found = _plain_member(checksummed(block), 0)
    is_name_or_size = place < 100 or 124 <= place < 135
    is_checksum = 148 <= place < 156  # and was written anew
    assert found is None or is_name_or_size or is_checksum
    if found is not None:
        theirs = tarfile.TarInfo.frombuf(checksummed(block), "utf-8", "surrogateescape")
        assert found.size == theirs.size
        assert is_name_or_size or found == (name, 512, size)


def test_each_byte_of_mode_owner_time_kind_and_checksum_counts() -> None:
    for place in (*range(100, 124), *range(135, 512)):
        block = bytearray(header("a.json", 77))
        block[place] ^= 1
        assert _plain_member(bytes(block), 0) is None
        is_checksum = 148 <= place < 156
        assert is_checksum or _plain_member(checksummed(block), 0) is None


@pytest.mark.parametrize("plain", [0, 1, 5, 6, 9])
def test_a_tar_may_go_on_with_headers_of_another_program(
    tmp_path: Path, tar: Path, samples: list[EncodedSample], plain: int
) -> None:
    other = tmp_path / "other.tar"
    with tarfile.open(tar) as whole, tarfile.open(other, "w") as copy:
        for number, member in enumerate(whole):
            member.mtime = 0 if number < plain else 1
            copy.addfile(member, whole.extractfile(member))
    assert list(read_shard(other)) == samples
    with closing(open_shard(other)) as opened:
        assert [opened.row(n) for n in range(len(opened))] == [sample.row for sample in samples]


@readers
@pytest.mark.parametrize(("zeros", "is_whole"), [(1024, True), (1023, False), (512, False)])
def test_an_archive_ends_with_two_empty_blocks(
    tmp_path: Path,
    tar: Path,
    samples: list[EncodedSample],
    read: Callable[[Path], list[str]],
    zeros: int,
    is_whole: bool,
) -> None:
    with tarfile.open(tar) as whole:
        end = max(
            member.offset_data + -(-member.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
            for member in whole
        )
    cut = tmp_path / "cut.tar"
    cut.write_bytes(tar.read_bytes()[:end] + bytes(zeros))
    if is_whole:
        assert read(cut) == [sample.row.key for sample in samples]
    else:
        with pytest.raises(ValueError, match=r"cut\.tar: not a whole tar file"):
            read(cut)
        assert open_files("cut.tar") == []


@readers
@pytest.mark.parametrize("more", [1, 512, 100_000])
def test_a_size_beyond_the_end_of_the_file(
    tmp_path: Path, read: Callable[[Path], list[str]], more: int
) -> None:
    path = tmp_path / "x.tar"
    path.write_bytes(header("a.alpha.png", 700 + more) + bytes(700))
    with pytest.raises(ValueError, match=rf"announces {700 + more} bytes at byte 512, but.* 1212 "):
        read(path)


@pytest.mark.parametrize("more", [0, 1])
def test_the_largest_stream(tmp_path: Path, more: int) -> None:
    """The file is sparse, so its size costs nothing."""
    path, row = tmp_path / "x.tar", header("a.json", 0)
    with path.open("wb") as file:
        file.write(header("a.alpha.png", STREAM_BYTES + more))
        end = 512 + -(-(STREAM_BYTES + more) // 512) * 512
        file.seek(end)
        file.write(row)
        os.truncate(path, end + 512 + 1024)
    if more:
        with pytest.raises(ValueError, match=f"at most {STREAM_BYTES}"):
            open_shard(path)
    else:
        assert keys_in_any_order(path) == ["a"]
    assert open_files("x.tar") == []


def test_rows_are_compact_json_in_utf_8(tmp_path: Path, samples: list[EncodedSample]) -> None:
    row = replace(samples[0].row, foreground_id="Zoë/été.png")
    path = write(tmp_path, [replace(samples[0], row=row)], ShardFormat.WEBDATASET)
    with tarfile.open(path) as made:
        data = made.extractfile(f"{row.key}.json")
        assert data is not None
        text = data.read().decode()
    assert '"foreground_id":"Zoë/été.png"' in text
    assert text == json.dumps(json.loads(text), ensure_ascii=False, separators=(",", ":"))


def test_a_member_that_is_no_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    with tarfile.open(path, "w") as made:
        folder = tarfile.TarInfo("a.alpha.png")
        folder.type = tarfile.DIRTYPE
        made.addfile(folder, io.BytesIO())
    with pytest.raises(ValueError, match=r"a\.alpha\.png is not a file"):
        open_shard(path)
