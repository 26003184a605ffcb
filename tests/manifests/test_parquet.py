"""Parquet files that announce more than they hold are refused before anything is decoded."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from manifests.notes import Notes, Origin
from manifests.parquet import MAX_COLUMNS, open_plain, read_footer, read_parquet, table_errors
from manifests.shards import (
    ShardFormat,
    data_path,
    index_path,
    open_shard,
    read_index,
    read_shard,
    write_index,
)
from manifests.sources import Split
from manifests.thrift import read_struct
from tests.training.shard_sets import write_set


def write(path: Path, columns: dict[str, Any], **options: Any) -> Path:
    pq.write_table(pa.table(columns), path, **options)
    return path


ROWS: dict[str, Any] = {
    "text": ["a", "", "é" * 1000],
    "number": [1, -5, 1 << 62],
    "share": [0.5, -1.0, 1e300],
    "flag": [True, False, True],
    "items": [[1.0, 2.0], [], [3.0]],
    "inside": [{"a": "x", "b": 1}, {"a": "y", "b": 2}, {"a": "x", "b": 3}],
}


@pytest.mark.parametrize("compression", ["none", "zstd", "snappy", "gzip"])
@pytest.mark.parametrize("use_dictionary", [False, True])
@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_tables_are_read_as_they_were_written(
    tmp_path: Path, compression: str, use_dictionary: bool, version: str
) -> None:
    options = {"compression": compression, "use_dictionary": use_dictionary, "row_group_size": 2}
    path = write(tmp_path / "t.parquet", ROWS, data_page_version=version, **options)
    assert read_parquet(path).equals(pa.table(ROWS))
    assert read_parquet(path.read_bytes(), ["flag", "text"]).equals(
        pa.table({name: ROWS[name] for name in ("flag", "text")})
    )
    assert read_footer(path).num_rows == 3


def test_a_folder_named_like_a_column(tmp_path: Path) -> None:
    (tmp_path / "split=train").mkdir()
    path = write(tmp_path / "split=train" / "t.parquet", {"a": ["x"]})
    assert read_parquet(path).column_names == ["a"]


def test_a_column_that_is_missing(tmp_path: Path) -> None:
    path = write(tmp_path / "t.parquet", {"a": ["x"]})
    with pytest.raises(ValueError, match=rf"{path}: no 'column b, c'"), table_errors(str(path)):
        read_parquet(path, ["b", "a", "c"])


def write_copies(path: Path, compression: str, rows: int, columns: int) -> Path:
    """In each column a text of a megabyte so many times, which the file holds once."""
    indices = pa.array([0] * rows, pa.int32())
    text = "x" * 1_000_000 if compression == "none" else "".join(map(str, range(180_000)))
    column = pa.DictionaryArray.from_arrays(indices, pa.array([text]))
    table = pa.table({f"c{number}": column for number in range(columns)})
    options = {"compression": compression, "dictionary_pagesize_limit": 1 << 21}
    pq.write_table(table, path, store_schema=False, write_statistics=False, **options)
    return path


@pytest.mark.slow
@pytest.mark.parametrize(
    ("compression", "bytes_of_copies"), [("none", 2_000_000), ("zstd", 900_000)]
)
def test_one_long_text_in_many_rows(tmp_path: Path, compression: str, bytes_of_copies: int) -> None:
    """A megabyte that stands for 100 GB."""
    path = write_copies(tmp_path / "t.parquet", compression, 100_000, 1)
    assert 100_000 < path.stat().st_size < bytes_of_copies
    with pytest.raises(ValueError, match="more than 1073741824 bytes of values"):
        read_parquet(path)
    with pytest.raises(ValueError, match=r"a page that decodes to|a dictionary of 1 values"):
        open_plain(path, 1 << 30)


def test_a_page_that_decodes_to_much_more(tmp_path: Path) -> None:
    path = write(tmp_path / "t.parquet", {"a": ["x" * (1 << 26)]}, compression="zstd")
    assert path.stat().st_size < 10_000
    with pytest.raises(ValueError, match="column a: a page that decodes to 67108868 bytes"):
        read_parquet(path)


def test_more_columns_than_any_record_has(tmp_path: Path) -> None:
    path = write(tmp_path / "t.parquet", {f"c{n}": [1] for n in range(MAX_COLUMNS + 1)})
    with pytest.raises(ValueError, match="257 columns, at most 256"):
        read_parquet(path)


def test_other_types_of_columns(tmp_path: Path) -> None:
    wide = pa.array([None] * 3, pa.binary(1 << 20))  # each takes a megabyte in memory
    path = write(tmp_path / "t.parquet", {"a": wide})
    with pytest.raises(ValueError, match="column a: has the type FIXED_LEN_BYTE_ARRAY"):
        read_parquet(path)


def test_delta_encodings(tmp_path: Path) -> None:
    """Each value may repeat the beginning of the one before: a bomb without a dictionary."""
    texts = ["x" * 1000 + str(number) for number in range(100)]
    encoding = {"a": "DELTA_BYTE_ARRAY"}
    path = write(
        tmp_path / "t.parquet", {"a": texts}, use_dictionary=False, column_encoding=encoding
    )
    with pytest.raises(ValueError, match="a page of 100 values with the encoding 7"):
        read_parquet(path)


def replaced(path: Path, old: bytes, new: bytes, count: int = 1) -> None:
    content = path.read_bytes()
    assert content.count(old) >= count
    assert len(old) == len(new)
    path.write_bytes(content.replace(old, new))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda data: b"", "not a whole Parquet file"),
        (lambda data: data[:-4], "not a whole Parquet file"),
        (lambda data: data[:-8] + b"\xff\xff\xff\x7fPAR1", r"a footer of 2147483647 bytes"),
        (lambda data: data[:4] + data[-500:], "header without the field"),
        (lambda data: data[:4] + b"\x1a" + data[5:], "a header with a field of the type 10"),
    ],
    ids=["empty", "cut", "long footer", "no columns", "page"],
)
def test_damage(tmp_path: Path, damage: Callable[[bytes], bytes], said: str) -> None:
    path = write(tmp_path / "t.parquet", {"a": ["x", "y"]}, use_dictionary=False)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises((ValueError, OSError), match=said):
        read_parquet(path)


def test_a_page_that_announces_more_values_than_the_column(tmp_path: Path) -> None:
    path = write(
        tmp_path / "t.parquet", {"a": [7] * 5}, use_dictionary=False, write_statistics=False
    )
    # Field 1 of a data page's header is the number of values: 5 is 10 in zigzag; then PLAIN, RLE
    replaced(path, b"\x15\x0a\x15\x00\x15\x06", b"\x15\x7e\x15\x00\x15\x06")
    with pytest.raises(ValueError, match="column a: 63 values, its footer says 5"):
        read_parquet(path)


@pytest.mark.parametrize("field", ["codec", "type of a page"])
def test_numbers_that_stand_for_nothing(tmp_path: Path, field: str) -> None:
    """For such a codec pyarrow ends the process as soon as it is asked for its name; before version
    26 it takes what is not compressed as it is, whatever the codec is called."""
    options = {"use_dictionary": False, "compression": "none", "write_statistics": False}
    path = write(tmp_path / "t.parquet", {"a": [7] * 5}, **options)
    if field == "codec":  # behind the path in the schema, which is a list of one text
        replaced(path, b"\x19\x18\x01a\x15\x00", b"\x19\x18\x01a\x15\x40")
    else:
        replaced(path, b"PAR1\x15\x00", b"PAR1\x15\x40")
    if field == "codec" and int(pa.__version__.split(".")[0]) < 26:
        assert read_parquet(path)["a"].to_pylist() == [7] * 5
        return
    with pytest.raises((ValueError, OSError), match=r"codec|a page of the kind 32"):
        read_parquet(path)


def test_a_row_group_larger_than_any_sample(tmp_path: Path) -> None:
    options = {"use_dictionary": False, "compression": "none", "write_statistics": False}
    path = write(tmp_path / "t.parquet", {"a": [b"x" * 1000]}, **options)
    with open_plain(path, 2000) as file:
        assert file.read()["a"].to_pylist() == [b"x" * 1000]
    with pytest.raises(ValueError, match=r"a row group of 10\d\d bytes, at most 1000"):
        open_plain(path, 1000)


def test_a_shard_with_a_dictionary_is_refused_by_name(tmp_path: Path) -> None:
    write_set(tmp_path, {Split.TRAIN: [3]}, ShardFormat.PARQUET)
    path = data_path(tmp_path, "train-00000", ShardFormat.PARQUET)
    assert len(list(read_shard(path))) == 3
    pq.write_table(pq.read_table(path), path)
    for read in (open_shard, lambda path: list(read_shard(path))):
        with pytest.raises(
            ValueError, match=rf"{path}: not a whole shard: column key: a (page|dictionary)"
        ):
            read(path)


def test_a_shard_without_a_stream(tmp_path: Path) -> None:
    write_set(tmp_path, {Split.TRAIN: [3]}, ShardFormat.PARQUET)
    path = data_path(tmp_path, "train-00000", ShardFormat.PARQUET)
    table = pq.read_table(path)
    without = table.set_column(
        table.column_names.index("image"), "image", pa.array([None] * 3, table["image"].type)
    )
    pq.write_table(without, path, compression="none", use_dictionary=False)
    said = rf"{path}: not a whole shard: a stream without bytes"
    with pytest.raises(ValueError, match=said):
        list(read_shard(path))
    shard = open_shard(path)
    with pytest.raises(ValueError, match=said):
        shard.read(0, ["image"])
    shard.close()


def test_an_index_of_other_columns_names_the_file(tmp_path: Path) -> None:
    path = index_path(tmp_path, "train-00000")
    notes = Notes("0" * 64, 1, {}, Origin({}, {}, {}))
    write_index(tmp_path, "train-00000", pa.table({"a": ["x"]}), notes)
    with pytest.raises(ValueError, match=rf"{path}: columns \['a'\], expected \['key'"):
        read_index(tmp_path, "train-00000")


_BOMB = """
import sys
from pathlib import Path
from manifests.parquet import read_parquet
try:
    read_parquet(Path(sys.argv[1]))
except ValueError as error:
    print(error)
status = Path("/proc/self/status").read_text()
print(int(status.partition("VmHWM:")[2].split()[0]) // 1024)
"""


@pytest.mark.slow
def test_a_table_takes_no_more_memory_than_stated(tmp_path: Path) -> None:
    path = write_copies(tmp_path / "t.parquet", "zstd", 100_000, 20)
    run = [sys.executable, "-c", _BOMB, str(path)]
    said, megabytes = subprocess.run(run, check=True, capture_output=True).stdout.split(b"\n")[:2]
    assert said.startswith(b"more than 1073741824 bytes")
    assert int(megabytes) < 3000


def test_structs_of_page_headers() -> None:
    fields, length = read_struct(b"\x15\x0a\x11\x2c\x15\x01\x00\x18\x02ab\x00rest")
    assert fields == {1: 5, 2: True, 4: {1: -1}, 5: b"ab"}
    assert length == 12
    assert read_struct(b"\x39\x25\x02\x03\x19\x1c\x15\x02\x00\x19\x11\x01\x00") == (
        {3: [1, -2], 4: [{1: 1}], 5: [b"\x01"]},
        13,
    )
    for damaged in (b"", b"\x15", b"\x15\xff", b"\x18\x05ab", b"\x1c" * 20, b"\x1a\x00\x00"):
        with pytest.raises(ValueError, match="a header"):
            read_struct(damaged)
    with pytest.raises(ValueError, match="64 bits"):
        read_struct(b"\x15" + b"\xff" * 11)
