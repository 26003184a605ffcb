"""Training: killed, interrupted or on two processes, a run computes what it should, to the bit."""

from __future__ import annotations

import contextlib
import json
import math
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook
from torch.utils.hooks import RemovableHandle

from console.commands import DONE, FAILED, WRONG_USAGE
from manifests import open_shards
from manifests.pixels import Pixels
from manifests.shards import ShardFormat, data_path, sha256_of, shard_name
from manifests.sources import Split
from tests.conftest import Ran, finish
from tests.training.conftest import TRAIN_SAMPLES, VAL_SAMPLES, called, lively, started
from tests.training.shard_sets import break_sample, opened, write_set
from tests.web import serving
from training.checkpoint import MODEL, OPTIMIZER, STATE, checkpoints, load_network
from training.choices import Precision, Variant
from training.cli import train_main
from training.learner import Learner, on_device
from training.loading.batches import Batch, batches
from training.loading.whole import whole_samples
from training.log import METRICS, RunLog
from training.matte.metrics import mean_of, measure
from training.matte.predict import matte
from training.net.decoders import AlphaDecoder
from training.net.losses import REST, MattingLoss
from training.net.model import MattingModel
from training.panels import caption_height
from training.processes import Processes
from training.runs import open_run
from training.settings import TrainSettings
from training.train import News, Stopped, train
from training.validate import validate

ITERATIONS, BATCH, CROP, EVERY = 12, 2, 64, 4
SMALL = ("--batch-size", f"{BATCH}", "--crop-size", f"{CROP}", "--device", "cpu")
OFTEN = ("--checkpoint-every", f"{EVERY}", "--validate-every", "6", "--keep", "1")
TERMS = ["loss", "l1", "l2", "composition", "ssim", "rest", "trimap", "s1", "s2", "gradient"]
ALONE = Processes(0, 1, torch.device("cpu"))
Capture = pytest.CaptureFixture[str]

pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.slow]


def options(shards: Path, run: Path, *more: str) -> list[str]:
    """Of a run of twelve iterations."""
    always = ("--shards", str(shards), "--out", str(run), "--iterations", f"{ITERATIONS}")
    return [*always, *SMALL, *OFTEN, *more]


def process(*arguments: str) -> subprocess.Popen[str]:
    """`train` as a process of its own."""
    return started("-m", "training", *arguments)


def lines(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / METRICS).read_text().splitlines()]


def steps(run: Path) -> list[dict[str, Any]]:
    return [line for line in lines(run) if "validation" not in line]


def weights(run: Path, file: str = MODEL) -> dict[str, Tensor]:
    """Of the last checkpoint."""
    tensors: dict[str, Tensor] = load_file(checkpoints(run)[-1] / file)
    return tensors


def assert_same(run: Path, other: Path) -> None:
    """Losses, scores, weights and moments, to the last bit; and the files that hold them."""
    assert (run / METRICS).read_text() == (other / METRICS).read_text()
    ends = [checkpoints(each)[-1] for each in (run, other)]
    assert len({(end / MODEL).read_bytes() for end in ends}) == 1
    for file in (MODEL, OPTIMIZER):
        ours, theirs = weights(run, file), weights(other, file)
        assert ours.keys() == theirs.keys()
        assert [name for name in ours if not torch.equal(ours[name], theirs[name])] == []


@pytest.fixture(scope="module")
def whole(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Ran]]:
    """A run from beginning to end, and what it printed. Not to be changed."""
    run = tmp_path_factory.mktemp("whole") / "run"
    ran = finish(process(*options(shards, run, "--workers", "1")))
    assert ran.code == DONE, ran
    yield run, ran
    shutil.rmtree(run)


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Path]:
    """Where a run goes; a quarter of a gigabyte, so it is not left behind."""
    yield tmp_path / "run"
    shutil.rmtree(tmp_path / "run", ignore_errors=True)


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


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 300
    while not path.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, f"{path} never came"
        time.sleep(0.005)


def test_killed_and_resumed_is_never_killed(
    whole: tuple[Path, Ran], shards: Path, run: Path, capsys: Capture
) -> None:
    killed = process(*options(shards, run, "--workers", "0"))
    wait_for(run / "checkpoints/00000004", killed)
    killed.kill()
    killed.communicate(timeout=20)
    assert killed.returncode == -signal.SIGKILL
    assert not (run / "checkpoints/00000012").exists()
    # As if it had been killed a little later: lines of iterations after the checkpoint, one cut
    with (run / METRICS).open("a") as file:
        file.write(json.dumps({"iteration": 11, "loss": 0.0}) + '\n{"iteration": 12, "lo')
    shutil.copytree(checkpoints(run)[-1], run / "checkpoints/.part-0123456789ab")

    ran = called(capsys, train_main, *options(shards, run, "--resume", "--workers", "0"))
    assert ran.code == DONE, ran
    assert_same(run, whole[0])
    assert not list(run.rglob(".part-*"))


def test_bf16_goes_on_to_the_bit(shards: Path, run: Path) -> None:
    settings = settings_of(
        shards, precision=Precision.BF16, iterations=4, checkpoint_every=2, keep=2
    )
    train(opened(settings), settings, run, ALONE, silent)
    again = run.with_name("again")
    try:
        shutil.copytree(run, again)
        shutil.rmtree(checkpoints(again)[-1])  # as if killed before it was written
        shutil.rmtree(again / "best")
        train(opened(settings), settings, again, ALONE, silent)
        assert_same(again, run)
    finally:
        shutil.rmtree(again)


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_saves_and_the_run_goes_on(
    whole: tuple[Path, Ran], shards: Path, run: Path, capsys: Capture, by: signal.Signals
) -> None:
    stopped = process(*options(shards, run, "--workers", "2"))
    wait_for(run / "checkpoints/00000004", stopped)
    os.killpg(stopped.pid, by)  # as terminals, Slurm and `timeout` do: to the workers, too
    ran = finish(stopped)
    assert ran.code == 128 + by, ran
    name = "" if by == signal.SIGINT else f" by {by.name}"
    said = f"error: interrupted{name}; training goes on with --resume where it stopped\n"
    assert ran.err.endswith(said)
    assert ran.err.count("error") == 1
    (saved,) = checkpoints(run)
    done = int(saved.name)
    assert 4 < done < 12
    assert [line["iteration"] for line in steps(run)] == list(range(done))

    more = ("--resume", "--workers", "0", "--checkpoint-every", "100")
    ran = called(capsys, train_main, *options(shards, run, *more))
    assert ran.code == DONE, ran
    assert_same(run, whole[0])


def test_a_stop_does_not_wait_for_a_validation_which_is_made_up_for(
    shards: Path, run: Path
) -> None:
    settings = settings_of(shards, iterations=4, validate_every=2, keep=9)
    calls = iter(range(4))
    with pytest.raises(Stopped):
        train(opened(settings), settings, run, ALONE, silent, lambda: next(calls) == 1)
    assert [path.name for path in checkpoints(run)] == ["00000002"]
    assert [line["iteration"] for line in lines(run)] == [0, 1]
    # As if the resumed run had been killed after its validation was written, but not yet saved
    with (run / METRICS).open("a") as file:
        file.write(json.dumps({"iteration": 2, "validation": {}}) + "\n")
    train(opened(settings), settings, run, ALONE, silent)

    whole = run.with_name("whole")
    try:
        train(opened(settings), settings, whole, ALONE, silent)
        assert [line["iteration"] for line in lines(whole)] == [0, 1, 2, 2, 3, 4]
        assert_same(run, whole)
        for end in (run, whole):
            for saved in checkpoints(end):
                assert "owes_validation" not in json.loads((saved / STATE).read_text())
        best = {(end / "best" / MODEL).read_bytes() for end in (run, whole)}
        assert len(best) == 1
    finally:
        shutil.rmtree(whole)


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


def fails(module: nn.Module, *_: object) -> None:
    """In the middle of a step: the encoder has already counted the batch."""
    is_late = isinstance(module, AlphaDecoder)
    if is_late:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you asked for 9 bytes")


def test_a_step_that_fails_costs_nothing_that_was_learned_before(
    whole: tuple[Path, Ran], shards: Path, run: Path
) -> None:
    settings = settings_of(shards, iterations=ITERATIONS, checkpoint_every=4, validate_every=6)
    hooks: list[RemovableHandle] = []
    calls = iter(range(99))

    def fails_from_now() -> bool:
        if next(calls) == 2:
            hooks.append(register_module_forward_hook(fails))
        return False

    try:
        with pytest.raises(RuntimeError, match="iteration 3: a step needs more memory than is"):
            train(opened(settings), settings, run, ALONE, silent, fails_from_now)
    finally:
        hooks[0].remove()
    assert [path.name for path in checkpoints(run)] == ["00000003"]
    assert [line["iteration"] for line in steps(run)] == [0, 1, 2]
    train(opened(settings), settings, run, ALONE, silent)
    assert_same(run, whole[0])


def test_what_cannot_be_resumed(whole: tuple[Path, Ran], shards: Path, capsys: Capture) -> None:
    run, before = whole[0], (whole[0] / METRICS).read_bytes()
    none = run.with_name("none")
    changed = ("--lr", "1e-3", "--seed", "1", "--keep", "9")
    for arguments, said in (
        (options(shards, none, "--resume"), rf"{none}: there is no run here to resume"),
        (options(shards, run), f"{run}: a run is here; go on with --resume, or name another --out"),
        (
            options(shards, run, "--resume", *changed),
            f"{run}: is a run with other settings (lr: 0.0001 -> 0.001, seed: 0 -> 1)",
        ),
    ):
        ran = called(capsys, train_main, *arguments)
        assert (ran.code, ran.out) == (FAILED, "")
        assert ran.err == f"error: {said}\n"
    assert not none.exists()

    other = run.with_name("other")
    write_set(other, {Split.TRAIN: [1] * sum(TRAIN_SAMPLES), Split.VAL: [VAL_SAMPLES]})
    ran = called(capsys, train_main, *options(other, run, "--resume"))
    assert ran.code == FAILED
    assert ran.err == f"error: {run}: was trained on other shards than those of {other}\n"
    assert (run / METRICS).read_bytes() == before


def test_what_ended_before_its_first_checkpoint_is_begun_again(shards: Path, run: Path) -> None:
    settings = settings_of(shards)
    open_run(run, opened(settings), settings, False, ALONE)
    other = replace(settings, seed=1)
    open_run(run, opened(other), other, False, ALONE)
    assert json.loads((run / "config.json").read_text())["seed"] == 1
    with RunLog(run, 0), pytest.raises(ValueError, match="another process is training there"):
        open_run(run, opened(settings), settings, False, ALONE)
    (run / "config.json").write_text("")
    with pytest.raises(ValueError, match=r"config\.json: not the settings of a run"):
        open_run(run, opened(other), other, True, ALONE)


# config.json of a run that an earlier version started, before some settings could be chosen
EARLIER = """
{
 "shards": "elsewhere", "variant": "an-tw", "area": "everywhere", "iterations": 2,
 "batch_size": 2, "crop_size": 64, "lr": 0.0001, "lr_end": 1e-06, "lr_power": 0.9,
 "weights_from": 0.1, "trimap": "crude", "scale_probability": 0.5, "colour": 1.0,
 "precision": "fp32", "workers": 2, "seed": 0, "skip_bad": false, "validate_every": 2000,
 "validation_samples": 64, "checkpoint_every": 500, "keep": 1, "cache": "", "log_every": 20,
 "samples": "%s"
}
"""


def test_a_run_of_an_earlier_version_goes_on(shards: Path, run: Path) -> None:
    run.mkdir()
    (run / "config.json").write_text(EARLIER % open_shards(shards).fingerprint)
    settings = settings_of(shards)
    open_run(run, opened(settings), settings, True, ALONE)
    with pytest.raises(ValueError, match=r"other settings \(layers: True -> False\)"):
        open_run(run, open_shards(shards), replace(settings, layers=False), True, ALONE)
    assert json.loads(EARLIER).keys() < settings.to_dict().keys() | {"samples"}


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


def test_a_full_disk_is_no_bad_sample(
    shards: Path, run: Path, tmp_path: Path, capsys: Capture
) -> None:
    (tmp_path / "file").touch()
    more = ("--cache", str(tmp_path / "file"), "--skip-bad", "--workers", "1")
    with serving(shards) as web:
        ran = called(capsys, train_main, *options(Path("set"), run, "--shards", web.url, *more))
    assert ran.code == FAILED
    assert re.search(rf"error: .*File exists: \S+ cannot be kept in {tmp_path}/file", ran.err)


def test_a_set_may_be_moved_during_a_run(
    whole: tuple[Path, Ran], shards: Path, tmp_path: Path, capsys: Capture
) -> None:
    shutil.copytree(shards, tmp_path / "moved")
    ran = called(capsys, train_main, *options(tmp_path / "moved", whole[0], "--resume"))
    assert ran.code == DONE, ran


def test_a_finished_run_has_nothing_left_to_do(
    whole: tuple[Path, Ran], shards: Path, run: Path, capsys: Capture
) -> None:
    shutil.copytree(whole[0], run)
    ran = called(capsys, train_main, *options(shards, run, "--resume"))
    assert ran.code == DONE, ran
    assert_same(run, whole[0])


def test_a_finished_run_can_be_trained_longer(
    whole: tuple[Path, Ran], shards: Path, run: Path, capsys: Capture
) -> None:
    shutil.copytree(whole[0], run)
    ran = called(capsys, train_main, *options(shards, run, "--resume", "--iterations", "14"))
    assert ran.code == DONE, ran
    assert (
        f"{run}: goes on from iteration 12 to 14; the learning rate falls as in a run of 14 "
        "iterations from here on\n"
    ) in ran.err
    assert [line["iteration"] for line in steps(run)] == list(range(14))
    assert [line["iteration"] for line in lines(run) if "validation" in line] == [6, 12, 14]
    config = json.loads((run / "config.json").read_text())
    before = json.loads((whole[0] / "config.json").read_text())
    assert config == {**before, "iterations": 14, "iterations_from": {"0": 12, "12": 14}}

    # The two iterations are those of a run that was to have 14 from the beginning
    other = run.with_name("other")
    try:
        shutil.copytree(whole[0], other)
        settings = settings_of(shards, iterations=14, validate_every=6)
        train(opened(settings), settings, other, ALONE, silent)
        assert_same(other, run)
    finally:
        shutil.rmtree(other)

    less = ("--resume", "--iterations", "13")
    ran = called(capsys, train_main, *options(shards, run, *less))
    said = f"error: {run}: has done 14 iterations; give --iterations 14 or more\n"
    assert (ran.code, ran.err) == (FAILED, said)

    # Without a number, it stays at the last one
    arguments = options(shards, run, "--resume")
    where = arguments.index("--iterations")
    ran = called(capsys, train_main, *arguments[:where], *arguments[where + 2 :])
    assert ran.code == DONE, ran
    assert "goes on from" not in ran.err
    assert json.loads((run / "config.json").read_text()) == config


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

    # Killed before the first iteration was saved, it starts from these weights again
    again = run.with_name("again")
    try:
        shutil.copytree(run, again)
        shutil.rmtree(checkpoints(again)[-1])
        shutil.rmtree(again / "best")
        resumed = ("--iterations", "2", "--keep", "9", "--seed", "3", "--resume")
        ran = called(capsys, train_main, *options(shards, again, *resumed))
        assert ran.code == DONE, ran
        assert_same(again, run)
    finally:
        shutil.rmtree(again)

    ran = called(capsys, train_main, *options(shards, run, "--init", str(run), "--resume"))
    assert ran.code == WRONG_USAGE
    assert "--init is for a new run" in ran.err


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
        (("--init", "s3://a/b"), WRONG_USAGE, "only paths of this machine work here"),
        (("--out", "s3://a/b"), WRONG_USAGE, "only paths of this machine work here"),
    ],
)
def test_mistakes(
    shards: Path, run: Path, capsys: Capture, arguments: tuple[str, ...], code: int, said: str
) -> None:
    ran = called(capsys, train_main, *options(shards, run, *arguments))
    assert (ran.code, ran.out) == (code, "")
    assert said in " ".join(ran.err.replace("│", " ").split())
    assert not run.exists()  # so that the same command, put right, is not refused


def silent(news: News) -> None:
    """Print nothing."""


def settings_of(shards: Path, **changes: Any) -> TrainSettings:
    small = {"iterations": 2, "batch_size": BATCH, "crop_size": CROP, "workers": 0, "keep": 1}
    return TrainSettings(**{"shards": str(shards), **small, **changes})


def test_a_loss_that_is_no_number_stops_the_run(
    whole: tuple[Path, Ran], shards: Path, run: Path, capsys: Capture
) -> None:
    shutil.copytree(whole[0], run)
    saved = checkpoints(run)[0].rename(run / "checkpoints/00000005")
    state = json.loads((saved / STATE).read_text())
    (saved / STATE).write_text(json.dumps({**state, "iteration": 5}))
    broken = load_file(saved / MODEL)
    broken["encoder.stem.0.1.weight"][3] = math.nan
    save_file(broken, saved / MODEL, {"variant": "an-tw"})
    before = {path: path.read_bytes() for path in run.glob("*/*/*.safetensors")}

    ran = called(capsys, train_main, *options(shards, run, "--resume", "--workers", "0"))
    settings = settings_of(shards, iterations=ITERATIONS)
    with closing(batches(opened(settings), settings, 5, 6)) as made:
        (batch,) = made
    assert ran.code == FAILED
    assert ran.err.endswith(
        f"\nerror: iteration 5: the loss is nan on samples {', '.join(batch.keys)}; "
        "the checkpoints saved before are good\n"
    )
    assert {path: path.read_bytes() for path in run.glob("*/*/*.safetensors")} == before
    assert [line["iteration"] for line in steps(run)] == list(range(5))


def test_a_gradient_that_is_no_number_is_named(shards: Path, run: Path) -> None:
    settings = settings_of(shards, iterations=9)
    learner = Learner(settings, ALONE)
    last = learner.model.alpha_decoder.head.weight
    last.register_hook(lambda gradient: gradient * math.inf)
    with closing(batches(opened(settings), settings, 0, 1)) as made, RunLog(run, 0) as log:
        batch = next(made)
        log.add(learner.step(7, batch))
        keys = ", ".join(batch.keys)
        with pytest.raises(
            FloatingPointError, match=f"iteration 7: the gradient .*samples {keys};"
        ):
            log.flush()


def test_weights_that_are_no_numbers_are_not_saved(shards: Path, run: Path) -> None:
    """As after a gradient that is not finite, in this process or another."""
    learner = Learner(settings_of(shards), ALONE)
    with torch.no_grad():
        next(learner.model.parameters())[0] = math.inf
    with pytest.raises(FloatingPointError, match=r"iteration 6: a weight is not finite"):
        learner.save(run, 7, is_best=True)
    assert not run.exists()


@pytest.mark.parametrize("variant", [Variant.AN, Variant.BASE])
def test_fixed_weights_stay(shards: Path, run: Path, variant: Variant) -> None:
    settings = settings_of(shards, variant=variant, weights_from=0.0, validate_every=9)
    train(opened(settings), settings, run, ALONE, silent)
    for row in steps(run):
        assert (row["s1"], row["s2"]) == pytest.approx((4.0, 4.0), rel=1e-6)
        parts = row["l1"] + row["l2"] + row["composition"] + row["ssim"] + REST * row["rest"]
        expected = parts if variant is Variant.BASE else (row["trimap"] + parts) / 32 + math.log(32)
        assert row["loss"] == pytest.approx(expected, rel=1e-5)
        assert (row["trimap"] > 0) == (variant is Variant.AN)
    assert (load_network(run).trimap_decoder is None) == (variant is Variant.BASE)


def test_the_model_sees_new_colours_and_the_loss_their_contrast(shards: Path) -> None:
    cpu = torch.device("cpu")
    settings = settings_of(shards, batch_size=8)
    with closing(batches(opened(settings), settings, 0, 1)) as made:
        batch = next(made)
    image, _, alpha, _, contrast = on_device(batch, cpu)
    maps = batch.colours.double().numpy()
    assert maps.shape == (8, 3, 4)
    assert image.is_contiguous(memory_format=torch.channels_last)
    assert batch.foreground is not None
    assert batch.background is not None
    assert contrast is not None
    for n, each in enumerate(maps):
        stored, foreground, background = (
            colours[n].permute(1, 2, 0).numpy() / 255
            for colours in (batch.image, batch.foreground, batch.background)
        )
        expected = np.clip(stored @ each[:, :3].T + each[:, 3], 0, 1)
        np.testing.assert_allclose(image[n].permute(1, 2, 0), expected, atol=1e-5)
        expected = np.minimum(np.abs((foreground - background) @ each[:, :3].T), 1)
        np.testing.assert_allclose(contrast[n].permute(1, 2, 0), expected, atol=1e-5)
    assert len({each.tobytes() for each in maps}) >= 4
    plain = replace(batch, colours=torch.eye(3, 4).expand(8, 3, 4))
    torch.testing.assert_close(on_device(plain, cpu)[0], batch.image.float() / 255)
    assert torch.equal(on_device(plain, cpu)[2], alpha)


@pytest.mark.parametrize("iteration", [0, 1, 11])
def test_a_step_is_as_long_as_the_learning_rate(shards: Path, iteration: int) -> None:
    """Adam's first step: each weight with a gradient moves by the rate."""
    settings = settings_of(shards, iterations=ITERATIONS, lr=1e-3)
    learner = Learner(settings, ALONE)
    before = [weights.detach().clone() for weights in learner.model.parameters()]
    with closing(batches(opened(settings), settings, 0, 1)) as made:
        step = learner.step(iteration, next(made))
    assert (step.iteration, len(step.keys)) == (iteration, BATCH)
    pairs = zip(before, learner.model.parameters(), strict=True)
    moved = max(float((new.detach() - old).abs().max()) for old, new in pairs)
    left = 1 - iteration / ITERATIONS
    assert moved == pytest.approx(1e-6 + (1e-3 - 1e-6) * left**0.9, rel=1e-2)


def test_bf16_learns_in_32_bits_and_a_set_may_hold_nothing_out(tmp_path: Path, run: Path) -> None:
    """One sample again and again: the errors fall."""
    write_set(tmp_path / "set", {Split.TRAIN: [1]}, size=(72, 80))
    settings = settings_of(
        tmp_path / "set", iterations=24, precision=Precision.BF16, lr=1e-3, log_every=5, colour=0
    )
    seen: list[News] = []
    train(opened(settings), settings, run, ALONE, seen.append)
    rows = steps(run)
    assert [line["iteration"] for line in lines(run)] == list(range(24)), "no validation"
    for name, share in (("trimap", 0.75), ("l1", 0.9)):
        assert np.mean([row[name] for row in rows[-4:]]) < share * rows[0][name]
    assert {x.dtype for x in weights(run).values()} == {torch.float32, torch.int64}
    assert not (run / "best").exists()
    state = (checkpoints(run)[-1] / STATE).read_text()
    assert json.loads(state, parse_constant=pytest.fail)["best"] is None
    panels: dict[str, Pixels] = {}
    assert validate(load_network(run), opened(settings), settings, panels.__setitem__) is None
    assert list(panels) == ["training/train-00000000"], "there is something to see nevertheless"
    assert load_network(run).trimap_decoder is not None
    assert [news.iteration for news in seen] == list(range(1, 25))
    assert [news.samples for news in seen] == list(range(2, 50, 2))
    with_losses = [news for news in seen if news.losses is not None]
    assert [news.iteration for news in with_losses] == [5, 10, 15, 20, 24]
    assert (seen[-1].bad, seen[-1].errors) == ((), None)
    losses = with_losses[1].losses
    assert losses is not None
    assert losses["l1"] == pytest.approx(np.mean([row["l1"] for row in rows[5:10]]))


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
    open_run(run, opened(settings), settings, False, ALONE)
    with pytest.raises(ValueError, match=r"val-00000000 \("):
        train(opened(settings), settings, run, ALONE, silent)
    assert [path.name for path in checkpoints(run)] == ["00000002"]
    lenient = replace(settings, skip_bad=True)
    open_run(
        run, opened(lenient), lenient, True, ALONE
    )  # it may be seen only now that some are bad
    train(opened(lenient), lenient, run, ALONE, silent)
    (validation,) = (line for line in lines(run) if "validation" in line)
    assert validation["iteration"] == 2


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


def unseen(name: str, picture: Pixels) -> None:
    """Show nobody."""


def test_the_score_is_that_of_the_metrics(shards: Path) -> None:
    model, settings = lively(), settings_of(shards)
    panels: dict[str, Pixels] = {}
    score = validate(model, open_shards(shards), settings, panels.__setitem__)
    samples = list(whole_samples(open_shards(shards)))
    found = [measure(matte(model, s.image, s.crude_trimap), s.alpha, s.trimap) for s in samples]
    expected = asdict(mean_of(found))
    assert score is not None
    assert asdict(score) == pytest.approx({name: expected[name] for name in asdict(score)})
    assert score.sad is not None
    assert score.sad_whole > score.sad > 0
    assert not model.training
    assert list(panels) == [f"validation/{sample.key}" for sample in samples]
    for panel, sample in zip(panels.values(), samples, strict=True):
        image, crude, estimated, alpha, truth = np.split(panel, 5, axis=1)
        assert (image == sample.image).all()
        assert (crude == sample.crude_trimap[..., None] * 127).all()
        assert set(np.unique(estimated)) <= {0, 127, 254}
        assert (alpha == matte(model, sample.image, sample.crude_trimap)[..., None]).all()
        assert (truth == sample.alpha[..., None]).all()
    one = validate(model, open_shards(shards), replace(settings, validation_samples=1), unseen)
    assert one is not None
    assert one.sad_whole == pytest.approx(found[0].sad_whole)


# Several processes


def free_port() -> int:
    """Not one of those that the system gives away: another program could get it meanwhile."""
    for port in random.sample(range(10_000, 32_000), 100):
        with socket.socket() as one, contextlib.suppress(OSError):
            one.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")


def torchrun(*arguments: str) -> subprocess.Popen[str]:
    """Two of them, which talk over loopback; only torch's store of addresses listens elsewhere."""
    port = free_port()
    agent = ("-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-addr", "127.0.0.1")
    return started(*agent, "--master-port", f"{port}", "-m", "training", *arguments)


@pytest.fixture(autouse=True)
def loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where gloo listens."""
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")


def ended(process: subprocess.Popen[str], seconds: float = 60) -> tuple[int, str]:
    """Exit code and standard error; torchrun shows tracebacks of its own for what failed."""
    try:
        _, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise
    return process.returncode, err


def first_batches(settings: TrainSettings, count: int) -> list[list[Batch]]:
    """Of each of two processes."""
    found = []
    for rank in range(2):
        with closing(batches(opened(settings), settings, 0, count, rank, 2)) as made:
            found.append(list(made))
    return found


def test_two_processes_share_an_epoch(shards: Path) -> None:
    total = sum(TRAIN_SAMPLES)
    ours, theirs = first_batches(settings_of(shards, batch_size=1), total)
    epochs = [
        {(batch.epoch, key) for batch in made for key in batch.keys} for made in (ours, theirs)
    ]
    assert not epochs[0] & epochs[1]
    # Two epochs in all: each process has one shard in the one, the other in the next
    assert set(Counter(epoch for epoch, _ in epochs[0] | epochs[1]).values()) == {total}
    assert len({key for _, key in epochs[0]}) == total


def gradients(settings: TrainSettings, batch: Batch) -> tuple[float, list[Tensor], MattingModel]:
    """Of a single process, at the first iteration."""
    torch.manual_seed(settings.seed)
    model = MattingModel().to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch forgot this one
    loss = MattingLoss(settings.area, trainable_weights=True)
    image, given, alpha, trimap, contrast = on_device(batch, torch.device("cpu"))
    found = loss(model.train()(image, given), given, alpha, trimap, contrast).total
    found.backward()
    return float(found.detach()), [p.grad for p in model.parameters() if p.grad is not None], model


def test_two_processes_learn_from_both_and_resume(shards: Path, run: Path, capsys: Capture) -> None:
    small = (*SMALL, "--workers", "1", "--iterations", "3")
    often = ("--checkpoint-every", "1", "--validate-every", "2", "--keep", "3")
    arguments = ("--shards", str(shards), "--out", str(run), *small, *often)
    code, err = ended(torchrun(*arguments))
    assert code == DONE, err
    assert err.count(f"{run}: trained") == 1, "one process speaks"
    assert [path.name for path in checkpoints(run)] == ["00000001", "00000002", "00000003"]
    assert [line["iteration"] for line in lines(run)] == [0, 1, 2, 2, 3]

    settings = settings_of(shards)
    ours, theirs = first_batches(settings, 1)
    loss, first, model = gradients(settings, ours[0])
    _, second, _ = gradients(settings, theirs[0])
    assert steps(run)[0]["loss"] == pytest.approx(loss, rel=1e-6)
    moments = load_file(run / "checkpoints/00000001" / OPTIMIZER)
    names = [name for name, _ in model.named_parameters()]
    assert len(first) == len(second) == len(names)
    for number, name in enumerate(names):
        mean = (first[number] + second[number]) / 2
        found = moments[f"{number}.exp_avg"] / 0.1  # 1 - beta1, after one step
        scale = float(mean.abs().max())
        torch.testing.assert_close(found, mean, rtol=0, atol=1e-3 * scale + 1e-9, msg=name)

    # Killed after the first iteration, as far as files can tell
    again = run.with_name("again")
    try:
        shutil.copytree(run, again)
        for later in checkpoints(again)[1:]:
            shutil.rmtree(later)
        shutil.rmtree(again / "best", ignore_errors=True)
        code, err = ended(torchrun(*arguments, "--out", str(again), "--resume"))
        assert code == DONE, err
        assert_same(again, run)
        code, err = ended(torchrun(*arguments))
        assert code == FAILED
        assert err.count(f"error: {run}: a run is here; ") == 1
        assert "Connection closed" not in err, "the others know why they end"
        ran = called(capsys, train_main, *arguments, "--out", str(again), "--resume")
        assert ran.code == FAILED
        last = ran.err.splitlines()[-1]
        assert last.startswith(f"error: {again}: was trained by 2 processes, these are 1; ")
    finally:
        shutil.rmtree(again)


def test_two_processes_that_a_system_stops_save(shards: Path, run: Path) -> None:
    """torchrun passes the signal on; its own exit code is 1, after a traceback of its own."""
    often = ("--checkpoint-every", "2", "--validate-every", "999", "--iterations", "999")
    stopped = torchrun("--shards", str(shards), "--out", str(run), *SMALL, "--workers", "1", *often)
    wait_for(run / "checkpoints/00000002", stopped)
    stopped.terminate()
    _, err = ended(stopped)
    said = "error: interrupted by SIGTERM; training goes on with --resume where it stopped"
    assert err.count(said) == 1, "one process speaks"
    assert stopped.returncode == FAILED
    done = int(checkpoints(run)[-1].name)
    assert [line["iteration"] for line in steps(run)] == list(range(done))
    assert json.loads((checkpoints(run)[-1] / STATE).read_text())["world"] == 2


def test_a_process_that_fails_ends_the_others(tmp_path: Path, run: Path) -> None:
    """One shard each, one of them broken: that process names it, and nobody waits for it."""
    root = tmp_path / "set"
    write_set(root, {Split.TRAIN: [3, 3]}, size=(72, 80))
    ours, theirs = first_batches(settings_of(root), 1)
    assert ours[0].keys != theirs[0].keys
    bad = int(theirs[0].keys[0].rpartition("-")[2]) // 3
    break_sample(root, Split.TRAIN, bad)
    arguments = ("--shards", str(root), "--out", str(run), *SMALL, "--workers", "0")
    code, err = ended(torchrun(*arguments, "--iterations", "1000"))
    assert code == FAILED
    assert re.search(rf"error: .*train-0000{bad}\.tar: .*train-0000000\d \(", err), err
