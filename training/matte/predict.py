"""A trained model on pictures: arrays in, arrays out."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from manifests.pixels import Pixels, check_trimap
from training.checkpoint import load_network
from training.choices import BUILT_IN
from training.net.model import MattingModel, Prediction
from training.processes import pick_device

Levels = NDArray[np.float32]  # of alpha, 0..255

# A network knows subjects in the size in which it has seen them. A picture that is more than
# _LARGER times as large is also predicted in the size of the samples, which decides where the two
# are _APART by more than so many levels, as means over the _AROUND pixels to each side that the
# small picture has. Chosen on GT01 to GT15; see docs/results.md.
_LARGER, _APART, _AROUND = 1.25, 13.0, 8


class TrainedModel:
    """A trained model as a function of arrays; made by `load_model`.

    network: the torch module, in evaluation mode, without the decoder that only training needs.
    """

    def __init__(self, network: MattingModel) -> None:
        self.network = network

    def __call__(self, image: Pixels, trimap: Pixels) -> Pixels:
        """The alpha of an image.

        image: H x W x 3 uint8, RGB. trimap: H x W uint8: 0 background, 1 unknown, 2 foreground.
        Returns H x W uint8, 0..255. Raises ValueError for other shapes, types or codes.
        """
        return matte(self.network, image, trimap)


def load_model(path: str | Path = BUILT_IN, device: str | None = None) -> TrainedModel:
    """Load a trained model for inference.

    >>> model = load_model("runs/an-tw", device="cpu")
    >>> image = np.zeros((40, 48, 3), np.uint8)
    >>> trimap = np.ones((40, 48), np.uint8)  # 0 background, 1 unknown, 2 foreground
    >>> alpha = model(image, trimap)
    >>> alpha.shape, alpha.dtype
    ((40, 48), dtype('uint8'))

    path: a run (its best checkpoint, or else its last), one of its checkpoints, or the file
        model.safetensors of one; by default the model that comes with this program.
    device: "cpu", "cuda", "cuda:1", ...; None is a GPU if there is one.

    Raises FileNotFoundError if there is no checkpoint, ValueError if it is not one of this program
    or if the device cannot be used.
    """
    network = load_network(Path(path)).without_trimap_decoder()
    return TrainedModel(network.to(pick_device(device)))


def predict(
    model: MattingModel, image: Pixels, trimap: Pixels, precision: torch.dtype = torch.float32
) -> Prediction:
    """image H x W x 3 RGB uint8, trimap H x W of codes -> Prediction for a batch of one."""
    device = model.mean.device
    # Copied, since torch does not support the read-only arrays that some decoders return
    colours, codes = (torch.from_numpy(pixels.copy()).to(device) for pixels in (image, trimap))
    with (
        torch.inference_mode(),
        torch.autocast(device.type, precision, enabled=precision is not torch.float32),
    ):
        inputs = colours.permute(2, 0, 1)[None].float() / 255
        prediction: Prediction = model(inputs, codes[None, None].float())
    return prediction


def matte(model: MattingModel, image: Pixels, trimap: Pixels) -> Pixels:
    """image H x W x 3 RGB uint8, trimap H x W of codes -> alpha H x W uint8.

    A picture much larger than the samples that the model has seen is predicted twice, as it is and
    in their size; where the two differ, the small one counts.

    Raises ValueError for other shapes, types or codes.
    """
    for name, pixels, shape in (
        ("image", image, (*image.shape[:2], 3)),
        ("trimap", trimap, trimap.shape[:2]),
    ):
        if pixels.dtype != np.uint8 or pixels.shape != shape or not pixels.size:
            found = f"{' x '.join(map(str, pixels.shape))} {pixels.dtype}"
            expected = "H x W x 3" if name == "image" else "H x W"
            raise ValueError(f"{name} {found}, expected {expected} uint8")
    if image.shape[:2] != trimap.shape:
        (height, width), (rows, columns) = image.shape[:2], trimap.shape
        raise ValueError(f"image {width} x {height}, trimap {columns} x {rows}: sizes differ")
    check_trimap(trimap, "trimap")
    fine = _levels(predict(model, image, trimap))
    if model.seen is None or max(trimap.shape) <= _LARGER * model.seen:
        return _rounded(fine)
    return _rounded(_agreed(fine, *_coarse(model, image, trimap, model.seen)))


def _coarse(model: MattingModel, image: Pixels, trimap: Pixels, side: int) -> tuple[Levels, float]:
    """What the model says of a picture that is reduced to a long side of so many pixels, enlarged
    again; and by how much it was reduced."""
    height, width = trimap.shape
    factor = max(height, width) / side
    size = max(1, round(width / factor)), max(1, round(height / factor))
    small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    codes = np.asarray(cv2.resize(trimap, size, interpolation=cv2.INTER_NEAREST_EXACT), np.uint8)
    levels = _levels(predict(model, small, codes))
    return np.asarray(cv2.resize(levels, (width, height)), np.float32), factor


def _agreed(fine: Levels, coarse: Levels, factor: float) -> Levels:
    """The fine alpha where it is, on average around a pixel, that of the coarse one; else that."""
    side = 2 * round(_AROUND * factor) + 1
    apart = np.abs(cv2.blur(fine, (side, side)) - cv2.blur(coarse, (side, side)))
    share = np.clip(2 - apart / _APART, 0, 1)
    return np.asarray(share * fine + (1 - share) * coarse, np.float32)


def alpha_of(prediction: Prediction) -> Pixels:
    """H x W uint8, of the first image of the batch."""
    return _rounded(_levels(prediction))


def _levels(prediction: Prediction) -> Levels:
    """H x W, 0..255, of the first image of the batch."""
    return np.asarray(prediction.alpha[0, 0].float().cpu().numpy() * 255, np.float32)


def _rounded(levels: Levels) -> Pixels:
    return np.asarray(np.rint(levels), np.uint8)


def estimated_trimap(prediction: Prediction) -> Pixels | None:
    """H x W codes of the estimated trimap, of the first image; None without its decoder."""
    if prediction.trimap_logits is None:
        return None
    codes: NDArray[np.int64] = prediction.trimap_logits[0].argmax(dim=0).cpu().numpy()
    return codes.astype(np.uint8)
