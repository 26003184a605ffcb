"""annotations.parquet, written and read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifests.annotations import (
    Annotation,
    annotations_path,
    read_annotations,
    solved_path,
    write_annotations,
)
from manifests.pixels import pixels_sha256
from manifests.tables import schema_of
from tests.strategies import few, records


def below(row: Annotation) -> Annotation:
    """The row with names that it may have."""
    return replace(row, photo_id="a-0", path="alphas/a-0.png", photo_path="photos/a-0.jpg")


@given(rows=st.lists(records(Annotation).map(below), max_size=4))
@few
def test_rows_come_back(tmp_path_factory: pytest.TempPathFactory, rows: list[Annotation]) -> None:
    root = tmp_path_factory.mktemp("pulled")
    for path in (annotations_path(root), solved_path(root)):
        write_annotations(path, rows)
        assert read_annotations(path) == rows
    assert len(list(root.iterdir())) == 2


def test_no_column_may_be_null() -> None:
    assert [field.name for field in schema_of(Annotation) if field.nullable] == []


def test_a_missing_table_says_what_makes_it(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"annotations\.parquet: .*annotate pull"):
        read_annotations(annotations_path(tmp_path))


def test_a_damaged_table_is_named(tmp_path: Path) -> None:
    path = annotations_path(tmp_path)
    write_annotations(path, [])
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(ValueError, match=r"annotations\.parquet"):
        read_annotations(path)


def test_the_same_values_in_another_shape_are_other_pixels() -> None:
    pixels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    assert pixels_sha256(pixels) == pixels_sha256(np.asfortranarray(pixels))
    assert pixels_sha256(pixels) == pixels_sha256(np.repeat(pixels, 2, 1)[:, ::2])
    assert pixels_sha256(pixels) != pixels_sha256(pixels.reshape(4, 3))
    assert pixels_sha256(pixels) != pixels_sha256(pixels[::-1])
