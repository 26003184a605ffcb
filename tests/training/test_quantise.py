"""ONNX in 8 bits: nearly the same alphas, in fewer bytes, and the figures that say so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from console.commands import DONE, WRONG_USAGE
from manifests import open_shards
from manifests.sources import Split
from tests.training.conftest import VAL_SAMPLES
from tests.training.runs import called
from tests.training.shard_sets import pixels_of, write_set
from tests.training.small import Small
from training.matte.cases import ShardCases
from training.matte.cli import matte_main
from training.matte.evaluate import evaluate_method
from training.matte.metrics import mean_of
from training.matte.predict import matte
from training.matte.printing import show_exported
from training.matte.quantise import THREADS, Exported, OnnxMatting, export_int8

pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.slow]


def nothing(done: int, total: int) -> None:
    """Shows no progress."""


@pytest.fixture(scope="module")
def exported(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Exported]]:
    path = tmp_path_factory.mktemp("int8") / "below" / "model.onnx"
    opened = open_shards(str(shards))
    return path, export_int8(Small().eval(), path, opened, 5, nothing, (64, 96), 0.0)


def test_the_alphas_are_nearly_the_same(exported: tuple[Path, list[Exported]]) -> None:
    """At sizes that no range was measured at, too."""
    path, _ = exported
    for number, size in enumerate(((72, 80), (31, 97), (160, 32))):
        pixels = pixels_of(number, *size)
        image, trimap = pixels["image"], pixels["crude_trimap"]
        expected = matte(Small().eval(), image, trimap).astype(int)
        assert expected.std() > 5, "a flat alpha would prove nothing"
        away = np.abs(OnnxMatting(path)(image, trimap).astype(int) - expected)
        assert away.max() > 0, "8 bits are not 32"
        assert away.mean() < 1
        assert away.max() <= 8


def test_weights_have_8_bits_and_what_makes_alpha_has_32(
    exported: tuple[Path, list[Exported]],
) -> None:
    path, _ = exported
    graph = onnx.load(str(path)).graph
    kinds = {weights.name: weights.data_type for weights in graph.initializer}
    first, *_, last = (node for node in graph.node if node.op_type == "Conv")
    of_inputs = {node.output[0]: node for node in graph.node}
    assert of_inputs[first.input[0]].op_type == "DequantizeLinear"
    assert kinds[of_inputs[first.input[1]].input[0]] == onnx.TensorProto.INT8
    assert kinds[last.input[1]] == onnx.TensorProto.FLOAT
    after = graph.node[list(graph.node).index(last) :]
    assert not [node.name for node in after if "Linear" in node.op_type]
    assert [file.name for file in path.parent.iterdir()] == ["model.onnx"]


def test_the_figures(
    exported: tuple[Path, list[Exported]], shards: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, found = exported
    assert [one.bits for one in found] == [32, 8]
    assert found[1].bytes == path.stat().st_size < found[0].bytes
    cases = ShardCases(open_shards(str(shards)), Split.VAL)
    model = Small().eval()
    expected = mean_of(
        [
            score.metrics
            for score in evaluate_method(lambda *given: matte(model, *given), cases).scores
        ]
    )
    for one in found:
        assert len(one.seconds) == len(THREADS)
        assert all(0 < seconds < 60 for seconds in one.seconds)
        assert len(one.errors.scores) == VAL_SAMPLES
    exact, rounded = (mean_of([s.metrics for s in one.errors.scores]) for one in found)
    assert exact.sad_whole == pytest.approx(expected.sad_whole, rel=1e-3)
    assert exact.sad_whole != rounded.sad_whole
    assert rounded.sad_whole == pytest.approx(expected.sad_whole, rel=0.05)
    show_exported(found)
    printed = capsys.readouterr()
    rows = [line.split() for line in printed.out.splitlines() if "bits" in line]
    assert [row[:2] for row in rows] == [["32", "bits"], ["8", "bits"]]
    assert rows[1][-2] == f"{rounded.sad_whole:.2f}"
    assert "3 samples of split val" in printed.err


def test_a_set_without_samples_to_measure_on(tmp_path: Path) -> None:
    write_set(tmp_path / "set", {Split.TRAIN: [2]})
    opened, path = open_shards(str(tmp_path / "set")), tmp_path / "out" / "model.onnx"
    with pytest.raises(ValueError, match="val"):
        export_int8(Small().eval(), path, opened, 2, nothing, (32, 32), 0.0)
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--int8",), "--shards is needed here"),
        (("--int8", "--fp16", "--shards", "s"), "--fp16 cannot be used with --int8"),
        (("--shards", "s", "--limit", "3"), "--shards, --limit cannot be used without --int8"),
    ],
)
def test_options_that_do_not_fit(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, options: tuple[str, ...], said: str
) -> None:
    given = ("export", "--checkpoint", str(tmp_path), "--out", str(tmp_path / "m.onnx"), *options)
    ran = called(capsys, matte_main, *given)
    assert ran.code == WRONG_USAGE != DONE
    assert said in " ".join(ran.err.replace("│", " ").split())
