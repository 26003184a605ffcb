"""What a run leaves for people to look at: metrics.jsonl, TensorBoard scalars and panels."""

from __future__ import annotations

import fcntl
import json
import math
import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from torch import Tensor

from manifests.documents import parse_object
from manifests.pixels import Pixels
from manifests.scratch import Scratch
from manifests.storage import (
    Location,
    Url,
    exists,
    fetch,
    files_below,
    make_folder,
    read_bytes,
    write_bytes,
)
from training.matte.metrics import Errors
from training.net.losses import Losses
from training.panels import PARTS, captioned

METRICS = "metrics.jsonl"
_BOARD = "tensorboard"
_BUSY = "{}: another process is training there"
_OWNER = "owner"  # in a store: which process trains the run, the one that began last

# What TensorBoard shows as text, in Markdown
_ABOUT = (
    """
| figure | what it is |
| --- | --- |
| train/loss | the sum that is minimised |
| train/l1, l2, composition, ssim | the terms of alpha in the area where it is trained |
| train/rest | the mean error of alpha everywhere else, which counts ten times |
| train/trimap | the cross entropy of the estimated trimap |
| train/s1, s2 | the weights of the losses of trimap and alpha, Eq. (3): a smaller one counts more |
| train/gradient | the length of the gradient |
| validation/sad, mse | SAD (in thousands) and MSE in the unknown area, means over the images |
| validation/sad_whole, mse_whole | the same over the whole images |

The pictures show, from left to right: """
    + ", ".join(PARTS)
    + """.
Trimaps are black where they say background, white where they say foreground and grey between.
"""
)


class Step(NamedTuple):
    iteration: int
    keys: tuple[str, ...]
    losses: Losses
    sigmas: Tensor  # s1, s2
    gradient: Tensor  # its L2 norm


class RunLog:
    """The log of a run. `run` is None in all processes but the first: they check, but do not write.

    first: how many iterations the last checkpoint had done; owes_validation: whether it was saved
    before their validation.

    Losses are kept as tensors until `flush`, so that a GPU does not wait after each step. That of a
    run in a store is written to temporary files, until `send`.
    """

    def __init__(self, run: Location | None, first: int, owes_validation: bool = False) -> None:
        self._run, self._pending = run, list[Step]()
        if run is None:
            return
        self._scratch, self._owner = Scratch(), uuid.uuid4().hex.encode()
        if isinstance(run, Url):
            self._folder = self._scratch.folder() / "run"
            write_bytes(run / _OWNER, self._owner)
            if exists(run / METRICS):
                fetch(run / METRICS, self._folder / METRICS)
        else:
            self._folder = run
        # Both files stay locked: the one that is replaced may be open in another process already
        self._before = self._locked()
        _forget_after(self._folder / METRICS, first, owes_validation)
        self._lines = self._locked()
        self._open_board(first)
        self._board.add_text("about", _ABOUT, first)

    def _locked(self) -> IO[str]:
        """The log, opened to go on with it. Raises ValueError if another process has it."""
        make_folder(self._folder)
        lines = (self._folder / METRICS).open("a", encoding="utf-8")
        if not _lock(lines):  # until it is closed
            lines.close()
            raise ValueError(_BUSY.format(self._run))
        return lines

    def _open_board(self, first: int | None = None) -> None:
        from torch.utils.tensorboard import SummaryWriter  # takes a second

        self._board = SummaryWriter(str(self._folder / _BOARD), purge_step=first)

    def __enter__(self) -> RunLog:
        return self

    def __exit__(self, *error: Any) -> None:
        if self._run is not None:
            self._lines.close()
            self._before.close()
            self._board.close()
            self._scratch.close()

    def send(self) -> None:
        """Bring a run in a store up to date, before a checkpoint of the same iterations is sent.

        Raises ValueError if another process has begun to train there since.
        """
        if not isinstance(self._run, Url):
            return
        if read_bytes(self._run / _OWNER) != self._owner:
            raise ValueError(
                f"{self._run}: another process has begun to train there; this one ends"
            )
        write_bytes(self._run / METRICS, (self._folder / METRICS).read_bytes())
        self._board.close()  # each file is sent once: pictures are large
        for name in files_below(self._folder / _BOARD):
            path = self._folder / _BOARD / name
            write_bytes(self._run / _BOARD / name, path.read_bytes())
            path.unlink()
        self._open_board()

    def add(self, step: Step) -> None:
        """Remember one iteration."""
        self._pending.append(step)

    def flush(self) -> dict[str, float]:
        """Write what was added; returns the mean of each figure.

        Raises FloatingPointError that names the samples if a loss or a gradient is not finite.
        """
        rows = [_row(step) for step in self._pending]
        for step, row in zip(self._pending, rows, strict=True):
            for name in ("loss", "gradient"):  # a finite loss can have a non-finite gradient
                if not math.isfinite(row[name]):
                    raise FloatingPointError(
                        f"iteration {step.iteration}: the {name} is {row[name]} on samples "
                        f"{', '.join(step.keys)}; the checkpoints saved before are good"
                    )
        self._pending.clear()
        if self._run is not None:
            for row in rows:
                self._lines.write(json.dumps(row) + "\n")
            self._lines.flush()
            self._board.flush()  # a checkpoint may follow, and the process may then be killed
            for name, value in (rows[-1] if rows else {}).items():
                if name != "iteration":
                    self._scalar(f"train/{name}", value, int(rows[-1]["iteration"]))
        names = [name for name in rows[0] if name != "iteration"] if rows else []
        return {name: float(np.mean([row[name] for row in rows])) for name in names}

    def validation(self, done: int, errors: Errors) -> None:
        if self._run is not None:
            self._lines.write(json.dumps({"iteration": done, "validation": asdict(errors)}) + "\n")
            self._lines.flush()
            for name, value in asdict(errors).items():
                if value is not None:
                    self._scalar(f"validation/{name}", value, done)

    def panels(self, done: int) -> Callable[[str, Pixels], None]:
        """A function that shows a picture of `panel` under a name, with captions."""

        def show(name: str, picture: Pixels) -> None:
            if self._run is not None:
                shown = captioned(picture, PARTS)
                self._board.add_image(name, shown, done, dataformats="HWC")

        return show

    def _scalar(self, name: str, value: float, iteration: int) -> None:
        self._board.add_scalar(name, value, iteration)


@contextmanager
def held(run: Location) -> Iterator[None]:
    """Hold a run's folder, which is made if it is missing, so that nobody else opens the run.

    Raises ValueError if somebody does. A store does not say so: there the one that began last goes
    on, see `RunLog.send`.
    """
    if isinstance(run, Url):
        yield
        return
    make_folder(run)
    folder = os.open(run, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if not _lock(folder):
            raise ValueError(_BUSY.format(run))
        yield
    finally:
        os.close(folder)


def _lock(file: IO[str] | int) -> bool:
    """False if somebody else holds the lock; on file systems without locks it is always True."""
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


def _forget_after(path: Path, first: int, owes_validation: bool) -> None:
    """Drop what a killed process wrote after the last checkpoint: lines of later iterations, and
    of the validation that is still owed."""
    if path.exists():
        kept = []
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                row = parse_object(line.encode())
                done = row["iteration"] + (owes_validation if "validation" in row else 1)
            except (ValueError, LookupError, TypeError):  # an incomplete last line, or damage
                continue
            if done <= first:
                kept.append(line)
        write_bytes(path, "".join(line + "\n" for line in kept).encode())
