"""Label files: what is written is read again, cell by cell."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifests.labels import read_rows, read_table, value_of, write_table
from manifests.sources import Subject, Transparency
from tests.strategies import few

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
names = texts.filter(lambda text: text.strip() != "")


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("labels") / "foregrounds.csv"


@given(st.lists(st.tuples(names, texts, texts), max_size=5))
@few
def test_every_cell_comes_back(path: Path, rows: list[tuple[str, str, str]]) -> None:
    """Whatever it holds: commas, quotes, line breaks, outer spaces."""
    columns = ("file", 'a "column", quoted', "licence")
    write_table(path, columns, (dict(zip(columns, row, strict=True)) for row in rows))
    found = read_table(path.read_bytes())
    assert found.columns == list(columns)
    assert [tuple(cells) for _, cells in found.rows] == rows


def test_a_missing_cell_is_empty(path: Path) -> None:
    write_table(path, ("file", "subject"), [{"file": "x.png"}])
    (row,) = read_rows(path.read_bytes(), ("file", "subject"))
    assert (row.file, row.cells["subject"], row.fault) == ("x.png", "", "")
    assert value_of(row.cells, "subject", Subject) is None
    assert value_of(row.cells, "transparency", Transparency) is None


@pytest.mark.parametrize("cell", ["NON-HUMAN", "non human", "Non_Human", "nonhuman"])
def test_values_are_taken_in_any_clear_writing(cell: str) -> None:
    assert value_of({"subject": cell}, "subject", Subject) is Subject.NON_HUMAN


def test_columns_of_the_user_keep_their_names() -> None:
    (row,) = read_rows(b"FILE,Licence\nx.png,CC0\n", ("file",))
    assert row.cells == {"file": "x.png", "Licence": "CC0"}
    (row,) = read_rows(b"FILE,Licence\nx.png,CC0\n", ("file",), known=("file", "licence"))
    assert row.cells == {"file": "x.png", "licence": "CC0"}
