"""Checkpoints: weights as safetensors, everything else as JSON; no pickle is ever read.

runs/NAME/
  config.json                    the settings of the run
  metrics.jsonl                  one line an iteration, one a validation
  checkpoints/00002000/          the last few; a folder is there only when it is whole
    model.safetensors            weights, and the variant in its header
    optimizer.safetensors        Adam's moments, and s1 and s2
    state.json                   the iteration to go on with
  best/                          the checkpoint with the least validation error
"""

from __future__ import annotations

import json
import shutil
import struct
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from training.model import MattingModel, Variant

MODEL, OPTIMIZER, STATE = "model.safetensors", "optimizer.safetensors", "state.json"
_PART = ".part-"


def checkpoints(run: Path) -> list[Path]:
    """The whole checkpoints of a run, oldest first."""
    folder = run / "checkpoints"
    found = folder.iterdir() if folder.is_dir() else iter(())
    return sorted(path for path in found if path.name.isdecimal())


def save(
    run: Path,
    model: nn.Module,
    variant: Variant,
    optimizer: torch.optim.Optimizer,
    beside: Mapping[str, Tensor],
    state: dict[str, Any],
) -> Path:
    """Write a checkpoint: its folder. beside: tensors that the model does not hold."""
    iteration = state["iteration"]
    target = run / "checkpoints" / f"{iteration:08d}"
    with _folder(target) as part:
        metadata = {"variant": str(variant), "iteration": str(iteration)}
        save_file(_plain(model.state_dict()), part / MODEL, metadata)
        save_file({**_moments(optimizer), **_plain(beside)}, part / OPTIMIZER)
        (part / STATE).write_text(json.dumps(state) + "\n")
    return target


def prune(run: Path, keep: int) -> None:
    """Remove all but the last `keep` checkpoints."""
    for old in checkpoints(run)[:-keep]:
        shutil.rmtree(old)


def save_best(run: Path, checkpoint: Path) -> None:
    """Make `best` a copy of a checkpoint's model."""
    with _folder(run / "best") as part:
        shutil.copy(checkpoint / MODEL, part / MODEL)
        shutil.copy(checkpoint / STATE, part / STATE)


def load(
    checkpoint: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    beside: Mapping[str, Tensor],
) -> dict[str, Any]:
    """Put a checkpoint back into a model, its optimizer and what is beside; its state."""
    model.load_state_dict(load_file(checkpoint / MODEL))
    tensors = load_file(checkpoint / OPTIMIZER)
    with torch.no_grad():
        for name, value in beside.items():
            value.copy_(tensors.pop(name))
    _restore(optimizer, tensors)
    state: dict[str, Any] = json.loads((checkpoint / STATE).read_text())
    return state


def find_model(path: Path) -> Path:
    """The weights that a path means: a file, a checkpoint, or a run (its best, else its last)."""
    if path.is_file():
        return path
    candidates = [path, path / "best", *reversed(checkpoints(path))]
    for folder in candidates:
        if (folder / MODEL).is_file():
            return folder / MODEL
    raise FileNotFoundError(f"{path}: no checkpoint here; give a run, a checkpoint or a {MODEL}")


def load_model(path: Path) -> MattingModel:
    """The model of a checkpoint in evaluation mode, with the decoders that it was trained with.

    Raises FileNotFoundError if there is none, ValueError if it is not one of this program's.
    """
    file = find_model(path)
    try:
        with safe_open(file, framework="pt") as content:
            variant = Variant((content.metadata() or {})["variant"])
        model = MattingModel(trimap_decoder=variant is not Variant.BASE)
        model.load_state_dict(load_file(file))
    except (SafetensorError, KeyError, ValueError, RuntimeError, struct.error) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"{file}: not a checkpoint of this model: {reason}") from error
    return model.eval()


@contextmanager
def _folder(target: Path) -> Iterator[Path]:
    """A folder written beside its place and renamed: presence means whole."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{_PART}{uuid.uuid4().hex[:12]}")
    part.mkdir()
    try:
        yield part
        if target.exists():
            old = target.with_name(f"{_PART}{uuid.uuid4().hex[:12]}")
            target.rename(old)
            part.rename(target)
            shutil.rmtree(old)
        else:
            part.rename(target)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def sweep(run: Path) -> None:
    """Remove what killed writers left."""
    for part in [*run.glob(f"{_PART}*"), *run.glob(f"checkpoints/{_PART}*")]:
        shutil.rmtree(part, ignore_errors=True)


def _plain(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """As files hold them: contiguous, whatever the memory format of the run."""
    return {name: value.detach().cpu().contiguous() for name, value in tensors.items()}


def _moments(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    state = optimizer.state_dict()["state"]
    named = {f"{n}.{key}": value for n, values in state.items() for key, value in values.items()}
    return _plain(named)


def _restore(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        number, _, key = name.partition(".")
        state.setdefault(int(number), {})[key] = value
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
