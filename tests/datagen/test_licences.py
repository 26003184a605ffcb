"""Licences: from the label files into the set, its statistics, and what may be used."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.commands import DONE
from datagen.inspect.stats import LicenceStats, read_stats
from datagen.job import make_shard_set
from datagen.plan import PlanError
from datagen.settings import Settings
from datagen.sources.licences import with_licence
from manifests import open_shards
from manifests.checksums import BLANK, with_checksum
from manifests.dataset import read_manifest
from manifests.sources import NOT_STATED, Background, Split, count_licences, licence_of
from tests.conftest import CUTOUTS, PHOTOS, LocalSources, here, make_sources
from tests.datagen.in_process import InProcess

SETTINGS = Settings(size=32, samples=12)
OF_CUTOUTS = ["CC0-1.0", "CC0-1.0", "CC-BY-4.0", "", "CC-BY-NC-4.0", "CC-BY-4.0"]
OF_PHOTOS = ["CC0-1.0", "cc0-1.0", "CC-BY-4.0", "CC0-1.0", "Unsplash | \u2028 <b>"]


def label(folder: Path, column: str, names: list[str], licences: list[str]) -> None:
    rows = [f'{name},"{licence}"' for name, licence in zip(names, licences, strict=True)]
    head = f"file,{column}"
    if folder.name == "fgs":
        head, rows = f"{head},subject,transparency", [f"{row},human,Little" for row in rows]
    (folder / f"{'fore' if folder.name == 'fgs' else 'back'}grounds.csv").write_text(
        "\n".join([head, *rows, ""])
    )


@pytest.fixture(scope="module")
def licensed(tmp_path_factory: pytest.TempPathFactory) -> LocalSources:
    sources = make_sources(tmp_path_factory.mktemp("licensed"))
    label(sources.foregrounds, "licence", CUTOUTS, OF_CUTOUTS)
    label(sources.backgrounds, "License", PHOTOS, OF_PHOTOS)
    return sources


@pytest.fixture(scope="module")
def made(licensed: LocalSources, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Not to be changed."""
    out = tmp_path_factory.mktemp("made") / "set"
    assert make_shard_set(InProcess(), licensed, SETTINGS, out).failed == ()
    return out


def test_licences_are_a_column_and_counts(made: Path) -> None:
    for kind, licences in (("foregrounds", OF_CUTOUTS), ("backgrounds", OF_PHOTOS)):
        table = pq.read_table(made / "sources" / f"{kind}.parquet")
        assert table["licence"].to_pylist() == [licence or None for licence in licences]
        expected = Counter(licence or NOT_STATED for licence in licences)
        assert read_manifest(made)[0].licences[kind] == dict(expected)


def test_statistics_by_licence(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = {one.licence: one for one in read_stats(open_shards(made)).licences}
    assert list(found) == sorted({one or NOT_STATED for one in OF_CUTOUTS + OF_PHOTOS})
    # 12 samples of 6 foregrounds: each twice
    assert found["CC-BY-4.0"] == LicenceStats("CC-BY-4.0", 2, 4, 1, found["CC-BY-4.0"].under)
    assert sum(one.over for one in found.values()) == 12
    assert sum(one.under for one in found.values()) == 12
    printed = here(capsys, "stats", "--shards", str(made), "--by-licence")
    assert printed.code == DONE
    assert "By licence of the sources" in printed.out
    assert [line for line in printed.out.splitlines() if "CC-BY-NC-4.0" in line]
    plain = here(capsys, "stats", "--shards", str(made))
    assert "licence" not in plain.out


def test_only_allowed_licences_are_used(
    licensed: LocalSources, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    allowed = replace(licensed, licences=("cc0-1.0",))
    result = make_shard_set(InProcess(), allowed, replace(SETTINGS, samples=6), tmp_path / "set")
    said = capsys.readouterr().err
    assert "6 sources are left out, their licence is not allowed: CC-BY-4.0 (3)" in " ".join(
        said.split()
    )
    assert len(result.skipped) == 6
    shards = open_shards(tmp_path / "set")
    assert set(map(licence_of, shards.foregrounds.values())) == {"CC0-1.0"}
    assert sorted(shards.backgrounds) == ["barn.jpg", "city.png", "road.png"]
    reasons = {(one.file, one.kind, one.reason) for one in shards.skipped}
    assert ("leaf.png", "licence", NOT_STATED) in reasons


def test_no_source_of_an_allowed_licence(licensed: LocalSources, tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"no foreground has one of the licences MIT; 11 sources"):
        make_shard_set(InProcess(), replace(licensed, licences=("MIT",)), SETTINGS, tmp_path / "s")
    assert not (tmp_path / "s" / "dataset.json").exists()


def test_a_set_without_the_column_and_the_counts_is_read(made: Path, tmp_path: Path) -> None:
    """As earlier versions wrote them."""
    expected = open_shards(made).backgrounds
    made = Path(shutil.copytree(made, tmp_path / "old"))
    for path in (made / "sources").iterdir():
        table = pq.read_table(path).drop_columns("licence")
        path.unlink()
        with pq.ParquetWriter(path, table.schema) as writer:
            writer.write_table(table)
            writer.add_key_value_metadata({"matting": json.dumps(BLANK)})
        path.write_bytes(with_checksum(path.read_bytes()))
    fields = json.loads((made / "dataset.json").read_bytes())
    del fields["licences"], fields["checksum"]
    text = json.dumps({**fields, **BLANK}, indent=1)
    (made / "dataset.json").write_bytes(with_checksum(text.encode()))
    assert open_shards(made).backgrounds == expected
    assert read_manifest(made)[0].licences == {}
    assert {one.licence for one in read_stats(open_shards(made)).licences} > {"CC0-1.0"}


PHOTO = Background("a.jpg", "0" * 64, "0" * 64, 9, 9, Split.TRAIN, "{}")


@pytest.mark.parametrize(
    ("labels", "licence"),
    [
        ('{"licence": "MIT"}', "MIT"),
        ('{"LICENSE": "MIT"}', "MIT"),
        ('{"license": "", "Licence": "MIT"}', "MIT"),
        ('{"licence": ""}', NOT_STATED),
        ('{"licences": "MIT"}', NOT_STATED),
        ('{"licence": 3}', NOT_STATED),
        ("[]", NOT_STATED),
        ("no JSON", NOT_STATED),
    ],
)
def test_the_licence_of_a_source(labels: str, licence: str) -> None:
    assert licence_of(replace(PHOTO, labels=labels)) == licence


@given(st.lists(st.sampled_from(["MIT", "mit", "CC0-1.0", ""]), max_size=9))
def test_each_source_is_used_or_left_out(licences: list[str]) -> None:
    photos = [
        replace(PHOTO, id=f"{n}.jpg", labels=json.dumps({"licence": licence}))
        for n, licence in enumerate(licences)
    ]
    kept, left = with_licence(photos, ["MIT"])
    assert [licence_of(photo).casefold() for photo in kept] == ["mit"] * len(kept)
    assert sorted([*(one.id for one in kept), *(one.file for one in left)]) == [
        photo.id for photo in photos
    ]
    counts = count_licences(photos)
    assert sum(counts.values()) == len(photos)
    assert list(counts.values()) == sorted(counts.values(), reverse=True)
