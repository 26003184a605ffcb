"""What `train` prints before and during a training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from manifests import open_shards
from manifests.sources import Split
from tests.training.conftest import TRAIN_SAMPLES, VAL_SAMPLES
from tests.training.shard_sets import write_set
from training.choices import Variant
from training.matte.metrics import Errors
from training.net.model import MattingModel
from training.printing import Bad, Pace, Teller, heading, length_text
from training.processes import Processes
from training.settings import TrainSettings
from training.train import News

CPU = torch.device("cpu")
Capture = pytest.CaptureFixture[str]


def millions(variant: Variant) -> str:
    model = MattingModel(trimap_decoder=variant is not Variant.BASE)
    return f"{sum(p.numel() for p in model.parameters()) / 1e6:.1f} million parameters"


def test_what_is_going_to_be_done(shards: Path, tmp_path: Path) -> None:
    settings = TrainSettings(shards=str(shards), iterations=30, batch_size=4, crop_size=64)
    total = sum(TRAIN_SAMPLES)
    assert total == 12
    first, second = heading(Path("runs/a"), open_shards(shards), settings, Processes(0, 1, CPU))
    assert first.startswith(f"runs/a: variant an-tw, {millions(Variant.AN_TW)}, on ")
    threads = torch.get_num_threads()
    assert first.endswith(", 1 thread" if threads == 1 else f", {threads} threads")
    assert second == (
        f"{shards}: 12 samples to train on, {VAL_SAMPLES} to validate on; 30 batches of 4 "
        "(crops of 64 x 64), so each sample 10.0 times"
    )
    write_set(tmp_path, {Split.TRAIN: [2, 2]})
    base = replace(settings, variant=Variant.BASE, iterations=300_000, batch_size=1)
    first, second = heading(Path("b"), open_shards(tmp_path), base, Processes(0, 2, CPU))
    assert first.startswith(f"b: variant base, {millions(Variant.BASE)}, on ")
    assert second == (
        f"{tmp_path}: 4 samples to train on, 0 to validate on; 300,000 batches of 1 "
        "(crops of 64 x 64) in each of 2 processes, so each sample 150,000.0 times"
    )
    few = replace(settings, validation_samples=2)
    _, second = heading(Path("c"), open_shards(shards), few, Processes(0, 1, CPU))
    assert "2 to validate on" in second


def test_a_pace_is_measured_over_five_seconds_and_told_once() -> None:
    pace = Pace(1000)
    assert pace.left(101, now=50.0) is None, "the first iteration waits for its batch"
    assert pace.left(111, now=54.9) is None
    assert pace.left(121, now=60.0) == pytest.approx((1000 - 121) * 10 / 20)
    assert pace.left(131, now=70.0) is None
    slow = Pace(10)
    assert slow.left(1, now=0.0) is None
    assert slow.left(1, now=30.0) is None, "a second report of one iteration"
    assert slow.left(2, now=40.0) == pytest.approx(8 * 40)


@pytest.mark.parametrize(
    ("iterations", "label", "text"),
    [
        (300_000, "warning: ", "takes about 34.7 days at this speed; a GPU is many times as fast;"),
        (17_000, "", "takes about 47.2 h at this speed\n"),
    ],
)
def test_a_training_of_days_is_a_warning(
    capsys: Capture, iterations: int, label: str, text: str
) -> None:
    times = iter([0.0, 5.0, 15.0, 25.0])
    shown: list[tuple[int, str]] = []

    def advance(done: int, bytes_: int = 0, note: str = "") -> None:
        shown.append((done, note))

    teller = Teller(advance, iterations, CPU, lambda: next(times))
    teller.tell(News(1, 16))
    teller.tell(News(2, 32))
    teller.tell(News(3, 48, losses={"loss": 0.5, "l1": 0.25, "trimap": 1.0, "s1": 4.0}))
    assert shown == [(1, ""), (2, ""), (3, "loss 0.5000, l1 0.2500, trimap 1.0000, 1.92 samples/s")]
    assert capsys.readouterr().err.startswith(f"{label}the rest of the training {text}")


def test_bad_samples_are_named_once_and_counted(capsys: Capture) -> None:
    notes: list[str] = []
    teller = Teller(lambda done, bytes_=0, note="": notes.append(note), 10, CPU)
    for _ in range(2):
        teller.tell(News(1, 4, bad=("a.tar: sample a\x1b", "a.tar: sample b")))
    assert notes == ["2 bad", "2 bad"]
    assert capsys.readouterr().err == (
        "warning: bad: a.tar: sample a\\x1b\nwarning: bad: a.tar: sample b\n"
    )
    bad = Bad()
    bad.tell(News(1, 4, bad=("c",)))
    assert len(bad) == 1


def test_a_validation_without_unknown_pixels(capsys: Capture) -> None:
    notes: list[int] = []
    teller = Teller(lambda done, bytes_=0, note="": notes.append(done), 10, CPU)
    teller.tell(News(6, 12, errors=Errors(None, 1.5, None, 0.25)))
    said = "iteration 6: validation SAD 1.500, MSE 0.25000; unknown area -, -\n"
    assert capsys.readouterr().err == said
    assert notes == []


def test_another_length() -> None:
    assert length_text(Path("r"), 1000, 2000) == (
        "r: goes on from iteration 1,000 to 2,000; the learning rate falls as in a run of 2,000 "
        "iterations from here on"
    )
