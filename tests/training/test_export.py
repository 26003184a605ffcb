"""ONNX that gives PyTorch's alphas at any size, or no file."""

from __future__ import annotations

import copy
import logging
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from tests.conftest import clean
from tests.training.conftest import lively
from tests.training.small import Small
from training.matte.export import CHECKED_SIZES, TOLERANCE, Parity, export
from training.net.model import Prediction

SIZES = ((7, 5), (33, 64), (96, 130), (1, 1), (64, 32))
Array = NDArray[np.float32]

pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.slow]


def inputs(height: int, width: int) -> tuple[Array, Array]:
    rng = np.random.default_rng([3, height, width])
    trimap = rng.integers(0, 3, (1, 1, height, width)).astype(np.float32)
    return rng.random((1, 3, height, width), np.float32), trimap


def by_onnx(path: Path, image: Array, trimap: Array) -> Array:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (alpha,) = session.run(["alpha"], {"image": image, "trimap": trimap})
    return np.asarray(alpha)


def by_torch(model: nn.Module, image: Array, trimap: Array) -> Array:
    with torch.inference_mode():
        prediction: Prediction = model(torch.from_numpy(image), torch.from_numpy(trimap))
    return np.asarray(prediction.alpha.numpy())


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Parity]]:
    """The whole model with its trimap decoder in training mode, as it may come."""
    path = tmp_path_factory.mktemp("export") / "below" / "model.onnx"
    model = copy.deepcopy(lively()).train()
    found = export(model, path, sizes=SIZES)
    assert model.training, "what is given stays as it is"
    assert model.trimap_decoder is not None
    return path, found


def test_the_file_gives_the_alphas_of_the_model(exported: tuple[Path, list[Parity]]) -> None:
    """Also at sizes that nobody looked at while it was written."""
    path, found = exported
    assert [(parity.height, parity.width) for parity in found] == list(SIZES)
    assert all(0 <= parity.difference <= 1e-4 for parity in found)
    for size in ((31, 97), (128, 32)):
        image, trimap = inputs(*size)
        alpha, expected = by_onnx(path, image, trimap), by_torch(lively(), image, trimap)
        assert alpha.shape == (1, 1, *size)
        assert expected.std() > 0.1, "a flat alpha would prove nothing"
        np.testing.assert_allclose(alpha, expected, atol=1e-4)
        assert abs(alpha - by_onnx(path, image, 2 - trimap)).max() > 0.1


def test_the_file_says_what_goes_in_and_out(exported: tuple[Path, list[Parity]]) -> None:
    path, _ = exported
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    image, trimap = session.get_inputs()
    (alpha,) = session.get_outputs()
    assert [(x.name, x.shape[:2], x.type) for x in (image, trimap, alpha)] == [
        ("image", [1, 3], "tensor(float)"),
        ("trimap", [1, 1], "tensor(float)"),
        ("alpha", [1, 1], "tensor(float)"),
    ]
    assert image.shape[2:] == trimap.shape[2:] == alpha.shape[2:] == ["height", "width"]
    graph = onnx.load(str(path))
    onnx.checker.check_model(graph)
    weights = {weights.name for weights in graph.graph.initializer}
    assert any("alpha_decoder" in name for name in weights)
    assert not any("trimap_decoder" in name for name in weights)
    assert [file.name for file in path.parent.iterdir()] == ["model.onnx"], "weights are inside"
    parameters = sum(x.numel() for x in lively().without_trimap_decoder().parameters())
    assert path.stat().st_size == pytest.approx(4 * parameters, rel=0.05)


def test_16_bits_within(tmp_path: Path) -> None:
    path, model = tmp_path / "half.onnx", Small().eval()
    found = export(model, path, fp16=True, sizes=SIZES)
    assert 1e-6 < max(parity.difference for parity in found) <= 0.02
    image, trimap = inputs(96, 130)
    alpha = by_onnx(path, image, trimap)
    assert alpha.dtype == np.float32, "32 bits outside"
    np.testing.assert_allclose(alpha, by_torch(model, image, trimap), atol=0.02)
    held = onnx.load(str(path)).graph.initializer
    kinds = [weights.data_type for weights in held if weights.dims]  # the others are constants
    assert onnx.TensorProto.FLOAT16 in kinds
    assert onnx.TensorProto.FLOAT not in kinds
    assert {weights.dtype for weights in model.parameters()} == {torch.float32}


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (
            "other values",
            r"{}: at 64 x 33 alpha differs from PyTorch's by 0\.000\d+, allowed is 0\.0001",
        ),
        ("no number", r"{}: at 64 x 33 alpha differs from PyTorch's by inf, allowed is 0\.0001"),
        ("another size", r"the exported alpha has shape \(1, 1, 33, 63\), not \(1, 1, 33, 64\)"),
    ],
)
def test_no_file_is_left_where_the_alphas_differ(tmp_path: Path, kind: str, said: str) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"the last good one")
    with pytest.raises(ValueError, match=said.format(path)):
        export(Small(kind), path, sizes=((33, 64),))
    assert [file.name for file in tmp_path.iterdir()] == ["model.onnx"]
    assert path.read_bytes() == b"the last good one"


def test_what_is_promised() -> None:
    assert CHECKED_SIZES == ((800, 800), (1080, 1920), (517, 333))
    assert TOLERANCE[False] <= 1e-4


def test_the_exporter_is_quiet(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    level = logging.getLogger("torch.onnx").level
    export(Small(), tmp_path / "model.onnx", sizes=((33, 64),))
    printed = capfd.readouterr()
    assert (printed.out, clean(printed.err)) == ("", "")
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
    assert logging.getLogger("torch.onnx").level == level
