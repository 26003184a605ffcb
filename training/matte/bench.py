"""What inference costs: parameters, multiplications, time."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from training.matte import roofline
from training.net.model import MattingModel
from training.processes import device_name

FULL_HD = (1080, 1920)
_LEAST = 3  # timed runs


@dataclass(frozen=True)
class Bound:
    """The frames per second that a machine's peaks allow: computed, not measured."""

    machine: str
    frames_per_second: float
    frames_per_second_1080p: float


@dataclass(frozen=True)
class Cost:
    """Of the inference graph at size x size, batch 1; frames per second also at 1920 x 1080."""

    parameters: int
    gmac: float  # 10^9 multiply-adds
    megabytes: float  # 10^6 bytes read from memory and written to it, in 32 bits
    latency_ms: float  # median
    frames_per_second: float
    frames_per_second_1080p: float
    device: str
    computed: list[Bound]


def measure_cost(
    size: int,
    device: torch.device,
    wide: tuple[int, int] = FULL_HD,
    seconds: float = 3.0,
) -> Cost:
    """In 32 bits on a CPU, in 16 bits on a GPU; each size is measured for `seconds`.

    wide: height and width of the second size.
    """
    model = MattingModel(trimap_decoder=False).eval()
    parameters, gmac = count(size)
    found, found_wide = counted(size, size), counted(*wide)
    machines = (roofline.GTX_1080_TI, roofline.SNAPDRAGON_888, roofline.this_cpu())
    bounds = [
        Bound(one.name, *(round(1 / roofline.seconds(of, one), 1) for of in (found, found_wide)))
        for one in machines
    ]
    model = model.to(device)
    if device.type == "cuda":
        model = model.half()
    model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    latency = _latency(model, size, size, seconds)
    return Cost(
        parameters=parameters,
        gmac=round(gmac, 3),
        megabytes=round(sum(one.numbers for one in found) * 4 / 1e6, 1),
        latency_ms=round(1000 * latency, 2),
        frames_per_second=round(1 / latency, 2),
        frames_per_second_1080p=round(1 / _latency(model, *wide, seconds), 2),
        device=device_name(device),
        computed=bounds,
    )


def counted(height: int, width: int) -> list[roofline.Operator]:
    """What the inference graph does with an image of this size."""
    with torch.device("meta"):
        model = MattingModel(trimap_decoder=False).eval()
    return roofline.operators(model, height, width)


def count(size: int) -> tuple[int, float]:
    """Parameters, and 10^9 multiply-adds at size x size."""
    parameters = MattingModel(trimap_decoder=False).parameters()
    macs = sum(one.macs for one in counted(size, size))
    return sum(parameter.numel() for parameter in parameters), macs / 1e9


def _latency(model: MattingModel, height: int, width: int, seconds: float) -> float:
    """Median seconds for one image that is already on the device."""
    weights = next(model.parameters())
    image = torch.rand(1, 3, height, width, device=weights.device, dtype=weights.dtype)
    trimap = torch.ones(1, 1, height, width, device=weights.device, dtype=weights.dtype)
    image = image.contiguous(memory_format=torch.channels_last)
    is_cuda = weights.device.type == "cuda"

    def run() -> None:
        model(image, trimap)
        if is_cuda:
            torch.cuda.synchronize(weights.device)

    with torch.inference_mode():
        return median_seconds(run, seconds, 3 if is_cuda else 1)


def median_seconds(run: Callable[[], object], seconds: float, warm_up: int = 1) -> float:
    """How long a call takes, after so many to warm up, measured for `seconds`."""
    for _ in range(warm_up):
        run()
    taken: list[float] = []
    while len(taken) < _LEAST or sum(taken) < seconds:
        begin = time.perf_counter()
        run()
        taken.append(time.perf_counter() - begin)
    return statistics.median(taken)
