"""The model: its layout and cost, any size of picture, and the one without its trimap decoder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from tests.training.conftest import lively
from training.matte.bench import count
from training.net.encoder import DOWN, WIDTHS, Features
from training.net.model import MattingModel, Prediction

pytestmark = pytest.mark.usefixtures("one_thread")
SIZES = [(1, 1), (7, 5), (32, 32), (33, 64), (64, 31), (517, 333)]
every_size = pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")


@pytest.fixture(scope="module")
def model() -> MattingModel:
    """Not to be changed."""
    return lively()


def inputs(size: tuple[int, int], count: int = 1) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(2)
    image = torch.rand(count, 3, *size, generator=generator)
    return image, torch.randint(0, 3, (count, 1, *size), generator=generator).float()


def run(model: MattingModel, image: Tensor, trimap: Tensor) -> Prediction:
    with torch.inference_mode():
        prediction: Prediction = model(image, trimap)
    return prediction


@every_size
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_without_trimap_decoder_the_alpha_is_the_same_to_the_bit(
    size: tuple[int, int], layout: torch.memory_format
) -> None:
    model = lively(layout)
    lean = model.without_trimap_decoder()
    whole, rest = run(model, *inputs(size)), run(lean, *inputs(size))
    assert torch.equal(whole.alpha, rest.alpha)
    assert whole.trimap_logits is not None
    assert rest.trimap_logits is None


def test_what_is_dropped_is_the_trimap_decoder_of_a_copy(model: MattingModel) -> None:
    lean = model.without_trimap_decoder()
    names = {name for name in model.state_dict() if not name.startswith("trimap_decoder.")}
    assert lean.state_dict().keys() == names < model.state_dict().keys()
    assert not lean.training
    assert lean.train().without_trimap_decoder().training
    before = run(model, *inputs((32, 32))).alpha
    with torch.no_grad():
        lean.alpha_decoder.head.weight += 1.0
    assert torch.equal(run(model, *inputs((32, 32))).alpha, before)


@every_size
def test_alpha_and_logits_have_the_size_of_the_picture(
    model: MattingModel, size: tuple[int, int]
) -> None:
    prediction = run(model, *inputs(size, 2))
    assert prediction._fields == ("alpha", "trimap_logits")
    assert prediction.trimap_logits is not None
    assert prediction.alpha.shape == (2, 1, *size)
    assert prediction.trimap_logits.shape == (2, 3, *size)
    assert prediction.alpha.dtype == prediction.trimap_logits.dtype == torch.float32
    assert 0 <= prediction.alpha.min() <= prediction.alpha.max() <= 1
    assert prediction.trimap_logits.isfinite().all()
    if min(size) > 30:
        assert prediction.alpha.std() > 0.1, "the model of these tests says something"


@every_size
def test_the_padding_repeats_the_border_and_is_cropped(
    model: MattingModel, size: tuple[int, int]
) -> None:
    height, width = size
    image, trimap = inputs(size)
    more = (0, -width % DOWN, 0, -height % DOWN)
    padded = run(model, *(pad(x, more, mode="replicate") for x in (image, trimap)))
    exact = run(model, image, trimap)
    assert padded.alpha.shape[-2] % 32 == padded.alpha.shape[-1] % 32 == 0
    assert torch.equal(exact.alpha, padded.alpha[..., :height, :width])
    assert exact.trimap_logits is not None
    assert padded.trimap_logits is not None
    assert torch.equal(exact.trimap_logits, padded.trimap_logits[..., :height, :width])


def test_each_picture_of_a_batch_is_for_itself(model: MattingModel) -> None:
    image, trimap = inputs((64, 96), 3)
    together = run(model, image, trimap).alpha
    for number in range(3):
        alone = run(model, image[number : number + 1], trimap[number : number + 1]).alpha[0]
        torch.testing.assert_close(alone, together[number], atol=1e-4, rtol=0)


def test_alpha_depends_on_each_channel_and_on_the_trimap(model: MattingModel) -> None:
    image, trimap = inputs((64, 64))
    alpha = run(model, image, trimap).alpha
    for channel in range(3):
        other = image.clone()
        other[:, channel] = 1 - other[:, channel]
        assert (run(model, other, trimap).alpha - alpha).abs().max() > 0.01
    assert (run(model, image, 2 - trimap).alpha - alpha).abs().max() > 0.01


def multiply_adds(model: MattingModel, size: int) -> int:
    """Counted by the shapes that the convolutions put out, the long way."""
    total = 0

    def add(module: nn.Conv2d, _: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        height, width = module.kernel_size
        total += output.numel() * module.in_channels // module.groups * height * width

    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(add)
    model(torch.empty(1, 3, size, size), torch.empty(1, 1, size, size))
    return total


def test_the_budget() -> None:
    parameters, gmac = count(800)
    assert parameters <= 14.72e6
    assert gmac <= 10.005
    with torch.device("meta"):
        lean = MattingModel().without_trimap_decoder().eval()
        assert parameters == sum(weights.numel() for weights in lean.parameters())
        assert gmac == pytest.approx(multiply_adds(lean, 800) / 1e9, rel=1e-6)
    assert count(400)[1] == pytest.approx(gmac / 4, rel=0.1)


def convolutions(module: nn.Module) -> Iterator[nn.Conv2d]:
    return (part for part in module.modules() if isinstance(part, nn.Conv2d))


def test_kernels_are_small_and_none_is_transposed(model: MattingModel) -> None:
    transposed = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
    assert not [part for part in model.modules() if isinstance(part, transposed)]
    assert model.trimap_decoder is not None
    for decoder in (model.alpha_decoder, model.trimap_decoder):
        assert {part.kernel_size for part in convolutions(decoder)} == {(1, 1), (3, 3)}


def test_the_encoder_has_the_layout_of_resnet_50(model: MattingModel) -> None:
    stages = [list(stage.children()) for stage in model.encoder.stages]
    assert [len(stage) for stage in stages] == [3, 4, 6, 3]
    for stage in stages:
        for block in stage:
            kernels = [part.kernel_size for part in convolutions(block.body)]  # type: ignore[arg-type]  # a Module
            assert kernels == [(1, 1), (3, 3), (1, 1)]
        strides = [part.stride[0] for part in convolutions(nn.Sequential(*stage))]
        assert strides.count(2) == (0 if stage is stages[0] else 2), "a block and its shortcut"
    assert all(
        ours < theirs for ours, theirs in zip(WIDTHS, (64, 256, 512, 1024, 2048), strict=True)
    )


def features(size: int) -> Features:
    generator = torch.Generator().manual_seed(5)
    sides = [size >> level for level in range(1, 6)]
    maps = zip(WIDTHS, sides, strict=True)
    return Features(*(torch.rand(1, n, side, side, generator=generator) for n, side in maps))


def test_five_down_samplings(model: MattingModel) -> None:
    with torch.inference_mode():
        found = model.encoder(torch.rand(1, 4, 96, 160))
    assert [tuple(x.shape[1:]) for x in found] == [
        (channels, 96 >> level, 160 >> level) for level, channels in enumerate(WIDTHS, 1)
    ]
    assert found._fields == Features._fields


def test_which_maps_each_decoder_looks_at(model: MattingModel) -> None:
    """Alpha: each level, and the given trimap; the trimap: only the higher levels."""
    maps, given = features(64), torch.rand(1, 4, 64, 64)
    assert model.trimap_decoder is not None
    with torch.inference_mode():
        alpha, trimap = model.alpha_decoder(maps, given), model.trimap_decoder(maps)
        assert alpha.shape == (1, 1, 64, 64)
        assert not torch.equal(model.alpha_decoder(maps, given + 1), alpha)
        for name in Features._fields:
            other = maps._replace(**{name: getattr(maps, name) + 1})
            assert not torch.equal(model.alpha_decoder(other, given), alpha), name
            same = torch.equal(model.trimap_decoder(other), trimap)
            assert same == (name in {"half", "quarter"}), name


def test_the_first_map_holds_each_pixel_of_the_input_once(model: MattingModel) -> None:
    """No layer works at full resolution, and nothing is lost."""
    given = torch.rand(1, 4, 64, 96)
    with torch.inference_mode():
        half = model.encoder(given).half
    for channel in range(4):
        for row, column in ((0, 0), (0, 1), (1, 0), (1, 1)):
            folded = half[:, 4 * channel + 2 * row + column]
            assert torch.equal(folded, given[:, channel, row::2, column::2])


def test_no_convolution_works_at_full_resolution(model: MattingModel) -> None:
    sides: list[int] = []
    hooks = [
        part.register_forward_hook(lambda _, given, made: sides.append(made.shape[-1]))
        for part in convolutions(model)
    ]
    with torch.inference_mode():
        model(*inputs((64, 64)))
    for hook in hooks:
        hook.remove()
    assert max(sides) == 32


def test_maps_are_narrowed_before_they_are_enlarged(model: MattingModel) -> None:
    for narrow in model.alpha_decoder.narrow:
        (only,) = convolutions(narrow)
        assert only.kernel_size == (1, 1)
        assert 2 * only.out_channels == only.in_channels


def test_the_residual_blocks_of_the_alpha_decoder_are_half_as_wide(model: MattingModel) -> None:
    for block in model.alpha_decoder.blocks:
        first, middle, last = convolutions(block.body)  # type: ignore[arg-type]  # a Module
        assert first.out_channels == middle.in_channels == middle.out_channels == last.in_channels
        assert 2 * first.out_channels == last.out_channels
