"""Two processes of torchrun learn from both halves of an epoch, and end together."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from console.commands import DONE, FAILED
from manifests.sources import Split
from manifests.storage import Url, files_below, read_bytes, write_bytes
from tests.conftest import contents
from tests.object_store import BUCKET, Store
from tests.ports import free_port
from tests.training.conftest import TRAIN_SAMPLES
from tests.training.runs import (
    SMALL,
    Capture,
    assert_same,
    called,
    lines,
    settings_of,
    started,
    steps,
    wait_for,
)
from tests.training.shard_sets import break_sample, opened, write_set
from training.checkpoint import OPTIMIZER, STATE, checkpoints
from training.cli import train_main
from training.learner import on_device
from training.loading.batches import Batch, batches
from training.net.losses import MattingLoss
from training.net.model import MattingModel
from training.processes import LOST, Processes
from training.runs import begin
from training.settings import TrainSettings

LOOPBACK: dict[str, Any] = {"GLOO_SOCKET_IFNAME": "lo"}  # where gloo listens
OFTEN = ("--checkpoint-every", "1", "--validate-every", "2", "--keep", "3")
THREE = (*SMALL, "--workers", "0", "--iterations", "3", *OFTEN)

pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.slow]


def torchrun(*arguments: str) -> subprocess.Popen[str]:
    """Two of them, which talk over loopback; only torch's store of addresses listens elsewhere."""
    port = free_port()
    agent = ("-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-addr", "127.0.0.1")
    return started(*agent, "--master-port", f"{port}", "-m", "training", *arguments, **LOOPBACK)


def two(*arguments: str, are_apart: bool = False) -> list[subprocess.Popen[str]]:
    """As torchrun starts them, without the seconds that it takes itself.

    are_apart: each on a machine of its own.
    """
    shared: dict[str, Any] = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": f"{free_port()}",
        "WORLD_SIZE": "2",
    }
    shared |= LOOPBACK | ({"TMPDIR": "/tmp"} if are_apart else {})
    command = ("-m", "training", *arguments)
    return [
        started(*command, is_apart=are_apart, **shared, RANK=rank, LOCAL_RANK=rank)
        for rank in ("0", "1")
    ]


def pair(*arguments: str) -> tuple[int, str]:
    """Two processes to their end: as `ended` says."""
    (code, first), (other, second) = map(ended, two(*arguments))
    assert code == other, first + second
    return code, first + second


def ended(process: subprocess.Popen[str], seconds: float = 300) -> tuple[int, str]:
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


@pytest.fixture(scope="module")
def trained(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A run of two processes. Not to be changed."""
    run = tmp_path_factory.mktemp("trained") / "run"
    code, err = pair("--shards", str(shards), "--out", str(run), *THREE)
    assert code == DONE, err
    assert err.count(f"{run}: trained") == 1, "one process speaks"
    yield run
    shutil.rmtree(run)


def test_two_processes_learn_from_both_and_resume(
    trained: Path, shards: Path, run: Path, capsys: Capture
) -> None:
    assert [path.name for path in checkpoints(trained)] == ["00000001", "00000002", "00000003"]
    assert [line["iteration"] for line in lines(trained)] == [0, 1, 2, 2, 3]

    settings = settings_of(shards)
    ours, theirs = first_batches(settings, 1)
    loss, first, model = gradients(settings, ours[0])
    _, second, _ = gradients(settings, theirs[0])
    assert steps(trained)[0]["loss"] == pytest.approx(loss, rel=1e-6)
    moments = load_file(trained / "checkpoints/00000001" / OPTIMIZER)
    names = [name for name, _ in model.named_parameters()]
    assert len(first) == len(second) == len(names)
    for number, name in enumerate(names):
        mean = (first[number] + second[number]) / 2
        found = moments[f"{number}.exp_avg"] / 0.1  # 1 - beta1, after one step
        scale = float(mean.abs().max())
        torch.testing.assert_close(found, mean, rtol=0, atol=1e-3 * scale + 1e-9, msg=name)

    # Killed after the first iteration, as far as files can tell
    shutil.copytree(trained, run)
    for later in checkpoints(run)[1:]:
        shutil.rmtree(later)
    shutil.rmtree(run / "best", ignore_errors=True)
    arguments = ("--shards", str(shards), "--out", str(run), *THREE)
    code, err = pair("--out", str(run), "--resume", "--device", "cpu")
    assert code == DONE, err
    assert_same(run, trained)
    code, err = pair(*arguments)
    assert code == FAILED
    assert err.count(f"error: {run}: a run is here; ") == 1
    assert err.count("error: another process of this training cannot begin") == 1
    ran = called(capsys, train_main, *arguments, "--resume")
    assert ran.code == FAILED
    last = ran.err.splitlines()[-1]
    assert last.startswith(f"error: {run}: was trained by 2 processes, these are 1; ")


def test_machines_that_share_nothing_but_a_store(trained: Path, shards: Path, store: Store) -> None:
    """First the one is lost, then the other one, in bad weather: to the bit as if nothing was."""
    root = Url(f"s3://{BUCKET}/two-machines")
    for name, data in contents(shards).items():
        write_bytes(root / "shards" / name, data)
    run = root / "run"
    arguments = ("--shards", str(root / "shards"), "--out", str(run), *THREE)
    store.latency, store.errors, store.throttled, store.cut = 0.05, 0.05, 0.05, 0.05
    resume: tuple[str, ...] = ()
    both: list[subprocess.Popen[str]] = []
    try:
        for lost, saved in ((1, "00000001"), (0, "00000002")):
            both = two(*arguments, *resume, are_apart=True)
            resume = ("--resume",)
            while not store.count("PUT", f"/run/checkpoints/{saved}/{STATE}"):
                assert [one.poll() for one in both] == [None, None], list(map(ended, both))
                time.sleep(0.02)
            both[lost].kill()
            code, err = ended(both[1 - lost])
            ended(both[lost])
            assert code == FAILED
            assert err.count("error") == 1, err
            assert re.search(rf"error: (iteration \d: )?{LOST}\n$", err), err
        both = two(*arguments, *resume, are_apart=True)
        ends = list(map(ended, both))
    finally:
        for one in both:
            one.kill()
            one.communicate()
        store.latency = store.errors = store.throttled = store.cut = 0.0
    assert [code for code, _ in ends] == [DONE, DONE], ends
    ours, theirs = (
        {n: data for n, data in files.items() if not n.startswith("tensorboard/")}
        for files in (contents(trained), {n: read_bytes(run / n) for n in files_below(run)})
    )
    assert theirs.keys() == {*ours, "owner"}
    assert [n for n, data in ours.items() if theirs[n] != data] == ["config.json"]


@dataclass(frozen=True)
class Second(Processes):
    """The second of two processes, by itself: it hears only what the first one began with."""

    config: bytes = b""

    def any(self, flag: bool) -> bool:
        return flag

    def share(self, data: bytes) -> bytes:
        return self.config


def test_processes_that_would_not_train_the_same_do_not_begin(
    trained: Path, shards: Path, tmp_path: Path
) -> None:
    """What does not change the batches is each one's own; the first one counts the iterations."""
    second = Second(1, 2, torch.device("cpu"), (trained / "config.json").read_bytes())
    alike = settings_of(shards, iterations=7, cache=str(tmp_path), workers=1)
    begun = begin(tmp_path, alike, False, second, None)
    assert begun.settings == replace(alike, iterations=3)
    with pytest.raises(ValueError, match=r"^the first process has other settings \(seed: 0 -> 1\)"):
        begin(tmp_path, replace(alike, seed=1), False, second, None)
    other = tmp_path / "other"
    write_set(other, {Split.TRAIN: [2, 2]})
    with pytest.raises(ValueError, match=f"^{other}: not the shards that the first process"):
        begin(tmp_path, replace(alike, shards=str(other)), False, second, None)


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
