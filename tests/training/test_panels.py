"""Pictures of a validation and their captions."""

from __future__ import annotations

import numpy as np
import pytest

from training.panels import PARTS, caption_height, captioned, panel


@pytest.mark.parametrize("width", [80, 200, 512])
def test_each_part_has_its_own_caption(width: int) -> None:
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (40, len(PARTS) * width, 3), dtype=np.uint8)
    shown = captioned(picture, PARTS)
    height = caption_height(width)
    assert shown.shape == (height + 40, len(PARTS) * width, 3)
    assert (shown[height:] == picture).all()
    captions = np.split(shown[:height].max(axis=2), len(PARTS), axis=1)
    for caption, name in zip(captions, PARTS, strict=True):
        columns = np.flatnonzero((caption > 100).any(axis=0))
        assert 2 <= columns[0] < 8
        assert columns[-1] < width - 1, "it does not run into the next part"
        rows = np.flatnonzero((caption > 100).any(axis=1))
        assert rows[0] > 0
        assert rows[-1] < height - 1, "nor into the picture"
        other = captioned(picture, [name] * len(PARTS))[:height, :width].max(axis=2)
        assert (caption == other).all(), "the name of the part is written over it"
    assert len({caption.tobytes() for caption in captions}) == len(PARTS)


def test_a_model_without_trimap_decoder_has_a_grey_part() -> None:
    image = np.zeros((4, 6, 3), np.uint8)
    plane = np.zeros((4, 6), np.uint8)
    parts = np.split(panel(image, plane, None, plane, plane), len(PARTS), axis=1)
    assert [int(part.max()) for part in parts] == [0, 0, 127, 0, 0]
