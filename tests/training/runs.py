"""Runs of training: how they are begun, and what they leave."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from manifests.pixels import Pixels
from manifests.storage import Location
from tests.conftest import QUIET, Ran
from tests.nodes import apart
from training.checkpoint import MODEL, OPTIMIZER, checkpoints
from training.log import METRICS
from training.processes import Processes
from training.settings import TrainSettings
from training.train import News

ONE_THREAD = {"OMP_NUM_THREADS": "1"}
ITERATIONS, BATCH, CROP, EVERY = 12, 2, 64, 4
SMALL = ("--batch-size", f"{BATCH}", "--crop-size", f"{CROP}", "--device", "cpu")
OFTEN = ("--checkpoint-every", f"{EVERY}", "--validate-every", "6", "--keep", "1")
TERMS = ["loss", "l1", "l2", "composition", "ssim", "rest", "trimap", "s1", "s2", "gradient"]
ALONE = Processes(0, 1, torch.device("cpu"))
Capture = pytest.CaptureFixture[str]


def started(*command: str, is_apart: bool = False, **variables: str) -> subprocess.Popen[str]:
    """Python with these arguments as a process of one thread, the leader of its own group.

    is_apart: on a machine of its own.
    """
    python = [sys.executable, *command]
    return subprocess.Popen(
        apart(*python) if is_apart else python,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | QUIET | ONE_THREAD | variables,
        start_new_session=True,
    )


def options(shards: Location, run: Location, *more: str) -> list[str]:
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


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 300
    while not path.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, f"{path} never came"
        time.sleep(0.005)


def silent(news: News) -> None:
    """Print nothing."""


def settings_of(shards: Path, **changes: Any) -> TrainSettings:
    small = {"iterations": 2, "batch_size": BATCH, "crop_size": CROP, "workers": 0, "keep": 1}
    return TrainSettings(**{"shards": str(shards), **small, **changes})


def unseen(name: str, picture: Pixels) -> None:
    """Show nobody."""


def called(
    capsys: pytest.CaptureFixture[str], main: Callable[[list[str]], None], *arguments: str
) -> Ran:
    """`train_main` or `matte_main` in this process."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        main(list(arguments))
    printed = capsys.readouterr()
    return Ran(int(stop.value.code or 0), printed.out, printed.err)
