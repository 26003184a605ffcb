"""What a run leaves for people: metrics.jsonl, and TensorBoard's scalars and panels."""

from __future__ import annotations

import fcntl
import json
import math
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from torch import Tensor

from manifests.pixels import Pixels
from manifests.storage import write_bytes
from training.net.losses import Losses
from training.validate import Score

METRICS = "metrics.jsonl"


class Step(NamedTuple):
    iteration: int
    keys: tuple[str, ...]
    losses: Losses
    sigmas: Tensor  # s1, s2
    gradient: Tensor  # its L2 norm


class RunLog:
    """The log of a run in the process that writes; `run` is None in the others, which only check.

    Losses are kept as tensors until `flush`, so that a GPU need not wait for each of them.
    """

    def __init__(self, run: Path | None, first: int) -> None:
        self._run, self._pending = run, list[Step]()
        if run is None:
            return
        _forget_after(run / METRICS, first)
        from torch.utils.tensorboard import SummaryWriter  # takes a second

        self._board = SummaryWriter(str(run / "tensorboard"), purge_step=first)
        self._lines = (run / METRICS).open("a", encoding="utf-8")
        if not _lock(self._lines):  # until it is closed
            raise ValueError(f"{run}: another process is training there")

    def __enter__(self) -> RunLog:
        return self

    def __exit__(self, *error: Any) -> None:
        if self._run is not None:
            self._lines.close()
            self._board.close()

    def add(self, step: Step) -> None:
        """Remember one iteration."""
        self._pending.append(step)

    def flush(self) -> dict[str, float]:
        """Write what was added; returns means. Raises FloatingPointError that names the batch."""
        rows = [_row(step) for step in self._pending]
        for step, row in zip(self._pending, rows, strict=True):
            for name in ("loss", "gradient"):  # a sound loss may have a gradient that is none
                if not math.isfinite(row[name]):
                    raise FloatingPointError(
                        f"iteration {step.iteration}: the {name} is {row[name]} on samples "
                        f"{', '.join(step.keys)}; what was saved before is sound"
                    )
        self._pending.clear()
        if self._run is not None:
            for row in rows:
                self._lines.write(json.dumps(row) + "\n")
            self._lines.flush()
            self._board.flush()  # what comes next may be a checkpoint, and then the end
            for name, value in (rows[-1] if rows else {}).items():
                if name != "iteration":
                    self._scalar(f"train/{name}", value, int(rows[-1]["iteration"]))
        names = [name for name in rows[0] if name != "iteration"] if rows else []
        return {name: float(np.mean([row[name] for row in rows])) for name in names}

    def score(self, done: int, score: Score) -> None:
        if self._run is not None:
            self._lines.write(json.dumps({"iteration": done, "validation": asdict(score)}) + "\n")
            self._lines.flush()
            for name, value in asdict(score).items():
                self._scalar(f"validation/{name}", value, done)

    def panels(self, done: int) -> Callable[[str, Pixels], None]:
        """A function that shows a picture, H x W x 3, under a name."""

        def show(name: str, picture: Pixels) -> None:
            if self._run is not None:
                self._board.add_image(name, picture, done, dataformats="HWC")

        return show

    def _scalar(self, name: str, value: float, iteration: int) -> None:
        self._board.add_scalar(name, value, iteration)


def is_busy(run: Path) -> bool:
    """Whether another process is writing this run's log."""
    if not (run / METRICS).exists():
        return False
    with (run / METRICS).open() as lines:
        return not _lock(lines)


def _lock(file: IO[str]) -> bool:
    """False if another process has it. On file systems without locks nobody does."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def _row(step: Step) -> dict[str, float]:
    losses = step.losses
    named = {
        "loss": losses.total,
        **losses.alpha._asdict(),
        "rest": losses.rest,
        "trimap": losses.trimap,
        "s1": step.sigmas[0],
        "s2": step.sigmas[1],
        "gradient": step.gradient,
    }
    return {"iteration": step.iteration, **{name: float(value) for name, value in named.items()}}


def _forget_after(path: Path, first: int) -> None:
    """Drop the lines of iterations that a killed process did after its last checkpoint."""
    if path.exists():
        kept = []
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                row = json.loads(line)
            except ValueError:  # the last line, cut short
                continue
            done = row["iteration"] + ("validation" not in row)
            if done <= first:
                kept.append(line)
        write_bytes(path, "".join(line + "\n" for line in kept).encode())
