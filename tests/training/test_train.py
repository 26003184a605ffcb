"""A training: what it leaves, its losses and weights, and the mistakes that it names."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from console.commands import DONE, FAILED, WRONG_USAGE
from manifests import open_shards
from manifests.storage import sha256_of
from tests.conftest import Ran
from tests.training.conftest import VAL_SAMPLES, lively
from tests.training.runs import (
    ALONE,
    TERMS,
    Capture,
    assert_same,
    called,
    lines,
    options,
    settings_of,
    silent,
    steps,
    weights,
)
from tests.training.shard_sets import opened
from tests.web import serving
from training.checkpoint import MODEL, OPTIMIZER, STATE, checkpoints, load_network
from training.cli import train_main
from training.net.model import MattingModel
from training.panels import caption_height
from training.settings import TrainSettings
from training.train import train

pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.slow]


def test_a_run_leaves_what_is_needed(whole: tuple[Path, Ran], shards: Path) -> None:
    run, ran = whole
    assert ran.out == ""
    first, second = ran.err.splitlines()[:2]
    assert first.startswith(f"{run}: variant an-tw, ")
    assert second.startswith(
        f"{shards}: 12 samples to train on, 3 to validate on; 12 batches of 2 "
    )
    assert "train: 12 of 12 iterations" in ran.err
    assert "iteration 6: validation SAD " in ran.err
    assert f"{run}: trained; `matte predict --checkpoint {run}`" in ran.err
    expected = replace(
        TrainSettings(),
        shards=str(shards),
        iterations=12,
        batch_size=2,
        crop_size=64,
        workers=1,
        checkpoint_every=4,
        validate_every=6,
        keep=1,
    )
    config = json.loads((run / "config.json").read_text())
    assert config == {**expected.to_dict(), "samples": open_shards(shards).fingerprint}
    assert [path.name for path in checkpoints(run)] == ["00000012"]
    assert sorted(path.name for path in checkpoints(run)[0].iterdir()) == [MODEL, OPTIMIZER, STATE]
    assert not list(run.rglob(".part-*"))

    assert [line["iteration"] for line in steps(run)] == list(range(12))
    assert all(list(line) == ["iteration", *TERMS] for line in steps(run))
    values = [line[name] for line in steps(run) for name in TERMS]
    assert all(map(math.isfinite, values))
    assert len({line["loss"] for line in steps(run)}) == 12
    scores = {line["iteration"]: line["validation"] for line in lines(run) if "validation" in line}
    assert list(scores) == [6, 12]
    best = min(scores, key=lambda done: scores[done]["sad_whole"])
    state = json.loads((run / "best" / STATE).read_text())
    assert state == {"iteration": best, "best": scores[best]["sad_whole"], "world": 1}
    assert load_network(run).trimap_decoder is not None


def test_a_run_can_be_looked_at_in_tensorboard(whole: tuple[Path, Ran]) -> None:
    from tensorboard.backend.event_processing import event_accumulator  # type: ignore[import-untyped]  # has no types

    folder = str(whole[0] / "tensorboard")
    board = event_accumulator.EventAccumulator(folder).Reload()
    tags = board.Tags()
    assert set(tags["scalars"]) == {
        *(f"train/{name}" for name in TERMS),
        *(f"validation/{name}" for name in ("sad", "sad_whole", "mse", "mse_whole")),
    }
    assert tags["images"] == [f"validation/val-{number:08d}" for number in range(VAL_SAMPLES)]
    for tag in tags["images"]:
        shown = board.Images(tag)
        height = caption_height(80) + 72
        assert [(image.step, image.height, image.width) for image in shown] == [
            (6, height, 5 * 80),
            (12, height, 5 * 80),
        ], "image, crude trimap, estimated trimap, alpha, truth"
    assert tags["tensors"] == ["about/text_summary"]
    (about,) = (
        event.tensor_proto.string_val[0].decode() for event in board.Tensors(*tags["tensors"])
    )
    for name in [*TERMS, "sad", "sad_whole", "mse", "mse_whole", "estimated trimap"]:
        assert name in about
    shown = board.Scalars("train/loss")
    assert [scalar.step for scalar in shown] == [3, 5, 7, 11], "whenever lines were written"
    values = [steps(whole[0])[scalar.step]["loss"] for scalar in shown]
    assert [scalar.value for scalar in shown] == pytest.approx(values)


def test_the_weights_of_the_losses_wait_for_a_tenth_of_the_iterations(
    whole: tuple[Path, Ran],
) -> None:
    rows = steps(whole[0])
    at_first = (rows[0]["s1"], rows[0]["s2"])
    assert at_first == pytest.approx((4.0, 4.0), rel=1e-6)
    assert (rows[1]["s1"], rows[1]["s2"]) == at_first
    for before, row in pairwise(rows[1:]):  # 1.2 iterations are a tenth
        assert row["s1"] < before["s1"]
        assert row["s2"] < before["s2"]
    assert weights(whole[0], OPTIMIZER)["log_sigmas"].exp().tolist() == [
        rows[-1]["s1"],
        rows[-1]["s2"],
    ]


def test_a_run_can_start_from_the_weights_of_another(
    whole: tuple[Path, Ran], shards: Path, run: Path, capsys: Capture
) -> None:
    more = ("--init", str(whole[0]), "--iterations", "2", "--keep", "9", "--seed", "3")
    ran = called(capsys, train_main, *options(shards, run, *more))
    assert ran.code == DONE, ran
    given = load_file(whole[0] / "best" / MODEL)
    first, last = (load_file(checkpoints(run)[place] / MODEL) for place in (0, -1))
    assert [path.name for path in checkpoints(run)] == ["00000000", "00000002"]
    assert all(torch.equal(first[name], value) for name, value in given.items())
    away = [float((last[name] - given[name]).abs().max()) for name in ("encoder.stem.0.0.weight",)]
    assert 0 < max(away) < 1e-2
    file = whole[0] / "best" / MODEL
    config = json.loads((run / "config.json").read_text())
    assert config["init"] == {"file": str(file), "sha256": sha256_of(file)}

    ran = called(capsys, train_main, *options(shards, run, "--init", str(run), "--resume"))
    assert ran.code == WRONG_USAGE
    assert "--init is for a new run" in ran.err

    # Killed before the first iteration was saved, it starts from these weights again
    again = run.with_name("again")
    resumed = options(shards, again, "--iterations", "2", "--keep", "9", "--seed", "3", "--resume")
    for lost in ("checkpoints/00000002", "checkpoints"):
        shutil.copytree(run, again)
        try:
            shutil.rmtree(again / lost)
            shutil.rmtree(again / "best")
            ran = called(capsys, train_main, *resumed)
            assert ran.code == DONE, ran
            assert_same(again, run)
            if lost == "checkpoints":
                shutil.rmtree(again / lost)
                other = {**config, "init": {"file": str(file), "sha256": "0" * 64}}
                (again / "config.json").write_text(json.dumps(other))
                ran = called(capsys, train_main, *resumed)
                assert ran.code == FAILED
                assert f"has changed since {again} was begun with it" in ran.err
        finally:
            shutil.rmtree(again)


def test_a_base_model_can_get_a_trimap_decoder(shards: Path, run: Path) -> None:
    """The decoder that the given weights lack is the random one of a new run."""
    settings = settings_of(shards, seed=5, validate_every=9, keep=9)
    lean = lively().without_trimap_decoder().state_dict()
    train(opened(settings), settings, run, ALONE, silent, weights=lean)
    torch.manual_seed(settings.seed)
    expected = {**MattingModel().state_dict(), **lean}
    found = load_file(checkpoints(run)[0] / MODEL)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], value) for name, value in expected.items())


def test_a_cache_and_a_signature(shards: Path, run: Path, tmp_path: Path, capsys: Capture) -> None:
    cache = tmp_path / "cache"
    with serving(shards) as web:
        url = f"{web.url}?signature=secret"
        ran = called(
            capsys, train_main, *options(Path("set"), run, "--shards", url, "--cache", str(cache))
        )
        assert ran.code == DONE, ran
        fetched = [request for request in web.requests if "/data/" in request]
        assert sorted({*web.requests} - {*fetched}) == [
            "GET /dataset.json",
            "GET /sources/backgrounds.parquet",
            "GET /sources/foregrounds.parquet",
        ]
        assert len(web.requests) == len(fetched) + 3, "two validations open nothing again"
    assert len(fetched) == len(list(cache.iterdir())) == len(open_shards(shards).shards)
    assert "secret" not in (run / "config.json").read_text() + ran.err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--lr", "0"), WRONG_USAGE, "lr = 0.0, expected a positive number"),
        (("--iterations", "0"), WRONG_USAGE, "iterations = 0, expected 1 or more"),
        (("--variant", "other"), WRONG_USAGE, "base"),
        (("--device", "abacus"), FAILED, "device 'abacus' cannot be used"),
        (("--device", "meta"), FAILED, "device 'meta' cannot be used"),
        (("--device", "hpu"), FAILED, "device 'hpu' cannot be used"),
        (("--shards", "/none/such"), FAILED, "/none/such/dataset.json: no such folder"),
        (("--init", "/none/such"), FAILED, "/none/such: no checkpoint here; give a run"),
        (("--init", __file__), FAILED, f"{__file__}: not a checkpoint of this model: "),
        (("--crop-size", "4096"), FAILED, "and a crop 4096 x 4096; choose crops of"),
        (("--out", "https://a/b"), WRONG_USAGE, "https:// is read, not written; write to s3://"),
        (("--out", "s3://b/x?key=secret"), WRONG_USAGE, "leave passwords and options out of it"),
    ],
)
def test_mistakes(
    shards: Path, run: Path, capsys: Capture, arguments: tuple[str, ...], code: int, said: str
) -> None:
    ran = called(capsys, train_main, *options(shards, run, *arguments))
    assert (ran.code, ran.out) == (code, "")
    assert said in " ".join(ran.err.replace("│", " ").split())
    assert not run.exists()  # so that the same command, put right, is not refused


def test_a_batch_of_one_value(shards: Path, run: Path, capsys: Capture) -> None:
    small = ("--batch-size", "1", "--crop-size", "32")
    ran = called(capsys, train_main, *options(shards, run, *small))
    assert (ran.code, ran.out) == (FAILED, "")
    assert "a single crop of this size is too little for the network's normalisation" in ran.err
