"""The loss against Eq. (3) written out the long way in 64 bits, and where it must not break."""

from __future__ import annotations

import math
from dataclasses import fields, replace
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from torch import Tensor

from tests.strategies import few
from training.choices import Area
from training.net.losses import REST, Losses, MattingLoss, alpha_loss, mean_over, ssim
from training.net.model import Prediction
from training.settings import FREE_TO_CHANGE, TrainSettings

Array = NDArray[np.float64]

pytestmark = pytest.mark.usefixtures("one_thread")
both_areas = pytest.mark.parametrize("area", Area)


class Scene(NamedTuple):
    """A batch, N x C x H x W in 64 bits: layers, trimaps, and what a model says of it."""

    foreground: Array
    background: Array
    truth: Array
    trimap: Array
    given: Array
    alpha: Array
    logits: Array

    def prediction(self, kind: torch.dtype = torch.float64) -> Prediction:
        return Prediction(tensor(self.alpha, kind), tensor(self.logits, kind))

    def rest(self, kind: torch.dtype = torch.float64) -> tuple[Tensor, ...]:
        """given, truth, exact trimap and |F - B|."""
        contrast = np.abs(self.foreground - self.background)
        return tuple(tensor(x, kind) for x in (self.given, self.truth, self.trimap, contrast))


def tensor(array: Array, kind: torch.dtype = torch.float64) -> Tensor:
    return torch.from_numpy(array.copy()).to(kind)


def scene(seed: int = 0, count: int = 2, size: tuple[int, int] = (14, 17)) -> Scene:
    """About a third of each trimap is unknown; they all differ."""
    rng = np.random.default_rng(seed)
    colours = (count, 3, *size)
    grey = (count, 1, *size)
    truth = np.clip(rng.uniform(-1, 2, grey), 0, 1)
    exact = np.where(truth == 0, 0, np.where(truth == 1, 2, 1)).astype(np.float64)
    return Scene(
        foreground=rng.random(colours),
        background=rng.random(colours),
        truth=truth,
        trimap=exact,
        given=rng.integers(0, 3, grey).astype(np.float64),
        alpha=rng.random(grey),
        logits=rng.normal(0, 2, colours),
    )


def reference_ssim(first: Array, second: Array) -> Array:
    """Wang et al. 2004 for two pictures in 0..1, from the windows around each pixel; H x W."""
    offsets = np.arange(-5, 6)
    weights = np.exp(-(offsets[:, None] ** 2 + offsets[None, :] ** 2) / (2 * 1.5**2))
    weights /= weights.sum()

    def mean(windows: Array) -> Array:
        return np.asarray((weights * windows).sum(axis=(2, 3), keepdims=True))

    padded = (np.pad(x, 5, mode="edge") for x in (first, second))
    x, y = (sliding_window_view(picture, (11, 11)) for picture in padded)
    mean_x, mean_y = mean(x), mean(y)
    x, y = x - mean_x, y - mean_y
    variance_x, variance_y, covariance = mean(x**2), mean(y**2), mean(x * y)
    luminance = (2 * mean_x * mean_y + 0.01**2) / (mean_x**2 + mean_y**2 + 0.01**2)
    structure = (2 * covariance + 0.03**2) / (variance_x + variance_y + 0.03**2)
    return np.asarray((luminance * structure)[..., 0, 0])


def over(values: Array, area: Array) -> float:
    """Mean of those in the area, pixel by pixel; 0 of no pixels."""
    chosen = values[np.broadcast_to(area, values.shape)]
    return float(chosen.mean()) if chosen.size else 0.0


def reference(
    scene: Scene, area: Area, s1: float = 4.0, s2: float = 4.0, estimates: bool = True
) -> list[float]:
    """Eq. (3) from the pixels: what `flat` makes of the losses."""
    likely = scene.logits.argmax(axis=1)[:, None] if estimates else scene.given
    is_unknown = likely == 1
    if area is Area.EVERYWHERE:
        is_unknown = is_unknown | (scene.given == 1) | (scene.trimap == 1)
    wrong = np.abs(scene.alpha - scene.truth)
    image = scene.truth * scene.foreground + (1 - scene.truth) * scene.background
    again = scene.alpha * scene.foreground + (1 - scene.alpha) * scene.background
    # Outside of the area the truth stands for the prediction
    seen = np.where(is_unknown, scene.alpha, scene.truth)
    pairs = zip(seen[:, 0], scene.truth[:, 0], strict=True)
    unlike = np.stack([1 - reference_ssim(*pair)[::2, ::2] for pair in pairs])
    terms = (
        over(wrong, is_unknown),
        over(wrong**2, is_unknown),
        over(np.abs(again - image), is_unknown),
        over(unlike[:, None], is_unknown[..., ::2, ::2]),
    )
    rest = over(wrong, ~is_unknown) if area is Area.EVERYWHERE else 0.0
    matting = sum(terms) + REST * rest
    exponents = np.exp(scene.logits)
    shares = exponents / exponents.sum(axis=1, keepdims=True)
    codes = scene.trimap.astype(int)
    of_trimap = float(-np.log(np.take_along_axis(shares, codes, axis=1)).mean())
    total = of_trimap / (2 * s1**2) + matting / (2 * s2**2) + math.log(2 * s1 * s2)
    if not estimates:
        total, of_trimap = matting, 0.0
    return [total, *terms, rest, of_trimap]


def flat(losses: Losses) -> list[float]:
    return [float(x.detach()) for x in (losses.total, *losses.alpha, losses.rest, losses.trimap)]


def criterion(area: Area = Area.EVERYWHERE, s1: float = 4.0, s2: float = 4.0) -> MattingLoss:
    """In 64 bits, with trainable weights."""
    loss = MattingLoss(area, trainable_weights=True).double()
    with torch.no_grad():
        loss.log_sigmas.copy_(torch.tensor([s1, s2]).log())
    return loss


@both_areas
@pytest.mark.parametrize(("s1", "s2"), [(4.0, 4.0), (0.5, 3.0), (7.0, 1.25)])
def test_equation_3(area: Area, s1: float, s2: float) -> None:
    for seed in range(3):
        one = scene(seed)
        found = criterion(area, s1, s2)(one.prediction(), *one.rest())
        expected = reference(one, area, s1, s2)
        # log(s) is kept in 32 bits on its way here
        assert flat(found) == pytest.approx(expected, rel=1e-6)
        assert flat(found)[1:] == pytest.approx(expected[1:], rel=1e-10)


@both_areas
def test_32_bits_are_enough(area: Area) -> None:
    one = scene(4)
    loss = MattingLoss(area, trainable_weights=False)
    found = loss(one.prediction(torch.float32), *one.rest(torch.float32))
    assert flat(found) == pytest.approx(reference(one, area), rel=1e-4)
    assert found.total.dtype == torch.float32
    assert loss.sigmas().tolist() == pytest.approx([4.0, 4.0], rel=1e-6), "at first"


@both_areas
def test_without_a_trimap_decoder_the_loss_is_that_of_alpha(area: Area) -> None:
    one, loss = scene(5), criterion(area)
    alpha = one.prediction().alpha.requires_grad_()
    found = loss(Prediction(alpha, None), *one.rest())
    assert flat(found) == pytest.approx(reference(one, area, estimates=False), rel=1e-10)
    assert float(found.trimap) == 0
    found.total.backward()
    assert loss.log_sigmas.grad is None


def test_the_rest_of_the_image_weighs_ten_times() -> None:
    one = scene(6)
    found = criterion()(Prediction(one.prediction().alpha, None), *one.rest())
    assert float(found.rest) > 0
    assert float(found.total - found.alpha.total()) == pytest.approx(10 * float(found.rest))


@few
@given(st.integers(0, 2**32 - 1), st.integers(1, 3), st.integers(1, 20), st.integers(1, 20))
def test_any_batch(seed: int, count: int, height: int, width: int) -> None:
    one = scene(seed, count, (height, width))
    for area in Area:
        found = criterion(area)(one.prediction(), *one.rest())
        assert flat(found) == pytest.approx(reference(one, area), rel=1e-6, abs=1e-9)


def test_ssim_against_windows_one_by_one() -> None:
    rng = np.random.default_rng(6)
    smooth, noise = np.cumsum(rng.random((20, 13)), axis=1) / 13, rng.random((20, 13))
    for first, second in ((smooth, noise), (noise, smooth), (smooth, smooth + 0.01)):
        found = ssim(tensor(first[None, None]), tensor(second[None, None]))[0, 0].numpy()
        np.testing.assert_allclose(found, reference_ssim(first, second), rtol=1e-9)
        some = ssim(tensor(first[None, None]), tensor(second[None, None]), step=3)[0, 0].numpy()
        np.testing.assert_allclose(some, found[::3, ::3], rtol=1e-9)
    same = tensor(noise[None, None])
    np.testing.assert_allclose(ssim(same, same).numpy(), 1, rtol=1e-12)


def test_the_composition_error_needs_no_composite() -> None:
    one = scene(7)
    everywhere = torch.ones(2, 1, 14, 17, dtype=torch.bool)
    given_, truth, _, contrast = one.rest()
    found = alpha_loss(one.prediction().alpha, truth, contrast, everywhere).composition
    image = one.truth * one.foreground + (1 - one.truth) * one.background
    again = one.alpha * one.foreground + (1 - one.alpha) * one.background
    assert float(found) == pytest.approx(np.abs(again - image).mean(), rel=1e-12)
    without = alpha_loss(one.prediction().alpha, truth, None, given_ == 1)
    assert float(without.composition) == 0
    assert float(without.l1) > 0


@both_areas
def test_nothing_is_left_to_learn_where_alpha_is_right(area: Area) -> None:
    one = scene(8)
    alpha = tensor(one.truth).requires_grad_()
    found = criterion(area)(Prediction(alpha, tensor(one.logits)), *one.rest())
    assert flat(found)[1:6] == pytest.approx([0.0] * 5, abs=1e-12)


def gradients(area: Area, one: Scene) -> tuple[Losses, Tensor, Tensor]:
    """The losses, and their gradients by alpha and by the trimap's logits."""
    loss = criterion(area)
    alpha, logits = (tensor(x).requires_grad_() for x in (one.alpha, one.logits))
    found: Losses = loss(Prediction(alpha, logits), *one.rest())
    found.total.backward()  # type: ignore[no-untyped-call]  # of torch
    by_alpha, by_logits, by_sigmas = alpha.grad, logits.grad, loss.log_sigmas.grad
    assert by_alpha is not None
    assert by_logits is not None
    assert by_sigmas is not None
    assert all(grad.isfinite().all() for grad in (by_alpha, by_logits, by_sigmas))
    return found.detached(), by_alpha, by_logits


def surely(codes: Array) -> Array:
    """Logits of these codes; N x 3 x H x W."""
    return np.asarray(8.0 * (codes == np.arange(3)[None, :, None, None]))


@both_areas
@pytest.mark.parametrize("estimated", [0, 1, 2])
def test_an_area_may_be_empty_or_all(area: Area, estimated: int) -> None:
    one = scene(9)
    hard = np.where(one.truth > 0.5, 1.0, 0.0)
    codes = 2 * hard
    logits = surely(np.full_like(codes, estimated))
    one = one._replace(truth=hard, trimap=codes, given=codes, logits=logits)
    found, by_alpha, by_logits = gradients(area, one)
    assert all(map(math.isfinite, flat(found)))
    assert by_logits.abs().max() > 0
    if estimated == 1:
        assert float(found.rest) == 0
        assert (by_alpha != 0).all()
        return
    assert flat(found)[1:5] == [0, 0, 0, 0]
    assert (by_alpha != 0).any() == (area is Area.EVERYWHERE)
    assert (float(found.rest) > 0) == (area is Area.EVERYWHERE)


@both_areas
def test_where_alpha_is_trained(area: Area) -> None:
    one = scene(10)
    estimated = one.logits.argmax(axis=1)[:, None] == 1
    _, by_alpha, _ = gradients(area, one)
    moved = by_alpha.numpy() != 0
    assert moved[estimated].all()
    if area is Area.EVERYWHERE:
        assert moved.all()
        return
    assert not moved[~estimated].any()
    elsewhere = one._replace(alpha=np.where(estimated, one.alpha, 1 - one.alpha))
    assert flat(gradients(area, elsewhere)[0]) == flat(gradients(area, one)[0])


def test_each_unknown_area_counts_as_one_everywhere() -> None:
    """A pixel that only the estimated, only the given or only the exact trimap calls unknown."""
    known = np.zeros((1, 1, 1, 4))
    trimaps: dict[str, Array] = {name: known.copy() for name in ("logits", "given", "trimap")}
    for place, name in enumerate(trimaps):
        trimaps[name][..., place] = 1
    trimaps["logits"] = surely(trimaps["logits"])
    alpha = np.array([0.1, 0.2, 0.4, 0.8]).reshape(1, 1, 1, 4)
    one = scene(0, 1, (1, 4))._replace(truth=known, alpha=alpha, **trimaps)
    found = criterion()(one.prediction(), *one.rest())
    assert float(found.alpha.l1) == pytest.approx((0.1 + 0.2 + 0.4) / 3)
    assert float(found.rest) == pytest.approx(0.8)
    of_paper = criterion(Area.UNKNOWN)(one.prediction(), *one.rest())
    assert float(of_paper.alpha.l1) == pytest.approx(0.1)


@pytest.mark.parametrize(("s1", "s2"), [(4.0, 4.0), (0.3, 2.0)])
def test_gradients_of_the_weights(s1: float, s2: float) -> None:
    """d/d log s1 of Eq. (3) is 1 - L_T / s1^2, and so for s2."""
    one, loss = scene(11), criterion(s1=s1, s2=s2)
    found = loss(one.prediction(), *one.rest())
    found.total.backward()
    matting = float(found.alpha.total() + REST * found.rest)
    expected = [1 - float(found.trimap) / s1**2, 1 - matting / s2**2]
    assert loss.log_sigmas.grad is not None
    assert loss.log_sigmas.grad.tolist() == pytest.approx(expected, rel=1e-6)


def test_the_weights_settle_where_they_should_and_stay_positive() -> None:
    """With losses that stand still, s^2 goes to the loss: each weighted term to one half."""
    one, loss = scene(12, size=(5, 4)), criterion()
    optimizer = torch.optim.Adam(loss.parameters(), lr=0.3)
    for _ in range(150):
        optimizer.zero_grad()
        found = loss(one.prediction(), *one.rest())
        found.total.backward()
        optimizer.step()
        assert (loss.sigmas() > 0).all()
    matting = float(found.alpha.total() + REST * found.rest)
    expected = [math.sqrt(float(found.trimap)), math.sqrt(matting)]
    assert loss.sigmas().tolist() == pytest.approx(expected, rel=1e-2)


def test_weights_that_are_fixed_have_no_gradient() -> None:
    one, loss = scene(13), MattingLoss(Area.EVERYWHERE, trainable_weights=False).double()
    assert not [weight for weight in loss.parameters() if weight.requires_grad]
    prediction = Prediction(one.prediction().alpha.requires_grad_(), one.prediction().trimap_logits)
    loss(prediction, *one.rest()).total.backward()
    assert loss.log_sigmas.grad is None


def test_a_mean_over_an_area_counts_pixels_and_channels() -> None:
    values = torch.arange(24.0).reshape(2, 3, 2, 2)
    area = torch.tensor([[[[1, 0], [0, 0]]], [[[0, 0], [0, 1]]]])
    assert float(mean_over(values, area)) == pytest.approx((0 + 4 + 8 + 15 + 19 + 23) / 6)
    assert float(mean_over(values, torch.zeros_like(area))) == 0


def test_detached_losses_lead_nowhere() -> None:
    one = scene(14)
    found: Losses = criterion()(one.prediction(), *one.rest())
    assert found.total.requires_grad
    assert flat(found.detached()) == flat(found)
    detached = found.detached()
    values = (detached.total, *detached.alpha, detached.rest, detached.trimap)
    assert not any(value.requires_grad for value in values)


def test_the_learning_rate_falls_polynomially() -> None:
    settings = TrainSettings()
    assert (settings.iterations, settings.batch_size) == (300_000, 16)
    assert settings.learning_rate(0) == 1e-4
    assert settings.learning_rate(settings.iterations) == 1e-6
    for iteration in (1, 75_000, 299_999):
        left = (300_000 - iteration) / 300_000
        expected = 1e-6 + (1e-4 - 1e-6) * left**0.9
        assert settings.learning_rate(iteration) == pytest.approx(expected, rel=1e-12)
    rates = [replace(settings, iterations=50).learning_rate(n) for n in range(51)]
    assert rates == sorted(rates, reverse=True)
    assert len(set(rates)) == 51


@pytest.mark.parametrize(
    "change",
    [
        *({name: 0} for name in ("iterations", "batch_size", "keep", "log_every")),
        *({name: -1} for name in ("validate_every", "validation_samples", "checkpoint_every")),
        {"lr": 0.0},
        {"lr": -1e-4},
        {"lr": math.nan},
        {"lr": math.inf},
        {"lr": 1e-7},  # below where it should end
        {"lr_end": 0.0},
    ],
    ids=str,
)
def test_settings_that_cannot_be(change: dict[str, Any]) -> None:
    (name, value) = next(iter(change.items()))
    with pytest.raises(ValueError, match=name) as error:
        TrainSettings(**change)
    assert str(value) in str(error.value)


def test_what_may_change_between_a_run_and_its_resumption_is_a_setting() -> None:
    assert {field.name for field in fields(TrainSettings)} > FREE_TO_CHANGE
