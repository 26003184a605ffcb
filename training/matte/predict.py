"""A trained model on pictures: arrays in, arrays out."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from manifests.pixels import Pixels
from training.net.model import MattingModel, Prediction


def predict(
    model: MattingModel, image: Pixels, trimap: Pixels, precision: torch.dtype = torch.float32
) -> Prediction:
    """image H x W x 3 RGB uint8, trimap H x W of codes -> Prediction for a batch of one."""
    device = model.mean.device
    # Copies: decoders give arrays that cannot be written to, which torch does not know
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

    Raises ValueError if the sizes differ.
    """
    if image.shape[:2] != trimap.shape:
        (height, width), (rows, columns) = image.shape[:2], trimap.shape
        raise ValueError(f"image {width} x {height}, trimap {columns} x {rows}: sizes differ")
    return alpha_of(predict(model, image, trimap))


def alpha_of(prediction: Prediction) -> Pixels:
    """H x W uint8, of the first of the batch."""
    levels = prediction.alpha[0, 0].float().cpu().numpy() * np.float32(255)
    return np.asarray(np.rint(levels), np.uint8)


def estimated_trimap(prediction: Prediction) -> Pixels | None:
    """H x W codes of the estimated trimap, of the first of the batch; None without its decoder."""
    if prediction.trimap_logits is None:
        return None
    codes: NDArray[np.int64] = prediction.trimap_logits[0].argmax(dim=0).cpu().numpy()
    return codes.astype(np.uint8)
