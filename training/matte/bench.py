"""What inference costs: parameters, multiplications, time."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from training.net.model import MattingModel
from training.processes import device_name

FULL_HD = (1080, 1920)
_LEAST = 3  # timed runs


@dataclass(frozen=True)
class Cost:
    """Of the inference graph at size x size, batch 1; frames per second also at 1920 x 1080."""

    parameters: int
    gmac: float  # 10^9 multiply-adds
    latency_ms: float  # median
    frames_per_second: float
    frames_per_second_1080p: float
    device: str


def measure_cost(
    size: int,
    device: torch.device,
    wide: tuple[int, int] = FULL_HD,
    seconds: float = 3.0,
) -> Cost:
    """In 32 bits on a CPU, in 16 bits on a GPU; each size is measured for `seconds`.

    wide: height and width of the second size.
    """
    parameters, gmac = count(size)
    model = MattingModel(trimap_decoder=False).eval().to(device)
    if device.type == "cuda":
        model = model.half()
    model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    latency = _latency(model, size, size, seconds)
    return Cost(
        parameters=parameters,
        gmac=round(gmac, 3),
        latency_ms=round(1000 * latency, 2),
        frames_per_second=round(1 / latency, 2),
        frames_per_second_1080p=round(1 / _latency(model, *wide, seconds), 2),
        device=device_name(device),
    )


def count(size: int) -> tuple[int, float]:
    """Parameters, and 10^9 multiply-adds at size x size."""
    with torch.device("meta"):
        model = MattingModel(trimap_decoder=False).eval()
        image, trimap = torch.empty(1, 3, size, size), torch.empty(1, 1, size, size)
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            model(image, trimap)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return parameters, counter.get_total_flops() / 2 / 1e9


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
