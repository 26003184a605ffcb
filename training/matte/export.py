"""The model without its trimap decoder as ONNX, kept only if it gives the same alphas."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from manifests.storage import writing
from training.net.model import MattingModel

Array = NDArray[np.float32]

# Height and width: a square, a video frame, and sides not divisible by 2.
CHECKED_SIZES = ((800, 800), (1080, 1920), (517, 333))
TOLERANCE = {False: 1e-4, True: 0.02}  # largest difference of alpha in 0..1; key: fp16


class AlphaOnly(nn.Module):
    """Image and trimap in 32 bits -> alpha in 32 bits, whatever the precision inside."""

    def __init__(self, model: MattingModel, fp16: bool) -> None:
        super().__init__()
        self.model = model.half() if fp16 else model
        self.inner = torch.float16 if fp16 else torch.float32

    def forward(self, image: Tensor, trimap: Tensor) -> Tensor:
        alpha: Tensor = self.model(image.to(self.inner), trimap.to(self.inner)).alpha
        return alpha


@dataclass(frozen=True)
class Parity:
    """The largest difference between the exported model's alpha and PyTorch's at one size."""

    height: int
    width: int
    difference: float


def export(
    model: MattingModel,
    path: Path,
    fp16: bool = False,
    sizes: Sequence[tuple[int, int]] = CHECKED_SIZES,
) -> list[Parity]:
    """Write `path`, with dynamic height and width; inputs `image` and `trimap`, output `alpha`.

    Raises ValueError, and leaves no file, if ONNX Runtime's alpha differs from PyTorch's (32 bits)
    by more than TOLERANCE at one of the sizes (height, width).
    """
    lean = model.without_trimap_decoder().eval().cpu()
    with writing(path) as part:
        _write(AlphaOnly(lean.without_trimap_decoder().eval(), fp16), part)
        session = onnx_session(part)

        def run(image: Array, trimap: Array) -> Array:
            return np.asarray(session.run(["alpha"], {"image": image, "trimap": trimap})[0])

        found = parity(lean, run, sizes)
        check_parity(path, found, TOLERANCE[fp16])
    return found


def _write(module: nn.Module, path: Path) -> None:
    example = (torch.zeros(1, 3, 96, 64), torch.zeros(1, 1, 96, 64))
    sides = {2: torch.export.Dim("height", min=2), 3: torch.export.Dim("width", min=2)}
    with quiet("torch.onnx"):  # it warns about torchvision, which is not needed
        program = torch.onnx.export(
            module.eval(),
            example,
            dynamo=True,
            verbose=False,
            input_names=["image", "trimap"],
            output_names=["alpha"],
            dynamic_shapes={"image": sides, "trimap": sides},
        )
    assert program is not None
    program.save(str(path), external_data=False)


@contextmanager
def quiet(name: str) -> Iterator[None]:
    """Only errors of a logger, and no warnings of libraries. "" is the root logger, which the first
    message through it would set up for the rest of the process, if it had no handler."""
    logger, silent = logging.getLogger(name), logging.NullHandler()
    before = logger.level
    logger.addHandler(silent)
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)
        logger.removeHandler(silent)


def onnx_session(path: Path, threads: int = 0) -> Any:
    """ONNX Runtime's session on the CPU with so many threads; 0 is one for each core."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def parity(
    model: MattingModel, run: Callable[[Array, Array], Array], sizes: Sequence[tuple[int, int]]
) -> list[Parity]:
    """What was exported against PyTorch, on one random picture of each size.

    run: image 1 x 3 x H x W in 0..1 and trimap 1 x 1 x H x W of codes -> alpha.
    """
    rng = np.random.default_rng(0)
    found = []
    for height, width in sizes:
        image = rng.random((1, 3, height, width), np.float32)
        trimap = rng.integers(0, 3, (1, 1, height, width)).astype(np.float32)
        with torch.inference_mode():
            expected = model(torch.from_numpy(image), torch.from_numpy(trimap)).alpha.numpy()
        found.append(Parity(height, width, _difference(run(image, trimap), expected)))
    return found


def check_parity(path: Path, found: Sequence[Parity], tolerance: float) -> None:
    """Raise ValueError that names the file if a difference is above the tolerance."""
    worst = max(found, key=lambda size: size.difference)
    if worst.difference > tolerance:
        raise ValueError(
            f"{path}: at {worst.width} x {worst.height} alpha differs from PyTorch's by "
            f"{worst.difference:.2g}, allowed is {tolerance}"
        )


def _difference(alpha: Array, expected: Array) -> float:
    if alpha.shape != expected.shape:
        raise ValueError(f"the exported alpha has shape {alpha.shape}, not {expected.shape}")
    largest = float(np.abs(alpha - expected).max())
    return largest if math.isfinite(largest) else math.inf  # NaN counts as infinite
