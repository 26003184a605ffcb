"""One step and many: losses, gradients, the learning rate, and the score of a validation."""

from __future__ import annotations

import json
import math
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from manifests import open_shards
from manifests.pixels import Pixels
from manifests.sources import Split
from tests.training.conftest import lively
from tests.training.runs import (
    ALONE,
    BATCH,
    ITERATIONS,
    lines,
    settings_of,
    silent,
    steps,
    unseen,
    weights,
)
from tests.training.shard_sets import opened, write_set
from training.checkpoint import STATE, checkpoints, load_network
from training.choices import Precision, Variant
from training.learner import Learner, on_device
from training.loading.batches import batches
from training.loading.whole import whole_samples
from training.log import RunLog
from training.matte.metrics import mean_of, measure
from training.matte.predict import matte
from training.net.losses import REST
from training.train import News, train
from training.validate import validate

pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.slow]


def test_a_gradient_that_is_no_number_is_named(shards: Path, run: Path) -> None:
    settings = settings_of(shards, iterations=9)
    learner = Learner(settings, ALONE)
    last = learner.model.alpha_decoder.head.weight
    last.register_hook(lambda gradient: gradient * math.inf)
    with closing(batches(opened(settings), settings, 0, 1)) as made, RunLog(run, 0) as log:
        batch = next(made)
        log.add(learner.step(7, batch))
        keys = ", ".join(batch.keys)
        with pytest.raises(
            FloatingPointError, match=f"iteration 7: the gradient .*samples {keys};"
        ):
            log.flush()


def test_weights_that_are_no_numbers_are_not_saved(shards: Path, run: Path) -> None:
    """As after a gradient that is not finite, in this process or another."""
    learner = Learner(settings_of(shards), ALONE)
    with torch.no_grad():
        next(learner.model.parameters())[0] = math.inf
    with pytest.raises(FloatingPointError, match=r"iteration 6: a weight is not finite"):
        learner.save(run, 7, is_best=True)
    assert not run.exists()


@pytest.mark.parametrize("variant", [Variant.AN, Variant.BASE])
def test_fixed_weights_stay(shards: Path, run: Path, variant: Variant) -> None:
    settings = settings_of(shards, variant=variant, weights_from=0.0, validate_every=9)
    train(opened(settings), settings, run, ALONE, silent)
    for row in steps(run):
        assert (row["s1"], row["s2"]) == pytest.approx((4.0, 4.0), rel=1e-6)
        parts = row["l1"] + row["l2"] + row["composition"] + row["ssim"] + REST * row["rest"]
        expected = parts if variant is Variant.BASE else (row["trimap"] + parts) / 32 + math.log(32)
        assert row["loss"] == pytest.approx(expected, rel=1e-5)
        assert (row["trimap"] > 0) == (variant is Variant.AN)
    assert (load_network(run).trimap_decoder is None) == (variant is Variant.BASE)


def test_the_model_sees_new_colours_and_the_loss_their_contrast(shards: Path) -> None:
    cpu = torch.device("cpu")
    settings = settings_of(shards, batch_size=8)
    with closing(batches(opened(settings), settings, 0, 1)) as made:
        batch = next(made)
    image, _, alpha, _, contrast = on_device(batch, cpu)
    maps = batch.colours.double().numpy()
    assert maps.shape == (8, 3, 4)
    assert image.is_contiguous(memory_format=torch.channels_last)
    assert batch.foreground is not None
    assert batch.background is not None
    assert contrast is not None
    for n, each in enumerate(maps):
        stored, foreground, background = (
            colours[n].permute(1, 2, 0).numpy() / 255
            for colours in (batch.image, batch.foreground, batch.background)
        )
        expected = np.clip(stored @ each[:, :3].T + each[:, 3], 0, 1)
        np.testing.assert_allclose(image[n].permute(1, 2, 0), expected, atol=1e-5)
        expected = np.minimum(np.abs((foreground - background) @ each[:, :3].T), 1)
        np.testing.assert_allclose(contrast[n].permute(1, 2, 0), expected, atol=1e-5)
    assert len({each.tobytes() for each in maps}) >= 4
    plain = replace(batch, colours=torch.eye(3, 4).expand(8, 3, 4))
    torch.testing.assert_close(on_device(plain, cpu)[0], batch.image.float() / 255)
    assert torch.equal(on_device(plain, cpu)[2], alpha)


@pytest.mark.parametrize("iteration", [0, 1, 11])
def test_a_step_is_as_long_as_the_learning_rate(shards: Path, iteration: int) -> None:
    """Adam's first step: each weight with a gradient moves by the rate."""
    settings = settings_of(shards, iterations=ITERATIONS, lr=1e-3)
    learner = Learner(settings, ALONE)
    before = [weights.detach().clone() for weights in learner.model.parameters()]
    with closing(batches(opened(settings), settings, 0, 1)) as made:
        step = learner.step(iteration, next(made))
    assert (step.iteration, len(step.keys)) == (iteration, BATCH)
    pairs = zip(before, learner.model.parameters(), strict=True)
    moved = max(float((new.detach() - old).abs().max()) for old, new in pairs)
    left = 1 - iteration / ITERATIONS
    assert moved == pytest.approx(1e-6 + (1e-3 - 1e-6) * left**0.9, rel=1e-2)


def test_the_mean_of_the_weights_is_what_comes_out(shards: Path, run: Path) -> None:
    """Each step moves it by a share of its way to the weights: 0.9, 9/11, 9/12, then 1 - ema."""
    settings = settings_of(shards, iterations=4, ema=0.3, lr=1e-3, validate_every=4)
    learner = Learner(settings, ALONE)
    expected = {n: value.double() for n, value in learner.model.state_dict().items()}
    with closing(batches(opened(settings), settings, 0, 4)) as made:
        for share, batch in zip((0.9, 9 / 11, 9 / 12, 0.7), made, strict=True):
            learner.step(batch.number, batch)
            for name, value in learner.model.state_dict().items():
                expected[name] += share * (value - expected[name])
    counts = {name for name in expected if name.endswith("num_batches_tracked")}
    assert all(learner.averaged.state_dict()[name] == 4 for name in counts)

    train(opened(settings), settings, run, ALONE, silent)
    network = load_network(run)
    for name, value in network.state_dict().items():
        if name not in counts:
            torch.testing.assert_close(value.double(), expected[name], rtol=1e-4, atol=1e-6)
    score = validate(network, opened(settings), settings, unseen)
    assert score is not None
    assert lines(run)[-1]["validation"] == asdict(score)


def test_bf16_learns_in_32_bits_and_a_set_may_hold_nothing_out(tmp_path: Path, run: Path) -> None:
    """One sample again and again: the errors fall."""
    write_set(tmp_path / "set", {Split.TRAIN: [1]}, size=(72, 80))
    settings = settings_of(
        tmp_path / "set", iterations=24, precision=Precision.BF16, lr=1e-3, log_every=5, colour=0
    )
    seen: list[News] = []
    train(opened(settings), settings, run, ALONE, seen.append)
    rows = steps(run)
    assert [line["iteration"] for line in lines(run)] == list(range(24)), "no validation"
    for name, share in (("trimap", 0.75), ("l1", 0.85)):
        first, last = (np.mean([row[name] for row in some]) for some in (rows[:4], rows[-4:]))
        assert last < share * first
    assert {x.dtype for x in weights(run).values()} == {torch.float32, torch.int64}
    assert not (run / "best").exists()
    state = (checkpoints(run)[-1] / STATE).read_text()
    assert json.loads(state, parse_constant=pytest.fail)["best"] is None
    panels: dict[str, Pixels] = {}
    assert validate(load_network(run), opened(settings), settings, panels.__setitem__) is None
    assert list(panels) == ["training/train-00000000"], "there is something to see nevertheless"
    assert load_network(run).trimap_decoder is not None
    assert [news.iteration for news in seen] == list(range(1, 25))
    assert [news.samples for news in seen] == list(range(2, 50, 2))
    with_losses = [news for news in seen if news.losses is not None]
    assert [news.iteration for news in with_losses] == [5, 10, 15, 20, 24]
    assert (seen[-1].bad, seen[-1].errors) == ((), None)
    losses = with_losses[1].losses
    assert losses is not None
    assert losses["l1"] == pytest.approx(np.mean([row["l1"] for row in rows[5:10]]))


def test_the_score_is_that_of_the_metrics(shards: Path) -> None:
    model, settings = lively(), settings_of(shards)
    panels: dict[str, Pixels] = {}
    score = validate(model, open_shards(shards), settings, panels.__setitem__)
    samples = list(whole_samples(open_shards(shards)))
    found = [measure(matte(model, s.image, s.crude_trimap), s.alpha, s.trimap) for s in samples]
    expected = asdict(mean_of(found))
    assert score is not None
    assert asdict(score) == pytest.approx({name: expected[name] for name in asdict(score)})
    assert score.sad is not None
    assert score.sad_whole > score.sad > 0
    assert not model.training
    assert list(panels) == [f"validation/{sample.key}" for sample in samples]
    for panel, sample in zip(panels.values(), samples, strict=True):
        image, crude, estimated, alpha, truth = np.split(panel, 5, axis=1)
        assert (image == sample.image).all()
        assert (crude == sample.crude_trimap[..., None] * 127).all()
        assert set(np.unique(estimated)) <= {0, 127, 254}
        assert (alpha == matte(model, sample.image, sample.crude_trimap)[..., None]).all()
        assert (truth == sample.alpha[..., None]).all()
    one = validate(model, open_shards(shards), replace(settings, validation_samples=1), unseen)
    assert one is not None
    assert one.sad_whole == pytest.approx(found[0].sad_whole)
