"""`matte bench`: what the model costs, as people read it and as programs do."""

from __future__ import annotations

import json

import pytest
import torch

from console.commands import FAILED
from tests.training.conftest import called
from training.matte.bench import count, measure_cost
from training.matte.cli import matte_main
from training.matte.printing import show_cost

KEYS = [
    "parameters",
    "gmac",
    "latency_ms",
    "frames_per_second",
    "frames_per_second_1080p",
    "device",
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
    assert found["frames_per_second"] == pytest.approx(1000 / found["latency_ms"], rel=0.01)
    assert found["frames_per_second"] > found["frames_per_second_1080p"] > 0
    assert found["device"].endswith(", 1 thread")
    show_cost(cost, 64, as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(KEYS)
    assert f"{gmac:.3f} G" in lines[2]


def test_a_device_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    ran = called(capsys, matte_main, "bench", "--device", "abacus")
    assert ran.code == FAILED
    assert ran.err.startswith("error: device 'abacus' cannot be used: ")
