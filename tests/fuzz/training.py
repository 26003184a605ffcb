"""What a run of the trainer leaves: checkpoints, and the settings of the run."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from manifests import open_shards
from manifests.sources import Split
from tests.training.shard_sets import write_set
from training import checkpoint
from training.checkpoint import MODEL, OPTIMIZER, STATE
from training.choices import Variant
from training.net.model import MattingModel
from training.processes import Processes
from training.runs import open_run
from training.settings import TrainSettings


class _Tiny(MattingModel):
    """One layer in the place of all others, so that its file is small."""

    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.layer = nn.Linear(2, 2)


class _Toy:
    """A network of six weights, and what learns it."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.network = _Tiny()
        self.weight = nn.Parameter(torch.ones(2))
        self.optimizer = torch.optim.Adam([*self.network.parameters(), self.weight])

    def save(self, run: Path) -> Path:
        (self.network.layer(torch.ones(1, 2)).square().mean() * self.weight.prod()).backward()
        self.optimizer.step()
        state = {"iteration": 3, "best": 0.5, "world": 1}
        beside = {"weight": self.weight.detach()}
        return checkpoint.save(run, self.network, Variant.AN, self.optimizer, beside, state)

    def load(self, saved: Path) -> None:
        beside = {"weight": self.weight.detach()}
        files = checkpoint.read(saved)
        checkpoint.load(files, str(saved), self.network, self.optimizer, beside)


def state_seeds(folder: Path) -> list[bytes]:
    """state.json."""
    return [(_Toy().save(folder) / STATE).read_bytes()]


def tensor_seeds(folder: Path) -> list[bytes]:
    """The weights and the moments of the optimizer."""
    saved = _Toy().save(folder)
    return [(saved / name).read_bytes() for name in (MODEL, OPTIMIZER)]


def read_state(data: bytes, folder: Path) -> None:
    """In a checkpoint that is sound otherwise."""
    saved = _saved(folder)
    (saved / STATE).write_bytes(data)
    _Toy().load(saved)


def read_tensors(data: bytes, folder: Path) -> None:
    """As the weights, and as the moments, of a checkpoint that is sound otherwise."""
    saved = _saved(folder)
    errors = []
    for name in (MODEL, OPTIMIZER):
        sound = (saved / name).read_bytes()
        (saved / name).write_bytes(data)
        try:
            _Toy().load(saved)
        except ValueError as error:
            errors.append(error)
        finally:
            (saved / name).write_bytes(sound)
    if len(errors) == 2:
        raise errors[0]


def _saved(folder: Path) -> Path:
    found = checkpoint.checkpoints(folder)
    return found[-1] if found else _Toy().save(folder)


def run_seeds(folder: Path) -> list[bytes]:
    """config.json."""
    _run(folder)
    return [(folder / "run" / "config.json").read_bytes()]


def read_run(data: bytes, folder: Path) -> None:
    """The run is gone on with."""
    if not (folder / "run").exists():
        _run(folder)
    (folder / "run" / "config.json").write_bytes(data)
    _open(folder, resume=True)


def _run(folder: Path) -> None:
    write_set(folder / "set", {Split.TRAIN: [2]}, size=(8, 9))
    (folder / "run").mkdir()
    _open(folder, resume=False)


def _open(folder: Path, resume: bool) -> None:
    with open_shards(folder / "set") as shards:
        settings = TrainSettings(str(folder / "set"), crop_size=8)
        open_run(
            folder / "run", shards, settings, resume, Processes(0, 1, torch.device("cpu"))
        ).close()
