"""How fast a machine could run the model at best: computed from its peak figures, not measured.

Each operator takes as long as its arithmetic at the machine's peak, or as its bytes at the peak of
its memory, whichever is longer, and they run one after another.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

aten = torch.ops.aten


@dataclass(frozen=True)
class Operator:
    """macs: multiply-adds. numbers: how many it reads from memory and writes to it."""

    macs: int
    numbers: int


@dataclass(frozen=True)
class Machine:
    """Peaks in multiply-adds and bytes a second, for numbers of so many bytes."""

    name: str
    macs: float
    bandwidth: float
    bytes: int


# 3,584 cores x 1.582 GHz, a multiply-add each; 352 bits x 11 Gbit/s (NVIDIA's specification)
GTX_1080_TI = Machine("GTX 1080 Ti, 32 bits", 3584 * 1.582e9, 484e9, 4)
# 26 TOPS, two operations to a multiply-add, of the whole AI engine, whose largest part is the NPU;
# four channels of 16 bits of LPDDR5 at 6.4 Gbit/s (Qualcomm's product brief)
SNAPDRAGON_888 = Machine("Snapdragon 888 NPU, 8 bits", 26e12 / 2, 51.2e9, 1)


def this_cpu(size: int = 1536) -> Machine:
    """This machine's CPU with torch's threads: the peaks of a matrix product and of a copy."""
    a, b = torch.rand(size, size), torch.rand(size, size)
    numbers = torch.rand(2**25)  # 128 MiB: more than a cache holds
    copied = torch.empty_like(numbers)
    product = _quickest(lambda: torch.mm(a, b))
    copy = _quickest(lambda: copied.copy_(numbers))
    return Machine("this CPU, 32 bits", size**3 / product, 2 * 4 * numbers.numel() / copy, 4)


def _quickest(run: Any, times: int = 5) -> float:
    taken = []
    for _ in range(times):
        begin = time.perf_counter()
        run()
        taken.append(time.perf_counter() - begin)
    return min(taken)


def operators(model: nn.Module, height: int, width: int) -> list[Operator]:
    """What the model does with an image of this size; nothing is computed.

    An operator that treats each number by itself, such as a norm or an activation, is taken to be
    fused into the one before it: it moves only what it adds to that one's output.
    """
    with torch.device("meta"), torch.no_grad(), _Tally() as tally:
        model(torch.empty(1, 3, height, width), torch.empty(1, 1, height, width))
    found: list[Operator] = tally.found
    return found


class _Tally(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Keeps an Operator for each that is called."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.found: list[Operator] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = kwargs or {}
        out = func(*args, **given)
        count = flop_registry.get(func._overloadpacket)
        macs = count(*args, **given, out_val=out) // 2 if count else 0
        if numbers := _moved(func, args, out):
            self.found.append(Operator(macs, numbers))
        return out


def _moved(func: Any, args: Sequence[Any], out: Any) -> int:
    """How many numbers an operator reads and writes."""
    inputs = [tensor for one in args for tensor in _tensors(one)]
    outputs = _tensors(out)[:1]  # those of a norm after the first are for training
    if not outputs or not inputs or func.is_view:
        return 0
    largest = outputs[0].numel()
    if torch.Tag.pointwise in func.tags or func._overloadpacket in _NORMS:
        return max(0, sum(one.numel() for one in inputs) - largest)
    return sum(one.numel() for one in inputs) + largest


_NORMS = {
    aten.native_batch_norm,
    aten._native_batch_norm_legit_no_training,
    aten._batch_norm_with_update,
    aten.cudnn_batch_norm,
    aten.batch_norm,
}


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    return (
        [one for one in value if isinstance(one, Tensor)] if isinstance(value, list | tuple) else []
    )


def seconds(found: Sequence[Operator], machine: Machine) -> float:
    """The least time in which a machine can run these operators, one after another."""
    return sum(
        max(one.macs / machine.macs, one.numbers * machine.bytes / machine.bandwidth)
        for one in found
    )
