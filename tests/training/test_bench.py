"""`matte bench`: what the model costs, as people read it and as programs do."""

from __future__ import annotations

import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from console.commands import FAILED
from tests.training.runs import called
from training.matte.bench import count, measure_cost
from training.matte.cli import matte_main
from training.matte.printing import show_cost
from training.matte.roofline import GTX_1080_TI, SNAPDRAGON_888, Operator, operators, seconds

KEYS = [
    "parameters",
    "gmac",
    "megabytes",
    "latency_ms",
    "frames_per_second",
    "frames_per_second_1080p",
    "device",
    "computed",
]


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.slow
def test_the_figures_and_their_json(capsys: pytest.CaptureFixture[str]) -> None:
    cost = measure_cost(64, torch.device("cpu"), wide=(768, 512), seconds=0.2)
    show_cost(cost, 64, as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert list(found) == KEYS
    parameters, gmac = count(64)
    assert found["parameters"] == parameters
    assert found["gmac"] == round(gmac, 3) > 0
    assert [one["machine"].split(",")[0] for one in found["computed"]] == [
        *("GTX 1080 Ti", "Snapdragon 888 NPU", "this CPU"),
    ]
    for one in found["computed"]:
        assert one["frames_per_second"] > one["frames_per_second_1080p"] > 0
    assert found["frames_per_second"] == pytest.approx(1000 / found["latency_ms"], rel=0.01)
    assert found["frames_per_second"] > found["frames_per_second_1080p"] > 0
    assert found["device"].endswith(", 1 thread")
    show_cost(cost, 64, as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert f"{gmac:.3f} G" in lines[2]
    assert lines[3].startswith("bytes moved at 64 x 64, 32 bits")
    assert [line.split()[-1] for line in lines[-3:]] == [
        f"{one.frames_per_second_1080p:.1f}" for one in cost.computed
    ]
    assert any("Computed, not measured" in line for line in lines)


class Plain(nn.Module):
    """Four operators whose cost can be counted by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(4, 8, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)

    def forward(self, image: Tensor, trimap: Tensor) -> Tensor:
        inputs = torch.cat([image, trimap], dim=1)
        outputs: Tensor = self.norm(self.convolution(inputs)).relu()
        return outputs + outputs[:, :1]


def test_operators_are_counted_as_by_hand() -> None:
    with torch.device("meta"):
        model = Plain().eval()
    joined, convolved, normed, added = operators(model, 10, 20)
    assert joined == Operator(0, 800 + 800)
    assert convolved == Operator(200 * 8 * 4 * 9, 800 + 8 * 4 * 9 + 1600)
    assert normed == Operator(0, 4 * 8), "fused: only the figures of each channel are read"
    assert added == Operator(0, 200), "fused with its first input; activations are free"


@given(st.lists(st.tuples(st.integers(0, 10**9), st.integers(1, 10**9)), min_size=1))
def test_no_machine_is_faster_than_its_peaks(counts: list[tuple[int, int]]) -> None:
    found = [Operator(*one) for one in counts]
    for machine in (GTX_1080_TI, SNAPDRAGON_888):
        arithmetic = sum(one.macs for one in found) / machine.macs
        memory = sum(one.numbers for one in found) * machine.bytes / machine.bandwidth
        least = max(arithmetic, memory) * (1 - 1e-9)
        assert least <= seconds(found, machine) <= (arithmetic + memory) * (1 + 1e-9)


def test_a_device_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    ran = called(capsys, matte_main, "bench", "--device", "abacus")
    assert ran.code == FAILED
    assert ran.err.startswith("error: device 'abacus' cannot be used: ")
