"""The lines of docs/format.md run as they stand there, in a folder with a set called `shards`.

Each part gives the number of samples in `count`, and most the first alpha in `alpha`.
"""

from __future__ import annotations

import gc
import re
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import manifests
from datagen.cluster import Cluster
from manifests.samples import Colour, Crop, CrudeRecipe, Piece, Placement, Recipe
from manifests.shards import ShardFormat
from manifests.sources import Split
from tests.training.shard_sets import write_set

PAGE = Path(__file__).parents[1] / "docs" / "format.md"
FORMATS = {
    "both formats": list(ShardFormat),
    "tar files": [ShardFormat.WEBDATASET],
    "Parquet shards": [ShardFormat.PARQUET],
}


def snippets() -> dict[tuple[str, ShardFormat], str]:
    """The code of each part of "Reading it", by its heading and a format that it is for."""
    part = PAGE.read_text().partition("## Reading it\n")[2].partition("\n## ")[0]
    found = {}
    for title, body in re.findall(r"^### (.*)\n((?:(?!###).*\n)*)", part, re.MULTILINE):
        code = "".join(line[4:] for line in body.splitlines(True) if line.startswith("    "))
        for form in FORMATS.get(title.rpartition(", ")[2], []):
            found[title, form] = code
    return found


SNIPPETS = snippets()
LONG = ("Hugging Face", "mlcroissant")  # to import
OF_RAY = [name for name in SNIPPETS if name[0].startswith("Ray Data")]
OTHERS = [
    pytest.param(*name, marks=[pytest.mark.slow] if name[0].startswith(LONG) else [])
    for name in SNIPPETS
    if name not in OF_RAY
]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder. Caches that its libraries keep are there, too."""
    with monkeypatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")  # read when it is imported
        import datasets
    # Without aiohttp it cannot be imported. Ray expects that, but not of two threads at once.
    monkeypatch.setitem(sys.modules, "fsspec.implementations.http", None)
    from mlcroissant._src.operation_graph.operations import extract

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "datasets"))
    monkeypatch.setattr(extract, "EXTRACT_PATH", type(extract.EXTRACT_PATH)(tmp_path / "croissant"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(home: Path, title: str, form: ShardFormat) -> None:
    write_set(home / "shards", {Split.TRAIN: [3, 2], Split.VAL: [2]}, form)
    found: dict[str, Any] = {}
    exec(SNIPPETS[title, form], found)
    gc.collect()  # files that a library leaves open are warned of here, not in the next test
    assert found["count"] == 5
    with manifests.open_shards(home / "shards") as shards:
        assert np.array_equal(found.get("alpha", shards[0].alpha), shards[0].alpha)


# Several of them leave the closing of files to the garbage collector, or use what is deprecated.
pytestmark = pytest.mark.filterwarnings(
    "ignore:unclosed file:ResourceWarning", "ignore::DeprecationWarning"
)


@pytest.mark.parametrize(("title", "form"), OTHERS, ids=str)
def test_a_library_reads_a_set(home: Path, title: str, form: ShardFormat) -> None:
    run(home, title, form)


@pytest.mark.parametrize(("title", "form"), OF_RAY, ids=str)
def test_ray_data_reads_a_set(
    two_workers: Cluster, home: Path, title: str, form: ShardFormat
) -> None:
    run(home, title, form)


def test_every_reader_is_there() -> None:
    titles = {title.partition(",")[0] for title, _ in SNIPPETS}
    assert len(titles) >= 8
    assert all("count" in code for code in SNIPPETS.values())


def test_the_page_names_every_number_of_a_recipe() -> None:
    text = PAGE.read_text()
    for part in (Recipe, Placement, Colour, Crop, CrudeRecipe):
        missing = [one.name for one in fields(part) if f"`{one.name}`" not in text]
        assert missing == [], part
    *first, last = Piece._fields
    assert f"each a list of {', '.join(first)} and {last};" in text
