"""A program for phones computes PyTorch's alphas. Not among the tests of training, which run on
newer versions of Python and of PyTorch than ExecuTorch is built for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from console.commands import WRONG_USAGE
from tests.training.conftest import one_thread
from tests.training.runs import called
from tests.training.small import Small
from training.matte.cli import matte_main
from training.matte.phone import export_pte

__all__ = ["one_thread"]

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.slow
def test_a_program_gives_the_alphas_of_the_model(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path, model = tmp_path / "below" / "model.pte", Small().eval()
    (parity,) = export_pte(model, path, (40, 57))
    assert (parity.height, parity.width) == (40, 57)
    assert parity.difference <= 1e-4
    assert capfd.readouterr() == ("", "")
    from executorch.runtime import Runtime

    method = Runtime.get().load_program(path).load_method("forward")
    rng = np.random.default_rng(5)
    image = torch.from_numpy(rng.random((1, 3, 40, 57), np.float32))
    trimap = torch.from_numpy(rng.integers(0, 3, (1, 1, 40, 57)).astype(np.float32))
    (alpha,) = method.execute([image, trimap])
    with torch.inference_mode():
        expected = model(image, trimap).alpha
    assert expected.std() > 0.02, "a flat alpha would prove nothing"
    torch.testing.assert_close(alpha, expected, atol=1e-4, rtol=0)
    with pytest.raises(ValueError, match=r"lie\.pte: at 32 x 32 alpha differs from PyTorch's by"):
        export_pte(Small("other values"), tmp_path / "lie.pte", (32, 32))
    assert [file.name for file in tmp_path.iterdir()] == ["below"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--out", "m.onnx", "--size", "64"), "--size is for a .pte"),
        (("--out", "m.pte", "--fp16"), "a .pte has 32 bits"),
        (("--out", "m.pte", "--size", "64x"), "'64x' is no size, such as 800 or 1080x1920"),
        (("--out", "m.pte", "--size", "0"), "'0' is no size"),
    ],
)
def test_options_that_do_not_fit(
    capsys: pytest.CaptureFixture[str], options: tuple[str, ...], said: str
) -> None:
    ran = called(capsys, matte_main, "export", "--checkpoint", "c", *options)
    assert ran.code == WRONG_USAGE
    assert said in " ".join(ran.err.replace("│", " ").split())
