"""Killed, interrupted or made longer, a run computes what it should, to the bit."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn.modules.module import register_module_forward_hook
from torch.utils.hooks import RemovableHandle

from console.commands import DONE, FAILED
from manifests import open_shards
from manifests.sources import Split
from tests.conftest import Ran, finish
from tests.training.conftest import TRAIN_SAMPLES, VAL_SAMPLES
from tests.training.runs import (
    ALONE,
    ITERATIONS,
    Capture,
    assert_same,
    called,
    lines,
    options,
    process,
    settings_of,
    silent,
    steps,
    wait_for,
    weights,
)
from tests.training.shard_sets import opened, write_set
from training.checkpoint import MODEL, OPTIMIZER, STATE, checkpoints
from training.choices import Precision
from training.cli import train_main
from training.loading.batches import batches
from training.log import METRICS, RunLog
from training.matte.metrics import Errors
from training.net.decoders import AlphaDecoder
from training.runs import open_run
from training.train import Stopped, train

pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.slow]


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


def test_bf16_and_the_mean_of_the_weights_go_on_to_the_bit(shards: Path, run: Path) -> None:
    settings = settings_of(
        shards, precision=Precision.BF16, ema=0.9, iterations=4, checkpoint_every=2, keep=2
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
    trained, mean = weights(run, OPTIMIZER), weights(run)
    same = {name for name, value in mean.items() if torch.equal(value, trained[f"trained.{name}"])}
    assert {name.rpartition(".")[2] for name in same} == {"num_batches_tracked"}


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
        (("--out", str(none), "--resume"), f"{none}: there is no run here to resume"),
        (options(shards, run), f"{run}: a run is here; go on with --resume, or name another --out"),
        (
            options(shards, run, "--resume", *changed),
            f"{run}: is a run with other settings (lr: 0.0001 -> 0.001, seed: 0 -> 1); "
            "leave out what differs",
        ),
    ):
        ran = called(capsys, train_main, *arguments)
        assert (ran.code, ran.out) == (FAILED, "")
        assert ran.err == f"error: {said}\n"
    assert not none.exists()

    other = run.with_name("other")
    counts = {Split.TRAIN: [1] * sum(TRAIN_SAMPLES), Split.VAL: [VAL_SAMPLES]}
    write_set(other, counts, size=(64, 64))
    ran = called(capsys, train_main, *options(other, run, "--resume"))
    assert ran.code == FAILED
    assert ran.err == f"error: {run}: was trained on other shards than those of {other}\n"
    assert (run / METRICS).read_bytes() == before


def test_what_ended_before_its_first_checkpoint_is_begun_again(shards: Path, run: Path) -> None:
    settings = settings_of(shards)
    with open_run(run, opened(settings), settings, False, ALONE):
        other = replace(settings, seed=1)
        with pytest.raises(ValueError, match="another process is training there"):
            open_run(run, opened(other), other, False, ALONE)
        assert json.loads((run / "config.json").read_text())["seed"] == 0
    open_run(run, opened(other), other, False, ALONE).close()
    assert json.loads((run / "config.json").read_text())["seed"] == 1
    (run / "config.json").write_text("")
    with pytest.raises(ValueError, match=r"config\.json: not the settings of a run"):
        open_run(run, opened(other), other, True, ALONE)


def test_a_run_is_logged_by_one_process(run: Path) -> None:
    """Also if both have found that nobody trains there, and then begin at the same time."""
    with RunLog(run, 0) as first:
        first.validation(1, Errors(1.0, 2.0, 3.0, 4.0))
        with pytest.raises(ValueError, match="another process is training there"):
            RunLog(run, 0)
        first.validation(2, Errors(1.0, 2.0, 3.0, 4.0))
        assert len((run / METRICS).read_text().splitlines()) == 2
    with RunLog(run, 1):
        assert len((run / METRICS).read_text().splitlines()) == 1


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
    open_run(run, opened(settings), settings, True, ALONE).close()
    with pytest.raises(ValueError, match=r"other settings \(layers: True -> False\)"):
        open_run(run, open_shards(shards), replace(settings, layers=False), True, ALONE)
    assert json.loads(EARLIER).keys() < settings.to_dict().keys() | {"samples"}


def test_a_finished_run_whose_set_has_moved_has_nothing_left_to_do(
    whole: tuple[Path, Ran], shards: Path, run: Path, tmp_path: Path, capsys: Capture
) -> None:
    shutil.copytree(whole[0], run)
    shutil.copytree(shards, tmp_path / "moved")
    ran = called(capsys, train_main, *options(tmp_path / "moved", run, "--resume"))
    assert ran.code == DONE, ran
    assert_same(run, whole[0])


def test_a_finished_run_can_be_trained_longer(
    whole: tuple[Path, Ran], shards: Path, run: Path, capsys: Capture
) -> None:
    shutil.copytree(whole[0], run)
    resumed = ("--out", str(run), "--resume", "--device", "cpu")  # its options are known
    ran = called(capsys, train_main, *resumed, "--iterations", "14")
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

    ran = called(capsys, train_main, *resumed, "--iterations", "13")
    said = f"error: {run}: has done 14 iterations; give --iterations 14 or more\n"
    assert (ran.code, ran.err) == (FAILED, said)

    # Without a number, it stays at the last one
    ran = called(capsys, train_main, *resumed)
    assert ran.code == DONE, ran
    assert "goes on from" not in ran.err
    assert json.loads((run / "config.json").read_text()) == config

    # What changes no batch may change, and stays changed
    for more in (("--keep", "9", "--skip-bad"), (), ("--no-skip-bad",)):
        ran = called(capsys, train_main, *resumed, *more)
        assert ran.code == DONE, ran
    found = json.loads((run / "config.json").read_text())
    assert found == {**config, "keep": 9}


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
