"""A shard set of small samples, a model in which every weight counts, and the two commands."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from console.commands import DONE
from manifests.pictures import write_alpha
from manifests.pixels import ImageCodec, encode_colour
from manifests.sources import Split
from manifests.storage import write_bytes
from tests.conftest import Ran, finish
from tests.training.runs import options, process
from tests.training.shard_sets import write_set
from tests.training.three_pictures import SIZES, levels, picture
from training.checkpoint import save
from training.choices import Variant
from training.net.model import MattingModel

MATTE = "from training.matte.cli import matte_main; matte_main()"
TRAIN_SAMPLES, VAL_SAMPLES = (7, 5), 3


@functools.cache
def lively(layout: torch.memory_format = torch.contiguous_format) -> MattingModel:
    """Weights as after training: each block adds to its shortcut, alphas spread. Not to be changed.

    In a fresh model the last norm of each block is zero and all alphas are 0.5, so that much could
    be wrong in between without a trace.
    """
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = MattingModel()
        norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
        for norm in norms:
            nn.init.uniform_(norm.weight, 0.5, 1.0)
            nn.init.uniform_(norm.bias, -0.2, 0.2)
            norm.momentum = 1.0  # the statistics of the next batch become those of the model
        image, trimap = torch.rand(2, 3, 96, 96), torch.randint(0, 3, (2, 1, 96, 96)).float()
        with torch.no_grad():
            logits = model.train()(image, trimap).alpha.logit(eps=1e-3)
            model.alpha_decoder.head.weight /= logits.std()
        for norm in norms:
            norm.momentum = 0.1
    return model.eval().to(memory_format=layout)  # type: ignore[call-overload,no-any-return]  # torch forgot this one


@pytest.fixture(scope="session")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two shards to train on, one held out. Not to be changed."""
    root = tmp_path_factory.mktemp("shards") / "set"
    write_set(root, {Split.TRAIN: TRAIN_SAMPLES, Split.VAL: [VAL_SAMPLES]}, size=(72, 80))
    return root


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Sums in the order of a process with one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
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


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the lively model."""
    run = tmp_path_factory.mktemp("run")
    optimizer = torch.optim.Adam(lively().parameters())
    return save(run, lively(), Variant.AN, optimizer, {}, {"iteration": 3})


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """images, alphas, trimaps and crude (trimaps of the levels 0, 128, 255) of three pictures."""
    for name in SIZES:
        pixels = picture(name)
        suffix = ".jpg" if name == "fur" else ".png"
        codec = ImageCodec.JPEG if name == "fur" else ImageCodec.PNG
        write_bytes(tmp_path / "images" / (name + suffix), encode_colour(pixels["image"], codec))
        write_alpha(tmp_path / "alphas" / f"{name}.png", pixels["alpha"])
        write_alpha(tmp_path / "trimaps" / f"{name}.png", levels(pixels["trimap"]))
        write_alpha(tmp_path / "crude" / f"{name}.png", levels(pixels["crude_trimap"]))
    return tmp_path
