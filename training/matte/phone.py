"""The model as a program of ExecuTorch, PyTorch's runtime for phones, kept only if it is right."""

from __future__ import annotations

import io
from contextlib import redirect_stderr
from pathlib import Path

import numpy as np
import torch
from torch import nn

from manifests.storage import write_bytes
from training.matte.export import (
    TOLERANCE,
    AlphaOnly,
    Array,
    Parity,
    check_parity,
    parity,
    quiet,
)
from training.net.model import MattingModel


def export_pte(model: MattingModel, path: Path, size: tuple[int, int]) -> list[Parity]:
    """Write `path`, for images of this size (height, width) only.

    The inputs are image and trimap, the output is alpha, as in ONNX. The program computes by
    XNNPACK, on the CPUs of phones as on that of this machine.

    Raises ValueError, and leaves no file, if its alpha differs from PyTorch's by more than
    TOLERANCE.
    """
    lean = model.without_trimap_decoder().eval().cpu()
    # It warns that it is experimental, and of what it could not learn about the processor
    with quiet(""), quiet("torch"), redirect_stderr(io.StringIO()):
        program = _program(AlphaOnly(lean, fp16=False).eval(), *size)
        found = parity(lean, _Method(program), [size])
    check_parity(path, found, TOLERANCE[False])
    write_bytes(path, program)
    return found


def _program(module: nn.Module, height: int, width: int) -> bytes:
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    example = torch.zeros(1, 3, height, width), torch.zeros(1, 1, height, width)
    exported = torch.export.export(module, example)
    lowered = to_edge_transform_and_lower(exported, partitioner=[XnnpackPartitioner()])
    return bytes(lowered.to_executorch().buffer)


class _Method:
    """A program, as a function of image and trimap."""

    def __init__(self, program: bytes) -> None:
        from executorch.runtime import Runtime

        self._method = Runtime.get().load_program(program).load_method("forward")

    def __call__(self, image: Array, trimap: Array) -> Array:
        (alpha,) = self._method.execute([torch.from_numpy(image), torch.from_numpy(trimap)])
        return np.array(alpha.numpy())
