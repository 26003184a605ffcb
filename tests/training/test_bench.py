"""`matte bench`: what the model costs, as people read it and as programs do."""

from __future__ import annotations

import json
import math
import time

import pytest
import torch

from tests.training.conftest import called
from training.bench import Cost, count, measure
from training.cli import DONE, FAILED, matte_main

KEYS = ["parameters", "gmac", "latency_ms", "frames_per_second", "frames_per_second_1080p", "device"]


def test_the_json_is_the_contract(capsys: pytest.CaptureFixture[str]) -> None:
    ran = called(capsys, matte_main, "bench", "--size", "64", "--device", "cpu", "--json")
    assert (ran.code, ran.err) == (DONE, "")
    found = json.loads(ran.out)
    assert list(found) == KEYS
    parameters, gmac = count(64)
    assert found["parameters"] == parameters
    assert found["gmac"] == round(gmac, 3) > 0
    assert found["frames_per_second"] == pytest.approx(1000 / found["latency_ms"], rel=0.01)
    assert found["frames_per_second"] > found["frames_per_second_1080p"] > 0
    assert found["device"].endswith(f", {torch.get_num_threads()} threads")


def test_a_device_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    ran = called(capsys, matte_main, "bench", "--device", "abacus")
    assert ran.code == FAILED
    assert ran.err.startswith("error: device 'abacus' cannot be used: ")
