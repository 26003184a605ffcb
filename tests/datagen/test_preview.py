"""The picture of a few samples: they are varied, and captions stay inside it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from console.commands import DONE
from datagen.inspect.preview import sheet, varied
from manifests import open_shards
from manifests.samples import Sample
from manifests.shards import read_index
from manifests.sources import Split, Subject, Transparency
from tests.conftest import CUTOUTS, Ran, here
from tests.training.shard_sets import write_set

ROW = st.tuples(st.integers(0, 12), st.integers(0, 5))


@pytest.fixture(scope="module")
def row(composed: tuple[Path, Ran]) -> Sample:
    return read_index(composed[0], "train-00000")[0]


def rows_of(row: Sample, pairs: list[tuple[int, int]]) -> list[Sample]:
    """A foreground's cell follows from its number: there are four."""
    return [
        replace(
            row,
            key=f"train-{number:08}",
            foreground_id=f"{foreground}.png",
            background_id=f"{background}.jpg",
            subject=list(Subject)[foreground % 2],
            transparency=list(Transparency)[foreground % 4],
        )
        for number, (foreground, background) in enumerate(pairs)
    ]


@given(st.lists(ROW, max_size=40), st.integers(1, 14))
def test_no_foreground_twice_while_others_are_left(
    row: Sample, pairs: list[tuple[int, int]], count: int
) -> None:
    rows = rows_of(row, pairs)
    chosen = varied(rows, count)
    keys = [one.key for one in chosen]
    assert keys == sorted(set(keys))
    assert len(chosen) == min(count, len(rows))
    different = len({one.foreground_id for one in rows})
    uses = Counter(one.foreground_id for one in chosen)
    assert len(uses) == min(count, different)
    cells = {(one.subject, one.transparency) for one in rows}
    shown = {(one.subject, one.transparency) for one in chosen}
    assert len(shown) == min(count, len(cells))


def test_eight_of_twenty_foregrounds(row: Sample) -> None:
    """As in a first shard: each foreground twice, over few backgrounds, in two cells."""
    order = np.random.default_rng(3).permutation(20)
    rows = rows_of(row, [(int(n) // 2 * 4 + int(n) % 2, int(n) % 5) for n in [*order, *order]])
    chosen = varied(rows, 8)
    assert len({one.foreground_id for one in chosen}) == 8
    assert Counter(one.transparency for one in chosen).most_common(1)[0][1] == 4
    assert len({one.background_id for one in chosen}) == 5


def test_preview(
    composed: tuple[Path, Ran], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "a picture.png"
    ran = here(capsys, "preview", "--shards", str(composed[0]), "--out", str(file), "--rows", "6")
    assert (ran.code, ran.out) == (DONE, "")
    keys = ran.err.strip().removeprefix(f"{file}: ").split(", ")
    with open_shards(composed[0]) as shards:
        samples = [shards[key] for key in keys]
        assert {sample.row.foreground_id for sample in samples} == set(CUTOUTS)
        drawn = np.asarray(Image.open(file))
        first = Image.fromarray(samples[0].image).resize((240, 240), Image.Resampling.LANCZOS)
        np.testing.assert_array_equal(drawn[28:268, 6:246], np.asarray(first))


def drawn_keys(capsys: pytest.CaptureFixture[str], shards: Path, *options: str) -> list[str]:
    """What `preview` says that it has drawn, at whatever width."""
    file = shards / "drawn.png"
    ran = here(capsys, "preview", "--shards", str(shards), "--out", str(file), *options)
    assert ran.code == DONE, ran
    return ran.err.strip().removeprefix(f"{file}: ").split(", ")


def test_samples_by_key_split_and_crude_trimap(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_set(tmp_path, {Split.TRAIN: [4, 3], Split.VAL: [3]})
    keys = ["val-00000001", "train-00000006"]
    options = [word for key in keys for word in ("--key", key)]
    assert drawn_keys(capsys, tmp_path, *options, "--layers") == keys
    drawn = np.asarray(Image.open(tmp_path / "drawn.png"))
    assert drawn.shape == (28 + 2 * 268, 6 + 6 * 246, 3)
    with open_shards(tmp_path) as shards:
        behind = shards["val-00000001"].background
        assert behind is not None
        cell = Image.fromarray(behind).resize((240, 240), Image.Resampling.LANCZOS)
        np.testing.assert_array_equal(drawn[28:268, 1236:1476], np.asarray(cell))
    assert drawn_keys(capsys, tmp_path, "--split", "val") == [f"val-0000000{n}" for n in range(3)]
    assert drawn_keys(capsys, tmp_path, "--worst", "--rows", "1") == ["train-00000000"]
    write_set(tmp_path, {Split.TRAIN: [1]}, layers=False)
    for wrong, reason in {
        ("--layers",): "was composed with --no-layers",
        ("--key", "train-00000000", "--worst"): "--key says which samples to draw",
        ("--key", "train-00000009"): "no sample train-00000009",
        ("--split", "val"): "no split val, only train",
    }.items():
        ran = here(capsys, "preview", "--shards", str(tmp_path), *wrong)
        assert ran.code != DONE
        assert reason in " ".join(ran.err.replace("│", " ").split())


def test_the_worst_come_first(
    composed: tuple[Path, Ran], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_shards(composed[0]) as shards:
        rows = {sample.key: sample.row for sample in shards}
    file = tmp_path / "worst.png"
    ran = here(
        capsys,
        "preview",
        "--shards",
        str(composed[0]),
        "--worst",
        "--rows",
        "3",
        "--out",
        str(file),
    )
    keys = ran.err.strip().removeprefix(f"{file}: ").split(", ")
    found = [rows[key].crude_iou for key in keys]
    assert found == sorted(found)
    assert found[0] == min(row.crude_iou for row in rows.values())
    assert len({rows[key].foreground_id for key in keys}) == 3


def test_a_long_caption_ends_in_the_picture(composed: tuple[Path, Ran]) -> None:
    with open_shards(composed[0]) as shards:
        sample = shards["train-00000000"]
    edge = []
    for name in ("a.png", "a very long name " * 40):
        sample.row = replace(sample.row, foreground_id=name)
        picture = np.asarray(sheet([sample]))
        caption = picture[-24:]
        assert (caption > 100).any()
        edge.append(caption[:, -6:])
    np.testing.assert_array_equal(edge[0], edge[1])
