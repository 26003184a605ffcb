"""The exported model in 8-bit integers: smaller and faster, and what that costs in accuracy."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from manifests.pixels import Pixels
from manifests.shard_set import ShardSet
from manifests.sources import Split
from manifests.storage import writing
from training.choices import TrimapChoice
from training.loading.whole import whole_samples
from training.matte.bench import median_seconds
from training.matte.cases import ShardCases
from training.matte.evaluate import Evaluation, Progress, evaluate_method
from training.matte.export import export, onnx_session, quiet
from training.net.model import MattingModel

Inputs = dict[str, NDArray[np.float32]]

THREADS = (1, 2)
TIMED = (800, 800)  # height and width for the latency


@dataclass(frozen=True)
class Exported:
    """A model in ONNX Runtime on the CPU: what it weighs, how long it takes, and its errors."""

    bits: int
    bytes: int
    seconds: tuple[float, ...]  # median for one image of size TIMED; one for each of THREADS
    errors: Evaluation


def export_int8(
    model: MattingModel,
    path: Path,
    shards: ShardSet,
    limit: int,
    progress: Progress,
    timed: tuple[int, int] = TIMED,
    seconds: float = 2.0,
) -> list[Exported]:
    """Write `path`, the model in 8 bits; returns the figures in 32 bits and in 8 bits.

    The ranges of all activations are those on `limit` samples of split train, with their crude
    trimaps. The errors are measured on `limit` samples of split val, which has none of their
    sources. timed: height and width of the image for the latency, which is measured for `seconds`.

    Raises ValueError if the model cannot be exported, or if the set lacks one of the splits.
    """
    with TemporaryDirectory() as folder, writing(path) as part:
        whole = Path(folder) / "whole.onnx"
        export(model, whole, sizes=(timed,))
        used = whole_samples(shards, Split.TRAIN, limit)
        quantise(whole, part, (_inputs(sample.image, sample.crude_trimap) for sample in used))
        cases = ShardCases(shards, Split.VAL, limit, TrimapChoice.CRUDE)
        return [
            _measured(bits, file, cases, progress, timed, seconds)
            for bits, file in ((32, whole), (8, part))
        ]


def quantise(source: Path, path: Path, inputs: Iterable[Inputs]) -> None:
    """Write `path`: the ONNX model `source` with weights and activations of 8 bits.

    inputs: what the ranges of the activations are measured on, at least one. From the last
    convolution on everything stays in 32 bits: a logit in 8 bits would leave alpha fewer levels
    than it has.
    """
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with TemporaryDirectory() as folder, quiet(""):
        prepared = Path(folder) / "prepared.onnx"
        # Folds batch norms into convolutions; the other analysis is for models of language
        quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
        graph = onnx.load(str(prepared))
        for number, node in enumerate(graph.graph.node):
            node.name = node.name or f"node_{number}"
        quantize_static(
            graph,
            str(path),
            _Reader(inputs),
            quant_format=QuantFormat.QDQ,
            per_channel=True,  # of the weights
            activation_type=QuantType.QUInt8,  # with signed ones ONNX Runtime has no fast loops
            weight_type=QuantType.QInt8,
            nodes_to_exclude=_in_32_bits(graph.graph),
        )


def _in_32_bits(graph: onnx.GraphProto) -> list[str]:
    """The nodes from the last convolution on, and all that compute sizes, in whole numbers."""
    convolutions = [n for n, node in enumerate(graph.node) if node.op_type == "Conv"]
    last = convolutions[-1] if convolutions else 0
    known = [*graph.value_info, *graph.output]
    of_floats = {
        value.name for value in known if value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    }
    return [
        node.name
        for n, node in enumerate(graph.node)
        if n >= last or not of_floats.issuperset(node.output)
    ]


class _Reader:
    """What the quantiser takes its inputs from."""

    def __init__(self, inputs: Iterable[Inputs]) -> None:
        self._inputs = iter(inputs)

    def get_next(self) -> Inputs | None:
        return next(self._inputs, None)


def _measured(
    bits: int,
    path: Path,
    cases: ShardCases,
    progress: Progress,
    timed: tuple[int, int],
    seconds: float,
) -> Exported:
    image = np.random.default_rng(0).integers(0, 256, (*timed, 3), np.uint8)
    inputs = _inputs(image, np.ones(timed, np.uint8))
    times = []
    for threads in THREADS:
        session = onnx_session(path, threads)
        times.append(median_seconds(lambda s=session: s.run(None, inputs), seconds))  # type: ignore[misc]
    errors = evaluate_method(OnnxMatting(path), cases, progress)
    return Exported(bits, path.stat().st_size, tuple(times), errors)


class OnnxMatting:
    """An exported model as a function: image H x W x 3 and trimap H x W of codes -> alpha."""

    def __init__(self, path: Path) -> None:
        self._session = onnx_session(path, torch.get_num_threads())

    def __call__(self, image: Pixels, trimap: Pixels) -> Pixels:
        (alpha,) = self._session.run(["alpha"], _inputs(image, trimap))
        return np.asarray(np.rint(alpha[0, 0] * np.float32(255)), np.uint8)


def _inputs(image: Pixels, trimap: Pixels) -> Inputs:
    colours = np.ascontiguousarray(image.transpose(2, 0, 1)[None], np.float32) / np.float32(255)
    return {"image": colours, "trimap": trimap[None, None].astype(np.float32)}
