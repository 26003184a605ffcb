"""What is broken in a shard set stops a training, or is skipped and counted."""

from __future__ import annotations

import re
import shutil
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from console.commands import DONE, FAILED
from manifests import open_shards
from manifests.shards import ShardFormat, data_path, shard_name
from manifests.sources import Split
from tests.training.runs import (
    ALONE,
    Capture,
    assert_same,
    called,
    lines,
    options,
    settings_of,
    silent,
    steps,
    unseen,
)
from tests.training.shard_sets import break_sample, opened, write_set
from tests.web import serving
from training.checkpoint import checkpoints, load_network
from training.cli import train_main
from training.loading.batches import batches
from training.runs import open_run
from training.train import News, train
from training.validate import validate

pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.slow]


def test_bad_samples_stop_the_run_or_are_skipped_and_counted(tmp_path: Path, run: Path) -> None:
    root = tmp_path / "set"
    write_set(root, {Split.TRAIN: [4], Split.VAL: [2]}, size=(72, 80))
    break_sample(root, Split.TRAIN)
    break_sample(root, Split.VAL)
    settings = settings_of(root, validate_every=2)
    with pytest.raises(ValueError, match=r"train-00000\.tar.*train-00000000 \("):
        train(opened(settings), settings, run, ALONE, silent)
    seen: list[News] = []
    train(open_shards(root), replace(settings, skip_bad=True), run, ALONE, seen.append)
    reasons = [reason for news in seen for reason in news.bad]
    assert seen[-1].samples == 3
    for split in (Split.TRAIN, Split.VAL):
        assert sum(f"sample {split}-00000000: image: " in reason for reason in reasons) == 1
        assert sum(f"{split}-00000.tar: its sha256 is not" in reason for reason in reasons) == 1
    assert len(reasons) == 4
    assert seen[-1].errors is not None
    assert seen[-1].errors == validate(load_network(run), opened(settings), settings, unseen, {})


def test_a_bad_validation_sample_costs_no_training(tmp_path: Path, run: Path) -> None:
    root = tmp_path / "set"
    write_set(root, {Split.TRAIN: [4], Split.VAL: [2]}, size=(72, 80))
    break_sample(root, Split.VAL)
    settings = settings_of(root, validate_every=2)
    open_run(run, opened(settings), settings, False, ALONE).close()
    with pytest.raises(ValueError, match=r"val-00000000 \("):
        train(opened(settings), settings, run, ALONE, silent)
    assert [path.name for path in checkpoints(run)] == ["00000002"]
    lenient = replace(settings, skip_bad=True)
    # It may be seen only now that some are bad
    open_run(run, opened(lenient), lenient, True, ALONE).close()
    train(opened(lenient), lenient, run, ALONE, silent)
    (validation,) = (line for line in lines(run) if "validation" in line)
    assert validation["iteration"] == 2


def test_a_bad_shard_costs_nothing_that_was_learned_before(tmp_path: Path, run: Path) -> None:
    root = tmp_path / "set"
    write_set(root, {Split.TRAIN: [3, 3]}, size=(72, 80))
    settings = settings_of(root, iterations=6, batch_size=1)
    with closing(batches(opened(settings), settings, 0, 6)) as made:
        keys = [batch.keys[0] for batch in made]
    second = int(keys[3].rpartition("-")[2]) // 3
    break_sample(root, Split.TRAIN, second)
    lenient, expected = replace(settings, skip_bad=True), run.with_name("expected")
    try:
        train(opened(lenient), lenient, expected, ALONE, silent)
        with pytest.raises(ValueError, match=rf"train-0000{second}\.tar: its sha256 is not"):
            train(opened(settings), settings, run, ALONE, silent)
        assert [path.name for path in checkpoints(run)] == ["00000003"]
        assert [line["iteration"] for line in steps(run)] == [0, 1, 2]
        train(opened(lenient), lenient, run, ALONE, silent)
        assert_same(run, expected)
    finally:
        shutil.rmtree(expected)


def test_a_lost_shard_is_skipped_batch_by_batch(tmp_path: Path, run: Path, capsys: Capture) -> None:
    root = tmp_path / "set"
    write_set(root, {Split.TRAIN: [6, 6]}, size=(72, 80))
    path = data_path(root, shard_name(Split.TRAIN, 1), ShardFormat.WEBDATASET)
    path.write_bytes(path.read_bytes()[:1000])
    few = ("--batch-size", "2", "--iterations", "12", "--workers", "0", "--skip-bad")
    ran = called(capsys, train_main, *options(root, run, *few))
    assert ran.code == DONE, ran
    assert 3 <= len(steps(run)) <= 9, "about half of the batches"
    assert re.search(r"bad: sample train-\d+: \S*train-00001\.tar", ran.err)
    path.with_name("train-00000.tar").write_bytes(b"")
    ran = called(capsys, train_main, *options(root, tmp_path / "none", *few))
    assert ran.code == FAILED
    assert "none of the samples can be read" in ran.err
    assert re.search(r"bad: sample train-\d+: \S*train-00000\.tar", ran.err), "and why"


def test_a_full_disk_is_no_bad_sample(
    shards: Path, run: Path, tmp_path: Path, capsys: Capture
) -> None:
    (tmp_path / "file").touch()
    more = ("--cache", str(tmp_path / "file"), "--skip-bad", "--workers", "1")
    with serving(shards) as web:
        ran = called(capsys, train_main, *options(Path("set"), run, "--shards", web.url, *more))
    assert ran.code == FAILED
    assert re.search(rf"error: .*File exists: \S+ cannot be kept in {tmp_path}/file", ran.err)
